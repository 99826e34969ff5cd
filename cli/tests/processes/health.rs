//! The worker's HTTP server (`--listen`): liveness, readiness and metrics.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use guestlist_testkit::smtp::{Action, Script, Stage};

use guestlist_testkit::PostgresServer;

use serde_json::Value as Json;

use crate::exposition::Exposition;
use crate::installation::Installation;
use crate::support::{CommandLine, text};
use crate::worker::{Worker, eventually};

/// The time until readiness shows a failure or a recovery: an answer is cached for a second, a
/// check takes two, and a worker that polled within three counts as polling. The rest is for a busy
/// machine.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// The answer of an HTTP server.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    )
    .unwrap()
}

fn ask(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok(Answer {
        status: status.unwrap_or(0),
        head: head.to_lowercase(),
        body: body.to_owned(),
    })
}

/// The failed checks with their messages; asserts that the HTTP status agrees.
fn failed(worker: &Worker) -> Vec<(String, String)> {
    let answer = get(worker.address(), "/readyz");
    let readiness: Json = serde_json::from_str(&answer.body).unwrap();
    let checks = readiness["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["status"] != "ok");
    let failed: Vec<_> = failed
        .map(|check| (text(&check["check"]), text(&check["detail"])))
        .collect();
    let status = if failed.is_empty() { 200 } else { 503 };
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(readiness["ready"], failed.is_empty());
    failed
}

fn within<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < SHOWN_WITHIN, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn until_ready(worker: &Worker) {
    within("it is ready", || failed(worker).is_empty().then_some(()));
}

/// Waits until this check fails, and returns its message.
fn until_fails(worker: &Worker, name: &str) -> String {
    within(&format!("{name} fails"), || {
        let mut failed = failed(worker).into_iter();
        failed.find(|(check, _)| check == name).map(|(_, why)| why)
    })
}

fn metrics(worker: &Worker) -> Exposition {
    let answer = get(worker.address(), "/metrics");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let content_type = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(answer.head.contains(content_type), "{}", answer.head);
    Exposition::read(&answer.body)
}

#[test]
fn readiness_follows_redis() {
    let mut installation = Installation::new();
    let mut worker = Worker::listening(&installation.command_line, "worker");
    until_ready(&worker);
    installation.redis.kill();
    let why = until_fails(&worker, "queue");
    let address = format!("127.0.0.1:{}", installation.redis.port());
    assert!(why.contains(&address), "{why}");
    assert_eq!(get(worker.address(), "/healthz").status, 200);
    until_fails(&worker, "worker");
    let during = metrics(&worker);
    assert_eq!(during.value("guestlist_check_ok{check=\"queue\"}"), 0.0);
    assert_eq!(during.value("guestlist_check_ok{check=\"database\"}"), 1.0);
    installation.restart_redis();
    until_ready(&worker);
    let after = metrics(&worker);
    assert_eq!(after.value("guestlist_check_ok{check=\"queue\"}"), 1.0);
    assert!(after.value("guestlist_queue_worker_restarts_total") >= 2.0);
    assert_eq!(after.value("guestlist_queue_reconnects_total"), 1.0);
    worker.stop();
}

#[test]
fn readiness_names_a_missing_right_in_redis() {
    let installation = Installation::new();
    let url = format!(
        "redis://lacking:secret@127.0.0.1:{}/",
        installation.redis.port()
    );
    let installation = installation.with("REDIS_URL", &url);
    let _: () = installation.redis("ACL SETUSER lacking on >secret allkeys +@all");
    let mut worker = Worker::listening(&installation.command_line, "worker");
    until_ready(&worker);
    let _: () = installation.redis("ACL SETUSER lacking -zadd");
    let why = until_fails(&worker, "queue");
    assert!(why.contains("lacks +zadd"), "{why}");
    let _: () = installation.redis("ACL SETUSER lacking +zadd");
    until_ready(&worker);
    worker.stop();
}

#[test]
fn readiness_follows_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut postgres = runtime.block_on(PostgresServer::start()).unwrap();
    let installation = Installation::on_database(&postgres.url());
    let mut worker = Worker::listening(&installation.command_line, "worker");
    until_ready(&worker);
    postgres.crash();
    until_fails(&worker, "database");
    assert_eq!(get(worker.address(), "/healthz").status, 200);
    // Gauges that cannot be read are left out: an old number would look like a new one.
    let during = within("no backlog is shown", || {
        let metrics = metrics(&worker);
        (!metrics.names().contains("guestlist_outbox_messages")).then_some(metrics)
    });
    assert_eq!(during.value("guestlist_check_ok{check=\"database\"}"), 0.0);
    assert_eq!(during.get("guestlist_check_ok{check=\"clock\"}"), None);
    assert_eq!(during.get("guestlist_clock_skew_seconds"), None);
    runtime.block_on(postgres.restart()).unwrap();
    until_ready(&worker);
    within("the backlog is shown again", || {
        let metrics = metrics(&worker);
        (metrics.names().contains("guestlist_outbox_messages")).then_some(())
    });
    worker.stop();
}

#[test]
fn readiness_fails_while_the_smtp_password_is_refused() {
    let script = Script::default()
        .offers("AUTH PLAIN")
        .always(Stage::Auth, "535 5.7.8 no");
    let installation = Installation::with_mail_server(script).signing_in();
    let worker = Worker::listening(&installation.command_line, "worker");
    until_ready(&worker);
    installation.invite(3);
    let why = until_fails(&worker, "mailer");
    assert!(why.contains("535 5.7.8 no"), "{why}");
    assert!(why.contains("check user and password in SMTP_URL"), "{why}");
    assert!(!why.contains("secret"), "{why}");
    let paused = metrics(&worker);
    let tried = paused.sum("guestlist_letter_attempts_total");
    assert_eq!(tried, 0.0, "a connection is tried, and no letter");
    assert!(paused.value("guestlist_smtp_replies_total{class=\"5xx\"}") >= 1.0);
    assert_eq!(paused.value("guestlist_mailer_resting"), 1.0);
}

#[test]
fn two_workers_count_every_letter_once() {
    const PEOPLE: usize = 300;
    let installation = Installation::new();
    let mut workers =
        ["one", "two"].map(|name| Worker::listening(&installation.command_line, name));
    installation.invite(PEOPLE);
    installation.until_done();
    installation.assert_delivered(PEOPLE);
    let sum = |sample: &str| -> f64 {
        let samples = workers.iter().map(|worker| metrics(worker).value(sample));
        samples.sum()
    };
    for sample in [
        "guestlist_letter_attempts_total{verdict=\"accepted\"}",
        "guestlist_runs_total{kind=\"send_invitation\",outcome=\"done\"}",
        "guestlist_run_duration_seconds_count{kind=\"send_invitation\"}",
        "guestlist_dispatches_total{lane=\"letters\"}",
        "guestlist_smtp_replies_total{class=\"3xx\"}",
    ] {
        eventually(sample, || sum(sample) == PEOPLE as f64);
    }
    assert_eq!(sum("guestlist_smtp_replies_total{class=\"5xx\"}"), 0.0);
    assert_eq!(sum("guestlist_lease_expiries_total"), 0.0);
    for worker in &mut workers {
        worker.stop();
    }
}

#[test]
fn unconfigured_worker_has_metrics() {
    const PEOPLE: usize = 30;
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_LIMITS", "none");
    let acme = command_line.organization();
    command_line.write_people(PEOPLE);
    let mut worker = Worker::listening(&command_line, "worker");
    until_ready(&worker);
    let invite = format!("invite --file people.csv --role agent --organization {acme} --as ann");
    command_line.run(&invite).done();
    eventually("every letter is counted", || {
        let runs = "guestlist_runs_total{kind=\"send_invitation\",outcome=\"done\"}";
        metrics(&worker).value(runs) == PEOPLE as f64
    });
    let files = std::fs::read_dir(command_line.folder().join("letters")).unwrap();
    assert_eq!(files.count(), PEOPLE);
    let metrics = metrics(&worker);
    let accepted = metrics.value("guestlist_letter_attempts_total{verdict=\"accepted\"}");
    assert_eq!(accepted, PEOPLE as f64);
    assert_eq!(metrics.sum("guestlist_smtp_replies_total"), 0.0);
    worker.stop();
}

#[test]
fn stopping_worker_is_unready_but_answers() {
    let installation =
        Installation::with_mail_server(Script::default().on(Stage::End, Action::Hold));
    let installation = installation.with("GUESTLIST_DRAIN", "2m");
    installation.invite(1);
    let mut worker = Worker::listening(&installation.command_line, "worker");
    installation.until_letters(1);
    worker.signal("TERM");
    until_fails(&worker, "worker");
    assert_eq!(get(worker.address(), "/healthz").status, 200);
    installation.release();
    assert_eq!(worker.ended(), 0, "{}", worker.log());
    assert!(ask(worker.address(), "GET /healthz HTTP/1.1\r\n\r\n").is_err());
}

#[test]
fn health_endpoint_is_read_only() {
    let command_line = CommandLine::on_sqlite();
    let worker = Worker::listening(&command_line, "worker");
    let address = worker.address();
    assert_eq!(get(address, "/").status, 404);
    assert_eq!(get(address, "/metrics/../healthz").status, 404);
    let post = "POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let answer = ask(address, post).unwrap();
    assert_eq!(answer.status, 405);
    assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    // The server answers with an error, or closes the connection before all of it was written.
    if let Ok(answer) = ask(address, &long) {
        assert!(
            answer.status == 0 || answer.status >= 400,
            "{}",
            answer.head
        );
    }
    assert_eq!(get(address, "/healthz").status, 200);
}

#[test]
fn slow_scrapers_delay_neither_letters_nor_others() {
    let installation = Installation::new();
    let mut worker = Worker::listening(&installation.command_line, "worker");
    let address = worker.address();
    // More connections than are served at a time: half never finish their request, half never
    // read the answer.
    let slow: Vec<TcpStream> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(address).unwrap();
            let request: &[u8] = if n % 2 == 0 {
                b"GET /me"
            } else {
                b"GET /metrics HTTP/1.1\r\n\r\n"
            };
            stream.write_all(request).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    installation.invite(200);
    installation.until_done();
    installation.assert_delivered(200);
    assert_eq!(get(address, "/healthz").status, 200);
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
    drop(slow);
    worker.stop();
    assert_eq!(worker.warnings(), [""; 0]);
}

#[test]
fn invalid_listen_address_is_refused_before_the_start() {
    let command_line = CommandLine::on_sqlite();
    for address in [
        "9100",
        "localhost:9100",
        "127.0.0.1",
        "127.0.0.1:70000",
        ":9100",
    ] {
        let ran = command_line
            .run(&format!("work --listen {address}"))
            .ended(2);
        assert!(ran.stderr.contains("such as 127.0.0.1:9100"), "{ran:?}");
        let ran = command_line
            .run(&format!("work --listen {address} --json"))
            .ended(2);
        assert_eq!(ran.object()["invalid"], "usage");
        assert!(
            text(&ran.object()["argument"]).contains("--listen"),
            "{ran:?}"
        );
    }
    let files = std::fs::read_dir(command_line.folder()).unwrap();
    assert_eq!(files.count(), 0, "the database was opened");
}

#[test]
fn used_port_is_reported_before_the_start() {
    let command_line = CommandLine::on_sqlite();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let ran = command_line
        .run(&format!("work --listen {address} --json"))
        .ended(1);
    let told = ran.object();
    assert_eq!(told["error"], "listen", "{ran:?}");
    let message = text(&told["message"]);
    assert!(message.contains(&address.to_string()), "{message}");
    assert!(
        message.contains("another program already listens there"),
        "{message}"
    );
    let files = std::fs::read_dir(command_line.folder()).unwrap();
    assert_eq!(files.count(), 0, "the database was opened");
}
