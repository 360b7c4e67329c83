//! A line on a TCP socket, for masters that talk through a serial server.
//!
//! Bytes are not paced: the wire between server and slaves is so fast that it
//! doesn't show. Late answers are still late.

use crate::bus::Bus;
use crate::line::Line;
use crate::serve::{Port, Shared, lock, serve};
use crate::{LineSpeed, SimError};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The speed to give a bus that is served on TCP.
pub const UNPACED: LineSpeed = LineSpeed(50_000_000);

/// A bus on a socket, one master at a time, served until this is dropped.
#[derive(Debug)]
pub struct TcpLine {
    line: Shared,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl TcpLine {
    /// Listens on `address` (port 0: any free one).
    ///
    /// # Errors
    /// [`SimError::Tcp`] when the address cannot be had.
    pub async fn open(address: &str, bus: Bus) -> Result<Self, SimError> {
        let failed = |source| SimError::Tcp { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let line = Arc::new(Mutex::new(Line::new(bus)));
        let served = Arc::clone(&line);
        let task = tokio::spawn(async move {
            let start = Instant::now();
            while let Ok((stream, _)) = listener.accept().await {
                let _no_delay = stream.set_nodelay(true);
                // A broken connection ends itself only; the next may come.
                let _ended = serve(&stream, &served, &Notify::new(), start).await;
                lock(&served).cut();
            }
        });
        Ok(Self { line, address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the bus, or changes it, between two bytes.
    pub fn with_bus<T>(&self, act: impl FnOnce(&mut Bus) -> T) -> T {
        act(&mut lock(&self.line).bus)
    }
}

impl Drop for TcpLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Port for TcpStream {
    async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read(bytes) {
                Err(again) if again.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    fn master_speed(&self) -> Option<LineSpeed> {
        None
    }
}
