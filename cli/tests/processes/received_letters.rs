//! The letters that a mail server received, by recipient and Message-ID.

use std::collections::{BTreeMap, BTreeSet};

/// The Message-ID of every letter received, by recipient.
#[derive(Debug, Default)]
pub(crate) struct ReceivedLetters(BTreeMap<String, Vec<String>>);

impl ReceivedLetters {
    pub(crate) fn of(letters: &[String]) -> Self {
        let mut received = Self::default();
        for letter in letters {
            let (to, id) = (header(letter, "To"), header(letter, "Message-ID"));
            received.0.entry(to).or_default().push(id);
        }
        received
    }

    pub(crate) fn recipients(&self) -> usize {
        self.0.len()
    }

    /// The number of letters received again, with the same Message-ID.
    pub(crate) fn repeated(&self) -> usize {
        self.0.values().map(|ids| ids.len() - distinct(ids)).sum()
    }

    /// Asserts that `p0` to `p{count - 1}` each got one letter, and nobody else. A crash may repeat
    /// a letter, but never causes a second one.
    pub(crate) fn assert_one_letter_each(&self, count: usize) {
        let expected: BTreeSet<_> = (0..count).map(|n| format!("p{n}@acme.example")).collect();
        let got: BTreeSet<_> = self.0.keys().cloned().collect();
        assert_eq!(got, expected);
        let twice: Vec<_> = self.0.iter().filter(|(_, ids)| distinct(ids) > 1).collect();
        assert!(
            twice.is_empty(),
            "two letters where one was promised: {twice:?}"
        );
    }
}

fn distinct(ids: &[String]) -> usize {
    ids.iter().collect::<BTreeSet<_>>().len()
}

/// The value of a header that fits one line.
pub(crate) fn header(letter: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let line = letter.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {letter}"))
        .to_owned()
}
