//! The TCP connection to a mail server.

use std::io;

use tokio::net::{TcpStream, lookup_host};

use super::deadlines::Deadlines;
use super::error::SmtpError;
use super::server::Server;
use super::stage::Stage;
use super::stream::within;

/// Connects to the first of the host's addresses that answers.
pub(super) async fn dial(server: &Server, deadlines: &Deadlines) -> Result<TcpStream, SmtpError> {
    let unreachable = |source| SmtpError::Unreachable {
        host: server.host.clone(),
        port: server.port,
        source,
    };
    let target = (server.host.as_str(), server.port);
    let addresses = within(Stage::Connect, deadlines.connect, lookup_host(target))
        .await?
        .map_err(unreachable)?;
    let mut failure = unreachable(io::Error::new(
        io::ErrorKind::NotFound,
        "the host has no address",
    ));
    for address in addresses {
        match within(
            Stage::Connect,
            deadlines.connect,
            TcpStream::connect(address),
        )
        .await
        {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(unreachable)?;
                return Ok(stream);
            }
            Ok(Err(source)) => failure = unreachable(source),
            Err(deadline) => failure = deadline,
        }
    }
    Err(failure)
}
