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
mod places;
mod rate;
mod respond;
mod route;
mod seats;
mod submit;
mod tile;
mod tls;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
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
use places::{Places, Who};
use rate::{Rates, peer_key};
use seats::{Seat, Seats};

pub(crate) use tls::{HttpTlsError, ServerKeys, spki_hash};

/// Open connections with a certificate that holds.
const HOLDERS_MAX: usize = 512;
/// Open connections with one and the same certificate.
const HOLDERS_EACH_MAX: usize = 64;
/// Open connections that have shown none, those whose handshake is under way among them.
const STRANGERS_MAX: usize = 256;
/// Those of one address (IPv4), or of one /64 (IPv6).
const STRANGERS_EACH_MAX: usize = 16;
/// Requests that are worked on at once: a bundle of entries may take 16 MiB.
const REQUESTS_AT_ONCE_MAX: usize = 64;
/// Requests with a certificate that wait for an outcome or for people at once, besides.
const WAITING_MAX: usize = 256;
/// Those with one and the same certificate.
const WAITING_EACH_MAX: usize = 32;
/// Requests of strangers for their enrolment at once. Fewer than their seats: there is always one to give way.
const ENROLLING_MAX: usize = 128;
/// Those of one address.
const ENROLLING_EACH_MAX: usize = 8;
/// Bodies that one certificate, or one address without, may be sending at once. They hold no other place meanwhile;
/// in all there are no more than connections.
const READING_EACH_MAX: usize = 8;
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
    stranger_seats: Arc<Seats>,
    holder_seats: Arc<Seats>,
    reading: Arc<Places>,
    working: Semaphore,
    waiting: Arc<Places>,
    enrolling: Arc<Places>,
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
            stranger_seats: Seats::new(STRANGERS_MAX, STRANGERS_EACH_MAX),
            holder_seats: Seats::new(HOLDERS_MAX, HOLDERS_EACH_MAX),
            reading: Places::new(HOLDERS_MAX + STRANGERS_MAX, READING_EACH_MAX),
            working: Semaphore::new(REQUESTS_AT_ONCE_MAX),
            waiting: Places::new(WAITING_MAX, WAITING_EACH_MAX),
            enrolling: Places::new(ENROLLING_MAX, ENROLLING_EACH_MAX),
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
    seat: Arc<Seat>,
}

impl Caller {
    /// Who it is by the ledger's word of this moment; `None` if it showed no certificate.
    fn identify(&self, shared: &Shared) -> Option<Result<Identity, Refused>> {
        self.certificate.as_deref().map(|certificate| shared.admission.identify(certificate))
    }
}

/// Serves until told to stop.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: watch::Receiver<bool>) {
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
        let Some(seat) = shared.stranger_seats.take(Who::Stranger(peer_key(peer.ip()))) else {
            debug!(%peer, "https: too many connections");
            continue;
        };
        let (shared, stop) = (shared.clone(), stop.clone());
        open.spawn(connection::run(stream, (peer, seat), shared, stop));
    }
    let ended = async { while open.join_next().await.is_some() {} };
    // Those that stay longer are ended when the set is dropped.
    let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
}
