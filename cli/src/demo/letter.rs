//! The letters that the demonstration wrote as files.

use std::path::{Path, PathBuf};

use guestlist::Invitation;
use mail_parser::MessageParser;

use super::super::failure::{Failure, Reason};
use super::fixture::Fixture;

impl Fixture {
    pub(super) fn letter_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let folder = self.folder.join("letters");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let files: Result<Vec<_>, _> = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect();
        let files = files.map_err(|problem: std::io::Error| Failure::from(problem))?;
        Ok(files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|end| end == "eml"))
            .collect())
    }

    /// Reads the newest letter to an invitee, and its text.
    pub(super) fn letter(&self, invitation: &Invitation) -> Result<(PathBuf, String), Failure> {
        let mut files = self.letter_files()?;
        files.sort_by(|one, other| other.file_name().cmp(&one.file_name()));
        for file in files {
            if let Some(text) = text_to(&file, invitation.email.as_str())? {
                return Ok((file, text));
            }
        }
        Err(Reason::fault(
            "demo",
            format!("there is no letter to {}", invitation.email),
        )
        .into())
    }
}

fn text_to(file: &Path, email: &str) -> Result<Option<String>, Failure> {
    let bytes = std::fs::read(file)?;
    let Some(letter) = MessageParser::default().parse(&bytes) else {
        return Ok(None);
    };
    let is_theirs = letter
        .to()
        .and_then(|to| to.first())
        .and_then(|to| to.address())
        == Some(email);
    Ok(letter.body_text(0).filter(|_| is_theirs).map(Into::into))
}

/// Finds the token in a letter's link.
pub(super) fn token_in(text: &str) -> Result<String, Failure> {
    let link = text
        .split_whitespace()
        .find_map(|word| word.split_once("/join/"));
    link.map(|(_, token)| token.to_owned())
        .ok_or_else(|| Reason::fault("demo", "the letter has no link").into())
}
