//! The desk in the real world: a task beside the lines and the uplink.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use plomb_seal::{Event, Hash, Stamp};
use tokio::{
    select,
    sync::{Mutex, mpsc, watch},
    time::sleep,
};
use tracing::warn;

use super::{
    APPLIED, DOSSIER, Desk, FOLDER, Mail, PREVIOUS, Post,
    begin::hash_of,
    post::Ledger,
    sealing::write_copy,
    world::{Along, Place, Standing, World},
};
use crate::{
    ask::deed::{Deed, Done, Instruction, Undone},
    batcher::Anchoring,
    clock::SystemClock,
    config::Config,
    daemon::Fatal,
    journal::{Head, Journal, JournalError, Rows},
    keys::read_file,
    lines::{Haste, Switchboard},
    status::{Board, Orders},
    works::Works,
};

/// How often time is looked at: files that were edited, orders that nobody sends any more.
pub const LOOK_PERIOD: Duration = Duration::from_secs(30);
/// Deeds that ended and wait to be taken in.
const DONE_MAX: usize = 64;

/// What came of a deed.
type Came = (Hash, Result<Done, Undone>);

/// The real world.
pub struct Live {
    /// The parts that a configuration governs.
    pub works: Arc<Mutex<Works>>,
    /// The journal.
    pub journal: Journal,
    /// Where states are written down.
    pub board: Arc<Board>,
    /// The clock.
    pub clock: Arc<SystemClock>,
    /// The ways to the lines.
    pub switchboard: Arc<Switchboard>,
    /// To and from the uplink.
    pub post: Arc<Post>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The founding file.
    pub founding: PathBuf,
    /// To have what was entered anchored at once.
    pub anchoring: Arc<Anchoring>,
    started: Instant,
    /// The hub's words when the way to it changed last.
    words_before: u64,
    done: mpsc::Sender<Came>,
    came: Option<mpsc::Receiver<Came>>,
}

impl Live {
    /// The world of a daemon.
    pub fn new(
        works: Arc<Mutex<Works>>,
        (journal, board, clock): (Journal, Arc<Board>, Arc<SystemClock>),
        switchboard: Arc<Switchboard>,
        (post, anchoring): (Arc<Post>, Arc<Anchoring>),
        (state_dir, founding): (&Path, &Path),
    ) -> Self {
        let (done, came) = mpsc::channel(DONE_MAX);
        let (state_dir, founding) = (state_dir.to_path_buf(), founding.to_path_buf());
        let (started, words_before) = (Instant::now(), 0);
        Self {
            works,
            journal,
            board,
            clock,
            switchboard,
            post,
            state_dir,
            founding,
            anchoring,
            started,
            words_before,
            done,
            came: Some(came),
        }
    }

    fn folder(&self) -> PathBuf {
        self.state_dir.join(FOLDER)
    }

    /// The files that may have been edited, with the hashes that they should have and have.
    fn files(&self, (founding, applied): (String, String)) -> Vec<(String, String, String)> {
        let copy = self.folder().join(APPLIED);
        let files = [(&self.founding, founding), (&copy, applied)];
        let found = files.into_iter().filter_map(|(path, expected)| {
            // One that is gone was not edited.
            let text = read_file(path).ok()?;
            Some((path.display().to_string(), expected, hash_of(&text)))
        });
        found.collect()
    }
}

impl World for Live {
    type Halt = Fatal;

    fn now(&self) -> Stamp {
        self.clock.stamp()
    }

    fn running_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn keep(&mut self, rows: Rows) -> Result<(), Fatal> {
        Ok(self.journal.keep(rows).await?)
    }

    async fn conclude(&mut self, event: Event, along: Along) -> Result<Place, Fatal> {
        let shared = Arc::new(std::sync::Mutex::new(Some(along)));
        let taken = shared.clone();
        let take = move || taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let made = move |place| take().map(|along| along(place)).unwrap_or_default();
        let inner = made.clone();
        let entered = self.journal.conclude(event, move |at| inner(Place { epoch: at.epoch, seq: at.seq })).await;
        match entered {
            Ok(at) => Ok(Place { epoch: at.epoch, seq: at.seq }),
            // What happened happened, and must be said: it names the last entry that is there.
            Err(JournalError::Full { .. }) => {
                let Head { epoch, next_seq, .. } = *self.journal.head().borrow();
                let place = Place { epoch, seq: next_seq.saturating_sub(1) };
                self.journal.keep(made(place)).await?;
                Ok(place)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn running(&self) -> Config {
        self.works.lock().await.config().clone()
    }

    async fn check(&mut self, config: &Config) -> Result<bool, String> {
        Ok(self.works.lock().await.ready(config.clone())?.changes_hub())
    }

    async fn apply(&mut self, config: Config, haste: Haste) -> Result<Result<(), String>, Fatal> {
        let mut works = self.works.lock().await;
        let ready = match works.ready(config) {
            Ok(ready) => ready,
            Err(what) => return Ok(Err(what)),
        };
        if ready.changes_hub() {
            self.words_before = self.post.ledger().words;
        }
        match works.apply(ready, haste).await {
            Ok(()) => Ok(Ok(())),
            Err(Fatal::Config(what)) => Ok(Err(what)),
            Err(fatal) => Err(fatal),
        }
    }

    fn standing(&self) -> Standing {
        let words = self.post.ledger().words;
        let board = self.board.update();
        Standing {
            has_hub: board.hub_configured,
            connected: board.hub.connected,
            spoke: words > self.words_before,
            reading: board.points.values().any(|point| point.answered > 0 && point.failures_in_a_row == 0),
        }
    }

    fn unread(&self) -> Vec<String> {
        let board = self.board.update();
        // Who sends by itself, by air or by push, may take its interval to be heard: only who is asked is waited for.
        let unread = board.points.values().filter(|point| point.answered == 0).map(|point| point.point.clone());
        let is_asked = |point: &String| {
            self.switchboard.of_point(point).is_some_and(|(_, ways)| !ways.bus.protocol.is_listened_to())
        };
        unread.filter(is_asked).collect()
    }

    fn ledger(&self) -> Ledger {
        self.post.ledger()
    }

    fn epoch(&self) -> u32 {
        self.journal.head().borrow().epoch
    }

    fn anchor(&self) {
        self.anchoring.now.notify_one();
    }

    fn is_receipted(&self, place: Place) -> bool {
        let stats = self.journal.stats();
        stats.is_ok_and(|stats| stats.epoch == place.epoch && stats.acked_seq > place.seq)
    }

    fn begin(&mut self, order: Hash, point: &str, instruction: Instruction) -> Result<(), (&'static str, String)> {
        let Some((point, ways)) = self.switchboard.of_point(point) else {
            return Err(("command-point", format!("no point \"{point}\" is configured")));
        };
        let (answer, answered) = tokio::sync::oneshot::channel();
        let busy = |_| ("command-busy", format!("too many commands wait for bus {}", ways.bus.name));
        ways.deeds.try_send(Deed { point, instruction, answer }).map_err(busy)?;
        let done = self.done.clone();
        tokio::spawn(async move {
            let dropped = || Undone::perhaps("command-interrupted", "its line was stopped while the meter was asked");
            let came = answered.await.unwrap_or_else(|_| Err(dropped()));
            // A desk that is gone finds the intent at the next start.
            let _ = done.send((order, came)).await;
        });
        Ok(())
    }

    fn post(&mut self, number: u64, statement: Vec<u8>) {
        self.post.put(number, statement);
    }

    fn unpost(&mut self, number: u64) {
        self.post.remove(number);
    }

    fn show(&mut self, orders: Orders) {
        self.board.update().orders = orders;
    }

    fn copy(&mut self, applied: &str, previous: Option<&str>, dossier: Option<&[u8]>) {
        let copies: BTreeMap<&str, &[u8]> = [
            Some((APPLIED, applied.as_bytes())),
            previous.map(|text| (PREVIOUS, text.as_bytes())),
            dossier.map(|dossier| (DOSSIER, dossier)),
        ]
        .into_iter()
        .flatten()
        .collect();
        for (name, bytes) in copies {
            if let Err(error) = write_copy(&self.folder().join(name), bytes) {
                warn!("{name}: {error}; it is a copy only");
            }
        }
    }
}

/// Runs the desk until told to stop.
///
/// # Errors
/// The journal failed.
pub async fn run(
    mut desk: Desk<Live>,
    fell_back: Option<(&'static str, String)>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    let Some(mut came) = desk.world.came.take() else { return Ok(()) };
    let mut head = desk.world.journal.head();
    let post = desk.world.post.clone();
    desk.resume(fell_back).await?;
    look_at_files(&mut desk).await?;
    let mut looked = Instant::now();
    while !*stop.borrow() {
        while let Some(mail) = post.take() {
            match mail {
                Mail::Order(bytes) => desk.take(&bytes).await?,
                Mail::Answer(bytes) => desk.answered(&bytes).await?,
            }
        }
        let wait = desk.next_look_ms().await.map_or(LOOK_PERIOD, |wait_ms| Duration::from_millis(wait_ms.max(1)));
        let on_trial = desk.state.trial.is_some();
        select! {
            biased;
            _ = stop.changed() => break,
            () = post.rung() => {}
            Some((order, done)) = came.recv() => desk.done(order, done).await?,
            // A reading that was awaited may be among what was committed.
            changed = head.changed(), if on_trial => if changed.is_err() { return Ok(()) },
            () = sleep(wait.min(LOOK_PERIOD)) => {}
        }
        desk.look().await?;
        if looked.elapsed() >= LOOK_PERIOD {
            looked = Instant::now();
            desk.tidy().await?;
            look_at_files(&mut desk).await?;
        }
    }
    desk.tidy().await
}

async fn look_at_files(desk: &mut Desk<Live>) -> Result<(), Fatal> {
    match desk.expected() {
        Some(expected) => {
            let files = desk.world.files(expected);
            desk.edits(files).await
        }
        None => Ok(()),
    }
}
