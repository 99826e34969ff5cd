//! Ports for private servers.

use std::net::{Ipv4Addr, TcpListener};

use rand::RngExt as _;

/// Ports below those that systems give to outgoing connections, so that no client takes the port of
/// a server that is down for a moment.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 that no program listens on now. Another program may take it at any time.
///
/// # Panics
/// If none of many ports is free.
pub fn free_port() -> u16 {
    (0..1000)
        .map(|_| rand::rng().random_range(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of a thousand ports of 127.0.0.1 is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_port_skips_a_taken_one() {
        let taken = free_port();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).expect("it was free");
        assert!((0..200).all(|_| free_port() != taken));
    }
}
