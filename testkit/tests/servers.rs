//! The private servers: each starts, two do not collide, and dropping one ends its processes.
#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use guestlist_testkit::process::{Process, child_command};
use guestlist_testkit::{Error, PostgresServer, RedisServer, program};
use sqlx::{Connection as _, PgConnection};

async fn add_row(server: &PostgresServer) -> i64 {
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    for statement in [
        "CREATE TABLE IF NOT EXISTS rows (id int)",
        "INSERT INTO rows VALUES (1)",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let count = sqlx::query_scalar("SELECT count(*) FROM rows");
    count.fetch_one(&mut connection).await.unwrap()
}

fn is_closed(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

#[tokio::test]
async fn two_postgres_servers_crash_and_restart_apart() {
    let (one, other) = tokio::join!(PostgresServer::start(), PostgresServer::start());
    let (mut one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((add_row(&one).await, add_row(&one).await), (1, 2));
    assert_eq!(add_row(&other).await, 1);
    one.crash();
    assert!(is_closed(one.port()));
    assert_eq!(add_row(&other).await, 2);
    one.restart().await.unwrap();
    assert_eq!(add_row(&one).await, 3, "what was committed survives");
}

#[tokio::test]
async fn postgres_keeps_a_folder_that_was_named() {
    let home = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(home.path(), open).unwrap();
    let builder = PostgresServer::builder()
        .folder(home.path().join("kept"))
        .setting("max_connections", "7");
    let first = builder.clone().start().await.unwrap();
    assert_eq!(add_row(&first).await, 1);
    drop(first);
    let second = builder.start().await.unwrap();
    assert_eq!(add_row(&second).await, 2);
    let mut connection = PgConnection::connect(&second.url()).await.unwrap();
    let shown: String = sqlx::query_scalar("SHOW max_connections")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(shown, "7");
}

#[tokio::test]
async fn two_redis_servers_are_killed_and_restarted_apart() {
    let (one, other) = tokio::join!(RedisServer::start(), RedisServer::start());
    let (mut one, other) = (one.unwrap(), other.unwrap());
    one.command::<()>("SET letter one").await.unwrap();
    assert_eq!(other.command::<usize>("DBSIZE").await.unwrap(), 0);
    one.kill();
    assert!(!one.is_running() && is_closed(one.port()));
    one.command::<String>("PING").await.unwrap_err();
    one.restart().await.unwrap();
    assert!(one.is_running());
    assert_eq!(one.command::<usize>("DBSIZE").await.unwrap(), 0);
}

#[tokio::test]
async fn redis_password_is_required_and_in_the_url() {
    let server = RedisServer::builder().password("word").start();
    let server = server.await.unwrap();
    assert_eq!(server.command::<String>("PING").await.unwrap(), "PONG");
    assert_eq!(
        server.url(),
        format!("redis://:word@127.0.0.1:{}/", server.port())
    );
    let without = redis::Client::open(server.url().replace(":word@", "")).unwrap();
    let unlimited = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let refused = without.get_multiplexed_async_connection_with_config(&unlimited);
    let refused = refused.await;
    let refused = match refused {
        Ok(mut connection) => redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
            .unwrap_err(),
        Err(refused) => refused,
    };
    assert!(refused.to_string().contains("NOAUTH"), "{refused}");
}

#[tokio::test]
async fn taken_port_and_wrong_argument_are_told_with_the_log() {
    let server = RedisServer::start().await.unwrap();
    let second = RedisServer::builder().port(server.port()).start().await;
    let told = second.unwrap_err().to_string();
    assert!(told.contains("already in use"), "{told}");
    let wrong = RedisServer::builder().arguments(["--no-such-setting", "1"]);
    let refused = wrong.start().await.unwrap_err();
    assert!(matches!(refused, Error::Ended { .. }), "{refused:?}");
    assert!(refused.to_string().contains("no-such-setting"), "{refused}");
}

#[tokio::test]
async fn servers_end_when_a_test_panics() {
    let ports = tokio::spawn(async {
        let postgres = PostgresServer::start().await.unwrap();
        let redis = RedisServer::start().await.unwrap();
        std::panic::resume_unwind(Box::new((postgres.port(), redis.port())));
    });
    let panic = ports.await.unwrap_err().into_panic();
    let (postgres, redis) = *panic.downcast::<(u16, u16)>().unwrap();
    assert!(is_closed(postgres) && is_closed(redis));
}

#[test]
fn server_outlives_the_thread_that_started_it() {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let server = runtime.unwrap().block_on(RedisServer::start());
        server.unwrap()
    };
    let server = std::thread::spawn(start).join().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!is_closed(server.port()));
}

/// The test starts itself as another process, which is killed while its server runs.
#[test]
fn servers_end_with_a_killed_process() {
    if let Ok(file) = std::env::var("GUESTLIST_TESTKIT_PORT_FILE") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(RedisServer::start()).unwrap();
        std::fs::write(file, server.port().to_string()).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        panic!("this process is killed before");
    }
    if program::find("setpriv").is_err() {
        return; // Only Linux ends a program with the one that started it.
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("port");
    let mut command = child_command(&std::env::current_exe().unwrap(), "KILL");
    command
        .args(["--exact", "servers_end_with_a_killed_process"])
        .env("GUESTLIST_TESTKIT_PORT_FILE", &file);
    let mut test = Process::start("the test", command, &folder.path().join("log")).unwrap();
    let port = within_seconds(|| std::fs::read_to_string(&file).ok()?.parse().ok());
    assert!(!is_closed(port));
    test.kill();
    within_seconds(|| is_closed(port).then_some(()));
}

fn within_seconds<T>(mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match find() {
            Some(found) => return found,
            None => assert!(Instant::now() < deadline, "waited in vain"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
