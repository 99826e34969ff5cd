//! How often passwords may be tried, by whom and for which address.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use guestlist::EmailAddress;

/// For one address: ten at once, and one a minute from then on, 70 in the worst hour. OWASP ASVS 4.0.3
/// (2.2.1) lets no more than 100 attempts an hour fail on one account.
const OF_ADDRESS: Quota =
    Quota::per_minute(NonZeroU32::MIN).allow_burst(NonZeroU32::new(10).expect("ten is not zero"));

/// From one client, which may be a whole office: a hundred at once, and ten a minute from then on. It keeps
/// one machine from trying a password at every address; the OWASP Authentication Cheat Sheet has attempts
/// counted by the account in the first place, since an attacker has many machines.
const OF_CLIENT: Quota = {
    let ten = NonZeroU32::new(10).expect("ten is not zero");
    let hundred = NonZeroU32::new(100).expect("a hundred is not zero");
    Quota::per_minute(ten).allow_burst(hundred)
};

/// The most counts that are kept of each kind.
const COUNTS: u64 = 1 << 16;

/// Counts attempts, in this process. An address or a client is found by a hash that nobody else can
/// compute: there is a bound to what is kept, nothing is forgotten when many addresses are tried, and
/// nobody can choose whom they share a count with.
pub(crate) struct Attempts {
    hasher: RandomState,
    of_address: DefaultKeyedRateLimiter<u64>,
    of_client: DefaultKeyedRateLimiter<u64>,
}

/// It was tried too often.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    /// When there is room for another attempt, in whole seconds.
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

    /// Counts an attempt before it is made, whether it succeeds or not and whether the address has an
    /// account or not. A client that has to wait does not make others wait.
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

/// What one client has: an address of IPv4, or the 64 bits of IPv6 that its network is given.
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
    fn an_address_has_ten_attempts_and_one_a_minute_from_wherever() {
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
    fn a_client_has_a_hundred_attempts_and_holds_up_nobody_else() {
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
    fn what_is_kept_has_a_bound() {
        let attempts = Attempts::new();
        let counts = &attempts.of_address;
        for number in 0..3 * COUNTS {
            let _counted = attempts.count_in(counts, number);
        }
        let most = usize::try_from(COUNTS).unwrap();
        assert!((most / 2..=most).contains(&counts.len()));
    }
}
