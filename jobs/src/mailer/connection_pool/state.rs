//! The state of a pool: its connections, the letters that wait, and how many it may have.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::lent::Lent;
use crate::back_off::BackOff;
use crate::smtp::Connection;

/// The time after which a connection that is not yet open no longer keeps another from being opened.
const SLOW: Duration = Duration::from_millis(400);

/// The time that the server has at least to open a connection while others are open: it has twice as
/// long as it took for the last one. The five minutes of RFC 5321 section 4.5.3.2.1 hold for the only
/// one.
const SLOW_BESIDE_OTHERS: Duration = Duration::from_secs(5);

/// The number of connections that are opened at the same time: a burst can overflow the server's
/// listen queue, and some of its connections would never be greeted.
const OPENED_AT_ONCE: usize = 2;

/// The maximum number of connections being opened, slow ones included.
const OPENED_AT_MOST: usize = 8;

/// The time that letters wait for a busy connection before the pool may have one more, although none
/// of them was accepted yet: the server may be slow with some letters only.
const BUSY: Duration = Duration::from_millis(500);

/// The wait before another connection is tried after the server refused one: one minute, doubling to
/// ten.
pub(super) const GROWTH_PAUSES: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(600));

/// The wait before another connection is tried after one failed without a reply while others are open.
const FAILURE_PAUSE: BackOff = BackOff::new(Duration::from_secs(1), Duration::from_secs(600));

/// The connections of a pool, the letters that wait for one, and how many the server allows.
pub(super) struct State {
    pub(super) idle: Vec<Idle>,
    /// Connections that are lent to letters.
    pub(super) lent: usize,
    /// Connections whose `QUIT` is not answered yet; the server counts them.
    pub(super) quitting: usize,
    pub(super) openings: Vec<OpeningConnection>,
    pub(super) next_opening: u64,
    pub(super) waiters: VecDeque<oneshot::Sender<Lent>>,
    /// The number of connections that the pool may have now.
    pub(super) allowed: usize,
    pub(super) grow_after: Option<Instant>,
    pub(super) growth_pause: Duration,
    /// The number of connections that failed without a reply while others were open, since there were more
    /// than [`failed_at`](Self::failed_at).
    failures_beside: u32,
    /// The number of connections at the last of these failures.
    failed_at: usize,
    /// The time since which letters wait, or of the last growth since then.
    pub(super) busy_since: Option<Instant>,
    /// The time that the last connection took to open.
    pub(super) last_opening: Duration,
    /// The time at which a connection last became ready or the server last was at fault. A failure of
    /// a connection that was begun before says nothing new.
    pub(super) judged: Option<Instant>,
}

/// A connection that waits for a letter.
pub(super) struct Idle {
    pub(super) connection: Connection,
    pub(super) since: Instant,
}

/// A connection that is being opened.
pub(super) struct OpeningConnection {
    pub(super) id: u64,
    pub(super) began: Instant,
    pub(super) given_up: CancellationToken,
}

impl State {
    /// Creates the state of a pool without connections.
    pub(super) fn new() -> Self {
        Self {
            idle: Vec::new(),
            lent: 0,
            quitting: 0,
            openings: Vec::new(),
            next_opening: 0,
            waiters: VecDeque::new(),
            allowed: 1,
            grow_after: None,
            growth_pause: GROWTH_PAUSES.0,
            failures_beside: 0,
            failed_at: 0,
            busy_since: None,
            last_opening: Duration::ZERO,
            judged: None,
        }
    }

    /// The number of connections that letters can use, now or later.
    pub(super) fn open(&self) -> usize {
        self.idle.len() + self.lent
    }

    /// The number of connections that the server counts.
    pub(super) fn standing(&self) -> usize {
        self.open() + self.quitting
    }

    /// Keeps the pool to the connections that are open, because another failed without a reply. Returns the
    /// time until one more is tried, unless it is known already: several failures at the same moment are one.
    pub(super) fn failed_beside(&mut self, now: Instant) -> Option<Duration> {
        self.allowed = self.standing().max(1);
        if self.grow_after.is_some_and(|after| now < after) {
            return None;
        }
        self.failures_beside = self.failures_beside.saturating_add(1);
        self.failed_at = self.standing();
        let pause = FAILURE_PAUSE.after(self.failures_beside);
        self.grow_after = Some(now + pause);
        Some(pause)
    }

    /// Records that a connection, which is not counted yet, became ready and `took` so long.
    pub(super) fn opened(&mut self, now: Instant, took: Duration) {
        self.last_opening = took;
        self.judged = Some(now);
        if self.standing() >= self.failed_at {
            self.failures_beside = 0;
        }
    }

    /// Removes a connection that is no longer being opened, and returns when it was begun.
    pub(super) fn end_opening(&mut self, id: u64) -> Option<Instant> {
        let place = self.openings.iter().position(|opening| opening.id == id)?;
        Some(self.openings.remove(place).began)
    }

    /// Takes the connection that was used last and is still open.
    pub(super) fn take_idle(&mut self) -> Option<Connection> {
        while let Some(Idle { mut connection, .. }) = self.idle.pop() {
            if !connection.is_broken() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn grow(&mut self, now: Instant, most: usize) {
        let may_grow = self.grow_after.is_none_or(|after| now >= after);
        if may_grow && self.allowed < most {
            self.allowed += 1;
            self.grow_after = None;
            if self.allowed == most {
                self.growth_pause = GROWTH_PAUSES.0;
            }
        }
    }

    /// Grows if letters have waited for long and every connection is busy.
    pub(super) fn grow_if_busy(&mut self, now: Instant, most: usize) {
        self.waiters.retain(|waiter| !waiter.is_closed());
        if self.waiters.is_empty() || self.standing() < self.allowed {
            self.busy_since = None;
        } else if now.saturating_duration_since(*self.busy_since.get_or_insert(now)) >= BUSY {
            self.grow(now, most);
            self.busy_since = Some(now);
        }
    }

    /// Gives up connections that take long to open. While no other is open, the oldest keeps its
    /// deadlines, and the rest make room for new ones after the time that a connection may take.
    pub(super) fn give_up_slow_openings(&self, now: Instant, connect: Duration) {
        let (kept, longest) = match self.open() {
            0 => (1, connect),
            _ => (0, SLOW_BESIDE_OTHERS.max(2 * self.last_opening)),
        };
        for opening in self.openings.iter().skip(kept) {
            if now.saturating_duration_since(opening.began) >= longest {
                opening.given_up.cancel();
            }
        }
    }

    /// The number of connections that are being opened and not slow.
    pub(super) fn fresh_openings(&self, now: Instant) -> usize {
        let openings = self.openings.iter();
        openings
            .filter(|opening| now.saturating_duration_since(opening.began) < SLOW)
            .count()
    }

    /// Returns whether a connection is being opened that was begun about then. One that was begun long
    /// before and is not greeted says nothing about a failure now.
    pub(super) fn is_opening_beside(&self, began: Option<Instant>) -> bool {
        let mut openings = self.openings.iter().map(|opening| opening.began);
        began
            .is_some_and(|began| openings.any(|other| other < began + SLOW && began < other + SLOW))
    }

    pub(super) fn wants_connection(&self, now: Instant, most: usize) -> bool {
        let opening = self.fresh_openings(now);
        self.waiters.len() > opening
            && opening < OPENED_AT_ONCE
            && self.openings.len() < OPENED_AT_MOST
            && self.standing() + opening < self.allowed
            && self.standing() + self.openings.len() < most
    }
}
