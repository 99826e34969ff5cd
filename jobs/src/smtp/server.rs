//! A mail server and the settings of connections to it.

use std::fmt;
use std::path::PathBuf;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::account::Account;
use super::ehlo_name::EhloName;

/// A mail server: its address, encryption and credentials. `Display` never shows the password.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) account: Option<Account>,
    pub(crate) name: ServerName<'static>,
    pub(crate) connector: TlsConnector,
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
            Security::Implicit => ("smtps", None),
            Security::Required => ("smtp", Some("required")),
            Security::Opportunistic => ("smtp", Some("opportunistic")),
            Security::None => ("smtp", Some("none")),
        };
        write!(f, "{scheme}://")?;
        match &self.account {
            Some(Account::Password { user, .. }) => write!(f, "{user}:***@")?,
            Some(Account::TokenFile { user, .. }) => write!(f, "{user}@")?,
            None => {}
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port)?,
            false => write!(f, "{}:{}", self.host, self.port)?,
        }
        let mut parameters: Vec<String> = Vec::new();
        parameters.extend(tls.map(|tls| format!("tls={tls}")));
        if let Some(path) = &self.tls_ca {
            parameters.push(format!("tls_ca={}", path.display()));
        }
        if let Some(Account::TokenFile { path, .. }) = &self.account {
            parameters.push(format!("auth=xoauth2&token_file={}", path.display()));
        }
        for (place, parameter) in parameters.iter().enumerate() {
            let mark = if place == 0 { '?' } else { '&' };
            write!(f, "{mark}{parameter}")?;
        }
        Ok(())
    }
}
