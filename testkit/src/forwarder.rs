//! A port that stands for the name of a server.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Error;

/// A port of 127.0.0.1 whose connections are forwarded to another port, as a name stands for a server.
/// Moving it leaves open connections where they are, as a changed name does.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use guestlist_testkit::{Forwarder, RedisServer};
/// # if guestlist_testkit::program::find("redis-server").is_err() { return Ok(()); }
///
/// let (old, new) = (RedisServer::start().await?, RedisServer::start().await?);
/// let name = Forwarder::to(old.port()).await?;
/// println!("REDIS_URL=redis://127.0.0.1:{}", name.port());
/// name.move_to(new.port());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    target: watch::Sender<u16>,
    task: JoinHandle<()>,
}

impl Forwarder {
    /// Forwards connections of a free port to `target`, a port of 127.0.0.1.
    ///
    /// # Errors
    /// If the system gives no port.
    pub async fn to(target: u16) -> Result<Self, Error> {
        let failed = || Error::io("no port can be opened");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(failed())?;
        let port = listener.local_addr().map_err(failed())?.port();
        let (target, port_now) = watch::channel(target);
        let task = tokio::spawn(async move {
            // Dropped with this task, which ends the connections.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let target = *port_now.borrow();
                connections.spawn(forward(client, target));
            }
        });
        Ok(Self { port, target, task })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forwards connections that are opened from now on to another port.
    pub fn move_to(&self, target: u16) {
        self.target.send_replace(target);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards one connection until either side closes it. A server that refuses it closes it.
async fn forward(mut client: TcpStream, target: u16) -> io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
