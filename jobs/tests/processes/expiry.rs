//! An invitation past its lifetime, while no worker runs and once one does.

use crate::post::header;
use crate::site::Site;
use crate::support::{Guestlist, text};
use crate::worker::eventually;

/// The link as the letter's text part has it.
fn link_in(letter: &str) -> String {
    let text = letter.replace("=\r\n", "").replace("=3D", "=");
    let start = text.find("http://localhost:3000/invitations/").unwrap();
    let end = |c: char| c.is_whitespace() || c == '"' || c == '<';
    text[start..].split(end).next().unwrap().to_owned()
}

fn accept(guestlist: &Guestlist, link: &str) -> crate::support::Ran {
    guestlist.run(&format!(
        "accept {link} --user bob --email bob@acme.example --json"
    ))
}

#[test]
fn an_expired_invitation_is_refused_listed_told_of_and_revived() {
    let site = Site::new().with("GUESTLIST_TTL", "2s");
    let guestlist = &site.guestlist;
    let acme = guestlist.organization();
    let invited = guestlist.one(&format!(
        "invite bob@acme.example --organization {acme} --role agent --as ann"
    ));
    let bob = text(&invited["invitation"]);
    let link = text(&guestlist.one(&format!("link {bob} --as ann"))["link"]);
    let expires = chrono::DateTime::parse_from_rfc3339(&text(&invited["expires_at"])).unwrap();
    eventually("its lifetime is over", || chrono::Utc::now() > expires);

    let refused = accept(guestlist, &link).ended(3);
    assert_eq!(refused.object()["refused"], "invitation_expired");
    assert_eq!(
        guestlist.one(&format!("members --organization {acme}"))["user"],
        "ann"
    );

    guestlist.run("work --until-idle").done();
    let expired = guestlist.one(&format!(
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
    let guestlist = &site.guestlist;
    guestlist.run(&format!("resend {bob} --as ann")).done();
    guestlist.run("work --until-idle").done();
    let letters = site.seen().letters;
    assert_eq!(letters.len(), 2, "{letters:?}");
    let new = link_in(&letters[1]);
    assert_ne!(new, link);
    assert_eq!(
        accept(guestlist, &link).ended(3).object()["refused"],
        "link_replaced"
    );
    accept(guestlist, &new).done();
}
