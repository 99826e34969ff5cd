//! Confirmation of e-mail addresses by a link in a letter.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use guestlist::{EmailAddress, Lend};
use guestlist_jobs::mail::Mail;
use lettre::Message;
use lettre::message::Mailbox;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::account::Account;
use crate::app::App;
use crate::database::on_driver;
use crate::problem::Problem;

/// The time for which a link is valid.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The minimum time between two letters to one mailbox, however its address is spelled. It prevents flooding
/// another person's mailbox.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Sends a letter to an address, with or without an account. Only the text of the letter differs: the response and
/// its timing do not reveal whether the address has an account.
pub(crate) async fn ask(app: &App, email: &EmailAddress) -> Result<(), Problem> {
    let token = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let mut tx = app.database.begin().await?;
    if was_asked_lately(&mut tx, email).await? {
        return Ok(());
    }
    let account = Account::with_email(&mut tx, email).await?;
    insert(&mut tx, email, &token).await?;
    tx.commit().await?;
    let text = match account {
        None => format!(
            "Welcome!\n\nOpen this link within an hour to choose your name and password:\n\n\
             {}/sign-up/{token}\n\nIf you did not request an account, ignore this letter.\n",
            app.config.url
        ),
        Some(_) => format!(
            "Hello!\n\nSomeone requested an account with your e-mail address, but you already have one. \
             Sign in here:\n\n{}/sign-in\n\nIf this was not you, ignore this letter.\n",
            app.config.url
        ),
    };
    let mail = letter(app, email, text)?;
    let mailer = app.mailer.clone();
    tokio::spawn(async move {
        let verdict = mailer.send(mail).await;
        if !verdict.is_accepted() {
            tracing::warn!(?verdict, "the letter that confirms an address was not sent");
        }
    });
    Ok(())
}

/// Returns the address that a token confirms, if the token is valid.
pub(crate) async fn address(
    connection: impl Lend<'_>,
    token: &str,
) -> Result<Option<EmailAddress>, guestlist::Error> {
    const FIND: &str =
        "SELECT email FROM team_confirmations WHERE token_hash = $1 AND expires_at > $2";
    let found: Option<(String,)> = on_driver!(connection, driver => {
        let query = sqlx::query_as(FIND).bind(hash(token)).bind(Utc::now());
        query.fetch_optional(driver).await?
    });
    Ok(found.map(|(email,)| email.parse()).transpose()?)
}

/// Invalidates every link that was sent to an address.
pub(crate) async fn forget(
    connection: impl Lend<'_>,
    email: &EmailAddress,
) -> Result<(), guestlist::Error> {
    const DELETE: &str = "DELETE FROM team_confirmations WHERE email = $1";
    on_driver!(connection, driver => {
        sqlx::query(DELETE).bind(email.as_str()).execute(driver).await.map(drop)?
    });
    Ok(())
}

async fn was_asked_lately(
    connection: impl Lend<'_>,
    email: &EmailAddress,
) -> Result<bool, guestlist::Error> {
    const FIND: &str =
        "SELECT email FROM team_confirmations WHERE mailbox = $1 AND expires_at > $2 LIMIT 1";
    let since: DateTime<Utc> = Utc::now() + LIFETIME - PAUSE;
    let found: Option<(String,)> = on_driver!(connection, driver => {
        sqlx::query_as(FIND).bind(email.bucket()).bind(since).fetch_optional(driver).await?
    });
    Ok(found.is_some())
}

async fn insert(
    connection: impl Lend<'_>,
    email: &EmailAddress,
    token: &str,
) -> Result<(), guestlist::Error> {
    const INSERT: &str = "INSERT INTO team_confirmations (token_hash, email, expires_at, mailbox) VALUES ($1, $2, $3, $4)";
    on_driver!(connection, driver => {
        let query = sqlx::query(INSERT)
            .bind(hash(token))
            .bind(email.as_str())
            .bind(Utc::now() + LIFETIME)
            .bind(email.bucket());
        query.execute(driver).await.map(drop)?
    });
    Ok(())
}

/// Hashes a token. The database holds only the hash, so that reading the database gives no usable link.
fn hash(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

fn letter(app: &App, email: &EmailAddress, text: String) -> anyhow::Result<Mail> {
    let from = &app.config.worker.from;
    let id = format!("{}@{}", Uuid::now_v7(), from.address.domain());
    let letter = Message::builder()
        .from(Mailbox::new(
            from.name.clone(),
            from.address.as_str().parse()?,
        ))
        .to(Mailbox::new(None, email.as_str().parse()?))
        .subject("Your account")
        .message_id(Some(format!("<{id}>")))
        .header(lettre::message::header::ContentType::TEXT_PLAIN)
        .body(text)?;
    Ok(Mail::new(from, email.clone(), id, letter.formatted()))
}
