//! An invitation past its lifetime, without a worker and then with one.

use crate::installation::Installation;
use crate::received_letters::header;
use crate::support::{CommandLine, text};
use crate::worker::eventually;

/// The link in the text part of a letter.
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
fn expired_invitation_is_refused_notified_and_resent() {
    let installation = Installation::new().with("GUESTLIST_TTL", "6s");
    let command_line = &installation.command_line;
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
    let letters = installation.seen().texts();
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

    let installation = installation.with("GUESTLIST_TTL", "7d");
    let command_line = &installation.command_line;
    command_line.run(&format!("resend {bob} --as ann")).done();
    command_line.run("work --until-idle").done();
    let letters = installation.seen().texts();
    assert_eq!(letters.len(), 2, "{letters:?}");
    let new = link_in(&letters[1]);
    assert_ne!(new, link);
    assert_eq!(
        accept(command_line, &link).ended(3).object()["refused"],
        "link_replaced"
    );
    accept(command_line, &new).done();
}
