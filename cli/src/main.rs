//! The command `guestlist`: the worker, and commands for operators and scripts.
//!
//! The command line is a contract that scripts rely on.
//!
//! Results go to stdout, one JSON object a line under `--json`; everything else goes to stderr. The
//! exit status is 0 for done, 1 for a fault, 2 for malformed arguments or input, 3 for a refusal by
//! a rule.

mod acceptance;
mod arguments;
mod bounce;
mod context;
mod demo;
mod doctor;
mod event;
mod failure;
mod id;
mod input;
mod invitation;
mod invite;
mod invite_csv;
mod job;
mod key;
mod log;
mod member;
mod not_found;
mod organization;
mod output;
mod role;
mod session;
mod suppression;
mod user;
mod variable;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use guestlist_jobs::config::{Config, ConfigError, variables};
use guestlist_jobs::endpoint::Endpoint;
use serde_json::json;

use self::context::Context;
use self::failure::{Done, Failure};
use self::output::Output;

/// Team invitations: organizations, their members and invitations, and the worker that mails them.
#[derive(Debug, Parser)]
#[command(name = "guestlist", version, after_help = after_help())]
struct Cli {
    /// Print one JSON object a line instead of tables and sentences.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the tables of Guestlist, or update them.
    ///
    /// Safe to run at every deployment. An SQLite file is migrated whenever it is used.
    Migrate,
    /// Make the keys that sign invitation links.
    #[command(subcommand)]
    Keys(key::Command),
    #[command(flatten)]
    Daily(Daily),
    /// Run the worker: mail letters and notices, expire invitations, purge sessions.
    ///
    /// Runs until SIGTERM or SIGINT, then finishes the jobs it has started. Several workers may run
    /// at once, on one or many machines, if they share a Postgres and a Redis. Built with the
    /// feature opentelemetry, it exports traces if OTEL_EXPORTER_OTLP_ENDPOINT is set.
    #[command(
        after_help = "Examples:\n  guestlist work\n  guestlist work --listen 127.0.0.1:9100\n  guestlist work --until-idle"
    )]
    Work {
        /// Exit with status 0 as soon as no job is due, for scripts.
        #[arg(long)]
        until_idle: bool,
        /// Answer on this address under /healthz, /readyz and /metrics, such as 127.0.0.1:9100.
        /// There is no password, so keep it private.
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        listen: Option<SocketAddr>,
    },
    Roles(role::Command),
    /// Check everything the worker needs: database, tables, Redis, mail server, clock, keys,
    /// letters. One line each.
    Doctor,
    /// Show an example in a temporary folder: invite, mail, accept, expire, remove.
    ///
    /// Needs nothing installed, reads no variable and leaves only its folder behind.
    #[command(after_help = "Examples:\n  guestlist demo\n  guestlist demo --file people.csv")]
    Demo {
        /// Invite the people in this CSV file (columns email, role, locale) instead of made-up ones.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    #[command(after_help = variables::help())]
    Variables(variable::Command),
}

/// The commands that work on the database.
#[derive(Debug, Subcommand)]
enum Daily {
    /// Create, list, rename and delete organizations.
    #[command(subcommand)]
    Organization(organization::Command),
    Invite(invite::Command),
    Invitations(invitation::List),
    Resend(invitation::Resend),
    Revoke(invitation::Revoke),
    ChangeInvitationRole(invitation::ChangeRole),
    Link(invitation::Link),
    Accept(acceptance::Accept),
    Decline(acceptance::Decline),
    Members(member::List),
    ChangeRole(member::ChangeRole),
    Suspend(member::Suspend),
    Reinstate(member::Reinstate),
    Remove(member::Remove),
    Leave(member::Leave),
    Transfer(member::Transfer),
    Forget(user::Forget),
    /// Record, list and forget the sessions that end with a membership.
    #[command(subcommand)]
    Session(session::Command),
    Events(event::List),
    Bounce(bounce::Record),
    Jobs(job::Command),
    /// List the addresses that no letter is sent to, and lift suppressions.
    #[command(subcommand)]
    Suppressions(suppression::Command),
}

fn after_help() -> String {
    format!(
        "Exit status: 0 done, 1 fault, 2 wrong usage or malformed input, 3 refused by a rule.\n\n{}",
        variables::help()
    )
}

/// Runs the command given by the arguments.
#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return input::report(&error),
    };
    let output = Output::new(cli.json);
    match cli.command.run(output).await {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}

impl Command {
    async fn run(self, output: Output) -> Result<ExitCode, Failure> {
        let status = match self {
            Self::Work { until_idle, listen } => {
                let config = Config::from_env()?;
                let log = "info,apalis=off,apalis_core=off,apalis_redis=off";
                let traces = log::start_with_traces(config.log, log)?;
                let endpoint = match listen {
                    Some(address) => Some(Endpoint::bind(address).await?),
                    None => None,
                };
                let worked = work::run(&config, until_idle, endpoint).await;
                traces.end().await;
                worked?
            }
            Self::Doctor => doctor::run(&configured("off")?, output).await?,
            Self::Demo { file } => demo::run(file.as_deref(), output).await?,
            Self::Migrate => migrate(&configured("warn")?, output).await?,
            Self::Daily(command) => command.run(configured("warn")?, output).await?,
            Self::Keys(command) => command.run(output)?,
            Self::Roles(command) => command.run(output)?,
            Self::Variables(command) => command.run(output)?,
        };
        Ok(status.into())
    }
}

impl Daily {
    async fn run(self, config: Config, output: Output) -> Done {
        let context = Context::open(config, output).await?;
        let done = self.run_in(&context).await;
        context.close().await;
        done
    }

    async fn run_in(self, context: &Context) -> Done {
        match self {
            Self::Organization(command) => command.run(context).await,
            Self::Invite(command) => command.run(context).await,
            Self::Invitations(command) => command.run(context).await,
            Self::Resend(command) => command.run(context).await,
            Self::Revoke(command) => command.run(context).await,
            Self::ChangeInvitationRole(command) => command.run(context).await,
            Self::Link(command) => command.run(context).await,
            Self::Accept(command) => command.run(context).await,
            Self::Decline(command) => command.run(context).await,
            Self::Members(command) => command.run(context).await,
            Self::ChangeRole(command) => command.run(context).await,
            Self::Suspend(command) => command.run(context).await,
            Self::Reinstate(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
            Self::Leave(command) => command.run(context).await,
            Self::Transfer(command) => command.run(context).await,
            Self::Forget(command) => command.run(context).await,
            Self::Session(command) => command.run(context).await,
            Self::Events(command) => command.run(context).await,
            Self::Bounce(command) => command.run(context).await,
            Self::Jobs(command) => command.run(context).await,
            Self::Suppressions(command) => command.run(context).await,
        }
    }
}

/// Parses the address to listen on. It must be an IP address, because a name could stand for
/// several.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:9100".to_owned())
}

/// Reads the configuration, then starts the log on stderr with the filter `log`, unless RUST_LOG is
/// set.
fn configured(log: &str) -> Result<Config, ConfigError> {
    let config = Config::from_env()?;
    log::start(config.log, log);
    Ok(config)
}

async fn migrate(config: &Config, output: Output) -> Done {
    let database = config.connect(1).await?;
    let applied = guestlist::migrate(&database).await?;
    database.close().await;
    let told = match applied {
        0 => "The tables are up to date.".to_owned(),
        1 => "1 migration was applied.".to_owned(),
        _ => format!("{applied} migrations were applied."),
    };
    output.sentence(json!({ "migrated": true, "applied": applied }), told)
}
