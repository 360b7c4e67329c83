//! The tables, and the one row that says where everything stands.

use plomb_seal::{
    Hash, Malformed, Name,
    cbor::{Decoder, Encoder},
};
use redb::TableDefinition;

use super::error::Fault;

/// The layout of the tables. Any other is refused by its number.
pub(super) const FORMAT: u64 = 1;

/// What the store itself needs for a row, in bytes, on top of key and value; for the quota.
const ROW_BYTES: u64 = 24;
/// The store's page, in bytes.
const PAGE_BYTES: u64 = 4096;

pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const ENTRIES: TableDefinition<'static, (u32, u64), &[u8]> = TableDefinition::new("entries");
pub(super) const FRAMES: TableDefinition<'static, (u32, u64, u8), &[u8]> = TableDefinition::new("frames");
pub(super) const ANCHORS: TableDefinition<'static, BatchKey, &[u8]> = TableDefinition::new("anchors");
pub(super) const RECEIPTS: TableDefinition<'static, BatchKey, &str> = TableDefinition::new("receipts");
pub(super) const POINTS: TableDefinition<'static, &str, (u64, [u8; 32])> = TableDefinition::new("points");
pub(super) const CURSORS: TableDefinition<'static, &str, (u32, u64)> = TableDefinition::new("cursors");
/// By meter and key: the last message counter.
pub(super) const COUNTERS: TableDefinition<'static, &str, u64> = TableDefinition::new("counters");
/// What the desk of orders keeps: see [`crate::orders`]. It is made when the first row is.
pub(super) const ORDERS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("orders");
pub(super) const ORPHANS: TableDefinition<'static, u32, OrphanRange> = TableDefinition::new("orphans");

/// A range of orphans: first, end, and the next to be re-entered.
pub(super) type OrphanRange = (u64, u64, u64);
/// The key of an anchor or a receipt: epoch and batch number.
pub(super) type BatchKey = (u32, u64);

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_STATE: &str = "state";

/// The ledger's last anchor before this epoch, when the epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Basis {
    pub(super) epoch: u32,
    pub(super) batch: u64,
    pub(super) anchor: Hash,
}

/// Where everything stands: written anew in every commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) gateway: Name,
    /// The present epoch.
    pub(super) epoch: u32,
    /// The sequence number that the next entry gets.
    pub(super) next_seq: u64,
    /// The hash of the last entry.
    pub(super) head: Hash,
    /// The table `points` speaks of the entries below this one; later ones are replayed on opening.
    pub(super) points_seq: u64,
    /// The number that the next batch gets.
    pub(super) next_batch: u64,
    /// The first entry that no anchor covers.
    pub(super) anchored_seq: u64,
    /// What the next anchor names as the one before.
    pub(super) last_anchor: Hash,
    /// What the first anchor of this epoch follows, if the ledger knows an earlier epoch.
    pub(super) basis: Option<Basis>,
    /// All batches of this epoch below this one have a receipt.
    pub(super) acked_batch: u64,
    /// All entries of this epoch below this one have a receipt.
    pub(super) acked_seq: u64,
    /// One past the last entry of this epoch that repeats one of an earlier epoch; 0 if none does.
    pub(super) reentered_seq: u64,
    /// How often the file was opened for writing.
    pub(super) openings: u64,
    /// The latest time that an entry was stamped with, in Unix milliseconds.
    pub(super) clock_floor_ms: i64,
    /// [`row_bytes`] of all entries, frames, anchors and receipts.
    pub(super) stored_bytes: u64,
    /// The frames' part of it.
    pub(super) frame_bytes: u64,
    /// How many entries are kept, of all epochs.
    pub(super) entries: u64,
    /// How many raw frames the quota cost before their entry had a receipt, ever.
    pub(super) frames_dropped: u64,
    /// How many entries the quota refused since the journal became full; `None` when it is not full.
    pub(super) refused: Option<u64>,
}

impl State {
    pub(super) fn new(gateway: Name, epoch: u32) -> Self {
        Self {
            gateway,
            epoch,
            next_seq: 0,
            head: Hash::ZERO,
            points_seq: 0,
            next_batch: 0,
            anchored_seq: 0,
            last_anchor: Hash::ZERO,
            basis: None,
            acked_batch: 0,
            acked_seq: 0,
            reentered_seq: 0,
            openings: 0,
            clock_floor_ms: i64::MIN,
            stored_bytes: 0,
            frame_bytes: 0,
            entries: 0,
            frames_dropped: 0,
            refused: None,
        }
    }

    /// A deterministic CBOR array.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(19).text(self.gateway.as_str()).unsigned(self.epoch.into()).unsigned(self.next_seq);
        out.hash(&self.head).unsigned(self.points_seq).unsigned(self.next_batch).unsigned(self.anchored_seq);
        out.hash(&self.last_anchor);
        out.optional(self.basis, |out, basis| {
            out.array(3).unsigned(basis.epoch.into()).unsigned(basis.batch).hash(&basis.anchor);
        });
        out.unsigned(self.acked_batch).unsigned(self.acked_seq).unsigned(self.reentered_seq);
        out.unsigned(self.openings).signed(self.clock_floor_ms).unsigned(self.stored_bytes);
        out.unsigned(self.frame_bytes).unsigned(self.entries).unsigned(self.frames_dropped);
        out.optional(self.refused, |out, refused| {
            out.unsigned(refused);
        });
        out.finish()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.array_exact(19)?;
        let start = from.clone();
        let gateway = from.text("a name", plomb_seal::name::NAME_BYTES_MAX)?;
        let state = Self {
            gateway: gateway.parse().map_err(|_| start.wrong("this is no gateway's name"))?,
            epoch: from.unsigned32()?,
            next_seq: from.unsigned()?,
            head: from.hash()?,
            points_seq: from.unsigned()?,
            next_batch: from.unsigned()?,
            anchored_seq: from.unsigned()?,
            last_anchor: from.hash()?,
            basis: from.optional(|from| {
                from.array_exact(3)?;
                Ok(Basis { epoch: from.unsigned32()?, batch: from.unsigned()?, anchor: from.hash()? })
            })?,
            acked_batch: from.unsigned()?,
            acked_seq: from.unsigned()?,
            reentered_seq: from.unsigned()?,
            openings: from.unsigned()?,
            clock_floor_ms: from.signed()?,
            stored_bytes: from.unsigned()?,
            frame_bytes: from.unsigned()?,
            entries: from.unsigned()?,
            frames_dropped: from.unsigned()?,
            refused: from.optional(Decoder::unsigned)?,
        };
        from.finish()?;
        Ok(state)
    }

    /// Books a row in.
    pub(super) fn add(&mut self, len: usize) {
        self.stored_bytes = self.stored_bytes.saturating_add(row_bytes(len));
    }

    /// Books a row out.
    pub(super) fn subtract(&mut self, len: usize) {
        self.stored_bytes = self.stored_bytes.saturating_sub(row_bytes(len));
    }
}

/// What a row counts against the quota: as the store lays it out. A row of more than half a page gets pages
/// of its own, a power of two of them.
pub(super) fn row_bytes(len: usize) -> u64 {
    let bytes = ROW_BYTES.saturating_add(len as u64);
    if bytes > PAGE_BYTES / 2 { bytes.next_power_of_two().max(PAGE_BYTES) } else { bytes }
}

/// The format number, if the row is there.
pub(super) fn parse_format(bytes: &[u8]) -> Result<u64, Fault> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| Fault::new("the row that names the format is malformed"))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_state_row_reads_back(numbers in proptest::array::uniform12(any::<u64>()), epoch: u32, floor: i64, hash: [u8; 32], basis: bool, refused: Option<u64>) {
            let [next_seq, points_seq, next_batch, anchored_seq, acked_batch, acked_seq, reentered_seq, openings, stored_bytes, frame_bytes, entries, frames_dropped] = numbers;
            let state = State {
                gateway: "gw-1".parse().unwrap(), epoch, next_seq, head: Hash(hash), points_seq, next_batch, anchored_seq,
                last_anchor: Hash(hash), basis: basis.then_some(Basis { epoch, batch: next_batch, anchor: Hash(hash) }),
                acked_batch, acked_seq, reentered_seq, openings, clock_floor_ms: floor, stored_bytes, frame_bytes, entries, frames_dropped, refused,
            };
            prop_assert_eq!(State::parse(&state.to_bytes()).unwrap(), state);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = State::parse(&bytes);
        }
    }
}
