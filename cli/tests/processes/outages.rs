//! Redis, Postgres and the mail server become unavailable and come back while workers run.

use guestlist_testkit::smtp::{Rule, Script, Stage};
use guestlist_testkit::{PgBouncer, PostgresServer};

use crate::installation::Installation;
use crate::support::CommandLine;
use crate::worker::{Worker, eventually};

const PEOPLE: usize = 1_000;

#[test]
fn redis_flush_loses_and_repeats_no_letter() {
    let installation = Installation::new();
    installation.invite(PEOPLE);
    let mut workers = [installation.worker("one"), installation.worker("two")];
    installation.until_letters(PEOPLE / 5);
    let _: () = installation.redis("FLUSHALL");
    installation.until_done();
    installation.assert_delivered(PEOPLE);
    assert_eq!(installation.received_letters().repeated(), 0);
    for worker in &mut workers {
        worker.stop();
    }
    installation.assert_redis_is_empty();
}

#[test]
fn installations_sharing_redis_use_separate_keys() {
    let installation = Installation::new();
    let other = installation.neighbour();
    let mut workers = [installation.worker("one"), Worker::ready(&other, "other")];
    eventually("both have their workers' keys", || {
        let keys: Vec<String> = installation.redis("KEYS *:urgent:workers");
        keys.len() == 2
    });
    installation.invite(100);
    let acme = other.organization();
    let invite = format!("invite a@acme.example --organization {acme} --role agent --as ann");
    other.run(&invite).done();
    installation.until_letters(101);
    for worker in &mut workers {
        worker.stop();
    }
}

#[test]
fn worker_started_without_redis_recovers() {
    let mut installation = Installation::new();
    installation.redis.kill();
    let invite = installation.people(20);
    installation.command_line.run(&invite).done();
    let mut worker = installation.worker("worker");
    eventually("it says what is missing", || {
        worker.said("the relay cannot read the outbox") == 1
    });
    let said = worker.log();
    assert!(
        said.contains(&format!("redis at 127.0.0.1:{}", installation.redis.port())),
        "{said}"
    );
    installation.restart_redis();
    installation.until_done();
    installation.assert_delivered(20);
    worker.stop();
    assert!(worker.warnings().len() <= 12, "{}", worker.log());
}

#[test]
fn refusal_of_the_sender_is_logged_once() {
    let refusal = "550 5.7.60 not allowed to send as this sender";
    let script = Script::default()
        .on(Stage::Mail, "421 4.3.2 shutting down")
        .rule(Rule::new(Stage::Mail, refusal));
    // One connection, so that the replies come in this order.
    let installation = Installation::with_mail_server(script).with("GUESTLIST_CONCURRENCY", "1");
    let worker = installation.worker("worker");
    installation.invite(50);
    eventually("it fails again", || {
        worker.said("the mail server still fails") >= 1
    });
    let warnings = worker.warnings();
    let [failure, refused] = warnings.as_slice() else {
        panic!("{}", worker.log())
    };
    assert!(failure.contains("421 4.3.2 shutting down"), "{failure}");
    assert!(refused.contains("ERROR"), "{refused}");
    for part in [refusal, "check that the server allows this sender address"] {
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn letters_wait_for_an_unreachable_mail_server() {
    let mut installation = Installation::without_mail_server(CommandLine::on_postgres());
    installation.invite(50);
    let mut worker = installation.worker("worker");
    eventually("it says what is wrong", || {
        worker.said("the mail server failed") == 1
            && worker.said("the mail server still fails") >= 1
    });
    let jobs = installation.jobs();
    let waiting: i64 = jobs.iter().map(|job| job["count"].as_i64().unwrap()).sum();
    assert_eq!(waiting, 50, "{jobs:?}");
    assert!(jobs.iter().all(|job| job["state"] != "dead"), "{jobs:?}");
    installation.start_mail_server(Script::default());
    installation.until_done();
    installation.assert_delivered(50);
    assert_eq!(installation.received_letters().repeated(), 0);
    worker.stop();
}

#[test]
fn workers_survive_a_crash_of_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut postgres = runtime.block_on(PostgresServer::start()).unwrap();
    let mut installation = Installation::on_database(&postgres.url());
    installation.start_mail_server(Script::default());
    installation.invite(PEOPLE);
    let mut workers: [Worker; 2] = [installation.worker("one"), installation.worker("two")];
    for share in [10, 2] {
        installation.until_letters(PEOPLE / share);
        postgres.crash();
        assert!(workers.iter_mut().all(Worker::is_running));
        runtime.block_on(postgres.restart()).unwrap();
    }
    installation.until_done();
    installation.assert_delivered(PEOPLE);
    for worker in &mut workers {
        worker.stop();
    }
    assert_eq!(installation.received_letters().repeated(), 0);
}

#[test]
fn commands_and_workers_run_behind_pgbouncer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let postgres = runtime.block_on(PostgresServer::start()).unwrap();
    let pooler = runtime.block_on(PgBouncer::start(&postgres, 10)).unwrap();
    let unset = CommandLine::on_sqlite().with("DATABASE_URL", &pooler.url());
    let refused = unset.run("migrate").ended(1);
    assert!(
        refused.stderr.contains("add pgbouncer=true to its URL"),
        "{refused:?}"
    );
    let mut installation = Installation::on_database(&format!("{}?pgbouncer=true", pooler.url()));
    installation.start_mail_server(Script::default());
    installation.invite(100);
    let mut workers = [installation.worker("one"), installation.worker("two")];
    installation.until_done();
    installation.assert_delivered(100);
    assert_eq!(installation.received_letters().repeated(), 0);
    installation.command_line.run("doctor").done();
    for worker in &mut workers {
        worker.stop();
        assert_eq!(worker.warnings(), [""; 0], "{}", worker.log());
    }
}
