//! A file beside the database and the logs, with which a trial can be judged again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::fault::Incident;
use crate::oracle::Tolerance;

const FILE: &str = "trial.json";

/// The seed, the tolerances and the faults of a trial.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TrialRecord {
    pub(super) seed: u64,
    grace_ms: u64,
    skew_ms: u64,
    pub(super) incidents: Vec<Incident>,
}

impl TrialRecord {
    pub(super) fn new(seed: u64, tolerance: Tolerance, incidents: &[Incident]) -> Self {
        let millis = |delta: TimeDelta| delta.num_milliseconds().unsigned_abs();
        Self {
            seed,
            grace_ms: millis(tolerance.grace),
            skew_ms: millis(tolerance.skew),
            incidents: incidents.to_vec(),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::write(folder.join(FILE), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }

    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(FILE);
        let text = fs::read(&file).with_context(|| {
            let folder = folder.display();
            format!("{folder} was not made by `trials chaos --folder`: it has no {FILE}")
        })?;
        serde_json::from_slice(&text).with_context(|| format!("{}", file.display()))
    }

    pub(super) fn tolerance(&self) -> anyhow::Result<Tolerance> {
        Tolerance::new(
            Duration::from_millis(self.grace_ms),
            Duration::from_millis(self.skew_ms),
        )
    }
}
