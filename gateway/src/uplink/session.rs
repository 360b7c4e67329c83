//! One connection to the hub, from its begin to its end.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use plomb_seal::{Receipt, Refusal, topic};
use rumqttc::{
    AsyncClient, ConnectReturnCode, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, Publish, QoS, SubAck,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::{error, info, warn};

use super::{
    CONNECT_TIMEOUT, EVENTS_MAX, IN_FLIGHT_MAX, KEEP_ALIVE, PACKET_BYTES_MAX, RECEIPT_TIMEOUT, SENDS_MAX,
    STALL_TIMEOUT, Uplink,
    explain::{self, Trouble},
    outstanding::{Due, Outstanding},
    readings::{Publishing, Sent as SentReading},
};
use crate::{
    clock::unix_ms,
    journal::{Checkpoint, JournalError, Noticed},
    view::rfc3339,
};

/// How often time-outs are looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long the first batch waits for the hub's retained receipt, which may say that this journal is old.
const RECEIPT_GRACE: Duration = Duration::from_millis(700);
/// How often the state is published while nothing changes.
const STATUS_PERIOD: Duration = Duration::from_secs(60);

/// A message under way.
enum Sent {
    Batch,
    Reading(SentReading),
    Other,
}

struct Session<'a> {
    uplink: &'a Uplink,
    client: AsyncClient,
    /// Messages given to the client, not yet numbered by it.
    submitted: VecDeque<Sent>,
    /// Messages on the wire, by packet id.
    in_flight: HashMap<u16, Sent>,
    /// Batches without a receipt.
    batches: Outstanding,
    readings: Publishing,
    begun: Instant,
    /// When the last PUBACK came, or the first message after silence went.
    progress: Instant,
    receipt_seen: bool,
    status_due: Instant,
}

/// What the task that drives the connection tells.
type Incoming = mpsc::Receiver<Result<Event, Trouble>>;

/// Runs one connection. Gives why it ended, and how long it stood; `None` if it never came about.
pub(super) async fn run(uplink: &Uplink, stop: watch::Receiver<bool>) -> (Result<(), Trouble>, Option<Duration>) {
    let (client, event_loop) = match open(uplink) {
        Ok(opened) => opened,
        Err(error) => return (Err(error.into()), None),
    };
    let (events, mut incoming) = mpsc::channel(EVENTS_MAX);
    let poller = Poller(tokio::spawn(poll(event_loop, events, uplink.config.address.clone())));
    if let Err(trouble) = welcome(uplink, &mut incoming).await {
        return (Err(trouble), None);
    }
    let begun = Instant::now();
    uplink.board.update().connected(std::time::Instant::now());
    info!(hub = uplink.config.address, "connected");
    let readings = match Publishing::begin(&uplink.journal, uplink.config.drain_per_s) {
        Ok(readings) => readings,
        Err(error) => return (Err(error.into()), Some(begun.elapsed())),
    };
    let mut session = Session {
        uplink,
        client,
        submitted: VecDeque::new(),
        in_flight: HashMap::new(),
        batches: Outstanding::default(),
        readings,
        begun,
        progress: begun,
        receipt_seen: false,
        status_due: begun,
    };
    let end = session.converse(&mut incoming, stop).await;
    drop(poller);
    (end, Some(begun.elapsed()))
}

fn open(uplink: &Uplink) -> Result<(AsyncClient, EventLoop), String> {
    let address = &uplink.config.address;
    let wrong = || format!("[hub] address \"{address}\" is not host:port");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let mut options =
        MqttOptions::new(uplink.gateway.as_str(), host.trim_matches(['[', ']']), port.parse().map_err(|_| wrong())?);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(uplink.tls.clone())));
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_session(true);
    options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    // More than we ever have under way: the client's own queueing, which loses messages, stays unused.
    options.set_inflight(u16::try_from(IN_FLIGHT_MAX * 2).unwrap_or(u16::MAX));
    let offline = state_document(uplink, "offline");
    options.set_last_will(LastWill::new(topic::status(&uplink.gateway), offline, QoS::AtLeastOnce, true));
    let (client, mut event_loop) = AsyncClient::new(options, IN_FLIGHT_MAX * 2);
    event_loop.network_options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    // What is to be said next must not wait for the acknowledgement of what was said last, up to 40 ms.
    event_loop.network_options.set_tcp_nodelay(true);
    Ok((client, event_loop))
}

/// Polls the connection in a task of its own, as the client demands; ends with the first error.
async fn poll(mut event_loop: EventLoop, events: mpsc::Sender<Result<Event, Trouble>>, address: String) {
    loop {
        let event = event_loop.poll().await.map_err(|error| explain::trouble(&error, &address));
        let ended = event.is_err();
        if events.send(event).await.is_err() || ended {
            return;
        }
    }
}

async fn welcome(uplink: &Uplink, incoming: &mut Incoming) -> Result<(), Trouble> {
    let waiting = async {
        loop {
            match incoming.recv().await {
                Some(Ok(Event::Incoming(Packet::ConnAck(ack)))) if ack.code == ConnectReturnCode::Success => {
                    return Ok(());
                }
                Some(Ok(Event::Incoming(Packet::ConnAck(ack)))) => return Err(explain::refused(ack.code).into()),
                Some(Ok(_)) => {}
                Some(Err(trouble)) => return Err(trouble),
                None => return Err("the connection ended".into()),
            }
        }
    };
    timeout(CONNECT_TIMEOUT, waiting).await.map_err(|_| explain::silent(&uplink.config.address))?
}

impl Session<'_> {
    async fn converse(&mut self, incoming: &mut Incoming, mut stop: watch::Receiver<bool>) -> Result<(), Trouble> {
        let gateway = &self.uplink.gateway;
        for filter in [topic::receipt(gateway), topic::refusal(gateway), topic::CHECKPOINT.to_string()] {
            self.client.try_subscribe(filter, QoS::AtLeastOnce).map_err(|error| error.to_string())?;
        }
        let mut head = self.uplink.journal.head();
        let anchoring = self.uplink.anchoring.clone();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.send_what_fits()?;
            tokio::select! {
                event = incoming.recv() => self.take(event.unwrap_or_else(|| Err("the connection ended".into()))?).await?,
                changed = head.changed() => if changed.is_err() { return Err("the journal has stopped".into()) },
                () = anchoring.closed.notified() => {}
                _ = tick.tick() => self.look_at_time()?,
                _ = stop.changed() => return self.leave(incoming).await,
            }
        }
    }

    /// Sends as much as the windows allow: live readings, then batches, then what an outage left behind.
    fn send_what_fits(&mut self) -> Result<(), Trouble> {
        while self.room() {
            let Some((sent, topic, document, retain)) = self.readings.next_live(&self.uplink.journal)? else { break };
            self.publish(topic, document.into_bytes(), retain, Sent::Reading(sent));
        }
        self.send_batches()?;
        while self.room() {
            let Some((sent, topic, document, retain)) = self.readings.next_missed(&self.uplink.journal)? else { break };
            self.publish(topic, document.into_bytes(), retain, Sent::Reading(sent));
        }
        if self.status_due <= Instant::now() && self.room() {
            self.status_due = Instant::now() + STATUS_PERIOD;
            let document = state_document(self.uplink, "online");
            self.publish(topic::status(&self.uplink.gateway), document, true, Sent::Other);
        }
        Ok(())
    }

    fn send_batches(&mut self) -> Result<(), Trouble> {
        if !self.receipt_seen && self.begun.elapsed() < RECEIPT_GRACE {
            return Ok(());
        }
        let window = self.uplink.config.window_batches.clamp(1, IN_FLIGHT_MAX / 2);
        for batch in self.uplink.journal.unreceipted(window)? {
            let (key, now) = ((batch.epoch, batch.batch), Instant::now());
            match self.batches.due(key, now) {
                Due::Now if self.room() => {}
                Due::Now | Due::Later => continue,
                Due::Never => {
                    let (epoch, number, seconds) = (batch.epoch, batch.batch, RECEIPT_TIMEOUT.as_secs());
                    return Err(format!(
                        "batch {number} of epoch {epoch} was sent {SENDS_MAX} times, and neither receipt nor refusal \
                         came within {seconds} s; connecting anew"
                    )
                    .into());
                }
            }
            let bytes = self.uplink.journal.batch_bytes(batch.epoch, batch.batch)?;
            self.batches.sent(key, now);
            {
                let mut board = self.uplink.board.update();
                board.hub.batches_sent += 1;
                board.unanswered.get_or_insert_with(std::time::Instant::now);
            }
            self.publish(topic::batch(&self.uplink.gateway), bytes, false, Sent::Batch);
        }
        Ok(())
    }

    fn room(&self) -> bool {
        self.submitted.len() + self.in_flight.len() < IN_FLIGHT_MAX
    }

    fn publish(&mut self, topic: String, payload: Vec<u8>, retain: bool, sent: Sent) {
        if self.submitted.is_empty() && self.in_flight.is_empty() {
            self.progress = Instant::now();
        }
        // The client's queue is larger than our window, so this fails only when the connection is gone,
        // and then the poller says so.
        if self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_ok() {
            self.submitted.push_back(sent);
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), Trouble> {
        match event {
            Event::Outgoing(Outgoing::Publish(id)) => {
                if let Some(sent) = self.submitted.pop_front() {
                    self.in_flight.insert(id, sent);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                self.progress = Instant::now();
                if let Some(Sent::Reading(sent)) = self.in_flight.remove(&ack.pkid) {
                    self.readings.acknowledged(sent, &self.uplink.journal)?;
                }
            }
            Event::Incoming(Packet::SubAck(ack)) => granted(&ack)?,
            Event::Incoming(Packet::Publish(publish)) => self.message(&publish).await?,
            _ => {}
        }
        Ok(())
    }

    async fn message(&mut self, publish: &Publish) -> Result<(), Trouble> {
        let gateway = &self.uplink.gateway;
        if publish.topic == topic::CHECKPOINT {
            self.checkpoint(&publish.payload).await;
        } else if publish.topic == topic::receipt(gateway) {
            self.receipt(&publish.payload).await?;
        } else if publish.topic == topic::refusal(gateway) {
            self.refusal(&publish.payload);
        }
        Ok(())
    }

    async fn receipt(&mut self, payload: &[u8]) -> Result<(), Trouble> {
        let receipt = match Receipt::parse(payload) {
            Ok(receipt) => receipt,
            Err(error) => {
                warn!("a receipt that can't be read: {error}");
                return Ok(());
            }
        };
        match self.uplink.journal.notice_ledger(&receipt, &self.uplink.policy).await {
            Ok(Noticed::Known(known)) => {
                self.receipt_seen = true;
                self.batches.receipted((known.epoch, known.batch));
                if known.new {
                    let mut board = self.uplink.board.update();
                    board.hub.receipts += 1;
                    board.hub.last_receipt = Some(rfc3339(unix_ms()));
                    board.hub.refusal = None;
                    board.unanswered = (!self.batches.is_empty()).then(std::time::Instant::now);
                }
            }
            Ok(Noticed::Behind { ledger_epoch, ledger_batch, ledger_seq, epoch, orphans, .. }) => {
                self.receipt_seen = true;
                self.batches.clear();
                self.uplink.board.update().unanswered = None;
                error!(
                    ledger_epoch,
                    ledger_batch,
                    ledger_seq,
                    epoch,
                    orphans,
                    "this journal is older than the ledger's last anchor of this gateway: a card was restored or a file lost; entered as evidence, a new epoch begins"
                );
            }
            Err(JournalError::Receipt(error)) => warn!("a receipt that does not hold: {error}"),
            Err(JournalError::Statement(error)) => warn!("a receipt that does not hold: {error}"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn refusal(&mut self, payload: &[u8]) {
        match Refusal::parse(payload) {
            Ok(refusal) => {
                let text = crate::plain::refusal(&refusal);
                self.batches.refused((refusal.epoch, refusal.batch));
                let mut board = self.uplink.board.update();
                if board.hub.refusal.as_deref() != Some(text.as_str()) {
                    error!("the ledger refuses {text}");
                }
                board.hub.refusal = Some(text);
                board.unanswered = None;
            }
            Err(error) => warn!("a refusal that can't be read: {error}"),
        }
    }

    /// Keeps a checkpoint that the policy holds good and that does not take the ledger back: without lines that
    /// nobody here has checked, as anchors are to name it.
    async fn checkpoint(&self, payload: &[u8]) {
        let Ok(note) = std::str::from_utf8(payload) else { return };
        match self.uplink.policy.check(note) {
            Ok(trusted) => {
                let size = trusted.checkpoint.size;
                let before = self.uplink.board.update().hub.ledger_size;
                if before.is_some_and(|before| size < before) {
                    warn!(size, before, "the ledger's checkpoint went back");
                    return;
                }
                self.uplink.board.update().hub.ledger_size = Some(size);
                // Whether its date can be is decided when an anchor is to name it: by the clock then.
                let witnessed_s = trusted.witnessed_s;
                let known = self.uplink.policy.known_lines(note).ok();
                *self.uplink.anchoring.checkpoint.lock().await = known.map(|note| Checkpoint { note, witnessed_s });
            }
            Err(error) => warn!("a checkpoint that does not hold: {error}"),
        }
    }

    fn look_at_time(&mut self) -> Result<(), Trouble> {
        self.readings.refill();
        let waiting = !(self.submitted.is_empty() && self.in_flight.is_empty());
        if waiting && self.progress.elapsed() >= STALL_TIMEOUT {
            return Err(format!("no acknowledgement from the broker for {} s", STALL_TIMEOUT.as_secs()).into());
        }
        Ok(())
    }

    /// Says offline, and waits briefly for the last acknowledgements.
    async fn leave(&mut self, incoming: &mut Incoming) -> Result<(), Trouble> {
        let document = state_document(self.uplink, "offline");
        self.publish(topic::status(&self.uplink.gateway), document, true, Sent::Other);
        let drained = async {
            while !(self.submitted.is_empty() && self.in_flight.is_empty()) {
                match incoming.recv().await {
                    Some(Ok(event)) => self.take(event).await?,
                    Some(Err(error)) => return Err(error),
                    None => break,
                }
            }
            Ok(())
        };
        // What is not acknowledged by then is sent at the next start.
        let _ = timeout(Duration::from_secs(2), drained).await;
        let _ = self.client.try_disconnect();
        let _ = timeout(Duration::from_millis(300), async { while let Some(Ok(_)) = incoming.recv().await {} }).await;
        self.uplink.board.update().hub.connected = false;
        Ok(())
    }
}

/// Whether the hub will send what was subscribed to (MQTT 3.1.1 §3.9.3).
fn granted(ack: &SubAck) -> Result<(), Trouble> {
    if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
        return Err(
            "the hub refuses this gateway the topics of its receipts, so that none would ever come; the hub's \
                    log says why"
                .into(),
        );
    }
    Ok(())
}

/// Ends the polling task with the session.
struct Poller(JoinHandle<()>);

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn state_document(uplink: &Uplink, state: &str) -> Vec<u8> {
    let head = *uplink.journal.head().borrow();
    let document = json!({
        "schema": "plomb.link/1",
        "gateway": uplink.gateway.as_str(),
        "state": state,
        "time": rfc3339(unix_ms()),
        "epoch": head.epoch,
        "entries": head.next_seq,
        "version": env!("CARGO_PKG_VERSION"),
    });
    document.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_its_subscriptions_ends() {
        let ack = |return_codes| SubAck { pkid: 1, return_codes };
        let yes = SubscribeReasonCode::Success(QoS::AtLeastOnce);
        assert_eq!(granted(&ack(vec![yes; 3])), Ok(()));
        let trouble = granted(&ack(vec![yes, SubscribeReasonCode::Failure])).unwrap_err();
        assert!(trouble.text.contains("receipts") && !trouble.by_the_hub, "{trouble:?}");
    }
}
