//! Serves a meter on sockets and pseudo-terminals.

use super::config::MeterConfig;
use super::link::{Hdlc, Link, Sent, Wrapper};
use super::meter::Meter;
use super::pushing::{PushLine, PushRoute, push};
use super::serial::{SerialLine, SerialWire};
use crate::SimError;
use crate::pty::{PtyPort, place_link, remove_link};
use crate::serve::{lock, serve};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// Bytes read at once.
const READ_BYTES_MAX: usize = 4096;
/// Bytes of a datagram, at most.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// TCP connections at once, at most.
const TCP_CONNECTIONS_MAX: usize = 64;
/// Peers that are remembered on a datagram socket, at most.
const UDP_PEERS_MAX: usize = 64;

/// What is spoken on a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The wrapper of IEC 62056-47.
    Wrapper,
    /// HDLC, as behind a serial server.
    Hdlc,
}

impl Framing {
    fn link(self) -> Link {
        match self {
            Self::Wrapper => Link::Wrapper(Wrapper::default()),
            Self::Hdlc => Link::Hdlc(Hdlc::default()),
        }
    }
}

/// A meter and the instant from which its time counts.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) meter: Arc<Mutex<Meter>>,
    pub(super) start: Instant,
    /// A client made the meter push.
    pub(super) pushed: Arc<Notify>,
}

impl Shared {
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Wakes who delivers, if there is something to deliver.
    pub(super) fn wake_pusher(&self, meter: &Meter) {
        if !meter.outbox.is_empty() {
            self.pushed.notify_one();
        }
    }
}

/// A meter on as many lines as are opened for it, served until this is dropped.
///
/// All lines show the same meter: one clock, one disconnect state, one invocation counter.
#[derive(Debug)]
pub struct MeterServer {
    shared: Shared,
    tasks: Vec<JoinHandle<()>>,
    links: Vec<(PathBuf, PathBuf)>,
    lines: Vec<PushLine>,
}

impl MeterServer {
    /// A meter on no line yet; its time begins now. To be called within a tokio runtime.
    #[must_use]
    pub fn new(config: MeterConfig) -> Self {
        let meter = Arc::new(Mutex::new(Meter::new(config)));
        let shared = Shared { meter, start: Instant::now(), pushed: Arc::new(Notify::new()) };
        Self { shared, tasks: Vec::new(), links: Vec::new(), lines: Vec::new() }
    }

    /// Looks at the meter, or changes it, between two requests. The duration is its time since its begin.
    pub fn with_meter<T>(&self, act: impl FnOnce(&mut Meter, Duration) -> T) -> T {
        let at = self.shared.elapsed();
        let mut meter = lock(&self.shared.meter);
        let outcome = act(&mut meter, at);
        self.shared.wake_pusher(&meter);
        outcome
    }

    /// Listens on TCP (port 0: any free one) for several clients at once; says where.
    ///
    /// # Errors
    /// [`SimError::Tcp`] when the address cannot be had.
    pub async fn serve_tcp(&mut self, address: &str, framing: Framing) -> Result<SocketAddr, SimError> {
        let failed = |source| SimError::Tcp { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let place = listener.local_addr().map_err(failed)?;
        let shared = self.shared.clone();
        self.tasks.push(tokio::spawn(async move {
            // Connections end with the set.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                if connections.len() < TCP_CONNECTIONS_MAX {
                    connections.spawn(serve_stream(stream, shared.clone(), framing.link()));
                }
            }
        }));
        Ok(place)
    }

    /// Listens for wrapped APDUs on UDP (port 0: any free one); says where.
    ///
    /// # Errors
    /// [`SimError::Tcp`] when the address cannot be had.
    pub async fn serve_udp(&mut self, address: &str) -> Result<SocketAddr, SimError> {
        let failed = |source| SimError::Tcp { address: address.to_owned(), source };
        let socket = UdpSocket::bind(address).await.map_err(failed)?;
        let place = socket.local_addr().map_err(failed)?;
        let shared = self.shared.clone();
        self.tasks.push(tokio::spawn(serve_datagrams(socket, shared)));
        Ok(place)
    }

    /// Opens a pseudo-terminal, and links it at `link` if one is given (an old link there is replaced);
    /// says where.
    ///
    /// # Errors
    /// [`SimError::Pty`] or [`SimError::Link`].
    pub fn serve_pty(&mut self, link: Option<&Path>, line: SerialLine) -> Result<PathBuf, SimError> {
        let (port, device) = PtyPort::open()?;
        if let Some(link) = link {
            place_link(&device, link)?;
            self.links.push((link.to_owned(), device.clone()));
        }
        let start = self.shared.start;
        let wire = Arc::new(Mutex::new(SerialWire::new(self.shared.clone(), line)));
        let changed = Arc::new(Notify::new());
        self.lines.push((Arc::clone(&wire), Arc::clone(&changed)));
        self.tasks.push(tokio::spawn(async move {
            // An error means that the terminal is broken; the client sees it hang up.
            let _ended = serve(&port, &*wire, &changed, start).await;
        }));
        Ok(link.map_or(device, Path::to_owned))
    }

    /// Delivers the meter's notifications: those that a client asks for (the method of the push setup), those
    /// of [`Meter::push`], and one every so often, the first at once. Serial lines that are opened later get
    /// none.
    pub fn push_to(&mut self, routes: Vec<PushRoute>, every: Option<Duration>) {
        self.tasks.push(tokio::spawn(push(self.shared.clone(), routes, self.lines.clone(), every)));
    }
}

impl Drop for MeterServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.links.iter().for_each(|(link, device)| remove_link(Some(link), device));
    }
}

async fn serve_stream(mut stream: TcpStream, shared: Shared, mut link: Link) {
    let _no_delay = stream.set_nodelay(true);
    let mut bytes = vec![0; READ_BYTES_MAX];
    // A broken connection ends itself only.
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        let heard = bytes.get(..count).unwrap_or_default();
        let sent = {
            let mut meter = lock(&shared.meter);
            let sent = link.hear(&mut meter, heard, shared.elapsed());
            shared.wake_pusher(&meter);
            sent
        };
        for Sent { pause, bytes, close } in sent {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            if stream.write_all(&bytes).await.is_err() || close {
                return;
            }
        }
    }
}

async fn serve_datagrams(socket: UdpSocket, shared: Shared) {
    let mut peers: HashMap<SocketAddr, Wrapper> = HashMap::new();
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error is a peer that went away (ICMP); the socket goes on.
        let Ok((count, peer)) = socket.recv_from(&mut bytes).await else { continue };
        if peers.len() >= UDP_PEERS_MAX && !peers.contains_key(&peer) {
            peers.clear();
        }
        let heard = bytes.get(..count).unwrap_or_default();
        let wrapper = peers.entry(peer).or_default();
        let sent = {
            let mut meter = lock(&shared.meter);
            let sent = wrapper.hear(&mut meter, heard, shared.elapsed());
            shared.wake_pusher(&meter);
            sent
        };
        // A datagram is whole, or it is none: what comes in pieces elsewhere is one here.
        wrapper.forget_rest();
        let mut datagram = Vec::new();
        for Sent { pause, bytes, .. } in sent {
            sleep(pause).await;
            datagram.extend(bytes);
        }
        if !datagram.is_empty() {
            let _lost = socket.send_to(&datagram, peer).await;
        }
    }
}
