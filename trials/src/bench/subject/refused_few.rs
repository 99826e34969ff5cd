//! Ordinary letters while the mail server refuses a few others for policy or for their content.

use std::time::Duration;

use chrono::Utc;
use guestlist_testkit::smtp::{Action, Rule, Stage};

use super::installation::{GIVEN_UP, Installation, seconds};
use crate::bench::environment::Environment;
use crate::bench::row::{Row, Target};

/// Time that the mail server takes for a letter, like a provider.
const REPLY_TIME: Duration = Duration::from_millis(100);

/// Maximum time to wait for the letters.
const TIMEOUT: Duration = Duration::from_secs(120);

const ORDINARY: &str = "person";
const REFUSED: &str = "refused";

struct Case {
    subject: &'static str,
    stage: Stage,
    reply: &'static str,
    /// Number of recipients that are refused.
    refused: u64,
    organizations: u64,
    /// True if the refused letters are all of one organization, which sends no others.
    is_of_one: bool,
    measure: &'static str,
}

/// Refuses recipients of every organization.
pub(super) async fn measure_policy(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let case = Case {
        subject: "policy",
        stage: Stage::Rcpt,
        reply: "550 5.7.1 message refused by policy",
        refused: 5,
        organizations: 8,
        is_of_one: false,
        measure: "5 recipients refused for policy",
    };
    case.measure(environment).await
}

/// Refuses the letters of one organization.
pub(super) async fn measure_content(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let case = Case {
        subject: "content",
        stage: Stage::End,
        reply: "550 5.7.1 message refused: content looks like spam",
        refused: 20,
        organizations: 2,
        is_of_one: true,
        measure: "20 letters of another organization refused for content",
    };
    case.measure(environment).await
}

impl Case {
    async fn measure(&self, environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
        let count = environment.amounts.ordinary;
        let (mut with, mut without, mut shown) = (Vec::new(), Vec::new(), Vec::new());
        for repetition in 1..=environment.repeat {
            environment.progress.report_repetition(
                repetition,
                environment.repeat,
                format!("{count} letters with and without {}", self.measure),
            );
            without.push(self.run(environment, count, 0).await?.0);
            let (ordinary, refused) = self.run(environment, count, self.refused).await?;
            with.push(ordinary);
            shown.push(refused);
        }
        Ok(vec![
            Row::new(
                self.subject,
                format!("{count} letters beside {}", self.measure),
                "s",
                with,
            )?
            .reference("without these", without)?
            .target(Target::MaxRatio(1.1))
            .counted(count),
            Row::new(
                self.subject,
                "start of the worker until all of these show the server's words",
                "s",
                shown,
            )?
            .target(Target::Max(5.0)),
        ])
    }

    /// Returns the seconds from the start of a worker to the last ordinary letter, and until the refused
    /// ones were shown as deferred.
    async fn run(
        &self,
        environment: &mut Environment,
        count: u64,
        refused: u64,
    ) -> anyhow::Result<(f64, f64)> {
        let installation = Installation::create(environment, self.organizations).await?;
        let server = installation.server();
        server.add_rule(Rule::new(self.stage, self.reply).to(REFUSED));
        server.add_rule(Rule::new(Stage::End, Action::ReplyLate(REPLY_TIME)));
        let teams = &installation.teams;
        let (of_refused, of_ordinary) = match self.is_of_one {
            true => teams.split_at(1),
            false => (teams.as_slice(), teams.as_slice()),
        };
        // Half of the ordinary letters wait before those that are refused, the other half behind them.
        let half = count / 2;
        installation.invite(of_ordinary, "person-a", half).await?;
        installation.invite(of_refused, REFUSED, refused).await?;
        installation
            .invite(of_ordinary, "person-b", count - half)
            .await?;
        installation.store.vacuum().await?;
        let began = Utc::now();
        let mut worker = installation.start_worker(environment, &[])?;
        let shown = installation
            .wait_for(
                "guestlist_invitations WHERE delivery = 'deferred' AND delivery_detail LIKE '550 5.7.1 message refused%'",
                refused,
                TIMEOUT,
                &mut worker,
            )
            .await?;
        installation
            .wait_for(
                "guestlist_invitations WHERE delivery = 'sent'",
                count,
                TIMEOUT,
                &mut worker,
            )
            .await?;
        installation.store.require(GIVEN_UP, 0).await?;
        let last = installation.last_letter(ORDINARY, count)?;
        installation.end(environment, worker).await?;
        Ok((seconds(began, last), seconds(began, shown)))
    }
}
