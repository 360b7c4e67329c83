//! HTTPS: the log as C2SP tlog-tiles, lookups and submissions, enrolment.
//!
//! One listener beside the broker's, with the broker's certificate and TLS 1.3. A client certificate is not asked for
//! by TLS, but by what is behind most paths: there the ledger judges it again at every request, and a revocation ends
//! its open connections at once. `docs/operations.md` has the table of paths.
//!
//! HTTP itself is hyper's. What is ours is the order of the checks: address, rate, path, certificate, size, work.

mod answer;
mod checkpoint;
mod connection;
mod enrol;
mod lookup;
mod rate;
mod respond;
mod route;
mod submit;
mod tile;
mod tls;

use std::{
    collections::HashMap, net::IpAddr, net::SocketAddr, sync::Arc, sync::Mutex, sync::PoisonError, time::Duration,
};

use plomb_broker::{Admission, Identity, Refused};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::sleep,
};
use tracing::{debug, warn};

use crate::{config::HttpConfig, engine::Solo, enrol::Enrolments, hub::LedgerAdmission, ledger::Ledger, node::Node};

use checkpoint::Newest;
use rate::{Rates, peer_key};

pub(crate) use tls::{HttpTlsError, ServerKeys, spki_hash};

/// Open connections.
const CONNECTIONS_MAX: usize = 512;
/// Open connections of one address (IPv4), or of one /64 (IPv6).
const CONNECTIONS_PER_PEER_MAX: usize = 64;
/// Requests that are worked on at once: a bundle of entries may take 16 MiB.
const REQUESTS_AT_ONCE_MAX: usize = 64;
/// Requests that wait for an outcome at once, besides.
const WAITING_MAX: usize = 256;
/// Requests a second of one address, sustained, with a certificate that holds.
const KNOWN_PER_SECOND_MAX: u32 = 500;
/// And at once after a silence.
const KNOWN_BURST_MAX: u32 = 2_000;
/// Requests a second of one address without one, sustained.
const STRANGER_PER_SECOND_MAX: u32 = 5;
/// And at once after a silence.
const STRANGER_BURST_MAX: u32 = 60;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long open requests may take to end when the hub stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// What all connections share.
pub(crate) struct Shared {
    node: Arc<Node<Solo>>,
    admission: LedgerAdmission,
    keys: ServerKeys,
    settings: HttpConfig,
    newest: Newest,
    known: Rates,
    strangers: Rates,
    working: Semaphore,
    waiting: Semaphore,
    enrolments: Arc<Enrolments>,
    now_ms: fn() -> i64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        node: Arc<Node<Solo>>,
        keys: ServerKeys,
        enrolments: Arc<Enrolments>,
        settings: HttpConfig,
        checkpoint_interval: Duration,
        now_ms: fn() -> i64,
    ) -> Self {
        Self {
            admission: LedgerAdmission::new(node.ledger().clone(), now_ms),
            node,
            keys,
            settings,
            newest: Newest::new(checkpoint_interval),
            known: Rates::new(KNOWN_PER_SECOND_MAX, KNOWN_BURST_MAX),
            strangers: Rates::new(STRANGER_PER_SECOND_MAX, STRANGER_BURST_MAX),
            working: Semaphore::new(REQUESTS_AT_ONCE_MAX),
            waiting: Semaphore::new(WAITING_MAX),
            enrolments,
            now_ms,
        }
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.node.ledger()
    }
}

/// Who asks.
#[derive(Debug, Clone)]
struct Caller {
    peer: IpAddr,
    certificate: Option<Arc<[u8]>>,
}

impl Caller {
    /// Who it is by the ledger's word of this moment; `None` if it showed no certificate.
    fn identify(&self, shared: &Shared) -> Option<Result<Identity, Refused>> {
        self.certificate.as_deref().map(|certificate| shared.admission.identify(certificate))
    }
}

/// Serves until told to stop.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: watch::Receiver<bool>) {
    let (seats, peers) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Peers::default()));
    let mut stopping = stop.clone();
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer): (TcpStream, SocketAddr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!("https: accepting failed: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (Ok(seat), Some(place)) = (seats.clone().try_acquire_owned(), peers.take(peer_key(peer.ip()))) else {
            debug!(%peer, "https: too many connections");
            continue;
        };
        let (shared, stop) = (shared.clone(), stop.clone());
        open.spawn(async move {
            connection::run(stream, peer, shared, stop).await;
            drop((seat, place));
        });
    }
    let ended = async { while open.join_next().await.is_some() {} };
    // Those that stay longer are ended when the set is dropped.
    let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Peers(Mutex<HashMap<IpAddr, usize>>);

/// One of an address's places; given back on drop.
struct Place {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(peer).or_insert(0);
        if *count >= CONNECTIONS_PER_PEER_MAX {
            return None;
        }
        *count += 1;
        Some(Place { peers: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.peer);
            }
        }
    }
}
