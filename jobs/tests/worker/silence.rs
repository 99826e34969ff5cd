//! Connections to the database that fall silent: no answer, no error, no end.

use guestlist_jobs::Worker;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::postgres;
use crate::support::Team;
use crate::workbench::{Workbench, eventually, invite_many, redis};

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

/// A worker that reaches its database through a proxy, on a team of its own.
async fn behind_a_proxy() -> (Workbench, Proxy, CancellationToken) {
    let url = postgres::schema_url().await;
    let mut proxied: url::Url = url.parse().unwrap();
    let proxy = Proxy::to(proxied.port().unwrap()).await;
    proxied.set_port(Some(proxy.port)).unwrap();
    let team = Team::on(postgres::at(&url).await).await;
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
    let (bench, proxy, stop) = behind_a_proxy().await;
    eventually("it asks for work", async || bench.queue.is_polling()).await;
    proxy.mute();
    invite_many(&bench.team, 200).await;
    // What was leased by an answer that was swallowed comes back when its lease ends, after 20 s, each time.
    eventually("letters leave", async || bench.letters().len() > 50).await;
    proxy.mute();
    eventually("all letters leave", async || {
        bench.counts().await.is_empty()
    })
    .await;
    assert_eq!(bench.letters().len(), 200, "nothing is sent twice");
    stop.cancel();
    proxy.task.abort();
}
