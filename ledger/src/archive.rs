//! The archive: the batches behind the anchors, written in the transaction that admits the anchor.
//!
//! A number of a gateway's epoch is admitted once, so each entry stands here exactly once, in order.

use plomb_seal::{Batch, Hash, Name};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::LedgerError;

/// A batch's place: gateway, epoch, number.
type Key = (&'static str, u32, u64);

const BATCHES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("batches");
/// The anchor at each place: its hash. Also for anchors whose batch this node never saw.
const ANCHORS: TableDefinition<'_, Key, [u8; 32]> = TableDefinition::new("anchors");

/// A verified batch on its way to the archive, beside the anchor that goes to the log.
#[derive(Debug, Clone)]
pub struct Beside {
    bytes: Vec<u8>,
    before: Hash,
}

impl Beside {
    /// From a verified batch and the bytes it came in.
    pub fn new(batch: &Batch, bytes: Vec<u8>) -> Self {
        let before = batch.entries().first().map_or(Hash::ZERO, |entry| entry.statement().previous);
        Self { bytes, before }
    }

    /// What the first entry names as the entry before it.
    pub(crate) fn before(&self) -> Hash {
        self.before
    }
}

/// The archive under a write transaction.
pub(crate) struct Writer<'txn> {
    batches: Table<'txn, Key, &'static [u8]>,
    anchors: Table<'txn, Key, [u8; 32]>,
}

impl<'txn> Writer<'txn> {
    pub(crate) fn open(txn: &'txn WriteTransaction) -> Result<Self, LedgerError> {
        Ok(Self { batches: txn.open_table(BATCHES)?, anchors: txn.open_table(ANCHORS)? })
    }

    pub(crate) fn anchor(&self, gateway: &Name, epoch: u32, batch: u64) -> Result<Option<Hash>, LedgerError> {
        Ok(self.anchors.get((gateway.as_str(), epoch, batch))?.map(|hash| Hash(hash.value())))
    }

    pub(crate) fn put(
        &mut self,
        (gateway, epoch, batch): (&Name, u32, u64),
        anchor: &Hash,
        beside: Option<&Beside>,
    ) -> Result<(), LedgerError> {
        let key = (gateway.as_str(), epoch, batch);
        self.anchors.insert(key, anchor.0)?;
        if let Some(beside) = beside {
            self.batches.insert(key, beside.bytes.as_slice())?;
        }
        Ok(())
    }
}

/// A batch as archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The epoch.
    pub epoch: u32,
    /// The number in the epoch.
    pub batch: u64,
    /// The hash of the anchor.
    pub anchor: Hash,
    /// The bytes as they travelled; `None` if only the anchor came this way.
    pub bytes: Option<Vec<u8>>,
}

/// The archive as some commit left it.
pub(crate) struct Reader {
    batches: redb::ReadOnlyTable<Key, &'static [u8]>,
    anchors: redb::ReadOnlyTable<Key, [u8; 32]>,
}

impl Reader {
    pub(crate) fn open(txn: &ReadTransaction) -> Result<Self, LedgerError> {
        Ok(Self { batches: txn.open_table(BATCHES)?, anchors: txn.open_table(ANCHORS)? })
    }

    /// A gateway's first batch at `from` (epoch, number) or after.
    pub(crate) fn next(&self, gateway: &Name, from: (u32, u64)) -> Result<Option<Archived>, LedgerError> {
        let name = gateway.as_str();
        let range = (name, from.0, from.1)..=(name, u32::MAX, u64::MAX);
        let Some(found) = self.anchors.range(range)?.next() else {
            return Ok(None);
        };
        let (key, anchor) = found?;
        let (_, epoch, batch) = key.value();
        let bytes = self.batches.get((name, epoch, batch))?.map(|bytes| bytes.value().to_vec());
        Ok(Some(Archived { epoch, batch, anchor: Hash(anchor.value()), bytes }))
    }
}
