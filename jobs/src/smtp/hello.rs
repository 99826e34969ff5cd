//! The commands EHLO and HELO.

use lettre::transport::smtp::commands::Ehlo;
use tokio::net::TcpStream;

use super::capabilities::Capabilities;
use super::deadlines::Deadlines;
use super::ehlo_name::EhloName;
use super::error::SmtpError;
use super::reply::Reply;
use super::server::Server;
use super::stage::Stage;
use super::stream::SmtpStream;

/// Returns the name to give to the server: that of the settings, else that of this host.
pub(super) fn ehlo_name(server: &Server, stream: &TcpStream) -> Result<EhloName, SmtpError> {
    match &server.ehlo_name {
        Some(name) => Ok(name.clone()),
        None => {
            let local = stream
                .local_addr()
                .map_err(SmtpError::lost(Stage::Connect))?;
            Ok(EhloName::of_host(local.ip()))
        }
    }
}

/// Introduces the client by EHLO, or by HELO to a server that does not know EHLO.
pub(super) async fn hello(
    stream: &mut SmtpStream,
    name: &EhloName,
    deadlines: &Deadlines,
) -> Result<Capabilities, SmtpError> {
    let ehlo = Ehlo::new(name.client_id());
    let reply = stream
        .command(Stage::Hello, ehlo, &[250], deadlines.mail)
        .await;
    match reply {
        Ok(reply) => Ok(Capabilities::read(&reply)),
        Err(SmtpError::Negative { reply, .. }) if is_unknown_command(&reply) => {
            let helo = format!("HELO {name}\r\n");
            let reply = stream
                .command(Stage::Hello, helo, &[250], deadlines.mail)
                .await?;
            Ok(Capabilities::of_helo(&reply))
        }
        Err(error) => Err(error),
    }
}

/// Returns whether a server does not know EHLO, so that HELO has to be tried (RFC 5321 section 3.2).
///
/// 501 and 504 usually refuse the name, which HELO would not change; only words tell that they mean
/// the command.
fn is_unknown_command(reply: &Reply) -> bool {
    let text = reply.lines.join(" ").to_ascii_lowercase();
    let names_command = [
        "not implemented",
        "unimplemented",
        "recognized",
        "recognised",
    ]
    .into_iter()
    .any(|words| text.contains(words));
    match reply.code {
        500 | 502 => true,
        501 | 504 => names_command,
        _ => false,
    }
}
