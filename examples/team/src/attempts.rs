//! Limits on password attempts, per client and per e-mail address.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use guestlist::EmailAddress;

/// The limit for one address: a burst of ten, then one a minute, so at most 70 in an hour. OWASP ASVS 4.0.3
/// (2.2.1) allows at most 100 failed attempts an hour on one account.
const OF_ADDRESS: Quota =
    Quota::per_minute(NonZeroU32::MIN).allow_burst(NonZeroU32::new(10).expect("ten is not zero"));

/// The limit for one client, which may be a whole office: a burst of a hundred, then ten a minute. It stops
/// one machine from trying the same password on every address. The OWASP Authentication Cheat Sheet counts
/// attempts per account first, because an attacker can use many machines.
const OF_CLIENT: Quota = {
    let ten = NonZeroU32::new(10).expect("ten is not zero");
    let hundred = NonZeroU32::new(100).expect("a hundred is not zero");
    Quota::per_minute(ten).allow_burst(hundred)
};

/// The maximum number of counters of each kind.
const COUNTS: u64 = 1 << 16;

/// Counts attempts in this process. A keyed hash maps an address or a client to one of a fixed number of
/// counters: memory is bounded, no counter is dropped when many addresses are tried, and an attacker cannot
/// choose with whom a counter is shared.
pub(crate) struct Attempts {
    hasher: RandomState,
    of_address: DefaultKeyedRateLimiter<u64>,
    of_client: DefaultKeyedRateLimiter<u64>,
}

/// The limit is exceeded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    /// The time until another attempt is allowed, in whole seconds.
    pub(crate) retry_after: Duration,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            of_address: RateLimiter::keyed(OF_ADDRESS),
            of_client: RateLimiter::keyed(OF_CLIENT),
        }
    }

    /// Counts an attempt before it is made, whatever its result and even if the address has no account. The
    /// client is checked first, so that a blocked client does not use up the attempts of an address.
    pub(crate) fn count(&self, client: IpAddr, email: &EmailAddress) -> Result<(), TooOften> {
        self.count_in(&self.of_client, network(client))?;
        self.count_in(&self.of_address, email.canonical())
    }

    fn count_in(
        &self,
        counts: &DefaultKeyedRateLimiter<u64>,
        of: impl Hash,
    ) -> Result<(), TooOften> {
        let count = self.hasher.hash_one(of) % COUNTS;
        counts.check_key(&count).map_err(|until| {
            let wait = until.wait_time_from(counts.clock().now());
            TooOften {
                retry_after: Duration::from_secs(wait.as_secs() + 1),
            }
        })
    }
}

/// Returns the part of an IP address that stands for one client: all of an IPv4 address, or the /64 prefix of
/// an IPv6 address, since one network usually gets a /64.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn address(number: u32) -> EmailAddress {
        format!("person-{number}@acme.example").parse().unwrap()
    }

    #[test]
    fn an_address_has_ten_attempts_then_one_a_minute() {
        let attempts = Attempts::new();
        for client in 0..10 {
            attempts
                .count([10, 0, 0, client].into(), &address(1))
                .unwrap();
        }
        let refused = attempts
            .count([10, 0, 0, 99].into(), &address(1))
            .unwrap_err();
        let minute = 1..=60;
        assert!(
            minute.contains(&refused.retry_after.as_secs()),
            "{refused:?}"
        );
    }

    #[test]
    fn a_client_has_a_hundred_attempts_of_its_own() {
        let attempts = Attempts::new();
        let client = |last: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last).into();
        for number in 0..100 {
            attempts.count(client(1), &address(number)).unwrap();
        }
        for _ in 0..20 {
            attempts.count(client(2), &address(200)).unwrap_err();
        }
        let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1);
        attempts.count(other.into(), &address(200)).unwrap();
    }

    #[test]
    fn the_number_of_counters_is_bounded() {
        let attempts = Attempts::new();
        let counts = &attempts.of_address;
        for number in 0..3 * COUNTS {
            let _counted = attempts.count_in(counts, number);
        }
        let most = usize::try_from(COUNTS).unwrap();
        assert!((most / 2..=most).contains(&counts.len()));
    }
}
