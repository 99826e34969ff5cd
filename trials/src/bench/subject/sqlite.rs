//! A worker with SQLite and without Redis, which writes letters as files.

use crate::bench::environment::Environment;
use crate::bench::inviting::{invite_many, teams};
use crate::bench::row::Row;
use crate::bench::statistics::rate;
use crate::bench::store::Store;

pub(super) async fn measure(environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
    let (guestlist, count) = (environment.guestlist()?, environment.amounts.files);
    let (mut invites, mut letters, mut size) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 1..=environment.repeat {
        environment.progress.report_repetition(
            repetition,
            environment.repeat,
            format!("{count} invites and letters"),
        );
        let folder = tempfile::tempdir_in(&environment.folder)?;
        let store = Store::open(&format!(
            "sqlite:{}",
            folder.path().join("guestlist.db").display()
        ))
        .await?;
        let teams = teams(
            &store.database,
            &guestlist,
            environment.amounts.organizations,
        )
        .await?;
        let took = invite_many(&store.database, &guestlist, &teams, "person", count).await?;
        invites.push(rate(count, took));
        store.database.close().await;
        let written = folder.path().join("letters");
        let variables = [
            ("DATABASE_URL", store.url.clone()),
            ("SMTP_URL", format!("file:{}", written.display())),
        ];
        let worker =
            environment
                .command
                .start(folder.path(), &["work", "--until-idle"], &variables)?;
        letters.push(rate(count, worker.wait().await?.duration));
        let (mut files, mut bytes) = (0, 0);
        for file in std::fs::read_dir(&written)? {
            files += 1;
            bytes += file?.metadata()?.len();
        }
        anyhow::ensure!(
            files == count,
            "{count} people were invited, but {files} letters were written"
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
        Row::new("sqlite", "size of a letter", "bytes", size)?,
    ])
}
