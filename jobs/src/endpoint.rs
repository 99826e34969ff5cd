//! A small HTTP server for `/healthz`, `/readyz` and `/metrics`.
//!
//! It answers one request a connection and gives each a deadline, so that no scraper, however slow,
//! holds anything of the worker's. It knows no TLS and no password: it belongs on a loopback or
//! private address.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::monitor::{self, Monitor};

/// How many connections are served at a time; others wait until one of them is over.
const CONNECTIONS: usize = 32;

/// How long a connection may take from its first byte to its last. Prometheus gives up after 10 s
/// by default (`scrape_timeout`).
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a request may take to arrive.
const REQUEST: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes; 8 KiB is the least that hyper takes.
const HEAD: usize = 8 * 1024;

/// How long to rest when no connection can be accepted, as when the process has no descriptors left.
const REST: Duration = Duration::from_millis(100);

/// Why an [`Endpoint`] cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explained(source))]
pub struct ListenError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// Serves a [`Monitor`] on an address of its own.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

type Answer = Response<Full<Bytes>>;

impl Endpoint {
    /// Takes the address; whoever connects waits until it is [served](Self::serve). Port 0 takes a
    /// free one.
    ///
    /// # Errors
    /// [`ListenError`] when the address is taken, not this machine's, or not allowed.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound
            .await
            .map_err(|source| ListenError { address, source })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for ever. Dropping the future closes every connection.
    pub async fn serve(self, monitor: Monitor) {
        info!(address = %self.address, "listening on {}", self.address);
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let monitor = monitor.clone();
                    connections.spawn(async move {
                        let _permit = permit;
                        if timeout(DEADLINE, converse(stream, monitor)).await.is_err() {
                            debug!("a connection took longer than {DEADLINE:?} and was closed");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "no connection can be accepted: {error}");
                    sleep(REST).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, monitor: Monitor) {
    let service = service_fn(|request| {
        let monitor = monitor.clone();
        async move { Ok::<_, Infallible>(answer(&request, &monitor).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a connection ended early: {error}");
    }
}

async fn answer(request: &Request<Incoming>, monitor: &Monitor) -> Answer {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    match request.uri().path() {
        "/healthz" | "/readyz" | "/metrics" if !is_read => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let methods = "GET, HEAD".parse().expect("a header's value");
            answer.headers_mut().insert(ALLOW, methods);
            answer
        }
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => {
            let readiness = monitor.readiness().await;
            let status = if readiness.is_ready() {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            let json = serde_json::to_string(&readiness).expect("nothing in it cannot be JSON");
            with_type(status, "application/json", json + "\n")
        }
        "/metrics" => with_type(
            StatusCode::OK,
            monitor::CONTENT_TYPE,
            monitor.metrics().await,
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz and /metrics\n",
        ),
    }
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    with_type(status, "text/plain; charset=utf-8", body)
}

fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, "no-store")
        .body(Full::new(body.into()))
        .expect("a status and two headers of ours")
}

fn explained(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there already".to_owned(),
        io::ErrorKind::AddrNotAvailable => "that is no address of this machine".to_owned(),
        _ => error.to_string(),
    }
}
