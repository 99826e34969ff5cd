//! Bounces: reports of mail servers on letters that they could not deliver.

mod report;

use std::io::Read;

use clap::Args;
use guestlist::{Bounce, BounceEffect, BounceKind, SentLetter};
use serde_json::json;

use self::report::Report;
use super::context::Context;
use super::failure::{Done, Failure, Reason};

/// Record the bounce of an invitation's letter: a delivery status notification (RFC 3464) on stdin.
///
/// Pipe the mailbox that GUESTLIST_ENVELOPE_FROM names to this command, one report at a time. A
/// letter that was given up makes its invitation bounced and tells the inviter; if the mailbox does
/// not exist or is disabled, its address is suppressed. A letter that is delayed changes nothing.
///
/// The report must name the letter by an address that the worker made, such as
/// bounces+ag5wwzdqmfuxi2lomftwk3tdn4.1.mzxw6ytboi4dcmjr@acme.example. Any other report is printed as
/// unproved and changes nothing, because anybody can send one; the exit status is 0 all the same.
/// Input that is no such report is malformed (exit status 2).
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guestlist bounce < report.eml\n  guestlist bounce --json < report.eml"
)]
pub(crate) struct Record {}

/// The maximum length of a report, in bytes. It may contain the returned letter, which is small.
const MAX_LENGTH: u64 = 4 * 1024 * 1024;

impl Record {
    pub(crate) async fn run(self, context: &Context) -> Done {
        context.require_keys()?;
        let mail = read()?;
        let report =
            Report::parse(&mail).map_err(|problem| Reason::invalid("not_a_report", problem))?;
        let mut addresses = report.addresses();
        match addresses.find_map(|address| context.guestlist.sent_letter(address)) {
            Some(letter) => record(context, letter, &report).await,
            None => context.output.sentence(
                json!({ "effect": "unproved" }),
                "Changed nothing: the report names no letter of this installation, or its code is wrong.",
            ),
        }
    }
}

/// Reads the report.
fn read() -> Result<Vec<u8>, Failure> {
    let mut mail = Vec::new();
    let read = std::io::stdin()
        .lock()
        .take(MAX_LENGTH + 1)
        .read_to_end(&mut mail);
    read.map_err(|problem| Reason::fault("input", format!("cannot read stdin: {problem}")))?;
    if mail.len() as u64 > MAX_LENGTH {
        let problem = format!("the report is longer than {MAX_LENGTH} bytes");
        return Err(Reason::invalid("not_a_report", problem).into());
    }
    Ok(mail)
}

async fn record(context: &Context, letter: SentLetter, report: &Report) -> Done {
    let guestlist = &context.guestlist;
    let invitation = context
        .read(async |connection| guestlist.invitation(connection, letter.invitation).await)
        .await?;
    let bounce = report.bounce_of(invitation.as_ref().map(|invitation| &invitation.email));
    let effect = context
        .change(async |tx| guestlist.record_bounce(tx, letter, &bounce).await)
        .await?;
    let Bounce {
        kind,
        status,
        diagnostic,
        ..
    } = &bounce;
    let object = json!({
        "effect": effect,
        "invitation": letter.invitation,
        "letter": letter.letter,
        "kind": kind,
        "status": status,
        "diagnostic": diagnostic,
    });
    let SentLetter {
        invitation, letter, ..
    } = letter;
    let sentence = format!(
        "Letter {letter} of the invitation {invitation} {}",
        told(effect, *kind)
    );
    context.output.sentence(object, sentence)
}

/// Describes the effect of a bounce, as the end of a sentence about the letter.
fn told(effect: BounceEffect, kind: BounceKind) -> &'static str {
    match effect {
        BounceEffect::Bounced => "bounced; the inviter is told.",
        BounceEffect::Suppressed => {
            "bounced, because its mailbox is missing or disabled; the inviter is told and the address is suppressed."
        }
        BounceEffect::Repeated => "was recorded as not delivered before; nothing was changed.",
        BounceEffect::Older => "bounced, but a newer letter was sent; only an event was written.",
        BounceEffect::Closed => "bounced, but the invitation is closed; only an event was written.",
        BounceEffect::Gone => "bounced, but the invitation is gone; nothing was changed.",
        _ if kind == BounceKind::Soft => "is delayed; nothing was changed.",
        _ => "bounced.",
    }
}
