//! Closing batches, and taking their receipts.

use plomb_seal::{
    Anchor, Batch, Clock, Entry, Malformed, PublicKey, Signed, Stamp, Unverified,
    batch::{BATCH_ENTRIES_MAX, BATCH_ENTRY_BYTES_MAX, Place},
    note::NOTE_BYTES_MAX,
};
use redb::{ReadableDatabase, ReadableTable, WriteTransaction};

use super::{
    Acknowledged, CHECKPOINT_AHEAD_S_MAX, Checkpoint, JournalError, Limits,
    error::Fault,
    tables::{ANCHORS, ENTRIES, RECEIPTS, State},
    writer::Writer,
};

impl Writer {
    /// Signs an anchor over the oldest entries that have none, and stores it before anyone can send it.
    pub(super) fn close_batch(&mut self, limits: Limits) -> Result<Option<Signed<Anchor>>, JournalError> {
        if self.chain.next_seq() == self.state.anchored_seq {
            return self.latched().map_or(Ok(None), Err);
        }
        if let Some(checkpoint) = &limits.checkpoint
            && checkpoint.note.len() > NOTE_BYTES_MAX
        {
            let (what, max, found) = ("a checkpoint", NOTE_BYTES_MAX, checkpoint.note.len());
            return Err(JournalError::Statement(Malformed::TooLarge { what, max, found }));
        }
        let (key, now) = (self.keys.key().clone(), self.now());
        let checkpoint = limits.checkpoint.clone().filter(|checkpoint| !is_ahead(checkpoint, now));
        self.commit(move |transaction, next| {
            let entries = run(transaction, next, &limits, &key.public())?;
            let place = Place {
                batch: next.next_batch,
                previous: next.last_anchor,
                closed_ms: now.unix_ms,
                checkpoint: checkpoint.map(|checkpoint| checkpoint.note),
            };
            let anchor = Batch::close(entries, place, &key)?.anchor().clone();
            let bytes = anchor.bytes();
            transaction.open_table(ANCHORS)?.insert((next.epoch, next.next_batch), bytes)?;
            next.add(bytes.len());
            next.next_batch = next.next_batch.saturating_add(1);
            next.anchored_seq = anchor.statement().last_seq().saturating_add(1);
            next.last_anchor = anchor.hash();
            Ok(Some(anchor))
        })
    }

    /// Stores a receipt whose proof holds, and moves the cursor over all that have one now.
    pub(super) fn acknowledge(
        &mut self,
        anchor: &Signed<Anchor>,
        proof: &str,
        witnessed_s: Option<u64>,
    ) -> Result<Acknowledged, JournalError> {
        if let Some(latched) = self.latched() {
            return Err(latched);
        }
        let (epoch, batch) = (anchor.statement().epoch, anchor.statement().batch);
        let new = match self.stored_anchor(epoch, batch)? {
            Some(stored) if stored == anchor.bytes() => !self.has_receipt(epoch, batch)?,
            None if self.was_pruned(epoch, batch) => false,
            _ => return Err(JournalError::UnknownAnchor { epoch, batch }),
        };
        if new {
            self.commit(|transaction, next| {
                transaction.open_table(RECEIPTS)?.insert((epoch, batch), proof)?;
                next.add(proof.len());
                advance(transaction, next)
            })?;
            self.tell_of_space()?;
        }
        let (acked_batch, acked_seq) = (self.state.acked_batch, self.state.acked_seq);
        Ok(Acknowledged { epoch, batch, new, acked_batch, acked_seq, witnessed_s })
    }

    pub(super) fn stored_anchor(&self, epoch: u32, batch: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let anchors = self.database.begin_read()?.open_table(ANCHORS)?;
        Ok(anchors.get((epoch, batch))?.map(|bytes| bytes.value().into()))
    }

    /// Whether a batch that is not here had its receipt: it went for room.
    pub(super) fn was_pruned(&self, epoch: u32, batch: u64) -> bool {
        epoch == self.state.epoch && batch < self.state.acked_batch
    }

    pub(super) fn has_receipt(&self, epoch: u32, batch: u64) -> Result<bool, JournalError> {
        Ok(self.database.begin_read()?.open_table(RECEIPTS)?.get((epoch, batch))?.is_some())
    }
}

/// Whether a checkpoint is dated well after a clock that is known to be right.
fn is_ahead(checkpoint: &Checkpoint, now: Stamp) -> bool {
    let (Clock::Synced { error_ms }, Some(witnessed_s)) = (now.clock, checkpoint.witnessed_s) else { return false };
    let latest_ms = now.unix_ms.saturating_add(error_ms.into());
    let latest_s = u64::try_from(latest_ms / 1000).unwrap_or(0);
    witnessed_s > latest_s.saturating_add(CHECKPOINT_AHEAD_S_MAX)
}

/// The oldest entries without an anchor, their signatures checked again: what the card gave back must be
/// what was written.
fn run(
    transaction: &WriteTransaction,
    state: &State,
    limits: &Limits,
    key: &PublicKey,
) -> Result<Vec<Signed<Entry>>, Fault> {
    let entries_max = limits.entries_max.clamp(1, BATCH_ENTRIES_MAX);
    let bytes_max = limits.bytes_max.min(BATCH_ENTRY_BYTES_MAX);
    let entries = transaction.open_table(ENTRIES)?;
    let (mut run, mut bytes_total) = (Vec::new(), 0_usize);
    for row in entries.range((state.epoch, state.anchored_seq)..=(state.epoch, u64::MAX))?.take(entries_max) {
        let row = row?;
        let bytes = row.1.value();
        bytes_total = bytes_total.saturating_add(bytes.len());
        if bytes_total > bytes_max && !run.is_empty() {
            break;
        }
        run.push(Unverified::<Entry>::parse(bytes)?.verify(key)?);
    }
    Ok(run)
}

/// Moves the acknowledged cursor to the first batch of the epoch that lacks a receipt.
fn advance(transaction: &WriteTransaction, next: &mut State) -> Result<(), Fault> {
    let receipts = transaction.open_table(RECEIPTS)?;
    let anchors = transaction.open_table(ANCHORS)?;
    while receipts.get((next.epoch, next.acked_batch))?.is_some() {
        let anchor = anchors.get((next.epoch, next.acked_batch))?;
        let anchor = anchor.ok_or_else(|| Fault::new("a batch has a receipt and no anchor"))?;
        let last_seq = Unverified::<Anchor>::parse(anchor.value())?.claims().last_seq();
        next.acked_seq = last_seq.saturating_add(1);
        next.acked_batch = next.acked_batch.saturating_add(1);
    }
    Ok(())
}
