//! Checks of a template before any letter uses it.

use handlebars::{Context, html_escape};

use super::{
    fault::Fault,
    letter::Letter,
    locale::Locale,
    sample::{BARE, HOSTILE, HOSTILE_TAG, ORDINARY, Sample},
    templates::{Part, Templates, part},
    wording::{Surface, Wording},
};

/// Renders every letter that uses the file, in every language, with ordinary, sparse and hostile
/// data.
pub(crate) fn check<'a>(
    path: &str,
    templates: &Templates,
    locales: impl Iterator<Item = &'a Locale>,
) -> Result<(), Fault> {
    let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
    for locale in locales {
        for sample in [&ORDINARY, &BARE, &HOSTILE] {
            let shows = |letter: &Letter| folder == "layout" || folder == letter.folder();
            for letter in sample.letters().iter().filter(|letter| shows(letter)) {
                check_letter(letter, sample, part(path), templates, locale)?;
            }
        }
    }
    Ok(())
}

fn check_letter(
    letter: &Letter,
    sample: &Sample,
    part: Part,
    templates: &Templates,
    locale: &Locale,
) -> Result<(), Fault> {
    let surface = if part == Part::Subject {
        Surface::Subject
    } else {
        Surface::Body
    };
    let wording = Wording::new(letter, &sample.recipient(), locale, surface);
    let words = Context::from(wording.into_json(letter.section()));
    let rendered = templates.render(letter.folder(), part, &words)?;
    if rendered.trim().is_empty() {
        return Err(Fault::new("the output is empty"));
    }
    match part {
        Part::Subject => Ok(()),
        Part::Text => check_text(letter, &rendered),
        Part::Html => check_html(letter, &rendered),
    }
}

fn check_text(letter: &Letter, text: &str) -> Result<(), Fault> {
    match letter.link() {
        Some(link) if !text.contains(link) => Err(Fault::new("the link is missing")),
        _ => Ok(()),
    }
}

fn check_html(letter: &Letter, html: &str) -> Result<(), Fault> {
    if let Some((_, after)) = html.split_once(HOSTILE_TAG) {
        let name: String = after
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect();
        return Err(Fault::new(&format!("{name} is not escaped")));
    }
    let Some(link) = letter.link().map(html_escape) else {
        return Ok(());
    };
    if ['"', '\'']
        .iter()
        .any(|quote| html.contains(&format!("href={quote}{link}{quote}")))
    {
        Ok(())
    } else {
        Err(Fault::new("no href contains the link"))
    }
}
