//! The arguments of the program.

use std::process::{Command, Output};

use guestlist_jobs::config::variables;
use team::{Config, listen};

/// Runs the program in an empty environment, where an accepted argument would start the server on an invalid address.
fn run(argument: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_team"));
    let program = program.env_clear().env("TEAM_LISTEN", "nowhere");
    program.arg(argument).output().unwrap()
}

#[test]
fn help_states_the_actual_defaults() {
    let output = run("--help");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(run("-h"), output);
    let help = String::from_utf8(output.stdout).unwrap();
    let Config { worker, .. } = Config::read(|_| None).unwrap();
    let of_worker = |name| {
        let mut variables = variables::ALL.iter();
        let variable = variables.find(|variable| variable.name == name);
        variable.unwrap().default.to_owned()
    };
    for (variable, default) in [
        ("TEAM_LISTEN", listen(|_| None).unwrap().to_string()),
        ("DATABASE_URL", worker.database_url),
        ("SMTP_URL", of_worker("SMTP_URL")),
        ("GUESTLIST_LINK", worker.link.to_string()),
        ("GUESTLIST_ROLES", of_worker("GUESTLIST_ROLES")),
    ] {
        let line = format!("  {variable} [default: {default}]\n");
        assert!(help.contains(&line), "{line}");
    }
}

#[test]
fn an_unknown_argument_is_refused() {
    for argument in ["--nonsense", "help", ""] {
        let output = run(argument);
        assert_eq!(output.status.code(), Some(2), "{argument:?}");
        assert!(output.stdout.is_empty(), "{argument:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("team --help"), "{message}");
    }
}
