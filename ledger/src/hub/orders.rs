//! Between broker and ledger: what gateways have to do, and what they say came of it.
//!
//! ```text
//! due ──► dossier ──► down/config, down/command        (not retained; again until it is answered)
//! up/outcome ──► judge ──► offer (in order) ──► down/answer ──► PUBACK
//! ```
//!
//! A connection of its own: an outcome does not wait behind batches. Nothing here is believed by a gateway, which
//! checks each dossier and each answer itself; nothing of a gateway's is believed here but what the ledger admits.

use std::time::{Duration, Instant};

use plomb_seal::{
    Answer as Said, Hash, Logged, Name, Unverified,
    dossier::DOSSIER_BYTES_MAX,
    topic,
    transaction::{self, Kind, Outcome, SealingKey, TRANSACTION_BYTES_MAX},
    tree,
};
use rumqttc::{AsyncClient, Event, EventLoop, Packet, Publish, QoS, SubscribeFilter};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, error, info};

use crate::{
    LedgerError,
    hub::{
        link::{Link, Lost},
        rounds::Rounds,
    },
    ledger::Answer,
    node::Pending,
    state::{Due, Refused},
};

/// Messages that came and are not acknowledged. rumqttd stops at 100 on one connection.
const IN_FLIGHT_MAX: usize = 128;
/// Gateways that came online and were not looked at yet.
const GREETINGS_MAX: usize = 64;
/// How often it is looked for what must be sent again.
const TICK: Duration = Duration::from_secs(1);
/// The longest status that is read, in bytes.
const STATUS_BYTES_MAX: usize = 4 * 1024;

/// The bridge of orders and outcomes.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) link: Link,
}

/// What a message turned out to be.
enum Heard {
    /// A transaction for the ledger.
    Transaction { gateway: Name, leaf: Hash },
    /// No transaction that a gateway may send here.
    Refused { gateway: Name, leaf: Hash, refused: Refused },
    /// A gateway that came online.
    Online(Name),
    /// Nothing to do.
    Nothing,
}

/// What follows from a message.
enum Next {
    Ledger { gateway: Name, leaf: Hash, pending: Pending },
    Refused { gateway: Name, leaf: Hash, refused: Refused },
    Online(Name),
    Nothing,
}

impl Orders {
    /// Keeps a session with the embedded broker until told to stop, or until the node has ended.
    pub(crate) async fn run(self, stop: watch::Receiver<bool>) {
        self.link.keep(stop, |connected| self.session(connected)).await;
    }

    /// One connection, from CONNECT to its loss. Dropping this ends every task of it.
    async fn session(&self, connected: watch::Sender<bool>) -> Lost {
        let (client, events) = self.link.connect("plomb-orders");
        let (arrived, came) = mpsc::channel(IN_FLIGHT_MAX);
        let (offered, next) = mpsc::channel(IN_FLIGHT_MAX);
        let (greet, greetings) = mpsc::channel(GREETINGS_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().poll(events, arrived, connected));
        tasks.spawn(self.clone().offer(came, offered));
        tasks.spawn(self.clone().answer(client.clone(), next, greet));
        tasks.spawn(self.clone().tell(client, greetings));
        match tasks.join_next().await {
            Some(Ok(Err(lost))) => lost,
            _ => Lost::Task,
        }
    }

    /// Drives the connection. Nothing here waits for anything but the socket.
    async fn poll(
        self,
        mut events: EventLoop,
        arrived: mpsc::Sender<Publish>,
        connected: watch::Sender<bool>,
    ) -> Result<(), Lost> {
        loop {
            match events.poll().await.map_err(Box::new)? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    connected.send_replace(true);
                }
                // The one packet that subscribes, with both filters.
                Event::Incoming(Packet::SubAck(_)) => {
                    self.link.hears.send_replace(true);
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    arrived.try_send(publish).map_err(|_| Lost::Flood(IN_FLIGHT_MAX))?;
                }
                _ => {}
            }
        }
    }

    /// Offers transactions in the order in which they came: a configuration is rolled back after it was applied.
    async fn offer(
        self,
        mut came: mpsc::Receiver<Publish>,
        offered: mpsc::Sender<(Publish, Next)>,
    ) -> Result<(), Lost> {
        while let Some(publish) = came.recv().await {
            let next = match hear(&publish.topic, &publish.payload) {
                Heard::Transaction { gateway, leaf } => {
                    let pending = self.link.node.offer(publish.payload.to_vec(), None).await?;
                    Next::Ledger { gateway, leaf, pending }
                }
                Heard::Refused { gateway, leaf, refused } => Next::Refused { gateway, leaf, refused },
                Heard::Online(gateway) => Next::Online(gateway),
                Heard::Nothing => Next::Nothing,
            };
            offered.send((publish, next)).await.map_err(|_| Lost::Task)?;
        }
        Err(Lost::Task)
    }

    /// Publishes answers, then acknowledges, in the order in which the messages came.
    async fn answer(
        self,
        client: AsyncClient,
        mut next: mpsc::Receiver<(Publish, Next)>,
        greet: mpsc::Sender<Name>,
    ) -> Result<(), Lost> {
        let filters = [topic::ALL_OUTCOMES, topic::ALL_STATUS];
        client.subscribe_many(filters.map(|filter| SubscribeFilter::new(filter.into(), QoS::AtLeastOnce))).await?;
        while let Some((publish, next)) = next.recv().await {
            match next {
                Next::Nothing => debug!("nothing is to be done about a message on {}", publish.topic),
                Next::Online(gateway) => greet.send(gateway).await.map_err(|_| Lost::Task)?,
                Next::Refused { gateway, leaf, refused } => self.refuse(&client, &gateway, leaf, refused).await?,
                Next::Ledger { gateway, leaf, pending } => match pending.answer().await? {
                    Answer::Refused(refused) => self.refuse(&client, &gateway, leaf, refused).await?,
                    answer => {
                        debug!("{gateway}: {leaf}: {answer:?}");
                        self.link.counters.with_orders(|counted| match answer {
                            Answer::Admitted { .. } => counted.admitted += 1,
                            _ => counted.known += 1,
                        });
                        let logged = self.logged(leaf).await?;
                        let said = Said { of: leaf, logged, rule: String::new(), detail: String::new() };
                        self.say(&client, &gateway, &said).await?;
                    }
                },
            }
            client.ack(&publish).await?;
        }
        Err(Lost::Task)
    }

    async fn refuse(&self, client: &AsyncClient, gateway: &Name, leaf: Hash, refused: Refused) -> Result<(), Lost> {
        let Refused { rule, detail } = refused;
        self.link.counters.with_orders(|counted| counted.refuse(rule));
        self.link.strike(gateway, rule, format_args!("transaction {leaf} of {gateway}: rule {rule}: {detail}"));
        self.say(client, gateway, &Said { of: leaf, logged: None, rule: rule.into(), detail }).await
    }

    async fn say(&self, client: &AsyncClient, gateway: &Name, said: &Said) -> Result<(), Lost> {
        Ok(client.publish(topic::answer(gateway), QoS::AtLeastOnce, false, said.to_bytes()).await?)
    }

    async fn logged(&self, leaf: Hash) -> Result<Option<Logged>, Lost> {
        let ledger = self.link.ledger().clone();
        Ok(tokio::task::spawn_blocking(move || ledger.logged(&leaf)).await.map_err(|_| Lost::Task)??)
    }

    /// Sends what is due: when it was admitted, when a gateway comes online, and again until it is answered.
    async fn tell(self, client: AsyncClient, mut greetings: mpsc::Receiver<Name>) -> Result<(), Lost> {
        let mut changed = self.link.ledger().register_changes();
        let mut rounds = Rounds::default();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = self.tell_all(&client, &mut rounds).await?;
        info!("sent {told} gateways anew what they have to do");
        loop {
            tokio::select! {
                changed = changed.recv() => match changed {
                    Ok(gateway) => drop(self.tell_one(&client, &mut rounds, &gateway).await?),
                    Err(RecvError::Lagged(_)) => drop(self.tell_all(&client, &mut rounds).await?),
                    Err(RecvError::Closed) => return Err(Lost::Task),
                },
                greeting = greetings.recv() => {
                    let gateway = greeting.ok_or(Lost::Task)?;
                    rounds.greet(&gateway, Instant::now());
                    self.tell_one(&client, &mut rounds, &gateway).await?;
                }
                _ = tick.tick() => for gateway in rounds.ripe(Instant::now()) {
                    self.tell_one(&client, &mut rounds, &gateway).await?;
                },
            }
        }
    }

    /// Sends every gateway what it has to do; gives the number of those that have something.
    async fn tell_all(&self, client: &AsyncClient, rounds: &mut Rounds) -> Result<usize, Lost> {
        let gateways: Vec<Name> = self.link.ledger().state().registers().map(|(name, _)| name.clone()).collect();
        let mut told = 0;
        for gateway in &gateways {
            told += usize::from(self.tell_one(client, rounds, gateway).await? > 0);
        }
        Ok(told)
    }

    /// Sends a gateway what it has to do, the most urgent first, as much as may be on its way; gives how much.
    async fn tell_one(&self, client: &AsyncClient, rounds: &mut Rounds, gateway: &Name) -> Result<usize, Lost> {
        let mut told = 0;
        loop {
            let due = self.link.ledger().state().due(gateway, (self.link.now_ms)());
            let Some(next) = rounds.next(gateway, &due, Instant::now()) else { return Ok(told) };
            let bytes = self.dossier(next).await?;
            rounds.sent(gateway, next.transaction, bytes.as_ref().map_or(0, Vec::len), Instant::now());
            let Some(bytes) = bytes else { continue };
            let topic = if next.kind == Kind::Config { topic::config(gateway) } else { topic::command(gateway) };
            client.publish(topic, QoS::AtLeastOnce, false, bytes).await?;
            self.link.counters.with_orders(|counted| counted.dossiers += 1);
            told += 1;
        }
    }

    /// An order with all that a gateway needs to judge it. `None` if that can't be delivered, which is told here.
    async fn dossier(&self, due: Due) -> Result<Option<Vec<u8>>, Lost> {
        let (ledger, leaf) = (self.link.ledger().clone(), due.transaction);
        let made = tokio::task::spawn_blocking(move || -> Result<_, LedgerError> { ledger.dossier(&leaf) });
        let bytes = made.await.map_err(|_| Lost::Task)??.map(|dossier| dossier.to_bytes());
        match bytes {
            Some(bytes) if bytes.len() <= DOSSIER_BYTES_MAX => return Ok(Some(bytes)),
            Some(bytes) => error!("{leaf} with its proofs is {} bytes: no gateway takes it", bytes.len()),
            None => error!("{leaf} is due, and the ledger has no such order"),
        }
        Ok(None)
    }
}

/// Judges a message by its topic and what it claims to be. Signatures are the ledger's to check.
fn hear(topic: &str, payload: &[u8]) -> Heard {
    let Some(gateway) = topic::gateway_of(topic) else { return Heard::Nothing };
    if topic == topic::status(&gateway) {
        return if is_online(payload) { Heard::Online(gateway) } else { Heard::Nothing };
    }
    let leaf = tree::leaf_hash(payload);
    match claimed_gateway(payload) {
        Ok(claimed) if claimed == gateway => Heard::Transaction { gateway, leaf },
        Ok(claimed) => {
            let detail = format!("it is of {claimed}; each gateway sends its own outcomes");
            Heard::Refused { gateway, leaf, refused: Refused::new("outcome-gateway", detail) }
        }
        Err(refused) => Heard::Refused { gateway, leaf, refused },
    }
}

/// The gateway that a transaction speaks of, if it is of a kind that gateways send here.
fn claimed_gateway(payload: &[u8]) -> Result<Name, Refused> {
    if payload.len() > TRANSACTION_BYTES_MAX {
        let detail = format!("{} bytes; a transaction has at most {TRANSACTION_BYTES_MAX}", payload.len());
        return Err(Refused::new("transaction-form", detail));
    }
    let form = |error: plomb_seal::Malformed| Refused::new("transaction-form", error.to_string());
    match transaction::kind(payload).map_err(form)? {
        Kind::Outcome => Ok(Unverified::<Outcome>::parse(payload).map_err(form)?.claims().gateway.clone()),
        Kind::SealingKey => Ok(Unverified::<SealingKey>::parse(payload).map_err(form)?.claims().gateway.clone()),
        other => {
            let detail =
                format!("a transaction of kind {} is not sent here: outcomes and sealing keys are", other.name());
            Err(Refused::new("outcome-kind", detail))
        }
    }
}

/// Whether a status says that its gateway came online. It is JSON, unsigned: it asks for what is due, no more.
fn is_online(payload: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Status {
        state: String,
    }
    payload.len() <= STATUS_BYTES_MAX
        && serde_json::from_slice::<Status>(payload).is_ok_and(|status| status.state == "online")
}
