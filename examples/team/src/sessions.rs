//! Sessions of signed-in accounts, in Redis if it is configured, otherwise in a database table.

mod sql;

use std::fmt;

use async_trait::async_trait;
use chrono::Utc;
use fred::prelude::{ClientLike, Config as RedisConfig, PerformanceConfig, Pool, ReconnectPolicy};
use guestlist::{Database, OrganizationId, Paging, SessionKey, UserId};
use sha2::{Digest, Sha256};
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::Result as StoreResult;
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};
use tower_sessions_redis_store::RedisStore;

use self::sql::SqlStore;
use crate::account::Account;
use crate::app::App;
use crate::config::Config;
use crate::problem::Problem;

/// The session entry that holds the account's id.
const ACCOUNT: &str = "account";

/// The session entry that holds the day of its last use.
const USED: &str = "used";

/// The time after which an unused session expires.
const IDLE: Duration = Duration::days(14);

/// The time limit for a Redis command.
const REDIS_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// The number of connections to Redis.
const CONNECTIONS: usize = 4;

/// The session store. It keeps each session under the hash of its id: the id is the value of the cookie, and
/// somebody who reads the store or Guestlist's records should find no text that works as a cookie.
#[derive(Clone)]
pub(crate) enum Store {
    Redis(RedisStore<Pool>),
    Sql(SqlStore),
}

/// Creates the layer that gives every request a session.
pub(crate) async fn layer(
    config: &Config,
    database: &Database,
) -> anyhow::Result<SessionManagerLayer<Store>> {
    let store = match &config.worker.redis_url {
        Some(url) => Store::Redis(RedisStore::new(connect(url.expose()).await?)),
        None => Store::Sql(SqlStore(database.clone())),
    };
    Ok(SessionManagerLayer::new(store)
        .with_name("team_session")
        .with_expiry(Expiry::OnInactivity(IDLE))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(config.is_secure()))
}

/// Connects to Redis and reconnects after a lost connection. Requests during an outage fail after
/// [`REDIS_TIMEOUT`]. Expects the URL of a single Redis; fred also supports Sentinel and Cluster, with URLs in its
/// own format.
async fn connect(url: &str) -> anyhow::Result<Pool> {
    let performance = PerformanceConfig {
        default_command_timeout: REDIS_TIMEOUT,
        ..PerformanceConfig::default()
    };
    let reconnect = ReconnectPolicy::new_exponential(0, 100, 5_000, 2);
    let config = RedisConfig::from_url(url)?;
    let pool = Pool::new(
        config,
        Some(performance),
        None,
        Some(reconnect),
        CONNECTIONS,
    )?;
    pool.init().await?;
    Ok(pool)
}

/// Returns the id of the signed-in account.
pub(crate) async fn account_id(session: &Session) -> Result<Option<UserId>, Problem> {
    Ok(session.get(ACCOUNT).await?)
}

/// Signs in `account` under a new session id. Records the session with Guestlist for every organization of the
/// account, so that the session ends with the membership.
///
/// Must not be called inside a transaction, because the store may be in the same database.
pub(crate) async fn sign_in(
    app: &App,
    session: &Session,
    account: &Account,
) -> Result<(), Problem> {
    forget(app, session).await?;
    session.clear().await;
    session.cycle_id().await?;
    session.insert(ACCOUNT, &account.id).await?;
    session.save().await?;
    for organization in organizations_of(app, &account.id).await? {
        record(app, session, organization, &account.id).await?;
    }
    Ok(())
}

/// Records with Guestlist that this session belongs to a membership. Does nothing if the membership has ended.
pub(crate) async fn record(
    app: &App,
    session: &Session,
    organization: OrganizationId,
    user: &UserId,
) -> Result<(), Problem> {
    let Some(key) = key(session)? else {
        return Ok(());
    };
    let mut tx = app.database.begin().await?;
    match app
        .guestlist
        .record_session(&mut tx, organization, user, &key)
        .await
    {
        Err(guestlist::Error::NotFound) => Ok(()),
        recorded => {
            recorded?;
            Ok(tx.commit().await?)
        }
    }
}

/// Extends the life of a session that is in use. The store sets a new expiry only if the session changes, so
/// this changes an entry once a day.
pub(crate) async fn keep_alive(session: &Session) -> Result<(), Problem> {
    Ok(session.insert(USED, Utc::now().date_naive()).await?)
}

/// Records a session for an organization unless it is already recorded. A session in another browser that is
/// older than the membership is recorded nowhere else.
pub(crate) async fn record_if_new(
    app: &App,
    session: &Session,
    organization: OrganizationId,
    user: &UserId,
) -> Result<(), Problem> {
    let mut connection = app.database.acquire().await?;
    let known = app
        .guestlist
        .sessions(&mut connection, organization, user)
        .await?;
    drop(connection);
    match key(session)? {
        Some(key) if !known.contains(&key) => record(app, session, organization, user).await,
        _ => Ok(()),
    }
}

/// Signs out this session.
pub(crate) async fn sign_out(app: &App, session: &Session) -> Result<(), Problem> {
    forget(app, session).await?;
    Ok(session.flush().await?)
}

/// Removes the session from Guestlist's records, if an account is signed in.
async fn forget(app: &App, session: &Session) -> Result<(), Problem> {
    let (Some(user), Some(key)) = (account_id(session).await?, key(session)?) else {
        return Ok(());
    };
    for organization in organizations_of(app, &user).await? {
        let mut connection = app.database.acquire().await?;
        app.guestlist
            .forget_session(&mut connection, organization, &user, &key)
            .await?;
    }
    Ok(())
}

/// Returns the session's key in its store, or `None` if it is not stored yet.
fn key(session: &Session) -> Result<Option<SessionKey>, Problem> {
    let id = session.id();
    Ok(id
        .map(|id| hashed(id).to_string().parse())
        .transpose()
        .map_err(guestlist::Error::from)?)
}

/// Returns the id under which the store keeps a session: the first 128 bits of a hash of its id, which has 128 random
/// bits.
fn hashed(Id(id): Id) -> Id {
    let hash = Sha256::digest(id.to_le_bytes());
    let (beginning, _) = hash.split_first_chunk().expect("SHA-256 has 256 bits");
    Id(i128::from_le_bytes(*beginning))
}

/// Returns a record as the store keeps it.
fn stored(record: &Record) -> Record {
    Record {
        id: hashed(record.id),
        ..record.clone()
    }
}

async fn organizations_of(app: &App, user: &UserId) -> Result<Vec<OrganizationId>, Problem> {
    let mut connection = app.database.acquire().await?;
    let paging = Paging::first(Paging::MAX_LIMIT);
    let memberships = app
        .guestlist
        .memberships(&mut connection, user, &paging)
        .await?;
    Ok(memberships
        .items
        .iter()
        .map(|membership| membership.organization)
        .collect())
}

/// Calls a method on the configured store.
macro_rules! of_store {
    ($self:ident.$method:ident($argument:expr)) => {
        match $self {
            Self::Redis(store) => store.$method($argument).await,
            Self::Sql(store) => store.$method($argument).await,
        }
    };
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        loop {
            let mut created = stored(record);
            of_store!(self.create(&mut created))?;
            if created.id == hashed(record.id) {
                return Ok(());
            }
            // The id was taken, and the store chose another, of which there is no cookie.
            of_store!(self.delete(&created.id))?;
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        of_store!(self.save(&stored(record)))
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        let found = of_store!(self.load(&hashed(*id)))?;
        Ok(found.map(|record| Record { id: *id, ..record }))
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        of_store!(self.delete(&hashed(*id)))
    }
}

/// Hides the contents of the store.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis(_) => "Redis",
            Self::Sql(_) => "Sql",
        })
    }
}
