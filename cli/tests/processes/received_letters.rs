//! The letters a mail server got, told apart by whom they are for and which letter they are.

use std::collections::{BTreeMap, BTreeSet};

/// For each recipient, the Message-ID of every letter that came.
#[derive(Debug, Default)]
pub(crate) struct Post(BTreeMap<String, Vec<String>>);

impl Post {
    pub(crate) fn of(letters: &[String]) -> Self {
        let mut post = Self::default();
        for letter in letters {
            let (to, id) = (header(letter, "To"), header(letter, "Message-ID"));
            post.0.entry(to).or_default().push(id);
        }
        post
    }

    pub(crate) fn recipients(&self) -> usize {
        self.0.len()
    }

    /// How many letters came again, byte-identical by their Message-ID.
    pub(crate) fn repeated(&self) -> usize {
        self.0.values().map(|ids| ids.len() - distinct(ids)).sum()
    }

    /// Insists on one letter for each of `p0` to `p{count - 1}`, and nothing else. A crash may
    /// repeat a letter, never write a second one.
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

/// The value of a header that is one line long.
pub(crate) fn header(letter: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let line = letter.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {letter}"))
        .to_owned()
}
