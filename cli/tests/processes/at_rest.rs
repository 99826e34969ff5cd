//! Every operation with all logs at their most verbose level; nothing stored afterwards may open an
//! invitation.
//!
//! All stored data (every column of every table, all of Redis while letters wait in it and
//! afterwards, the logs of hosts and workers, the file of an embedded database) is searched for
//! possible tokens, as stored and decoded, and each finding is passed to `open` and `accept`. The
//! letters are searched in the same way, which shows that the search finds tokens.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use guestlist::{Database, Error, Guestlist, Key, Transaction, User};
use sqlx::{AssertSqlSafe, query_scalar};

use crate::installation::Installation;
use crate::support::{CommandLine, Ran, text};
use crate::tables::{Dialect, dump};
use crate::worker::{Worker, eventually};

/// The possible lengths of a token in bytes: version, length, key id, invitation, MAC.
const BYTES: std::ops::RangeInclusive<usize> = 51..=66;

/// The first byte of a token; `tokens.rs` of the library shows that no other is accepted.
const VERSION: u8 = 1;

/// All stored data that was found, by its location.
#[derive(Default)]
struct StoredData(BTreeMap<String, Vec<u8>>);

impl StoredData {
    fn add(&mut self, place: &str, bytes: impl AsRef<[u8]>) {
        let all = self.0.entry(place.to_owned()).or_default();
        all.extend_from_slice(bytes.as_ref());
        all.push(b'\n');
    }

    /// Runs a command and keeps its log and, if it fails, its message.
    fn run(&mut self, command_line: &CommandLine, line: &str) -> Ran {
        self.keep(command_line.run(line))
    }

    fn keep(&mut self, ran: Ran) -> Ran {
        self.add("the log of a host", &ran.stderr);
        if ran.status != 0 {
            self.add("the answer of a host", &ran.stdout);
        }
        ran
    }
}

/// The library as a host uses it, to try the findings.
struct TokenCheck {
    database: Database,
    guestlist: Guestlist,
}

impl TokenCheck {
    async fn to(url: &str, key: &Key) -> Self {
        let keys = guestlist::KeyRing::of(key.clone());
        Self {
            database: Database::connect(url, 2).await.unwrap(),
            guestlist: Guestlist::builder().key_ring(keys).build(),
        }
    }

    async fn tables(&self) -> String {
        let lines = match &self.database {
            Database::Postgres(pool) => {
                let ask = async |sql: String| {
                    query_scalar(AssertSqlSafe(sql))
                        .fetch_all(pool)
                        .await
                        .unwrap()
                };
                dump(Dialect::Postgres, ask).await
            }
            Database::Sqlite(pool) => {
                let ask = async |sql: String| {
                    query_scalar(AssertSqlSafe(sql))
                        .fetch_all(pool)
                        .await
                        .unwrap()
                };
                dump(Dialect::Sqlite, ask).await
            }
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        lines.join("\n")
    }

    /// The texts that are or were a token: those not answered like nonsense.
    async fn opened<'t>(&self, texts: &'t HashSet<String>) -> Vec<&'t str> {
        let mut tx = self.database.begin().await.unwrap();
        let mut opened = Vec::new();
        for text in texts {
            if self.opens(&mut tx, text).await {
                opened.push(text.as_str());
            }
        }
        tx.rollback().await.unwrap();
        opened
    }

    async fn opens(&self, tx: &mut Transaction, text: &str) -> bool {
        let guest = User::new("guest".parse().unwrap(), "p5@acme.example".parse().unwrap());
        let opened = self.guestlist.open(&mut *tx, text).await;
        let accepted = self.guestlist.accept(tx, text, &guest).await;
        let is_nonsense = |error| matches!(error, Some(Error::InvalidToken));
        !(is_nonsense(opened.err()) && is_nonsense(accepted.err()))
    }
}

/// Everything in these bytes that may be a token, as stored or behind one layer of encoding.
fn candidates(bytes: &[u8]) -> HashSet<String> {
    let mut found = HashSet::new();
    for layer in [bytes.to_vec(), unfolded(bytes), percent_decoded(bytes)] {
        collect(&layer, &mut found);
        for engine in [&URL_SAFE_NO_PAD, &STANDARD_NO_PAD] {
            for blob in runs(&layer, is_base64).filter_map(|run| decoded(engine, run)) {
                collect(&blob, &mut found);
            }
        }
        for blob in runs(&layer, |byte| byte.is_ascii_hexdigit()).flat_map(unhexed) {
            collect(&blob, &mut found);
        }
    }
    found
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_+/".contains(&byte)
}

fn collect(bytes: &[u8], found: &mut HashSet<String>) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    for run in runs(bytes, is_token) {
        for length in BYTES.map(|bytes| (bytes * 4).div_ceil(3)) {
            let texts = run
                .windows(length)
                .map(|window| String::from_utf8_lossy(window).into_owned());
            found.extend(texts);
        }
    }
    for length in BYTES {
        let blobs = bytes.windows(length).filter(|window| window[0] == VERSION);
        found.extend(blobs.map(|window| URL_SAFE_NO_PAD.encode(window)));
    }
}

fn runs(bytes: &[u8], is_part: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(move |byte| !is_part(*byte))
        .filter(|run| run.len() >= *BYTES.start())
}

/// Decodes from each of the four positions at which a group can begin.
fn decoded(engine: &GeneralPurpose, run: &[u8]) -> Option<Vec<u8>> {
    let blobs = (0..4).filter_map(|skipped| {
        let run = &run[skipped..];
        (0..3).find_map(|left| engine.decode(&run[..run.len() - left]).ok())
    });
    blobs.reduce(|mut all, blob| {
        all.extend(blob);
        all
    })
}

fn unhexed(run: &[u8]) -> Vec<Vec<u8>> {
    let from = |skipped: usize| {
        let digits = run[skipped..].chunks_exact(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    vec![from(0), from(1)]
}

/// Removes the soft line breaks and escapes of quoted-printable (RFC 2045 section 6.7).
fn unfolded(bytes: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = String::from_utf8_lossy(bytes)
        .replace("=\r\n", "")
        .replace("=\n", "")
        .into_bytes();
    escapes(&text, b'=')
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    escapes(bytes, b'%')
}

fn escapes(bytes: &[u8], sign: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match escaped {
            Some(byte) if first == sign => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

/// The work of a host and an operator: everyone is invited, then every operation is done to some.
fn live(
    command_line: &CommandLine,
    stored: &mut StoredData,
    midway: impl FnOnce(&mut Worker, &mut StoredData),
) {
    let created = stored
        .run(
            command_line,
            "organization create Acme --owner ann --email ann@acme.example --json",
        )
        .done();
    let acme = text(&created.object()["organization"]);
    let rows: String = (0..PEOPLE)
        .map(|n| format!("p{n}@acme.example\n"))
        .collect();
    command_line.write("people.csv", format!("email\n{rows}"));
    let invited = stored
        .run(
            command_line,
            &format!("invite --file people.csv --role agent --organization {acme} --as ann --json"),
        )
        .done();
    let ids: Vec<String> = invited
        .json()
        .iter()
        .map(|row| text(&row["invitation"]))
        .collect();
    let mut worker = Worker::ready(command_line, "first");
    midway(&mut worker, stored);
    let letters = command_line.folder().join("letters");
    let sent = || fs::read_dir(&letters).map_or(0, Iterator::count);
    eventually("every letter is sent", || sent() >= PEOPLE);
    let link = |stored: &mut StoredData, n: usize| {
        let shown = stored
            .run(command_line, &format!("link {} --as ann --json", ids[n]))
            .done();
        text(&shown.object()["link"])
    };
    for n in 0..4 {
        let link = link(stored, n);
        let accept = format!("accept - --user u{n} --email p{n}@acme.example");
        stored
            .keep(command_line.run_with_stdin(&accept, &link))
            .done();
        stored
            .run(
                command_line,
                &format!("session record s{n} --user u{n} --organization {acme}"),
            )
            .done();
    }
    let (used, open, broken) = (
        link_of(command_line, &ids[4]),
        link_of(command_line, &ids[5]),
        link_of(command_line, &ids[6]),
    );
    stored
        .run(
            command_line,
            &format!("accept {open} --user x --email x@acme.example"),
        )
        .ended(3);
    stored
        .run(
            command_line,
            &format!("accept {open}x --user u5 --email p5@acme.example"),
        )
        .ended(3);
    stored
        .run(
            command_line,
            &format!(
                "accept {}{} --user u6 --email p6@acme.example --json",
                &broken[..broken.len() - 1],
                if broken.ends_with('A') { 'Q' } else { 'A' }
            ),
        )
        .ended(3);
    stored
        .run(
            command_line,
            &format!("accept {open} --user u5 --email nonsense"),
        )
        .ended(2);
    stored.run(command_line, &format!("decline {used}")).done();
    stored
        .run(command_line, &format!("decline {used} --json"))
        .done();
    stored
        .run(command_line, &format!("revoke {} --as ann", ids[7]))
        .done();
    stored
        .run(command_line, &format!("resend {} --as ann", ids[8]))
        .done();
    stored
        .run(
            command_line,
            &format!("change-role u1 manager --organization {acme} --as ann"),
        )
        .done();
    stored
        .run(
            command_line,
            &format!("remove u2 --organization {acme} --as ann"),
        )
        .done();
    stored
        .run(
            command_line,
            &format!("leave --organization {acme} --as u3"),
        )
        .done();
    eventually("every job is done", || command_line.all("jobs").is_empty());
    worker.stop();
    assert!(worker.said(" TRACE ") > 0, "the log is not at its loudest");
    stored.add("the log of a worker", worker.log());
    for line in [
        "organization list",
        "events",
        "members",
        "invitations",
        "jobs",
    ] {
        let line = if line.contains(' ') || line == "jobs" {
            line.to_owned()
        } else {
            format!("{line} --organization {acme}")
        };
        let listed = stored.run(command_line, &format!("{line} --json")).done();
        stored.add("what is listed", listed.stdout);
    }
}

fn link_of(command_line: &CommandLine, invitation: &str) -> String {
    text(&command_line.one(&format!("link {invitation} --as ann"))["link"])
}

const PEOPLE: usize = 60;

fn loud(command_line: CommandLine, key: &Key) -> CommandLine {
    command_line
        .with("GUESTLIST_KEYS", &key.expose())
        .with("GUESTLIST_LIMITS", "none")
        .with("SMTP_URL", "file:letters")
        .with("RUST_LOG", "trace")
}

/// Asserts that no stored data opens an invitation, and that the letters do.
async fn search(command_line: &CommandLine, stored: &StoredData, check: &TokenCheck, key: &Key) {
    let letters: Vec<u8> = fs::read_dir(command_line.folder().join("letters"))
        .unwrap()
        .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    let in_letters = candidates(&letters);
    let opened = check.opened(&in_letters).await.len();
    assert!(
        opened >= PEOPLE,
        "the search finds {opened} tokens in {PEOPLE} letters"
    );
    let mut offered = 0;
    for (place, bytes) in &stored.0 {
        let found = candidates(bytes);
        offered += found.len();
        let opened = check.opened(&found).await;
        assert!(
            opened.is_empty(),
            "{place} holds {} usable tokens",
            opened.len()
        );
        assert!(!holds_secret(bytes, key), "{place} holds the key");
    }
    println!("measured: {offered} stored texts offered in vain, {opened} of the letters' opened");
}

fn holds_secret(bytes: &[u8], key: &Key) -> bool {
    let exposed = key.expose();
    let secret = STANDARD.decode(exposed.split_once(':').unwrap().1).unwrap();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let forms = [
        secret.clone(),
        STANDARD_NO_PAD.encode(&secret).into_bytes(),
        URL_SAFE_NO_PAD.encode(&secret).into_bytes(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
    ];
    forms
        .iter()
        .any(|form| bytes.windows(form.len()).any(|window| window == form))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// Every key of a Redis with its content, of any type.
fn redis_at_rest(installation: &Installation) -> String {
    let mut lines = Vec::new();
    for key in installation.redis::<Vec<String>>("KEYS *") {
        let kind: String = installation.redis(&format!("TYPE {key}"));
        let held: redis::Value = match kind.as_str() {
            "string" => installation.redis(&format!("GET {key}")),
            "hash" => installation.redis(&format!("HGETALL {key}")),
            "list" => installation.redis(&format!("LRANGE {key} 0 -1")),
            "set" => installation.redis(&format!("SMEMBERS {key}")),
            "zset" => installation.redis(&format!("ZRANGE {key} 0 -1 WITHSCORES")),
            other => panic!("{key} is a {other}"),
        };
        lines.push(format!("{key} = {}", plain(&held)));
    }
    lines.join("\n")
}

fn plain(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::Array(items) | redis::Value::Set(items) => {
            items.iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        redis::Value::Map(pairs) => pairs
            .iter()
            .map(|(one, two)| format!("{}={}", plain(one), plain(two)))
            .collect::<Vec<_>>()
            .join(" "),
        other => format!("{other:?}"),
    }
}

#[test]
fn no_usable_token_is_stored_anywhere() {
    let key = Key::generate();
    let installation = Installation::without_mail_server(loud(CommandLine::on_postgres(), &key));
    let installation = installation.with("SMTP_URL", "file:letters");
    let command_line = &installation.command_line;
    let mut stored = StoredData::default();
    live(command_line, &mut stored, |worker, stored| {
        // The worker is paused while letters wait in Redis.
        eventually("the worker is stopped with letters in the queue", || {
            if installation.tasks() == 0 {
                return false;
            }
            worker.signal("STOP");
            let waiting = installation.tasks();
            if waiting > 0 {
                let held = redis_at_rest(&installation);
                assert!(held.contains("generation"), "{held}");
                stored.add("Redis during the work", held);
                let url = command_line.database_url();
                let tables = async { TokenCheck::to(&url, &key).await.tables().await };
                stored.add("the tables during the work", block_on(tables));
            }
            worker.signal("CONT");
            waiting > 0
        });
    });
    stored.add("Redis afterwards", redis_at_rest(&installation));
    block_on(async {
        let check = TokenCheck::to(&command_line.database_url(), &key).await;
        stored.add("the tables", check.tables().await);
        search(command_line, &stored, &check, &key).await;
        check.database.close().await;
    });
}

#[test]
fn sqlite_files_hold_no_usable_token() {
    let key = Key::generate();
    let command_line = &loud(CommandLine::on_sqlite(), &key);
    let mut stored = StoredData::default();
    live(command_line, &mut stored, |_, stored| {
        for file in fs::read_dir(command_line.folder())
            .unwrap()
            .map(|file| file.unwrap().path())
        {
            if file.is_file() {
                stored.add(
                    &format!("{} during the work", file.display()),
                    fs::read(&file).unwrap(),
                );
            }
        }
    });
    block_on(async {
        let check = TokenCheck::to(&command_line.database_url(), &key).await;
        stored.add("the tables", check.tables().await);
        for file in fs::read_dir(command_line.folder())
            .unwrap()
            .map(|file| file.unwrap().path())
        {
            if file.is_file() {
                stored.add(&file.display().to_string(), fs::read(&file).unwrap());
            }
        }
        search(command_line, &stored, &check, &key).await;
        check.database.close().await;
    });
}
