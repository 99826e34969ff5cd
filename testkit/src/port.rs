//! Ports for private servers.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use rand::RngExt as _;

/// Ports below those that systems give to outgoing connections, so that no client takes the port of
/// a server that is down for a moment.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A socket for each port that this process was given. A UDP socket takes no TCP port from the server,
/// shows other processes that the port is given away, and ends with this process.
static GIVEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 that no program listens on now. No other call returns it as long as this process
/// lives, also not while a server is down. A program that chooses its port otherwise may take it.
///
/// # Panics
/// If none of many ports is free.
pub fn free_port() -> u16 {
    (0..1000)
        .map(|_| rand::rng().random_range(PORTS))
        .find(|port| give(*port))
        .expect("one of a thousand ports of 127.0.0.1 is free")
}

/// Reserves a port for this process. Returns false if a program listens on it, or if this or another
/// process was given it.
fn give(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    let (Ok(_), Ok(reservation)) = (TcpListener::bind(address), UdpSocket::bind(address)) else {
        return false;
    };
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    given.push(reservation);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_port_is_not_given() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let used = listener.local_addr().expect("an address").port();
        assert!(!give(used));
    }

    #[test]
    fn port_is_given_once() {
        assert!(!give(free_port()));
    }
}
