//! The whole story, played in a temporary folder with nothing installed.

mod fixture;
mod letter;
mod script;

use std::path::Path;

use guestlist::{Invite, Role, User, UserId};

use self::fixture::Fixture;
use super::failure::{Done, Failure, Status};
use super::invite_csv::{People, Terms};
use super::output::Output;

/// Plays invitation, acceptance, expiry, resending and removal, and says each step.
pub(crate) async fn run(file: Option<&Path>, output: Output) -> Done {
    let mut scene = Fixture::set(output).await?;
    scene.say("Olivia creates the organization Acme & Co and is its owner.")?;
    let invites = match file {
        Some(file) => people_in(file, &scene)?,
        None => Vec::new(),
    };
    scene.expect_guests(invites)?;
    let worker = scene.start_worker();
    let played = play(&scene).await;
    worker.stop().await;
    scene.close().await;
    played.map(|()| Status::Done)
}

/// The valid rows of the file; the others are told.
fn people_in(file: &Path, scene: &Fixture) -> Result<Vec<Invite>, Failure> {
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
                    scene.skip(candidate.line, &candidate.email, wrong.reason.message())?
                }
            }
        }
    }
}

async fn play(scene: &Fixture) -> Result<(), Failure> {
    let guests = scene.invite_guests().await?;
    let [ada, bob, chloe] = &guests.cast;
    scene.wait_for_letters(guests.count).await?;
    scene.show_letter(ada).await?;

    scene.steal(ada).await?;
    scene.accept(ada, "ada").await?;
    scene.decline(chloe).await?;
    scene.expire(bob).await?;
    scene.resend(bob).await?;
    scene.accept(bob, "bob").await?;

    scene.sign_in("ada").await?;
    scene.remove("ada").await?;
    scene.refuse_last_owner().await?;
    scene.sum_up().await
}

fn role(name: &str) -> Role {
    name.parse().expect("a role's name")
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
