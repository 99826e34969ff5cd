//! Invites from a CSV file.

use std::fmt::Write as _;

use crate::bench::environment::Environment;
use crate::bench::inviting::teams;
use crate::bench::row::{Row, Target};
use crate::bench::statistics::rate;

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let count = environment.amounts.lines;
    let file = environment.folder.join("people.csv");
    let mut csv = "email,role,locale\n".to_owned();
    for line in 1..=count {
        writeln!(csv, "person-{line}@invitee.example,agent,en")?;
    }
    std::fs::write(&file, csv)?;
    let mut result = Vec::new();
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} lines"),
        );
        let store = environment.create_store().await?;
        let team = teams(&store.database, &environment.guestlist()?, 1)
            .await?
            .remove(0);
        store.vacuum().await?;
        let arguments = [
            "invite",
            "--file",
            &file.to_string_lossy(),
            "--organization",
            &team.id.to_string(),
            "--as",
            team.owner.as_str(),
        ];
        // Without limits, because they are for people and not for an operator's import.
        let variables = [
            ("DATABASE_URL", store.url.clone()),
            ("GUESTLIST_LIMITS", "none".to_owned()),
        ];
        let process = environment
            .command
            .start(&environment.folder, &arguments, &variables)?;
        result.push(rate(count, process.wait().await?.duration));
        for condition in [
            "guestlist_invitations WHERE status = 'pending'",
            "guestlist_outbox",
        ] {
            store.require(condition, count).await?;
        }
        environment.drop_store(store).await?;
    }
    let row = Row::new("bulk", "invites from a CSV file", "a second", result)?
        .target(Target::Min(20_000.0))
        .counted(count);
    Ok(vec![row])
}
