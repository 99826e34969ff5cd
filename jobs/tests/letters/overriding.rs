//! A host's own templates: used if they are valid, and replaced by the built-in ones if not.

use std::{fs, path::Path};

use guestlist_jobs::letters::{Alert, Letters, Rendered};
use tempfile::TempDir;

use crate::samples::{BUILT_IN, ordinary};

const GOOD: &str =
    "{{#> layout}}<p>Welcome to {{organization}}</p><a href=\"{{link}}\">go</a>{{/layout}}";

/// Loads one file over the built-in letters.
fn load(files: &[(&str, &str)]) -> (Letters, Vec<Alert>) {
    let folder = TempDir::new().unwrap();
    for (file, source) in files {
        write(folder.path(), file, source);
    }
    Letters::with_overrides(folder.path()).unwrap()
}

fn write(folder: &Path, file: &str, source: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, source).unwrap();
}

fn invitation(letters: &Letters, locale: &str) -> Rendered {
    letters
        .render(&ordinary()[0], "bo@example.net", locale)
        .unwrap()
}

/// Asserts one alert about this file and line, and that the built-in letter is used.
fn falls_back(file: &str, source: &str, line: Option<usize>, problem: &str) {
    let (letters, alerts) = load(&[(file, source)]);
    assert_eq!(alerts.len(), 1, "{file}: {alerts:?}");
    assert_eq!(
        (alerts[0].file.as_str(), alerts[0].line),
        (file, line),
        "{alerts:?}"
    );
    assert!(alerts[0].problem.contains(problem), "{alerts:?}");
    let built_in = &BUILT_IN;
    for letter in ordinary() {
        for locale in ["en", "de", "fr"] {
            let render =
                |letters: &Letters| letters.render(&letter, "bo@example.net", locale).unwrap();
            assert!(render(&letters) == render(built_in), "{file}");
        }
    }
}

#[test]
fn valid_template_replaces_only_itself() {
    let (letters, alerts) = load(&[("invitation/html.hbs", GOOD)]);
    assert_eq!(alerts, []);
    let (ours, built_in) = (invitation(&letters, "en"), invitation(&BUILT_IN, "en"));
    assert!(ours.html.contains("<p>Welcome to Acme Research</p>"));
    assert!(ours.text == built_in.text && ours.subject == built_in.subject);
}

#[test]
fn missing_folder_is_an_error_and_an_empty_one_is_not() {
    assert_eq!(load(&[]).1, []);
    let missing = TempDir::new().unwrap().path().join("nothing");
    let error = Letters::with_overrides(&missing).err().unwrap();
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[test]
fn a_syntax_error_falls_back() {
    falls_back(
        "invitation/html.hbs",
        "<p>\n{{#if link}}\n",
        Some(3),
        "syntax",
    );
}

#[test]
fn an_unknown_variable_falls_back() {
    falls_back(
        "invitation/text.hbs",
        "{{link}}\n{{organisation}}\n",
        Some(2),
        "organisation",
    );
    falls_back(
        "notices/removed/subject.hbs",
        "{{phrase.subjekt}}",
        Some(1),
        "phrase.subjekt",
    );
    falls_back(
        "layout/html.hbs",
        "{{> @partial-block}}{{footer}}",
        Some(1),
        "footer",
    );
}

#[test]
fn unknown_variable_in_a_rare_branch_falls_back() {
    let source = "{{link}}{{#unless message}}{{nothing}}{{/unless}}";
    falls_back("reminder/text.hbs", source, Some(1), "nothing");
}

#[test]
fn a_letter_without_its_link_falls_back() {
    falls_back(
        "invitation/text.hbs",
        "Come in",
        None,
        "the link is missing",
    );
    falls_back(
        "invitation/html.hbs",
        "<p>{{link}}</p>",
        None,
        "no href contains the link",
    );
    falls_back(
        "reminder/html.hbs",
        "<a href=\"https://x.example\">{{link}}</a>",
        None,
        "no href",
    );
    falls_back("layout/text.hbs", "Yours", None, "the link is missing");
}

#[test]
fn unescaped_user_text_falls_back() {
    let unescaped = GOOD.replace("{{organization}}", "{{{organization}}}");
    falls_back(
        "invitation/html.hbs",
        &unescaped,
        None,
        "organization is not escaped",
    );
    let ampersand = GOOD.replace("{{organization}}", "{{&inviter_full}}");
    falls_back(
        "invitation/html.hbs",
        &ampersand,
        None,
        "inviter is not escaped",
    );
    let phrase = GOOD.replace("{{organization}}", "{{{phrase.body}}}");
    falls_back("invitation/html.hbs", &phrase, None, "is not escaped");
    let message = GOOD.replace("</p>", "{{#each message}}{{{this}}}{{/each}}</p>");
    falls_back(
        "invitation/html.hbs",
        &message,
        None,
        "message is not escaped",
    );
    let link = GOOD.replace("</p>", "{{{link}}}</p>");
    falls_back("reminder/html.hbs", &link, None, "link is not escaped");
}

#[test]
fn an_empty_template_falls_back() {
    falls_back("invitation/subject.hbs", " \n", None, "the output is empty");
}

#[test]
fn unused_file_is_named() {
    for file in [
        "invitation/htm.hbs",
        "invite/html.hbs",
        "README.md",
        "locales/de.yaml",
        "a/b/c/d/e/f.hbs",
    ] {
        let (letters, alerts) = load(&[(file, "x")]);
        assert_eq!(alerts.len(), 1, "{file}: {alerts:?}");
        assert!(file.starts_with(&alerts[0].file), "{file}: {alerts:?}");
        assert!(invitation(&letters, "en") == invitation(&BUILT_IN, "en"));
    }
    assert_eq!(
        load(&[(".git/config", "x"), ("invitation/.html.hbs.swp", "x")]).1,
        []
    );
}

#[test]
fn binary_file_is_named() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("invitation")).unwrap();
    fs::write(folder.path().join("invitation/text.hbs"), [0xFF, 0xFE]).unwrap();
    let (_, alerts) = Letters::with_overrides(folder.path()).unwrap();
    assert_eq!(alerts.len(), 1);
    assert!(
        alerts[0].to_string().starts_with("invitation/text.hbs: "),
        "{}",
        alerts[0]
    );
}

#[test]
fn broken_layout_does_not_affect_a_good_letter() {
    let (letters, alerts) = load(&[
        ("layout/html.hbs", "{{nope}}"),
        ("invitation/html.hbs", GOOD),
    ]);
    assert_eq!(alerts.len(), 1);
    assert_eq!(
        alerts[0].to_string().split(": ").next(),
        Some("layout/html.hbs:1")
    );
    let html = invitation(&letters, "en").html;
    assert!(
        html.contains("Welcome to") && html.contains("<html lang=\"en\""),
        "{html}"
    );
}

#[test]
fn one_phrase_can_be_replaced() {
    let (letters, alerts) = load(&[("locales/de.toml", "[invitation]\nbutton = \"Los\"\n")]);
    assert_eq!(alerts, []);
    let german = invitation(&letters, "de");
    assert!(german.text.contains("Los:\nhttps://") && german.text.contains("lädt Sie ein"));
    assert!(invitation(&letters, "en").text.contains("View invitation"));
}

#[test]
fn added_language_names_its_missing_phrases() {
    let source = "direction = \"ltr\"\n[date]\nformat = \"{day} {month} {year} à {time} UTC\"\n\
        months = [\"janvier\", \"février\", \"mars\", \"avril\", \"mai\", \"juin\", \"juillet\", \"août\", \
        \"septembre\", \"octobre\", \"novembre\", \"décembre\"]\n\
        [invitation]\nsubject = \"{inviter} vous invite\"\nexpiry = \"Valable jusqu'au {expires_at}.\"\n";
    let (letters, alerts) = load(&[("locales/fr.toml", source)]);
    assert_eq!(alerts.len(), 1);
    assert!(
        alerts[0].problem.contains("invitation.body"),
        "{}",
        alerts[0]
    );
    let french = invitation(&letters, "fr-CA");
    assert_eq!(french.subject, "Ann Lee vous invite");
    assert!(
        french
            .text
            .contains("Valable jusqu'au 30 novembre 2026 à 04:46 UTC.")
    );
    assert!(french.html.contains("<html lang=\"fr\""));
}

#[test]
fn a_bad_phrase_falls_back() {
    let problem = |phrase: &str| format!("[invitation]\n{phrase}\n");
    for (phrase, said) in [
        (
            "button = \"{who}\"",
            "invitation.button: {who} is not known here",
        ),
        ("button = \"{{link}}\"", "invitation.button"),
        ("button = \"\"", "invitation.button: the phrase is empty"),
        (
            "buton = \"Go\"",
            "invitation.buton: no letter has a phrase of this name",
        ),
    ] {
        falls_back("locales/en.toml", &problem(phrase), None, said);
    }
    falls_back(
        "locales/en.toml",
        "[invitaton]\nbutton = \"Go\"\n",
        None,
        "invitaton.button",
    );
    falls_back(
        "locales/en.toml",
        "[date]\nformat = \"{day}\"\nmonths = []\n",
        Some(3),
        "12",
    );
}

#[test]
fn broken_locale_falls_back_and_names_its_line() {
    falls_back(
        "locales/de.toml",
        "[invitation]\nbutton = Los\n",
        Some(2),
        "",
    );
    falls_back(
        "locales/fr.toml",
        "[invitation]\nbutton = \"Allez\"\n",
        None,
        "direction",
    );
    falls_back("locales/english.toml", "", None, "not a language tag");
}

#[test]
fn template_without_bounds_is_not_used() {
    let file = "invitation/html.hbs";
    let levels = |count: usize, times: usize| {
        let one = |level: usize| {
            let body = format!("{{{{> p{}}}}}", level - 1).repeat(times);
            format!("{{{{#*inline \"p{level}\"}}}}{body}{{{{/inline}}}}\n")
        };
        let leaf = "{{#*inline \"p0\"}}x{{/inline}}\n".to_owned();
        leaf + &(1..=count).map(one).collect::<String>() + &format!("{{{{> p{count}}}}}")
    };
    let nested = |begin: &str, end: &str, count: usize| {
        format!("{}x{}", begin.repeat(count), end.repeat(count))
    };
    let endless = "{{#*inline \"x\"}}{{> x}}{{/inline}}\n{{> x}}";
    let mutual =
        "{{#*inline \"x\"}}{{> y}}{{/inline}}\n{{#*inline \"y\"}}{{> x}}{{/inline}}\n{{> x}}";
    let chain = format!(
        "{{{{#if a}}}}{}{{{{/if}}}}",
        "x{{else if a}}".repeat(20_000)
    );
    let all = "{{#each phrase}}";
    for (source, line, problem) in [
        (endless.to_owned(), Some(1), "the partial x includes itself"),
        (mutual.to_owned(), Some(2), "the partial x includes itself"),
        (
            "\n{{> invitation/html.hbs}}".to_owned(),
            Some(2),
            "includes itself",
        ),
        (
            format!("{endless}{{{{#if a}}}}{endless}{{{{/if}}}}"),
            Some(1),
            "includes itself",
        ),
        (
            "{{#> layout}}{{> layout}}{{/layout}}{{> (lookup this \"a\")}}".to_owned(),
            Some(1),
            "computed",
        ),
        (levels(7, 10), None, "more than 100000 elements"),
        (
            nested("{{#if link}}", "{{/if}}", 17),
            Some(1),
            "more than 16 blocks",
        ),
        (
            nested("{{#if link}}", "{{/if}}", 3_000),
            Some(1),
            "more than 16 blocks",
        ),
        (
            nested("{{~^ if link}}", "{{~/if}}", 3_000),
            Some(1),
            "more than 16 blocks",
        ),
        (
            nested("\n{{#each phrase}}", "{{/each}}", 3_500),
            Some(18),
            "more than 16 blocks",
        ),
        (chain[..100_000].to_owned(), Some(1), "more than 16 blocks"),
        (
            format!("{{{{{}", "(a ".repeat(30_000)),
            Some(1),
            "more than 16 brackets",
        ),
        (
            format!("{{{{x {}", "[".repeat(90_000)),
            Some(1),
            "more than 16 brackets",
        ),
        (
            nested(all, "{{/each}}", 7),
            Some(1),
            "more than 100000 elements",
        ),
        ("x".repeat(105_000), None, "longer than 104448 bytes"),
    ] {
        let began = std::time::Instant::now();
        let (_, alerts) = load(&[(file, &source)]);
        let [alert] = &alerts[..] else {
            panic!("{problem}: {alerts:?}")
        };
        assert_eq!(alert.file, file);
        assert!(alert.problem.contains(problem), "{problem}: {alert}");
        assert!(line.is_none() || alert.line == line, "{problem}: {alert}");
        assert!(began.elapsed().as_secs() < 30, "{problem}");
    }
    let (_, alerts) = load(&[
        ("invitation/html.hbs", "{{> reminder/html.hbs}}"),
        ("reminder/html.hbs", "{{> invitation/html.hbs}}"),
    ]);
    assert!(
        alerts
            .iter()
            .any(|alert| alert.problem.contains("includes itself")),
        "{alerts:?}"
    );
}

#[test]
fn template_within_the_bounds_is_used() {
    let link = "<a href=\"{{link}}\">go</a>";
    let nested = format!(
        "{}{link}{}",
        "{{#if link}}".repeat(16),
        "{{/if}}".repeat(16)
    );
    let shared = format!(
        "{{{{#*inline \"go\"}}}}{link}{{{{/inline}}}}{}",
        "{{> go}}".repeat(50)
    );
    let listed = format!(
        "{{{{#each message}}}}{{{{#each @root.message}}}}x{{{{/each}}}}{{{{/each}}}}{link}"
    );
    for source in [nested, shared, listed] {
        assert_eq!(load(&[("invitation/html.hbs", &source)]).1, [], "{source}");
    }
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("invitation/html.hbs");
    fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let (_, alerts) = Letters::with_overrides(folder.path()).unwrap();
    let problems: Vec<_> = alerts.iter().map(|alert| alert.problem.as_str()).collect();
    assert_eq!(problems, ["it is no regular file"]);
}
