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
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use guestlist::{Database, Error, Guestlist, Key, Transaction, User};
use guestlist_testkit::redis::Reply;
use sqlx::{AssertSqlSafe, query_scalar};

use self::every_operation::{PEOPLE, perform_every_operation};
use self::token_candidates::candidates;
use crate::installation::Installation;
use crate::support::{CommandLine, Ran};
use crate::tables::{Dialect, dump};
use crate::worker::eventually;

#[path = "at_rest/every_operation.rs"]
mod every_operation;
#[path = "at_rest/token_candidates.rs"]
mod token_candidates;

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
        let held: Reply = match kind.as_str() {
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

fn plain(reply: &Reply) -> String {
    match reply {
        Reply::Text(text) => text.clone(),
        Reply::List(replies) => replies.iter().map(plain).collect::<Vec<_>>().join(" "),
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
    perform_every_operation(command_line, &mut stored, |worker, stored| {
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
    perform_every_operation(command_line, &mut stored, |_, stored| {
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
