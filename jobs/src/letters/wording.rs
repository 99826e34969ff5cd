//! The data for the templates: a letter's values, cleaned, and its phrases with the placeholders
//! filled.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    letter::{self, Letter, Person},
    locale::Locale,
    typed::{isolate, lines, one_line, unlink},
};

/// The place where the words are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// The subject, in which nothing becomes a link and names are shown without any addition.
    Subject,
    /// The text or HTML part, in which mail clients look for links.
    Body,
}

/// A letter in one language, ready for the templates of one surface.
pub(crate) struct Wording<'a> {
    locale: &'a Locale,
    surface: Surface,
    values: BTreeMap<String, String>,
    message: Vec<String>,
    absent: Vec<&'static str>,
}

impl<'a> Wording<'a> {
    pub(crate) fn new(
        letter: &Letter,
        recipient: &str,
        locale: &'a Locale,
        surface: Surface,
    ) -> Self {
        let mut wording = Self {
            locale,
            surface,
            values: BTreeMap::new(),
            message: Vec::new(),
            absent: Vec::new(),
        };
        wording.say("recipient", letter::Value::Address(recipient));
        for (name, value) in letter.values() {
            wording.say(name, value);
        }
        wording
    }

    /// Returns the names that phrases may use.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.values.keys().map(String::as_str).collect()
    }

    /// Returns everything as one JSON object, the phrases under `phrase`. A subject gets only its
    /// own phrase, because filling the others would waste time for every letter.
    ///
    /// `message` is a list of lines, empty if there is none, and an absent person is null, so that
    /// a template can test both with `#if`.
    pub(crate) fn into_json(self, section: &str) -> Value {
        let phrases: Map<String, Value> = self
            .locale
            .phrases(section)
            .filter(|(key, _)| self.surface == Surface::Body || key.starts_with("subject"))
            .map(|(key, phrase)| (key.to_owned(), phrase.fill(&self.values).into()))
            .collect();
        let rtl = self.locale.reads_right_to_left();
        let mut json: Map<String, Value> = [
            ("lang", self.locale.tag.as_str()),
            ("dir", if rtl { "rtl" } else { "ltr" }),
            ("start", if rtl { "right" } else { "left" }),
        ]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into_iter()
        .collect();
        json.extend(
            self.values
                .into_iter()
                .map(|(name, value)| (name, value.into())),
        );
        json.extend(
            self.absent
                .into_iter()
                .map(|name| (name.to_owned(), Value::Null)),
        );
        json.insert("message".to_owned(), self.message.into());
        json.insert("phrase".to_owned(), phrases.into());
        Value::Object(json)
    }

    fn say(&mut self, name: &'static str, value: letter::Value<'_>) {
        match value {
            letter::Value::Name(text) => self.put(name, self.foreign(text)),
            letter::Value::Title(text) | letter::Value::Address(text) => {
                self.put(name, self.isolated(text))
            }
            letter::Value::Link(link) => self.put(name, one_line(link)),
            letter::Value::Time(at) => self.put(name, self.locale.date(at)),
            letter::Value::Person(Some(person)) => self.introduce(name, person),
            letter::Value::Person(None) => self.leave_out(name),
            letter::Value::Message(text) => {
                let shown = |line: String| unlink(&line);
                let lines = lines(text.unwrap_or_default());
                self.message = lines.into_iter().map(shown).collect();
            }
        }
    }

    fn introduce(&mut self, name: &str, person: &Person) {
        let email = self.isolated(&person.email);
        let known_as = person.name.as_deref().map(|name| self.foreign(name));
        let (short, full) = match known_as.filter(|known_as| !known_as.is_empty()) {
            Some(known_as) => {
                let full = format!("{known_as} ({email})");
                (known_as, full)
            }
            None => (email.clone(), email.clone()),
        };
        self.put(name, short);
        self.put(&format!("{name}_full"), full);
        self.put(&format!("{name}_email"), email);
    }

    fn leave_out(&mut self, name: &'static str) {
        for part in [name, &format!("{name}_full"), &format!("{name}_email")] {
            self.put(part, String::new());
        }
        self.absent.push(name);
    }

    fn put(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value);
    }

    fn foreign(&self, text: &str) -> String {
        match self.surface {
            Surface::Subject => one_line(text),
            Surface::Body => self.isolated(&unlink(&one_line(text))),
        }
    }

    fn isolated(&self, text: &str) -> String {
        match self.surface {
            Surface::Subject => one_line(text),
            Surface::Body => isolate(&one_line(text), self.locale.reads_right_to_left()),
        }
    }
}
