//! A client of the tests.

use guestlist_testkit::SmtpServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A client that sends lines and reads replies.
pub(crate) struct Client(pub(crate) BufReader<TcpStream>);

impl Client {
    pub(crate) async fn connect(server: &SmtpServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await;
        Self(BufReader::new(stream.unwrap()))
    }

    /// Connects and reads the greeting.
    pub(crate) async fn greeted(server: &SmtpServer) -> Self {
        let mut client = Self::connect(server).await;
        assert_eq!(client.reply().await, "220 test ESMTP");
        client
    }

    /// Reads a reply, whose lines are joined by `|`; an empty one is the end of the connection.
    pub(crate) async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let _ = self.0.read_line(&mut line).await;
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line.trim_end().to_owned());
            if is_last {
                return lines.join("|");
            }
        }
    }

    pub(crate) async fn say(&mut self, line: &str) -> String {
        let line = format!("{line}\r\n");
        self.0.write_all(line.as_bytes()).await.unwrap();
        self.reply().await
    }

    /// Sends a letter and returns the reply to its final dot.
    pub(crate) async fn send(&mut self, to: &str, text: &str) -> String {
        self.say("MAIL FROM:<team@acme.example>").await;
        self.say(&format!("RCPT TO:<{to}>")).await;
        self.say("DATA").await;
        self.say(&format!("{text}\r\n.")).await
    }
}
