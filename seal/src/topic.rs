//! The MQTT topics on which gateways and hubs meet. The first level after the version names the gateway,
//! so that one pattern per right is enough.

use alloc::{format, string::String};

use crate::Name;

/// `up/batch`: signed entries with their anchor, CBOR.
pub fn batch(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/up/batch")
}

/// `up/status`: retained JSON; the last will says offline.
pub fn status(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/up/status")
}

/// `down/receipt`: retained, the newest [`crate::Receipt`].
pub fn receipt(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/down/receipt")
}

/// `down/refusal`: a [`crate::Refusal`].
pub fn refusal(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/down/refusal")
}

/// `down/config`: a [`crate::Dossier`] with a configuration.
pub fn config(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/down/config")
}

/// `down/command`: a [`crate::Dossier`] with a command.
pub fn command(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/down/command")
}

/// `up/outcome`: a transaction that the gateway signed, an outcome or its sealing key.
pub fn outcome(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/up/outcome")
}

/// `down/answer`: a [`crate::Answer`], what the ledger said to that transaction.
pub fn answer(gateway: &Name) -> String {
    format!("plomb/1/{gateway}/down/answer")
}

/// `pub/{point}/reading`: JSON for subscribers.
pub fn reading(gateway: &Name, point: &Name) -> String {
    format!("plomb/1/{gateway}/pub/{point}/reading")
}

/// `pub/{point}/event`: JSON for subscribers, absences among them.
pub fn event(gateway: &Name, point: &Name) -> String {
    format!("plomb/1/{gateway}/pub/{point}/event")
}

/// `pub/{point}/info`: retained JSON, which meter stands at the point.
pub fn info(gateway: &Name, point: &Name) -> String {
    format!("plomb/1/{gateway}/pub/{point}/info")
}

/// The ledger's newest checkpoint, a signed note, retained.
pub const CHECKPOINT: &str = "plomb/1/ledger/checkpoint";

/// All batches of all gateways.
pub const ALL_BATCHES: &str = "plomb/1/+/up/batch";

/// All transactions of all gateways.
pub const ALL_OUTCOMES: &str = "plomb/1/+/up/outcome";

/// The status of all gateways.
pub const ALL_STATUS: &str = "plomb/1/+/up/status";

/// The gateway that a topic belongs to.
pub fn gateway_of(topic: &str) -> Option<Name> {
    topic.strip_prefix("plomb/1/")?.split('/').next()?.parse().ok()
}
