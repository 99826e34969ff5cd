//! A mail server and the settings of connections to it.

use std::fmt;
use std::path::PathBuf;

use lettre::transport::smtp::authentication::Credentials;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::ehlo_name::EhloName;

/// A mail server: its address, encryption and credentials. `Display` never shows the password.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) name: ServerName<'static>,
    pub(crate) connector: TlsConnector,
    pub(crate) user: Option<String>,
    pub(crate) tls_ca: Option<PathBuf>,
    /// The name in EHLO; `None` for that of the host.
    pub(crate) ehlo_name: Option<EhloName>,
}

/// The encryption of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// From the first byte.
    Implicit,
    /// By STARTTLS; no letter is sent without it.
    Required,
    /// By STARTTLS if the server offers it, without checking the certificate.
    Opportunistic,
    /// Never.
    None,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, tls) = match self.security {
            Security::Implicit => ("smtps", ""),
            Security::Required => ("smtp", "?tls=required"),
            Security::Opportunistic => ("smtp", "?tls=opportunistic"),
            Security::None => ("smtp", "?tls=none"),
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}:***@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}{tls}", self.host, self.port)?,
            false => write!(f, "{}:{}{tls}", self.host, self.port)?,
        }
        if let Some(path) = &self.tls_ca {
            let mark = if tls.is_empty() { '?' } else { '&' };
            write!(f, "{mark}tls_ca={}", path.display())?;
        }
        Ok(())
    }
}
