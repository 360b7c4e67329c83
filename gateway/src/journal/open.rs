//! Opening: the file, its tail, and what to do when it is damaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, atomic::AtomicU64},
};

use plomb_seal::{Anchor, Chain, Entry, Hash, KeyId, Malformed, Name, PublicKey, Signed, Stamp};
use redb::{Builder, Database, DatabaseError, StorageBackend, StorageError, backends::FileBackend};
use tokio::sync::{mpsc, watch};

use super::{
    COMMIT_ENTRIES_MAX, Head, Inner, Journal, JournalError, Options, Position, QUEUE_REQUESTS_MAX, QUOTA_BYTES_MIN,
    Shared,
    backend::{Counted, Overlay, Traffic},
    counters::Counters,
    error::Fault,
    keyring::Keyring,
    mark::{DAMAGED, Mark, newest_damaged},
    reader::{Reader, Snapshot, Source},
    tables::{
        ANCHORS, COUNTERS, CURSORS, ENTRIES, FORMAT, FRAMES, META, META_FORMAT, META_STATE, ORPHANS, POINTS, RECEIPTS,
        State,
    },
    writer::{Clock, Writer},
};

/// So many entries at the end are checked on opening, at least.
const TAIL_ENTRIES_MIN: u64 = 64;
/// What a reader of a file alone may keep in memory, in bytes.
const READER_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Who may read a new journal: its owner and its group. When somebody is at home shows in it.
pub(super) const FILE_MODE: u32 = 0o640;

/// What was found on opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Whether the journal is new.
    pub created: bool,
    /// The end of the chain.
    pub head: Head,
    /// How often the file was opened for writing, this time included.
    pub openings: u64,
    /// The latest time that an entry was stamped with, in Unix milliseconds: the clock can't be before it.
    pub clock_floor_ms: Option<i64>,
    /// How many entries of this epoch have no receipt.
    pub unreceipted_entries: u64,
    /// How many entries at the end were checked.
    pub checked_entries: u64,
    /// The key that signed before, if the key at hand is another: a new epoch has begun with it.
    pub key_before: Option<KeyId>,
}

/// What is known of a journal that is not there any more.
#[derive(Debug, Clone)]
struct Lost {
    /// Where its file is now.
    moved_to: Option<String>,
    why: String,
}

/// Where a journal's file is, for what stands beside it.
struct Beside {
    mark: Mark,
    /// The latest epoch that was begun there.
    latest: Option<u32>,
    lost: Option<Lost>,
}

impl Journal {
    /// Opens the journal in a file, or begins one if there is none. The tail is checked; a file that does
    /// not agree with itself is refused as [`JournalError::Damaged`]. A new file is closed to all but its
    /// owner and its group.
    ///
    /// `clock` is asked by the writer's thread for the time of each entry.
    pub fn open(
        path: &Path,
        gateway: Name,
        keys: impl Into<Keyring>,
        options: Options,
        clock: impl Fn() -> Stamp + Send + 'static,
    ) -> Result<(Self, Recovered), JournalError> {
        Self::open_file(path, gateway, keys.into(), options, Box::new(clock), None)
    }

    fn open_file(
        path: &Path,
        gateway: Name,
        keys: Keyring,
        options: Options,
        clock: Clock,
        lost: Option<Lost>,
    ) -> Result<(Self, Recovered), JournalError> {
        let mark = Mark::of(path);
        let latest = mark.read();
        // A start that was broken off after it had moved a damaged journal aside left this one to say so.
        let lost = lost.or_else(|| {
            let moved_to = newest_damaged(path);
            let why = moved_to.as_ref().map(|_| "a start that found it damaged did not come to its end".to_string());
            (moved_to.is_some() || latest.is_some())
                .then(|| Lost { moved_to, why: why.unwrap_or("there is a mark of it, and no journal".into()) })
        });
        let existed = path.exists();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
        let file = file.map_err(|error| JournalError::Open(format!("{}: {error}", path.display())))?;
        if !existed {
            sync_folder(path).map_err(|error| JournalError::Open(format!("{}: {error}", path.display())))?;
        }
        let backend = FileBackend::new(file).map_err(open_error)?;
        Self::open_on(backend, gateway, keys, options, clock, Some(Beside { mark, latest, lost }))
    }

    /// Opens the journal in any storage.
    pub fn open_with_backend(
        backend: impl StorageBackend,
        gateway: Name,
        keys: impl Into<Keyring>,
        options: Options,
        clock: impl Fn() -> Stamp + Send + 'static,
    ) -> Result<(Self, Recovered), JournalError> {
        Self::open_on(backend, gateway, keys.into(), options, Box::new(clock), None)
    }

    fn open_on(
        backend: impl StorageBackend,
        gateway: Name,
        keys: Keyring,
        options: Options,
        clock: Clock,
        beside: Option<Beside>,
    ) -> Result<(Self, Recovered), JournalError> {
        check_options(&options)?;
        let traffic = Arc::new(Traffic::default());
        let database = Builder::new()
            .set_cache_size(options.cache_bytes)
            .set_check_integrity_on_open(options.check_on_open)
            .create_with_backend(Counted::new(backend, traffic.clone()))
            .map_err(open_error)?;
        let database = Arc::new(database);
        let reader = Reader::new(Source::Live(database.clone()));
        let created = reader.snapshot()?.is_new()?;
        let (state, tail) = if created {
            let latest = beside.as_ref().and_then(|beside| beside.latest);
            let first = latest.map_or(Some(options.first_epoch), |latest| latest.checked_add(1));
            let first = first.ok_or(JournalError::EpochsSpent(u32::MAX))?;
            (State::new(gateway.clone(), first), Tail::default())
        } else {
            let snapshot = reader.snapshot()?;
            let state = snapshot.state()?;
            if state.gateway != gateway {
                return Err(JournalError::OtherGateway { expected: gateway, found: state.gateway });
            }
            let tail = check_tail(&snapshot, &state, &keys)?;
            (state, tail)
        };
        let state = begin(&database, state, created).map_err(|Fault(why)| JournalError::Open(why))?;
        let (checked_entries, openings, signed_by) = (tail.checked, state.openings, tail.key);
        let (mark, latest, lost) =
            beside.map_or((None, None, None), |beside| (Some(beside.mark), beside.latest, beside.lost));
        let (mut writer, head) = writer(database, traffic, state, tail, keys, options, clock, mark);
        writer.raise_mark(writer.state.epoch)?;
        // Nothing is in it: a start that was broken off before its first entry counts as this one.
        let follows = writer.state.next_seq == 0 && (created || writer.state.epoch > options.first_epoch);
        if let Some(lost) = lost.filter(|_| follows) {
            let before = latest.map(|latest| latest.min(writer.state.epoch.saturating_sub(1)));
            writer.enter_lost(lost.moved_to, &lost.why, before)?;
        }
        let key_before = signed_by.map(|key| key.id()).filter(|id| *id != writer.keys.key().public().id());
        if let Some(before) = key_before {
            writer.change_key(before)?;
        }
        let state = &writer.state;
        let recovered = Recovered {
            created,
            head: Head { epoch: state.epoch, next_seq: state.next_seq, hash: state.head },
            openings,
            clock_floor_ms: (state.clock_floor_ms != i64::MIN).then_some(state.clock_floor_ms),
            unreceipted_entries: state.next_seq.saturating_sub(state.acked_seq),
            checked_entries,
            key_before,
        };
        Ok((start(writer, reader, head)?, recovered))
    }

    /// Opens a journal's file for reading only. Nothing in it is changed: a file that was not closed cleanly
    /// is repaired in memory.
    ///
    /// Refused while a plombd has the file open.
    pub fn open_read_only(path: &Path) -> Result<Reader, JournalError> {
        let open = || File::open(path).map_err(|error| JournalError::Open(format!("{}: {error}", path.display())));
        if open()?.metadata().is_ok_and(|file| file.len() == 0) {
            // A plombd that starts for the first time makes the file before it writes to it.
            return Err(JournalError::Open(format!("{}: nothing is in it yet", path.display())));
        }
        let backend = FileBackend::new(open()?).map_err(open_error)?;
        let reader = match Builder::new().set_cache_size(READER_CACHE_BYTES).open_read_only_with_backend(backend) {
            Ok(database) => Reader::new(Source::File(database)),
            Err(DatabaseError::RepairAborted) => {
                let backend = Overlay::new(FileBackend::new(open()?).map_err(open_error)?)
                    .map_err(|error| JournalError::Unclean(error.to_string()))?;
                let database = Builder::new().set_cache_size(READER_CACHE_BYTES).create_with_backend(backend);
                Reader::new(Source::Repaired(database.map_err(open_error)?))
            }
            Err(error) => return Err(open_error(error)),
        };
        reader.snapshot()?.state()?;
        Ok(reader)
    }

    /// For a journal that [`open`](Self::open) called damaged: moves the file aside (it is never deleted, and never
    /// opened again here), begins a new one in the epoch after the latest that the mark beside it names, and
    /// enters the event `journal-damaged`. Gives the path of the old file too.
    pub fn open_replacing_damaged(
        path: &Path,
        gateway: Name,
        keys: impl Into<Keyring>,
        options: Options,
        clock: impl Fn() -> Stamp + Send + 'static,
        why: &JournalError,
    ) -> Result<(Self, Recovered, PathBuf), JournalError> {
        let aside = set_aside(path, clock().unix_ms)?;
        let moved_to = aside.file_name().map(|name| name.to_string_lossy().into_owned());
        let lost = Lost { moved_to, why: why.to_string() };
        let (journal, recovered) = Self::open_file(path, gateway, keys.into(), options, Box::new(clock), Some(lost))?;
        Ok((journal, recovered, aside))
    }
}

/// Moves a damaged journal to `<its name>.damaged-<time>`. Gives the new path.
pub fn set_aside(path: &Path, now_unix_ms: i64) -> Result<PathBuf, JournalError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{DAMAGED}{now_unix_ms}"));
    let aside = PathBuf::from(name);
    let moved = if aside.exists() { Err(io::ErrorKind::AlreadyExists.into()) } else { std::fs::rename(path, &aside) };
    moved.and_then(|()| sync_folder(&aside)).map_err(|error| {
        JournalError::Open(format!("{} can't be moved to {}: {error}", path.display(), aside.display()))
    })?;
    Ok(aside)
}

/// What the check of the tail gave.
#[derive(Default)]
struct Tail {
    points: BTreeMap<Name, (u64, Hash)>,
    /// Points whose row is behind.
    stale: BTreeSet<Name>,
    orphans_wait: bool,
    cursors: BTreeMap<String, Position>,
    counters: BTreeMap<String, u64>,
    checked: u64,
    /// The key that signed this epoch, if it has entries.
    key: Option<PublicKey>,
}

#[allow(clippy::too_many_arguments, reason = "called once, with everything that a writer is made from")]
fn writer(
    database: Arc<Database>,
    traffic: Arc<Traffic>,
    state: State,
    tail: Tail,
    keys: Keyring,
    options: Options,
    clock: Clock,
    mark: Option<Mark>,
) -> (Writer, watch::Receiver<Head>) {
    let head = Head { epoch: state.epoch, next_seq: state.next_seq, hash: state.head };
    let (head_sender, head) = watch::channel(head);
    let shared = Arc::new(Shared {
        latched: OnceLock::new(),
        cursors: Mutex::new(tail.cursors.clone()),
        counters: Mutex::new(Counters::new(tail.counters)),
        commits: AtomicU64::new(0),
        traffic,
        refused_receipt: Mutex::new(None),
        not_taken: Mutex::default(),
    });
    let writer = Writer {
        chain: Chain::resume(state.gateway.clone(), state.epoch, state.next_seq, state.head, tail.points),
        database,
        clock_floor_ms: state.clock_floor_ms,
        state,
        keys,
        mark,
        clock,
        options,
        shared,
        head: head_sender,
        pending: Vec::new(),
        pending_bytes: 0,
        stale_points: tail.stale,
        written_cursors: tail.cursors,
        orphans_wait: tail.orphans_wait,
        commit_due: false,
        closing: None,
    };
    (writer, head)
}

/// Lets the writer run, and gives the handle to it.
fn start(writer: Writer, reader: Reader, head: watch::Receiver<Head>) -> Result<Journal, JournalError> {
    let (shared, keys) = (writer.shared.clone(), writer.keys.clone());
    let (requests, queue) = mpsc::channel(QUEUE_REQUESTS_MAX);
    let failed = |error: io::Error| JournalError::Open(format!("the writer can't start: {error}"));
    let thread = std::thread::Builder::new().name("journal".into());
    let thread = thread.spawn(move || writer.run(queue)).map_err(failed)?;
    let inner = Inner { requests: Some(requests), thread: Some(thread), shared, reader, head, keys };
    Ok(Journal { inner: Arc::new(inner) })
}

/// The first commit of this run: the tables, if they are new, and the count of openings.
fn begin(database: &Database, mut state: State, created: bool) -> Result<State, Fault> {
    state.openings = state.openings.saturating_add(1);
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut meta = transaction.open_table(META)?;
        if created {
            meta.insert(META_FORMAT, FORMAT.to_be_bytes().as_slice())?;
            transaction.open_table(ENTRIES)?;
            transaction.open_table(FRAMES)?;
            transaction.open_table(ANCHORS)?;
            transaction.open_table(RECEIPTS)?;
            transaction.open_table(POINTS)?;
            transaction.open_table(CURSORS)?;
            transaction.open_table(COUNTERS)?;
            transaction.open_table(ORPHANS)?;
        }
        meta.insert(META_STATE, state.to_bytes().as_slice())?;
    }
    transaction.commit()?;
    Ok(state)
}

/// Replays the end of the chain against everything else that the file says of it.
fn check_tail(snapshot: &Snapshot, state: &State, keys: &Keyring) -> Result<Tail, JournalError> {
    let mut points = snapshot.written_points()?;
    let mut stale = BTreeSet::new();
    let from = state.points_seq.min(state.next_seq.saturating_sub(TAIL_ENTRIES_MIN));
    let entries = snapshot.entries(state.epoch, from, usize::MAX)?;
    let checked = entries.len() as u64;
    let must_start = state.points_seq.min(state.next_seq.saturating_sub(1));
    let first = entries.first().map(|entry| entry.seq);
    if state.next_seq > 0 && first.is_none_or(|first| first > must_start) {
        return Err(damaged(format!("entry {must_start} is missing")));
    }
    let (mut expected, mut before, mut key) = (first.unwrap_or(0), None, None);
    for stored in entries {
        let (signed, signed_by) = verified::<Entry>(&stored.bytes, keys, || format!("entry {}", stored.seq))?;
        if *key.get_or_insert(signed_by) != signed_by {
            return Err(damaged(format!("entry {expected} is signed by another key than the one before it")));
        }
        let entry = signed.statement();
        let continues = before.is_none_or(|before| before == entry.previous);
        if stored.seq != expected || entry.seq != expected || entry.epoch != state.epoch || !continues {
            return Err(damaged(format!("entry {expected} does not continue the chain")));
        }
        if let Some(link) = entry.body.link().filter(|_| entry.seq >= state.points_seq) {
            let known = points.insert(link.point.clone(), (link.seq.saturating_add(1), signed.hash()));
            if known.unwrap_or((0, Hash::ZERO)) != (link.seq, link.previous) {
                return Err(damaged(format!("entry {expected} does not continue point {}", link.point)));
            }
            stale.insert(link.point.clone());
        }
        before = Some(signed.hash());
        expected = expected.saturating_add(1);
    }
    if state.next_seq > 0 && (expected != state.next_seq || before != Some(state.head)) {
        return Err(damaged(format!("the chain ends at {expected}, not at {}", state.next_seq)));
    }
    check_later_epochs(snapshot, state)?;
    check_anchors(snapshot, state, keys)?;
    let orphans_wait = snapshot.orphans()?.values().any(|(_, end, next)| next < end);
    let cursors = snapshot.cursors()?.into_iter().collect();
    let counters = snapshot.counters()?;
    Ok(Tail { points, stale, orphans_wait, cursors, counters, checked, key })
}

fn check_later_epochs(snapshot: &Snapshot, state: &State) -> Result<(), JournalError> {
    let beyond = snapshot.entries_from(Position { epoch: state.epoch, seq: state.next_seq }, 1)?;
    match beyond.first() {
        Some(entry) => Err(damaged(format!("entry {} of epoch {} is beyond the end", entry.seq, entry.epoch))),
        None => Ok(()),
    }
}

/// The last anchor and the last receipt must be what the state row says of them.
fn check_anchors(snapshot: &Snapshot, state: &State, keys: &Keyring) -> Result<(), JournalError> {
    for (number, end_seq, must_have_receipt) in
        [(state.next_batch, state.anchored_seq, false), (state.acked_batch, state.acked_seq, true)]
    {
        let Some(batch) = number.checked_sub(1) else {
            continue;
        };
        let missing = || damaged(format!("anchor {batch} is missing"));
        let stored = snapshot.batch(state.epoch, batch)?.ok_or_else(missing)?;
        let (anchor, _) = verified::<Anchor>(&stored.anchor, keys, || format!("anchor {batch}"))?;
        let claims = anchor.statement();
        if (claims.epoch, claims.batch, claims.last_seq().saturating_add(1)) != (state.epoch, batch, end_seq) {
            return Err(damaged(format!("anchor {batch} does not cover what it should")));
        }
        if !must_have_receipt && anchor.hash() != state.last_anchor {
            return Err(damaged(format!("anchor {batch} is not the one that was last")));
        }
        if must_have_receipt && stored.proof.is_none() {
            return Err(damaged(format!("the receipt of batch {batch} is missing")));
        }
        let last = snapshot.entry(state.epoch, claims.last_seq())?;
        let same = last.is_some_and(|entry| plomb_seal::tree::leaf_hash(&entry.bytes) == claims.head);
        if !same {
            return Err(damaged(format!("entry {} is not the head of anchor {batch}", claims.last_seq())));
        }
    }
    Ok(())
}

fn verified<T: plomb_seal::Statement>(
    bytes: &[u8],
    keys: &Keyring,
    what: impl Fn() -> String,
) -> Result<(Signed<T>, PublicKey), JournalError> {
    keys.verify(bytes).map_err(|error| match error {
        // Nothing is damaged: the key is none of those at hand.
        Malformed::OtherKey { expected, found } => JournalError::OtherKey { ours: expected, found },
        error => damaged(format!("{}: {error}", what())),
    })
}

fn damaged(what: String) -> JournalError {
    JournalError::Damaged(what)
}

fn open_error(error: DatabaseError) -> JournalError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => JournalError::InUse,
        DatabaseError::Storage(StorageError::Io(error))
            if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            JournalError::Open(error.to_string())
        }
        error => JournalError::Damaged(error.to_string()),
    }
}

fn check_options(options: &Options) -> Result<(), JournalError> {
    if !(1..=COMMIT_ENTRIES_MAX).contains(&options.window_entries_max) {
        let problem = format!("{} is not in 1..={COMMIT_ENTRIES_MAX}", options.window_entries_max);
        return Err(JournalError::Option { name: "window_entries_max", problem });
    }
    if options.quota_bytes < QUOTA_BYTES_MIN {
        let problem = format!("{} bytes is less than {QUOTA_BYTES_MIN}", options.quota_bytes);
        return Err(JournalError::Option { name: "quota_bytes", problem });
    }
    Ok(())
}

/// A name in a folder is durable only when the folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
