//! One history on one database, deed by deed beside the model.

use std::cell::RefCell;

use chrono::DateTime;
use guestlist::{Database, ManualClock};
use proptest::test_runner::TestCaseError;

use crate::coverage::Coverage;
use crate::fixture::Stage;
use crate::history::{Settings, Step, Verb};
use crate::operation::{Answer, Deed};
use crate::promises::Promises;
use crate::reference_model::{Subject, Told, World};
use crate::snapshot::same;
use crate::tables::{Dump, Tables};

pub struct Trial<'a> {
    world: World,
    stage: Stage,
    promises: Promises,
    tables: &'a Tables,
    dump: Dump,
    story: &'a RefCell<String>,
    coverage: &'a RefCell<Coverage>,
}

impl<'a> Trial<'a> {
    pub async fn begin(
        database: &Database,
        tables: &'a Tables,
        settings: Settings,
        coverage: &'a RefCell<Coverage>,
        story: &'a RefCell<String>,
    ) -> Self {
        tables.wipe(database).await;
        let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let clock = ManualClock::starting_at(start);
        coverage.borrow_mut().histories += 1;
        Self {
            world: World::new(settings, start),
            stage: Stage::set(database.clone(), clock, settings),
            promises: Promises::default(),
            tables,
            dump: Dump::new(),
            story,
            coverage,
        }
    }

    /// Two organizations, and then what the history says.
    pub async fn run(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        for founder in [0, 1] {
            self.take(&Deed::founding(founder)).await?;
        }
        for step in steps {
            let deed = self.world.resolve(step);
            self.take(&deed).await?;
        }
        self.details("at the end").await
    }

    async fn take(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        self.story.borrow_mut().push_str(&format!("\n  {deed}"));
        let before = self.world.clone();
        let expected = self.world.apply(deed);
        let answers = self.stage.perform(deed, &before).await;
        self.count(deed, &answers);
        if answers != expected {
            return fail(
                deed,
                format!("the library answers {answers:?}, the model {expected:?}"),
            );
        }
        let dump = self.tables.dump(&self.stage.database).await;
        let changes_nothing = self.world.changes_nothing_since(&before);
        if changes_nothing && dump != self.dump {
            return fail(
                deed,
                format!("it wrote {:?}", difference(&self.dump, &dump)),
            );
        }
        self.dump = dump;
        if !changes_nothing {
            let before = std::mem::take(&mut self.stage.reading);
            self.stage.look(&self.world).await;
            self.promises
                .check(self.world.settings.roles, &before, &self.stage);
            self.told(deed, &before)?;
        }
        same(&self.world.portrait(), &self.stage.portrait()).or_else(|why| fail(deed, why))?;
        self.tasks(deed)?;
        if deed.has_details() {
            self.details(&deed.to_string()).await?;
        }
        Ok(())
    }

    fn count(&self, deed: &Deed, answers: &[Answer]) {
        let mut coverage = self.coverage.borrow_mut();
        coverage.steps += 1;
        answers
            .iter()
            .for_each(|answer| coverage.count(deed.verb, answer));
    }

    /// One event for each transition, and none for a no-op or a refusal.
    fn told(&self, deed: &Deed, before: &crate::reading::Reading) -> Result<(), TestCaseError> {
        let mut expected: Vec<_> = self.world.told.iter().map(|told| self.line(told)).collect();
        let mut told = Vec::new();
        for (place, listed) in self.stage.reading.organizations.iter().enumerate() {
            let known = before
                .organizations
                .get(place)
                .map_or(0, |listed| listed.events.len());
            for event in &listed.events[known..] {
                let actor = event.actor.as_ref().map(|actor| actor.as_str());
                told.push(format!(
                    "{place} {} by {actor:?} of {}",
                    event.kind, event.subject
                ));
            }
        }
        // The sweep finds what is due in an order of its own; elsewhere the order is part of it.
        if deed.verb == Verb::ExpireDue || deed.spans_organizations() {
            expected.sort();
            told.sort();
        }
        match told == expected {
            true => Ok(()),
            false => fail(deed, format!("it told {told:?}, not {expected:?}")),
        }
    }

    fn line(&self, told: &Told) -> String {
        let Told {
            organization,
            kind,
            actor,
            subject,
        } = told;
        let subject = match subject {
            Subject::Organization => self.stage.organizations[*organization].to_string(),
            Subject::Invitation(place) => self.stage.invitations[*place].to_string(),
            Subject::Person(person) => (*person).to_owned(),
        };
        format!("{organization} {kind} by {actor:?} of {subject}")
    }

    /// What waits in the outbox is what is still owed.
    fn tasks(&self, deed: &Deed) -> Result<(), TestCaseError> {
        let mut owed = self.world.tasks.clone();
        let messages = self.stage.reading.messages.iter();
        let mut waiting: Vec<_> = messages.map(|message| self.stage.task(message)).collect();
        owed.sort();
        waiting.sort();
        match owed == waiting {
            true => Ok(()),
            false => fail(
                deed,
                format!("the outbox holds {waiting:?}, owed is {owed:?}"),
            ),
        }
    }

    async fn details(&self, when: &str) -> Result<(), TestCaseError> {
        same(&self.world.details(), &self.stage.details().await)
            .map_err(|why| TestCaseError::fail(format!("{when}: {why}")))
    }
}

fn fail<T>(deed: &Deed, why: String) -> Result<T, TestCaseError> {
    Err(TestCaseError::fail(format!("{deed}: {why}")))
}

fn difference<'a>(before: &'a Dump, after: &'a Dump) -> Vec<&'a String> {
    let gone = before.iter().filter(|row| !after.contains(row));
    gone.chain(after.iter().filter(|row| !before.contains(row)))
        .collect()
}
