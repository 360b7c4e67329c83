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

use std::{sync::Arc, time::Duration};

use plomb_seal::{Hash, Name, topic};
use rumqttc::{AsyncClient, Event, EventLoop, Packet, Publish, QoS};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tracing::{debug, error, info};

use crate::{
    LedgerError,
    hub::{
        counters::Lost as Loss,
        judge::{About, Judged, judge},
        link::{Link, Lost},
    },
    ledger::{Answer, Ledger},
    node::Pending,
};

/// Batches that came and are not acknowledged. rumqttd stops at 100 on one connection.
const BATCHES_IN_FLIGHT_MAX: usize = 128;
/// Batches whose signatures are checked at once.
const CHECKS_AT_ONCE_MAX: usize = 4;
/// Between two checkpoints that are published: gateways date by them, and each costs a message to every gateway.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(50);

/// What a bridge joins.
#[derive(Clone)]
pub(crate) struct Bridge {
    pub(crate) link: Link,
    pub(crate) checkpoint_interval: Duration,
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
    pub(crate) async fn run(self, stop: watch::Receiver<bool>) {
        self.link.keep(stop, |connected| self.session(connected)).await;
    }

    /// One connection, from CONNECT to its loss. Dropping this ends every task of it.
    async fn session(&self, connected: watch::Sender<bool>) -> Lost {
        let (client, events) = self.link.connect("plomb-ledger");
        let (arrived, underway) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let (offered, due) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().poll(events, arrived, connected));
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
                    self.link.hears.send_replace(true);
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    let judged = tokio::spawn(self.clone().judge(publish.clone(), checks.clone()));
                    arrived.try_send(Underway { publish, judged }).map_err(|_| Lost::Flood(BATCHES_IN_FLIGHT_MAX))?;
                }
                _ => {}
            }
        }
    }

    async fn judge(self, publish: Publish, checks: Arc<Semaphore>) -> Result<Judged, LedgerError> {
        let _permit = checks.acquire_owned().await.map_err(|_| LedgerError::Stopped)?;
        let (ledger, now_ms) = (self.ledger().clone(), (self.link.now_ms)());
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
                    if self.link.counters.lost(loss.clone()) {
                        error!("{loss}");
                    }
                    Due::Refusal(refusal)
                }
                Judged::Nameless => Due::Nothing,
                Judged::Fit { about, anchor, beside } => {
                    Due::Ledger(about, self.link.node.offer(anchor, Some(beside)).await?)
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
                    self.link.counters.known();
                    self.publish_receipt(&client, &gateway, anchor).await?;
                }
                Due::Refusal(refusal) => self.publish_refusal(&client, &refusal).await?,
                Due::Nothing => debug!("a batch came on {}, which names no gateway", publish.topic),
                Due::Ledger(about, pending) => match pending.answer().await? {
                    Answer::Refused(refused) => self.publish_refusal(&client, &about.refusal(refused)).await?,
                    answer => {
                        let admitted = matches!(answer, Answer::Admitted { .. });
                        if admitted {
                            self.link.counters.admitted();
                        } else {
                            self.link.counters.known();
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
        self.link.counters.refused(&refusal.rule);
        let plomb_seal::Refusal { gateway, epoch, batch, rule, detail, .. } = refusal;
        self.link.strike(
            gateway,
            rule,
            format_args!("epoch {epoch} batch {batch} of {gateway}: rule {rule}: {detail}"),
        );
        client.publish(topic::refusal(&refusal.gateway), QoS::AtLeastOnce, false, refusal.to_bytes()).await?;
        Ok(())
    }

    /// The checkpoint after blocks, as their commit has it; and with a fresh cosignature when nothing happens, which
    /// costs a commit of its own.
    async fn checkpoints(self, client: AsyncClient) -> Result<(), Lost> {
        let mut head = self.ledger().head();
        let mut is_fresh = false;
        loop {
            let note = match std::mem::replace(&mut is_fresh, false) {
                true => Some(head.borrow_and_update().note.clone()),
                false => self.cosigned_anew().await?,
            };
            if let Some(note) = note {
                client.publish(topic::CHECKPOINT, QoS::AtLeastOnce, true, note).await?;
            }
            sleep(CHECKPOINT_PAUSE).await;
            tokio::select! {
                changed = head.changed() => {
                    changed.map_err(|_| Lost::Task)?;
                    is_fresh = true;
                }
                () = sleep(self.checkpoint_interval) => {}
            }
        }
    }

    async fn cosigned_anew(&self) -> Result<Option<String>, Lost> {
        let (ledger, now_ms) = (self.ledger().clone(), (self.link.now_ms)());
        let fresh = tokio::task::spawn_blocking(move || ledger.fresh_checkpoint(now_ms));
        Ok(fresh.await.map_err(|_| Lost::Task)??)
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.link.ledger()
    }
}
