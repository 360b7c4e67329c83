//! Puts what meters push into the journal, when it is due.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use plomb_dlms::security::{Key, Keys, Suite, SystemTitle};
use plomb_mbus::Medium;
use plomb_seal::{Absent, Event, Name, Occurrence, Reason, Record};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use super::{
    judge::{Expected, Judge, Missing, Outcome},
    receive::{Pushed, keep},
};
use crate::{
    ask::{Knowledge, deed::refuse_on_listened_line, dlms::number_name},
    clock::unix_ms,
    config,
    journal::{Journal, JournalError},
    poll::{Asked, QUESTIONS_MAX, Question, telling_value, unix_ms_at},
    scan::{ScanLine, ScanOrder},
    secrets::{Purpose, Secrets},
    status::{Board, Bus as BusStatus, Point, rfc3339},
};

/// Pushes that wait to be taken.
const PUSHES_MAX: usize = 256;
/// How often it is looked what is missing.
const TICK: Duration = Duration::from_secs(1);
/// The most refusals of one meter and kind that are entered in an hour.
pub const REFUSAL_EVENTS_PER_HOUR: u32 = 1;
const HOUR_S: u64 = 3600;

/// A port on which meters push.
pub struct PushTask {
    config: config::Bus,
    points: Vec<Name>,
    judge: Judge,
    journal: Journal,
    board: Arc<Board>,
    asked: Asked,
    stop: watch::Receiver<bool>,
    started: Instant,
    waiting: Vec<Question>,
    port_error: Option<String>,
    /// By meter and kind: the hour, and how often it was told in it.
    told: BTreeMap<(usize, &'static str), (u64, u32)>,
}

/// Ends a task when it goes.
struct Receiving(tokio::task::JoinHandle<()>);

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PushTask {
    /// A port with the meters that are expected on it.
    pub fn new(
        bus: &config::Bus,
        meters: &[config::Meter],
        knowledge: &Knowledge,
        journal: Journal,
        board: Arc<Board>,
        asked: Asked,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, String> {
        let own: Vec<&config::Meter> = meters.iter().filter(|meter| meter.bus == bus.name).collect();
        let expected = own.iter().map(|meter| expected(meter, knowledge)).collect::<Result<Vec<_>, _>>()?;
        let points = own.iter().map(|meter| meter.point.parse().map_err(|error| format!("meter point: {error}")));
        let points = points.collect::<Result<Vec<Name>, String>>()?;
        {
            let mut written = board.update();
            let status = BusStatus { name: bus.name.clone(), port: bus.port.clone(), ..BusStatus::default() };
            written.buses.insert(bus.name.clone(), status);
            for meter in &own {
                let point = Point {
                    point: meter.point.clone(),
                    bus: bus.name.clone(),
                    interval_s: meter.interval_s,
                    last_result: Some(Instant::now()),
                    ..Point::default()
                };
                written.points.insert(meter.point.clone(), point);
            }
        }
        Ok(Self {
            config: bus.clone(),
            points,
            judge: Judge::new(expected),
            journal,
            board,
            asked,
            stop,
            started: Instant::now(),
            waiting: Vec::new(),
            port_error: None,
            told: BTreeMap::new(),
        })
    }

    /// Runs until told to stop, or until the journal fails.
    pub async fn run(mut self) -> Result<(), JournalError> {
        let (send, mut pushes) = mpsc::channel(PUSHES_MAX);
        let receiving = Receiving(tokio::spawn(keep(self.config.clone(), send)));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*self.stop.borrow() {
            tokio::select! {
                Some(pushed) = pushes.recv() => self.take(pushed).await?,
                _ = tick.tick() => self.look_at_time().await?,
                Some(deed) = self.asked.deeds.recv() => refuse_on_listened_line(deed),
                Some(question) = self.asked.questions.recv() => self.take_question(question),
                Some(order) = self.asked.scans.recv() => refuse_scan(order).await,
                _ = self.stop.changed() => {}
            }
        }
        drop(receiving);
        if self.journal.has_unwritten_counters() {
            self.journal.flush().await?;
        }
        Ok(())
    }

    async fn take(&mut self, pushed: Pushed) -> Result<(), JournalError> {
        match &pushed {
            Pushed::Open => {
                info!(bus = self.config.name, port = self.config.port, "listening");
                self.port_error = None;
                self.count(|bus| (bus.open, bus.last_error) = (true, None));
                return Ok(());
            }
            Pushed::Port(detail) => {
                if self.port_error.as_ref() != Some(detail) {
                    warn!(bus = self.config.name, "{detail}");
                }
                self.port_error = Some(detail.clone());
                self.count(|bus| (bus.open, bus.last_error) = (false, Some(detail.clone())));
                return Ok(());
            }
            Pushed::GaveWay(peer) => {
                self.crowded(*peer);
                return Ok(());
            }
            _ => {}
        }
        match self.judge.take(&pushed, self.started.elapsed()) {
            Outcome::Good { meter, due, record, counter } => {
                let frame = match pushed {
                    Pushed::Apdu(bytes) | Pushed::P1(bytes) => bytes,
                    _ => Vec::new(),
                };
                self.good(meter, due.is_some(), *record, counter, frame).await
            }
            Outcome::Refused { meter, kind, detail } => {
                self.count(|bus| bus.failed += 1);
                self.tell_refusal(meter, kind, detail).await
            }
            Outcome::Stranger => {
                self.count(|bus| bus.strangers += 1);
                Ok(())
            }
            Outcome::Noise(_) => {
                self.count(|bus| bus.noise += 1);
                Ok(())
            }
        }
    }

    /// Notes that a connection gave way; the log has it once in an hour.
    fn crowded(&self, peer: IpAddr) {
        let mut was_told = false;
        self.count(|bus| {
            was_told = bus.is_crowded(Instant::now());
            bus.gave_way += 1;
            (bus.gave_way_from, bus.gave_way_at) = (Some(peer.to_string()), Some(Instant::now()));
        });
        if !was_told {
            warn!(bus = self.config.name, "too many connections: those silent longest give way, one of {peer} now");
        }
    }

    async fn good(
        &mut self,
        meter: usize,
        due: bool,
        record: Record,
        counter: Option<u32>,
        frame: Vec<u8>,
    ) -> Result<(), JournalError> {
        let Some(point) = self.points.get(meter).cloned() else { return Ok(()) };
        if let Some(counter) = counter {
            // Before the entry: what was accepted once never counts again.
            self.accept(self.journal.advance_counter(&counter_name(point.as_str()), counter.into()))?;
        }
        for question in self.waiting.extract_if(.., |question| question.point == point) {
            // Whoever asked may be gone.
            let _ = question.answer.send(Ok(record.clone()));
        }
        {
            let mut board = self.board.update();
            if let Some(bus) = board.buses.get_mut(&self.config.name) {
                bus.answered += 1;
            }
            if let Some(status) = board.points.get_mut(point.as_str()) {
                let medium = Medium(record.meter.medium);
                status.meter = Some(format!("{} {} {medium}", record.meter.id, record.meter.manufacturer));
                status.value = telling_value(&record);
                status.status.clone_from(&record.status);
                status.failures_in_a_row = 0;
                status.last_record = Some(rfc3339(unix_ms()));
                status.last_result = Some(Instant::now());
                status.answered += u64::from(due);
            }
        }
        if !due {
            return Ok(());
        }
        let appended = self.journal.append(Occurrence::Record(point, record), vec![frame]).await;
        self.accept(appended.map(drop))
    }

    /// What was refused is evidence too, but a sender of forgeries must not fill the journal.
    async fn tell_refusal(&mut self, meter: usize, kind: &'static str, detail: String) -> Result<(), JournalError> {
        let Some(point) = self.points.get(meter) else { return Ok(()) };
        if let Some(status) = self.board.update().points.get_mut(point.as_str()) {
            status.last_failure = Some(format!("{kind}: {detail}"));
        }
        let hour = self.started.elapsed().as_secs() / HOUR_S;
        let told = self.told.entry((meter, kind)).or_default();
        if told.0 != hour {
            *told = (hour, 0);
        }
        if told.1 >= REFUSAL_EVENTS_PER_HOUR {
            return Ok(());
        }
        told.1 += 1;
        warn!(point = point.as_str(), kind, "push refused: {detail}");
        let details = [("point", point.as_str()), ("kind", kind), ("detail", &detail)];
        let details = details.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
        let event = Occurrence::Event(Event { name: "push-refused".into(), details });
        let appended = self.journal.append(event, Vec::new()).await;
        self.accept(appended.map(drop))
    }

    async fn look_at_time(&mut self) -> Result<(), JournalError> {
        let now = self.started.elapsed();
        for Missing { meter, due, reason, detail } in self.judge.missing(now) {
            let (reason, detail) = self.port_error.clone().map_or((reason, detail), |gone| (Reason::Port, gone));
            let Some(point) = self.points.get(meter).cloned() else { continue };
            if let Some(status) = self.board.update().points.get_mut(point.as_str()) {
                status.absent += 1;
                status.last_result = Some(Instant::now());
                status.failures_in_a_row = status.failures_in_a_row.saturating_add(1);
                status.last_failure = Some(format!("{}: {detail}", reason.name()));
            }
            let absent = Absent { due_ms: unix_ms_at(due, now), reason, detail };
            let appended = self.journal.append(Occurrence::Absent(point, absent), Vec::new()).await;
            self.accept(appended.map(drop))?;
        }
        Ok(())
    }

    fn take_question(&mut self, question: Question) {
        let known = self.points.contains(&question.point);
        if known && self.waiting.len() < QUESTIONS_MAX {
            self.waiting.retain(|waiting| !waiting.answer.is_closed());
            self.waiting.push(question);
            return;
        }
        let why = if known { "too many questions wait for pushes; try again later" } else { "no such point here" };
        // Whoever asked may be gone.
        let _ = question.answer.send(Err(why.into()));
    }

    /// A full journal costs this entry and no more; any other failure stops the daemon.
    fn accept(&self, appended: Result<(), JournalError>) -> Result<(), JournalError> {
        match appended {
            Err(JournalError::Full { .. }) => Ok(()),
            Err(error @ JournalError::TooManyCounters { .. }) => {
                warn!("{error}; after a restart older pushes of this meter could be repeated");
                Ok(())
            }
            other => other,
        }
    }

    fn count(&self, write: impl FnOnce(&mut BusStatus)) {
        if let Some(bus) = self.board.update().buses.get_mut(&self.config.name) {
            write(bus);
        }
    }
}

async fn refuse_scan(order: ScanOrder) {
    let detail = "meters push here by themselves: there is nothing to search; plomb status shows who was heard".into();
    let line = ScanLine::Done { end: "failed".into(), detail, frames: 0, found: 0, took_s: 0.0 };
    // Whoever asked may be gone.
    let _ = order.lines.send(line).await;
}

fn counter_name(point: &str) -> String {
    number_name("dlms-push", point)
}

/// A configured meter, with its keys.
fn expected(meter: &config::Meter, knowledge: &Knowledge) -> Result<Expected, String> {
    let wrong = |what: String| format!("meter \"{}\": {what}", meter.point);
    let title = meter.system_title.as_deref().map(config::title).transpose().map_err(wrong)?.map(SystemTitle);
    let counter = knowledge.counters.get(&counter_name(&meter.point)).and_then(|value| u32::try_from(*value).ok());
    Ok(Expected {
        title,
        keys: keys(&knowledge.secrets, &meter.point).map_err(wrong)?,
        suite: Suite::from_number(meter.suite).ok_or_else(|| wrong("suite is 0, 1 or 2".into()))?,
        interval: meter.interval(),
        counter,
        names: meter.registers.iter().map(|text| text.parse().ok()).collect(),
    })
}

fn keys(secrets: &Secrets, point: &str) -> Result<Option<Keys>, String> {
    let key = |purpose| {
        secrets.get(point, purpose).map(|bytes| Key::new(bytes).map_err(|error| error.to_string())).transpose()
    };
    let Some(encryption) = key(Purpose::Encryption)? else { return Ok(None) };
    Ok(Some(Keys { encryption, authentication: key(Purpose::Authentication)?, broadcast: key(Purpose::Broadcast)? }))
}
