//! The command that checks everything the worker needs, with one line for each check.

use std::fmt::Display;
use std::time::Duration;

use chrono::SecondsFormat;
use guestlist::worker::{self, TriedLetters};
use guestlist::{Database, Key, Schema};
use guestlist_jobs::config::{Config, SessionStoreConfig};
use guestlist_jobs::letters::Letters;
use guestlist_jobs::mailer::{Mailer, MailerSettings};
use guestlist_jobs::queue::QueueError;
use guestlist_jobs::{AttemptLog, clock_skew, is_too_much_skew, work};
use serde_json::json;

use super::failure::{Done, Status};
use super::output::Output;

/// The longest time for one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

const NO_DATABASE: &str = "the database does not answer";

/// The result of one check.
enum Finding {
    Healthy(String),
    Broken(String),
    /// Skipped, because another check has failed, which has to be corrected first.
    Skipped(&'static str),
}

use Finding::{Broken, Healthy, Skipped};

/// The checks of one run; each is printed as soon as it is done.
struct Checks {
    output: Output,
    broken: bool,
}

impl Checks {
    fn report(&mut self, check: &str, finding: Finding) -> Result<(), super::Failure> {
        let (status, detail) = match finding {
            Healthy(detail) => ("ok", detail),
            Broken(detail) => {
                self.broken = true;
                ("failed", detail)
            }
            Skipped(why) => ("skipped", format!("not checked, because {why}")),
        };
        let object = json!({ "check": check, "status": status, "detail": detail });
        self.output
            .sentence(object, format_args!("{status:<8} {check:<9} {detail}"))?;
        Ok(())
    }
}

/// Checks database, tables, clock, session stores, Redis, mail server, keys and letters. It changes
/// nothing, but creates the embedded database like every command.
pub(crate) async fn run(config: &Config, output: Output) -> Done {
    let mut checks = Checks {
        output,
        broken: false,
    };
    let database = database(config, &mut checks).await?;
    let redis = redis(config, database.as_ref()).await;
    let redis_is_healthy = matches!(redis, Healthy(_));
    checks.report("redis", redis)?;
    let sessions = sessions(config, database.as_ref(), redis_is_healthy).await;
    checks.report("sessions", sessions)?;
    checks.report("smtp", smtp(config, database.as_ref()).await)?;
    checks.report("keys", keys(config))?;
    checks.report("templates", templates(config))?;
    if let Some(database) = database {
        database.close().await;
    }
    Ok(if checks.broken {
        Status::Fault
    } else {
        Status::Done
    })
}

async fn database(
    config: &Config,
    checks: &mut Checks,
) -> Result<Option<Database>, super::Failure> {
    let database = match within(config.connect(1)).await {
        Ok(database) => database,
        Err(why) => {
            let why = format!("{why}: repair the database, or correct DATABASE_URL");
            checks.report("database", Broken(why))?;
            for check in ["schema", "clock"] {
                checks.report(check, Skipped(NO_DATABASE))?;
            }
            return Ok(None);
        }
    };
    let writing = within(writing(&database)).await.unwrap_or_else(Broken);
    checks.report("database", writing)?;
    checks.report(
        "schema",
        within(schema(&database)).await.unwrap_or_else(Broken),
    )?;
    checks.report(
        "clock",
        within(clock(config, &database))
            .await
            .unwrap_or_else(Broken),
    )?;
    Ok(Some(database))
}

/// Checks that the database accepts writes.
async fn writing(database: &Database) -> Result<Finding, guestlist::Error> {
    if let Some(reason) = worker::read_only(database).await? {
        return Ok(Broken(format!(
            "{reason}: make it writable, or correct DATABASE_URL"
        )));
    }
    let kind = match database {
        Database::Postgres(_) => "Postgres answers",
        Database::PostgresPooler(_) => "Postgres answers through its pooler",
        Database::Sqlite(_) => "the SQLite file can be used",
        _ => "the database answers",
    };
    Ok(Healthy(kind.to_owned()))
}

async fn schema(database: &Database) -> Result<Finding, guestlist::Error> {
    let embedded = matches!(database, Database::Sqlite(_));
    let mut connection = database.acquire().await?;
    Ok(match Schema::of(&mut connection).await? {
        Schema::Current => rights(&worker::missing_rights(&mut connection).await?),
        Schema::Missing | Schema::Outdated if embedded => {
            Healthy("the tables are created when the file is first used".to_owned())
        }
        Schema::Missing => Broken("there are no tables yet: run `guestlist migrate`".to_owned()),
        Schema::Outdated => {
            Broken("the tables are of an older version: run `guestlist migrate`".to_owned())
        }
        _ => Broken("the tables are of a newer version than this program".to_owned()),
    })
}

fn rights(missing: &[worker::Right]) -> Finding {
    if missing.is_empty() {
        return Healthy("the tables are up to date".to_owned());
    }
    let grants = missing
        .iter()
        .map(|right| format!("GRANT {right} TO CURRENT_USER"));
    Broken(format!(
        "the worker's role lacks rights on tables: run as their owner, with the role's name in the place of CURRENT_USER: {}",
        grants.collect::<Vec<_>>().join("; ")
    ))
}

async fn clock(config: &Config, database: &Database) -> Result<Finding, guestlist::Error> {
    let guestlist = config.guestlist(guestlist::KeyRing::default());
    let skew = clock_skew(&guestlist, database).await?;
    let millis = skew.num_milliseconds();
    Ok(if is_too_much_skew(skew) {
        Broken(format!(
            "this machine's clock is {millis} ms ahead of the database's: the worker does nothing until the clock is correct"
        ))
    } else {
        Healthy(format!(
            "this machine's clock is {millis} ms ahead of the database's"
        ))
    })
}

/// Deletes a session that does not exist from every store, which is all that a purge does. A store
/// in the queue's Redis is skipped if that check failed.
async fn sessions(config: &Config, database: Option<&Database>, redis_is_healthy: bool) -> Finding {
    let Some(database) = database else {
        return Skipped(NO_DATABASE);
    };
    let stores = work::sessions(config, database);
    let nobody = format!("guestlist-doctor-{}", uuid::Uuid::now_v7());
    let nobody = [nobody.parse().expect("a session key")];
    let mut are_all_checked = true;
    for (place, store) in config.sessions.iter().zip(&stores) {
        let (is_in_queue, variable) = match place {
            SessionStoreConfig::Sql { .. } => (false, "GUESTLIST_SESSIONS"),
            SessionStoreConfig::Redis { url, .. } => (
                Some(url) == config.redis_url.as_ref(),
                "GUESTLIST_SESSIONS_REDIS_URL",
            ),
        };
        if is_in_queue && !redis_is_healthy {
            are_all_checked = false;
        } else if let Err(why) = within(store.delete(&nobody)).await {
            return Broken(format!("{}: {why}: correct {variable}", store.name()));
        }
    }
    if !are_all_checked {
        return Skipped("a session store is in that Redis");
    }
    Healthy(match stores.len() {
        0 => "no store is configured, so removed members' sessions are not deleted".to_owned(),
        _ => "sessions can be deleted".to_owned(),
    })
}

/// Does in Redis what a worker does, on keys of its own beside those of the workers' queue.
async fn redis(config: &Config, database: Option<&Database>) -> Finding {
    if config.redis_url.is_none() {
        return Healthy("not configured; the queue is in the memory of the worker".to_owned());
    }
    // Without a database, the keys of no installation are tried.
    let installation = async {
        worker::installation(&mut database?.acquire().await.ok()?)
            .await
            .ok()
    };
    let queue = work::queue(config, installation.await.unwrap_or_default());
    let check = async {
        match queue.check().await {
            Err(why @ QueueError::Rights { .. }) => Ok(Broken(why.to_string())),
            checked => checked.map(|health| Healthy(health.to_string())),
        }
    };
    let finding = within(check).await;
    finding.unwrap_or_else(|why| Broken(format!("{why}: start it, or correct REDIS_URL")))
}

/// Signs in to the mail server, and reads what the workers found out about it lately.
async fn smtp(config: &Config, database: Option<&Database>) -> Finding {
    let mut settings = MailerSettings::default();
    settings.deadlines.connect = CHECK_TIMEOUT / 2;
    settings.deadlines.greeting = CHECK_TIMEOUT / 2;
    let mailer = Mailer::new(config.mailer.clone(), settings);
    let address = &config.from.address;
    let envelope = config.envelope_from.as_ref();
    let envelope = envelope.map_or(address, |envelope| &envelope.address);
    let report = match within(mailer.check_sender(envelope, address)).await {
        Ok(report) => report,
        Err(why) => {
            return Broken(format!(
                "{why}: repair the mail server, or correct SMTP_URL"
            ));
        }
    };
    let rate = config
        .smtp_rate
        .map(|rate| format!("; at most {rate} over all workers"));
    let well = format!("{report}{}", rate.unwrap_or_default());
    // A database that does not answer is reported by its own check.
    let Some(database) = database else {
        return Healthy(well);
    };
    let finding = within(mail_of_workers(config, database, &well)).await;
    finding.unwrap_or(Healthy(well))
}

/// Reads from the database whether the workers send letters, and how many were deferred lately.
async fn mail_of_workers(
    config: &Config,
    database: &Database,
    well: &str,
) -> Result<Finding, guestlist::Error> {
    let now = config.guestlist(guestlist::KeyRing::default()).now();
    let mut connection = database.acquire().await?;
    if let Some(pause) = worker::mail_pause(&mut connection, now).await? {
        return Ok(Broken(format!(
            "the mail server answers, but the worker {} sends no letter since {}: {}: see the log of \
             that worker",
            pause.worker,
            pause.since.to_rfc3339_opts(SecondsFormat::Secs, true),
            pause.reason
        )));
    }
    let tried = match config.attempt_log {
        AttemptLog::All(_) => worker::tried_letters(&mut connection, now).await?,
        _ => TriedLetters::default(),
    };
    Ok(Healthy(match tried.mass_deferral() {
        Some(deferral) => format!("{well}; {deferral}"),
        None => well.to_owned(),
    }))
}

fn keys(config: &Config) -> Finding {
    match config.keys.load() {
        Ok(ring) => {
            let signing = ring.signing().map_or("none", Key::id);
            Healthy(format!("the key {signing} signs links"))
        }
        Err(why) => Broken(why.to_string()),
    }
}

fn templates(config: &Config) -> Finding {
    let Some(folder) = &config.templates else {
        return Healthy("the built-in letters are used".to_owned());
    };
    match Letters::with_overrides(folder) {
        Ok((_, alerts)) if alerts.is_empty() => {
            Healthy(format!("the letters in {} are used", folder.display()))
        }
        Ok((_, alerts)) => {
            let alerts: Vec<String> = alerts.iter().map(ToString::to_string).collect();
            Broken(format!(
                "correct the letters in {}; until then built-in letters are used instead of: {}",
                folder.display(),
                alerts.join("; ")
            ))
        }
        Err(why) => Broken(why.to_string()),
    }
}

async fn within<T, E: Display>(check: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(CHECK_TIMEOUT, check).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(why)) => Err(why.to_string()),
        Err(_) => Err(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
    }
}
