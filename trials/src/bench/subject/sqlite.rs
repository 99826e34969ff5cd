//! Everything in one process: SQLite, no Redis, letters as files.

use crate::bench::environment::Stage;
use crate::bench::inviting::{invite_many, teams};
use crate::bench::row::Row;
use crate::bench::statistics::rate;
use crate::bench::store::Store;

pub(super) async fn measure(stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
    let (guestlist, count) = (stage.guestlist()?, stage.amounts.files);
    let (mut invites, mut letters, mut size) = (Vec::new(), Vec::new(), Vec::new());
    for time in 1..=stage.repeat {
        stage
            .progress
            .time(time, stage.repeat, format!("{count} invites and letters"));
        let folder = tempfile::tempdir_in(&stage.folder)?;
        let store = Store::open(&format!(
            "sqlite:{}",
            folder.path().join("guestlist.db").display()
        ))
        .await?;
        let teams = teams(&store.database, &guestlist, stage.amounts.organizations).await?;
        let took = invite_many(&store.database, &guestlist, &teams, "person", count).await?;
        invites.push(rate(count, took));
        store.database.close().await;
        let written = folder.path().join("letters");
        let variables = [
            ("DATABASE_URL", store.url.clone()),
            ("SMTP_URL", format!("file:{}", written.display())),
        ];
        let worker = stage
            .guestlist
            .start(folder.path(), &["work", "--until-idle"], &variables)?;
        letters.push(rate(count, worker.end().await?.after));
        let (mut files, mut bytes) = (0, 0);
        for file in std::fs::read_dir(&written)? {
            files += 1;
            bytes += file?.metadata()?.len();
        }
        anyhow::ensure!(
            files == count,
            "{count} were invited and {files} letters written"
        );
        size.push(bytes as f64 / files as f64);
    }
    Ok(vec![
        Row::new("sqlite", "invites, 32 at a time", "a second", invites)?.counted(count),
        Row::new(
            "sqlite",
            "letters to .eml files, one worker from its start to its end",
            "a second",
            letters,
        )?
        .counted(count),
        Row::new("sqlite", "a letter", "bytes", size)?,
    ])
}
