//! Checks everything the worker needs, one line each.

use std::fmt::Display;
use std::time::Duration;

use guestlist::{Database, Key, Schema};
use guestlist_jobs::config::{Config, SessionStoreConfig};
use guestlist_jobs::letters::Letters;
use guestlist_jobs::mailer::{Deadlines, Mailer};
use guestlist_jobs::{clock_skew, is_too_much_skew, work};
use serde_json::json;

use super::failure::{Done, Status};
use super::output::Output;

/// How long a look at anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

const NO_DATABASE: &str = "the database does not answer";

/// What a look at one thing showed.
enum Finding {
    Well(String),
    Broken(String),
    /// Not looked at, for this reason: another finding, which is the one to mend.
    Unseen(&'static str),
}

use Finding::{Broken, Unseen, Well};

/// The checks of one run, each printed as soon as it is done.
struct Round {
    output: Output,
    broken: bool,
}

impl Round {
    fn report(&mut self, check: &str, finding: Finding) -> Result<(), super::Failure> {
        let (status, detail) = match finding {
            Well(detail) => ("ok", detail),
            Broken(detail) => {
                self.broken = true;
                ("failed", detail)
            }
            Unseen(why) => ("skipped", format!("not looked at, because {why}")),
        };
        let object = json!({ "check": check, "status": status, "detail": detail });
        self.output
            .sentence(object, format_args!("{status:<8} {check:<9} {detail}"))?;
        Ok(())
    }
}

/// Looks at database, tables, clock, session stores, Redis, mail server, keys and letters. Changes nothing, but
/// creates the embedded database like every command does.
pub(crate) async fn run(config: &Config, output: Output) -> Done {
    let mut round = Round {
        output,
        broken: false,
    };
    let database = database(config, &mut round).await?;
    let redis = redis(config).await;
    let redis_is_well = matches!(redis, Well(_));
    round.report("redis", redis)?;
    let sessions = sessions(config, database.as_ref(), redis_is_well).await;
    round.report("sessions", sessions)?;
    round.report("smtp", smtp(config).await)?;
    round.report("keys", keys(config))?;
    round.report("templates", templates(config))?;
    if let Some(database) = database {
        database.close().await;
    }
    Ok(if round.broken {
        Status::Fault
    } else {
        Status::Done
    })
}

async fn database(config: &Config, round: &mut Round) -> Result<Option<Database>, super::Failure> {
    let database = match within(config.connect(1)).await {
        Ok(database) => database,
        Err(why) => {
            let why = format!("{why}: mend that, or correct DATABASE_URL");
            round.report("database", Broken(why))?;
            for check in ["schema", "clock"] {
                round.report(check, Unseen(NO_DATABASE))?;
            }
            return Ok(None);
        }
    };
    let kind = match &database {
        Database::Postgres(_) => "Postgres answers",
        Database::Sqlite(_) => "the SQLite file can be used",
        _ => "the database answers",
    };
    round.report("database", Well(kind.to_owned()))?;
    round.report(
        "schema",
        within(schema(&database)).await.unwrap_or_else(Broken),
    )?;
    round.report(
        "clock",
        within(clock(config, &database))
            .await
            .unwrap_or_else(Broken),
    )?;
    Ok(Some(database))
}

async fn schema(database: &Database) -> Result<Finding, guestlist::Error> {
    let embedded = matches!(database, Database::Sqlite(_));
    Ok(match Schema::of(&mut database.acquire().await?).await? {
        Schema::Current => Well("the tables are up to date".to_owned()),
        Schema::Missing | Schema::Outdated if embedded => {
            Well("the tables are made when the file is first used".to_owned())
        }
        Schema::Missing => Broken("there are no tables yet: run `guestlist migrate`".to_owned()),
        Schema::Outdated => {
            Broken("the tables are of an older version: run `guestlist migrate`".to_owned())
        }
        _ => Broken("the tables are of a newer version than this program".to_owned()),
    })
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
        Well(format!(
            "this machine's clock is {millis} ms ahead of the database's"
        ))
    })
}

/// Deletes a session that does not exist from every store: what a purge needs, and nothing else. A store
/// in the queue's Redis is not asked where that is not well.
async fn sessions(config: &Config, database: Option<&Database>, redis_is_well: bool) -> Finding {
    let Some(database) = database else {
        return Unseen(NO_DATABASE);
    };
    let stores = work::sessions(config, database);
    let nobody = format!("guestlist-doctor-{}", uuid::Uuid::now_v7());
    let nobody = [nobody.parse().expect("a session key")];
    let mut is_seen = true;
    for (place, store) in config.sessions.iter().zip(&stores) {
        let (is_in_queue, variable) = match place {
            SessionStoreConfig::Sql { .. } => (false, "GUESTLIST_SESSIONS"),
            SessionStoreConfig::Redis { url, .. } => (
                Some(url) == config.redis_url.as_ref(),
                "GUESTLIST_SESSIONS_REDIS_URL",
            ),
        };
        if is_in_queue && !redis_is_well {
            is_seen = false;
        } else if let Err(why) = within(store.delete(&nobody)).await {
            return Broken(format!("{}: {why}: correct {variable}", store.name()));
        }
    }
    if !is_seen {
        return Unseen("they are in that Redis");
    }
    Well(match stores.len() {
        0 => "no store is configured, so removed members' sessions are not deleted".to_owned(),
        _ => "sessions can be deleted".to_owned(),
    })
}

async fn redis(config: &Config) -> Finding {
    if config.redis_url.is_none() {
        return Well("not configured; the queue lives inside the worker".to_owned());
    }
    let queue = work::queue(config, uuid::Uuid::nil());
    match within(queue.check()).await {
        Ok(health) => Well(health.to_string()),
        Err(why) => Broken(format!("{why}: start it, or correct REDIS_URL")),
    }
}

async fn smtp(config: &Config) -> Finding {
    let deadlines = Deadlines {
        connect: PATIENCE / 2,
        greeting: PATIENCE / 2,
        ..Deadlines::default()
    };
    let mailer = Mailer::new(config.mailer.clone(), 1, deadlines);
    match within(mailer.check()).await {
        Ok(report) => Well(match config.smtp_rate {
            Some(rate) => format!("{report}; at most {rate} over all workers"),
            None => report.to_string(),
        }),
        Err(why) => Broken(format!("{why}: mend that, or correct SMTP_URL")),
    }
}

fn keys(config: &Config) -> Finding {
    match config.keys.load() {
        Ok(ring) => {
            let signing = ring.signing().map_or("none", Key::id);
            Well(format!("the key {signing} signs links"))
        }
        Err(why) => Broken(why.to_string()),
    }
}

fn templates(config: &Config) -> Finding {
    let Some(folder) = &config.templates else {
        return Well("the built-in letters are used".to_owned());
    };
    match Letters::with_overrides(folder) {
        Ok((_, alerts)) if alerts.is_empty() => {
            Well(format!("the letters in {} are used", folder.display()))
        }
        Ok((_, alerts)) => {
            let alerts: Vec<String> = alerts.iter().map(ToString::to_string).collect();
            Broken(format!(
                "mend what is in {}, until then built-in letters are used instead of: {}",
                folder.display(),
                alerts.join("; ")
            ))
        }
        Err(why) => Broken(why.to_string()),
    }
}

async fn within<T, E: Display>(look: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(why)) => Err(why.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
