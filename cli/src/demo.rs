//! The demonstration: an invitation from start to end, in a temporary folder with nothing
//! installed.

mod fixture;
mod letter;
mod script;

use std::path::Path;

use guestlist::{Actor, Invite, Role, User, UserId};

use self::fixture::Fixture;
use super::failure::{Done, Failure, Status};
use super::invite_csv::{People, Terms};
use super::output::Output;

/// Runs through invitation, acceptance, expiry, resending and removal, and prints each step.
pub(crate) async fn run(file: Option<&Path>, output: Output) -> Done {
    let mut fixture = Fixture::set(output).await?;
    fixture.say("Olivia creates the organization Acme & Co and is its owner.")?;
    let invites = match file {
        Some(file) => valid_invites(file, &fixture)?,
        None => Vec::new(),
    };
    fixture.expect_guests(invites)?;
    let worker = fixture.start_worker();
    let played = play(&fixture).await;
    worker.stop().await;
    fixture.close().await;
    played.map(|()| Status::Done)
}

/// Reads the valid rows of the file; prints the others as skipped.
fn valid_invites(file: &Path, fixture: &Fixture) -> Result<Vec<Invite>, Failure> {
    let terms = Terms {
        role: Some(role("agent")),
        locale: "en".parse().expect("a locale"),
        message: None,
        supersede: false,
    };
    let mut people = People::open(file, terms)?;
    let mut invites = Vec::new();
    loop {
        let candidates = people.batch(1000)?;
        if candidates.is_empty() {
            return Ok(invites);
        }
        for candidate in candidates {
            match candidate.invite {
                Ok(invite) => invites.push(invite),
                Err(wrong) => {
                    fixture.skip(candidate.line, &candidate.email, wrong.reason.message())?
                }
            }
        }
    }
}

async fn play(fixture: &Fixture) -> Result<(), Failure> {
    let guests = fixture.invite_guests().await?;
    let [ada, bob, chloe] = &guests.first_three;
    fixture.wait_for_letters(guests.count).await?;
    fixture.show_letter(ada).await?;

    fixture.accept_as_other_account(ada).await?;
    fixture.accept(ada, "ada").await?;
    fixture.decline(chloe).await?;
    fixture.expire(bob).await?;
    fixture.resend(bob).await?;
    fixture.accept(bob, "bob").await?;

    fixture.sign_in("ada").await?;
    fixture.remove("ada").await?;
    fixture.refuse_last_owner().await?;
    fixture.sum_up().await
}

fn role(name: &str) -> Role {
    name.parse().expect("a role's name")
}

fn member(id: &str) -> Actor {
    Actor::member(&user(id))
}

fn user(id: &str) -> UserId {
    id.parse().expect("a user id")
}

fn person(id: &str, email: &str) -> User {
    User::new(
        user(id),
        email.parse().expect("an address that was invited"),
    )
}
