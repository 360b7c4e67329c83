//! Exports from a journal, live or from the file alone.

use std::io::{self, Write};

use plomb_seal::{
    Anchor, Body, Credential, Entry, Hash, Name, Unverified,
    export::{Anchored, Scope, Writer},
    tree,
};

use crate::journal::{Head, JournalError, Reader, Snapshot, StoredBatch, StoredEntry};

/// How many batches are looked up at once.
const BATCHES_AT_ONCE: usize = 64;
/// The most entries in the tail of an export.
pub const TAIL_ENTRIES_MAX: usize = plomb_seal::batch::BATCH_ENTRIES_MAX;

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// All, one point, or one entry.
    pub scope: Scope,
    /// Only from the first batch on that was closed at or after this time, Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Only up to the last batch that was opened before this time, Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Whether the export ends before the first entry without a receipt.
    pub receipted_only: bool,
    /// Whether raw frames go along.
    pub frames: bool,
}

/// What an export holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many entries.
    pub entries: u64,
    /// How many of them have a receipt.
    pub receipted: u64,
    /// How many batches.
    pub batches: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Why an export can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The export can't be written.
    #[error("can't write the export: {0}")]
    Write(#[from] io::Error),
    /// There is no such entry.
    #[error(
        "the journal holds no entry {seq} of epoch {epoch}: it was never written, or its batch was pruned after its receipt (the hub's archive has it)"
    )]
    NoEntry {
        /// The epoch.
        epoch: u32,
        /// The sequence number.
        seq: u64,
    },
    /// Nothing fits the selection: an export of nothing would prove nothing.
    #[error("nothing to export: the journal holds no entry that fits this selection")]
    Nothing,
    /// What is stored can't be read.
    #[error("the journal holds something that can't be read: {0}")]
    Stored(#[from] plomb_seal::Malformed),
}

/// Writes an export. A range of time is widened to whole batches, so that roots can be computed.
/// Nothing is written before the first entry is found.
pub fn write(
    reader: &Reader,
    credential: &Credential,
    selection: &Selection,
    out: &mut impl Write,
) -> Result<Summary, ExportError> {
    let snapshot = reader.snapshot()?;
    let gateway = snapshot.gateway()?;
    let (writer, begin) = Writer::begin(&gateway, &selection.scope, credential);
    let mut export = Export { snapshot, selection, writer, begin, out, summary: Summary::default() };
    match &selection.scope {
        Scope::Entry { epoch, seq } => export.single(*epoch, *seq)?,
        Scope::All | Scope::Point(_) => export.run()?,
    }
    let Export { writer, mut summary, out, .. } = export;
    if summary.entries == 0 {
        return Err(ExportError::Nothing);
    }
    let end = writer.end();
    out.write_all(&end)?;
    out.flush()?;
    summary.bytes += end.len() as u64;
    Ok(summary)
}

struct Export<'a, W> {
    snapshot: Snapshot,
    selection: &'a Selection,
    writer: Writer,
    /// The first items, until they are written.
    begin: Vec<u8>,
    out: &'a mut W,
    summary: Summary,
}

impl<W: Write> Export<'_, W> {
    /// Writes one run without a hole, from the first batch that fits the selection to the last. Those between go
    /// along even if they do not fit: a clock that was set back and forth, or a receipt that came late, must not
    /// make an honest file look as if something had been left out.
    fn run(&mut self) -> Result<(), ExportError> {
        let head = self.snapshot.head()?;
        let tail = self.tail_to_export(&head)?;
        let mut range = None;
        self.each_batch(|this, batch| {
            if this.fits(batch)? {
                let place = (batch.epoch, batch.batch);
                range = Some((range.map_or(place, |(first, _)| first), place));
            }
            Ok(())
        })?;
        match range {
            Some((first, last)) => {
                let end = if tail.is_empty() { last } else { (u32::MAX, u64::MAX) };
                self.each_batch(|this, batch| match (first..=end).contains(&(batch.epoch, batch.batch)) {
                    true => this.batch(batch),
                    false => Ok(()),
                })?;
            }
            None if tail.is_empty() => return Ok(()),
            None => {}
        }
        self.tail(&tail)
    }

    /// All batches that can stand in one file, in their order. Of an earlier epoch those before its first one
    /// without a receipt: the entries from there on were entered again in a later epoch. If only batches with a
    /// receipt are wanted, of the present epoch a run of those.
    fn each_batch(
        &mut self,
        mut take: impl FnMut(&mut Self, &StoredBatch) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let head = self.snapshot.head()?;
        let mut begun = false;
        for (epoch, first_kept, _) in self.snapshot.epochs()? {
            let mut from = 0;
            'epoch: loop {
                let batches = self.snapshot.batches(epoch, from, BATCHES_AT_ONCE)?;
                let Some(last) = batches.last() else { break };
                from = last.batch.saturating_add(1);
                for batch in batches.iter().filter(|batch| batch.first_seq >= first_kept) {
                    if batch.proof.is_none() && (epoch < head.epoch || self.selection.receipted_only) {
                        if epoch < head.epoch || begun {
                            break 'epoch;
                        }
                        continue;
                    }
                    begun |= self.fits(batch)?;
                    take(self, batch)?;
                }
            }
        }
        Ok(())
    }

    fn fits(&self, batch: &StoredBatch) -> Result<bool, ExportError> {
        let anchor = Unverified::<Anchor>::parse(&batch.anchor)?;
        let (opened, closed) = (anchor.claims().opened_ms, anchor.claims().closed_ms);
        let selection = self.selection;
        Ok(selection.since_ms.is_none_or(|since| closed >= since)
            && selection.until_ms.is_none_or(|until| opened < until))
    }

    fn batch(&mut self, batch: &StoredBatch) -> Result<(), ExportError> {
        let count = usize::try_from(batch.count).unwrap_or(usize::MAX);
        let entries = self.snapshot.entries(batch.epoch, batch.first_seq, count)?;
        match &self.selection.scope {
            Scope::Point(point) => {
                let kept = self.of_point(&entries, point)?;
                if !kept.is_empty() {
                    self.parts(batch, &entries, &kept)?;
                }
                Ok(())
            }
            _ => self.whole(batch, &entries),
        }
    }

    fn whole(&mut self, batch: &StoredBatch, entries: &[StoredEntry]) -> Result<(), ExportError> {
        let frames = self.frames(entries.iter())?;
        let bytes: Vec<&[u8]> = entries.iter().map(|entry| entry.bytes.as_slice()).collect();
        let item = self.writer.whole(&anchored(batch, &frames), &bytes);
        self.count(entries.len(), batch.proof.is_some());
        self.put(&item)
    }

    /// Entries `kept` (places in the batch), each with its path.
    fn parts(&mut self, batch: &StoredBatch, entries: &[StoredEntry], kept: &[usize]) -> Result<(), ExportError> {
        let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(&entry.bytes)).collect();
        let chosen: Vec<(&StoredEntry, Vec<Hash>)> =
            kept.iter().filter_map(|index| entries.get(*index).zip(tree::inclusion_path(&leaves, *index))).collect();
        let frames = self.frames(chosen.iter().map(|(entry, _)| *entry))?;
        let parts: Vec<(&[u8], Vec<Hash>)> =
            chosen.into_iter().map(|(entry, path)| (entry.bytes.as_slice(), path)).collect();
        let item = self.writer.parts(&anchored(batch, &frames), &parts);
        self.count(parts.len(), batch.proof.is_some());
        self.put(&item)
    }

    /// The entries that no anchor covers, if they are wanted.
    fn tail_to_export(&self, head: &Head) -> Result<Vec<StoredEntry>, ExportError> {
        if self.selection.receipted_only || self.selection.until_ms.is_some() {
            return Ok(Vec::new());
        }
        let from_seq = self.snapshot.stats()?.anchored_seq;
        let entries = self.snapshot.entries(head.epoch, from_seq, TAIL_ENTRIES_MAX)?;
        let Some(since_ms) = self.selection.since_ms else { return Ok(entries) };
        for entry in &entries {
            if Unverified::<Entry>::parse(&entry.bytes)?.claims().stamp.unix_ms >= since_ms {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
    }

    fn tail(&mut self, entries: &[StoredEntry]) -> Result<(), ExportError> {
        let kept: Vec<&StoredEntry> = match &self.selection.scope {
            Scope::Point(point) => {
                self.of_point(entries, point)?.into_iter().filter_map(|index| entries.get(index)).collect()
            }
            _ => entries.iter().collect(),
        };
        if kept.is_empty() {
            return Ok(());
        }
        let frames = self.frames(kept.iter().copied())?;
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let bytes: Vec<&[u8]> = kept.iter().map(|entry| entry.bytes.as_slice()).collect();
        let item = self.writer.tail(&bytes, &frames);
        self.count(bytes.len(), false);
        self.put(&item)
    }

    fn single(&mut self, epoch: u32, seq: u64) -> Result<(), ExportError> {
        let missing = ExportError::NoEntry { epoch, seq };
        if let Some(batch) = self.snapshot.batch_of(epoch, seq)? {
            let count = usize::try_from(batch.count).unwrap_or(usize::MAX);
            let entries = self.snapshot.entries(epoch, batch.first_seq, count)?;
            let index = entries.iter().position(|entry| entry.seq == seq).ok_or(missing)?;
            return self.parts(&batch, &entries, &[index]);
        }
        let entry = self.snapshot.entry(epoch, seq)?.ok_or(missing)?;
        let item = self.writer.tail(&[&entry.bytes], &[]);
        self.count(1, false);
        self.put(&item)
    }

    fn of_point(&self, entries: &[StoredEntry], point: &Name) -> Result<Vec<usize>, ExportError> {
        let mut kept = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let parsed = Unverified::<Entry>::parse(&entry.bytes)?;
            if parsed.claims().body.link().is_some_and(|link| link.point == *point) {
                kept.push(index);
            }
        }
        Ok(kept)
    }

    /// The raw frames that are kept of these entries, as far as their records name them.
    fn frames<'e>(&self, entries: impl Iterator<Item = &'e StoredEntry>) -> Result<Vec<Vec<u8>>, ExportError> {
        let mut frames = Vec::new();
        if !self.selection.frames {
            return Ok(frames);
        }
        for entry in entries {
            let parsed = Unverified::<Entry>::parse(&entry.bytes)?;
            let Body::Record(_, record) = &parsed.claims().body else { continue };
            let kept = self.snapshot.frames(entry.epoch, entry.seq)?;
            frames.extend(kept.into_iter().filter(|frame| record.frames.contains(&Hash::of(frame))));
        }
        Ok(frames)
    }

    fn count(&mut self, entries: usize, receipted: bool) {
        self.summary.entries += entries as u64;
        self.summary.batches += 1;
        if receipted {
            self.summary.receipted += entries as u64;
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        let begin = std::mem::take(&mut self.begin);
        self.out.write_all(&begin)?;
        self.summary.bytes += begin.len() as u64;
        self.summary.bytes += bytes.len() as u64;
        Ok(self.out.write_all(bytes)?)
    }
}

fn anchored<'a>(batch: &'a StoredBatch, frames: &'a [Vec<u8>]) -> Anchored<'a> {
    Anchored {
        anchor: &batch.anchor,
        proof: batch.proof.as_deref(),
        frames: frames.iter().map(Vec::as_slice).collect(),
    }
}
