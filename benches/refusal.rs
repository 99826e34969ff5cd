//! Measures if the time of a refusal reveals why a link was refused.
//!
//! `cargo bench -p guestlist --bench refusal`, with `GUESTLIST_TEST_POSTGRES` for Postgres as well.
//!
//! The method is that of dudect (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?",
//! DATE 2017): the reasons are sampled alternately, in a new random order each time, so that other
//! load on the machine affects all of them. Then Welch's t-test compares each reason with the
//! simplest one, once as measured and once for each of several crops of the slow tail, and the
//! largest |t| counts. Above 4.5 an attacker with as many samples can tell them apart. A difference
//! below a microsecond is lost in any network, so the size of the effect is printed beside it.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::fmt::Write as _;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guestlist::{
    Actor, Database, Guestlist, Invite, Key, KeyRing, Limits, ResendPolicy, Transaction, User,
};
use rand::RngExt;

/// The |t| above which samples can be told apart (the threshold of dudect).
const DISTINCT: f64 = 4.5;

/// The samples of each reason; `GUESTLIST_BENCH_SAMPLES` sets another number.
const SAMPLES: usize = 20_000;

/// The fractions of the samples to keep, fastest first.
const CROPS: [f64; 6] = [1.0, 0.99, 0.95, 0.9, 0.75, 0.5];

/// A refused text and the reason; the others are compared with the first.
struct Refused {
    why: &'static str,
    token: String,
}

struct Fixture {
    database: Database,
    guestlist: Guestlist,
    refused: Vec<Refused>,
}

fn flipped(token: &str, from_end: usize) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with the same key id and a MAC, for an invitation of the same time that does not exist.
fn of_no_invitation(token: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let mac = bytes.len() - 32;
    rand::rng().fill(&mut bytes[mac - 8..]);
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Fixture {
    async fn new(database: Database) -> Self {
        guestlist::migrate(&database).await.unwrap();
        let key = Key::generate();
        let guestlist = |audience: &str, keys: KeyRing| {
            Guestlist::builder()
                .key_ring(keys)
                .audience(audience)
                .limits(Limits::none())
                .resend_policy(ResendPolicy::Rotate)
                .build()
        };
        let ours = guestlist("app", KeyRing::of(key.clone()));
        let ann = User::new("ann".parse().unwrap(), "ann@example.com".parse().unwrap());
        let mut tx = database.begin().await.unwrap();
        let acme = ours
            .create(&mut tx, "Acme".parse().unwrap(), &ann)
            .await
            .unwrap();
        let mut invitations = Vec::new();
        for number in 0..50 {
            let email = format!("p{number}@example.com").parse().unwrap();
            let invite = Invite::new(email, "agent".parse().unwrap());
            invitations.push(
                ours.act(Actor::member(&ann.id))
                    .in_organization(acme.id)
                    .invite(&mut tx, invite)
                    .await
                    .unwrap(),
            );
        }
        let rotated = ours
            .act(Actor::member(&ann.id))
            .resend(&mut tx, invitations[1].id)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let [pending, replaced] = [&invitations[0], &invitations[1]];
        let token = |guestlist: &Guestlist, invitation| {
            guestlist.token(invitation).unwrap().expose().to_owned()
        };
        let true_one = token(&ours, pending);
        let latest = token(&ours, invitations.last().unwrap());
        let renamed = true_one.clone();
        let mut renamed = URL_SAFE_NO_PAD.decode(renamed).unwrap();
        renamed[3] = if renamed[3] == b'0' { b'1' } else { b'0' };
        let stranger = KeyRing::of(Key::generate());
        let reason = |why, token| Refused { why, token };
        Self {
            refused: vec![
                reason("an invitation that is not there", of_no_invitation(&latest)),
                reason("the same again (control)", of_no_invitation(&latest)),
                reason("the last byte of the MAC is wrong", flipped(&true_one, 1)),
                reason("the first byte of the MAC is wrong", flipped(&true_one, 32)),
                reason(
                    "another audience's",
                    token(&guestlist("other", KeyRing::of(key.clone())), pending),
                ),
                reason(
                    "a key that is not in the ring",
                    URL_SAFE_NO_PAD.encode(renamed),
                ),
                reason(
                    "a key that is not in the ring, nobody's",
                    token(&guestlist("app", stranger), pending),
                ),
                reason(
                    "a wrong MAC, with a link replaced",
                    flipped(&token(&ours, &rotated), 1),
                ),
                reason("a replaced link (says so)", token(&ours, replaced)),
                reason("no token at all (says nothing of anyone)", "A".repeat(79)),
            ],
            database,
            guestlist: ours,
        }
    }

    /// The nanoseconds of each refusal, one row for each reason.
    async fn measure(&self, samples: usize) -> Vec<Vec<f64>> {
        let mut times: Vec<Vec<f64>> = self
            .refused
            .iter()
            .map(|_| Vec::with_capacity(samples))
            .collect();
        let mut tx = self.database.begin().await.unwrap();
        let mut rng = rand::rng();
        let mut order: Vec<usize> = (0..self.refused.len()).collect();
        let warm_up = samples / 20;
        for round in 0..samples + warm_up {
            for place in (1..order.len()).rev() {
                order.swap(place, rng.random_range(0..=place));
            }
            for &reason in &order {
                let time = self.refuse(&mut tx, &self.refused[reason].token).await;
                if round >= warm_up {
                    times[reason].push(time);
                }
            }
        }
        tx.rollback().await.unwrap();
        times
    }

    async fn refuse(&self, tx: &mut Transaction, token: &str) -> f64 {
        let begun = Instant::now();
        let refused = self.guestlist.open(&mut *tx, token).await;
        let time = begun.elapsed().as_nanos();
        assert!(refused.is_err());
        time as f64
    }
}

/// The mean and the variance of the mean.
fn mean_of(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}

/// Welch's t and the difference of the means, in nanoseconds.
fn welch(one: &[f64], other: &[f64]) -> (f64, f64) {
    let ((one, spread), (other, other_spread)) = (mean_of(one), mean_of(other));
    let difference = other - one;
    (difference / (spread + other_spread).sqrt(), difference)
}

/// The largest result of the crops; each crop uses one threshold for both samples.
fn most_telling(one: &[f64], other: &[f64]) -> (f64, f64) {
    let mut both: Vec<f64> = one.iter().chain(other).copied().collect();
    both.sort_by(f64::total_cmp);
    let crops = CROPS.iter().filter_map(|part| {
        let limit = both[((both.len() - 1) as f64 * part) as usize];
        let cropped = |times: &[f64]| {
            times
                .iter()
                .copied()
                .filter(|time| *time <= limit)
                .collect::<Vec<_>>()
        };
        let (one, other) = (cropped(one), cropped(other));
        // If a crop leaves nothing of one sample, the wider crops suffice.
        (one.len().min(other.len()) > 10).then(|| welch(&one, &other))
    });
    crops
        .max_by(|(one, _), (other, _)| one.abs().total_cmp(&other.abs()))
        .expect("the first crop keeps all")
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn report(name: &str, refused: &[Refused], times: &[Vec<f64>]) -> String {
    let plainest = &times[0];
    let mut text = format!(
        "{name}, {} samples of each reason; {:.1} µs is the median of: {}\n{:>9} {:>12} {:>12}  verdict\n",
        plainest.len(),
        median(plainest) / 1e3,
        refused[0].why,
        "|t|",
        "mean, µs",
        "median, µs",
    );
    for (reason, times) in refused.iter().zip(times).skip(1) {
        let (t, difference) = most_telling(plainest, times);
        let verdict = if t.abs() > DISTINCT {
            "told apart"
        } else {
            "not told apart"
        };
        let apart = (median(times) - median(plainest)) / 1e3;
        writeln!(
            text,
            "{:>9.1} {:>+12.3} {apart:>+12.3}  {verdict}: {}",
            t.abs(),
            difference / 1e3,
            reason.why
        )
        .unwrap();
    }
    text
}

async fn compare(name: &str, database: Database, samples: usize) {
    let fixture = Fixture::new(database).await;
    let times = fixture.measure(samples).await;
    println!("{}", report(name, &fixture.refused, &times));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let samples = std::env::var("GUESTLIST_BENCH_SAMPLES")
        .map_or(SAMPLES, |text| text.parse().expect("a number"));
    #[cfg(feature = "sqlite")]
    {
        let database = Database::connect("sqlite::memory:", 1).await.unwrap();
        compare("SQLite in memory", database, samples).await;
    }
    #[cfg(feature = "postgres")]
    if std::env::var_os("GUESTLIST_TEST_POSTGRES").is_some() {
        compare("Postgres", postgres::schema().await, samples).await;
    }
}

#[cfg(feature = "postgres")]
#[path = "../tests/support/postgres.rs"]
mod postgres;
