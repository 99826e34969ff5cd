//! Who is signed in: sessions in Redis where there is one, else in a table of the database.

mod sql;

use std::fmt;

use async_trait::async_trait;
use chrono::Utc;
use fred::prelude::{ClientLike, Config as RedisConfig, PerformanceConfig, Pool, ReconnectPolicy};
use guestlist::{Database, OrganizationId, Paging, SessionKey, UserId};
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

/// What a session holds of who is signed in.
const ACCOUNT: &str = "account";

/// The day on which a session was used last.
const USED: &str = "used";

/// How long a session lives that nobody uses.
const IDLE: Duration = Duration::days(14);

/// How long Redis may take for an answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Connections to Redis.
const CONNECTIONS: usize = 4;

/// Where sessions are kept.
#[derive(Clone)]
pub(crate) enum Store {
    Redis(RedisStore<Pool>),
    Sql(SqlStore),
}

/// Puts a session behind every request.
pub(crate) async fn layer(
    config: &Config,
    database: &Database,
) -> anyhow::Result<SessionManagerLayer<Store>> {
    let store = match &config.worker.redis_url {
        Some(url) => Store::Redis(RedisStore::new(connect(url).await?)),
        None => Store::Sql(SqlStore(database.clone())),
    };
    Ok(SessionManagerLayer::new(store)
        .with_name("team_session")
        .with_expiry(Expiry::OnInactivity(IDLE))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(config.is_secure()))
}

/// Connects, and again whenever the connection is lost: a request that comes meanwhile fails in time.
/// Takes one Redis; fred knows Sentinel and Cluster too, by URLs of its own form.
async fn connect(url: &str) -> anyhow::Result<Pool> {
    let performance = PerformanceConfig {
        default_command_timeout: PATIENCE,
        ..PerformanceConfig::default()
    };
    let again = ReconnectPolicy::new_exponential(0, 100, 5_000, 2);
    let config = RedisConfig::from_url(url)?;
    let pool = Pool::new(config, Some(performance), None, Some(again), CONNECTIONS)?;
    pool.init().await?;
    Ok(pool)
}

/// The id of the account that is signed in.
pub(crate) async fn account_id(session: &Session) -> Result<Option<UserId>, Problem> {
    Ok(session.get(ACCOUNT).await?)
}

/// Signs `account` in under a new session id, and tells Guestlist of the session in every organization
/// the account is a member of, so that it ends with the membership.
///
/// Not to be called inside a transaction: the store may be in the same database.
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

/// Tells Guestlist that this session serves a membership. Who is no member any more needs none.
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

/// Has a session live on that is used. It is written once a day for that, since a session's time begins anew
/// only where it is changed.
pub(crate) async fn keep_alive(session: &Session) -> Result<(), Problem> {
    Ok(session.insert(USED, Utc::now().date_naive()).await?)
}

/// Sees that Guestlist knows of a session that comes to an organization. One that began in another browser
/// before the membership did is recorded by nobody else.
pub(crate) async fn serve(
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

/// Signs out here.
pub(crate) async fn sign_out(app: &App, session: &Session) -> Result<(), Problem> {
    forget(app, session).await?;
    Ok(session.flush().await?)
}

/// Has Guestlist forget the session of who is signed in, if anybody is.
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

/// The session's key in its store, once it is there.
fn key(session: &Session) -> Result<Option<SessionKey>, Problem> {
    let id = session.id();
    Ok(id
        .map(|id| id.to_string().parse())
        .transpose()
        .map_err(guestlist::Error::from)?)
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

/// Hands everything to the store there is.
macro_rules! of_store {
    ($self:ident.$method:ident($argument:ident)) => {
        match $self {
            Self::Redis(store) => store.$method($argument).await,
            Self::Sql(store) => store.$method($argument).await,
        }
    };
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        of_store!(self.create(record))
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        of_store!(self.save(record))
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        of_store!(self.load(id))
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        of_store!(self.delete(id))
    }
}

/// Whatever is in a store is nobody's business.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis(_) => "Redis",
            Self::Sql(_) => "Sql",
        })
    }
}
