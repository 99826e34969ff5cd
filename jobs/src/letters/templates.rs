//! The built-in template files and the engine that renders them.

use std::collections::BTreeMap;

use handlebars::{Context, Handlebars, RenderError, TemplateError, html_escape, no_escape};

use super::bounds;
use super::fault::Fault;

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("../../templates/", $path)))),+]
    };
}

/// All built-in templates, by their path below `templates/`.
const BUILT_IN: [(&str, &str); 35] = files![
    "layout/text.hbs",
    "layout/html.hbs",
    "invitation/subject.hbs",
    "invitation/text.hbs",
    "invitation/html.hbs",
    "reminder/subject.hbs",
    "reminder/text.hbs",
    "reminder/html.hbs",
    "notices/accepted/subject.hbs",
    "notices/accepted/text.hbs",
    "notices/accepted/html.hbs",
    "notices/declined/subject.hbs",
    "notices/declined/text.hbs",
    "notices/declined/html.hbs",
    "notices/expired/subject.hbs",
    "notices/expired/text.hbs",
    "notices/expired/html.hbs",
    "notices/undeliverable/subject.hbs",
    "notices/undeliverable/text.hbs",
    "notices/undeliverable/html.hbs",
    "notices/unreachable/subject.hbs",
    "notices/unreachable/text.hbs",
    "notices/unreachable/html.hbs",
    "notices/role-changed/subject.hbs",
    "notices/role-changed/text.hbs",
    "notices/role-changed/html.hbs",
    "notices/suspended/subject.hbs",
    "notices/suspended/text.hbs",
    "notices/suspended/html.hbs",
    "notices/reinstated/subject.hbs",
    "notices/reinstated/text.hbs",
    "notices/reinstated/html.hbs",
    "notices/removed/subject.hbs",
    "notices/removed/text.hbs",
    "notices/removed/html.hbs",
];

/// All built-in locales, by their path below `templates/`.
pub(crate) const BUILT_IN_LOCALES: [(&str, &str); 3] =
    files!["locales/ar.toml", "locales/de.toml", "locales/en.toml"];

/// One of the three files of a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Subject,
    Text,
    Html,
}

/// The compiled templates. HTML has an engine of its own because only HTML is escaped.
///
/// Both engines are strict: a variable that is not set is an error, never an empty string.
#[derive(Clone)]
pub(crate) struct Templates {
    plain: Handlebars<'static>,
    html: Handlebars<'static>,
}

impl Templates {
    pub(crate) fn built_in() -> Self {
        let mut templates = Self {
            plain: engine(no_escape),
            html: engine(html_escape),
        };
        for (path, source) in BUILT_IN {
            let set = templates.set(path, source);
            set.expect("a test compiles and renders every built-in template");
        }
        templates
    }

    /// Compiles one file in place of the one with the same path. A faulty file changes nothing.
    pub(crate) fn set(&mut self, path: &str, source: &str) -> Result<(), TemplateError> {
        let engine = match part(path) {
            Part::Html => &mut self.html,
            Part::Text | Part::Subject => &mut self.plain,
        };
        engine.register_template_string(name(path), source)
    }

    /// Checks that the template of a path, and those that include it, render a bounded number of
    /// elements.
    pub(crate) fn check_expansion(&self, path: &str) -> Result<(), Fault> {
        let engine = match part(path) {
            Part::Html => &self.html,
            Part::Text | Part::Subject => &self.plain,
        };
        bounds::check_expansion(name(path), engine)
    }

    pub(crate) fn render(
        &self,
        folder: &str,
        part: Part,
        words: &Context,
    ) -> Result<String, RenderError> {
        let (engine, file) = match part {
            Part::Subject => (&self.plain, "subject"),
            Part::Text => (&self.plain, "text"),
            Part::Html => (&self.html, "html"),
        };
        engine.render_with_context(&format!("{folder}/{file}.hbs"), words)
    }
}

/// Returns the source of a built-in template.
pub(crate) fn built_in_source(path: &str) -> Option<&'static str> {
    BUILT_IN
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, source)| *source)
}

/// Returns the name by which templates include the one of a path.
fn name(path: &str) -> &str {
    match path {
        "layout/text.hbs" | "layout/html.hbs" => "layout",
        letter => letter,
    }
}

/// Returns the part that a path belongs to.
pub(crate) fn part(path: &str) -> Part {
    match path.rsplit('/').next() {
        Some("html.hbs") => Part::Html,
        Some("subject.hbs") => Part::Subject,
        _ => Part::Text,
    }
}

/// Returns the built-in locale files by tag.
pub(crate) fn built_in_locales() -> BTreeMap<&'static str, &'static str> {
    let tag = |path: &'static str| {
        path.trim_start_matches("locales/")
            .trim_end_matches(".toml")
    };
    BUILT_IN_LOCALES
        .iter()
        .map(|(path, source)| (tag(path), *source))
        .collect()
}

fn engine(escape: fn(&str) -> String) -> Handlebars<'static> {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(escape);
    engine
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_templates_folder_ships() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut folders = vec![root.clone()];
        let mut found = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(
                        path.strip_prefix(&root)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned(),
                    );
                }
            }
        }
        let ships = BUILT_IN.iter().chain(&BUILT_IN_LOCALES);
        assert_eq!(found, ships.map(|(path, _)| (*path).to_owned()).collect());
    }
}
