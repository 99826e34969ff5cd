//! The account that the worker signs in with.

use std::path::{Path, PathBuf};

use lettre::transport::smtp::authentication::Credentials;

use super::error::SmtpError;

/// The maximum length of a token, in bytes: RFC 4954 section 4 allows a line of AUTH 12288 bytes, and
/// base64 makes four of three.
const MAX_TOKEN: usize = 8192;

/// A user and what proves its identity.
#[derive(Clone)]
pub(crate) enum Account {
    /// A password, for PLAIN and LOGIN.
    Password {
        /// The name of the user.
        user: String,
        /// The user and the password.
        credentials: Credentials,
    },
    /// The file with an access token for XOAUTH2, which another program renews.
    TokenFile {
        /// The name of the user.
        user: String,
        /// The file.
        path: PathBuf,
    },
}

/// Reads the token of a user. It is read for each connection, because tokens expire within hours.
pub(super) async fn read_token(user: &str, path: &Path) -> Result<Credentials, SmtpError> {
    let invalid = |why: String| SmtpError::TokenFile {
        path: path.to_owned(),
        why,
    };
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| invalid(error.to_string()))?;
    let token = text.trim();
    // RFC 6750 section 2.1. A control character could end the field of the token.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("contains no token".to_owned()));
    }
    if token.len() > MAX_TOKEN {
        return Err(invalid(format!("is longer than {MAX_TOKEN} bytes")));
    }
    Ok(Credentials::new(user.to_owned(), token.to_owned()))
}
