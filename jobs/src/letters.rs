//! The letters people receive, in their language, as text and as HTML.
//!
//! [`Letters`] takes a [`Letter`], which is plain data, and an [`Envelope`], and returns the
//! finished [`Mail`]. The same input gives the same bytes, so an attempt that is repeated after a
//! crash sends what was sent before.
//!
//! Three rules hold for every letter. Text typed by a person is cleaned before it reaches a
//! template, is never parsed as a template, and is escaped in HTML. A template with a variable that
//! no letter sets is an error, never a gap. A host's own template is tried with ordinary and
//! hostile data when it is loaded, so that a mistake costs an alert and not a letter.

mod bounds;
mod extra_headers;
mod fault;
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

pub use extra_headers::{ExtraHeaders, InvalidExtraHeaders};
pub use letter::{Invitation, Letter, Person};
pub use message::Envelope;
pub use overrides::{Alert, FolderError};

use crate::mail::Mail;
use languages::Languages;
use templates::{Part, Templates};
use wording::{Surface, Wording};

/// All letters, compiled once. Clones share them.
#[derive(Clone)]
pub struct Letters {
    templates: Arc<Templates>,
    languages: Arc<Languages>,
}

/// A rendered letter that is not yet a message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendered {
    /// One line, not yet encoded.
    pub subject: String,
    /// The text part, with `\n` line ends; it contains everything the HTML part contains.
    pub text: String,
    /// The HTML part, with `\n` line ends.
    pub html: String,
}

/// The reason why a letter cannot be made into a message. The same input gives the same error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// The id is not of the form `message-uuid@from-domain`.
    #[error("the message id is malformed")]
    MessageId,
    /// RFC 5322 section 3.3 allows only years of four digits from 1900.
    #[error("the date is not valid in a message")]
    Date,
    /// A template failed, which loading it should have detected.
    #[error("a template failed: {0}")]
    Template(Box<RenderError>),
}

impl Letters {
    /// Creates the built-in letters.
    pub fn built_in() -> Self {
        Self::of(Templates::built_in(), Languages::built_in())
    }

    fn of(templates: Templates, languages: Languages) -> Self {
        Self {
            templates: Arc::new(templates),
            languages: Arc::new(languages),
        }
    }

    /// Creates the letters with a host's own files replacing those of the same path.
    ///
    /// The folder mirrors `templates/` and contains only the replaced files. Each file is tried
    /// before it is used: it compiles, uses no unknown variable, leaves nothing a person typed
    /// unescaped, and contains the link. A file that fails, or that no letter would ever read,
    /// becomes an [`Alert`] and the built-in one stays.
    ///
    /// Phrases are replaced one by one in `locales/<tag>.toml`; a new tag adds a language.
    ///
    /// # Errors
    ///
    /// The folder itself is missing or cannot be read.
    pub fn with_overrides(folder: &Path) -> Result<(Self, Vec<Alert>), FolderError> {
        let (mut templates, mut languages) = (Templates::built_in(), Languages::built_in());
        let alerts = overrides::apply(folder, &mut templates, &mut languages)?;
        Ok((Self::of(templates, languages), alerts))
    }

    /// Renders a letter to a recipient's address in the best language for `locale`: the tag itself,
    /// then its primary language, then English.
    ///
    /// # Errors
    ///
    /// [`LetterError::Template`], which a loaded template does not cause.
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
            rendered.map_err(|error| LetterError::Template(Box::new(error)))
        };
        let (subject, body) = (words(Surface::Subject), words(Surface::Body));
        Ok(Rendered {
            subject: typed::one_line(&write(Part::Subject, &subject)?),
            text: write(Part::Text, &body)?,
            html: write(Part::Html, &body)?,
        })
    }

    /// Renders a letter and builds the message: text and HTML alternatives, every header determined
    /// by the envelope, CRLF line ends, no line over 78 bytes except for a long address.
    ///
    /// # Errors
    ///
    /// The id or the date is not valid in a header ([`LetterError::MessageId`],
    /// [`LetterError::Date`]), or a template fails.
    pub fn mail(&self, letter: &Letter, envelope: &Envelope) -> Result<Mail, LetterError> {
        let rendered = self.render(letter, envelope.to.as_str(), &envelope.locale)?;
        message::build(&rendered, envelope)
    }
}
