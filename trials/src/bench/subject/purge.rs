//! The end of sessions, and whom it holds up.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use guestlist::{Guestlist, OrganizationId, UserId};
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::PATIENCE;
use crate::bench::environment::Stage;
use crate::bench::fill::Filler;
use crate::bench::row::{self, Bar, Row};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::{Times, milliseconds};
use crate::bench::store::Store;

/// How many sessions a member has, but for the one with many.
const SESSIONS: u64 = 3;

/// How often is looked for the sessions of who was removed: how exactly a time is known.
const LOOK: Duration = Duration::from_micros(500);

/// How long nobody is removed between two.
const PAUSE: Duration = Duration::from_millis(20);

/// What a command has to take for Redis to remember it, in microseconds.
const REMEMBERED: u64 = 50;

/// A session as a store of sessions keeps it.
const SESSION: &[u8] = &[b's'; 200];

/// How many sessions are stored in Redis by one pipeline.
const PIPELINE: usize = 1_000;

/// Records sessions of a member, as the host does at each sign-in.
const RECORD: &str = "
    INSERT INTO guestlist_sessions (organization_id, user_id, session, recorded_at)
    SELECT $1, $2, 'session-' || $2 || '-' || n, now() FROM generate_series(1, $3::bigint) AS n";

const ENDED: &str = "guestlist_sessions WHERE ended_at IS NOT NULL";

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let mut rows = among_letters(stage).await?;
    rows.extend(many(stage).await?);
    Ok(rows)
}

/// One member after the other is removed while letters keep the worker busy.
async fn among_letters(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (removals, backlog) = (stage.amounts.removals, stage.amounts.backlog);
    let (guestlist, times) = (stage.guestlist()?, u64::from(stage.repeat));
    let store = stage.store().await?;
    let filler = Filler::new(stage, &store, stage.amounts.organizations).await?;
    filler.members(removals * times).await?;
    filler.backlog(1, backlog * 3 / 2).await?;
    let mut redis = connect(stage).await?;
    for n in 1..=removals * times {
        let (organization, user) = filler.member(n);
        sign_in(&store, &mut redis, organization, &user, SESSIONS).await?;
    }
    store.settle().await?;
    let sink = SmtpSink::start(&stage.folder).await?;
    let worker = stage.work(&store, sink.url(), &[])?;
    while sink.taken()? == 0 {
        sleep(PAUSE).await;
    }
    let lowest = Cell::new(u64::MAX);
    let (mut median, mut worst_of_hundred) = (Vec::new(), Vec::new());
    let removing = async {
        for time in 1..=times {
            let what = format!("{removals} removals among {backlog} letters");
            stage
                .progress
                .time(u16::try_from(time)?, stage.repeat, what);
            let mut took = Times::new();
            for n in (time - 1) * removals + 1..=time * removals {
                let (organization, user) = filler.member(n);
                let owner = &filler.team(n).owner;
                let committed = remove(&store, &guestlist, owner, organization, &user).await?;
                until_gone(&mut redis, &user, committed).await?;
                took.note(committed.elapsed());
                sleep(PAUSE).await;
            }
            median.push(milliseconds(took.quantile(0.5)?));
            worst_of_hundred.push(milliseconds(took.quantile(0.99)?));
        }
        anyhow::Ok(())
    };
    tokio::select! {
        removed = removing => removed?,
        failed = refill(&store, &filler, backlog, &lowest) => match failed? {},
    }
    store.until_none(ENDED, PATIENCE).await?;
    store.require("guestlist_sessions", 0).await?;
    store
        .require(
            "guestlist_events WHERE kind = 'member_removed'",
            removals * times,
        )
        .await?;
    worker.kill().await?;
    stage.drop(store).await?;
    let measure = |share| {
        format!(
            "removal to the end of its sessions while {} letters or more wait, {share}",
            row::count(lowest.get())
        )
    };
    Ok(vec![
        Row::new("purge", measure("p50"), "ms", median)?.counted(removals),
        Row::new("purge", measure("p99"), "ms", worst_of_hundred)?
            .bar(Bar::Most(100.0))
            .counted(removals),
    ])
}

/// Keeps so many letters waiting, and notes how few there ever were.
async fn refill(
    store: &Store,
    filler: &Filler<'_>,
    backlog: u64,
    lowest: &Cell<u64>,
) -> anyhow::Result<Infallible> {
    let mut next = backlog * 3 / 2 + 1;
    loop {
        let waiting = store
            .count("guestlist_outbox WHERE kind = 'send_invitation'")
            .await?;
        lowest.set(lowest.get().min(waiting));
        if waiting < backlog * 5 / 4 {
            filler.backlog(next, backlog / 2).await?;
            next += backlog / 2;
        }
        sleep(PAUSE).await;
    }
}

/// A member with many sessions is removed, and nothing else happens.
async fn many(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (count, guestlist) = (stage.amounts.sessions, stage.guestlist()?);
    let store = stage.store().await?;
    let filler = Filler::new(stage, &store, 1).await?;
    filler.members(u64::from(stage.repeat)).await?;
    let sink = SmtpSink::start(&stage.folder).await?;
    let mut worker = stage.work(&store, sink.url(), &[])?;
    let mut redis = connect(stage).await?;
    let (mut longest, mut waited, mut total) = (Vec::new(), Vec::new(), Vec::new());
    for time in 1..=stage.repeat {
        stage.progress.time(
            time,
            stage.repeat,
            format!("{count} sessions of one member"),
        );
        let (organization, user) = filler.member(time.into());
        sign_in(&store, &mut redis, organization, &user, count).await?;
        store.settle().await?;
        for line in [
            format!("CONFIG SET slowlog-log-slower-than {REMEMBERED}"),
            "CONFIG SET slowlog-max-len 100000".to_owned(),
            "SLOWLOG RESET".to_owned(),
        ] {
            stage.redis.command(&line).await?;
        }
        let slowest_answer = Cell::new(Duration::ZERO);
        let committed = remove(
            &store,
            &guestlist,
            &filler.team(0).owner,
            organization,
            &user,
        )
        .await?;
        let ended = tokio::select! {
            ended = store.until_none(ENDED, PATIENCE) => ended?,
            failed = ask(stage, &slowest_answer) => match failed? {},
        };
        worker.require_running()?;
        total.push(milliseconds(ended - committed));
        longest.push(longest_command(&mut redis).await?);
        waited.push(milliseconds(slowest_answer.get()));
        let left = left(&mut redis, &user, count).await?;
        anyhow::ensure!(left == 0, "{left} of {count} sessions are left in Redis");
        store.require("guestlist_sessions", 0).await?;
    }
    worker.kill().await?;
    stage.drop(store).await?;
    Ok(vec![
        Row::new(
            "purge",
            format!(
                "longest command of Redis while {} sessions end",
                row::count(count)
            ),
            "ms",
            longest,
        )?
        .bar(Bar::Most(5.0))
        .counted(count),
        Row::new(
            "purge",
            "longest answer to another client meanwhile",
            "ms",
            waited,
        )?,
        Row::new(
            "purge",
            format!("removal to the end of {} sessions", row::count(count)),
            "ms",
            total,
        )?
        .counted(count),
    ])
}

async fn connect(stage: &Stage) -> anyhow::Result<MultiplexedConnection> {
    let client = redis::Client::open(stage.redis.url())?;
    Ok(client.get_multiplexed_async_connection().await?)
}

fn sessions(user: &UserId, count: u64) -> Vec<String> {
    let name = |n| format!("session-{}-{n}", user.as_str());
    (1..=count).map(name).collect()
}

/// Records sessions and stores them in Redis.
async fn sign_in(
    store: &Store,
    redis: &mut MultiplexedConnection,
    organization: OrganizationId,
    user: &UserId,
    count: u64,
) -> anyhow::Result<()> {
    sqlx::query(RECORD)
        .bind(organization.as_uuid())
        .bind(user.as_str())
        .bind(i64::try_from(count)?)
        .execute(store.pool()?)
        .await?;
    for sessions in sessions(user, count).chunks(PIPELINE) {
        let mut pipeline = redis::pipe();
        for session in sessions {
            pipeline.cmd("SET").arg(session).arg(SESSION).ignore();
        }
        pipeline.query_async::<()>(redis).await?;
    }
    let left = left(redis, user, count).await?;
    anyhow::ensure!(left == count, "{left} of {count} sessions are in Redis");
    Ok(())
}

/// How many of a member's sessions are in Redis.
async fn left(redis: &mut MultiplexedConnection, user: &UserId, count: u64) -> anyhow::Result<u64> {
    let mut left = 0;
    for sessions in sessions(user, count).chunks(PIPELINE) {
        left += redis::cmd("EXISTS")
            .arg(sessions)
            .query_async::<u64>(redis)
            .await?;
    }
    Ok(left)
}

/// Removes a member, and says when that was committed.
async fn remove(
    store: &Store,
    guestlist: &Guestlist,
    owner: &UserId,
    organization: OrganizationId,
    user: &UserId,
) -> anyhow::Result<Instant> {
    let mut transaction = store.database.begin().await?;
    guestlist
        .act(owner)
        .in_organization(organization)
        .remove(&mut transaction, user)
        .await?;
    transaction.commit().await?;
    Ok(Instant::now())
}

async fn until_gone(
    redis: &mut MultiplexedConnection,
    user: &UserId,
    committed: Instant,
) -> anyhow::Result<()> {
    while left(redis, user, SESSIONS).await? > 0 {
        anyhow::ensure!(
            committed.elapsed() < PATIENCE,
            "the sessions of {user} did not end"
        );
        sleep(LOOK).await;
    }
    Ok(())
}

/// Asks Redis over and over, as another client does, and notes the slowest answer.
async fn ask(stage: &Stage, slowest: &Cell<Duration>) -> anyhow::Result<Infallible> {
    let mut redis = connect(stage).await?;
    loop {
        let asked = Instant::now();
        redis::cmd("PING").query_async::<String>(&mut redis).await?;
        slowest.set(slowest.get().max(asked.elapsed()));
        sleep(LOOK).await;
    }
}

/// The milliseconds of the longest command that Redis remembers, or of what it does not remember.
async fn longest_command(redis: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    let entries: Vec<Vec<redis::Value>> = redis::cmd("SLOWLOG")
        .arg("GET")
        .arg(100_000)
        .query_async(redis)
        .await?;
    let mut longest = REMEMBERED;
    for entry in entries {
        let took = entry.into_iter().nth(2);
        let took: u64 = redis::from_redis_value(took.unwrap_or(redis::Value::Nil))?;
        longest = longest.max(took);
    }
    Ok(Duration::from_micros(longest).as_secs_f64() * 1e3)
}
