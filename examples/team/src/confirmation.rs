//! Proof that an address is somebody's: a letter to it, and the link in that letter.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use guestlist::{EmailAddress, Lend};
use guestlist_jobs::mail::Mail;
use guestlist_jobs::mailer::Verdict;
use lettre::Message;
use lettre::message::Mailbox;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::account::Account;
use crate::app::App;
use crate::database::on_driver;
use crate::problem::Problem;

/// How long a link opens.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The pause between two letters to one mailbox, however its address is written, so that nobody floods that of a
/// stranger.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Writes to an address, whether it has an account or not: what the letter says differs, and what
/// happens here and how long it takes does not.
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
             {}/sign-up/{token}\n\nIf you did not ask for an account, ignore this letter.\n",
            app.config.url
        ),
        Some(_) => format!(
            "Hello!\n\nSomebody asked for an account with your address, and you have one already. \
             Sign in with it:\n\n{}/sign-in\n\nIf it was not you, ignore this letter.\n",
            app.config.url
        ),
    };
    let mail = letter(app, email, text)?;
    let mailer = app.mailer.clone();
    tokio::spawn(async move {
        match mailer.send(mail).await {
            Verdict::Accepted { .. } => {}
            verdict => tracing::warn!(?verdict, "a letter to confirm an address did not leave"),
        }
    });
    Ok(())
}

/// The address a link's token confirms.
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

/// Uses up every link that was sent to an address.
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

/// The database holds the hash alone, so that nobody who reads it can use a link.
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
    Ok(Mail {
        from: from.address.to_string(),
        to: email.to_string(),
        message_id: id,
        bytes: letter.formatted(),
    })
}
