//! Between broker and ledger: batches in, receipts, refusals and checkpoints out.
//!
//! ```text
//! poll ──► judge (signatures, several at once) ──► offer (in order) ──► answer (in order) ──► PUBACK
//! ```
//!
//! Everything behind the poll is bounded by what rumqttd leaves unacknowledged on one connection, 100.
//! A session is disposable: on any error it is dropped whole, and gateways send again what has no receipt.
//!
//! **Receipts.** The newest receipt of a gateway is retained, and never replaced by an older one. The
//! receipt of an older batch goes out on the same topic without the retain flag: who listens gets it, who
//! comes later finds the newest.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use plomb_broker::{Broker, Inside};
use plomb_seal::{Hash, Name, topic};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tracing::{debug, error, info, warn};

use crate::{
    LedgerError,
    engine::Solo,
    hub::{
        counters::{Counters, Lost as Loss},
        judge::{About, Judged, judge},
        strikes::{PAUSE, Strikes},
    },
    ledger::{Answer, Ledger},
    node::{Node, Pending},
};

/// Batches that came and are not acknowledged. rumqttd stops at 100 on one connection.
const BATCHES_IN_FLIGHT_MAX: usize = 128;
/// Batches whose signatures are checked at once.
const CHECKS_AT_ONCE_MAX: usize = 4;
/// Requests that wait for the connection.
const REQUESTS_MAX: usize = 64;
/// The largest packet in or out, in bytes: a batch and its topic.
const PACKET_BYTES_MAX: usize = plomb_seal::batch::BATCH_BYTES_MAX + 64 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 5_000;

/// What a bridge joins.
#[derive(Clone)]
pub(crate) struct Bridge {
    pub(crate) node: Arc<Node<Solo>>,
    pub(crate) inside: Inside,
    /// To send gateways away. The bridge does not keep the broker alive.
    pub(crate) broker: Weak<Broker>,
    pub(crate) strikes: Arc<Strikes>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) now_ms: fn() -> i64,
    /// Raised once batches are heard for the first time.
    pub(crate) hears: watch::Sender<bool>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Connection(#[from] Box<rumqttc::ConnectionError>),
    #[error("{0}")]
    Request(#[from] rumqttc::ClientError),
    #[error("{0}")]
    Node(#[from] crate::node::NodeError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("more than {BATCHES_IN_FLIGHT_MAX} batches are unacknowledged")]
    Flood,
    #[error("a task of the session ended")]
    Task,
}

/// A batch on its way.
struct Underway {
    publish: Publish,
    judged: JoinHandle<Result<Judged, LedgerError>>,
}

/// A batch whose answer is known, or about to be.
enum Due {
    Receipt { gateway: Name, anchor: Hash },
    Refusal(plomb_seal::Refusal),
    Ledger(About, Pending),
    Nothing,
}

impl Bridge {
    /// Keeps a session with the embedded broker until told to stop, or until the node has ended.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut backoff_ms = BACKOFF_MS_MIN;
        loop {
            let connected = watch::Sender::new(false);
            let lost = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                lost = self.session(&connected) => lost,
            };
            if self.node.is_finished() {
                return;
            }
            if *connected.borrow() {
                backoff_ms = BACKOFF_MS_MIN;
            }
            warn!("the inside connection is lost ({lost}); trying again in {backoff_ms} ms");
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep(Duration::from_millis(backoff_ms)) => {}
            }
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
        }
    }

    /// One connection, from CONNECT to its loss. Dropping this ends every task of it.
    async fn session(&self, connected: &watch::Sender<bool>) -> Lost {
        let mut options = MqttOptions::new("plomb-ledger", self.inside.addr.ip().to_string(), self.inside.addr.port());
        options.set_credentials(&self.inside.username, &self.inside.password);
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true).set_manual_acks(true);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        let (arrived, underway) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let (offered, due) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().poll(events, arrived, connected.clone()));
        tasks.spawn(self.clone().offer(underway, offered));
        tasks.spawn(self.clone().answer(client.clone(), due));
        tasks.spawn(self.clone().checkpoints(client));
        match tasks.join_next().await {
            Some(Ok(Err(lost))) => lost,
            _ => Lost::Task,
        }
    }

    /// Drives the connection. Nothing here waits for anything but the socket: the other tasks' requests
    /// go out through it.
    async fn poll(
        self,
        mut events: EventLoop,
        arrived: mpsc::Sender<Underway>,
        connected: watch::Sender<bool>,
    ) -> Result<(), Lost> {
        let checks = Arc::new(Semaphore::new(CHECKS_AT_ONCE_MAX));
        loop {
            match events.poll().await.map_err(Box::new)? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    connected.send_replace(true);
                    info!("connected to the embedded broker");
                }
                // The one subscription: to batches.
                Event::Incoming(Packet::SubAck(_)) => {
                    self.hears.send_replace(true);
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    let judged = tokio::spawn(self.clone().judge(publish.clone(), checks.clone()));
                    arrived.try_send(Underway { publish, judged }).map_err(|_| Lost::Flood)?;
                }
                _ => {}
            }
        }
    }

    async fn judge(self, publish: Publish, checks: Arc<Semaphore>) -> Result<Judged, LedgerError> {
        let _permit = checks.acquire_owned().await.map_err(|_| LedgerError::Stopped)?;
        let (ledger, now_ms) = (self.node.ledger().clone(), (self.now_ms)());
        let judged =
            tokio::task::spawn_blocking(move || judge(&ledger, &publish.topic, publish.payload.to_vec(), now_ms));
        judged.await.unwrap_or(Err(LedgerError::Stopped))
    }

    /// Offers batches in the order in which they came: a gateway's next anchor must not overtake its last.
    async fn offer(
        self,
        mut underway: mpsc::Receiver<Underway>,
        offered: mpsc::Sender<(Publish, Due)>,
    ) -> Result<(), Lost> {
        while let Some(Underway { publish, judged }) = underway.recv().await {
            let due = match judged.await.map_err(|_| Lost::Task)?? {
                Judged::Known { gateway, anchor } => Due::Receipt { gateway, anchor },
                Judged::Refused(refusal) => Due::Refusal(refusal),
                Judged::Ahead { refusal, seen, size } => {
                    let loss = Loss { gateway: refusal.gateway.to_string(), seen, size };
                    if self.counters.lost(loss.clone()) {
                        error!("{loss}");
                    }
                    Due::Refusal(refusal)
                }
                Judged::Nameless => Due::Nothing,
                Judged::Fit { about, anchor, beside } => {
                    Due::Ledger(about, self.node.offer(anchor, Some(beside)).await?)
                }
            };
            offered.send((publish, due)).await.map_err(|_| Lost::Task)?;
        }
        Err(Lost::Task)
    }

    /// Publishes answers, then acknowledges, in the order in which the batches came.
    async fn answer(self, client: AsyncClient, mut due: mpsc::Receiver<(Publish, Due)>) -> Result<(), Lost> {
        self.publish_all(&client).await?;
        client.subscribe(topic::ALL_BATCHES, QoS::AtLeastOnce).await?;
        while let Some((publish, due)) = due.recv().await {
            match due {
                Due::Receipt { gateway, anchor } => {
                    self.counters.known();
                    self.publish_receipt(&client, &gateway, anchor).await?;
                }
                Due::Refusal(refusal) => self.publish_refusal(&client, &refusal).await?,
                Due::Nothing => debug!("a batch came on {}, which names no gateway", publish.topic),
                Due::Ledger(about, pending) => match pending.answer().await? {
                    Answer::Refused(refused) => self.publish_refusal(&client, &about.refusal(refused)).await?,
                    answer => {
                        let admitted = matches!(answer, Answer::Admitted { .. });
                        if admitted {
                            self.counters.admitted();
                        } else {
                            self.counters.known();
                        }
                        debug!("{} epoch {} batch {}: {answer:?}", about.gateway, about.epoch, about.batch);
                        self.publish_receipt(&client, &about.gateway, about.anchor).await?;
                    }
                },
            }
            client.ack(&publish).await?;
        }
        Err(Lost::Task)
    }

    /// Whatever is retained, anew: the embedded broker keeps nothing over a start.
    async fn publish_all(&self, client: &AsyncClient) -> Result<(), Lost> {
        let newest: Vec<(Name, Hash)> =
            self.ledger().state().gateways().map(|(name, record)| (name.clone(), record.anchor)).collect();
        for (gateway, anchor) in &newest {
            self.publish_receipt(client, gateway, *anchor).await?;
        }
        info!("published the receipts of {} gateways anew", newest.len());
        Ok(())
    }

    async fn publish_receipt(&self, client: &AsyncClient, gateway: &Name, anchor: Hash) -> Result<(), Lost> {
        let ledger = self.ledger().clone();
        let found = tokio::task::spawn_blocking(move || ledger.receipt(&anchor)).await.map_err(|_| Lost::Task)??;
        let Some(receipt) = found else { return Ok(()) };
        let newest = self.ledger().state().gateway(gateway).is_some_and(|record| record.anchor == anchor);
        client.publish(topic::receipt(gateway), QoS::AtLeastOnce, newest, receipt.to_bytes()).await?;
        Ok(())
    }

    async fn publish_refusal(&self, client: &AsyncClient, refusal: &plomb_seal::Refusal) -> Result<(), Lost> {
        self.counters.refused(&refusal.rule);
        let consequence = self.strikes.note(&refusal.gateway, &refusal.rule, Instant::now());
        if let Some(unspoken) = consequence.line {
            warn!(
                unspoken,
                "refused epoch {} batch {} of {}: rule {}: {}",
                refusal.epoch,
                refusal.batch,
                refusal.gateway,
                refusal.rule,
                refusal.detail
            );
        }
        if let Some(broker) = self.broker.upgrade().filter(|_| consequence.expel) {
            warn!("{} sends what is no batch: sent away for {} s", refusal.gateway, PAUSE.as_secs());
            broker.expel(refusal.gateway.as_str(), PAUSE);
        }
        client.publish(topic::refusal(&refusal.gateway), QoS::AtLeastOnce, false, refusal.to_bytes()).await?;
        Ok(())
    }

    /// The checkpoint after each block, and with a fresh cosignature when nothing happens.
    async fn checkpoints(self, client: AsyncClient) -> Result<(), Lost> {
        let mut head = self.ledger().head();
        loop {
            let (ledger, now_ms) = (self.ledger().clone(), (self.now_ms)());
            head.borrow_and_update();
            let fresh = tokio::task::spawn_blocking(move || ledger.fresh_checkpoint(now_ms));
            if let Some(note) = fresh.await.map_err(|_| Lost::Task)?? {
                client.publish(topic::CHECKPOINT, QoS::AtLeastOnce, true, note).await?;
            }
            tokio::select! {
                changed = head.changed() => changed.map_err(|_| Lost::Task)?,
                () = sleep(self.checkpoint_interval) => {}
            }
        }
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.node.ledger()
    }
}
