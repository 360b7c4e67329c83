//! Anchors: a gateway's signed statement about a run of its entries.

use alloc::string::String;

use crate::{
    Hash, Malformed, Name, Statement,
    cbor::{Decoder, Encoder},
    note::NOTE_BYTES_MAX,
};

/// What goes to the ledger in place of the entries themselves.
///
/// The root is over signed entries. Each leaf holds a signature that only the gateway could make, so the
/// root gives nobody a way to guess what was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The gateway.
    pub gateway: Name,
    /// Its epoch.
    pub epoch: u32,
    /// Counts the anchors of the epoch from 0.
    pub batch: u64,
    /// The first entry's sequence number.
    pub first_seq: u64,
    /// How many entries; at least 1.
    pub count: u32,
    /// The hash of the anchor before, of whatever epoch; [`Hash::ZERO`] at the very first.
    pub previous: Hash,
    /// The hash of the last entry.
    pub head: Hash,
    /// The RFC 6962 root over the entries.
    pub root: Hash,
    /// The time of the first entry, in Unix milliseconds of the gateway's clock.
    pub opened_ms: i64,
    /// The time at which the batch was closed, in Unix milliseconds of the gateway's clock.
    pub closed_ms: i64,
    /// The newest ledger checkpoint that the gateway had seen, as the signed note itself: the batch was
    /// closed after it.
    pub checkpoint: Option<String>,
}

impl Anchor {
    /// The last entry's sequence number.
    pub fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.count)).saturating_sub(1)
    }
}

impl Statement for Anchor {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.anchor+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(12).unsigned(crate::VERSION).text(self.gateway.as_str()).unsigned(self.epoch.into());
        out.unsigned(self.batch).unsigned(self.first_seq).unsigned(self.count.into());
        out.hash(&self.previous).hash(&self.head).hash(&self.root);
        out.signed(self.opened_ms).signed(self.closed_ms);
        out.optional(self.checkpoint.as_deref(), |out, note| {
            out.text(note);
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(12)?;
        let gateway = Name::decode(from)?;
        let (epoch, batch, first_seq) = (from.unsigned32()?, from.counter()?, from.counter()?);
        let start = from.clone();
        let count = from.unsigned32()?;
        if count == 0 {
            return Err(start.wrong("an anchor covers at least one entry"));
        }
        Ok(Self {
            gateway,
            epoch,
            batch,
            first_seq,
            count,
            previous: from.hash()?,
            head: from.hash()?,
            root: from.hash()?,
            opened_ms: from.signed()?,
            closed_ms: from.signed()?,
            checkpoint: from.optional(|from| from.text("a checkpoint", NOTE_BYTES_MAX).map(Into::into))?,
        })
    }
}
