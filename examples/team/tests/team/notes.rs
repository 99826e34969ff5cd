//! Limits on notes.

use crate::browser::Page;
use crate::deployment::{Deployment, in_both_deployments};

in_both_deployments! {
    a_line_break_counts_as_one_character
    a_refused_note_stays_in_its_form
}

async fn a_line_break_counts_as_one_character(deployment: Deployment) {
    let site = deployment.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    let page = olivia.open(&format!("/organizations/{acme}/inbox")).await;
    // Browsers count a line break as one character but send two.
    let lines = "a\r\n".repeat(999) + "at";
    let page = olivia
        .press(&page, "Write the note", &[("text", &lines)])
        .await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.must_say("a a at Olivia,");
}

async fn a_refused_note_stays_in_its_form(deployment: Deployment) {
    let site = deployment.site(&[]).await;
    let mut olivia = site.sign_up("Olivia", "olivia@acme.example").await;
    let acme = site.create_organization(&mut olivia, "Acme").await;
    let page = olivia.open(&format!("/organizations/{acme}/inbox")).await;
    for (text, words) in [
        (
            "long ".repeat(401),
            "A note must have 1 to 2000 characters.",
        ),
        (" ".to_owned(), "A note must have 1 to 2000 characters."),
        (
            "before\0after".to_owned(),
            "A note must not contain control characters.",
        ),
    ] {
        let refused = olivia
            .press(&page, "Write the note", &[("text", &text)])
            .await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        refused.must_say(words);
        refused.must_say("There are no notes yet.");
        assert!(typed(&refused).contains(&text), "{}", refused.html);
    }
}

/// Returns the text in the field of the page.
fn typed(page: &Page) -> &str {
    let field = page.html.split("<textarea").nth(1).unwrap();
    field.split("</textarea>").next().unwrap()
}
