//! The number of rounds of tests that could run for ever: races and random histories.

/// `default` rounds, or `release_gate` rounds if `bin/test --release-gate` asks for them.
pub fn rounds(default: u32, release_gate: u32) -> u32 {
    match std::env::var("GUESTLIST_TEST_STRENGTH").as_deref() {
        Ok("release-gate") => release_gate,
        Ok(other) => panic!("GUESTLIST_TEST_STRENGTH: {other:?} is not known, only release-gate"),
        Err(_) => default,
    }
}
