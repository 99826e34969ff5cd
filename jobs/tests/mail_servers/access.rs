//! Servers that require TLS, or signing in.

use crate::fixture::{Installation, Time, ordinary};
use crate::on_both_servers;
use crate::server::{Program, Rules};

/// The number of letters of one test.
const LETTERS: usize = 20;

impl Installation {
    /// The URL for TLS by STARTTLS and the one for TLS from the first byte, with more parameters.
    fn tls_urls(&self, start_tls: &str, implicit_tls: &str) -> [String; 2] {
        let server = &self.server;
        [
            format!("smtp://localhost:{}?{start_tls}", server.port),
            format!("smtps://localhost:{}?{implicit_tls}", server.tls_port),
        ]
    }
}

on_both_servers! {
    async fn letters_leave_over_tls_of_a_private_authority(program: Program) {
        let rules = Rules { requires_tls: true, ..Rules::default() };
        let mut installation = Installation::new(program, rules).await;
        let trusted = format!("tls_ca={}", installation.server.authority.root.display());
        let [required, implicit] = installation.tls_urls(&format!("tls=required&{trusted}"), &trusted);
        let [opportunistic, _] = installation.tls_urls("tls=opportunistic", "");
        let addresses = ordinary(3 * LETTERS);
        for (url, addresses) in [required, implicit, opportunistic].into_iter().zip(addresses.chunks(LETTERS)) {
            installation.harness.smtp_url = Some(url);
            installation.invite(addresses).await;
            installation.deliver().await;
        }
        installation.assert_one_each(&addresses);
        assert_eq!(installation.server.complaints(), [""; 0]);
    }

    async fn untrusted_certificate_stops_all_letters(program: Program) {
        let rules = Rules { requires_tls: true, ..Rules::default() };
        let mut installation = Installation::new(program, rules).await;
        let invitations = installation.invite(&ordinary(LETTERS)).await;
        for url in installation.tls_urls("tls=required", "") {
            installation.harness.smtp_url = Some(url);
            let (running, mailer) = installation.start();
            installation.until(Time::Real, async || {
                let is_shown = [("paused", LETTERS)].into();
                mailer.paused().is_some() && installation.deliveries(&invitations).await == is_shown
            }).await;
            let why = mailer.paused().unwrap();
            assert!(why.contains("not trusted") && why.contains("tls_ca"), "{why}");
            running.stop().await;
        }
        assert_eq!(installation.server.received(), [].into());
        let trusted = format!("tls_ca={}", installation.server.authority.root.display());
        let [_, url] = installation.tls_urls("", &trusted);
        installation.harness.smtp_url = Some(url);
        installation.deliver().await;
        installation.assert_one_each(&ordinary(LETTERS));
    }

    async fn letters_leave_after_signing_in(program: Program) {
        for mechanisms in ["PLAIN LOGIN", "LOGIN"] {
            let installation = with_account(program, mechanisms).await;
            installation.server.set_password("secret");
            let addresses = ordinary(LETTERS);
            installation.invite(&addresses).await;
            installation.deliver().await;
            installation.assert_one_each(&addresses);
            assert_eq!(installation.server.complaints(), [""; 0]);
        }
    }

    async fn wrong_password_pauses_sending_until_it_is_mended(program: Program) {
        let installation = with_account(program, "PLAIN LOGIN").await;
        installation.server.set_password("another");
        let addresses = ordinary(LETTERS);
        let invitations = installation.invite(&addresses).await;
        let (running, mailer) = installation.start();
        installation.until(Time::Real, async || {
            let is_shown = [("paused", LETTERS)].into();
            mailer.paused().is_some() && installation.deliveries(&invitations).await == is_shown
        }).await;
        let why = mailer.paused().unwrap();
        assert!(why.contains("535") && why.contains("SMTP_URL"), "{why}");
        assert!(!why.contains("secret"), "{why}");
        installation.server.set_password("secret");
        installation.until(Time::Real, async || installation.is_done().await).await;
        running.stop().await;
        installation.assert_one_each(&addresses);
        assert_eq!(installation.deliveries(&invitations).await, [("sent", LETTERS)].into());
        assert_eq!(installation.suppressed().await, [""; 0]);
    }
}

/// A server that requires an account, and a worker whose password is `secret`.
async fn with_account(program: Program, mechanisms: &'static str) -> Installation {
    let rules = Rules {
        mechanisms: Some(mechanisms),
        ..Rules::default()
    };
    let mut installation = Installation::new(program, rules).await;
    let port = installation.server.port;
    let url = format!("smtp://me%40example.com:secret@127.0.0.1:{port}?tls=none");
    installation.harness.smtp_url = Some(url);
    installation
}
