//! Meters that send by themselves: what a receiver hears, to the journal.
//!
//! A good telegram becomes a record once in its point's interval; what comes between is counted. A point of
//! which nothing good is heard in its interval gets an absence that says why. A frame that fails a check is
//! counted and changes nothing: the meter's next good telegram is taken as if it had never come.
//!
//! ```text
//! port ─ receive ─► events ─ task ─► listener (pure) ─► journal, board
//! ```

pub mod listener;
pub mod reception;
pub mod strangers;

mod air_scan;
mod receive;
mod task;
#[cfg(test)]
mod tests;

pub use receive::{find, listen_config};
pub use task::RadioTask;

use plomb_wmbus::{Protection, Security};

use crate::{
    config::{self, Security as Least},
    keys::Keys,
    poll::secondary,
};
use listener::Wanted;

/// A meter's configuration and key, as the listener wants them.
fn wanted(meter: &config::Meter, keys: &Keys) -> Result<Wanted, String> {
    let wrong = |what: String| format!("meter \"{}\": {what}", meter.point);
    let text = meter.id.as_ref().ok_or_else(|| wrong("give `id`, the eight digits on the meter".into()))?;
    let address = secondary(text).map_err(wrong)?;
    let key = keys.of(&address);
    let minimum = match (meter.security, &key) {
        (Some(Least::Plain), _) | (None, None) => Protection::Plain,
        (Some(Least::Encrypted), _) | (None, Some(_)) => Protection::Encrypted,
        (Some(Least::Authenticated), _) => Protection::Authenticated,
    };
    if minimum > Protection::Plain && key.is_none() {
        return Err(wrong(
            "its telegrams must be encrypted, and there is no key: add it to the file of `meter_keys`".into(),
        ));
    }
    Ok(Wanted { address, security: Security { key, minimum }, interval: meter.interval() })
}
