//! A connection to Redis that reconnects after its server failed or moved.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::FutureExt;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use crate::back_off::jittered;
use crate::redis_url::{Place, RedisUrl, Sentinels};

/// The time limit of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit for finding a server and connecting to it, including sentinels and nodes that do
/// not answer.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The minimum time between the starts of two attempts to connect.
const CONNECT_INTERVAL: Duration = Duration::from_millis(100);

/// A connection that is opened at its first use, and again after every sign that its server is gone
/// or is no longer the master. Clones share it.
///
/// A command that failed is not sent again unless this was requested, because it may have been
/// executed: a fetch whose answer was lost has taken its dispatches.
#[derive(Clone)]
pub(crate) struct RedisConnection(Arc<Shared>);

struct Shared {
    current: RwLock<Option<Current>>,
    search: Mutex<Search>,
    reconnects: AtomicU64,
    database: i64,
}

#[derive(Clone)]
struct Current {
    /// A number that rises with every connection, so that a late failure of an old connection does
    /// not close the new one.
    epoch: u64,
    link: Link,
}

#[derive(Clone)]
enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The state of the attempts to connect. One task connects at a time; tasks that waited meanwhile
/// get the same result.
struct Search {
    url: RedisUrl,
    retries: u32,
    opener: Option<Opener>,
    epoch: u64,
    began: Option<Instant>,
    failed: Option<(Instant, RedisError)>,
}

/// A client that opens connections.
enum Opener {
    Server(Box<Client>),
    Sentinels(Box<SentinelClient>),
    Cluster(Box<ClusterClient>),
}

impl RedisConnection {
    /// Creates a connection to `url`, which is opened at its first use.
    pub(crate) fn new(url: &RedisUrl) -> Self {
        Self::with_retries(url, 0)
    }

    /// Creates a connection for commands that may be repeated: in a cluster, a command is sent again
    /// to the node that its key has moved to or is moving to.
    pub(crate) fn repeating(url: &RedisUrl) -> Self {
        Self::with_retries(url, 2)
    }

    fn with_retries(url: &RedisUrl, retries: u32) -> Self {
        let search = Search {
            url: url.clone(),
            retries,
            opener: None,
            epoch: 0,
            began: None,
            failed: None,
        };
        Self(Arc::new(Shared {
            current: RwLock::new(None),
            search: Mutex::new(search),
            reconnects: AtomicU64::new(0),
            database: match &url.place {
                Place::Server(server) => server.redis_settings().db(),
                Place::Sentinels(sentinels) => sentinels.database,
                Place::Cluster(_) => 0,
            },
        }))
    }

    /// Returns the number of connections that replaced a failed one.
    pub(crate) fn reconnects(&self) -> u64 {
        self.0.reconnects.load(Relaxed)
    }

    fn current(&self) -> Option<Current> {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the connection; opens it if there is none.
    async fn connected(&self) -> RedisResult<Current> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let asked = Instant::now();
        let mut search = self.0.search.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        if let Some((when, why)) = &search.failed
            && *when > asked
        {
            return Err(why.clone());
        }
        let link = search.find().await?;
        if search.epoch > 0 {
            self.0.reconnects.fetch_add(1, Relaxed);
        }
        search.epoch += 1;
        let current = Current {
            epoch: search.epoch,
            link,
        };
        *self.slot() = Some(current.clone());
        Ok(current)
    }

    /// Drops the connection of `epoch`, unless it has been replaced.
    fn discard(&self, epoch: u64) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|current| current.epoch == epoch) {
            *slot = None;
        }
    }

    fn slot(&self) -> std::sync::RwLockWriteGuard<'_, Option<Current>> {
        self.0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let Current { epoch, link } = self.connected().await?;
            let answer = match link {
                Link::Server(mut server) => server.req_packed_command(command).await,
                Link::Cluster(mut cluster) => cluster.req_packed_command(command).await,
            };
            if ends(&answer, std::slice::from_ref) {
                self.discard(epoch);
            }
            answer
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            let Current { epoch, link } = self.connected().await?;
            let answer = match link {
                Link::Server(mut server) => {
                    server.req_packed_commands(commands, offset, count).await
                }
                Link::Cluster(mut cluster) => {
                    cluster.req_packed_commands(commands, offset, count).await
                }
            };
            if ends(&answer, Vec::as_slice) {
                self.discard(epoch);
            }
            answer
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.database
    }
}

/// Returns whether an answer shows that another connection is needed.
fn ends<T>(answer: &RedisResult<T>, values: impl Fn(&T) -> &[Value]) -> bool {
    match answer {
        Ok(answer) => values(answer).iter().any(|value| match value {
            Value::ServerError(error) => {
                error.kind().is_some_and(is_elsewhere) || is_read_only_in_script(error.details())
            }
            _ => false,
        }),
        Err(error) => {
            let kind = match error.kind() {
                ErrorKind::Server(kind) => Some(kind),
                _ => None,
            };
            error.is_io_error()
                || error.is_unrecoverable_error()
                || kind.is_some_and(is_elsewhere)
                || is_read_only_in_script(error.detail())
        }
    }
}

/// Returns whether the error means that another server has to be asked.
fn is_elsewhere(kind: ServerErrorKind) -> bool {
    matches!(
        kind,
        ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::Moved
            | ServerErrorKind::ClusterDown
    )
}

/// Returns whether the error of a script is READONLY. Before version 7 of Redis, such an error is
/// inside another one.
fn is_read_only_in_script(detail: Option<&str>) -> bool {
    detail.is_some_and(|detail| detail.contains("-READONLY "))
}

impl Search {
    async fn find(&mut self) -> RedisResult<Link> {
        if let Some(began) = self.began {
            sleep_until(began + jittered(CONNECT_INTERVAL)).await;
        }
        self.began = Some(Instant::now());
        let found = timeout(SEARCH_TIMEOUT, self.connect()).await;
        let found = found.unwrap_or_else(|_| {
            let silence = io::Error::new(
                io::ErrorKind::TimedOut,
                format!("could not connect within {} s", SEARCH_TIMEOUT.as_secs()),
            );
            Err(silence.into())
        });
        self.failed = found
            .as_ref()
            .err()
            .map(|why| (Instant::now(), why.clone()));
        found
    }

    async fn connect(&mut self) -> RedisResult<Link> {
        let opener = match &mut self.opener {
            Some(opener) => opener,
            none => none.insert(Opener::to(&self.url, self.retries)?),
        };
        opener.connect().await
    }
}

impl Opener {
    fn to(url: &RedisUrl, retries: u32) -> RedisResult<Self> {
        let certificates = url.certificates();
        Ok(match &url.place {
            Place::Server(server) => Self::Server(Box::new(match certificates {
                Some(certificates) => Client::build_with_tls(server.clone(), certificates)?,
                None => Client::open(server.clone())?,
            })),
            Place::Sentinels(sentinels) => {
                Self::Sentinels(Box::new(client_of(sentinels, certificates)?))
            }
            Place::Cluster(nodes) => {
                let mut builder = ClusterClient::builder(nodes.iter().cloned())
                    .connection_timeout(ANSWER_TIMEOUT)
                    .response_timeout(ANSWER_TIMEOUT)
                    .retries(retries);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                Self::Cluster(Box::new(builder.build()?))
            }
        })
    }

    async fn connect(&mut self) -> RedisResult<Link> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        Ok(match self {
            Self::Server(client) => Link::Server(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?,
            ),
            Self::Sentinels(client) => {
                Link::Server(client.get_async_connection_with_config(&config).await?)
            }
            Self::Cluster(client) => Link::Cluster(client.get_async_connection().await?),
        })
    }
}

fn client_of(
    sentinels: &Sentinels,
    certificates: Option<TlsCertificates>,
) -> RedisResult<SentinelClient> {
    let addresses = sentinels.addresses.clone();
    let mut builder =
        SentinelClientBuilder::new(addresses, &sentinels.master, SentinelServerType::Master)?
            .set_client_to_redis_db(sentinels.database);
    if let Some(username) = sentinels.settings.username() {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = sentinels.settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(username) = &sentinels.username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &sentinels.password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_sentinel_certificates(certificates.clone())
            .set_client_to_redis_certificates(certificates);
    }
    if sentinels.tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    builder.build()
}
