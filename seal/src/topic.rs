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

/// The gateway that a topic belongs to.
pub fn gateway_of(topic: &str) -> Option<Name> {
    topic.strip_prefix("plomb/1/")?.split('/').next()?.parse().ok()
}
