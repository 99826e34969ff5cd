//! The command AUTH (RFC 4954).

use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::Auth;
use lettre::transport::smtp::response::Response;

use super::account::{Account, read_token};
use super::capabilities::Capabilities;
use super::error::SmtpError;
use super::reply::Reply;
use super::secrets::Secrets;
use super::stage::Stage;
use super::stream::SmtpStream;

/// Signs in to the account, by a mechanism that the server offers.
pub(super) async fn sign_in(
    account: &Account,
    capabilities: &Capabilities,
    stream: &mut SmtpStream,
    deadline: Duration,
) -> Result<(), SmtpError> {
    let (mechanism, credentials) = match account {
        Account::Password { credentials, .. } => {
            let mechanism = capabilities.mechanism();
            let mechanism = mechanism.ok_or_else(|| no_password(capabilities))?;
            (mechanism, credentials.clone())
        }
        Account::TokenFile { user, path } => {
            if !capabilities.takes_token() {
                return Err(SmtpError::NoXoauth2);
            }
            (Mechanism::Xoauth2, read_token(user, path).await?)
        }
    };
    let secrets = Secrets::of(mechanism, &credentials);
    let mut exchange = Exchange { stream, deadline };
    let signed_in = match mechanism {
        Mechanism::Xoauth2 => exchange.by_token(credentials).await,
        _ => exchange.by_password(mechanism, &credentials).await,
    };
    signed_in.map_err(|error| secrets.remove_from(error))
}

/// Returns the error of a server that takes no password.
fn no_password(capabilities: &Capabilities) -> SmtpError {
    if capabilities.takes_token() {
        SmtpError::OnlyXoauth2
    } else if capabilities.takes_token_by_oauthbearer() {
        SmtpError::OnlyOauthBearer
    } else {
        SmtpError::NoMechanism
    }
}

/// The commands and replies of AUTH on one connection.
struct Exchange<'a> {
    stream: &'a mut SmtpStream,
    /// The time limit of each reply.
    deadline: Duration,
}

impl Exchange<'_> {
    /// Signs in by XOAUTH2 with an access token. After a wrong token the server describes the error in
    /// a challenge, and refuses only after an empty answer.
    async fn by_token(&mut self, token: Credentials) -> Result<(), SmtpError> {
        let auth = Auth::new(Mechanism::Xoauth2, token, None).map_err(|_| SmtpError::Challenge)?;
        if self.send(auth).await?.code == 235 {
            return Ok(());
        }
        self.stream
            .command(Stage::Auth, "\r\n", &[235], self.deadline)
            .await
            .map(drop)
    }

    /// Signs in with PLAIN or LOGIN.
    async fn by_password(
        &mut self,
        mechanism: Mechanism,
        credentials: &Credentials,
    ) -> Result<(), SmtpError> {
        let mut auth =
            Auth::new(mechanism, credentials.clone(), None).map_err(|_| SmtpError::Challenge)?;
        // LOGIN sends two challenges, for user and password.
        for _ in 0..2 {
            let reply = self.send(auth).await?;
            if reply.code == 235 {
                return Ok(());
            }
            auth = answer(mechanism, credentials, &reply).ok_or(SmtpError::Challenge)?;
        }
        match self.send(auth).await?.code {
            235 => Ok(()),
            _ => Err(SmtpError::Challenge),
        }
    }

    async fn send(&mut self, auth: Auth) -> Result<Reply, SmtpError> {
        self.stream
            .command(Stage::Auth, auth, &[235, 334], self.deadline)
            .await
    }
}

/// Returns the answer to a SASL challenge, if the challenge is understood.
fn answer(mechanism: Mechanism, credentials: &Credentials, challenge: &Reply) -> Option<Auth> {
    let challenge: Response = format!("334 {}\r\n", challenge.lines.first()?)
        .parse()
        .ok()?;
    Auth::new_from_response(mechanism, credentials.clone(), &challenge).ok()
}
