//! The queue over TLS, on a Redis with a certificate from a private authority.

use guestlist_jobs::RedisUrl;
use guestlist_jobs::queue::{Lane, Queue, QueueError};
use guestlist_jobs::sessions::{KeyPattern, RedisSessions, SessionStore};
use guestlist_testkit::{RedisServer, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::fixture::{DRAIN, Runs, SLOTS, dispatches, polling, push_all, run, until};

/// A certificate authority, and a server's certificate and key signed by it, as files.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &authority).unwrap();
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("server.pem", server.pem()),
            ("server.key", key.serialize_pem()),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A Redis with this certificate: without TLS on `RedisServer`'s port, with TLS on the returned
    /// one.
    async fn server(&self) -> (RedisServer, u16) {
        let port = free_port();
        let server = RedisServer::builder().arguments([
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &self.file("server.pem"),
            "--tls-key-file",
            &self.file("server.key"),
            "--tls-ca-cert-file",
            &self.file("ca.pem"),
            "--tls-auth-clients",
            "no",
        ]);
        (server.start().await.unwrap(), port)
    }

    fn url(&self, port: u16) -> String {
        format!("rediss://localhost:{port}/?tls_ca={}", self.file("ca.pem"))
    }
}

#[tokio::test]
async fn tls_queue_survives_a_restart() {
    let authority = Authority::new();
    let (mut server, port) = authority.server().await;
    let queue = Queue::redis(&authority.url(port).parse().unwrap(), "tls");
    let runs = Runs::default();
    let running = run(&queue, SLOTS, DRAIN, runs.handler());
    polling(&queue).await;
    let first = dispatches(300);
    push_all(&queue, Lane::Letters, &first).await;
    until("all ran", async || runs.all_once(&first)).await;
    let health = queue.check().await.unwrap().to_string();
    assert!(health.contains(&format!("localhost:{port}")), "{health}");
    server.kill();
    server.restart().await.unwrap();
    let second = dispatches(20);
    until("pushed again", async || {
        queue.push(Lane::Urgent, &second).await.is_ok()
    })
    .await;
    until("all ran", async || runs.all_once(&second)).await;
    running.end().await;
}

#[tokio::test]
async fn sessions_are_deleted_over_tls() {
    let authority = Authority::new();
    let (server, port) = authority.server().await;
    let sessions = RedisSessions::new(&authority.url(port).parse().unwrap(), KeyPattern::default());
    sessions.delete(&["none".parse().unwrap()]).await.unwrap();
    drop(server);
}

#[tokio::test]
async fn untrusted_redis_certificate_is_refused_and_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_server, port) = authority.server().await;
    let plain = format!("rediss://localhost:{port}/");
    let elsewhere = authority.url(port).replace("localhost", "127.0.0.1");
    for (url, says) in [
        (plain, "UnknownIssuer"),
        (other.url(port), "BadSignature"),
        (elsewhere, "not valid for name"),
    ] {
        let queue = Queue::redis(&url.parse().unwrap(), "tls");
        let refused = queue.answers().await.unwrap_err();
        assert!(matches!(refused, QueueError::Redis { .. }), "{refused:?}");
        let told = refused.to_string();
        assert!(told.contains("certificate"), "{says}: {told}");
        queue.push(Lane::Letters, &dispatches(1)).await.unwrap_err();
    }
}

#[tokio::test]
async fn invalid_ca_settings_are_refused_before_connecting() {
    for (url, says) in [
        ("rediss://localhost/#insecure", "tls_ca"),
        (
            "rediss://localhost/?tls_ca=/nowhere/ca.pem",
            "/nowhere/ca.pem",
        ),
        ("redis://localhost/?tls_ca=/nowhere/ca.pem", "no effect"),
    ] {
        let refused = url.parse::<RedisUrl>().unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
    }
}
