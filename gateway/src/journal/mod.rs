//! The journal: the single hand-off of the gateway, and its only queue.
//!
//! An entry exists when its commit is durable, not before. One writer thread gives occurrences their place
//! in the chain, signs them, and commits them in groups; everything behind (uplink, subscribers, the command
//! line) reads what is durable and keeps a cursor here. A dead broker never stops metering.
//!
//! ```text
//! append ──▶ bounded queue ──▶ writer thread: seal, group, commit ──▶ head (watch) ──▶ readers
//!                                   ▲                                     │
//!            acknowledge (receipt) ─┘◀───────────── ledger ◀── anchor ◀── close_batch
//! ```
//!
//! # Loss window
//! A group is committed when it has [`Options::window_entries_max`] entries, when its first entry is
//! [`Options::window`] old, or when an urgent entry joins it. A power cut loses at most that: entries whose
//! [`Ticket`] had not reported yet. Every commit is `Durability::Immediate` with two phases, as the store's
//! own checksum (xxhash) is no defence against someone who chooses the bytes.
//!
//! # Tables (format 1)
//! ```text
//! table     key                          value
//! meta      "format"                     u64, big-endian: 1
//!           "state"                      CBOR array of 19, see `tables::State`: gateway, epoch, next_seq, head,
//!                                        points_seq, next_batch, anchored_seq, last_anchor, basis|null,
//!                                        acked_batch, acked_seq, reentered_seq, openings, clock_floor_ms,
//!                                        stored_bytes, frame_bytes, entries, frames_dropped, refused|null
//! entries   (epoch u32, seq u64)         the COSE_Sign1 bytes of the entry, as signed
//! frames    (epoch u32, seq u64, i u8)   the i-th raw frame of that entry; its SHA-256 stands in the record
//! anchors   (epoch u32, batch u64)       the COSE_Sign1 bytes of the anchor, as signed
//! receipts  (epoch u32, batch u64)       the proof of logging for that anchor, C2SP tlog-proof text
//! points    point's name                 (next seq u64, hash of the last entry, 32 bytes), of this epoch
//! cursors   reader's name                (epoch u32, seq u64): the next entry that it wants
//! counters  meter and key                u64: the last message counter that was accepted
//! orphans   epoch u32                    (first u64, end u64, next u64): entries first..end of that epoch
//!                                        never got a receipt; those below next are re-entered
//! ```
//! Integers in keys are the store's own, little-endian, compared as numbers. `points` is written only once
//! in [`POINTS_REPLAY_ENTRIES`] entries; the entries since are replayed on opening, which is the check of
//! the tail as well: signatures, numbers, hashes.
//!
//! # Epochs and orphans
//! When the ledger knows an anchor of ours that is not here (a restored card, a cut tail, an emptied file),
//! or another one under the same number, the numbers of this epoch are not ours to give any more.
//! [`Journal::notice_ledger`] then begins the epoch after the higher of the two, with the event
//! `rollback-noticed` as its first entry, and its first anchor follows the ledger's last. Entries that have no
//! receipt are *orphans*: they stay under their old numbers, and each is **re-entered** in the new epoch with
//! the time at which it was first written. Each group begins with the event `re-entered`, which
//! names the old epoch, the first old number, the count and the last old hash; exactly so many entries follow
//! it, in the old order. So nothing is lost, and whoever holds the old ones too can tell the doubles. An
//! orphan may be pruned once all are re-entered and their new entries have a receipt; if the quota is short,
//! an orphan's old row goes in the same transaction that re-enters it.
//!
//! # Keys
//! An epoch is signed by one key. When the journal is opened with another one than signed the present epoch, and
//! the certificates at hand have both, the next epoch begins with the event `key-changed`. Its first anchor follows
//! the last one that has a receipt, and the entries without a receipt are orphans like those above: signed anew,
//! in batches of one key each. A receipt that comes late for an anchor of an earlier epoch is kept. If the ledger
//! has such an anchor as its last, this epoch's first anchor is made to follow it; if this epoch has anchors
//! already, they can't, and the next one begins with the event `receipt-late`.
//!
//! # The file beside
//! `journal.epoch` names the latest epoch of `journal.redb`. A journal that is damaged is moved aside and not opened
//! again; the next begins one epoch later, with the event `journal-damaged`. One that is not there although it has a
//! mark is followed likewise, with the event `journal-missing`.
//!
//! # Quota
//! What is stored counts key, value and a share of the tree; the file is larger by what the store
//! keeps free for itself. Above the quota each commit first frees room,
//! in bounded steps: raw frames of entries with a receipt, oldest first; then whole batches with a receipt,
//! entries, anchor and receipt together, oldest first, but never the newest of them; then raw frames of
//! entries without a receipt, which is counted ([`Stats::frames_dropped`]). If that is not enough, new
//! entries are refused with [`JournalError::Full`]; the event `journal-full` says when, `journal-space` how
//! many were refused. An entry without a receipt is never dropped. The file never shrinks; freed room is
//! used again.
//!
//! # Failure
//! After one failed write or sync nothing is believed any more: every later call gives
//! [`JournalError::Latched`] and the process should stop and start again. A full disk is such a failure;
//! a reached quota is not.

mod anchoring;
mod backend;
mod counters;
mod epoch;
mod error;
mod keyring;
mod mark;
mod open;
mod quota;
mod reader;
mod tables;
mod writer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use plomb_seal::{Anchor, Hash, Name, Policy, Receipt, Signed, Stamp, attest::attest, entry::Occurrence};
use tokio::sync::{mpsc, oneshot, watch};

pub use backend::Traffic;
pub use counters::{COUNTER_NAME_BYTES_MAX, COUNTERS_MAX};
pub use error::JournalError;
pub use keyring::Keyring;
pub use open::{Recovered, set_aside};
pub use reader::{Reader, Snapshot, Stats, StoredBatch, StoredEntry};

use counters::Counters;
use writer::Request;

/// The most requests that wait for the writer; whoever comes then waits too.
pub const QUEUE_REQUESTS_MAX: usize = 64;
/// The most entries that a group may have.
pub const COMMIT_ENTRIES_MAX: usize = 4096;
/// With so many bytes a group is full, however few its entries.
pub const COMMIT_BYTES_MAX: u64 = 1024 * 1024;
/// The longest raw frame that is stored, in bytes.
pub const FRAME_BYTES_MAX: usize = 4096;
/// The most measuring points in an epoch.
pub const POINTS_MAX: usize = 4096;
/// The most cursors of readers.
pub const CURSORS_MAX: usize = 16;
/// After so many entries the points are written down; what came later is replayed on opening.
pub const POINTS_REPLAY_ENTRIES: u64 = 1024;
/// How far a checkpoint may be dated after the gateway's clock to be named in an anchor, in seconds.
pub const CHECKPOINT_AHEAD_S_MAX: u64 = 60;
/// The smallest quota, in bytes: several of the largest batches, as the newest one with a receipt stays.
pub const QUOTA_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// How a journal is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long the first entry of a group may wait for its commit.
    pub window: Duration,
    /// How many entries make a group full; 1 to [`COMMIT_ENTRIES_MAX`].
    pub window_entries_max: usize,
    /// How much may be stored, in bytes; at least [`QUOTA_BYTES_MIN`].
    pub quota_bytes: u64,
    /// Whether raw frames are kept.
    pub raw_frames: bool,
    /// How much the store may keep in memory, in bytes.
    pub cache_bytes: usize,
    /// The epoch that a new, empty file begins with.
    pub first_epoch: u32,
    /// Whether each commit has two phases, with a sync after each. One phase is faster; then only the store's
    /// own checksum tells a torn commit from a whole one.
    pub two_phase_commit: bool,
    /// Whether every page of the file is checked on opening, not only after a crash.
    pub check_on_open: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(5),
            window_entries_max: 64,
            quota_bytes: 2 * 1024 * 1024 * 1024,
            raw_frames: true,
            cache_bytes: 1024 * 1024,
            first_epoch: 0,
            two_phase_commit: true,
            check_on_open: true,
        }
    }
}

/// The durable end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The epoch.
    pub epoch: u32,
    /// The sequence number that the next entry gets.
    pub next_seq: u64,
    /// The hash of the last entry.
    pub hash: Hash,
}

/// Where an entry came to stand, once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// The epoch.
    pub epoch: u32,
    /// The sequence number.
    pub seq: u64,
    /// The entry's hash.
    pub hash: Hash,
}

/// A place in the journal, for cursors: the next entry that a reader wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The epoch.
    pub epoch: u32,
    /// The sequence number.
    pub seq: u64,
}

/// How large a batch may get, and what its anchor carries.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most entries; at most [`plomb_seal::batch::BATCH_ENTRIES_MAX`].
    pub entries_max: usize,
    /// The most bytes of entries; at most [`plomb_seal::batch::BATCH_ENTRY_BYTES_MAX`].
    pub bytes_max: usize,
    /// The newest checkpoint of the ledger that was seen. It is not named if it is dated more than
    /// [`CHECKPOINT_AHEAD_S_MAX`] after this gateway's clock, while that is synchronised: the ledger's clock is
    /// wrong then, and the receipt would be dated before it.
    pub checkpoint: Option<Checkpoint>,
}

/// A checkpoint of the ledger that the policy holds good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The signed note.
    pub note: String,
    /// When it was witnessed, in Unix seconds, if the policy's witnesses tell.
    pub witnessed_s: Option<u64>,
}

impl Default for Limits {
    /// Small enough for the memory of a gateway.
    fn default() -> Self {
        Self { entries_max: 1024, bytes_max: 256 * 1024, checkpoint: None }
    }
}

/// What a receipt did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The batch's epoch.
    pub epoch: u32,
    /// The batch's number.
    pub batch: u64,
    /// Whether the receipt was new.
    pub new: bool,
    /// All batches of the present epoch below this one now have a receipt.
    pub acked_batch: u64,
    /// All entries of the present epoch below this one now have a receipt.
    pub acked_seq: u64,
    /// The time by which the anchor was on the ledger, in Unix seconds, if the policy's witnesses tell.
    pub witnessed_s: Option<u64>,
}

/// What a look at the ledger's last anchor showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noticed {
    /// This journal has that anchor, or has later ones with a receipt.
    Known(Acknowledged),
    /// The ledger knows more than this journal. The journal goes on in `epoch`.
    Behind {
        /// The epoch of the ledger's last anchor.
        ledger_epoch: u32,
        /// Its batch number.
        ledger_batch: u64,
        /// The last entry that it covers.
        ledger_seq: u64,
        /// Its hash.
        ledger_anchor: Hash,
        /// The epoch in which the journal goes on.
        epoch: u32,
        /// How many entries without a receipt are being re-entered.
        orphans: u64,
    },
}

/// A promise of a place in the chain.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Durable, JournalError>>);

impl Ticket {
    /// Waits until the entry is durable. If this gives an error, the entry may or may not be found after
    /// the next start.
    pub async fn durable(self) -> Result<Durable, JournalError> {
        self.0.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The same, for threads. Must not be called in a task.
    pub fn wait(self) -> Result<Durable, JournalError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(stopped()))
    }
}

/// The handle. Clones are cheap; when the last one goes, the last group is committed.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    reader: Reader,
    head: watch::Receiver<Head>,
    keys: Keyring,
}

/// What the handle and the writer thread both see.
struct Shared {
    latched: OnceLock<String>,
    cursors: Mutex<BTreeMap<String, Position>>,
    counters: Mutex<Counters>,
    commits: AtomicU64,
    traffic: Arc<Traffic>,
    /// The last receipt that was refused, until a good one comes.
    refused_receipt: Mutex<Option<String>>,
    not_taken: Mutex<NotTaken>,
}

/// What could not become an entry, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotTaken {
    /// How many occurrences.
    pub count: u64,
    /// The last: of which point, and why.
    pub last: Option<String>,
}

impl Shared {
    fn note_not_taken(&self, point: Option<&Name>, error: &JournalError) {
        let mut not_taken = self.not_taken.lock().unwrap_or_else(PoisonError::into_inner);
        not_taken.count = not_taken.count.saturating_add(1);
        let of = point.map(|point| format!("{point}: ")).unwrap_or_default();
        // The first of a kind is news; a full journal would fill the log, too.
        if not_taken.count.is_power_of_two() {
            tracing::error!(count = not_taken.count, "an entry is lost: {of}{error}");
        }
        not_taken.last = Some(format!("{of}{error}"));
    }
}

impl Journal {
    /// Takes an occurrence into the next group. Waits only for room in the queue.
    pub async fn append(&self, occurrence: Occurrence, raw_frames: Vec<Vec<u8>>) -> Result<Ticket, JournalError> {
        self.send_append(occurrence, raw_frames, None, false).await
    }

    /// Takes an occurrence in and commits it at once, with all that waits. For events and outcomes.
    pub async fn append_urgent(
        &self,
        occurrence: Occurrence,
        raw_frames: Vec<Vec<u8>>,
    ) -> Result<Ticket, JournalError> {
        self.send_append(occurrence, raw_frames, None, true).await
    }

    /// Like [`append`](Self::append), with the time at which it happened instead of the time at which the
    /// writer gets to it.
    pub async fn append_at(
        &self,
        occurrence: Occurrence,
        raw_frames: Vec<Vec<u8>>,
        stamp: Stamp,
    ) -> Result<Ticket, JournalError> {
        self.send_append(occurrence, raw_frames, Some(stamp), false).await
    }

    /// [`append`](Self::append), for threads. Must not be called in a task.
    pub fn append_blocking(&self, occurrence: Occurrence, raw_frames: Vec<Vec<u8>>) -> Result<Ticket, JournalError> {
        let (reply, ticket) = oneshot::channel();
        let request = Request::Append { occurrence, raw_frames, stamp: None, urgent: false, reply };
        self.requests()?.blocking_send(request).map_err(|_| self.why_stopped())?;
        Ok(Ticket(ticket))
    }

    /// Commits what waits. Gives the durable end of the chain.
    pub async fn flush(&self) -> Result<Head, JournalError> {
        self.ask(|reply| Request::Flush { reply }).await
    }

    /// The durable end of the chain. Moves only after a commit.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.inner.head.clone()
    }

    /// Closes the run of entries that no anchor covers, as far as the limits allow. `None` if there is none.
    ///
    /// The anchor is durable before this returns, so no number is ever given twice. What waits for its
    /// commit is committed with it and belongs to the run.
    pub async fn close_batch(&self, limits: Limits) -> Result<Option<Signed<Anchor>>, JournalError> {
        self.ask(|reply| Request::CloseBatch { limits, reply }).await
    }

    /// Takes a receipt for an anchor of this journal. Only a receipt that the policy holds good moves the
    /// cursor; receipts may come in any order, and the cursor stands at the first that is missing.
    pub async fn acknowledge(&self, receipt: &Receipt, policy: &Policy) -> Result<Acknowledged, JournalError> {
        let (anchor, witnessed_s) = self.verified(receipt, policy)?;
        let proof = receipt.proof.clone();
        self.ask(|reply| Request::Acknowledge { anchor, proof, witnessed_s, reply }).await
    }

    /// Compares the ledger's last receipt for this gateway with this journal, and begins a new epoch if
    /// the ledger knows more (see the module's text). If the anchor is known, this is
    /// [`acknowledge`](Self::acknowledge).
    pub async fn notice_ledger(&self, receipt: &Receipt, policy: &Policy) -> Result<Noticed, JournalError> {
        let (anchor, witnessed_s) = self.verified(receipt, policy)?;
        let proof = receipt.proof.clone();
        self.ask(|reply| Request::Notice { anchor, proof, witnessed_s, reply }).await
    }

    /// The batches of the present epoch that have no receipt, oldest first.
    pub fn unreceipted(&self, limit: usize) -> Result<Vec<StoredBatch>, JournalError> {
        self.inner.reader.snapshot()?.unreceipted(limit)
    }

    /// A batch as it travels: the anchor and its entries.
    pub fn batch_bytes(&self, epoch: u32, batch: u64) -> Result<Vec<u8>, JournalError> {
        self.inner.reader.snapshot()?.batch_bytes(epoch, batch)
    }

    /// Where a reader stands. It may be a few entries behind after a crash.
    pub fn cursor(&self, name: &str) -> Option<Position> {
        self.inner.shared.cursors().get(name).copied()
    }

    /// Moves a reader's cursor. It becomes durable with the next commit and never causes one: after a
    /// crash a reader may see the last entries once more.
    pub fn set_cursor(&self, name: &str, position: Position) -> Result<(), JournalError> {
        let mut cursors = self.inner.shared.cursors();
        if !cursors.contains_key(name) && cursors.len() >= CURSORS_MAX {
            return Err(JournalError::TooManyCursors { max: CURSORS_MAX });
        }
        cursors.insert(name.into(), position);
        Ok(())
    }

    /// The message counters of all meters, by the names that they were given.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.inner.shared.counters().values().clone()
    }

    /// Moves a counter forward; back it never goes. It becomes durable with the next commit, which is the one
    /// of any entry appended after this, and never causes one: see [`has_unwritten_counters`](Self::has_unwritten_counters).
    pub fn advance_counter(&self, name: &str, value: u64) -> Result<(), JournalError> {
        if self.inner.shared.counters().advance(name, value) {
            return Ok(());
        }
        Err(JournalError::TooManyCounters { max: COUNTERS_MAX })
    }

    /// Whether counters moved that no commit has written; [`flush`](Self::flush) writes them.
    pub fn has_unwritten_counters(&self) -> bool {
        self.inner.shared.counters().has_unwritten()
    }

    /// For reading what is durable.
    pub fn reader(&self) -> Reader {
        self.inner.reader.clone()
    }

    /// Figures, of the file and of this process.
    pub fn stats(&self) -> Result<Stats, JournalError> {
        let mut stats = self.inner.reader.snapshot()?.stats()?;
        stats.commits = self.inner.shared.commits.load(Ordering::Relaxed);
        stats.written_bytes = self.inner.shared.traffic.written_bytes();
        stats.syncs = self.inner.shared.traffic.syncs();
        let refused = self.inner.shared.refused_receipt.lock();
        stats.refused_receipt = refused.unwrap_or_else(PoisonError::into_inner).clone();
        let not_taken = self.inner.shared.not_taken.lock();
        stats.not_taken = not_taken.unwrap_or_else(PoisonError::into_inner).clone();
        stats.latched = self.inner.shared.latched.get().cloned();
        Ok(stats)
    }

    /// Why the journal takes nothing more, if a write has failed.
    pub fn latched(&self) -> Option<JournalError> {
        self.inner.shared.latched.get().cloned().map(JournalError::Latched)
    }

    /// Commits what waits and stops the writer. Other handles get [`JournalError::Latched`] from then on.
    pub async fn close(&self) -> Result<Head, JournalError> {
        self.ask(|reply| Request::Close { reply }).await
    }

    async fn send_append(
        &self,
        occurrence: Occurrence,
        raw_frames: Vec<Vec<u8>>,
        stamp: Option<Stamp>,
        urgent: bool,
    ) -> Result<Ticket, JournalError> {
        let (reply, ticket) = oneshot::channel();
        let request = Request::Append { occurrence, raw_frames, stamp, urgent, reply };
        self.requests()?.send(request).await.map_err(|_| self.why_stopped())?;
        Ok(Ticket(ticket))
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Request,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.requests()?.send(request(reply)).await.map_err(|_| self.why_stopped())?;
        answer.await.unwrap_or_else(|_| Err(self.why_stopped()))
    }

    fn requests(&self) -> Result<&mpsc::Sender<Request>, JournalError> {
        match (self.latched(), &self.inner.requests) {
            (Some(latched), _) => Err(latched),
            (None, Some(requests)) => Ok(requests),
            (None, None) => Err(stopped()),
        }
    }

    /// Checks a receipt as every verifier of an export will: what it would refuse is not kept. What was refused
    /// last stands in [`Stats::refused_receipt`].
    fn verified(&self, receipt: &Receipt, policy: &Policy) -> Result<(Signed<Anchor>, Option<u64>), JournalError> {
        let checked = self.check_receipt(receipt, policy);
        let refused = match &checked {
            Err(error @ (JournalError::Receipt(_) | JournalError::Statement(_))) => Some(error.to_string()),
            _ => None,
        };
        *self.inner.shared.refused_receipt.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        checked
    }

    fn check_receipt(&self, receipt: &Receipt, policy: &Policy) -> Result<(Signed<Anchor>, Option<u64>), JournalError> {
        let keys = &self.inner.keys;
        let (anchor, key) = keys.verify::<Anchor>(&receipt.anchor).map_err(JournalError::Statement)?;
        let gateway: &Name = &anchor.statement().gateway;
        if *gateway != self.inner.reader.snapshot()?.gateway()? {
            return Err(JournalError::Receipt(plomb_seal::ReceiptError::OtherAnchor));
        }
        let attested = attest(&anchor, &key, Some(&receipt.proof), policy, keys.certificates());
        let dates = attested.map_err(plomb_seal::ReceiptError::from)?;
        Ok((anchor, dates.not_after_s))
    }

    fn why_stopped(&self) -> JournalError {
        self.latched().unwrap_or_else(stopped)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing more to say; its file is as the last commit left it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// A panic while the lock was held can't leave the map half-changed, so its poison means nothing.
    fn cursors(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Position>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> std::sync::MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopped() -> JournalError {
    JournalError::Latched("its writer has stopped".into())
}
