//! What people read: letters in their language, as text and as HTML.
//!
//! [`Letters`] takes a [`Letter`], which is plain facts, and an [`Envelope`], and gives the
//! finished [`Mail`]. The same input gives the same bytes, so an attempt that is repeated after
//! a crash sends what was sent before.
//!
//! Three rules hold for every letter. What a person typed is cleaned before it meets a
//! template, is never read as a template, and is escaped in HTML. A template that asks for
//! what no letter says is an error, never a gap. And a host's own template is tried on
//! ordinary and hostile facts when it is loaded, so that a mistake costs an alert and not a
//! letter.

mod header;
mod languages;
mod letter;
mod lint;
mod locale;
mod message;
mod overrides;
mod phrase;
mod sample;
mod templates;
mod typed;
mod wording;

use std::path::Path;
use std::sync::Arc;

use handlebars::{Context, RenderError};

pub use letter::{Invitation, Letter, Person};
pub use message::{Envelope, Mailbox};
pub use overrides::{Alert, FolderError};

use crate::mail::Mail;
use languages::Languages;
use templates::{Part, Templates};
use wording::{Surface, Wording};

/// All letters, compiled once; clones share them.
#[derive(Clone)]
pub struct Letters {
    templates: Arc<Templates>,
    languages: Arc<Languages>,
}

/// A letter that is written but not yet a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line, not yet encoded.
    pub subject: String,
    /// The text part, with `\n` line ends; it says everything the HTML part says.
    pub text: String,
    /// The HTML part, with `\n` line ends.
    pub html: String,
}

/// A letter cannot be made into a message; trying again with the same input gives the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// An address would break the header or the SMTP dialogue; it is not repeated here.
    #[error("the {whose}'s address cannot be written in a message")]
    Address {
        /// `sender` or `recipient`.
        whose: &'static str,
    },
    /// The id is not of the form `message-uuid@from-domain`.
    #[error("the message id is malformed")]
    MessageId,
    /// RFC 5322 section 3.3 knows only years of four digits from 1900.
    #[error("the date cannot be written in a message")]
    Date,
    /// A template failed, which loading it should have shown.
    #[error("the letter cannot be rendered")]
    Template(#[from] Box<RenderError>),
}

impl Letters {
    /// The letters as they ship.
    pub fn built_in() -> Self {
        Self::of(Templates::built_in(), Languages::built_in())
    }

    fn of(templates: Templates, languages: Languages) -> Self {
        Self {
            templates: Arc::new(templates),
            languages: Arc::new(languages),
        }
    }

    /// The letters with a host's own files in place of those of the same path.
    ///
    /// The folder mirrors `templates/` and holds only what differs. Each file is tried before
    /// it is used: it compiles, asks for nothing unknown, leaves nothing a person typed
    /// unescaped, and keeps the link. A file that fails, or that no letter would ever read,
    /// is an [`Alert`] and the built-in one stays.
    ///
    /// Phrases are overridden one by one in `locales/<tag>.toml`; a new tag adds a language.
    ///
    /// # Errors
    ///
    /// The folder itself is missing or cannot be read.
    pub fn with_overrides(folder: &Path) -> Result<(Self, Vec<Alert>), FolderError> {
        let (mut templates, mut languages) = (Templates::built_in(), Languages::built_in());
        let alerts = overrides::apply(folder, &mut templates, &mut languages)?;
        Ok((Self::of(templates, languages), alerts))
    }

    /// Writes a letter to a recipient's address, in the best language for `locale`: the tag
    /// itself, then its primary language, then English.
    ///
    /// # Errors
    ///
    /// [`LetterError::Template`], which a loaded template does not give.
    pub fn render(
        &self,
        letter: &Letter,
        recipient: &str,
        locale: &str,
    ) -> Result<Rendered, LetterError> {
        let locale = self.languages.best(locale);
        let words = |surface| {
            let wording = Wording::new(letter, recipient, locale, surface);
            Context::from(wording.into_json(letter.section()))
        };
        let write = |part, words: &Context| {
            let rendered = self.templates.render(letter.folder(), part, words);
            rendered.map_err(Box::new)
        };
        let (subject, body) = (words(Surface::Subject), words(Surface::Body));
        Ok(Rendered {
            subject: typed::one_line(&write(Part::Subject, &subject)?),
            text: write(Part::Text, &body)?,
            html: write(Part::Html, &body)?,
        })
    }

    /// Writes a letter and makes a message of it: text and HTML alternatives, every header
    /// fixed by the envelope, CRLF line ends, no line over 78 bytes but for a long address.
    ///
    /// # Errors
    ///
    /// The envelope cannot be written as a header ([`LetterError::Address`],
    /// [`LetterError::MessageId`], [`LetterError::Date`]), or a template fails.
    pub fn mail(&self, letter: &Letter, envelope: &Envelope) -> Result<Mail, LetterError> {
        let rendered = self.render(letter, &envelope.to, &envelope.locale)?;
        message::build(&rendered, envelope)
    }
}
