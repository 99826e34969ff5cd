//! Ports for servers of our own.

use std::net::TcpListener;

/// A loopback port that nobody listens on now.
pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
