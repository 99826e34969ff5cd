//! The stage of the demonstration: a folder, a database, a worker, and what happens there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use guestlist::{
    Database, Delivery, Error, Invitation, Invite, Key, KeyRing, Limits, Organization,
    OrganizationId, Organizations, Paging, SessionKey, Status, Transaction, User, UserId,
};
use guestlist_jobs::letters::{Letters, Mailbox};
use guestlist_jobs::mailer::{Deadlines, Mailer};
use guestlist_jobs::queue::Queue;
use guestlist_jobs::sessions::SqlSessions;
use guestlist_jobs::{Context, Settings, Worker};
use mail_parser::MessageParser;
use tokio_util::sync::CancellationToken;

use super::super::failure::{Failure, Reason};
use super::super::output::Output;
use super::role;

/// How long the demonstration waits for anything before it says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long an invitation lives here; longer where a file brings many people, whose letters have
/// to leave in time.
const LIFETIME: Duration = Duration::from_secs(4);

/// Everything the story is played with.
pub(super) struct Scene {
    output: Output,
    folder: PathBuf,
    database: Database,
    keys: KeyRing,
    library: Organizations,
    organization: Organization,
    invites: Vec<Invite>,
}

/// The invited: three of them have a part in the story.
pub(super) struct Guests {
    pub(super) cast: [Invitation; 3],
    pub(super) count: usize,
}

/// The worker in the background.
pub(super) struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Scene {
    /// Makes the folder, the database and the organization.
    pub(super) async fn set(output: Output) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("guestlist-demo-")
            .tempdir()?
            .keep();
        let url = format!("sqlite:{}", folder.join("guestlist.db").display());
        let database = Database::connect(&url, 20).await?;
        guestlist::migrate(&database).await?;
        let keys = KeyRing::of(Key::generate());
        let library = library(&keys, LIFETIME);
        let mut transaction = database.begin().await?;
        let name = "Acme & Co".parse().expect("a name");
        let olivia =
            person("olivia", "olivia@example.com").named("Olivia".parse().expect("a name"));
        let organization = library.create(&mut transaction, name, &olivia).await?;
        transaction.commit().await?;
        output.line(format_args!(
            "Guestlist with SQLite, a worker in this process and letters as files, all in\n  {}\n",
            folder.display()
        ))?;
        Ok(Self {
            output,
            folder,
            database,
            keys,
            library,
            organization,
            invites: Vec::new(),
        })
    }

    pub(super) fn organization(&self) -> OrganizationId {
        self.organization.id
    }

    /// Says a step of the story.
    pub(super) fn say(&self, step: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(self.output.line(format_args!("* {step}"))?)
    }

    pub(super) fn skip(&self, line: Option<u64>, email: &str, why: &str) -> Result<(), Failure> {
        let line = line.unwrap_or_default();
        self.say(format_args!(
            "Line {line} of the file is left out, {email:?}: {why}."
        ))
    }

    /// Sets who is invited: the people of a file, filled up to three with made-up ones.
    pub(super) fn expect_guests(&mut self, invites: Vec<Invite>) -> Result<(), Failure> {
        self.invites = invites;
        let made_up = [
            ("ada", "manager", "en"),
            ("bob", "agent", "en"),
            ("chloe", "agent", "de"),
        ];
        for (who, role_name, locale) in made_up {
            if self.invites.len() < 3 {
                let email = format!("{who}@example.com").parse().expect("an address");
                let invite = Invite::new(self.organization.id, email, role(role_name));
                self.invites
                    .push(invite.locale(locale.parse().expect("a locale")));
            }
        }
        let seconds = u32::try_from(self.invites.len() / 100).unwrap_or(u32::MAX);
        let lifetime = LIFETIME + Duration::from_secs(1) * seconds.min(20);
        self.library = library(&self.keys, lifetime);
        Ok(())
    }

    /// A worker as the command `guestlist work` runs it.
    pub(super) fn start_worker(&self) -> Running {
        let letters = format!("file:{}", self.folder.join("letters").display());
        let mailer = letters.parse().expect("a folder for letters");
        let sessions = SqlSessions::new(self.database.clone(), "tower_sessions.id");
        let context = Context {
            database: self.database.clone(),
            library: self.library.clone(),
            letters: Letters::built_in(),
            mailer: Mailer::new(mailer, 1, Deadlines::default()),
            from: Mailbox {
                name: Some("Acme".to_owned()),
                address: "team@acme.example".to_owned(),
            },
            link: Arc::new(|token| format!("https://acme.example/join/{}", token.expose())),
            sessions: vec![Arc::new(sessions.expect("a column"))],
        };
        let settings = Settings {
            reminder: None,
            ..Settings::default()
        };
        let stop = CancellationToken::new();
        let worker = Worker::new(context, Queue::memory(), settings);
        let until = stop.clone();
        let task = tokio::spawn(async move {
            worker.run(until).await;
        });
        Running { stop, task }
    }

    /// Invites everybody in transactions of 500, the first three being the cast.
    pub(super) async fn invite_guests(&self) -> Result<Guests, Failure> {
        let mut invited = Vec::new();
        for batch in self.invites.chunks(500) {
            let batch = batch.to_vec();
            let outcomes = self
                .change(async |tx| self.library.invite_all(tx, &user("olivia"), batch).await)
                .await?;
            for (outcome, invite) in outcomes.into_iter().zip(&self.invites[invited.len()..]) {
                match outcome {
                    Ok(invitation) => invited.push(invitation),
                    Err(refused) => self.say(format_args!(
                        "{} is not invited: {refused}.",
                        invite.email()
                    ))?,
                }
            }
        }
        for invitation in invited.iter().take(3) {
            let Invitation {
                email,
                role,
                locale,
                ..
            } = invitation;
            self.say(format_args!(
                "Olivia invites {email} as {role}, in {locale}."
            ))?;
        }
        let count = invited.len();
        if count > 3 {
            self.say(format_args!("Olivia invites {} more people.", count - 3))?;
        }
        let cast: [Invitation; 3] = invited
            .into_iter()
            .take(3)
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| {
                Reason::invalid(
                    "too_few",
                    "the file names fewer than three people that can be invited",
                )
            })?;
        Ok(Guests { cast, count })
    }

    pub(super) async fn wait_for_letters(&self, count: usize) -> Result<(), Failure> {
        let sent = async || Ok(self.letter_files()?.len() >= count);
        self.wait_until("the letters", sent).await?;
        self.say(format_args!("The worker has written {count} letters."))
    }

    /// Prints the text of the invitee's letter as they would read it.
    pub(super) async fn show_letter(&self, invitation: &Invitation) -> Result<(), Failure> {
        let (file, text) = self.letter(invitation)?;
        self.say(format_args!(
            "The letter to {}, in {}:\n",
            invitation.email,
            file.display()
        ))?;
        self.output
            .lines(text.lines().map(|line| format!("    {line}")))?;
        Ok(self.output.line("")?)
    }

    pub(super) async fn accept(&self, invitation: &Invitation, who: &str) -> Result<(), Failure> {
        let (_, text) = self.letter(invitation)?;
        let guest = person(who, invitation.email.as_str());
        let token = token_in(&text)?;
        let mallory = person("mallory", "mallory@example.com");
        let stolen = self
            .change(async |tx| self.library.accept(tx, &token, &mallory).await)
            .await;
        if let Err(Failure::Reason(reason)) = stolen {
            self.say(format_args!(
                "Mallory tries the same link and is refused: {}.",
                reason.message()
            ))?;
        }
        let membership = self
            .change(async |tx| self.library.accept(tx, &token, &guest).await)
            .await?;
        self.say(format_args!(
            "{} opens the link and is a member as {} now.",
            membership.email, membership.role
        ))
    }

    pub(super) async fn decline(&self, invitation: &Invitation) -> Result<(), Failure> {
        let token = token_in(&self.letter(invitation)?.1)?;
        self.change(async |tx| self.library.decline(tx, &token).await)
            .await?;
        self.say(format_args!(
            "{} declines; Olivia is told by letter.",
            invitation.email
        ))
    }

    /// Waits until the invitation's time is over and the worker has recorded it.
    pub(super) async fn expire(&self, invitation: &Invitation) -> Result<(), Failure> {
        self.say(format_args!(
            "{} does nothing, and the invitation runs out…",
            invitation.email
        ))?;
        let expired = async || {
            let mut connection = self.database.acquire().await?;
            let found = self
                .library
                .invitation(&mut connection, invitation.id)
                .await?;
            Ok(found.is_some_and(|invitation| invitation.status == Status::Expired))
        };
        self.wait_until("the expiry", expired).await?;
        let token = token_in(&self.letter(invitation)?.1)?;
        let guest = person("bob", invitation.email.as_str());
        match self
            .change(async |tx| self.library.accept(tx, &token, &guest).await)
            .await
        {
            Err(Failure::Reason(reason)) => self.say(format_args!(
                "Too late, the link is refused: {}.",
                reason.message()
            )),
            _ => Err(Reason::fault("demo", "an expired link was accepted").into()),
        }
    }

    pub(super) async fn resend(&self, invitation: &Invitation) -> Result<(), Failure> {
        let id = invitation.id;
        self.change(async |tx| self.library.resend(tx, &user("olivia"), id).await)
            .await?;
        let sent = async || {
            let mut connection = self.database.acquire().await?;
            let found = self.library.invitation(&mut connection, id).await?;
            Ok(found.is_some_and(|invitation| invitation.delivery == Delivery::Sent))
        };
        self.wait_until("the second letter", sent).await?;
        self.say(format_args!(
            "Olivia resends it: {} has a second letter.",
            invitation.email
        ))
    }

    /// Signs in as a host does: a session in the host's own table, recorded with the library.
    pub(super) async fn sign_in(&self, who: &str) -> Result<(), Failure> {
        let Database::Sqlite(pool) = &self.database else {
            return Ok(());
        };
        let statements = [
            "CREATE TABLE tower_sessions (id TEXT PRIMARY KEY)",
            "INSERT INTO tower_sessions VALUES ('session-of-a-browser')",
        ];
        for statement in statements {
            sqlx::query(statement)
                .execute(pool)
                .await
                .map_err(Error::from)?;
        }
        let session: SessionKey = "session-of-a-browser".parse().expect("a session key");
        let id = self.organization.id;
        self.change(async |tx| {
            self.library
                .record_session(tx, id, &user(who), &session)
                .await
        })
        .await?;
        self.say(format_args!(
            "{who} signs in; the host records the session."
        ))
    }

    pub(super) async fn remove(&self, who: &str) -> Result<(), Failure> {
        let id = self.organization.id;
        self.change(async |tx| {
            self.library
                .remove(tx, &user("olivia"), id, &user(who))
                .await
        })
        .await?;
        let gone = async || Ok(self.sessions().await? == 0);
        self.wait_until("the end of the session", gone).await?;
        self.say(format_args!(
            "Olivia removes {who}: no access from that moment, and the session is gone."
        ))
    }

    pub(super) async fn refuse_last_owner(&self) -> Result<(), Failure> {
        let id = self.organization.id;
        match self
            .change(async |tx| self.library.leave(tx, &user("olivia"), id).await)
            .await
        {
            Err(Failure::Reason(reason)) => self.say(format_args!(
                "Olivia wants to leave and is refused: {}.",
                reason.message()
            )),
            _ => Err(Reason::fault("demo", "the last owner left").into()),
        }
    }

    pub(super) async fn sum_up(&self) -> Result<(), Failure> {
        let mut connection = self.database.acquire().await?;
        let paging = Paging::first(Paging::MAX_LIMIT);
        let events = self
            .library
            .events(&mut connection, self.organization.id, &paging)
            .await?;
        self.say(format_args!(
            "{} events are in the history, {} letters in {}.",
            events.items.len(),
            self.letter_files()?.len(),
            self.folder.join("letters").display()
        ))
    }

    pub(super) async fn close(&self) {
        self.database.close().await;
    }

    async fn change<T>(
        &self,
        action: impl AsyncFnOnce(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let mut transaction = self.database.begin().await?;
        let done = action(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    async fn sessions(&self) -> Result<i64, Failure> {
        let Database::Sqlite(pool) = &self.database else {
            return Ok(0);
        };
        let count = sqlx::query_scalar("SELECT count(*) FROM tower_sessions")
            .fetch_one(pool)
            .await;
        Ok(count.map_err(Error::from)?)
    }

    async fn wait_until(
        &self,
        what: &str,
        holds: impl AsyncFn() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let waiting = async {
            while !holds().await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| {
                Err(Reason::fault("demo", format!("waited in vain for {what}")).into())
            })
    }

    fn letter_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let folder = self.folder.join("letters");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let files: Result<Vec<_>, _> = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect();
        let files = files.map_err(|problem: std::io::Error| Failure::from(problem))?;
        Ok(files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|end| end == "eml"))
            .collect())
    }

    /// The newest letter to an invitee, and its text.
    fn letter(&self, invitation: &Invitation) -> Result<(PathBuf, String), Failure> {
        let mut files = self.letter_files()?;
        files.sort_by(|one, other| other.file_name().cmp(&one.file_name()));
        for file in files {
            if let Some(text) = text_to(&file, invitation.email.as_str())? {
                return Ok((file, text));
            }
        }
        Err(Reason::fault(
            "demo",
            format!("there is no letter to {}", invitation.email),
        )
        .into())
    }
}

impl Running {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // The worker contains its own panics; there is nothing else to report.
        let _ = self.task.await;
    }
}

fn library(keys: &KeyRing, lifetime: Duration) -> Organizations {
    Organizations::builder()
        .key_ring(keys.clone())
        .lifetime(lifetime)
        .limits(Limits::none())
        .build()
}

fn user(id: &str) -> UserId {
    id.parse().expect("a user id")
}

fn person(id: &str, email: &str) -> User {
    User::new(
        user(id),
        email.parse().expect("an address that was invited"),
    )
}

fn text_to(file: &Path, email: &str) -> Result<Option<String>, Failure> {
    let bytes = std::fs::read(file)?;
    let Some(letter) = MessageParser::default().parse(&bytes) else {
        return Ok(None);
    };
    let is_theirs = letter
        .to()
        .and_then(|to| to.first())
        .and_then(|to| to.address())
        == Some(email);
    Ok(letter.body_text(0).filter(|_| is_theirs).map(Into::into))
}

fn token_in(text: &str) -> Result<String, Failure> {
    let link = text
        .split_whitespace()
        .find_map(|word| word.split_once("/join/"));
    link.map(|(_, token)| token.to_owned())
        .ok_or_else(|| Reason::fault("demo", "the letter has no link").into())
}
