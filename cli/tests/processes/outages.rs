//! Redis, Postgres and the mail server go away and come back while workers run.

use crate::installation::Site;
use crate::postgres_server::PostgresServer;
use crate::smtp::Script;
use crate::support::CommandLine;
use crate::worker::{Worker, eventually};

const PEOPLE: usize = 1_000;

#[test]
fn flushing_redis_in_the_middle_loses_nothing_and_repeats_nothing() {
    let site = Site::new();
    site.invite(PEOPLE);
    let mut workers = [site.worker("one"), site.worker("two")];
    site.until_letters(PEOPLE / 5);
    let _: () = site.redis("FLUSHALL");
    site.until_done();
    site.assert_delivered(PEOPLE);
    assert_eq!(site.post().repeated(), 0);
    for worker in &mut workers {
        worker.stop();
    }
    site.assert_redis_is_empty();
}

#[test]
fn installations_that_share_a_redis_have_keys_of_their_own() {
    let site = Site::new();
    let other = site.neighbour();
    let mut workers = [site.worker("one"), Worker::ready(&other, "other")];
    eventually("both have their workers' keys", || {
        let keys: Vec<String> = site.redis("KEYS *:urgent:workers");
        keys.len() == 2
    });
    site.invite(100);
    let acme = other.organization();
    let invite = format!("invite a@acme.example --organization {acme} --role agent --as ann");
    other.run(&invite).done();
    site.until_letters(101);
    for worker in &mut workers {
        worker.stop();
    }
}

#[test]
fn a_worker_that_starts_without_redis_says_so_and_works_once_it_is_there() {
    let mut site = Site::new();
    site.redis.kill();
    let invite = site.people(20);
    site.command_line.run(&invite).done();
    let mut worker = site.worker("worker");
    eventually("it says what is missing", || {
        worker.said("nothing is relayed") == 1
    });
    let said = worker.log();
    assert!(
        said.contains(&format!("redis at 127.0.0.1:{}", site.redis.port())),
        "{said}"
    );
    site.restart_redis();
    site.until_done();
    site.assert_delivered(20);
    worker.stop();
    assert!(worker.complaints().len() <= 12, "{}", worker.log());
}

#[test]
fn letters_wait_for_a_mail_server_that_refuses_connections() {
    let mut site = Site::without_mail_server(CommandLine::on_postgres());
    site.invite(50);
    let mut worker = site.worker("worker");
    eventually("it says what is wrong", || {
        worker.said("mail server is at fault") >= 2
    });
    let jobs = site.jobs();
    let waiting: i64 = jobs.iter().map(|job| job["count"].as_i64().unwrap()).sum();
    assert_eq!(waiting, 50, "{jobs:?}");
    assert!(jobs.iter().all(|job| job["state"] != "dead"), "{jobs:?}");
    site.start_mail_server(Script::default());
    site.until_done();
    site.assert_delivered(50);
    assert_eq!(site.post().repeated(), 0);
    worker.stop();
}

#[test]
fn workers_survive_a_crash_of_postgres() {
    let postgres = PostgresServer::start();
    let command_line = CommandLine::on_sqlite()
        .with("DATABASE_URL", &postgres.url())
        .with("GUESTLIST_KEYS", &guestlist::Key::generate().expose());
    command_line.run("migrate").done();
    let mut site = Site::without_mail_server(command_line);
    site.start_mail_server(Script::default());
    site.invite(PEOPLE);
    let mut workers: [Worker; 2] = [site.worker("one"), site.worker("two")];
    for share in [10, 2] {
        site.until_letters(PEOPLE / share);
        postgres.stop_immediately();
        assert!(workers.iter_mut().all(Worker::is_running));
        postgres.go_on();
    }
    site.until_done();
    site.assert_delivered(PEOPLE);
    for worker in &mut workers {
        worker.stop();
    }
    assert_eq!(site.post().repeated(), 0);
}
