//! Errors in arguments: by clap for people, as an object for programs.

use std::error::Error as StdError;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use guestlist::Error;

use super::failure::{Reason, Status};
use super::id::InvalidId;
use super::output::Output;

/// Prints the help, the version or the error in the arguments.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    let is_json = std::env::args_os().any(|argument| argument == "--json");
    let is_asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if is_json && !is_asked_for {
        return Output::new(true).reason(&reason(error));
    }
    match error.print() {
        Ok(()) if is_asked_for => Status::Done.into(),
        Err(problem) if problem.kind() == std::io::ErrorKind::BrokenPipe => Status::Done.into(),
        _ => Status::Usage.into(),
    }
}

fn reason(error: &clap::Error) -> Reason {
    let code = error.source().map_or("usage", code);
    let text = error.to_string();
    // The lines up to the first empty one: the mistake and, if arguments are missing, their names.
    let lines: Vec<_> = text
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    let message = lines.join(" ");
    let reason = Reason::invalid(code, message.trim_start_matches("error: "));
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => reason.with("argument", argument.as_str()),
        _ => reason,
    }
}

/// Returns the library's word for a value that its types refuse.
fn code(source: &(dyn StdError + 'static)) -> &'static str {
    macro_rules! words {
        ($($type:ident => $variant:ident),+) => {
            $(if let Some(invalid) = source.downcast_ref::<guestlist::$type>() {
                return Error::$variant(invalid.clone()).code();
            })+
        };
    }
    words! {
        InvalidAuditText => InvalidAuditText,
        InvalidEmailAddress => InvalidEmailAddress,
        InvalidLocale => InvalidLocale,
        InvalidMessage => InvalidMessage,
        InvalidName => InvalidName,
        InvalidRole => InvalidRole,
        InvalidSessionKey => InvalidSessionKey,
        InvalidUserId => InvalidUserId
    }
    if source.is::<InvalidId>() {
        "invalid_id"
    } else {
        "usage"
    }
}
