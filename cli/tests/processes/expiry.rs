//! An invitation past its lifetime, while no worker runs and once one does.

use crate::installation::Site;
use crate::received_letters::header;
use crate::support::{CommandLine, text};
use crate::worker::eventually;

/// The link as the letter's text part has it.
fn link_in(letter: &str) -> String {
    let text = letter.replace("=\r\n", "").replace("=3D", "=");
    let start = text.find("http://localhost:3000/invitations/").unwrap();
    let end = |c: char| c.is_whitespace() || c == '"' || c == '<';
    text[start..].split(end).next().unwrap().to_owned()
}

fn accept(command_line: &CommandLine, link: &str) -> crate::support::Ran {
    command_line.run(&format!(
        "accept {link} --user bob --email bob@acme.example --json"
    ))
}

#[test]
fn an_expired_invitation_is_refused_listed_told_of_and_revived() {
    let site = Site::new().with("GUESTLIST_TTL", "2s");
    let command_line = &site.command_line;
    let acme = command_line.organization();
    let invited = command_line.one(&format!(
        "invite bob@acme.example --organization {acme} --role agent --as ann"
    ));
    let bob = text(&invited["invitation"]);
    let link = text(&command_line.one(&format!("link {bob} --as ann"))["link"]);
    let expires = chrono::DateTime::parse_from_rfc3339(&text(&invited["expires_at"])).unwrap();
    eventually("its lifetime is over", || chrono::Utc::now() > expires);

    let refused = accept(command_line, &link).ended(3);
    assert_eq!(refused.object()["refused"], "invitation_expired");
    assert_eq!(
        command_line.one(&format!("members --organization {acme}"))["user"],
        "ann"
    );

    command_line.run("work --until-idle").done();
    let expired = command_line.one(&format!(
        "invitations --organization {acme} --status expired"
    ));
    assert_eq!(expired["invitation"], bob);
    let letters = site.seen().letters;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(
        header(&letters[0], "To").contains("ann@acme.example"),
        "{}",
        letters[0]
    );
    assert!(
        header(&letters[0], "Subject").contains("expired"),
        "{}",
        letters[0]
    );

    let site = site.with("GUESTLIST_TTL", "7d");
    let command_line = &site.command_line;
    command_line.run(&format!("resend {bob} --as ann")).done();
    command_line.run("work --until-idle").done();
    let letters = site.seen().letters;
    assert_eq!(letters.len(), 2, "{letters:?}");
    let new = link_in(&letters[1]);
    assert_ne!(new, link);
    assert_eq!(
        accept(command_line, &link).ended(3).object()["refused"],
        "link_replaced"
    );
    accept(command_line, &new).done();
}
