//! The two settings that every story holds in.

use crate::site::Site;

#[derive(Clone, Copy)]
pub(crate) enum Setting {
    /// SQLite, with sessions in it and the worker inside.
    OneProcess,
    /// Postgres, with sessions in Redis and the worker beside.
    BesideAWorker,
}

impl Setting {
    pub(crate) async fn site(self, variables: &[(&str, &str)]) -> Site {
        match self {
            Self::OneProcess => Site::embedded(variables).await,
            Self::BesideAWorker => Site::distributed(variables).await,
        }
    }
}

/// Tells each of these stories in both settings.
macro_rules! in_both_settings {
    ($($story:ident)+) => {
        mod in_one_process {
            $(#[tokio::test]
            async fn $story() {
                super::$story(crate::deployment::Setting::OneProcess).await;
            })+
        }

        mod beside_a_worker {
            $(#[tokio::test]
            async fn $story() {
                super::$story(crate::deployment::Setting::BesideAWorker).await;
            })+
        }
    };
}
pub(crate) use in_both_settings;
