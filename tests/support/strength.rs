//! How hard the tests try that can go on for ever: races and random histories.

/// `default` rounds, or `release_gate` of them where `bin/test --release-gate` asks for all.
pub fn rounds(default: u32, release_gate: u32) -> u32 {
    match std::env::var("GUESTLIST_TEST_STRENGTH").as_deref() {
        Ok("release-gate") => release_gate,
        Ok(other) => panic!("GUESTLIST_TEST_STRENGTH: {other:?} is not known, only release-gate"),
        Err(_) => default,
    }
}
