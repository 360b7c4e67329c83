//! Blocks: what an engine orders, and what the ledger keeps of each.

use plomb_seal::{
    Hash, Malformed,
    cbor::{Decoder, Encoder},
    note::NOTE_BYTES_MAX,
};

/// The most transactions in a block.
pub const BLOCK_TRANSACTIONS_MAX: usize = 256;

/// An ordered run of transactions. Heights count from 1, without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// Its time, in Unix milliseconds; never before the block's below it.
    pub time_ms: i64,
    /// The transactions, not judged yet.
    pub transactions: Vec<Vec<u8>>,
}

/// The end of the ledger after a block that admitted something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The block's height; 0 before the first.
    pub height: u64,
    /// The block's time, in Unix milliseconds.
    pub time_ms: i64,
    /// How many transactions the log holds.
    pub size: u64,
    /// The state hash.
    pub state: Hash,
    /// The checkpoint at that size, a signed and cosigned note; empty before the first block.
    pub note: String,
}

impl Head {
    pub(crate) const EMPTY: Self =
        Self { height: 0, time_ms: i64::MIN, size: 0, state: Hash::ZERO, note: String::new() };

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(6).unsigned(plomb_seal::VERSION).unsigned(self.height).signed(self.time_ms);
        out.unsigned(self.size).hash(&self.state).text(&self.note);
        out.finish()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.array_exact(6)?;
        from.version()?;
        let head = Self {
            height: from.unsigned()?,
            time_ms: from.signed()?,
            size: from.unsigned()?,
            state: from.hash()?,
            note: from.text("a checkpoint", NOTE_BYTES_MAX)?.into(),
        };
        from.finish()?;
        Ok(head)
    }
}
