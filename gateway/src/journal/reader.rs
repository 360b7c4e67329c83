//! Reading what is durable, from the live journal or from the file alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plomb_seal::{Anchor, Batch, Body, Entry, Hash, Name, Receipt, Record, Unverified};
use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::{
    Head, JournalError, Position,
    error::Fault,
    tables::{
        ANCHORS, COUNTERS, CURSORS, ENTRIES, FORMAT, FRAMES, META, META_FORMAT, META_STATE, ORPHANS, OrphanRange,
        POINTS, RECEIPTS, State, parse_format,
    },
};

/// Reads the journal. Never sees what is not durable, and never disturbs the writer.
///
/// The file stays open as long as a reader or a snapshot of it lives.
#[derive(Clone)]
pub struct Reader {
    source: Arc<Source>,
}

/// Where a reader reads.
pub(super) enum Source {
    /// Beside the writer.
    Live(Arc<Database>),
    /// A file that was closed cleanly.
    File(ReadOnlyDatabase),
    /// A file that was not: repaired in memory, the file itself untouched.
    Repaired(Database),
}

/// The journal at one moment.
pub struct Snapshot {
    transaction: ReadTransaction,
}

/// An entry as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its epoch.
    pub epoch: u32,
    /// Its sequence number.
    pub seq: u64,
    /// The bytes as signed.
    pub bytes: Vec<u8>,
}

/// A batch as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its epoch.
    pub epoch: u32,
    /// Its number.
    pub batch: u64,
    /// The first entry's sequence number.
    pub first_seq: u64,
    /// How many entries.
    pub count: u32,
    /// The anchor's bytes as signed.
    pub anchor: Vec<u8>,
    /// The anchor's hash.
    pub hash: Hash,
    /// The proof of logging, if the receipt has come.
    pub proof: Option<String>,
}

/// Figures of a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// The present epoch.
    pub epoch: u32,
    /// The sequence number that the next entry gets.
    pub next_seq: u64,
    /// The first entry that no anchor covers.
    pub anchored_seq: u64,
    /// The number that the next batch gets.
    pub next_batch: u64,
    /// All batches of this epoch below this one have a receipt.
    pub acked_batch: u64,
    /// All entries of this epoch below this one have a receipt.
    pub acked_seq: u64,
    /// When the oldest entry of this epoch without a receipt was written, in Unix milliseconds.
    pub oldest_unreceipted_ms: Option<i64>,
    /// Entries of earlier epochs that still wait for their re-entry.
    pub orphans_waiting: u64,
    /// What counts against the quota, in bytes.
    pub stored_bytes: u64,
    /// The raw frames' part of it.
    pub frame_bytes: u64,
    /// Entries kept, of all epochs.
    pub entries: u64,
    /// Batches kept, of all epochs.
    pub batches: u64,
    /// Raw frames kept.
    pub frames: u64,
    /// Raw frames that the quota cost before their entry had a receipt, ever.
    pub frames_dropped: u64,
    /// Entries that were refused since the journal became full; `None` when it is not full.
    pub refused: Option<u64>,
    /// How often the file was opened for writing.
    pub openings: u64,
    /// The latest time that an entry was stamped with, in Unix milliseconds.
    pub clock_floor_ms: Option<i64>,
    /// Commits of this process.
    pub commits: u64,
    /// Bytes written to the file by this process.
    pub written_bytes: u64,
    /// Syncs by this process.
    pub syncs: u64,
    /// The last receipt that was refused, and why, if no good one came since.
    pub refused_receipt: Option<String>,
    /// What could not become an entry.
    pub not_taken: super::NotTaken,
    /// Why the journal stopped, if it did.
    pub latched: Option<String>,
}

impl Reader {
    pub(super) fn new(source: Source) -> Self {
        Self { source: Arc::new(source) }
    }

    /// The journal as it is now. Let it go soon: the writer can't use its pages again while it lives.
    pub fn snapshot(&self) -> Result<Snapshot, JournalError> {
        let transaction = match &*self.source {
            Source::Live(database) => database.begin_read()?,
            Source::File(database) => database.begin_read()?,
            Source::Repaired(database) => database.begin_read()?,
        };
        Ok(Snapshot { transaction })
    }
}

impl Snapshot {
    /// Whose journal it is.
    pub fn gateway(&self) -> Result<Name, JournalError> {
        Ok(self.state()?.gateway)
    }

    /// The end of the chain.
    pub fn head(&self) -> Result<Head, JournalError> {
        let state = self.state()?;
        Ok(Head { epoch: state.epoch, next_seq: state.next_seq, hash: state.head })
    }

    /// The epochs of which entries are kept: each with its first kept and one past its last sequence number.
    pub fn epochs(&self) -> Result<Vec<(u32, u64, u64)>, JournalError> {
        let entries = self.transaction.open_table(ENTRIES)?;
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(first) = entries.range((from, 0)..)?.next() {
            let (epoch, seq) = first?.0.value();
            let last = entries.range((epoch, 0)..=(epoch, u64::MAX))?.next_back().transpose()?;
            found.push((epoch, seq, last.map_or(seq, |(key, _)| key.value().1).saturating_add(1)));
            match epoch.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(found)
    }

    /// At most `limit` entries of an epoch, from a sequence number on.
    pub fn entries(&self, epoch: u32, from_seq: u64, limit: usize) -> Result<Vec<StoredEntry>, JournalError> {
        let entries = self.transaction.open_table(ENTRIES)?;
        let rows = entries.range((epoch, from_seq)..=(epoch, u64::MAX))?.take(limit);
        rows.map(|row| {
            let (key, bytes) = row?;
            Ok(StoredEntry { epoch, seq: key.value().1, bytes: bytes.value().into() })
        })
        .collect()
    }

    /// At most `limit` entries from a place on, across epochs. An epoch's end leads to the next epoch kept.
    pub fn entries_from(&self, from: Position, limit: usize) -> Result<Vec<StoredEntry>, JournalError> {
        let entries = self.transaction.open_table(ENTRIES)?;
        let rows = entries.range((from.epoch, from.seq)..)?.take(limit);
        rows.map(|row| {
            let (key, bytes) = row?;
            let (epoch, seq) = key.value();
            Ok(StoredEntry { epoch, seq, bytes: bytes.value().into() })
        })
        .collect()
    }

    /// The last record of each of these points, as far as the last `look_back` entries of all epochs hold one.
    pub fn last_records(
        &self,
        points: &BTreeSet<Name>,
        look_back: usize,
    ) -> Result<BTreeMap<Name, Record>, JournalError> {
        let entries = self.transaction.open_table(ENTRIES)?;
        let mut found = BTreeMap::new();
        for row in entries.range::<(u32, u64)>(..)?.rev().take(look_back) {
            if found.len() >= points.len() {
                break;
            }
            let row = row?;
            let parsed = Unverified::<Entry>::parse(row.1.value()).map_err(JournalError::Statement)?;
            if let Body::Record(link, record) = &parsed.claims().body
                && points.contains(&link.point)
                && !found.contains_key(&link.point)
            {
                found.insert(link.point.clone(), record.clone());
            }
        }
        Ok(found)
    }

    /// One entry.
    pub fn entry(&self, epoch: u32, seq: u64) -> Result<Option<StoredEntry>, JournalError> {
        let entries = self.transaction.open_table(ENTRIES)?;
        Ok(entries.get((epoch, seq))?.map(|bytes| StoredEntry { epoch, seq, bytes: bytes.value().into() }))
    }

    /// The raw frames kept with an entry, in order.
    pub fn frames(&self, epoch: u32, seq: u64) -> Result<Vec<Vec<u8>>, JournalError> {
        let frames = self.transaction.open_table(FRAMES)?;
        let rows = frames.range((epoch, seq, 0)..=(epoch, seq, u8::MAX))?;
        rows.map(|row| Ok(row?.1.value().into())).collect()
    }

    /// The raw frame of an entry with this SHA-256, if it is still kept.
    pub fn frame(&self, epoch: u32, seq: u64, hash: Hash) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.frames(epoch, seq)?.into_iter().find(|frame| Hash::of(frame) == hash))
    }

    /// At most `limit` batches of an epoch, from a number on.
    pub fn batches(&self, epoch: u32, from_batch: u64, limit: usize) -> Result<Vec<StoredBatch>, JournalError> {
        let anchors = self.transaction.open_table(ANCHORS)?;
        let receipts = self.transaction.open_table(RECEIPTS)?;
        let rows = anchors.range((epoch, from_batch)..=(epoch, u64::MAX))?.take(limit);
        rows.map(|row| {
            let (key, anchor) = row?;
            let proof = receipts.get(key.value())?.map(|proof| proof.value().into());
            stored_batch(anchor.value().into(), proof)
        })
        .collect()
    }

    /// One batch.
    pub fn batch(&self, epoch: u32, batch: u64) -> Result<Option<StoredBatch>, JournalError> {
        Ok(self.batches(epoch, batch, 1)?.pop().filter(|found| found.batch == batch))
    }

    /// The batch that an entry belongs to, if an anchor covers it.
    pub fn batch_of(&self, epoch: u32, seq: u64) -> Result<Option<StoredBatch>, JournalError> {
        let anchors = self.transaction.open_table(ANCHORS)?;
        let mut ends = anchors.range((epoch, 0)..=(epoch, u64::MAX))?;
        let (Some(first), last) = (ends.next().transpose()?, ends.next_back().transpose()?) else {
            return Ok(None);
        };
        let (mut low, first) = (first.0.value().1, first.0.value().1);
        let mut high = last.map_or(first, |(key, _)| key.value().1);
        while low < high {
            let middle = high - (high - low) / 2;
            match self.batch(epoch, middle)? {
                Some(batch) if batch.first_seq <= seq => low = middle,
                _ => high = middle - 1,
            }
        }
        let covers = |batch: &StoredBatch| {
            batch.first_seq <= seq && seq < batch.first_seq.saturating_add(u64::from(batch.count))
        };
        Ok(self.batch(epoch, low)?.filter(covers))
    }

    /// The receipt of a batch.
    pub fn receipt(&self, epoch: u32, batch: u64) -> Result<Option<Receipt>, JournalError> {
        let found = self.batch(epoch, batch)?;
        Ok(found.and_then(|batch| batch.proof.map(|proof| Receipt { anchor: batch.anchor, proof })))
    }

    /// The batches of the present epoch that have no receipt, oldest first.
    pub fn unreceipted(&self, limit: usize) -> Result<Vec<StoredBatch>, JournalError> {
        let state = self.state()?;
        let anchors = self.transaction.open_table(ANCHORS)?;
        let receipts = self.transaction.open_table(RECEIPTS)?;
        let mut found = Vec::new();
        for row in anchors.range((state.epoch, state.acked_batch)..=(state.epoch, u64::MAX))? {
            let (key, anchor) = row?;
            if found.len() >= limit {
                break;
            }
            if receipts.get(key.value())?.is_none() {
                found.push(stored_batch(anchor.value().into(), None)?);
            }
        }
        Ok(found)
    }

    /// A batch as it travels.
    pub fn batch_bytes(&self, epoch: u32, batch: u64) -> Result<Vec<u8>, JournalError> {
        let stored = self.batch(epoch, batch)?.ok_or(JournalError::NoBatch { epoch, batch })?;
        let count = usize::try_from(stored.count).map_err(|_| JournalError::NoBatch { epoch, batch })?;
        let entries = self.entries(epoch, stored.first_seq, count)?;
        if entries.len() != count {
            return Err(JournalError::NoBatch { epoch, batch });
        }
        Ok(Batch::assemble(&stored.anchor, entries.iter().map(|entry| entry.bytes.as_slice())))
    }

    /// The next sequence number and the last hash of each measuring point of this epoch.
    pub fn points(&self) -> Result<Vec<(Name, u64, Hash)>, JournalError> {
        let state = self.state()?;
        let mut points = self.written_points()?;
        for entry in self.entries(state.epoch, state.points_seq, usize::MAX)? {
            let entry = Unverified::<Entry>::parse(&entry.bytes).map_err(JournalError::Statement)?;
            if let Some(link) = entry.claims().body.link() {
                points.insert(link.point.clone(), (link.seq.saturating_add(1), entry.hash()));
            }
        }
        Ok(points.into_iter().map(|(point, (seq, hash))| (point, seq, hash)).collect())
    }

    /// The readers' cursors.
    pub fn cursors(&self) -> Result<Vec<(String, Position)>, JournalError> {
        let cursors = self.transaction.open_table(CURSORS)?;
        let rows = cursors.iter()?;
        rows.map(|row| {
            let (name, place) = row?;
            let (epoch, seq) = place.value();
            Ok((name.value().into(), Position { epoch, seq }))
        })
        .collect()
    }

    /// The message counters of all meters.
    pub fn counters(&self) -> Result<BTreeMap<String, u64>, JournalError> {
        let counters = self.transaction.open_table(COUNTERS)?;
        let rows = counters.iter()?;
        rows.map(|row| {
            let (name, value) = row?;
            Ok((name.value().into(), value.value()))
        })
        .collect()
    }

    /// Figures; those of the process are zero.
    pub fn stats(&self) -> Result<Stats, JournalError> {
        let state = self.state()?;
        let oldest = self.entry(state.epoch, state.acked_seq)?;
        let oldest = oldest.and_then(|entry| Unverified::<Entry>::parse(&entry.bytes).ok().map(|e| e.claims().stamp));
        let orphans = self.orphans()?;
        Ok(Stats {
            epoch: state.epoch,
            next_seq: state.next_seq,
            anchored_seq: state.anchored_seq,
            next_batch: state.next_batch,
            acked_batch: state.acked_batch,
            acked_seq: state.acked_seq,
            oldest_unreceipted_ms: oldest.map(|stamp| stamp.unix_ms),
            orphans_waiting: orphans.values().map(|(_, end, next)| end.saturating_sub(*next)).sum(),
            stored_bytes: state.stored_bytes,
            frame_bytes: state.frame_bytes,
            entries: state.entries,
            batches: self.transaction.open_table(ANCHORS)?.len()?,
            frames: self.transaction.open_table(FRAMES)?.len()?,
            frames_dropped: state.frames_dropped,
            refused: state.refused,
            openings: state.openings,
            clock_floor_ms: (state.clock_floor_ms != i64::MIN).then_some(state.clock_floor_ms),
            ..Stats::default()
        })
    }

    /// What never got a receipt in its own epoch.
    pub(super) fn orphans(&self) -> Result<BTreeMap<u32, OrphanRange>, JournalError> {
        let orphans = self.transaction.open_table(ORPHANS)?;
        let rows = orphans.iter()?;
        rows.map(|row| row.map(|(epoch, range)| (epoch.value(), range.value())).map_err(Into::into)).collect()
    }

    /// The points as last written down.
    pub(super) fn written_points(&self) -> Result<BTreeMap<Name, (u64, Hash)>, JournalError> {
        let points = self.transaction.open_table(POINTS)?;
        let rows = points.iter()?;
        rows.map(|row| {
            let (name, place) = row?;
            let (seq, hash) = place.value();
            let name = name.value().parse().map_err(|_| JournalError::Damaged("a point has no name".into()))?;
            Ok((name, (seq, Hash(hash))))
        })
        .collect()
    }

    /// Whether the file has no tables at all: it was created, and nothing was committed.
    pub(super) fn is_new(&self) -> Result<bool, JournalError> {
        Ok(self.transaction.list_tables()?.next().is_none())
    }

    /// Where everything stands; refuses any format but ours.
    pub(super) fn state(&self) -> Result<State, JournalError> {
        let meta = self.transaction.open_table(META)?;
        let damaged = |what: &str| JournalError::Damaged(what.into());
        let format = meta.get(META_FORMAT)?.ok_or_else(|| damaged("no row names the format"))?;
        let found = parse_format(format.value()).map_err(|Fault(what)| JournalError::Damaged(what))?;
        if found != FORMAT {
            return Err(JournalError::UnknownFormat { found, known: FORMAT });
        }
        let state =
            meta.get(META_STATE)?.ok_or_else(|| damaged("the row that says where everything stands is gone"))?;
        State::parse(state.value()).map_err(|error| JournalError::Damaged(format!("state row: {error}")))
    }
}

fn stored_batch(anchor: Vec<u8>, proof: Option<String>) -> Result<StoredBatch, JournalError> {
    let parsed = Unverified::<Anchor>::parse(&anchor).map_err(JournalError::Statement)?;
    let claims = parsed.claims();
    let (epoch, batch, first_seq, count) = (claims.epoch, claims.batch, claims.first_seq, claims.count);
    let hash = parsed.hash();
    Ok(StoredBatch { epoch, batch, first_seq, count, anchor, hash, proof })
}
