use chrono::TimeDelta;
use guestlist::outbox::{self, Message, State};
use guestlist::{Attempt, Error, Paging, worker};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member};

/// The message of the letter to an address that is invited now.
async fn letter_to(team: &Team, email: &str) -> Message {
    let invitation = team.invite(OLIVIA, email, "agent").await.unwrap();
    let mut tx = team.begin().await;
    let waiting = outbox::list(&mut tx, team.now(), State::Ready, None, 1000)
        .await
        .unwrap();
    let id = invitation.id.to_string();
    let mut letters = waiting.into_iter();
    let letter = letters.find(|message| message.ids["invitation"] == id);
    letter.expect("its letter waits")
}

/// An attempt at the letter that is made now.
fn attempt(team: &Team, message: &Message, verdict: &str) -> Attempt {
    let bob = "bob@example.com".parse().unwrap();
    Attempt::new(team.now(), message, &bob, "worker-1", verdict)
}

async fn record(team: &Team, attempts: &[Attempt]) {
    team.in_transaction(async |tx| worker::record_attempts(tx, attempts).await)
        .await
        .unwrap();
}

async fn list(team: &Team, message: &Message, paging: &Paging) -> guestlist::Page<Attempt> {
    let invitation = message.ids["invitation"].as_str().unwrap().parse().unwrap();
    let mut tx = team.begin().await;
    let page = team.guestlist.attempts(&mut tx, invitation, paging).await;
    page.unwrap()
}

on_both_databases! {
    async fn attempts_are_read_newest_first_in_pages(team: Team) {
        let message = letter_to(&team, "bob@example.com").await;
        let other = letter_to(&team, "eve@example.com").await;
        let mut attempts = Vec::new();
        for verdict in ["deferred", "unheard-of", Attempt::ACCEPTED] {
            team.advance_clock(TimeDelta::minutes(5));
            attempts.push(attempt(&team, &message, verdict));
            record(&team, &[attempt(&team, &other, "refused")]).await;
        }
        let detail = &mut attempts[0].detail;
        detail.stage = Some("rcpt".to_owned());
        detail.code = Some(450);
        detail.enhanced = Some("4.2.1".to_owned());
        detail.reply = Some("450 4.2.1 busy".to_owned());
        attempts[2].detail.queue_id = Some("4F1A2".to_owned());
        attempts[2].duration_ms = 12;
        record(&team, &attempts).await;
        attempts.reverse();
        let first = list(&team, &message, &Paging::first(2)).await;
        assert_eq!(first.items, attempts[..2]);
        let last = list(&team, &message, &Paging::after(first.next.unwrap(), 2)).await;
        assert_eq!((last.items.as_slice(), last.next), (&attempts[2..], None));
    }

    async fn attempt_names_its_letter_and_number(team: Team) {
        let mut message = letter_to(&team, "bob@example.com").await;
        message.attempts = 2;
        let recorded = attempt(&team, &message, Attempt::ACCEPTED);
        record(&team, std::slice::from_ref(&recorded)).await;
        let read = list(&team, &message, &Paging::first(9)).await.items.remove(0);
        assert_eq!(read, recorded);
        assert_eq!((read.message, read.organization), (message.id, team.organization.id));
        assert_eq!((read.kind.as_str(), read.letter, read.attempt), ("send_invitation", Some(1), 3));
        assert!(read.is_accepted() && read.at == team.now() && read.worker == "worker-1");
    }

    async fn attempt_keeps_only_domain_and_short_reply(team: Team) {
        let message = letter_to(&team, "bob@example.com").await;
        let to = "Jürgen@BÜCHER.example".parse().unwrap();
        let mut attempt = Attempt::new(team.now(), &message, &to, "worker-1", "refused");
        attempt.detail.reply = Some(format!("550\r\n{}", "ü".repeat(300)));
        record(&team, &[attempt]).await;
        let read = list(&team, &message, &Paging::first(9)).await.items.remove(0);
        assert_eq!(read.domain, "xn--bcher-kva.example");
        assert_eq!(read.detail.reply, Some(format!("550  {}", "ü".repeat(195))));
        assert!(!serde_json::to_string(&read).unwrap().contains("rgen"));
    }

    async fn repeated_record_adds_no_row(team: Team) {
        let message = letter_to(&team, "bob@example.com").await;
        let once = attempt(&team, &message, "deferred");
        record(&team, std::slice::from_ref(&once)).await;
        let plain = team.in_transaction(async |tx| worker::record_attempts(tx, std::slice::from_ref(&once)).await).await;
        assert!(matches!(plain, Err(Error::Database(_))), "{plain:?}");
        let again = attempt(&team, &message, Attempt::ACCEPTED);
        for repeated in [&[once.clone(), again.clone()][..], std::slice::from_ref(&once), &[]] {
            team.in_transaction(async |tx| worker::record_attempts_again(tx, repeated).await).await.unwrap();
        }
        assert_eq!(list(&team, &message, &Paging::first(9)).await.items, [again, once]);
    }

    async fn attempts_need_a_transaction(team: Team) {
        let message = letter_to(&team, "bob@example.com").await;
        let attempts = [attempt(&team, &message, "deferred")];
        let mut connection = team.database.acquire().await.unwrap();
        let alone = worker::record_attempts(&mut connection, &attempts).await;
        assert!(matches!(alone, Err(Error::NoTransaction)), "{alone:?}");
        let alone = worker::record_attempts_again(&mut connection, &attempts).await;
        assert!(matches!(alone, Err(Error::NoTransaction)), "{alone:?}");
        drop(connection);
        let mut tx = team.begin().await;
        worker::record_attempts(&mut tx, &attempts).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(list(&team, &message, &Paging::first(9)).await.items.is_empty());
    }

    async fn attempts_outlive_their_organization(team: Team) {
        let message = letter_to(&team, "bob@example.com").await;
        record(&team, &[attempt(&team, &message, "refused")]).await;
        team.in_transaction(async |tx| {
            let acting = team.guestlist.act(member(OLIVIA));
            acting.in_organization(team.organization.id).delete(tx).await
        }).await.unwrap();
        assert_eq!(list(&team, &message, &Paging::first(9)).await.items.len(), 1);
    }

    async fn old_attempts_are_deleted_in_batches(team: Team) {
        let message = letter_to(&team, "bob@example.com").await;
        let first = team.now();
        let attempts: Vec<_> = (0..4).map(|_| {
            let attempt = attempt(&team, &message, "deferred");
            team.advance_clock(TimeDelta::days(1));
            attempt
        }).collect();
        record(&team, &attempts).await;
        let mut tx = team.begin().await;
        let delete = async |tx: &mut guestlist::Transaction, days, limit| {
            worker::delete_old_attempts(tx, first + TimeDelta::days(days), limit).await.unwrap()
        };
        assert_eq!(delete(&mut tx, 0, 9).await, 0, "none is older than the first");
        assert_eq!(delete(&mut tx, 3, 2).await, 2);
        assert_eq!(delete(&mut tx, 3, 9).await, 1);
        tx.commit().await.unwrap();
        assert_eq!(list(&team, &message, &Paging::first(9)).await.items, attempts[3..]);
    }

    async fn only_a_recent_acceptance_counts(team: Team) {
        let message = letter_to(&team, "bob@example.com").await;
        let is_accepted = async |minutes| {
            let since = team.now() - TimeDelta::minutes(minutes);
            worker::accepted_since(&mut team.begin().await, since).await.unwrap()
        };
        assert!(!is_accepted(10).await);
        record(&team, &[attempt(&team, &message, Attempt::ACCEPTED)]).await;
        assert!(is_accepted(0).await);
        team.advance_clock(TimeDelta::minutes(5));
        record(&team, &[attempt(&team, &message, "refused")]).await;
        assert!(is_accepted(5).await);
        assert!(!is_accepted(4).await);
        team.advance_clock(TimeDelta::seconds(1));
        let refused: Vec<_> = (0..999).map(|_| attempt(&team, &message, "refused")).collect();
        record(&team, &refused[..998]).await;
        assert!(is_accepted(10).await, "it is the thousandth");
        record(&team, &refused[998..]).await;
        assert!(!is_accepted(10).await, "a thousand others are newer");
    }
}

/// Neither the list nor the sweep nor the search for an acceptance reads the whole table.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_table_of_attempts_is_never_scanned() {
    let team = Team::on(crate::postgres::schema().await).await;
    let message = letter_to(&team, "bob@example.com").await;
    let others: Vec<_> = (0..20_000)
        .map(|number| {
            team.advance_clock(TimeDelta::seconds(10));
            let mut attempt = attempt(&team, &message, "deferred");
            if number % 5_000 != 0 {
                attempt.invitation = Some(uuid::Uuid::from_u128(number / 10).into());
            }
            attempt
        })
        .collect();
    record(&team, &others).await;
    let mut tx = team.begin().await;
    let (scans, lookups) = scans(&mut tx).await;
    let paging = Paging::first(2);
    let invitation = message.ids["invitation"].as_str().unwrap().parse().unwrap();
    let page = team.guestlist.attempts(&mut tx, invitation, &paging).await;
    assert_eq!(page.unwrap().items.len(), 2);
    for since in [TimeDelta::minutes(10), TimeDelta::days(365)] {
        let since = team.now() - since;
        assert!(!worker::accepted_since(&mut tx, since).await.unwrap());
    }
    let deleted = worker::delete_old_attempts(&mut tx, team.now(), 1000).await;
    assert_eq!(deleted.unwrap(), 1000);
    let after = self::scans(&mut tx).await;
    assert_eq!(after.0, scans, "the table was scanned");
    assert!(after.1 >= lookups + 4);
}

/// Analyzes the table and returns the scans of it and of its indexes that this connection made.
#[cfg(feature = "postgres")]
async fn scans(tx: &mut guestlist::Transaction) -> (i64, i64) {
    #[allow(irrefutable_let_patterns)]
    let guestlist::Transaction::Postgres(tx) = tx else {
        unreachable!("a schema of Postgres")
    };
    let analyze = sqlx::raw_sql("ANALYZE guestlist_attempts");
    analyze.execute(&mut **tx).await.unwrap();
    let scans = "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables
                 WHERE relid = 'guestlist_attempts'::regclass";
    sqlx::query_as(scans).fetch_one(&mut **tx).await.unwrap()
}
