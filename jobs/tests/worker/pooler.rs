//! Hosts and workers behind a real PgBouncer in transaction mode.

use std::sync::{Arc, Mutex};

use guestlist::{Database, Error, Schema, worker};
use guestlist_testkit::{PgBouncer, PostgresServer};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::failover::pass_time;
use crate::harness::{Harness, eventually, redis};
use crate::support::{OLIVIA, Team};

/// The statements that may be sent outside a transaction: each is one message, which the pooler gives to
/// one server. A BEGIN that is cut off is followed by its ROLLBACK before the client reads an answer.
const ALONE: [&str; 3] = ["BEGIN", "ROLLBACK", "SHOW transaction_read_only"];

/// A proxy that reads the protocol between clients and the pooler.
struct Witness {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The number of statements that were prepared.
    prepared: usize,
    /// The messages that may reach another server than they are meant for.
    astray: Vec<String>,
}

impl Witness {
    async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Seen>>::default();
        let witnessed = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(watch(client, port, Arc::clone(&witnessed)));
            }
        });
        Self {
            port: own,
            seen,
            task,
        }
    }

    fn url(&self) -> String {
        format!(
            "postgres://guestlist@127.0.0.1:{}/postgres?sslmode=disable&pgbouncer=true",
            self.port
        )
    }

    /// Asserts that statements were prepared, and each message inside a transaction.
    fn assert_all_in_transactions(&self) {
        let seen = self.seen.lock().unwrap();
        assert!(seen.prepared > 0);
        assert_eq!(seen.astray, [""; 0]);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards one connection and its messages, until either side closes it.
async fn watch(client: TcpStream, port: u16, seen: Arc<Mutex<Seen>>) {
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // The first message of a client has no type.
    let Some(start) = message(&mut from_client, false).await else {
        return;
    };
    to_server.write_all(&start).await.unwrap();
    // The transaction status that the server reported last, as the client knows it.
    let status = Mutex::new(b'I');
    let requests = pass(&mut from_client, &mut to_server, |message| {
        seen.lock().unwrap().note(message, *status.lock().unwrap());
    });
    let replies = pass(&mut from_server, &mut to_client, |message| {
        if message[0] == b'Z' {
            *status.lock().unwrap() = message[5];
        }
    });
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}

async fn pass(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, mut look: impl FnMut(&[u8])) {
    while let Some(message) = message(from, true).await {
        look(&message);
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn message(from: &mut OwnedReadHalf, has_type: bool) -> Option<Vec<u8>> {
    let head = usize::from(has_type);
    let mut message = vec![0; head + 4];
    from.read_exact(&mut message).await.ok()?;
    let length = u32::from_be_bytes(message[head..].try_into().unwrap());
    message.resize(head + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut message[head + 4..]).await.ok()?;
    Some(message)
}

impl Seen {
    /// Notes a message of a client: of a statement that is prepared, or of one that is sent alone.
    fn note(&mut self, message: &[u8], status: u8) {
        let text = String::from_utf8_lossy(&message[5..]);
        let is_named = message[0] == b'P' && !text.starts_with('\0');
        let is_outside = status != b'T'
            && match message[0] {
                b'P' | b'B' | b'D' | b'E' | b'C' => true,
                b'Q' => !ALONE.iter().any(|alone| text.starts_with(alone)),
                _ => false,
            };
        self.prepared += usize::from(message[0] == b'P');
        if is_named || is_outside {
            let kind = char::from(message[0]);
            self.astray
                .push(format!("{kind} in {}: {text}", char::from(status)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_and_workers_share_ten_server_connections() {
    let postgres = PostgresServer::start().await.unwrap();
    let pooler = PgBouncer::start(&postgres, 10).await.unwrap();
    let witness = Witness::before(pooler.port()).await;
    let database = Database::connect(&witness.url(), 20).await.unwrap();
    let team = Team::on(database).await;
    assert_eq!(guestlist::migrate(&team.database).await.unwrap(), 0);
    let harness = Harness::new(team, redis()).await;
    let workers = [harness.start(), harness.start()];
    let passing = tokio::spawn(pass_time(harness.team.clone()));
    let mut hosts = tokio::task::JoinSet::new();
    for host in 0..8 {
        let team = harness.team.clone();
        hosts.spawn(async move {
            for round in 0..5 {
                let member = format!("m{host}x{round}");
                team.join(&member, "agent").await;
                team.change_role(OLIVIA, &member, "manager").await.unwrap();
                assert_eq!(team.role_of(&member).await.as_deref(), Some("manager"));
                let stranger = format!("s{host}x{round}@example.com");
                team.invite(OLIVIA, &stranger, "agent").await.unwrap();
                // A read on a connection without a transaction.
                let mut connection = team.database.acquire().await.unwrap();
                let schema = Schema::of(&mut connection).await.unwrap();
                assert_eq!(schema, Schema::Current);
            }
        });
    }
    hosts.join_all().await;
    eventually("letters leave", async || {
        !harness.letters_to("s0x0@example.com").is_empty()
    })
    .await;
    eventually("every job is done", async || {
        harness.counts().await.is_empty()
    })
    .await;
    passing.abort();
    for host in 0..8 {
        for round in 0..5 {
            let letters = harness.letters_to(&format!("s{host}x{round}@example.com"));
            // Twice only if the machine stood still for longer than a lease.
            assert!((1..=2).contains(&letters.len()), "s{host}x{round}");
        }
    }
    let monitor = harness.worker().monitor();
    assert!(!monitor.metrics().await.is_empty());
    assert_eq!(worker::read_only(harness.database()).await.unwrap(), None);
    for worker in workers {
        worker.stop().await;
    }
    witness.assert_all_in_transactions();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_deleted_inside_transactions() {
    use guestlist_jobs::sessions::{Column, SessionStore, SqlSessions};
    let postgres = PostgresServer::start().await.unwrap();
    let pooler = PgBouncer::start(&postgres, 10).await.unwrap();
    let witness = Witness::before(pooler.port()).await;
    let mut admin = PgConnection::connect(&postgres.url()).await.unwrap();
    let table = "CREATE TABLE sessions (id uuid PRIMARY KEY)";
    sqlx::raw_sql(table).execute(&mut admin).await.unwrap();
    let database = Database::connect(&witness.url(), 2).await.unwrap();
    let column: Column = "sessions.id".parse().unwrap();
    let store = SqlSessions::new(database, &column);
    for key in [uuid::Uuid::now_v7().to_string(), "no-uuid".to_owned()] {
        store.delete(&[key.parse().unwrap()]).await.unwrap();
    }
    witness.assert_all_in_transactions();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_setting_is_named_by_the_error() {
    let postgres = PostgresServer::start().await.unwrap();
    let pooler = PgBouncer::start(&postgres, 1).await.unwrap();
    let refused = Database::connect(&pooler.url(), 2).await.unwrap_err();
    assert!(matches!(refused, Error::Pooler(_)), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("add pgbouncer=true to its URL")
    );

    // A pooler that ignores the unknown parameter lets the first client in, and refuses the second.
    let options: sqlx::postgres::PgConnectOptions = pooler.url().parse().unwrap();
    let pool = sqlx::PgPool::connect_lazy_with(options.extra_float_digits(None));
    let database = Database::from(&pool);
    let mut first = database.acquire().await.unwrap();
    let mut second = database.acquire().await.unwrap();
    Schema::of(&mut first).await.unwrap();
    let refused = Schema::of(&mut second).await.unwrap_err();
    assert!(matches!(refused, Error::Pooler(_)), "{refused}");
}
