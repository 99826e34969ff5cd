//! Database connections that fall silent: no answer, no error, no end.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::SessionKey;
use guestlist_jobs::Worker;
use guestlist_jobs::sessions::{self, SessionStore, StoreError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::{Harness, eventually, invite_many, redis};
use crate::postgres;
use crate::support::{OLIVIA, Team, user};

/// A proxy between the worker and Postgres that can swallow all traffic.
struct Proxy {
    port: u16,
    muted: watch::Sender<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap().port();
        let (muted, hears) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let upstream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(forward(client, upstream, hears.clone()));
            }
        });
        Self {
            port: proxy,
            muted,
            task,
        }
    }

    /// Mutes the existing connections; new ones work.
    fn mute(&self) {
        self.muted.send_modify(|times| *times += 1);
    }
}

async fn forward(mut client: TcpStream, mut upstream: TcpStream, mut muted: watch::Receiver<u64>) {
    muted.mark_unchanged();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => return,
        _ = muted.changed() => {}
    }
    // Keep both open; otherwise their peers would notice the end.
    std::future::pending::<()>().await;
}

/// A worker that reaches its database through a proxy, with a team of its own. `before` runs before
/// the worker starts.
async fn behind_a_proxy(before: impl AsyncFnOnce(&Team)) -> (Harness, Proxy, CancellationToken) {
    let url = postgres::schema_url().await;
    let mut proxied: url::Url = url.parse().unwrap();
    let proxy = Proxy::to(proxied.port().unwrap()).await;
    proxied.set_port(Some(proxy.port)).unwrap();
    let team = Team::on(postgres::at(&url).await).await;
    // Rows leased by a swallowed answer come back when their lease ends, so the clock has to run by itself.
    let team = team.configured(|builder| builder.clock(guestlist::Clock::System));
    before(&team).await;
    let harness = Harness::new(team, redis()).await;
    let mut context = harness.context();
    context.database = postgres::at(proxied.as_str()).await;
    let stop = CancellationToken::new();
    let worker = Worker::new(context, harness.queue.clone(), harness.settings);
    tokio::spawn(worker.run(stop.clone()));
    (harness, proxy, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_recovers_from_silent_connections() {
    let (harness, proxy, stop) = behind_a_proxy(async |_| ()).await;
    eventually("it asks for work", async || harness.queue.is_polling()).await;
    proxy.mute();
    invite_many(&harness.team, 200).await;
    eventually("letters leave", async || harness.letters().len() > 50).await;
    proxy.mute();
    eventually("all letters leave", async || {
        harness.counts().await.is_empty()
    })
    .await;
    assert_eq!(harness.letters().len(), 200, "nothing is sent twice");
    stop.cancel();
    proxy.task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_are_sent_after_silent_connections() {
    let (harness, proxy, stop) = behind_a_proxy(async |team| {
        team.join("bob", "agent").await;
        for role in ["manager", "agent"].repeat(50) {
            team.change_role(OLIVIA, "bob", role).await.unwrap();
        }
    })
    .await;
    eventually("notices leave", async || harness.letters().len() > 12).await;
    proxy.mute();
    eventually("all notices leave", async || {
        harness.counts().await.is_empty()
    })
    .await;
    let told = harness.letters_to("bob@example.com").len();
    assert_eq!(told, 100, "nothing is sent twice");
    stop.cancel();
    proxy.task.abort();
}

/// A session store that mutes the database connections when it is used.
struct Silencing(watch::Sender<u64>);

impl SessionStore for Silencing {
    fn name(&self) -> &str {
        "the silencing store"
    }

    fn delete<'a>(&'a self, _: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>> {
        async {
            // The pool pings a returned connection; give it time for that.
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.0.send_modify(|times| *times += 1);
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_over_a_silent_connection_ends_with_an_error() {
    let url = postgres::schema_url().await;
    let mut proxied: url::Url = url.parse().unwrap();
    let proxy = Proxy::to(proxied.port().unwrap()).await;
    proxied.set_port(Some(proxy.port)).unwrap();
    let team = Team::on(postgres::at(&url).await).await;
    team.join("bob", "agent").await;
    let (id, session) = (team.organization.id, "s1".parse::<SessionKey>().unwrap());
    team.in_transaction(async |tx| {
        team.guestlist
            .record_session(tx, id, &user("bob"), &session)
            .await
    })
    .await
    .unwrap();
    team.remove(OLIVIA, "bob").await.unwrap();
    let database = postgres::at(proxied.as_str()).await;
    let stores: [Arc<dyn SessionStore>; 1] = [Arc::new(Silencing(proxy.muted.clone()))];
    let purge = sessions::purge(&database, &stores, id, None);
    let purged = tokio::time::timeout(Duration::from_secs(60), purge).await;
    let error = purged.expect("it ends").unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
    proxy.task.abort();
}
