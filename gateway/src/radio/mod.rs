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

use plomb_wmbus::Protection;

use crate::{
    ask::mbus::secondary,
    config::{self, Security as Least},
    keys::Keys,
};
use listener::Wanted;

/// A meter's configuration, as the listener wants it.
fn wanted(meter: &config::Meter, keys: &Keys) -> Result<Wanted, String> {
    let wrong = |what: String| format!("meter \"{}\": {what}", meter.point);
    let text = meter.id.as_ref().ok_or_else(|| wrong("give `id`, the eight digits on the meter".into()))?;
    let address = secondary(text).map_err(wrong)?;
    if address.has_wild_digit() {
        return Err(wrong("`id` has a digit that is left open: in the air each meter is known by all eight".into()));
    }
    let minimum = minimum(meter);
    if minimum > Some(Protection::Plain) && !keys.has(address.id) {
        return Err(wrong(
            "its telegrams must be encrypted, and there is no key: add it to the file of `meter_keys`".into(),
        ));
    }
    Ok(Wanted { address, minimum, interval: meter.interval() })
}

/// The least protection that a meter's telegrams must have, if the configuration says it.
pub(crate) fn minimum(meter: &config::Meter) -> Option<Protection> {
    meter.security.map(|least| match least {
        Least::Plain => Protection::Plain,
        Least::Encrypted => Protection::Encrypted,
        Least::Authenticated => Protection::Authenticated,
    })
}
