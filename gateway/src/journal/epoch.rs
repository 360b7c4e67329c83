//! What the ledger knows and this journal does not: a new epoch, and the orphans of the old one.

use plomb_seal::{
    Anchor, Chain, Entry, Event, Hash, KeyId, Signed, Stamp, Unverified,
    entry::Occurrence,
    reading::{FRAMES_MAX, TEXT_BYTES_MAX},
    tree,
};
use redb::{ReadableDatabase, ReadableTable, WriteTransaction};

use super::{
    JournalError, Noticed,
    error::Fault,
    keyring::Keyring,
    quota,
    tables::{ANCHORS, Basis, ENTRIES, FRAMES, ORPHANS, POINTS, RECEIPTS, State, row_bytes},
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
        if self.stored_anchor(ledger.epoch, ledger.batch)?.is_some_and(|stored| stored == anchor.bytes()) {
            return self.follow_own(anchor, proof, witnessed_s).map(Noticed::Known);
        }
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
        let own = (self.state.epoch, self.chain.next_seq(), self.chain.head());
        self.say("rollback-noticed", &notice_of(anchor, own));
        self.follow_quietly(anchor)?;
        Ok(0)
    }

    fn follow_quietly(&mut self, anchor: &Signed<Anchor>) -> Result<(), JournalError> {
        let (basis, hash) = (basis_of(anchor), anchor.hash());
        self.commit(|_, next| {
            next.basis = Some(basis);
            next.last_anchor = hash;
            Ok(())
        })
    }

    /// The ledger's last anchor is of an earlier epoch of this very journal: its receipt was under way when the
    /// present epoch began. Nothing was put back; the chain follows it.
    fn follow_own(
        &mut self,
        anchor: &Signed<Anchor>,
        proof: &str,
        witnessed_s: Option<u64>,
    ) -> Result<super::Acknowledged, JournalError> {
        let acknowledged = self.acknowledge(anchor, proof, witnessed_s)?;
        if self.state.next_batch == 0 {
            self.follow_quietly(anchor)?;
            return Ok(acknowledged);
        }
        let next = self.next_epoch(self.state.epoch)?;
        let own = (self.state.epoch, self.state.next_seq, self.state.head);
        let basis = (Some(basis_of(anchor)), anchor.hash());
        self.turn_epoch(next, self.state.acked_seq, basis, "receipt-late", &notice_of(anchor, own))?;
        let (acked_batch, acked_seq) = (self.state.acked_batch, self.state.acked_seq);
        Ok(super::Acknowledged { acked_batch, acked_seq, ..acknowledged })
    }

    fn begin_epoch(&mut self, anchor: &Signed<Anchor>) -> Result<u64, JournalError> {
        let ledger = anchor.statement();
        let own = (self.state.epoch, self.state.next_seq, self.state.head);
        let next = self.next_epoch(self.state.epoch.max(ledger.epoch))?;
        let first_orphan = self.first_orphan(ledger)?;
        let basis = (Some(basis_of(anchor)), anchor.hash());
        self.turn_epoch(next, first_orphan, basis, "rollback-noticed", &notice_of(anchor, own))
    }

    fn next_epoch(&self, after: u32) -> Result<u32, JournalError> {
        after.checked_add(1).ok_or(JournalError::EpochsSpent(after))
    }

    /// Another key signs from now on: an epoch is signed by one.
    pub(super) fn change_key(&mut self, before: KeyId) -> Result<(), JournalError> {
        let next = self.next_epoch(self.state.epoch)?;
        let basis = self.last_receipted()?.or(self.state.basis);
        let details = [
            ("key-before", before.to_string()),
            ("key", self.keys.key().public().id().to_string()),
            ("own-epoch", self.state.epoch.to_string()),
            ("own-next-seq", self.state.next_seq.to_string()),
            ("own-head", self.state.head.to_string()),
        ];
        let previous = basis.map_or(Hash::ZERO, |basis| basis.anchor);
        self.turn_epoch(next, self.state.acked_seq, (basis, previous), "key-changed", &details).map(drop)
    }

    /// The last anchor of this epoch that the ledger is known to have.
    fn last_receipted(&self) -> Result<Option<Basis>, JournalError> {
        let epoch = self.state.epoch;
        let read = self.database.begin_read()?;
        let (anchors, receipts) = (read.open_table(ANCHORS)?, read.open_table(RECEIPTS)?);
        let Some(last) = receipts.range((epoch, 0)..=(epoch, u64::MAX))?.next_back().transpose()? else {
            return Ok(None);
        };
        let (_, batch) = last.0.value();
        let anchor = anchors.get((epoch, batch))?;
        let anchor = anchor.ok_or_else(|| self.latch(format!("anchor {batch} has a receipt and is gone")))?;
        Ok(Some(Basis { epoch, batch, anchor: tree::leaf_hash(anchor.value()) }))
    }

    /// Begins an epoch with an event of the journal's own. Entries of the present one from `first_orphan` on are to
    /// be re-entered: gives how many. `basis` is what the first anchor follows, and its hash.
    fn turn_epoch(
        &mut self,
        epoch: u32,
        first_orphan: u64,
        (basis, previous): (Option<Basis>, Hash),
        event: &str,
        details: &[(&str, String)],
    ) -> Result<u64, JournalError> {
        let (old, old_seq, old_head) = (self.state.epoch, self.state.next_seq, self.state.head);
        self.raise_mark(epoch)?;
        self.chain = Chain::begin(self.chain.gateway().clone(), epoch, old_head);
        self.stale_points.clear();
        self.say(event, details);
        self.commit(|transaction, next| {
            transaction.delete_table(POINTS)?;
            transaction.open_table(POINTS)?;
            if first_orphan < old_seq {
                transaction.open_table(ORPHANS)?.insert(old, (first_orphan, old_seq, first_orphan))?;
            }
            next.basis = basis;
            next.last_anchor = previous;
            (next.points_seq, next.next_batch, next.anchored_seq) = (0, 0, 0);
            (next.acked_batch, next.acked_seq, next.reentered_seq) = (0, 0, 0);
            Ok(())
        })?;
        self.orphans_wait = true;
        Ok(old_seq.saturating_sub(first_orphan))
    }

    /// Makes an epoch known beside the file, before anything of it is in the file.
    pub(super) fn raise_mark(&mut self, epoch: u32) -> Result<(), JournalError> {
        let Some(mark) = &self.mark else { return Ok(()) };
        mark.raise(epoch).map_err(|error| self.latch(format!("the epoch can't be kept beside the journal: {error}")))
    }

    /// Enters that the journal before this one is damaged, or gone.
    pub(super) fn enter_lost(
        &mut self,
        moved_to: Option<String>,
        why: &str,
        old_epoch: Option<u32>,
    ) -> Result<(), JournalError> {
        let old_epoch = old_epoch.map_or("unknown".into(), |epoch| epoch.to_string());
        let mut details = vec![("why", cut(why)), ("old-epoch", old_epoch)];
        let name = if moved_to.is_some() { "journal-damaged" } else { "journal-missing" };
        details.extend(moved_to.map(|file| ("moved-to", cut(&file))));
        self.say(name, &details);
        self.commit_pending()
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
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        (first..first.saturating_add(count))
            .map(|seq| {
                let bytes = entries.get((epoch, seq))?;
                let bytes = bytes.ok_or_else(|| self.latch(format!("orphan {seq} of epoch {epoch} is gone")))?;
                read_orphan(bytes.value(), &self.keys).map_err(|Fault(why)| self.latch(why))
            })
            .collect()
    }
}

fn read_orphan(bytes: &[u8], keys: &Keyring) -> Result<(Occurrence, Hash, Stamp), Fault> {
    let (signed, _) = keys.verify::<Entry>(bytes)?;
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

/// What the ledger has, and what this journal has.
fn notice_of(anchor: &Signed<Anchor>, (own_epoch, own_seq, own_head): (u32, u64, Hash)) -> [(&'static str, String); 7] {
    let ledger = anchor.statement();
    [
        ("ledger-epoch", ledger.epoch.to_string()),
        ("ledger-batch", ledger.batch.to_string()),
        ("ledger-seq", ledger.last_seq().to_string()),
        ("ledger-anchor", anchor.hash().to_string()),
        ("own-epoch", own_epoch.to_string()),
        ("own-next-seq", own_seq.to_string()),
        ("own-head", own_head.to_string()),
    ]
}

/// A detail of an event has a bound, and no control characters.
fn cut(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii() && !c.is_control()).take(TEXT_BYTES_MAX).collect()
}
