//! The messages waiting in the outbox.

use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use guestlist::outbox::{self, Count, Priority};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Instruments;
use crate::metrics;
use crate::queue::Lane;

/// The maximum number of rows a count reads, for live and dead messages each.
const MOST: u32 = 100_000;

/// The state of the outbox a few seconds ago.
#[derive(Debug, Clone)]
pub(super) struct Backlog {
    counts: Vec<Count>,
    /// The time since which the message of each lane that has waited longest is due.
    due_since: [(Lane, Option<DateTime<Utc>>); 2],
}

impl Backlog {
    /// Counts the outbox; `None` if the database does not answer, which readiness reports.
    pub(super) async fn look(instruments: &Instruments) -> Option<Self> {
        match Self::read(instruments).await {
            Ok(backlog) => Some(backlog),
            Err(error) => {
                tracing::debug!(%error, "the outbox was not counted: {error}");
                None
            }
        }
    }

    async fn read(instruments: &Instruments) -> Result<Self, guestlist::Error> {
        let now = instruments.guestlist.now();
        let mut connection = instruments.database.acquire().await?;
        let urgent = outbox::oldest_due(&mut connection, now, Priority::URGENT).await?;
        let letters = outbox::oldest_due(&mut connection, now, Priority::LETTER).await?;
        Ok(Self {
            counts: outbox::counts_within(&mut connection, now, MOST).await?,
            due_since: [(Lane::Urgent, urgent), (Lane::Letters, letters)],
        })
    }

    pub(super) fn show(
        &self,
        now: DateTime<Utc>,
        messages: &Family<[(&'static str, &'static str); 2], Gauge>,
        oldest: &Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    ) {
        for kind in metrics::KINDS {
            for state in outbox::State::ALL {
                drop(messages.get_or_create(&[("kind", kind), ("state", state.as_str())]));
            }
        }
        for count in &self.counts {
            let labels = [
                ("kind", metrics::kind(&count.kind)),
                ("state", count.state.as_str()),
            ];
            messages.get_or_create(&labels).inc_by(count.count);
        }
        for (lane, since) in self.due_since {
            let age = since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0));
            oldest.get_or_create(&[("lane", lane.name())]).set(age);
        }
    }
}
