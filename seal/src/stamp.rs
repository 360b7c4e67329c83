//! When something was written down, and how well that was known.

use crate::{
    Malformed,
    cbor::{Decoder, Encoder},
};

/// A time of the gateway's clock, with the state of that clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
    pub unix_ms: i64,
    /// How well the time was known.
    pub clock: Clock,
}

/// The state of the gateway's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Never set since the start: the time only orders.
    Unset,
    /// Disciplined by a time source; off by at most this many milliseconds.
    Synced {
        /// The bound, in milliseconds.
        error_ms: u32,
    },
    /// Was synced, and has run freely since.
    Holdover {
        /// When it was last synced, in Unix milliseconds.
        since_ms: i64,
    },
}

impl Stamp {
    pub(crate) fn encode(self, out: &mut Encoder) {
        out.array(2).signed(self.unix_ms);
        match self.clock {
            Clock::Unset => out.array(1).unsigned(0),
            Clock::Synced { error_ms } => out.array(2).unsigned(1).unsigned(error_ms.into()),
            Clock::Holdover { since_ms } => out.array(2).unsigned(2).signed(since_ms),
        };
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(2)?;
        let unix_ms = from.signed()?;
        let start = from.clone();
        let len = from.array("a clock state", 2)?;
        let clock = match (from.unsigned()?, len) {
            (0, 1) => Clock::Unset,
            (1, 2) => Clock::Synced { error_ms: from.unsigned32()? },
            (2, 2) => Clock::Holdover { since_ms: from.signed()? },
            (0..=2, _) => return Err(start.wrong("the clock state has another number of items")),
            (code, _) => {
                return Err(Malformed::UnknownCode { what: "clock state", code });
            }
        };
        Ok(Self { unix_ms, clock })
    }
}
