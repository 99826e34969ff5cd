//! Delivery to servers that take every letter.

use std::time::Duration;

use guestlist::Attempt;

use crate::fixture::{Installation, Time, ordinary};
use crate::on_both_servers;
use crate::server::{Program, Rules};

/// The number of letters of one test.
const MANY: usize = 300;

on_both_servers! {
    async fn letters_arrive_once_each_without_a_complaint(program: Program) {
        let installation = Installation::new(program, Rules::default()).await;
        let addresses = ordinary(MANY);
        let invitations = installation.invite(&addresses).await;
        installation.deliver().await;
        installation.assert_one_each(&addresses);
        assert_eq!(installation.server.received().len(), MANY);
        assert_eq!(installation.deliveries(&invitations).await, [("sent", MANY)].into());
        assert_eq!(installation.server.complaints(), [""; 0]);
    }

    async fn restart_of_the_server_loses_no_letter(program: Program) {
        let mut installation = Installation::new(program, Rules::default()).await;
        let addresses = ordinary(MANY);
        let invitations = installation.invite(&addresses).await;
        let (running, _) = installation.start();
        installation.until(Time::Real, async || installation.left().await <= MANY - MANY / 4).await;
        installation.server.stop().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let left = installation.left().await;
        assert!(left > 0, "every letter was sent before the server ended");
        installation.server.restart().await;
        installation.until(Time::Real, async || installation.is_done().await).await;
        running.stop().await;
        assert_eq!(installation.deliveries(&invitations).await, [("sent", MANY)].into());
        assert_eq!(installation.suppressed().await, [""; 0]);
        let mut copies = installation.copies(&addresses).into_iter();
        for invitation in &invitations {
            // A server that ends between its queue and its answer may have the letter already.
            let attempts = installation.attempts(invitation).await;
            let unanswered = attempts.iter().filter(|attempt| attempt.verdict == "unknown").count();
            let copies = copies.next().unwrap();
            assert!((1..=1 + unanswered).contains(&copies), "{copies} copies: {attempts:?}");
        }
    }

    async fn connection_limit_of_the_server_defers_nobody(program: Program) {
        let rules = Rules { connections: Some(4), ..Rules::default() };
        let installation = Installation::new(program, rules).await;
        let addresses = ordinary(40);
        let invitations = installation.invite(&addresses).await;
        installation.deliver().await;
        installation.assert_one_each(&addresses);
        for invitation in &invitations {
            let attempts = installation.attempts(invitation).await;
            assert!(attempts.iter().all(|attempt| attempt.verdict == Attempt::ACCEPTED), "{attempts:?}");
        }
        let words = match program {
            Program::Postfix => "Connection concurrency limit exceeded: 5 ",
            Program::Exim => "too many connections from that IP address",
        };
        assert!(installation.server.log().contains(words), "the limit was never met");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_letters_per_connection_are_delivered_at_once() {
    let rules = Rules {
        letters_per_connection: Some(10),
        ..Rules::default()
    };
    let mut installation = Installation::new(Program::Exim, rules).await;
    installation.harness.mailer.letters_per_connection = 10;
    let addresses = ordinary(MANY);
    installation.invite(&addresses).await;
    installation.deliver().await;
    installation.assert_one_each(&addresses);
    assert_eq!(installation.server.complaints(), [""; 0]);
}
