//! The time to parse an address; every invite and every row of a CSV file does it.
//!
//! `cargo bench -p guestlist --bench email_address`

#![allow(clippy::unwrap_used, missing_docs)]

use divan::{Bencher, black_box};
use guestlist::EmailAddress;

const ADDRESSES: [&str; 2] = ["bob.smith+team@example.com", "Bob@Bücher.example"];

fn main() {
    divan::main();
}

#[divan::bench(args = ADDRESSES)]
fn parse(address: &str) -> EmailAddress {
    black_box(address).parse().unwrap()
}

#[divan::bench]
fn refuse() -> bool {
    black_box("not an address").parse::<EmailAddress>().is_err()
}

#[divan::bench(args = ADDRESSES)]
fn canonical(bencher: Bencher<'_, '_>, address: &str) {
    let address: EmailAddress = address.parse().unwrap();
    bencher.bench(|| black_box(&address).canonical());
}
