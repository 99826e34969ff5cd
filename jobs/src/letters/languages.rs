//! The available languages, with a host's own phrases replacing built-in ones.

use std::collections::BTreeMap;

use super::{
    fault::Fault,
    letter::Letter,
    locale::{COMMON, Locale, LocaleSource, look_up},
    phrase::Phrase,
    sample::ORDINARY,
    templates::built_in_locales,
    wording::{Surface, Wording},
};

/// The language that has every phrase, used if no other matches.
const LAST_RESORT: &str = "en";

/// All locales, built in or from the host, by their tag in lower case.
#[derive(Clone)]
pub(crate) struct Languages {
    sources: BTreeMap<String, LocaleSource>,
    locales: BTreeMap<String, Locale>,
}

impl Languages {
    pub(crate) fn built_in() -> Self {
        let mut languages = Self {
            sources: BTreeMap::new(),
            locales: BTreeMap::new(),
        };
        for (tag, source) in built_in_locales() {
            let source: LocaleSource =
                toml::from_str(source).expect("a test reads every built-in locale");
            let locale = source
                .compile(tag)
                .expect("a test compiles every built-in locale");
            languages.sources.insert(tag.to_owned(), source);
            languages.locales.insert(tag.to_owned(), locale);
        }
        languages
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Locale> {
        self.locales.values()
    }

    /// Returns the best language for a tag: exact match, then its primary language, then English.
    pub(crate) fn best(&self, tag: &str) -> &Locale {
        look_up(&self.locales, tag)
            .or_else(|| self.locales.get(LAST_RESORT))
            .expect("English is built in and cannot be removed")
    }

    /// Takes over a host's phrases for one tag. Returns a fault for each phrase that is not valid;
    /// that phrase is left out.
    ///
    /// A built-in language keeps its own phrases if the host has none. A new language falls back to
    /// English and reports this, because its letters would mix two languages.
    pub(crate) fn take_over(&mut self, tag: &str, text: &str) -> Vec<Fault> {
        if !is_tag(tag) {
            return vec![fault(format!("{tag:?} is not a language tag"))];
        }
        let mut source: LocaleSource = match toml::from_str(text) {
            Ok(source) => source,
            Err(error) => return vec![unreadable(&error, text)],
        };
        let mut faults = self.drop_faulty(&mut source);
        let tag = tag.to_ascii_lowercase();
        let base = self.sources.get(&tag);
        if base.is_none() && !source.stands_alone() {
            faults.push(fault(
                "a new language needs `direction` and `[date]`".to_owned(),
            ));
            return faults;
        }
        if base.is_none() {
            faults.extend(self.untranslated(&source));
        }
        let source = source.over(base.unwrap_or(self.english()));
        match source.compile(&tag) {
            Ok(locale) => {
                self.locales.insert(tag.clone(), locale);
                self.sources.insert(tag, source);
            }
            Err(problem) => faults.push(fault(problem.to_string())),
        }
        faults
    }

    fn english(&self) -> &LocaleSource {
        self.sources
            .get(LAST_RESORT)
            .expect("English is built in and cannot be removed")
    }

    /// Removes phrases that no letter has, and phrases with placeholders that the letter does not
    /// set.
    fn drop_faulty(&self, source: &mut LocaleSource) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (section, phrases) in &mut source.sections {
            phrases.retain(|key, text| match self.check(section, key, text) {
                Ok(()) => true,
                Err(problem) => {
                    faults.push(problem);
                    false
                }
            });
        }
        source
            .sections
            .retain(|section, _| self.english().sections.contains_key(section));
        faults
    }

    fn check(&self, section: &str, key: &str, text: &str) -> Result<(), Fault> {
        let place = format!("{section}.{key}");
        let known = self.english().sections.get(section);
        if !known.is_some_and(|phrases| phrases.contains_key(key)) {
            return Err(fault(format!(
                "{place}: no letter has a phrase of this name"
            )));
        }
        let phrase = text.parse::<Phrase>();
        let english = self.best(LAST_RESORT);
        let allowed = |phrase: Phrase| {
            let letters = ORDINARY.letters();
            let shows = |letter: &&Letter| section == COMMON || letter.section() == section;
            letters.iter().filter(shows).try_for_each(|letter| {
                let wording = Wording::new(letter, "", english, Surface::Body);
                phrase.allow(&wording.names())
            })
        };
        phrase
            .and_then(allowed)
            .map_err(|problem| fault(problem.at(&place).to_string()))
    }

    fn untranslated(&self, source: &LocaleSource) -> Option<Fault> {
        let missing: Vec<String> = self
            .english()
            .sections
            .iter()
            .flat_map(|(section, phrases)| phrases.keys().map(move |key| (section, key)))
            .filter(|(section, key)| {
                !source
                    .sections
                    .get(*section)
                    .is_some_and(|phrases| phrases.contains_key(*key))
            })
            .map(|(section, key)| format!("{section}.{key}"))
            .collect();
        (!missing.is_empty()).then(|| {
            fault(format!(
                "shown in English because the file lacks {}",
                missing.join(", ")
            ))
        })
    }
}

/// Returns whether a file name can be a language tag (RFC 5646): letters, digits and hyphens.
fn is_tag(tag: &str) -> bool {
    let well_formed = |part: &str| {
        (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let mut parts = tag.split('-');
    parts.next().is_some_and(|language| {
        (2..=3).contains(&language.len()) && language.chars().all(|c| c.is_ascii_alphabetic())
    }) && parts.all(well_formed)
}

fn fault(problem: String) -> Fault {
    Fault {
        line: None,
        problem,
    }
}

fn unreadable(error: &toml::de::Error, text: &str) -> Fault {
    let line = |at: usize| {
        text.as_bytes()
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    };
    Fault {
        line: error.span().map(|span| line(span.start)),
        problem: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_language_has_every_phrase_and_no_other() {
        let languages = Languages::built_in();
        let keys = |source: &LocaleSource| -> Vec<String> {
            let sections = source.sections.iter();
            sections
                .flat_map(|(section, phrases)| {
                    phrases.keys().map(move |key| format!("{section}.{key}"))
                })
                .collect()
        };
        for (tag, source) in &languages.sources {
            assert_eq!(keys(source), keys(languages.english()), "{tag}");
        }
    }

    #[test]
    fn every_built_in_phrase_asks_only_for_what_its_letter_says() {
        let languages = Languages::built_in();
        for source in languages.sources.values() {
            assert_eq!(languages.drop_faulty(&mut source.clone()), []);
        }
    }

    #[test]
    fn a_language_says_the_same_facts_as_english() {
        let languages = Languages::built_in();
        let gaps = |text: &str| {
            let phrase: Phrase = text.parse().expect("built-in phrases are well formed");
            let mut names: Vec<String> = phrase.placeholders().map(str::to_owned).collect();
            names.sort();
            names
        };
        for (tag, source) in &languages.sources {
            for (section, phrases) in &source.sections {
                for (key, text) in phrases {
                    let english = &languages.english().sections[section][key];
                    assert_eq!(gaps(text), gaps(english), "{tag}: {section}.{key}");
                }
            }
        }
    }

    #[test]
    fn a_file_name_that_is_no_language_is_refused() {
        for tag in ["", "e", "english", "de_AT", "de--AT", "../de", "de-", "12"] {
            assert!(!is_tag(tag), "{tag}");
        }
        assert!(["de", "de-AT", "zh-Hant-TW", "ast"].into_iter().all(is_tag));
    }
}
