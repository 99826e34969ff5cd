//! A language: its phrases, its direction and its date format.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;

use super::phrase::{Phrase, PhraseFault};

/// The section whose phrases are available to every letter, because the layout uses them.
pub(crate) const COMMON: &str = "common";

/// The content of a locale file, complete or with only the phrases that a host replaces.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct LocaleSource {
    direction: Option<Direction>,
    date: Option<DateSource>,
    #[serde(flatten)]
    pub(crate) sections: BTreeMap<String, BTreeMap<String, String>>,
}

/// The direction in which the language is read.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Ltr,
    Rtl,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DateSource {
    format: String,
    months: [String; 12],
}

/// A compiled language.
#[derive(Clone)]
pub(crate) struct Locale {
    pub(crate) tag: String,
    pub(crate) direction: Direction,
    date: Phrase,
    months: [String; 12],
    sections: BTreeMap<String, BTreeMap<String, Phrase>>,
}

impl LocaleSource {
    /// Combines these phrases with those of `base`, which fill what is missing here.
    pub(crate) fn over(self, base: &LocaleSource) -> LocaleSource {
        let mut sections = base.sections.clone();
        for (section, phrases) in self.sections {
            sections.entry(section).or_default().extend(phrases);
        }
        LocaleSource {
            direction: self.direction.or(base.direction),
            date: self.date.or_else(|| base.date.clone()),
            sections,
        }
    }

    /// Returns whether the file has a date format and a direction.
    pub(crate) fn stands_alone(&self) -> bool {
        self.direction.is_some() && self.date.is_some()
    }

    /// Compiles the phrases; a fault names the section and key.
    pub(crate) fn compile(&self, tag: &str) -> Result<Locale, PhraseFault> {
        let date = self
            .date
            .as_ref()
            .ok_or_else(|| PhraseFault::missing("date"))?;
        let mut sections = BTreeMap::new();
        for (section, phrases) in &self.sections {
            let mut compiled = BTreeMap::new();
            for (key, text) in phrases {
                let phrase = text.parse::<Phrase>();
                let phrase = phrase.map_err(|fault| fault.at(&format!("{section}.{key}")))?;
                compiled.insert(key.clone(), phrase);
            }
            sections.insert(section.clone(), compiled);
        }
        Ok(Locale {
            tag: tag.to_owned(),
            direction: self.direction.unwrap_or(Direction::Ltr),
            date: date.compile()?,
            months: date.months.clone(),
            sections,
        })
    }
}

impl DateSource {
    fn compile(&self) -> Result<Phrase, PhraseFault> {
        let phrase: Phrase = self
            .format
            .parse()
            .map_err(|f: PhraseFault| f.at("date.format"))?;
        for part in ["day", "month", "year", "time"] {
            if !phrase.placeholders().any(|name| name == part) {
                return Err(PhraseFault::missing(&format!("{{{part}}}")).at("date.format"));
            }
        }
        phrase
            .allow(&["day", "month", "year", "time"])
            .map_err(|f| f.at("date.format"))?;
        Ok(phrase)
    }
}

impl Locale {
    /// Formats a time to the minute, with the month in words and the zone, so that it is not
    /// ambiguous.
    pub(crate) fn date(&self, at: DateTime<Utc>) -> String {
        let month = &self.months[at.month0() as usize % 12];
        let parts = BTreeMap::from([
            ("day".to_owned(), at.day().to_string()),
            ("month".to_owned(), month.clone()),
            ("year".to_owned(), at.year().to_string()),
            ("time".to_owned(), at.format("%H:%M").to_string()),
        ]);
        self.date.fill(&parts)
    }

    /// Returns the phrases of a letter's section and the common ones, by key.
    pub(crate) fn phrases(&self, section: &str) -> impl Iterator<Item = (&str, &Phrase)> {
        [COMMON, section]
            .into_iter()
            .filter_map(|section| self.sections.get(section))
            .flatten()
            .map(|(key, phrase)| (key.as_str(), phrase))
    }

    /// Returns whether the language is read from right to left.
    pub(crate) fn reads_right_to_left(&self) -> bool {
        self.direction == Direction::Rtl
    }
}

/// Finds the best locale for a tag: the tag itself, then ever shorter prefixes (RFC 4647 section
/// 3.4).
///
/// `None` if not even the primary language exists; the caller falls back to English.
pub(crate) fn look_up<'a>(locales: &'a BTreeMap<String, Locale>, tag: &str) -> Option<&'a Locale> {
    let tag = tag.trim().replace('_', "-").to_ascii_lowercase();
    let mut wanted = tag.as_str();
    loop {
        if let Some(locale) = locales.get(wanted) {
            return Some(locale);
        }
        wanted = wanted.rsplit_once('-')?.0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::TimeZone;

    use super::*;

    const SOURCE: &str = r#"
        direction = "ltr"
        [date]
        format = "{day}. {month} {year}, {time} UTC"
        months = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]
    "#;

    fn locale(tag: &str) -> Locale {
        toml::from_str::<LocaleSource>(SOURCE)
            .unwrap()
            .compile(tag)
            .unwrap()
    }

    #[test]
    fn a_tag_is_looked_up_whole_then_ever_shorter() {
        let locales: BTreeMap<_, _> = ["de", "de-at", "en"]
            .map(|t| (t.to_owned(), locale(t)))
            .into();
        for (wanted, found) in [
            ("de-AT", Some("de-at")),
            ("de_CH", Some("de")),
            ("DE-Latn-AT-1996", Some("de")),
            ("fr", None),
            ("", None),
            ("deutsch", None),
        ] {
            assert_eq!(
                look_up(&locales, wanted).map(|l| l.tag.as_str()),
                found,
                "{wanted}"
            );
        }
    }

    #[test]
    fn a_date_has_its_month_in_words_and_its_zone() {
        let at = Utc.with_ymd_and_hms(2028, 2, 29, 4, 6, 59).unwrap();
        assert_eq!(locale("de").date(at), "29. II 2028, 04:06 UTC");
    }

    #[test]
    fn a_date_without_its_year_is_refused() {
        let short = SOURCE.replace(" {year}", "");
        let source: LocaleSource = toml::from_str(&short).unwrap();
        let fault = source.compile("de").err().unwrap();
        assert_eq!(fault.to_string(), "date.format: {year} is missing");
    }
}
