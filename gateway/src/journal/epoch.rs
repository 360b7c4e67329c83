//! What the ledger knows and this journal does not: a new epoch, and the orphans of the old one.

use plomb_seal::{
    Anchor, Chain, Entry, Event, Hash, PublicKey, Signed, Stamp, Unverified, entry::Occurrence, reading::FRAMES_MAX,
};
use redb::{ReadableDatabase, ReadableTable, WriteTransaction};

use super::{
    JournalError, Noticed,
    error::Fault,
    quota,
    tables::{Basis, ENTRIES, FRAMES, ORPHANS, POINTS, State, row_bytes},
    writer::Writer,
};

/// How many orphans are re-entered in one commit.
const REENTRY_ENTRIES_MAX: u64 = 64;

impl Writer {
    /// Compares the ledger's last anchor with what is stored here.
    pub(super) fn notice(
        &mut self,
        anchor: &Signed<Anchor>,
        proof: &str,
        witnessed_s: Option<u64>,
    ) -> Result<Noticed, JournalError> {
        self.commit_pending()?;
        if self.is_known(anchor)? {
            return match self.acknowledge(anchor, proof, witnessed_s) {
                // An anchor of an earlier epoch, known as the one that this epoch follows.
                Err(JournalError::UnknownAnchor { epoch, batch }) => Ok(Noticed::Known(super::Acknowledged {
                    epoch,
                    batch,
                    new: false,
                    acked_batch: self.state.acked_batch,
                    acked_seq: self.state.acked_seq,
                    witnessed_s,
                })),
                acknowledged => acknowledged.map(Noticed::Known),
            };
        }
        let ledger = anchor.statement();
        // An epoch above the ledger's, of which nothing was anchored yet, can follow the ledger's as it is.
        let stays = self.state.epoch > ledger.epoch && self.state.next_batch == 0;
        let orphans = if stays { self.follow(anchor)? } else { self.begin_epoch(anchor)? };
        Ok(Noticed::Behind {
            ledger_epoch: ledger.epoch,
            ledger_batch: ledger.batch,
            ledger_seq: ledger.last_seq(),
            ledger_anchor: anchor.hash(),
            epoch: self.state.epoch,
            orphans,
        })
    }

    fn is_known(&self, anchor: &Signed<Anchor>) -> Result<bool, JournalError> {
        let ledger = anchor.statement();
        let (epoch, batch) = (ledger.epoch, ledger.batch);
        if epoch > self.state.epoch {
            return Ok(false);
        }
        if epoch == self.state.epoch {
            let stored = self.stored_anchor(epoch, batch)?;
            return Ok(stored.map_or_else(|| self.was_pruned(epoch, batch), |stored| stored == anchor.bytes()));
        }
        // The ledger has taken an anchor of this epoch already, or has the one that this epoch follows:
        // then what it says of earlier epochs is old news.
        Ok(self.state.acked_batch > 0
            || self
                .state
                .basis
                .is_some_and(|basis| basis.anchor == anchor.hash() || (epoch, batch) < (basis.epoch, basis.batch)))
    }

    /// Lets this epoch's first anchor follow the ledger's last.
    fn follow(&mut self, anchor: &Signed<Anchor>) -> Result<u64, JournalError> {
        self.enter_notice(anchor, (self.state.epoch, self.chain.next_seq(), self.chain.head()));
        let (basis, hash) = (basis_of(anchor), anchor.hash());
        self.commit(|_, next| {
            next.basis = Some(basis);
            next.last_anchor = hash;
            Ok(0)
        })
    }

    fn begin_epoch(&mut self, anchor: &Signed<Anchor>) -> Result<u64, JournalError> {
        let ledger = anchor.statement();
        let (old, old_seq, old_head) = (self.state.epoch, self.state.next_seq, self.state.head);
        let highest = old.max(ledger.epoch);
        let epoch = highest.checked_add(1).ok_or(JournalError::EpochsSpent(highest))?;
        let first_orphan = self.first_orphan(ledger)?;

        self.chain = Chain::begin(self.chain.gateway().clone(), epoch, old_head);
        self.stale_points.clear();
        self.enter_notice(anchor, (old, old_seq, old_head));
        let (basis, hash) = (basis_of(anchor), anchor.hash());
        self.commit(|transaction, next| {
            transaction.delete_table(POINTS)?;
            transaction.open_table(POINTS)?;
            if first_orphan < old_seq {
                transaction.open_table(ORPHANS)?.insert(old, (first_orphan, old_seq, first_orphan))?;
            }
            next.basis = Some(basis);
            next.last_anchor = hash;
            (next.points_seq, next.next_batch, next.anchored_seq) = (0, 0, 0);
            (next.acked_batch, next.acked_seq, next.reentered_seq) = (0, 0, 0);
            Ok(())
        })?;
        self.orphans_wait = true;
        Ok(old_seq.saturating_sub(first_orphan))
    }

    /// The first entry of this epoch that the ledger is not known to have. If the last entry of the
    /// ledger's anchor is the one that stands here, all before it are the same too: each names the one before.
    fn first_orphan(&self, ledger: &Anchor) -> Result<u64, JournalError> {
        let acked = self.state.acked_seq;
        if ledger.epoch != self.state.epoch {
            return Ok(acked);
        }
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        let same = entries.get((ledger.epoch, ledger.last_seq()))?.is_some_and(|bytes| {
            Unverified::<Entry>::parse(bytes.value()).is_ok_and(|entry| entry.hash() == ledger.head)
        });
        Ok(if same { acked.max(ledger.last_seq().saturating_add(1)) } else { acked })
    }

    fn enter_notice(&mut self, anchor: &Signed<Anchor>, (own_epoch, own_seq, own_head): (u32, u64, Hash)) {
        let ledger = anchor.statement();
        let details = [
            ("ledger-epoch", ledger.epoch.to_string()),
            ("ledger-batch", ledger.batch.to_string()),
            ("ledger-seq", ledger.last_seq().to_string()),
            ("ledger-anchor", anchor.hash().to_string()),
            ("own-epoch", own_epoch.to_string()),
            ("own-next-seq", own_seq.to_string()),
            ("own-head", own_head.to_string()),
        ];
        self.say("rollback-noticed", &details);
    }

    /// Puts an event of the journal's own into the group.
    pub(super) fn say(&mut self, name: &str, details: &[(&str, String)]) {
        let details = details.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        let stamp = self.now();
        let event = self.seal(Occurrence::Event(Event { name: name.into(), details }), stamp, Vec::new());
        self.take(event);
    }

    /// Re-enters the next few orphans, in one commit with whatever waits.
    pub(super) fn reenter_some(&mut self) -> Result<(), JournalError> {
        let waiting = self.waiting_orphans()?;
        let Some((epoch, first, count)) = waiting else {
            self.orphans_wait = false;
            return Ok(());
        };
        let orphans = self.read_orphans(epoch, first, count)?;
        let Some((_, last_hash, _)) = orphans.last() else {
            return Err(self.latch(format!("orphan {first} of epoch {epoch} is gone")));
        };
        self.say(
            "re-entered",
            &[
                ("epoch", epoch.to_string()),
                ("first-seq", first.to_string()),
                ("count", orphans.len().to_string()),
                ("last-hash", last_hash.to_string()),
            ],
        );
        let mut places = Vec::new();
        for (seq, (occurrence, _, stamp)) in (first..).zip(orphans) {
            let pending = self.seal(occurrence, stamp, Vec::new());
            places.push((seq, pending.durable.seq));
            self.take(pending);
        }
        let quota_bytes = self.options.quota_bytes;
        self.commit(|transaction, next| move_orphans(transaction, next, epoch, &places, quota_bytes))
    }

    fn waiting_orphans(&self) -> Result<Option<(u32, u64, u64)>, JournalError> {
        let orphans = self.database.begin_read()?.open_table(ORPHANS)?;
        for row in orphans.iter()? {
            let (epoch, range) = row?;
            let (_, end, next) = range.value();
            if next < end {
                return Ok(Some((epoch.value(), next, REENTRY_ENTRIES_MAX.min(end - next))));
            }
        }
        Ok(None)
    }

    fn read_orphans(&self, epoch: u32, first: u64, count: u64) -> Result<Vec<(Occurrence, Hash, Stamp)>, JournalError> {
        let key = self.key.public();
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        (first..first.saturating_add(count))
            .map(|seq| {
                let bytes = entries.get((epoch, seq))?;
                let bytes = bytes.ok_or_else(|| self.latch(format!("orphan {seq} of epoch {epoch} is gone")))?;
                read_orphan(bytes.value(), &key).map_err(|Fault(why)| self.latch(why))
            })
            .collect()
    }
}

fn read_orphan(bytes: &[u8], key: &PublicKey) -> Result<(Occurrence, Hash, Stamp), Fault> {
    let signed = Unverified::<Entry>::parse(bytes)?.verify(key)?;
    let entry = signed.statement();
    Ok((entry.body.clone().into(), signed.hash(), entry.stamp))
}

/// Notes that orphans are re-entered; their raw frames move to the new place. If the quota is short the
/// orphans themselves go: their content stands in this same transaction.
fn move_orphans(
    transaction: &WriteTransaction,
    next: &mut State,
    epoch: u32,
    places: &[(u64, u64)],
    quota_bytes: u64,
) -> Result<(), Fault> {
    let mut frames = transaction.open_table(FRAMES)?;
    let mut entries = transaction.open_table(ENTRIES)?;
    for (old, new) in places {
        // The quota may have taken the first of them.
        for index in 0..=u8::MAX {
            let frame = frames.remove((epoch, *old, index))?.map(|frame| frame.value().to_vec());
            if let Some(frame) = frame {
                frames.insert((next.epoch, *new, index), frame.as_slice())?;
            } else if usize::from(index) >= FRAMES_MAX {
                break;
            }
        }
        if next.stored_bytes > quota::prune_above(quota_bytes)
            && let Some(bytes) = entries.remove((epoch, *old))?
        {
            next.stored_bytes = next.stored_bytes.saturating_sub(row_bytes(bytes.value().len()));
            next.entries = next.entries.saturating_sub(1);
        }
    }
    let mut orphans = transaction.open_table(ORPHANS)?;
    let range = orphans.get(epoch)?.map(|range| range.value());
    let (first, end, _) = range.ok_or_else(|| Fault::new("a range of orphans is gone"))?;
    if let Some((last_old, last_new)) = places.last() {
        orphans.insert(epoch, (first, end, last_old.saturating_add(1)))?;
        next.reentered_seq = last_new.saturating_add(1);
    }
    Ok(())
}

fn basis_of(anchor: &Signed<Anchor>) -> Basis {
    Basis { epoch: anchor.statement().epoch, batch: anchor.statement().batch, anchor: anchor.hash() }
}
