//! The way in for the process's own clients: a relay in front of rumqttd that takes its pauses away.
//!
//! rumqttd leaves Nagle's algorithm on for the sockets that it accepts. What it has to say next then waits until what
//! it said last is acknowledged, and a Linux that has nothing to answer acknowledges after 40 ms: an order to a gateway
//! and its outcome back would wait for that several times. Whoever reads from rumqttd must acknowledge at once
//! ([`prompt`]); rumqttc does not let its socket be asked, so the relay reads in its stead.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::limits::as_usize;

/// Bytes that one read takes.
const CHUNK_BYTES: usize = 64 * 1024;
/// Pause after a failed accept: the usual cause, no free file descriptor, does not go away at once.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Acknowledges what was read, at once. The kernel forgets it again, so it is asked after each read.
pub(crate) fn prompt(read: impl AsFd) {
    // A kernel that can't is only slower.
    let _ = rustix::net::sockopt::set_tcp_quickack(read, true);
}

/// Listens on a free port of the loopback.
pub(crate) async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Passes on whatever comes to rumqttd, and its answers back. Whoever has no secret of this start gets no further than
/// rumqttd's own door. Never ends by itself.
pub(crate) async fn relay(listener: TcpListener, rumqttd: SocketAddr, connections_max: u32) {
    let seats = Arc::new(Semaphore::new(as_usize(connections_max)));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                warn!(%error, "accepting a client of the process's own failed");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        tokio::spawn(async move {
            if let Err(error) = pass(client, rumqttd).await {
                debug!(%error, "a client of the process's own is gone");
            }
            drop(seat);
        });
    }
}

/// Both directions, until either end is gone.
async fn pass(client: TcpStream, rumqttd: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(rumqttd).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = pump(from_client, to_server) => ended,
        ended = pump(from_server, to_client) => ended,
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk).await?;
        prompt(from.as_ref());
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { return Ok(()) };
        to.write_all(read).await?;
    }
}
