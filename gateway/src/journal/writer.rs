//! The writer thread: gives occurrences their place, signs them, commits them in groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use plomb_seal::{
    Absent, Anchor, Body, Chain, Hash, Malformed, Name, Reason, SIGNED_BYTES_MAX, Signed, Stamp,
    entry::{Draft, Link, Occurrence},
    reading::FRAMES_MAX,
};
use redb::{Database, Durability, WriteTransaction};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{
    Acknowledged, COMMIT_BYTES_MAX, COMMIT_ENTRIES_MAX, Durable, FRAME_BYTES_MAX, Head, JournalError, Limits, Noticed,
    Options, POINTS_MAX, POINTS_REPLAY_ENTRIES, Position, Shared,
    error::Fault,
    keyring::Keyring,
    mark::Mark,
    quota,
    tables::{COUNTERS, CURSORS, ENTRIES, FRAMES, META, META_STATE, POINTS, State, row_bytes},
};

/// How much of a refusal an absence quotes, in characters.
const ABSENT_DETAIL_CHARS_MAX: usize = 200;
/// What header and signature add to a payload at most, in bytes.
const ENVELOPE_BYTES_MAX: usize = 256;

pub(super) type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// What the writer is asked.
pub(super) enum Request {
    Append {
        occurrence: Occurrence,
        raw_frames: Vec<Vec<u8>>,
        stamp: Option<Stamp>,
        urgent: bool,
        reply: Reply<Durable>,
    },
    Flush {
        reply: Reply<Head>,
    },
    CloseBatch {
        limits: Limits,
        reply: Reply<Option<Signed<Anchor>>>,
    },
    Acknowledge {
        anchor: Signed<Anchor>,
        proof: String,
        witnessed_s: Option<u64>,
        reply: Reply<Acknowledged>,
    },
    Notice {
        anchor: Signed<Anchor>,
        proof: String,
        witnessed_s: Option<u64>,
        reply: Reply<Noticed>,
    },
    Close {
        reply: Reply<Head>,
    },
}

pub(super) type Clock = Box<dyn Fn() -> Stamp + Send>;

/// An entry that is sealed and not yet durable.
pub(super) struct Pending {
    pub(super) durable: Durable,
    bytes: Vec<u8>,
    frames: Vec<Vec<u8>>,
    reply: Option<Reply<Durable>>,
}

/// The one that writes.
pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) chain: Chain,
    /// As in the last durable commit.
    pub(super) state: State,
    pub(super) keys: Keyring,
    /// The epoch beside the file, if there is a file.
    pub(super) mark: Option<Mark>,
    pub(super) clock: Clock,
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
    pub(super) head: watch::Sender<Head>,
    pub(super) pending: Vec<Pending>,
    pub(super) pending_bytes: u64,
    /// The latest time that an entry was stamped with, durable or not.
    pub(super) clock_floor_ms: i64,
    /// Points whose row in the table is behind the chain.
    pub(super) stale_points: BTreeSet<Name>,
    /// The cursors as last written.
    pub(super) written_cursors: BTreeMap<String, Position>,
    /// Whether entries of earlier epochs wait to be re-entered.
    pub(super) orphans_wait: bool,
    /// Whether the group must be committed before the next wait.
    pub(super) commit_due: bool,
    /// Who waits for the end.
    pub(super) closing: Option<Reply<Head>>,
}

#[allow(clippy::large_enum_variant, reason = "it lives for one turn of the loop")]
enum Next {
    Request(Request),
    Due,
    Idle,
    Closed,
}

impl Writer {
    /// The whole life of the writer's thread.
    pub(super) fn run(self, requests: mpsc::Receiver<Request>) {
        match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime.block_on(self.serve(requests)),
            Err(error) => drop(self.latch(format!("its timer can't start: {error}"))),
        }
    }

    /// Serves until all handles are gone or one of them closes the journal.
    async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut deadline = None;
        // The quota may have been raised since the last run.
        let _ = self.tell_of_space();
        loop {
            match self.next(&mut requests, deadline).await {
                Next::Request(request) => self.handle(request),
                Next::Due => self.commit_due = true,
                // A failure is latched, and told to whoever asks next.
                Next::Idle => drop(self.reenter_some()),
                Next::Closed => {
                    let _ = self.flush();
                    return;
                }
            }
            if self.commit_due {
                self.take_what_waits(&mut requests);
                let _ = self.commit_pending();
            }
            if let Some(reply) = self.closing.take() {
                let closed = self.flush();
                self.latch("it was closed".into());
                let _ = reply.send(closed);
                return;
            }
            deadline = match (self.pending.is_empty(), deadline) {
                (true, _) => None,
                (false, None) => Some(Instant::now() + self.options.window),
                (false, running) => running,
            };
        }
    }

    async fn next(&self, requests: &mut mpsc::Receiver<Request>, deadline: Option<Instant>) -> Next {
        if self.orphans_wait && self.latched().is_none() {
            return match requests.try_recv() {
                Ok(request) => Next::Request(request),
                Err(mpsc::error::TryRecvError::Empty) => Next::Idle,
                Err(mpsc::error::TryRecvError::Disconnected) => Next::Closed,
            };
        }
        let received = match deadline {
            None => requests.recv().await,
            Some(deadline) => match timeout_at(deadline, requests.recv()).await {
                Ok(received) => received,
                Err(_) => return Next::Due,
            },
        };
        received.map_or(Next::Closed, Next::Request)
    }

    /// Lets appends that are in the queue already share the commit that comes.
    fn take_what_waits(&mut self, requests: &mut mpsc::Receiver<Request>) {
        while self.pending.len() < self.options.window_entries_max && self.pending_bytes < COMMIT_BYTES_MAX {
            match requests.try_recv() {
                Ok(request) => self.handle(request),
                Err(_) => return,
            }
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Append { occurrence, raw_frames, stamp, urgent, reply } => {
                match self.admit_or_tell(occurrence, raw_frames, stamp) {
                    Ok(pending) => {
                        self.take(Pending { reply: Some(reply), ..pending });
                        self.commit_due |= urgent
                            || self.pending.len() >= self.options.window_entries_max
                            || self.pending_bytes >= COMMIT_BYTES_MAX;
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Request::Flush { reply } => drop(reply.send(self.flush())),
            Request::CloseBatch { limits, reply } => drop(reply.send(self.close_batch(limits))),
            Request::Acknowledge { anchor, proof, witnessed_s, reply } => {
                drop(reply.send(self.acknowledge(&anchor, &proof, witnessed_s)));
            }
            Request::Notice { anchor, proof, witnessed_s, reply } => {
                drop(reply.send(self.notice(&anchor, &proof, witnessed_s)));
            }
            Request::Close { reply } => self.closing = Some(reply),
        }
    }

    /// As [`admit`](Self::admit). What can't become an entry is told: a record gives way to an absence that says why, and
    /// each refusal is counted, as those who append may not wait for the answer.
    fn admit_or_tell(
        &mut self,
        occurrence: Occurrence,
        raw_frames: Vec<Vec<u8>>,
        stamp: Option<Stamp>,
    ) -> Result<Pending, JournalError> {
        let point = match &occurrence {
            Occurrence::Record(point, _) => Some(point.clone()),
            Occurrence::Absent(..) | Occurrence::Event(_) => None,
        };
        let stamp = stamp.unwrap_or_else(|| (self.clock)());
        let error = match self.admit(occurrence, raw_frames, stamp) {
            Err(error) if self.latched().is_none() => error,
            other => return other,
        };
        self.shared.note_not_taken(point.as_ref(), &error);
        if let (Some(point), JournalError::Frames(_) | JournalError::Unfit(_)) = (point, &error) {
            let detail: String = format!("it was read, and {error}").chars().take(ABSENT_DETAIL_CHARS_MAX).collect();
            let absent = Absent { due_ms: stamp.unix_ms, reason: Reason::Malformed, detail };
            if let Ok(told) = self.admit(Occurrence::Absent(point, absent), Vec::new(), stamp) {
                self.take(told);
            }
        }
        Err(error)
    }

    /// Checks all that could be wrong with an occurrence, then seals it: the chain moves only for what a
    /// verifier will read and the quota holds.
    fn admit(
        &mut self,
        occurrence: Occurrence,
        raw_frames: Vec<Vec<u8>>,
        stamp: Stamp,
    ) -> Result<Pending, JournalError> {
        if let Some(error) = self.latched() {
            return Err(error);
        }
        check_frames(&occurrence, &raw_frames)?;
        let raw_frames = if self.options.raw_frames { raw_frames } else { Vec::new() };
        let draft = self.check_fit(occurrence, stamp)?;
        let frames: u64 = raw_frames.iter().map(|frame| row_bytes(frame.len())).sum();
        let need_bytes = row_bytes(draft.payload_bytes().saturating_add(ENVELOPE_BYTES_MAX)).saturating_add(frames);
        self.make_room(matches!(draft.entry().body, Body::Event(_)), need_bytes)?;
        Ok(self.seal_draft(draft, raw_frames))
    }

    /// Seals without asking: for what the journal itself has to say.
    pub(super) fn seal(&mut self, occurrence: Occurrence, stamp: Stamp, frames: Vec<Vec<u8>>) -> Pending {
        self.seal_draft(self.chain.draft(occurrence, stamp), frames)
    }

    fn seal_draft(&mut self, draft: Draft, frames: Vec<Vec<u8>>) -> Pending {
        self.clock_floor_ms = self.clock_floor_ms.max(draft.entry().stamp.unix_ms);
        let signed = self.chain.seal_draft(draft, self.keys.key());
        let entry = signed.statement();
        if let Some(link) = entry.body.link().filter(|link| !self.stale_points.contains(&link.point)) {
            self.stale_points.insert(link.point.clone());
        }
        let durable = Durable { epoch: entry.epoch, seq: entry.seq, hash: signed.hash() };
        Pending { durable, bytes: signed.into_bytes(), frames, reply: None }
    }

    /// Puts a sealed entry into the group.
    pub(super) fn take(&mut self, pending: Pending) {
        let frames: u64 = pending.frames.iter().map(|frame| row_bytes(frame.len())).sum();
        self.pending_bytes = self.pending_bytes.saturating_add(row_bytes(pending.bytes.len())).saturating_add(frames);
        self.pending.push(pending);
    }

    /// What can't be read back must not get a number: it would end the chain for every verifier. The bytes that
    /// are checked here are the ones that are signed.
    fn check_fit(&self, occurrence: Occurrence, stamp: Stamp) -> Result<Draft, JournalError> {
        let draft = self.chain.draft(occurrence, stamp);
        if let Some(Link { point, .. }) = draft.entry().body.link() {
            let points = self.chain.points();
            if points.len() >= POINTS_MAX && !points.contains_key(point) {
                return Err(JournalError::TooManyPoints { max: POINTS_MAX });
            }
        }
        let (max, found) = (SIGNED_BYTES_MAX.saturating_sub(ENVELOPE_BYTES_MAX), draft.payload_bytes());
        if found > max {
            return Err(JournalError::Unfit(Malformed::TooLarge { what: "an entry", max, found }));
        }
        draft.check().map_err(JournalError::Unfit)?;
        Ok(draft)
    }

    pub(super) fn flush(&mut self) -> Result<Head, JournalError> {
        self.commit_pending()?;
        Ok(self.durable_head())
    }

    /// Commits the group, if there is anything to write.
    pub(super) fn commit_pending(&mut self) -> Result<(), JournalError> {
        self.commit_due = false;
        let unwritten = *self.shared.cursors() != self.written_cursors || self.shared.counters().has_unwritten();
        if self.pending.is_empty() && !unwritten {
            return self.latched().map_or(Ok(()), Err);
        }
        self.commit(|_, _| Ok(()))
    }

    /// Commits the group, and what `also` writes, in one transaction. After a failure the journal is latched.
    pub(super) fn commit<T>(
        &mut self,
        also: impl FnOnce(&WriteTransaction, &mut State) -> Result<T, Fault>,
    ) -> Result<T, JournalError> {
        self.commit_due = false;
        let outcome = match self.latched() {
            Some(latched) => Err(latched),
            None => self.transact(also).map_err(|Fault(why)| self.latch(why)),
        };
        let group = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        match outcome {
            Ok((value, state)) => {
                if state.points_seq != self.state.points_seq || state.epoch != self.state.epoch {
                    self.stale_points.clear();
                }
                self.state = state;
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.head.send_replace(self.durable_head());
                for Pending { durable, reply, .. } in group {
                    let _ = reply.map(|reply| reply.send(Ok(durable)));
                }
                Ok(value)
            }
            Err(error) => {
                for reply in group.into_iter().filter_map(|pending| pending.reply) {
                    let _ = reply.send(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    fn transact<T>(
        &mut self,
        also: impl FnOnce(&WriteTransaction, &mut State) -> Result<T, Fault>,
    ) -> Result<(T, State), Fault> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_two_phase_commit(self.options.two_phase_commit);
        let mut next = self.state.clone();
        self.write_group(&transaction, &mut next)?;
        let value = also(&transaction, &mut next)?;
        let over = next.stored_bytes > quota::prune_above(self.options.quota_bytes);
        if over || next.next_seq.saturating_sub(next.points_seq) >= POINTS_REPLAY_ENTRIES {
            self.write_points(&transaction, &mut next)?;
        }
        if over {
            quota::prune(&transaction, &mut next, self.options.quota_bytes)?;
        }
        let cursors = self.shared.cursors().clone();
        if cursors != self.written_cursors {
            let mut table = transaction.open_table(CURSORS)?;
            for (name, position) in &cursors {
                table.insert(name.as_str(), (position.epoch, position.seq))?;
            }
        }
        let counters = self.shared.counters().take_unwritten();
        if !counters.is_empty() {
            let mut table = transaction.open_table(COUNTERS)?;
            for (name, value) in &counters {
                table.insert(name.as_str(), value)?;
            }
        }
        transaction.open_table(META)?.insert(META_STATE, next.to_bytes().as_slice())?;
        transaction.commit()?;
        self.written_cursors = cursors;
        Ok((value, next))
    }

    fn write_group(&self, transaction: &WriteTransaction, next: &mut State) -> Result<(), Fault> {
        next.epoch = self.chain.epoch();
        next.next_seq = self.chain.next_seq();
        next.head = self.chain.head();
        next.clock_floor_ms = self.clock_floor_ms;
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut entries = transaction.open_table(ENTRIES)?;
        let mut frames = transaction.open_table(FRAMES)?;
        for pending in &self.pending {
            let Durable { epoch, seq, .. } = pending.durable;
            entries.insert((epoch, seq), pending.bytes.as_slice())?;
            next.add(pending.bytes.len());
            next.entries = next.entries.saturating_add(1);
            for (index, frame) in (0..=u8::MAX).zip(&pending.frames) {
                frames.insert((epoch, seq, index), frame.as_slice())?;
                next.add(frame.len());
                next.frame_bytes = next.frame_bytes.saturating_add(row_bytes(frame.len()));
            }
        }
        Ok(())
    }

    fn write_points(&self, transaction: &WriteTransaction, next: &mut State) -> Result<(), Fault> {
        let mut table = transaction.open_table(POINTS)?;
        for point in &self.stale_points {
            if let Some((seq, hash)) = self.chain.points().get(point) {
                table.insert(point.as_str(), (*seq, hash.0))?;
            }
        }
        next.points_seq = next.next_seq;
        Ok(())
    }

    pub(super) fn now(&self) -> Stamp {
        (self.clock)()
    }

    pub(super) fn latched(&self) -> Option<JournalError> {
        self.shared.latched.get().cloned().map(JournalError::Latched)
    }

    pub(super) fn latch(&self, why: String) -> JournalError {
        JournalError::Latched(self.shared.latched.get_or_init(|| why).clone())
    }

    fn durable_head(&self) -> Head {
        Head { epoch: self.state.epoch, next_seq: self.state.next_seq, hash: self.state.head }
    }
}

/// Frames that come with a record must be those that it names; others can't be checked by anyone later.
fn check_frames(occurrence: &Occurrence, raw_frames: &[Vec<u8>]) -> Result<(), JournalError> {
    if raw_frames.len() > FRAMES_MAX {
        return Err(JournalError::Frames("more than one entry may have"));
    }
    if raw_frames.iter().any(|frame| frame.len() > FRAME_BYTES_MAX) {
        return Err(JournalError::Frames("one is longer than 4096 bytes"));
    }
    if let Occurrence::Record(_, record) = occurrence
        && raw_frames.iter().any(|frame| !record.frames.contains(&Hash::of(frame)))
    {
        return Err(JournalError::Frames("the record does not name the SHA-256 of one of them"));
    }
    Ok(())
}

const _: () = assert!(COMMIT_ENTRIES_MAX > 0 && FRAMES_MAX <= u8::MAX as usize);
