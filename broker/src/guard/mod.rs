//! The guard: accepts, and hands each socket to a task of its own.

mod bounds;
mod connection;
mod desk;
mod expelled;
mod handshakes;
mod quota;
mod session;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use self::bounds::{Counts, Seats, peer_key};
use self::desk::Objection;
use self::expelled::Expelled;
use self::handshakes::{Handshakes, MustGo, Places, Shaking};
use self::quota::Quotas;
use crate::admission::Admission;
use crate::embedded::Door;
use crate::limits::{Limits, as_usize};
use crate::stats::{Reason, Snapshot, Stats};
use crate::tls::ServerKeys;

/// Pause after a failed accept: the usual cause, no free file descriptor, does not go away at once.
const ACCEPT_PAUSE_MS: u64 = 100;
/// How long open connections may take to end when the guard stops.
const STOP_TIMEOUT_MS: u64 = 5_000;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    keys: ServerKeys,
    limits: Arc<Limits>,
    admission: Ledger,
    door: Door,
    stats: Stats,
    quotas: Arc<Quotas>,
    seats: Arc<Seats>,
    peers: Arc<Counts<IpAddr>>,
    identities: Arc<Counts<String>>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Handshakes>,
    expelled: Expelled,
    stop: watch::Receiver<bool>,
}

/// The admission, with a `Debug` that says nothing.
struct Ledger(Arc<dyn Admission>);

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

impl Shared {
    /// Counts a refusal, and logs it unless its kind has been loud enough this minute.
    fn object(&self, peer: SocketAddr, who: &str, objection: &Objection) {
        let Objection { reason, detail } = objection;
        if let Some(unspoken) = self.stats.refuse(*reason, Instant::now()) {
            warn!(%peer, who, reason = reason.name(), detail, unspoken, "refused: {}", reason.text());
        }
    }
}

/// A guard at work.
#[derive(Debug)]
pub(crate) struct Guard {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Guard {
    pub(crate) fn start(
        listener: TcpListener,
        keys: ServerKeys,
        limits: Arc<Limits>,
        admission: Arc<dyn Admission>,
        door: Door,
    ) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            keys,
            admission: Ledger(admission),
            door,
            stats: Stats::new(limits.log_lines_per_minute_max),
            quotas: Arc::new(Quotas::new(&limits)),
            seats: Arc::default(),
            peers: Counts::new(limits.connections_per_peer_max),
            identities: Counts::new(limits.connections_per_identity_max),
            connections: Arc::new(Semaphore::new(as_usize(limits.connections_max))),
            handshakes: Handshakes::new(&limits),
            expelled: Expelled::default(),
            stop: stopped,
            limits,
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        info!(%addr, "the guard listens: MQTT 3.1.1 over TLS 1.3, client certificates required");
        Ok(Self { addr, shared, stop, accepting })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn expel(&self, id: &str, pause: Duration) {
        self.shared.expelled.expel(id, Instant::now(), pause);
    }

    pub(crate) fn stats(&self) -> Snapshot {
        self.shared.stats.snapshot()
    }

    /// Stops accepting and waits, for a bounded time, until every connection has ended.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        if self.accepting.await.is_err() {
            error!("the guard's accept loop had panicked");
        }
    }
}

/// Waits until the flag is raised, or its owner is gone.
async fn raised(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|raised| *raised).await;
}

/// The accept loop. It never waits for a peer.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = raised(&mut stop) => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Err(e) = ended {
                    error!(error = %e, "a connection's task failed");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, &shared, &mut tasks),
                Err(e) => {
                    warn!(error = %e, "accepting failed: is the limit of open files too low?");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }
    drop(listener);
    let all_ended = async { while tasks.join_next().await.is_some() {} };
    // Those that stay longer are ended when the set is dropped.
    let _ = tokio::time::timeout(Duration::from_millis(STOP_TIMEOUT_MS), all_ended).await;
}

/// Gives the socket its places and its task, or closes it at once.
fn admit(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    shared.stats.accepted.fetch_add(1, Ordering::Relaxed);
    match seat(shared, peer_key(peer.ip())) {
        Ok(shaking) => {
            tasks.spawn(connection::run(stream, peer, shaking, shared.clone()));
        }
        Err(reason) => shared.object(peer, "not yet known", &Objection::new(reason, "")),
    }
}

/// The places of a new connection. Where there are none, a handshake gives way that says nothing: first one of
/// the same address, where that has used up its share. Only the accept loop takes places, so that what was made
/// free is still there.
fn seat(shared: &Arc<Shared>, peer: IpAddr) -> Result<(Shaking, MustGo), Reason> {
    let now = Instant::now();
    let gives_way = |of| shared.handshakes.give_way(of, now);
    if !shared.handshakes.make_room(peer, now) {
        return Err(Reason::HandshakesFull);
    }
    let own = || shared.peers.take(peer);
    let own = own().or_else(|| gives_way(Some(peer)).then(own).flatten()).ok_or(Reason::PeerFull)?;
    let any = || shared.connections.clone().try_acquire_owned().ok();
    let any = any().or_else(|| gives_way(None).then(any).flatten()).ok_or(Reason::ConnectionsFull)?;
    Ok(shared.handshakes.begin(peer, Places::new(any, own), now))
}
