use std::fs;

use guestlist_jobs::mailer::{BreakerState, MailerSettings, VerdictClass};

use crate::{accepted, mail, mailer_with, settings};

#[tokio::test]
async fn repeated_letter_is_one_file() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("new/letters");
    let mailer = mailer_with(&format!("file:{}", folder.display()), 1, settings());
    for _ in 0..3 {
        assert!(accepted(&mailer.send(mail()).await));
    }
    let names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["0198f3-1.eml"]);
    assert_eq!(fs::read(folder.join("0198f3-1.eml")).unwrap(), mail().bytes);
}

#[tokio::test]
async fn unwritable_folder_counts_as_server_fault() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let mailer = mailer_with(
        &format!("file:{}", file.display()),
        1,
        MailerSettings::default(),
    );
    let verdict = mailer.send(mail()).await;
    assert!(verdict.class == VerdictClass::ServerFault, "{verdict:?}");
    assert!(matches!(mailer.state(), BreakerState::Open { .. }));
    assert!(
        mailer
            .check()
            .await
            .unwrap_err()
            .to_string()
            .starts_with("cannot write to ")
    );
}

#[tokio::test]
async fn failed_write_leaves_no_temporary_file() {
    // The write fails because the name of the letter's file is taken by a folder.
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("0198f3-1.eml/taken")).unwrap();
    let mailer = mailer_with(
        &format!("file:{}", home.path().display()),
        1,
        MailerSettings::default(),
    );
    let verdict = mailer.send(mail()).await;
    assert!(verdict.class == VerdictClass::ServerFault, "{verdict:?}");
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        1,
        "nothing unfinished stays"
    );
}

#[tokio::test]
async fn check_leaves_no_file() {
    let home = tempfile::tempdir().unwrap();
    let mailer = mailer_with(&format!("file:{}", home.path().display()), 1, settings());
    let report = mailer.check().await.unwrap().to_string();
    assert_eq!(
        report,
        format!("letters are written to {}", home.path().display())
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}
