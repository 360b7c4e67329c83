//! Room: what goes, in which order, and when nothing may come any more.

use std::collections::BTreeMap;

use plomb_seal::{Anchor, Unverified};
use redb::{ReadableTable, WriteTransaction};

use super::{
    JournalError,
    error::Fault,
    tables::{ANCHORS, BatchKey, ENTRIES, FRAMES, ORPHANS, OrphanRange, RECEIPTS, State, row_bytes},
    writer::Writer,
};

/// The most rows that one commit takes out, but for the batch that it has begun with.
const PRUNE_ROWS_MAX: usize = 4096;
/// Above the quota there is this much room for what must still be said: events, anchors, receipts.
const RESERVE_BYTES: u64 = 64 * 1024;

/// Above this much of a quota, in bytes, commits make room.
pub(super) fn prune_above(quota_bytes: u64) -> u64 {
    quota_bytes - quota_bytes / 16
}

impl Writer {
    /// Admits `need_bytes` more, or refuses. What the gateway says of itself has a reserve.
    pub(super) fn make_room(&mut self, is_event: bool, need_bytes: u64) -> Result<(), JournalError> {
        let quota_bytes = self.options.quota_bytes;
        let limit = if is_event { quota_bytes.saturating_add(RESERVE_BYTES) } else { quota_bytes };
        if self.fits(need_bytes, limit) && (is_event || self.state.refused.is_none()) {
            return Ok(());
        }
        if self.state.refused.is_none() {
            loop {
                let before = self.state.stored_bytes.saturating_add(self.pending_bytes);
                self.commit(|_, _| Ok(()))?;
                if self.fits(need_bytes, limit) {
                    return Ok(());
                }
                if self.state.stored_bytes >= before {
                    break;
                }
            }
            self.state.refused = Some(0);
            self.say("journal-full", &[("quota-bytes", quota_bytes.to_string())]);
            self.commit_due = true;
        }
        self.state.refused = self.state.refused.map(|refused| refused.saturating_add(1));
        Err(JournalError::Full { quota_bytes, stored_bytes: self.state.stored_bytes })
    }

    /// After receipts: if there is room again, says so.
    pub(super) fn tell_of_space(&mut self) -> Result<(), JournalError> {
        let Some(refused) = self.state.refused else {
            return Ok(());
        };
        if self.state.stored_bytes > prune_above(self.options.quota_bytes) {
            return Ok(());
        }
        self.say("journal-space", &[("refused", refused.to_string())]);
        self.commit(|_, next| {
            next.refused = None;
            Ok(())
        })
    }

    fn fits(&self, need_bytes: u64, limit: u64) -> bool {
        self.state.stored_bytes.saturating_add(self.pending_bytes).saturating_add(need_bytes) <= limit
    }
}

/// Takes out what may go until the journal is below its mark, or the step is large enough. What is left
/// over a mark goes with the next commits.
pub(super) fn prune(transaction: &WriteTransaction, next: &mut State, quota_bytes: u64) -> Result<(), Fault> {
    let mut pruning = Pruning {
        mark: prune_above(quota_bytes),
        rows: 0,
        settled: Settled::read(transaction, next)?,
        transaction,
        state: next,
    };
    pruning.drop_frames(false)?;
    while pruning.wants_more() && pruning.drop_oldest()? {}
    pruning.drop_frames(true)
}

/// Tells which entries may go: those with a receipt, and orphans whose new entries have one.
struct Settled {
    epoch: u32,
    acked_seq: u64,
    orphans: BTreeMap<u32, OrphanRange>,
    orphans_settled: bool,
}

impl Settled {
    fn read(transaction: &WriteTransaction, state: &State) -> Result<Self, Fault> {
        let table = transaction.open_table(ORPHANS)?;
        let mut orphans = BTreeMap::new();
        for row in table.iter()? {
            let (epoch, range) = row?;
            orphans.insert(epoch.value(), range.value());
        }
        let all_reentered = orphans.values().all(|(_, end, next)| next == end);
        Ok(Self {
            epoch: state.epoch,
            acked_seq: state.acked_seq,
            orphans,
            orphans_settled: all_reentered && state.acked_seq >= state.reentered_seq,
        })
    }

    fn holds(&self, epoch: u32, seq: u64) -> bool {
        if epoch == self.epoch {
            return seq < self.acked_seq;
        }
        let orphan = self.orphans.get(&epoch).is_some_and(|(first, end, _)| (*first..*end).contains(&seq));
        self.orphans_settled || !orphan
    }
}

struct Pruning<'a> {
    mark: u64,
    rows: usize,
    settled: Settled,
    transaction: &'a WriteTransaction,
    state: &'a mut State,
}

impl Pruning<'_> {
    fn wants_more(&self) -> bool {
        self.state.stored_bytes > self.mark && self.rows < PRUNE_ROWS_MAX
    }

    /// Takes out raw frames, oldest first; those of entries without a receipt only if `all` may go.
    fn drop_frames(&mut self, all: bool) -> Result<(), Fault> {
        let mut frames = self.transaction.open_table(FRAMES)?;
        while self.wants_more() {
            let Some((epoch, seq)) = frames.first()?.map(|(key, _)| (key.value().0, key.value().1)) else {
                break;
            };
            let settled = self.settled.holds(epoch, seq);
            if !settled && !all {
                break;
            }
            let len = frames.pop_first()?.map_or(0, |(_, frame)| frame.value().len());
            self.state.subtract(len);
            self.state.frame_bytes = self.state.frame_bytes.saturating_sub(row_bytes(len));
            self.state.frames_dropped = self.state.frames_dropped.saturating_add(u64::from(!settled));
            self.rows += 1;
        }
        Ok(())
    }

    /// Takes out the oldest batch, or some old orphans. `false` if nothing may go.
    fn drop_oldest(&mut self) -> Result<bool, Fault> {
        let oldest = self.transaction.open_table(ENTRIES)?.first()?.map(|(key, _)| key.value());
        let anchor = self.oldest_anchor()?;
        match (oldest, anchor) {
            // An anchor whose entries are gone: orphans that made room while they were re-entered.
            (Some((epoch, _)), Some((key, _))) if key.0 < epoch => self.drop_anchor(key).map(|()| true),
            (Some((epoch, seq)), Some((key, last_seq))) if key.0 == epoch && seq <= last_seq => {
                // The newest batch with a receipt stays: the tail is checked against it on opening.
                let stays = epoch == self.state.epoch && key.1.saturating_add(1) >= self.state.acked_batch;
                if stays || !self.settled.holds(epoch, seq) || !self.settled.holds(epoch, last_seq) {
                    return Ok(false);
                }
                self.drop_entries(epoch, seq, last_seq)?;
                self.drop_anchor(key).map(|()| true)
            }
            (Some((epoch, _)), Some((key, _))) if key.0 == epoch && epoch < self.state.epoch => {
                self.drop_anchor(key).map(|()| true)
            }
            (Some((epoch, seq)), _) if epoch < self.state.epoch && self.settled.holds(epoch, seq) => {
                self.drop_entries(epoch, seq, seq).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// With the last entry that it covers.
    fn oldest_anchor(&self) -> Result<Option<(BatchKey, u64)>, Fault> {
        let anchors = self.transaction.open_table(ANCHORS)?;
        let Some((key, anchor)) = anchors.first()? else {
            return Ok(None);
        };
        Ok(Some((key.value(), Unverified::<Anchor>::parse(anchor.value())?.claims().last_seq())))
    }

    fn drop_entries(&mut self, epoch: u32, first: u64, last: u64) -> Result<(), Fault> {
        let mut entries = self.transaction.open_table(ENTRIES)?;
        for seq in first..=last {
            if let Some(bytes) = entries.remove((epoch, seq))? {
                self.state.subtract(bytes.value().len());
                self.state.entries = self.state.entries.saturating_sub(1);
                self.rows += 1;
            }
        }
        Ok(())
    }

    fn drop_anchor(&mut self, key: BatchKey) -> Result<(), Fault> {
        if let Some(anchor) = self.transaction.open_table(ANCHORS)?.remove(key)? {
            self.state.subtract(anchor.value().len());
        }
        if let Some(proof) = self.transaction.open_table(RECEIPTS)?.remove(key)? {
            self.state.subtract(proof.value().len());
        }
        self.rows += 1;
        Ok(())
    }
}
