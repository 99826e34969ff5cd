//! Free ports for the servers of a trial.

use std::net::TcpListener;

/// Returns a loopback port on which no process listens now.
pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
