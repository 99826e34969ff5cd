//! The command AUTH (RFC 4954).

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::client_stream::ClientStream;

/// The password of every user of an [`SmtpServer`](super::SmtpServer), and its token for XOAUTH2.
pub const PASSWORD: &str = "secret";

/// A user name with a password or a token.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    pub(super) user: String,
    secret: String,
}

impl Credentials {
    pub(super) fn are_right(&self) -> bool {
        self.secret == PASSWORD
    }

    /// Reads what follows after the command, in as many steps as its mechanism needs. The credentials are
    /// empty if they cannot be read.
    pub(super) async fn read(
        client: &mut ClientStream,
        mechanism: &str,
        initial: Option<&str>,
    ) -> io::Result<Self> {
        let first = match (initial, mechanism) {
            (Some(initial), _) => decode(initial),
            (None, "LOGIN") => ask(client, "VXNlcm5hbWU6").await?,
            (None, _) => ask(client, "").await?,
        };
        Ok(match mechanism {
            "LOGIN" => Self {
                user: first,
                secret: ask(client, "UGFzc3dvcmQ6").await?,
            },
            "XOAUTH2" => Self::from_token(&first),
            _ => Self::from_plain(&first),
        })
    }

    /// Splits the message of PLAIN (RFC 4616 section 2).
    fn from_plain(message: &str) -> Self {
        let mut parts = message.split('\0').skip(1).map(str::to_owned);
        Self {
            user: parts.next().unwrap_or_default(),
            secret: parts.next().unwrap_or_default(),
        }
    }

    /// Splits the message of Google's and Microsoft's XOAUTH2: `user=…^Aauth=Bearer …^A^A`.
    fn from_token(message: &str) -> Self {
        let value = |key: &str| {
            let mut parts = message.split('\x01');
            parts
                .find_map(|part| part.strip_prefix(key))
                .map(str::to_owned)
        };
        Self {
            user: value("user=").unwrap_or_default(),
            secret: value("auth=Bearer ").unwrap_or_default(),
        }
    }
}

/// Sends a challenge and returns the decoded answer.
async fn ask(client: &mut ClientStream, challenge: &str) -> io::Result<String> {
    client.send(&format!("334 {challenge}")).await?;
    Ok(decode(&client.next_text().await?))
}

fn decode(text: &str) -> String {
    let bytes = BASE64.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
