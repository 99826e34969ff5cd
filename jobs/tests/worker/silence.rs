//! Connections to the database that fall silent: no answer, no error, no end.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::SessionKey;
use guestlist_jobs::Worker;
use guestlist_jobs::sessions::{self, SessionStore, StoreError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::{Workbench, eventually, invite_many, redis};
use crate::postgres;
use crate::support::{OLIVIA, Team, user};

/// What stands between the worker and Postgres, and can swallow what passes.
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

    /// From now on nothing more passes on the connections there are; those made later work.
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
    // Both stay open, or their ends would hear of it.
    std::future::pending::<()>().await;
}

/// A worker that reaches its database through a proxy, on a team of its own, after what happened
/// `before` it started.
async fn behind_a_proxy(before: impl AsyncFnOnce(&Team)) -> (Workbench, Proxy, CancellationToken) {
    let url = postgres::schema_url().await;
    let mut proxied: url::Url = url.parse().unwrap();
    let proxy = Proxy::to(proxied.port().unwrap()).await;
    proxied.set_port(Some(proxy.port)).unwrap();
    let team = Team::on(postgres::at(&url).await).await;
    before(&team).await;
    let bench = Workbench::new(team, redis()).await;
    let mut context = bench.context();
    context.database = postgres::at(proxied.as_str()).await;
    let stop = CancellationToken::new();
    let worker = Worker::new(context, bench.queue.clone(), bench.settings);
    tokio::spawn(worker.run(stop.clone()));
    (bench, proxy, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_connections_fall_silent_at_rest_and_amid_work_goes_on_by_itself() {
    let (bench, proxy, stop) = behind_a_proxy(async |_| ()).await;
    eventually("it asks for work", async || bench.queue.is_polling()).await;
    proxy.mute();
    invite_many(&bench.team, 200).await;
    // What was leased by an answer that was swallowed comes back when its lease ends, after 20 s, each time,
    // and what failed a second later: by the team's clock, which passes no faster than ours.
    eventually("letters leave", async || {
        bench.team.advance_clock(TimeDelta::milliseconds(10));
        bench.letters().len() > 50
    })
    .await;
    proxy.mute();
    eventually("all letters leave", async || {
        bench.team.advance_clock(TimeDelta::milliseconds(10));
        bench.counts().await.is_empty()
    })
    .await;
    assert_eq!(bench.letters().len(), 200, "nothing is sent twice");
    stop.cancel();
    proxy.task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_whose_connections_fall_silent_are_sent_by_themselves() {
    let (bench, proxy, stop) = behind_a_proxy(async |team| {
        team.join("bob", "agent").await;
        for role in ["manager", "agent"].repeat(50) {
            team.change_role(OLIVIA, "bob", role).await.unwrap();
        }
    })
    .await;
    eventually("notices leave", async || bench.letters().len() > 12).await;
    proxy.mute();
    eventually("all notices leave", async || {
        bench.team.advance_clock(TimeDelta::milliseconds(10));
        bench.counts().await.is_empty()
    })
    .await;
    let told = bench.letters_to("bob@example.com").len();
    assert_eq!(told, 100, "nothing is sent twice");
    stop.cancel();
    proxy.task.abort();
}

/// A store after which the database falls silent.
struct Silencing(watch::Sender<u64>);

impl SessionStore for Silencing {
    fn name(&self) -> &str {
        "the silencing store"
    }

    fn delete<'a>(&'a self, _: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>> {
        async {
            // The pool asks a connection that comes back for a sign of life, which it is to give.
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.0.send_modify(|times| *times += 1);
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_whose_connection_falls_silent_ends_with_an_error() {
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
    let purged = tokio::time::timeout(Duration::from_secs(20), purge).await;
    let error = purged.expect("it ends").unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
    proxy.task.abort();
}
