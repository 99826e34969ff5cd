//! Notes that are taken as they are, and those that are not.

use crate::browser::Page;
use crate::deployment::{Setting, in_both_settings};

in_both_settings! {
    a_note_is_counted_as_browsers_count_it
    a_note_that_is_not_taken_stays_in_its_form
}

async fn a_note_is_counted_as_browsers_count_it(setting: Setting) {
    let site = setting.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.found(&mut olivia, "Acme").await;
    let page = olivia.open(&format!("/organizations/{acme}/inbox")).await;
    // A line ends in one character where it is typed, and in two where it is sent.
    let lines = "a\r\n".repeat(999) + "at";
    let page = olivia
        .press(&page, "Write the note", &[("text", &lines)])
        .await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.must_say("a a at Olivia,");
}

async fn a_note_that_is_not_taken_stays_in_its_form(setting: Setting) {
    let site = setting.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.found(&mut olivia, "Acme").await;
    let page = olivia.open(&format!("/organizations/{acme}/inbox")).await;
    for (text, words) in [
        ("long ".repeat(401), "A note has 1 to 2000 characters."),
        (" ".to_owned(), "A note has 1 to 2000 characters."),
        (
            "before\0after".to_owned(),
            "A note has no control characters.",
        ),
    ] {
        let refused = olivia
            .press(&page, "Write the note", &[("text", &text)])
            .await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        refused.must_say(words);
        refused.must_say("Nobody wrote anything yet.");
        assert!(typed(&refused).contains(&text), "{}", refused.html);
    }
}

/// What is in the field of the page.
fn typed(page: &Page) -> &str {
    let field = page.html.split("<textarea").nth(1).unwrap();
    field.split("</textarea>").next().unwrap()
}
