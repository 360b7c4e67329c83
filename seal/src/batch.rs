//! Batches: an anchor with the entries that it speaks of, as they travel to the hub.

use alloc::{string::String, vec::Vec};

use crate::{
    Anchor, Entry, Hash, Malformed, PublicKey, Signed, SigningKey, Unverified,
    cbor::{Decoder, Encoder},
    cose::SIGNED_BYTES_MAX,
    tree,
};

/// The most entries in a batch.
pub const BATCH_ENTRIES_MAX: usize = 4096;
/// The most bytes that the entries of a batch may have together.
pub const BATCH_ENTRY_BYTES_MAX: usize = 900 * 1024;
/// The largest batch on the wire, in bytes.
pub const BATCH_BYTES_MAX: usize = 1000 * 1024;

/// Where a new batch stands: what the anchor before it left behind.
#[derive(Debug, Clone)]
pub struct Place {
    /// The number that the batch gets.
    pub batch: u64,
    /// The hash of the anchor before.
    pub previous: Hash,
    /// When it is closed, in Unix milliseconds.
    pub closed_ms: i64,
    /// The newest ledger checkpoint seen, a signed note.
    pub checkpoint: Option<String>,
}

/// An anchor and its entries; verified by making or by checking.
#[derive(Debug, Clone)]
pub struct Batch {
    anchor: Signed<Anchor>,
    entries: Vec<Signed<Entry>>,
}

/// Why a batch is not what its anchor says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes can't be read.
    #[error("batch: {0}")]
    Batch(Malformed),
    /// The anchor is wrong.
    #[error("anchor: {0}")]
    Anchor(Malformed),
    /// An entry is wrong.
    #[error("entry {index} of the batch: {cause}")]
    Entry {
        /// Its place in the batch, from 0.
        index: usize,
        /// What is wrong with it.
        cause: Malformed,
    },
    /// An entry stands at another place than it says, or belongs to another gateway or epoch.
    #[error("entry {index} of the batch is number {found} of its chain; {expected} belongs here")]
    Order {
        /// Its place in the batch.
        index: usize,
        /// The sequence number that belongs there.
        expected: u64,
        /// The sequence number found.
        found: u64,
    },
    /// An entry does not name the one before it.
    #[error("entry {index} of the batch does not continue the one before it")]
    Chain {
        /// Its place in the batch.
        index: usize,
    },
    /// The number of entries is not what the anchor says.
    #[error("{found} entries, but the anchor speaks of {expected}")]
    Count {
        /// The anchor's number.
        expected: u32,
        /// The number found.
        found: usize,
    },
    /// The first entry is of another time than the anchor says.
    #[error("the first entry is of another time than the anchor says")]
    Opened,
    /// The last entry is not the anchor's head.
    #[error("the last entry is not the anchor's head")]
    Head,
    /// The entries do not hash to the anchor's root.
    #[error("the entries do not hash to the anchor's root")]
    Root,
    /// There is nothing to anchor, or too much.
    #[error("a batch has 1 to {BATCH_ENTRIES_MAX} entries and at most {BATCH_ENTRY_BYTES_MAX} bytes of them")]
    Size,
}

impl Batch {
    /// Closes a run of entries with a signed anchor.
    pub fn close(entries: Vec<Signed<Entry>>, place: Place, key: &SigningKey) -> Result<Self, BatchError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Err(BatchError::Size);
        };
        let bytes: usize = entries.iter().map(|entry| entry.bytes().len()).sum();
        if entries.len() > BATCH_ENTRIES_MAX || bytes > BATCH_ENTRY_BYTES_MAX {
            return Err(BatchError::Size);
        }
        let opened = first.statement();
        let anchor = Anchor {
            gateway: opened.gateway.clone(),
            epoch: opened.epoch,
            batch: place.batch,
            first_seq: opened.seq,
            count: u32::try_from(entries.len()).map_err(|_| BatchError::Size)?,
            previous: place.previous,
            head: last.hash(),
            root: root(&entries),
            opened_ms: opened.stamp.unix_ms,
            closed_ms: place.closed_ms,
            checkpoint: place.checkpoint,
        };
        let batch = Self { anchor: Signed::sign(anchor, key), entries };
        batch.check_against_anchor()?;
        Ok(batch)
    }

    /// The bytes that travel: `[1, anchor, [entry, …]]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        Self::assemble(self.anchor.bytes(), self.entries.iter().map(Signed::bytes))
    }

    /// The bytes that travel, from an anchor and entries as stored.
    pub fn assemble<'a>(anchor: &[u8], entries: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(3).unsigned(crate::VERSION).bytes(anchor).array(entries.len());
        for entry in entries {
            out.bytes(entry);
        }
        out.finish()
    }

    /// Splits the bytes that travel into the anchor's and the entries', unverified.
    pub fn split(bytes: &[u8]) -> Result<(&[u8], Vec<&[u8]>), BatchError> {
        split(bytes).map_err(BatchError::Batch)
    }

    /// Reads a batch and checks every signature, the chain within, the root and the head.
    ///
    /// `key` is the gateway's. What came before the batch is the caller's to compare.
    pub fn verify(bytes: &[u8], key: &PublicKey) -> Result<Self, BatchError> {
        let (anchor, entries) = Self::split(bytes)?;
        let anchor =
            Unverified::<Anchor>::parse(anchor).and_then(|anchor| anchor.verify(key)).map_err(BatchError::Anchor)?;
        Self::verify_entries(anchor, &entries, key)
    }

    /// Checks entries against an anchor that is already verified.
    pub fn verify_entries(anchor: Signed<Anchor>, entries: &[&[u8]], key: &PublicKey) -> Result<Self, BatchError> {
        let entries = entries
            .iter()
            .enumerate()
            .map(|(index, bytes)| {
                let parsed = Unverified::<Entry>::parse(bytes).and_then(|entry| entry.verify(key));
                parsed.map_err(|cause| BatchError::Entry { index, cause })
            })
            .collect::<Result<_, _>>()?;
        let batch = Self { anchor, entries };
        batch.check_against_anchor()?;
        Ok(batch)
    }

    /// The anchor.
    pub fn anchor(&self) -> &Signed<Anchor> {
        &self.anchor
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Signed<Entry>] {
        &self.entries
    }

    fn check_against_anchor(&self) -> Result<(), BatchError> {
        let anchor = self.anchor.statement();
        if self.entries.len() as u64 != u64::from(anchor.count) {
            return Err(BatchError::Count { expected: anchor.count, found: self.entries.len() });
        }
        if self.entries.first().is_none_or(|first| first.statement().stamp.unix_ms != anchor.opened_ms) {
            return Err(BatchError::Opened);
        }
        let mut before: Option<Hash> = None;
        for (index, signed) in self.entries.iter().enumerate() {
            let (entry, expected) = (signed.statement(), anchor.first_seq.saturating_add(index as u64));
            if entry.seq != expected || entry.epoch != anchor.epoch || entry.gateway != anchor.gateway {
                return Err(BatchError::Order { index, expected, found: entry.seq });
            }
            if before.is_some_and(|before| before != entry.previous) {
                return Err(BatchError::Chain { index });
            }
            before = Some(signed.hash());
        }
        if before != Some(anchor.head) {
            return Err(BatchError::Head);
        }
        if root(&self.entries) != anchor.root {
            return Err(BatchError::Root);
        }
        Ok(())
    }
}

fn root(entries: &[Signed<Entry>]) -> Hash {
    let leaves: Vec<Hash> = entries.iter().map(Signed::hash).collect();
    tree::root(&leaves)
}

fn split(bytes: &[u8]) -> Result<(&[u8], Vec<&[u8]>), Malformed> {
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(Malformed::TooLarge { what: "a batch", max: BATCH_BYTES_MAX, found: bytes.len() });
    }
    let mut from = Decoder::new(bytes);
    from.versioned(3)?;
    let anchor = from.bytes_max("an anchor", SIGNED_BYTES_MAX)?;
    let count = from.array("a batch's list of entries", BATCH_ENTRIES_MAX)?;
    let entries = (0..count).map(|_| from.bytes_max("an entry", SIGNED_BYTES_MAX)).collect::<Result<_, _>>()?;
    from.finish()?;
    Ok((anchor, entries))
}
