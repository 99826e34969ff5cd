//! The time to make the token of an invitation, and to verify one against its row in an SQLite
//! file.
//!
//! `cargo bench -p guestlist --bench token`

#![allow(clippy::unwrap_used, missing_docs)]

use divan::Bencher;
use guestlist::{Actor, Database, Guestlist, Invitation, Invite, Key, KeyRing, Token, User};

fn main() {
    divan::main();
}

struct Fixture {
    runtime: tokio::runtime::Runtime,
    database: Database,
    guestlist: Guestlist,
    invitation: Invitation,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("guestlist.db").display());
        let guestlist = Guestlist::builder()
            .key_ring(KeyRing::of(Key::generate()))
            .build();
        let (database, invitation) = runtime.block_on(async {
            let database = Database::connect(&url, 1).await.unwrap();
            guestlist::migrate(&database).await.unwrap();
            let ann = User::new("ann".parse().unwrap(), "ann@example.com".parse().unwrap());
            let mut tx = database.begin().await.unwrap();
            let acme = guestlist.create(&mut tx, "Acme".parse().unwrap(), &ann);
            let acme = acme.await.unwrap();
            let bob = "bob@example.com".parse().unwrap();
            let invite = Invite::new(bob, "agent".parse().unwrap());
            let invitation = guestlist
                .act(Actor::member(&ann.id))
                .in_organization(acme.id)
                .invite(&mut tx, invite)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            (database, invitation)
        });
        Self {
            runtime,
            database,
            guestlist,
            invitation,
            _folder: folder,
        }
    }

    fn token(&self) -> Token {
        self.guestlist.token(&self.invitation).unwrap()
    }
}

#[divan::bench]
fn make(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    bencher.bench_local(|| fixture.token());
}

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let token = fixture.token();
    let mut connection = fixture
        .runtime
        .block_on(fixture.database.acquire())
        .unwrap();
    bencher.bench_local(|| {
        let open = fixture.guestlist.open(&mut connection, token.expose());
        fixture.runtime.block_on(open).unwrap()
    });
}
