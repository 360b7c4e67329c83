//! A session of the hub with the embedded broker: how it is opened, kept and lost, and what a gateway's faults cost it.
//!
//! A session is disposable: on any error it is dropped whole. What it had not acknowledged is sent again by who sent it.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use plomb_broker::{Broker, Inside};
use plomb_seal::Name;
use rumqttc::{AsyncClient, EventLoop, MqttOptions};
use tokio::{sync::watch, time::sleep};
use tracing::warn;

use crate::{
    LedgerError,
    engine::Solo,
    hub::{
        counters::Counters,
        strikes::{PAUSE, Strikes},
    },
    ledger::Ledger,
    node::Node,
};

/// Requests that wait for the connection.
const REQUESTS_MAX: usize = 64;
/// The largest packet in or out, in bytes: a batch or a dossier, and its topic.
const PACKET_BYTES_MAX: usize = plomb_seal::batch::BATCH_BYTES_MAX + 64 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 5_000;

/// What every session joins.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) node: Arc<Node<Solo>>,
    pub(crate) inside: Inside,
    /// To send gateways away. The session does not keep the broker alive.
    pub(crate) broker: Weak<Broker>,
    pub(crate) strikes: Arc<Strikes>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) now_ms: fn() -> i64,
    /// Raised once gateways are heard for the first time.
    pub(crate) hears: watch::Sender<bool>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("{0}")]
    Connection(#[from] Box<rumqttc::ConnectionError>),
    #[error("{0}")]
    Request(#[from] rumqttc::ClientError),
    #[error("{0}")]
    Node(#[from] crate::node::NodeError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("more than {0} messages are unacknowledged")]
    Flood(usize),
    #[error("a task of the session ended")]
    Task,
}

impl Link {
    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        self.node.ledger()
    }

    /// Keeps a session until told to stop, or until the node has ended. A session raises its flag once connected.
    pub(super) async fn keep<F: Future<Output = Lost>>(
        &self,
        mut stop: watch::Receiver<bool>,
        session: impl Fn(watch::Sender<bool>) -> F,
    ) {
        let mut backoff_ms = BACKOFF_MS_MIN;
        loop {
            let connected = watch::Sender::new(false);
            let lost = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                lost = session(connected.clone()) => lost,
            };
            if self.node.is_finished() {
                return;
            }
            if *connected.borrow() {
                backoff_ms = BACKOFF_MS_MIN;
            }
            warn!("an inside connection is lost ({lost}); trying again in {backoff_ms} ms");
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep(Duration::from_millis(backoff_ms)) => {}
            }
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
        }
    }

    /// A client of the embedded broker that acknowledges by hand.
    pub(super) fn connect(&self, client_id: &str) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(client_id, self.inside.addr.ip().to_string(), self.inside.addr.port());
        options.set_credentials(&self.inside.username, &self.inside.password);
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true).set_manual_acks(true);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
        events.network_options.set_tcp_nodelay(true);
        (client, events)
    }

    /// Notes that a gateway's message was refused: a line in the log if it has some left; sent away if it is a flood.
    pub(super) fn strike(&self, gateway: &Name, rule: &str, what: fmt::Arguments<'_>) {
        let consequence = self.strikes.note(gateway, rule, Instant::now());
        if let Some(unspoken) = consequence.line {
            warn!(unspoken, "refused {what}");
        }
        if let Some(broker) = self.broker.upgrade().filter(|_| consequence.expel) {
            warn!("{gateway} sends what no gateway in order sends: sent away for {} s", PAUSE.as_secs());
            broker.expel(gateway.as_str(), PAUSE);
        }
    }
}
