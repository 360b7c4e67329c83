//! The lines that run, and how single ones are replaced while the others go on.
//!
//! A line is one `[[bus]]` with its meters, and what is known of their keys and models. A line whose definition is
//! equal under a new configuration is not touched.

mod learned;
mod switchboard;

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc, watch},
    task::{AbortHandle, JoinHandle},
    time::{Instant, timeout},
};
use tracing::{info, warn};

pub use switchboard::{Switchboard, Ways};

use crate::{
    ask::deed::DEEDS_MAX,
    clock::SystemClock,
    config::{Config, Protocol},
    daemon::Fatal,
    journal::{Journal, JournalError},
    poll::{Asked, BusTask, QUESTIONS_MAX},
    push::PushTask,
    radio::RadioTask,
    status::Board,
};
use learned::{Definition, Learned};

/// How long a line has to end when it is replaced, before it is cut off: what was begun at a meter is ended.
pub const LINE_END_MAX: Duration = Duration::from_secs(10);
/// How long all lines have to end when the daemon stops.
pub const STOP_END_MAX: Duration = Duration::from_secs(2);
/// How long a replacement waits for the running poll of a line; a readout that takes longer is broken off.
pub const POLL_END_MAX: Duration = Duration::from_secs(120);
/// Scans of one port that are under way or wait.
const SCANS_MAX: usize = 1;

/// A line that could run: its work, the ways to it, what stops it, and what it holds while it asks.
type Begun = (Work, Ways, watch::Sender<bool>, Arc<Mutex<()>>);
/// A task that is ready to run.
type Work = Pin<Box<dyn Future<Output = Result<(), JournalError>> + Send>>;

/// Whether a running poll may end first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// It is broken off.
    Now,
    /// It ends first.
    AfterPoll,
}

/// The lines that run.
pub struct Lines {
    journal: Journal,
    board: Arc<Board>,
    clock: Arc<SystemClock>,
    switchboard: Arc<Switchboard>,
    learned: Option<Learned>,
    running: BTreeMap<String, Running>,
    ended: mpsc::Sender<Fatal>,
}

/// What a configuration makes of the lines, checked and not begun.
pub struct Prepared {
    learned: Learned,
    /// Lines that go, or are replaced.
    gone: Vec<String>,
    /// Lines that begin, or begin anew.
    begun: Vec<Definition>,
}

impl Prepared {
    /// How many lines it touches.
    pub fn touched(&self) -> usize {
        let fresh = self.begun.iter().filter(|line| !self.gone.contains(&line.bus.name)).count();
        self.gone.len() + fresh
    }
}

struct Running {
    definition: Definition,
    stop: watch::Sender<bool>,
    /// Held by a line while it asks a meter.
    turn: Arc<Mutex<()>>,
    abort: AbortHandle,
    task: JoinHandle<()>,
}

impl Lines {
    /// No lines yet. What ends one unasked is told to `ended`.
    pub fn new(
        (journal, board, clock): (Journal, Arc<Board>, Arc<SystemClock>),
        switchboard: Arc<Switchboard>,
        ended: mpsc::Sender<Fatal>,
    ) -> Self {
        Self { journal, board, clock, switchboard, learned: None, running: BTreeMap::new(), ended }
    }

    /// Checks all that can be checked of a configuration's lines without touching any: what its files hold, and that
    /// each line that would begin could.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, String> {
        let learned = Learned::from(config, &self.journal, &self.clock, self.learned.as_ref())?;
        let wanted = Definition::all(config, &learned);
        let same =
            |line: &Definition| self.running.get(&line.bus.name).is_some_and(|running| running.definition == *line);
        let begun: Vec<Definition> = wanted.iter().filter(|line| !same(line)).cloned().collect();
        let stays = |name: &String| wanted.iter().any(|line| line.bus.name == *name && same(line));
        let gone = self.running.keys().filter(|name| !stays(name)).cloned().collect();
        for line in &begun {
            // On a board of its own: nobody is to see it yet.
            self.work(line, &learned, &Arc::default()).map(drop)?;
        }
        Ok(Prepared { learned, gone, begun })
    }

    /// Ends the lines that go, and begins those that come.
    ///
    /// # Errors
    /// A line can't begin, though it could when it was prepared.
    pub async fn replace(&mut self, prepared: Prepared, haste: Haste) -> Result<(), String> {
        let Prepared { mut learned, gone, begun } = prepared;
        let mut before = BTreeMap::new();
        // All end before any begins: they may share ports.
        for name in &gone {
            if let Some(running) = self.running.remove(name) {
                self.switchboard.remove(name);
                let definition = running.definition.clone();
                running.end(name, haste, LINE_END_MAX).await;
                before.insert(name.clone(), (definition.clone(), self.take_down(&definition)));
            }
        }
        learned.knowledge.counters = self.journal.counters();
        for line in begun {
            let (work, ways, stop, turn) = self.work(&line, &learned, &self.board)?;
            if let Some((_, (bus, points))) = before.get(&line.bus.name).filter(|(was, _)| was.reads_as(&line)) {
                self.take_over(&line, bus.as_ref(), points);
            }
            let (abort, task) = watched(work, self.ended.clone());
            info!(bus = line.bus.name, meters = line.meters.len(), "line begun");
            self.switchboard.put(ways);
            self.running.insert(line.bus.name.clone(), Running { definition: line, stop, turn, abort, task });
        }
        self.learned = Some(learned);
        Ok(())
    }

    /// Ends all lines; readings under way are given up.
    pub async fn stop(&mut self) {
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
        let until = Instant::now() + STOP_END_MAX;
        for (name, running) in std::mem::take(&mut self.running) {
            self.switchboard.remove(&name);
            running.end(&name, Haste::Now, until.saturating_duration_since(Instant::now())).await;
        }
    }

    /// Takes a line from the board; gives what stood there.
    fn take_down(&self, line: &Definition) -> (Option<crate::status::Bus>, Vec<crate::status::Point>) {
        let mut board = self.board.update();
        let points = line.meters.iter().filter_map(|meter| board.points.remove(&meter.point)).collect();
        (board.buses.remove(&line.bus.name), points)
    }

    /// What was counted of a line that is asked otherwise and reached as before goes on being counted.
    fn take_over(&self, line: &Definition, bus: Option<&crate::status::Bus>, points: &[crate::status::Point]) {
        let mut board = self.board.update();
        if let (Some(now), Some(was)) = (board.buses.get_mut(&line.bus.name), bus) {
            (now.answered, now.failed, now.strangers, now.noise) = (was.answered, was.failed, was.strangers, was.noise);
        }
        for was in points {
            if let Some(now) = board.points.get_mut(&was.point) {
                let (interval_s, last_result) = (now.interval_s, now.last_result);
                *now = crate::status::Point { interval_s, last_result, asked_again: None, ..was.clone() };
            }
        }
    }

    /// The work that a line is, with the ways to it and what ends it.
    fn work(&self, line: &Definition, learned: &Learned, board: &Arc<Board>) -> Result<Begun, String> {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let (scans, ordered) = mpsc::channel(SCANS_MAX);
        let (deeds, told) = mpsc::channel(DEEDS_MAX);
        let asked = Asked { questions: asked, scans: ordered, deeds: told };
        let (stop, stopped) = watch::channel(false);
        let turn = Arc::new(Mutex::new(()));
        let (bus, meters, knowledge) = (&line.bus, &line.meters, &learned.knowledge);
        let (journal, board) = (self.journal.clone(), board.clone());
        let points = meters.iter().map(|meter| meter.point.parse().map_err(|error| format!("meter point: {error}")));
        let points = points.collect::<Result<_, String>>()?;
        let work: Work = match bus.protocol {
            protocol if !protocol.is_listened_to() => {
                let line = BusTask::new(bus, meters, knowledge, journal, board, asked, stopped)?;
                Box::pin(line.in_turn(turn.clone()).run())
            }
            Protocol::DlmsPush | Protocol::P1 => {
                let port = PushTask::new(bus, meters, knowledge, journal, board, asked, stopped)?;
                Box::pin(port.run())
            }
            _ => {
                let known = (knowledge.keys.clone(), knowledge.library.clone());
                let receiver = RadioTask::new(bus, meters, known, journal, board, asked, stopped)?;
                Box::pin(receiver.run())
            }
        };
        let ways = Ways { bus: bus.clone(), points, questions, scans, deeds };
        Ok((work, ways, stop, turn))
    }
}

impl Running {
    async fn end(self, name: &str, haste: Haste, max: Duration) {
        let wait = match haste {
            Haste::Now => Duration::ZERO,
            Haste::AfterPoll => POLL_END_MAX,
        };
        {
            // A line that asks no meter now, and begins to ask none, while this is held.
            let _turn = timeout(wait, self.turn.lock()).await;
            self.stop.send_replace(true);
        }
        if timeout(max, self.task).await.is_err() {
            warn!(bus = name, "the line does not end; it is cut off");
            self.abort.abort();
        }
    }
}

/// Runs a task; its failure, or its panic, is told.
pub(crate) fn watched(
    work: impl Future<Output = Result<(), JournalError>> + Send + 'static,
    ended: mpsc::Sender<Fatal>,
) -> (AbortHandle, JoinHandle<()>) {
    let inner = tokio::spawn(work);
    let abort = inner.abort_handle();
    let task = tokio::spawn(async move {
        let fatal = match inner.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => Fatal::Journal(error),
            Err(error) if error.is_cancelled() => return,
            Err(error) => Fatal::Start(format!("a task ended unexpectedly: {error}")),
        };
        // Who would be told may have ended.
        let _ = ended.send(fatal).await;
    });
    (abort, task)
}
