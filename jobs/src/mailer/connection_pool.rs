//! The connections to the mail server.
//!
//! The pool begins with one connection and opens more while letters wait and the server accepts
//! letters, up to the setting. It shrinks to what the server allows when the server refuses another
//! connection. A letter waits for a connection that is ready, never for one that is being opened.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use self::state::{GROWTH_PAUSES, Idle, OpeningConnection, State};
use super::lent::{EndedLoan, Lender, Lent};
use super::settings::MailerSettings;
use crate::smtp::{Connection, Server, SmtpCounters, SmtpError};

/// The interval of the upkeep: idle connections, and connections that take long to open.
const UPKEEP: Duration = Duration::from_millis(200);

/// The time that connections have to open once the pool closes. One that is open by then ends with
/// `QUIT`; servers log a connection that is dropped as lost.
const OPENED_AT_CLOSE: Duration = Duration::from_millis(500);

/// The pool. Clones share it.
#[derive(Clone)]
pub(super) struct ConnectionPool(Arc<Shared>);

struct Shared {
    server: Arc<Server>,
    settings: MailerSettings,
    counters: SmtpCounters,
    state: Mutex<State>,
    closing: CancellationToken,
    tasks: TaskTracker,
    /// Called with the error when no connection could be opened and none is open.
    on_failure: Box<dyn Fn(SmtpError) + Send + Sync>,
}

/// The pool has no connection for a letter: it is closed, or none could be opened.
#[derive(Debug)]
pub(super) struct NoConnection;

impl ConnectionPool {
    /// Creates a pool without connections; the first is opened for the first letter.
    pub(super) fn new(
        server: Server,
        settings: MailerSettings,
        counters: SmtpCounters,
        on_failure: impl Fn(SmtpError) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            server: Arc::new(server),
            settings,
            counters,
            state: Mutex::new(State::new()),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            on_failure: Box::new(on_failure),
        });
        tokio::spawn(keep_up(Arc::downgrade(&shared), shared.closing.clone()));
        Self(shared)
    }

    pub(super) fn server(&self) -> &Server {
        &self.0.server
    }

    /// Waits for a connection that is ready.
    pub(super) async fn checkout(&self) -> Result<Lent, NoConnection> {
        let waiter = {
            let mut state = self.0.lock();
            if self.0.closing.is_cancelled() {
                return Err(NoConnection);
            }
            if let Some(connection) = state.take_idle() {
                return Ok(self.0.lend(&mut state, connection));
            }
            let (sender, waiter) = oneshot::channel();
            state.waiters.push_back(sender);
            self.0.open_more(&mut state);
            waiter
        };
        waiter.await.map_err(|_| NoConnection)
    }

    /// Returns true once no more connections are lent.
    pub(super) fn is_closed(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    /// Returns true if a connection is open, lent or idle.
    pub(super) fn is_open(&self) -> bool {
        self.0.lock().open() > 0
    }

    /// Opens a connection beside the pool's, for a check.
    pub(super) async fn open(&self) -> Result<Connection, SmtpError> {
        self.0.connect().await
    }

    /// Returns the maximum number of connections.
    pub(super) fn most_connections(&self) -> usize {
        self.0.settings.connections
    }

    /// Records an accepted letter: the pool may have one more connection.
    pub(super) fn succeeded(&self) {
        let mut state = self.0.lock();
        state.grow(Instant::now(), self.0.settings.connections);
        self.0.open_more(&mut state);
    }

    /// Records that no connection became ready in time. Those that are being opened say nothing new if
    /// they fail.
    pub(super) fn was_too_slow(&self) {
        self.0.lock().judged = Some(Instant::now());
    }

    /// Records that the server wants fewer connections than there are.
    pub(super) fn refused_one(&self) {
        let mut state = self.0.lock();
        let fewer = state.standing().saturating_sub(1);
        self.0.shrink(&mut state, fewer, None);
    }

    /// Finishes the letters that have a connection, closes the connections with `QUIT` and lends no
    /// more.
    pub(super) async fn close(&self) {
        {
            let mut state = self.0.lock();
            self.0.closing.cancel();
            state.waiters.clear();
            for idle in std::mem::take(&mut state.idle) {
                self.0.quit(&mut state, idle.connection);
            }
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
        // A lent connection is closed by a task of its own once its letter is done.
        while self.0.lock().lent > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.0.tasks.wait().await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Connection, SmtpError> {
        Connection::open(&self.server, &self.settings.deadlines, &self.counters).await
    }

    /// Gives a ready connection to the first waiting letter, or keeps it. `account` removes it from
    /// where it was counted, in the same step, so that no other is opened in its place.
    fn hand_over(self: &Arc<Self>, connection: Connection, account: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        account(&mut state);
        if self.closing.is_cancelled() {
            self.quit(&mut state, connection);
            return;
        }
        state.waiters.retain(|waiter| !waiter.is_closed());
        let Some(waiter) = state.waiters.pop_front() else {
            state.idle.push(Idle {
                connection,
                since: Instant::now(),
            });
            return;
        };
        let lent = self.lend(&mut state, connection);
        drop(state);
        // A letter that stopped waiting at this moment drops the loan, which comes back here.
        let _ = waiter.send(lent);
    }

    /// Opens connections for the letters that wait, as many as are allowed now.
    fn open_more(self: &Arc<Self>, state: &mut State) {
        let now = Instant::now();
        state.waiters.retain(|waiter| !waiter.is_closed());
        while !self.closing.is_cancelled() && state.wants_connection(now, self.settings.connections)
        {
            let id = state.next_opening;
            state.next_opening += 1;
            let given_up = CancellationToken::new();
            state.openings.push(OpeningConnection {
                id,
                began: now,
                given_up: given_up.clone(),
            });
            self.tasks.spawn(open(Arc::clone(self), id, given_up));
        }
    }

    /// Stops opening connections for a while because one could not be opened beside others.
    fn failed_beside(&self, state: &mut State, error: &SmtpError) {
        if error.reply().is_some() {
            let standing = state.standing();
            self.shrink(state, standing, Some(error));
        } else if let Some(pause) = state.failed_beside(Instant::now()) {
            info!(
                "another connection to the mail server could not be opened; letters are sent on {} now, and \
                 another is tried in {} s: {error}",
                state.allowed,
                pause.as_secs()
            );
        }
    }

    /// Keeps the pool to so many connections for a while. `error` is that of the connection that was refused,
    /// if it was not a letter that was.
    fn shrink(&self, state: &mut State, allowed: usize, error: Option<&SmtpError>) {
        let now = Instant::now();
        state.allowed = allowed.max(1);
        // Several refusals at the same moment are one.
        if state.grow_after.is_some_and(|after| now < after) {
            return;
        }
        state.grow_after = Some(now + state.growth_pause);
        let cause = error.map(|error| format!(": {error}")).unwrap_or_default();
        info!(
            "the mail server refuses another connection; letters are sent on {} now, and another is \
             tried in {} s{cause}",
            state.allowed,
            state.growth_pause.as_secs()
        );
        state.growth_pause = (state.growth_pause * 2).min(GROWTH_PAUSES.1);
    }

    /// Closes a connection with `QUIT`. Until that is answered or its deadline is over, no other is opened
    /// in its place.
    fn quit(self: &Arc<Self>, state: &mut State, connection: Connection) {
        state.quitting += 1;
        let pool = Arc::clone(self);
        self.tasks.spawn(async move {
            connection.quit().await;
            let mut state = pool.lock();
            state.quitting -= 1;
            pool.open_more(&mut state);
        });
    }

    fn lend(self: &Arc<Self>, state: &mut State, connection: Connection) -> Lent {
        state.lent += 1;
        let lender = Arc::clone(self);
        Lent::new(lender, connection, self.settings.letters_per_connection)
    }
}

impl Lender for Shared {
    fn end(self: Arc<Self>, loan: EndedLoan) {
        match loan {
            EndedLoan::Usable(connection) => {
                self.hand_over(connection, |state| state.lent -= 1);
            }
            EndedLoan::UsedUp(connection) => {
                let mut state = self.lock();
                state.lent -= 1;
                self.quit(&mut state, connection);
            }
            EndedLoan::Closed => {
                let mut state = self.lock();
                state.lent -= 1;
                self.open_more(&mut state);
            }
        }
    }
}

/// Opens one connection of the pool.
async fn open(pool: Arc<Shared>, id: u64, given_up: CancellationToken) {
    let closed = async {
        pool.closing.cancelled().await;
        tokio::time::sleep(OPENED_AT_CLOSE).await;
    };
    let opened = tokio::select! {
        opened = pool.connect() => Some(opened),
        () = given_up.cancelled() => None,
        () = closed => None,
    };
    if let Some(Ok(connection)) = opened {
        pool.hand_over(connection, |state| {
            let now = Instant::now();
            let began = state.end_opening(id).unwrap_or(now);
            state.opened(now, now.saturating_duration_since(began));
        });
        return;
    }
    let mut state = pool.lock();
    let began = state.end_opening(id);
    match opened {
        // After a failure the upkeep opens the next one, so that failures follow each other with a pause.
        Some(Err(error)) if state.open() > 0 => pool.failed_beside(&mut state, &error),
        Some(Err(error)) if began < state.judged => {
            debug!(%error, "a connection to the mail server failed after a later one: {error}");
        }
        Some(Err(error)) if !state.is_opening_beside(began) => {
            state.allowed = 1;
            state.judged = Some(Instant::now());
            state.waiters.clear();
            drop(state);
            (pool.on_failure)(error);
        }
        Some(Err(error)) => {
            state.allowed = 1;
            debug!(%error, "a connection to the mail server could not be opened: {error}");
        }
        _ => {
            debug!("a connection that the mail server did not greet in time was given up");
            pool.open_more(&mut state);
        }
    }
}

/// Closes connections that were idle for long, gives up those that take long to open beside others,
/// and opens others in their place.
async fn keep_up(pool: Weak<Shared>, closing: CancellationToken) {
    while closing
        .run_until_cancelled(tokio::time::sleep(UPKEEP))
        .await
        .is_some()
    {
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut state = pool.lock();
        let idle = pool.settings.deadlines.idle;
        let (old, kept): (Vec<Idle>, Vec<Idle>) = std::mem::take(&mut state.idle)
            .into_iter()
            .partition(|kept| now.saturating_duration_since(kept.since) >= idle);
        state.idle = kept;
        state.idle.retain_mut(|kept| !kept.connection.is_broken());
        for Idle { connection, .. } in old {
            pool.quit(&mut state, connection);
        }
        state.give_up_slow_openings(now, pool.settings.deadlines.connect);
        state.grow_if_busy(now, pool.settings.connections);
        pool.open_more(&mut state);
    }
}
