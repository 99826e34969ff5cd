//! The state that the sessions of a server share.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, watch};

use super::action::Action;
use super::rule::{Point, Rule};
use super::script::{Decision, Script};
use super::seen::Seen;
use super::stage::Stage;

/// The script and the record that all sessions share.
pub(super) struct Shared {
    pub(super) script: Script,
    rules: Mutex<Vec<Rule>>,
    pub(super) seen: watch::Sender<Seen>,
    pub(super) released: Semaphore,
}

impl Shared {
    pub(super) fn new(mut script: Script) -> Self {
        Self {
            rules: Mutex::new(std::mem::take(&mut script.rules)),
            script,
            seen: watch::Sender::default(),
            released: Semaphore::new(0),
        }
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn action_at(&self, stage: Stage, recipient: Option<&str>) -> Option<Action> {
        let (connections, now) = (self.open_connections(), Instant::now());
        let point = Point {
            stage,
            recipient,
            connections,
            now,
        };
        let mut rules = self.rules();
        rules.retain(|rule| !rule.is_over(now));
        rules.iter_mut().find_map(|rule| rule.act(&point))
    }

    fn open_connections(&self) -> usize {
        let seen = self.seen.borrow();
        seen.connections - seen.closed
    }

    pub(super) fn keep(&self, change: impl FnOnce(&mut Seen)) {
        if !self.script.forgets {
            self.seen.send_modify(change);
        }
    }

    pub(super) async fn decide(&self, decision: Decision<'_>) -> io::Result<()> {
        match &self.script.before_reply {
            Some(callback) => callback(decision).await,
            None => Ok(()),
        }
    }
}

/// Counts an open connection, also if its session is aborted.
pub(super) struct OpenConnection(Arc<Shared>);

impl OpenConnection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.seen.send_modify(|seen| seen.connections += 1);
        Self(shared)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.seen.send_modify(|seen| seen.closed += 1);
    }
}
