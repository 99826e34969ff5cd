//! The two deployments that tests run in.

use crate::site::Site;

#[derive(Clone, Copy)]
pub(crate) enum Deployment {
    /// SQLite for everything, with the worker in the same process.
    SingleProcess,
    /// Postgres, with sessions in Redis and a separate worker.
    SeparateWorker,
}

impl Deployment {
    pub(crate) async fn site(self, variables: &[(&str, &str)]) -> Site {
        match self {
            Self::SingleProcess => Site::embedded(variables).await,
            Self::SeparateWorker => Site::distributed(variables).await,
        }
    }
}

/// Creates two tests from each function, one per deployment.
macro_rules! in_both_deployments {
    ($($story:ident)+) => {
        mod single_process {
            $(#[tokio::test]
            async fn $story() {
                super::$story(crate::deployment::Deployment::SingleProcess).await;
            })+
        }

        mod separate_worker {
            $(#[tokio::test]
            async fn $story() {
                super::$story(crate::deployment::Deployment::SeparateWorker).await;
            })+
        }
    };
}
pub(crate) use in_both_deployments;
