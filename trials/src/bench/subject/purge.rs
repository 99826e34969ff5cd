//! Ending the sessions of removed members, and its effect on Redis.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use guestlist::{Actor, Guestlist, OrganizationId, UserId};
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::WAIT_TIMEOUT;
use crate::bench::environment::Environment;
use crate::bench::fill::Filler;
use crate::bench::row::{self, Row, Target};
use crate::bench::smtp::SmtpSink;
use crate::bench::statistics::{Times, milliseconds};
use crate::bench::store::Store;

/// Number of sessions of a member, except of the one with many.
const SESSIONS: u64 = 3;

/// Interval at which Redis is queried, which is also the precision of the measured times.
const POLL_INTERVAL: Duration = Duration::from_micros(500);

/// Pause between two removals.
const PAUSE: Duration = Duration::from_millis(20);

/// Minimum duration in microseconds of commands in the slow log of Redis.
const SLOWLOG_THRESHOLD: u64 = 50;

/// The value of a session in Redis.
const SESSION: &[u8] = &[b's'; 200];

/// Number of sessions in one pipeline.
const PIPELINE: usize = 1_000;

/// Inserts sessions of a member, as the host does at each sign-in.
const RECORD: &str = "
    INSERT INTO guestlist_sessions (organization_id, user_id, session, recorded_at)
    SELECT $1, $2, 'session-' || $2 || '-' || n, now() FROM generate_series(1, $3::bigint) AS n";

const ENDED: &str = "guestlist_sessions WHERE ended_at IS NOT NULL";

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let mut rows = with_backlog(environment).await?;
    rows.extend(with_many_sessions(environment).await?);
    Ok(rows)
}

/// Removes one member after the other while the worker sends letters.
async fn with_backlog(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (removals, backlog) = (environment.amounts.removals, environment.amounts.backlog);
    let (guestlist, times) = (environment.guestlist()?, u64::from(environment.repeat));
    let store = environment.create_store().await?;
    let filler = Filler::new(environment, &store, environment.amounts.organizations).await?;
    filler.members(removals * times).await?;
    filler.backlog(1, backlog * 3 / 2).await?;
    let mut redis = connect(environment).await?;
    for n in 1..=removals * times {
        let (organization, user) = filler.member(n);
        sign_in(&store, &mut redis, organization, &user, SESSIONS).await?;
    }
    store.vacuum().await?;
    let sink = SmtpSink::start(&environment.folder).await?;
    let worker = environment.start_worker(&store, sink.url(), &[])?;
    while sink.received()? == 0 {
        sleep(PAUSE).await;
    }
    let lowest = Cell::new(u64::MAX);
    let (mut median, mut p99) = (Vec::new(), Vec::new());
    let removing = async {
        for repetition in 1..=times {
            let message = format!("{removals} removals, {backlog} letters waiting");
            environment.progress.report_repetition(
                u16::try_from(repetition)?,
                environment.repeat,
                message,
            );
            let mut took = Times::new();
            for n in (repetition - 1) * removals + 1..=repetition * removals {
                let (organization, user) = filler.member(n);
                let owner = &filler.team(n).owner;
                let committed = remove(&store, &guestlist, owner, organization, &user).await?;
                wait_until_ended(&mut redis, &user, committed).await?;
                took.record(committed.elapsed());
                sleep(PAUSE).await;
            }
            median.push(milliseconds(took.quantile(0.5)?));
            p99.push(milliseconds(took.quantile(0.99)?));
        }
        anyhow::Ok(())
    };
    tokio::select! {
        removed = removing => removed?,
        failed = refill(&store, &filler, backlog, &lowest) => match failed? {},
    }
    store.wait_until_none(ENDED, WAIT_TIMEOUT).await?;
    store.require("guestlist_sessions", 0).await?;
    store
        .require(
            "guestlist_events WHERE kind = 'member_removed'",
            removals * times,
        )
        .await?;
    worker.kill().await?;
    environment.drop_store(store).await?;
    let measure = |share| {
        format!(
            "removal to the end of its sessions while {} letters or more wait, {share}",
            row::count(lowest.get())
        )
    };
    Ok(vec![
        Row::new("purge", measure("p50"), "ms", median)?.counted(removals),
        Row::new("purge", measure("p99"), "ms", p99)?
            .target(Target::Max(100.0))
            .counted(removals),
    ])
}

/// Keeps at least this many letters waiting, and records their lowest number.
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

/// Removes a member with many sessions while the worker does nothing else.
async fn with_many_sessions(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (count, guestlist) = (environment.amounts.sessions, environment.guestlist()?);
    let store = environment.create_store().await?;
    let filler = Filler::new(environment, &store, 1).await?;
    filler.members(u64::from(environment.repeat)).await?;
    let sink = SmtpSink::start(&environment.folder).await?;
    let mut worker = environment.start_worker(&store, sink.url(), &[])?;
    let mut redis = connect(environment).await?;
    let (mut longest, mut waited, mut total) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} sessions of one member"),
        );
        let (organization, user) = filler.member(repetition.into());
        sign_in(&store, &mut redis, organization, &user, count).await?;
        store.vacuum().await?;
        for line in [
            format!("CONFIG SET slowlog-log-slower-than {SLOWLOG_THRESHOLD}"),
            "CONFIG SET slowlog-max-len 100000".to_owned(),
            "SLOWLOG RESET".to_owned(),
        ] {
            environment.redis.command::<()>(&line).await?;
        }
        let slowest_reply = Cell::new(Duration::ZERO);
        let committed = remove(
            &store,
            &guestlist,
            &filler.team(0).owner,
            organization,
            &user,
        )
        .await?;
        let ended = tokio::select! {
            ended = store.wait_until_none(ENDED, WAIT_TIMEOUT) => ended?,
            failed = ping(environment, &slowest_reply) => match failed? {},
        };
        worker.require_running()?;
        total.push(milliseconds(ended - committed));
        longest.push(longest_command(&mut redis).await?);
        waited.push(milliseconds(slowest_reply.get()));
        let left = left(&mut redis, &user, count).await?;
        anyhow::ensure!(left == 0, "{left} of {count} sessions are left in Redis");
        store.require("guestlist_sessions", 0).await?;
    }
    worker.kill().await?;
    environment.drop_store(store).await?;
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
        .target(Target::Max(5.0))
        .counted(count),
        Row::new(
            "purge",
            "longest reply time for another client at the same time",
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

async fn connect(environment: &Environment) -> anyhow::Result<MultiplexedConnection> {
    let client = redis::Client::open(environment.redis.url())?;
    // The client's own limit of half a second is short for a busy machine.
    let unlimited = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&unlimited);
    Ok(connection.await?)
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

/// Returns how many sessions of a member are in Redis.
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

/// Removes a member and returns the time of the commit.
async fn remove(
    store: &Store,
    guestlist: &Guestlist,
    owner: &UserId,
    organization: OrganizationId,
    user: &UserId,
) -> anyhow::Result<Instant> {
    let mut transaction = store.database.begin().await?;
    guestlist
        .act(Actor::member(owner))
        .in_organization(organization)
        .remove(&mut transaction, user)
        .await?;
    transaction.commit().await?;
    Ok(Instant::now())
}

async fn wait_until_ended(
    redis: &mut MultiplexedConnection,
    user: &UserId,
    committed: Instant,
) -> anyhow::Result<()> {
    while left(redis, user, SESSIONS).await? > 0 {
        anyhow::ensure!(
            committed.elapsed() < WAIT_TIMEOUT,
            "the sessions of {user} did not end"
        );
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Sends PING from another client until cancelled, and records the longest reply time.
async fn ping(environment: &Environment, slowest: &Cell<Duration>) -> anyhow::Result<Infallible> {
    let mut redis = connect(environment).await?;
    loop {
        let sent = Instant::now();
        redis::cmd("PING").query_async::<String>(&mut redis).await?;
        slowest.set(slowest.get().max(sent.elapsed()));
        sleep(POLL_INTERVAL).await;
    }
}

/// Returns the duration in milliseconds of the longest command in the slow log, or its threshold if it is
/// empty.
async fn longest_command(redis: &mut MultiplexedConnection) -> anyhow::Result<f64> {
    let entries: Vec<Vec<redis::Value>> = redis::cmd("SLOWLOG")
        .arg("GET")
        .arg(100_000)
        .query_async(redis)
        .await?;
    let mut longest = SLOWLOG_THRESHOLD;
    for entry in entries {
        let took = entry.into_iter().nth(2);
        let took: u64 = redis::from_redis_value(took.unwrap_or(redis::Value::Nil))?;
        longest = longest.max(took);
    }
    Ok(Duration::from_micros(longest).as_secs_f64() * 1e3)
}
