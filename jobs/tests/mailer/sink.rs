use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{accepted, mail, mailer_with, settings};

/// Postfix's own test server (smtp-sink), which writes each letter to a file.
struct Sink {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Sink {
    async fn start() -> Self {
        let port = guestlist_testkit::free_port();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new("/usr/sbin/smtp-sink");
        command.current_dir(folder.path()).args(["-d", "letter."]);
        if fs::metadata(folder.path()).unwrap().uid() == 0 {
            // Started as root, it needs the name of the user to run as.
            command.args(["-u", "nobody"]);
        }
        command.args([&format!("127.0.0.1:{port}"), "100"]);
        let process = command
            .stdout(Stdio::null())
            .spawn()
            .expect("smtp-sink of postfix is installed by bin/test");
        let sink = Self {
            process,
            folder,
            port,
        };
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), listening)
            .await
            .unwrap();
        sink
    }

    fn letters(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let letters = files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        letters
            .filter(|letter| letter.contains("Subject:"))
            .collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn smtp_sink_accepts_every_letter() {
    let sink = Sink::start().await;
    let mailer = mailer_with(&format!("smtp://127.0.0.1:{}", sink.port), 4, settings());
    let verdicts = futures::future::join_all((0..100).map(|_| mailer.send(mail()))).await;
    assert!(verdicts.iter().all(accepted), "{verdicts:?}");
    mailer.close().await;
    let letters = sink.letters();
    assert_eq!(letters.len(), 100);
    assert!(
        letters
            .iter()
            .all(|letter| letter.contains("X-Rcpt-Args: <bob@example.com>")),
        "{}",
        letters[0]
    );
    assert!(
        letters
            .iter()
            .all(|letter| letter.contains("Hello\n.\n..bye\n")),
        "{}",
        letters[0]
    );
}
