//! Many invited at once, from a file.

use std::fmt::Write as _;

use crate::bench::environment::Stage;
use crate::bench::inviting::teams;
use crate::bench::row::{Bar, Row};
use crate::bench::statistics::rate;

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let count = stage.amounts.lines;
    let file = stage.folder.join("people.csv");
    let mut people = "email,role,locale\n".to_owned();
    for line in 1..=count {
        writeln!(people, "person-{line}@invitee.example,agent,en")?;
    }
    std::fs::write(&file, people)?;
    let mut ours = Vec::new();
    for time in 1..=stage.repeat {
        stage
            .progress
            .time(time, stage.repeat, format!("{count} lines"));
        let store = stage.store().await?;
        let team = teams(&store.database, &stage.guestlist()?, 1)
            .await?
            .remove(0);
        store.settle().await?;
        let arguments = [
            "invite",
            "--file",
            &file.to_string_lossy(),
            "--organization",
            &team.id.to_string(),
            "--as",
            team.owner.as_str(),
        ];
        // The limits are for people; an operator's load lifts them, as the README says.
        let variables = [
            ("DATABASE_URL", store.url.clone()),
            ("GUESTLIST_LIMITS", "none".to_owned()),
        ];
        let run = stage
            .guestlist
            .start(&stage.folder, &arguments, &variables)?;
        ours.push(rate(count, run.end().await?.after));
        for what in [
            "guestlist_invitations WHERE status = 'pending'",
            "guestlist_outbox",
        ] {
            store.require(what, count).await?;
        }
        stage.drop(store).await?;
    }
    let row = Row::new("bulk", "invites from a CSV file", "a second", ours)?
        .bar(Bar::Least(20_000.0))
        .counted(count);
    Ok(vec![row])
}
