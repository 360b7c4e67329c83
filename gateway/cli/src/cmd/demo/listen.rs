//! A subscriber as any other: its own certificate, its own connection, whatever the hub lets it hear.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use plomb_gateway::uplink::{ClientFiles, client_config};
use plomb_seal::topic;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, SubscribeReasonCode, TlsConfiguration, Transport};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::exit::Failure;

use super::town::{SUBSCRIBER, Town};

/// The most messages that wait to be shown.
const MESSAGES_MAX: usize = 256;
/// The largest message that is taken, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// The most requests of the client that wait.
const REQUESTS_MAX: usize = 16;
/// How long the hub may take to take the subscriptions.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before a lost connection is made again.
const RECONNECT: Duration = Duration::from_millis(300);

/// A message of the hub, or a change of the connection.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// A reading, an absence, or another entry of a measuring point.
    Entry(Value),
    /// The ledger's newest checkpoint: its size.
    Checkpoint(u64),
    /// All subscriptions are taken.
    Subscribed,
    /// The connection was lost; it is made again.
    Lost(String),
    /// The hub refuses a subscription: the demo can't go on.
    Refused,
    /// Anything else.
    Other,
}

/// The subscriber's connection.
pub(super) struct Listener {
    messages: mpsc::Receiver<Message>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Connects.
    pub(super) fn start(town: &Town) -> Result<Self, Failure> {
        let gateway = Town::gateway_name()?;
        let file = |name: &str| town.folder.at(&format!("{SUBSCRIBER}/{name}"));
        let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
        let files = ClientFiles { ca: &ca, certificate: &certificate, key: &key, state_dir: None };
        let tls = client_config(files).map_err(Failure::Config)?;
        let wrong = || Failure::Config(format!("the hub listens at \"{}\", which is no host:port", town.address));
        let (host, port) = town.address.rsplit_once(':').ok_or_else(wrong)?;
        let mut options = MqttOptions::new(SUBSCRIBER, host, port.parse().map_err(|_| wrong())?);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        options.set_max_packet_size(MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX);
        options.set_clean_session(true);
        let filters = vec![format!("plomb/1/{gateway}/pub/#"), topic::CHECKPOINT.to_string()];
        let (send, messages) = mpsc::channel(MESSAGES_MAX);
        Ok(Self { messages, task: tokio::spawn(listen(options, filters, send)) })
    }

    /// Waits until the hub has taken the subscriptions.
    pub(super) async fn subscribed(&mut self, heard: &mut Heard) -> Result<(), Failure> {
        let mut trouble = String::new();
        let waiting = async {
            loop {
                match heard.take(self.next().await?) {
                    Message::Subscribed => return Ok(()),
                    Message::Lost(error) => trouble = error,
                    _ => {}
                }
            }
        };
        match timeout(SUBSCRIBE_TIMEOUT, waiting).await {
            Ok(done) => done,
            Err(_) => Err(Failure::Unavailable(format!("the subscriber gets no connection to the hub: {trouble}"))),
        }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Message, Failure> {
        match self.messages.recv().await {
            Some(Message::Refused) => Err(Failure::Unavailable("the hub refuses the subscriber's topics".into())),
            Some(message) => Ok(message),
            None => Err(Failure::Unavailable("the subscriber's connection ended".into())),
        }
    }
}

async fn listen(options: MqttOptions, filters: Vec<String>, messages: mpsc::Sender<Message>) {
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    let mut open = BTreeSet::new();
    loop {
        let message = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                // A clean session begins without subscriptions.
                open = (0..filters.len()).collect();
                for filter in &filters {
                    if client.try_subscribe(filter, QoS::AtLeastOnce).is_err() {
                        return;
                    }
                }
                Message::Other
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                open.pop_last();
                match (ack.return_codes.contains(&SubscribeReasonCode::Failure), open.is_empty()) {
                    (true, _) => Message::Refused,
                    (false, true) => Message::Subscribed,
                    (false, false) => Message::Other,
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => read(&publish.topic, &publish.payload),
            Ok(_) => continue,
            Err(error) => {
                sleep(RECONNECT).await;
                Message::Lost(error.to_string())
            }
        };
        if messages.send(message).await.is_err() {
            return;
        }
    }
}

fn read(topic: &str, payload: &[u8]) -> Message {
    if topic == topic::CHECKPOINT {
        // A signed note: origin, size and root, a line each.
        let size = std::str::from_utf8(payload).ok().and_then(|note| note.lines().nth(1)?.parse().ok());
        return size.map_or(Message::Other, Message::Checkpoint);
    }
    match (topic.rsplit('/').next(), serde_json::from_slice(payload)) {
        (Some("reading" | "event"), Ok(document)) => Message::Entry(document),
        _ => Message::Other,
    }
}

/// What the subscriber got.
#[derive(Default)]
pub(super) struct Heard {
    /// Entries by epoch and number.
    pub(super) entries: BTreeMap<(u64, u64), Value>,
    /// Two different documents of one number.
    pub(super) contradictions: u64,
}

impl Heard {
    /// Keeps a message.
    pub(super) fn take(&mut self, message: Message) -> Message {
        if let Message::Entry(document) = &message {
            let number = |key: &str| document.get(key).and_then(Value::as_u64).unwrap_or(u64::MAX);
            let mut document = document.clone();
            if let Some(fields) = document.as_object_mut() {
                // How it came, not what it says.
                fields.remove("historical");
            }
            let before = self.entries.insert((number("epoch"), number("seq")), document.clone());
            self.contradictions += u64::from(before.is_some_and(|before| before != document));
        }
        message
    }
}
