//! A custom session store: removing a member signs them out of it as well.

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use guestlist::{Actor, Database, Guestlist, Invite, Key, KeyRing, SessionKey, User};
use guestlist_jobs::sessions::{SessionStore, StoreError, purge};
use sqlx::sqlite::SqlitePoolOptions;

/// Sessions in the memory of this process, each with data of your own.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<HashMap<String, String>>>);

type Deletion<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

impl SessionStore for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn delete<'a>(&'a self, sessions: &'a [SessionKey]) -> Deletion<'a> {
        Box::pin(async move {
            let held = self.0.lock();
            let mut held = held.map_err(|_| StoreError::new("the lock is poisoned"))?;
            for session in sessions {
                held.remove(session.as_str());
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn removal_signs_out_of_a_custom_store() -> Result<(), Box<dyn Error>> {
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect("sqlite::memory:").await?;
    guestlist::migrate(&pool).await?;
    let keys = KeyRing::of(Key::generate());
    let guestlist = Guestlist::builder().key_ring(keys).build();
    let olivia = User::new("1".parse()?, "olivia@acme.example".parse()?);
    let bob = User::new("2".parse()?, "bob@acme.example".parse()?);

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let acme = guestlist.create(&mut *tx, "Acme".parse()?, &olivia).await?;
    let invite = Invite::new(bob.email.clone(), "agent".parse()?);
    let invitation = guestlist
        .act(Actor::member(&olivia.id))
        .in_organization(acme.id)
        .invite(&mut *tx, invite)
        .await?;
    let token = guestlist.token(&invitation)?;
    guestlist.accept(&mut *tx, token.expose(), &bob).await?;
    let session = "bob's session".parse()?;
    guestlist
        .record_session(&mut *tx, acme.id, &bob.id, &session)
        .await?;
    tx.commit().await?;

    let store = Memory::default();
    let held = store.0.clone();
    held.lock()
        .map_err(|_| "poisoned")?
        .insert("bob's session".into(), "Bob".into());

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    guestlist
        .act(Actor::member(&olivia.id))
        .in_organization(acme.id)
        .remove(&mut *tx, &bob.id)
        .await?;
    tx.commit().await?;
    let stores: [Arc<dyn SessionStore>; 1] = [Arc::new(store)]; // for the worker: Context::sessions
    purge(&Database::from(&pool), &stores, acme.id, Some(&bob.id)).await?;

    assert!(held.lock().map_err(|_| "poisoned")?.is_empty());
    Ok(())
}
