//! The folder of letters that a test reads.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mail_parser::MessageParser;

use crate::site::TIMEOUT;

pub(crate) struct Letters {
    folder: PathBuf,
}

impl Letters {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Waits for a letter to an address whose subject contains these words, and returns its link.
    pub(crate) async fn link_to(&self, email: &str, subject: &str) -> String {
        link_in(&self.arrive(email, subject, 1).await[0])
    }

    /// Waits for `count` such letters and returns their texts.
    pub(crate) async fn arrive(&self, email: &str, subject: &str, count: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let texts = self.texts(email, subject);
            if texts.len() >= count {
                return texts;
            }
            assert!(
                began.elapsed() < TIMEOUT,
                "no letter {subject:?} arrived for {email}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn texts(&self, email: &str, subject: &str) -> Vec<String> {
        let files = fs::read_dir(&self.folder).into_iter().flatten();
        // A letter that is still being written is read in the next round.
        let letters = files.filter_map(|file| fs::read(file.ok()?.path()).ok());
        let text = |bytes: Vec<u8>| {
            let letter = MessageParser::default().parse(&bytes)?;
            let is_to = letter.to()?.first()?.address() == Some(email);
            let is_it = is_to && letter.subject()?.contains(subject);
            is_it.then(|| letter.body_text(0).map(|text| text.into_owned()))?
        };
        letters.filter_map(text).collect()
    }
}

/// Returns the first link in the text of a letter.
fn link_in(letter: &str) -> String {
    let line = letter.lines().find(|line| line.starts_with("http"));
    line.unwrap_or_else(|| panic!("no link in {letter}"))
        .trim()
        .to_owned()
}
