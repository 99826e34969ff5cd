//! Noise of the machine: the same small measurement, repeated between the subjects.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::row::Row;
use super::statistics::{Times, microseconds, milliseconds};

/// Name of its rows in the table.
pub(crate) const SUBJECT: &str = "noise";

/// Number of bytes to hash.
const HASHED: usize = 16 * 1024 * 1024;

/// Number of times to write and sync a page; the median is recorded.
const SYNCS: usize = 50;

/// Size of a page of Postgres in bytes.
const PAGE: usize = 8 * 1024;

pub(crate) struct Noise {
    file: PathBuf,
    hash_milliseconds: Vec<f64>,
    sync_microseconds: Vec<f64>,
}

impl Noise {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            file: folder.join("noise"),
            hash_milliseconds: Vec::new(),
            sync_microseconds: Vec::new(),
        }
    }

    /// Measures once.
    pub(crate) fn measure(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        std::hint::black_box(Sha256::digest(vec![7; HASHED]));
        self.hash_milliseconds.push(milliseconds(began.elapsed()));
        let mut file = File::create(&self.file)
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        let mut times = Times::new();
        for _ in 0..SYNCS {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&[7; PAGE])?;
            let began = Instant::now();
            file.sync_data()?;
            times.record(began.elapsed());
        }
        self.sync_microseconds
            .push(microseconds(times.quantile(0.5)?));
        Ok(())
    }

    pub(crate) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        Ok(vec![
            Row::new(
                SUBJECT,
                "SHA-256 of 16 MiB",
                "ms",
                self.hash_milliseconds.clone(),
            )?,
            Row::new(
                SUBJECT,
                "sync of a page of 8 KiB",
                "µs",
                self.sync_microseconds.clone(),
            )?,
        ])
    }
}
