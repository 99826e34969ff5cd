//! The mail transport configured by `SMTP_URL`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lettre::transport::smtp::authentication::Credentials;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::smtp::{Account, EhloName, Security, Server, tls};

/// A validated mail transport.
///
/// Parsed from `smtp://[user:password@]host[:port][?tls=required|opportunistic|none]` (STARTTLS),
/// `smtps://…` (TLS from the first byte, RFC 8314 section 3.3) or `file:FOLDER`. `tls_ca=PATH`
/// names a PEM file of additional trusted root certificates. User and password are percent-encoded.
/// `auth=xoauth2&token_file=PATH` takes an access token in the place of the password: the file is read
/// for each connection, so that another program can renew the token.
/// Neither `Display` nor `Debug` shows the password.
#[derive(Clone)]
pub struct MailerConfig {
    pub(super) transport: Transport,
}

#[derive(Clone)]
pub(super) enum Transport {
    Smtp(Box<Server>),
    File(PathBuf),
}

impl MailerConfig {
    /// Returns the folder that letters are written to, if they are not sent.
    pub fn folder(&self) -> Option<&Path> {
        match &self.transport {
            Transport::File(folder) => Some(folder),
            Transport::Smtp(_) => None,
        }
    }

    /// Sets the name that is given to the mail server in EHLO. By default it is the name of the host
    /// or, if that has no dot, the address from which the connection comes.
    #[must_use]
    pub fn with_ehlo_name(mut self, name: EhloName) -> Self {
        if let Transport::Smtp(server) = &mut self.transport {
            server.ehlo_name = Some(name);
        }
        self
    }
}

/// A mistake in an `SMTP_URL`; never shows the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailerConfigError {
    /// It is not a URL.
    #[error(
        "not a URL: {0} (a user or password with characters such as @ / # needs percent-encoding)"
    )]
    NotAUrl(url::ParseError),
    /// The scheme is not supported.
    #[error("unknown scheme {0:?}, use smtp://, smtps:// or file:")]
    Scheme(String),
    /// `file:` without a folder.
    #[error("file: needs a folder, such as file:letters")]
    NoFolder,
    /// `file://host/…` names a folder elsewhere.
    #[error("file: names a folder on this machine, use file:folder or file:///folder")]
    RemoteFolder,
    /// No host.
    #[error("the host is missing")]
    NoHost,
    /// The host is neither a name nor an address.
    #[error("{0:?} is not a host name")]
    Host(String),
    /// Port 0 cannot be connected to.
    #[error("port 0 cannot be connected to")]
    Port,
    /// Only one of user and password.
    #[error("credentials need both user and password, as user:password@host")]
    HalfCredentials,
    /// Percent-encoded credentials that are not UTF-8.
    #[error("user and password must be percent-encoded UTF-8")]
    Encoding,
    /// An @ in the path, query or fragment. The text before it was probably meant as a password, so
    /// none of it is repeated.
    #[error("characters such as / ? # in user or password need percent-encoding")]
    Unencoded,
    /// Something after the host other than parameters, or no `//` before it.
    #[error("the address must be scheme://host:port without a path")]
    Path,
    /// An unknown or repeated query parameter.
    #[error(
        "unknown or repeated parameter {0:?}, the known ones are tls, tls_ca, auth and token_file"
    )]
    Parameter(String),
    /// An unknown value of `tls`.
    #[error("tls={0:?} is unknown, use required, opportunistic or none")]
    Tls(String),
    /// An unknown value of `auth`.
    #[error("auth={0:?} is unknown, use xoauth2, or leave it out for a password")]
    Auth(String),
    /// `auth=xoauth2` without a user or a file, or with a password, or `token_file` without it.
    #[error("a token needs user@host without a password, auth=xoauth2 and token_file=PATH")]
    Token,
    /// `tls` combined with `smtps://`.
    #[error("smtps:// is always encrypted, leave tls out")]
    TlsTwice,
    /// Credentials with opportunistic TLS: an attacker could remove STARTTLS and read them.
    #[error("an attacker can strip tls=opportunistic and read the credentials, use tls=required")]
    CredentialsInClear,
    /// The root certificates of `tls_ca` cannot be used.
    #[error("tls_ca {path}: {why}")]
    Roots {
        /// The file.
        path: PathBuf,
        /// The problem with the file.
        why: String,
    },
    /// `tls_ca` together with a mode that checks no certificate.
    #[error("tls_ca has no effect here, only tls=required and smtps:// check certificates")]
    RootsUnused,
}

impl FromStr for MailerConfig {
    type Err = MailerConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let transport = match text.split_at_checked(5) {
            Some((scheme, folder)) if scheme.eq_ignore_ascii_case("file:") => {
                Transport::File(self::folder(folder)?)
            }
            _ => Transport::Smtp(Box::new(server(text)?)),
        };
        Ok(Self { transport })
    }
}

/// Parses what follows `file:`: `letters` and `/abs` are taken literally, `///abs` is a URL.
fn folder(text: &str) -> Result<PathBuf, MailerConfigError> {
    if text.is_empty() {
        return Err(MailerConfigError::NoFolder);
    }
    if !text.starts_with("//") {
        return Ok(PathBuf::from(text));
    }
    let url = Url::parse(&format!("file:{text}")).map_err(MailerConfigError::NotAUrl)?;
    let folder = url
        .to_file_path()
        .map_err(|()| MailerConfigError::RemoteFolder)?;
    if folder.parent().is_none() {
        return Err(MailerConfigError::NoFolder);
    }
    Ok(folder)
}

fn server(text: &str) -> Result<Server, MailerConfigError> {
    let url = Url::parse(text).map_err(MailerConfigError::NotAUrl)?;
    if !matches!(url.scheme(), "smtp" | "smtps") {
        return Err(MailerConfigError::Scheme(url.scheme().to_owned()));
    }
    if !url.cannot_be_a_base() && url[url::Position::BeforePath..].contains('@') {
        return Err(MailerConfigError::Unencoded);
    }
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(MailerConfigError::Path);
    }
    let Parameters {
        tls,
        tls_ca,
        auth,
        token_file,
    } = parameters(&url)?;
    let account = match auth.as_deref() {
        None if token_file.is_some() => return Err(MailerConfigError::Token),
        None => password_account(&url)?,
        Some("xoauth2") => Some(token_account(&url, token_file)?),
        Some(other) => return Err(MailerConfigError::Auth(other.to_owned())),
    };
    let security = security(url.scheme(), tls.as_deref(), account.is_some())?;
    let (host, name) = host(&url)?;
    Ok(Server {
        port: port(&url, security, account.is_some())?,
        host,
        name,
        connector: connector(security, tls_ca.as_ref())?,
        security,
        account,
        tls_ca,
        ehlo_name: None,
    })
}

/// The query parameters, not yet validated.
#[derive(Default)]
struct Parameters {
    tls: Option<String>,
    tls_ca: Option<PathBuf>,
    auth: Option<String>,
    token_file: Option<PathBuf>,
}

fn parameters(url: &Url) -> Result<Parameters, MailerConfigError> {
    let mut parameters = Parameters::default();
    for (key, value) in url.query_pairs() {
        let value = value.into_owned();
        let is_repeated = match key.as_ref() {
            "tls" => parameters.tls.replace(value).is_some(),
            "tls_ca" => parameters.tls_ca.replace(value.into()).is_some(),
            "auth" => parameters.auth.replace(value).is_some(),
            "token_file" => parameters.token_file.replace(value.into()).is_some(),
            _ => true,
        };
        if is_repeated {
            return Err(MailerConfigError::Parameter(key.into_owned()));
        }
    }
    Ok(parameters)
}

fn password_account(url: &Url) -> Result<Option<Account>, MailerConfigError> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, Some(password)) if !user.is_empty() && !password.is_empty() => {
            let user = decoded(user)?;
            Ok(Some(Account::Password {
                credentials: Credentials::new(user.clone(), decoded(password)?),
                user,
            }))
        }
        _ => Err(MailerConfigError::HalfCredentials),
    }
}

fn token_account(url: &Url, file: Option<PathBuf>) -> Result<Account, MailerConfigError> {
    let file = file.filter(|path| !path.as_os_str().is_empty());
    match (url.username(), url.password(), file) {
        ("", ..) | (_, Some(_), _) | (_, _, None) => Err(MailerConfigError::Token),
        (user, None, Some(path)) => {
            let user = decoded(user)?;
            // It would end the field of the user.
            if user.contains('\x01') {
                return Err(MailerConfigError::Token);
            }
            Ok(Account::TokenFile { user, path })
        }
    }
}

/// Decodes percent-encoding (RFC 3986 section 2.1); a lone % stands for itself.
fn decoded(text: &str) -> Result<String, MailerConfigError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let hex = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        if let (b'%', Some(high), Some(low)) = (byte, hex(0), hex(1)) {
            bytes.extend(u8::try_from(high * 16 + low));
            rest = &tail[2..];
        } else {
            bytes.push(*byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| MailerConfigError::Encoding)
}

fn security(
    scheme: &str,
    tls: Option<&str>,
    signs_in: bool,
) -> Result<Security, MailerConfigError> {
    match (scheme, tls) {
        ("smtps", None) => Ok(Security::Implicit),
        ("smtps", Some(_)) => Err(MailerConfigError::TlsTwice),
        (_, None) if signs_in => Ok(Security::Required),
        (_, Some("required")) => Ok(Security::Required),
        (_, Some("opportunistic")) if signs_in => Err(MailerConfigError::CredentialsInClear),
        (_, None | Some("opportunistic")) => Ok(Security::Opportunistic),
        (_, Some("none")) => Ok(Security::None),
        (_, Some(other)) => Err(MailerConfigError::Tls(other.to_owned())),
    }
}

fn host(url: &Url) -> Result<(String, ServerName<'static>), MailerConfigError> {
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or(MailerConfigError::NoHost)?;
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let name =
        ServerName::try_from(bare.clone()).map_err(|_| MailerConfigError::Host(bare.clone()))?;
    Ok((bare, name))
}

/// Returns the port of the URL or the default: 465 for implicit TLS (RFC 8314), 587 for submission
/// (RFC 6409), else 25.
fn port(url: &Url, security: Security, signs_in: bool) -> Result<u16, MailerConfigError> {
    match (url.port(), security) {
        (Some(0), _) => Err(MailerConfigError::Port),
        (Some(port), _) => Ok(port),
        (None, Security::Implicit) => Ok(465),
        (None, Security::Required) => Ok(587),
        (None, _) if signs_in => Ok(587),
        (None, _) => Ok(25),
    }
}

fn connector(
    security: Security,
    tls_ca: Option<&PathBuf>,
) -> Result<TlsConnector, MailerConfigError> {
    if matches!(security, Security::Opportunistic | Security::None) {
        return match tls_ca {
            Some(_) => Err(MailerConfigError::RootsUnused),
            None => Ok(tls::unverified()),
        };
    }
    tls::verifying(tls_ca.map(PathBuf::as_path)).map_err(|why| MailerConfigError::Roots {
        path: tls_ca.cloned().unwrap_or_default(),
        why,
    })
}

impl fmt::Display for MailerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::File(folder) => write!(f, "file:{}", folder.display()),
            Transport::Smtp(server) => server.fmt(f),
        }
    }
}

impl fmt::Debug for MailerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailerConfig({self})")
    }
}

#[cfg(test)]
mod tests;
