//! Runs one history on one database and compares the library with the reference model after each
//! operation.

use std::cell::RefCell;

use chrono::DateTime;
use guestlist::{Actor, Database, ManualClock};
use proptest::test_runner::TestCaseError;

use crate::accounts::HOST;
use crate::coverage::Coverage;
use crate::fixture::Fixture;
use crate::history::{Settings, Step, Verb};
use crate::operation::{Answer, Operation};
use crate::promises::Promises;
use crate::reference_model::{ExpectedEvent, ReferenceModel, Subject};
use crate::snapshot::same;
use crate::tables::{Dump, Tables};

pub struct Comparison<'a> {
    model: ReferenceModel,
    fixture: Fixture,
    promises: Promises,
    tables: &'a Tables,
    dump: Dump,
    log: &'a RefCell<String>,
    coverage: &'a RefCell<Coverage>,
}

impl<'a> Comparison<'a> {
    pub async fn begin(
        database: &Database,
        tables: &'a Tables,
        settings: Settings,
        coverage: &'a RefCell<Coverage>,
        log: &'a RefCell<String>,
    ) -> Self {
        tables.wipe(database).await;
        let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let clock = ManualClock::starting_at(start);
        coverage.borrow_mut().histories += 1;
        Self {
            model: ReferenceModel::new(settings, start),
            fixture: Fixture::new(database.clone(), clock, settings),
            promises: Promises::default(),
            tables,
            dump: Dump::new(),
            log,
            coverage,
        }
    }

    /// Creates two organizations, then runs the steps of the history.
    pub async fn run(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        for founder in [0, 1] {
            self.step(&Operation::founding(founder)).await?;
        }
        for step in steps {
            let operation = self.model.resolve(step);
            self.step(&operation).await?;
        }
        self.compare_details("at the end").await
    }

    async fn step(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        self.log.borrow_mut().push_str(&format!("\n  {operation}"));
        let before = self.model.clone();
        let expected = self.model.apply(operation);
        let answers = self.fixture.perform(operation, &before).await;
        self.count(operation, &answers);
        if answers != expected {
            return fail(
                operation,
                format!("the library answers {answers:?}, the model {expected:?}"),
            );
        }
        let dump = self.tables.dump(&self.fixture.database).await;
        let changes_nothing = self.model.changes_nothing_since(&before);
        if changes_nothing && dump != self.dump {
            return fail(
                operation,
                format!("it wrote {:?}", difference(&self.dump, &dump)),
            );
        }
        self.dump = dump;
        if !changes_nothing {
            let before = std::mem::take(&mut self.fixture.reading);
            self.fixture.read_all(&self.model).await;
            self.promises
                .check(self.model.settings.roles, &before, &self.fixture);
            self.compare_events(operation, &before)?;
        }
        same(&self.model.snapshot(), &self.fixture.snapshot())
            .or_else(|why| fail(operation, why))?;
        self.compare_tasks(operation)?;
        if operation.has_details() {
            self.compare_details(&operation.to_string()).await?;
        }
        Ok(())
    }

    fn count(&self, operation: &Operation, answers: &[Answer]) {
        let mut coverage = self.coverage.borrow_mut();
        coverage.steps += 1;
        answers
            .iter()
            .for_each(|answer| coverage.count(operation.verb, answer));
    }

    /// Expects one event for each transition, and none for a no-op or a refusal.
    fn compare_events(
        &self,
        operation: &Operation,
        before: &crate::reading::Reading,
    ) -> Result<(), TestCaseError> {
        let mut expected: Vec<_> = self
            .model
            .events
            .iter()
            .map(|event| self.line(event))
            .collect();
        let mut recorded = Vec::new();
        for (index, listed) in self.fixture.reading.organizations.iter().enumerate() {
            let known = before
                .organizations
                .get(index)
                .map_or(0, |listed| listed.events.len());
            for event in &listed.events[known..] {
                let actor = event.attribution.actor.as_ref();
                let actor = actor.map(|actor| match actor {
                    Actor::Member(user) => user.as_str(),
                    Actor::Operator { name, .. } => name.as_str(),
                    _ => HOST,
                });
                recorded.push(format!(
                    "{index} {} by {actor:?} of {}",
                    event.kind, event.subject
                ));
            }
        }
        // The order of an expiry sweep and of operations on several organizations is not
        // defined.
        if operation.verb == Verb::ExpireDue || operation.spans_organizations() {
            expected.sort();
            recorded.sort();
        }
        match recorded == expected {
            true => Ok(()),
            false => fail(
                operation,
                format!("it recorded the events {recorded:?}, not {expected:?}"),
            ),
        }
    }

    fn line(&self, event: &ExpectedEvent) -> String {
        let ExpectedEvent {
            organization,
            kind,
            actor,
            subject,
        } = event;
        let subject = match subject {
            Subject::Organization => self.fixture.organizations[*organization].to_string(),
            Subject::Invitation(index) => self.fixture.invitations[*index].to_string(),
            Subject::Account(account) => (*account).to_owned(),
        };
        format!("{organization} {kind} by {actor:?} of {subject}")
    }

    /// Expects the outbox to hold exactly the tasks that are not done yet.
    fn compare_tasks(&self, operation: &Operation) -> Result<(), TestCaseError> {
        let mut owed = self.model.tasks.clone();
        let messages = self.fixture.reading.messages.iter();
        let mut waiting: Vec<_> = messages.map(|message| self.fixture.task(message)).collect();
        owed.sort();
        waiting.sort();
        match owed == waiting {
            true => Ok(()),
            false => fail(
                operation,
                format!("the outbox holds {waiting:?}, owed is {owed:?}"),
            ),
        }
    }

    async fn compare_details(&self, when: &str) -> Result<(), TestCaseError> {
        same(&self.model.details(), &self.fixture.details().await)
            .map_err(|why| TestCaseError::fail(format!("{when}: {why}")))
    }
}

fn fail<T>(operation: &Operation, why: String) -> Result<T, TestCaseError> {
    Err(TestCaseError::fail(format!("{operation}: {why}")))
}

fn difference<'a>(before: &'a Dump, after: &'a Dump) -> Vec<&'a String> {
    let gone = before.iter().filter(|row| !after.contains(row));
    gone.chain(after.iter().filter(|row| !before.contains(row)))
        .collect()
}
