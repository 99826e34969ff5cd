//! A small HTTP server for `/healthz`, `/readyz` and `/metrics`.
//!
//! It answers one request per connection and gives each connection a deadline, so that no scraper,
//! however slow, holds resources of the worker. It has no TLS and no password: it belongs on a
//! loopback or private address.

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

/// The number of connections served at a time; further ones wait.
const CONNECTIONS: usize = 32;

/// The maximum duration of a connection. Prometheus gives up after 10 s by default
/// (`scrape_timeout`).
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The time within which the request has to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum size of a request's head, in bytes; 8 KiB is the minimum of hyper.
const HEAD: usize = 8 * 1024;

/// The delay after no connection could be accepted, for example because the process has no file
/// descriptors left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The reason why an [`Endpoint`] cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explained(problem))]
#[non_exhaustive]
pub struct ListenError {
    /// The address it was to listen on.
    pub address: SocketAddr,
    /// The error of the operating system.
    pub problem: io::Error,
}

/// Serves a [`Monitor`] on an address of its own.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

type Answer = Response<Full<Bytes>>;

impl Endpoint {
    /// Binds the address. Connections wait until it is [served](Self::serve). Port 0 takes a free
    /// port.
    ///
    /// # Errors
    /// [`ListenError`] if the address is taken, not an address of this machine, or not allowed.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound
            .await
            .map_err(|problem| ListenError { address, problem })
    }

    /// Returns the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests without end. Dropping the future closes every connection.
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
                        if timeout(CONNECTION_TIMEOUT, converse(stream, monitor)).await.is_err() {
                            debug!("a connection took longer than {CONNECTION_TIMEOUT:?} and was closed");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "no connection can be accepted: {error}");
                    sleep(ACCEPT_RETRY_DELAY).await;
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
        .header_read_timeout(REQUEST_TIMEOUT)
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
            let mut answer = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD are allowed\n",
            );
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
            "not found; the paths are /healthz, /readyz and /metrics\n",
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
        io::ErrorKind::AddrInUse => "another program already listens there".to_owned(),
        io::ErrorKind::AddrNotAvailable => "it is not an address of this machine".to_owned(),
        _ => error.to_string(),
    }
}
