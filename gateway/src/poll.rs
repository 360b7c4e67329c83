//! Asks the meters of one line, and hands what they said, or why they did not, to the journal.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plomb_mbus::Medium;
use plomb_seal::{Absent, Name, Occurrence, Reason, Record};
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    time::sleep,
};
use tracing::{info, warn};

use crate::{
    ask::{
        Answer, Knowledge, LineMeter, Outcome,
        deed::{Certainty, Deed, Done, Effect, Instruction, LINE_STOPPED, NO_POINT, NOT_REACHED, Undone},
        port::Port,
    },
    clock::unix_ms,
    config,
    exchange::Exchanges,
    journal::{Journal, JournalError},
    outage::{Outage, Range},
    scan::{STOPPED, ScanLine, ScanOrder, wired_on},
    schedule::{Elapsed, Schedule, Skipped, Turn},
    silence::{Silence, Turned},
    status::{Board, Bus as BusStatus, Point, rfc3339},
};

/// The most questions of people that wait for one line.
pub const QUESTIONS_MAX: usize = 16;

/// The most absences of one line that are entered at a stop.
const MISSED_AT_STOP_MAX: usize = 4096;

/// A person's question to a meter, outside its turn.
pub struct Question {
    /// The measuring point.
    pub point: Name,
    /// Where the answer goes: the record, or why there is none.
    pub answer: oneshot::Sender<Result<Record, String>>,
}

/// What a line is asked beside its turns.
pub struct Asked {
    /// Questions of people.
    pub questions: mpsc::Receiver<Question>,
    /// Searches.
    pub scans: mpsc::Receiver<ScanOrder>,
    /// What is to be done at meters.
    pub deeds: mpsc::Receiver<Deed>,
}

/// A line and its meters.
pub struct BusTask {
    config: config::Bus,
    meters: Vec<LineMeter>,
    silences: Vec<Silence>,
    outage: Outage,
    exchanges: Exchanges,
    schedule: Schedule,
    started: Instant,
    journal: Journal,
    board: Arc<Board>,
    asked: Asked,
    stop: watch::Receiver<bool>,
    port: Port,
    /// Held while a meter is asked.
    turn: Arc<Mutex<()>>,
}

impl BusTask {
    /// A line with the meters that are on it.
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
        let on_bus = own.iter().map(|meter| LineMeter::new(meter, bus, knowledge)).collect::<Result<Vec<_>, _>>()?;
        let intervals: Vec<Duration> = own.iter().map(|meter| meter.interval()).collect();
        let mut written = board.update();
        written.buses.insert(
            bus.name.clone(),
            BusStatus { name: bus.name.clone(), port: bus.port.clone(), ..BusStatus::default() },
        );
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
        drop(written);
        let points = on_bus.iter().map(|meter| meter.point.clone()).collect();
        let started = Instant::now();
        let port = Port::new(bus, Some(board.clone()));
        Ok(Self {
            schedule: Schedule::new(&intervals, bus.silent_percent),
            outage: Outage::new(&intervals),
            config: bus.clone(),
            silences: vec![Silence::default(); on_bus.len()],
            exchanges: Exchanges::recall(&journal, &points).map_err(|error| error.to_string())?,
            meters: on_bus,
            started,
            journal,
            board,
            asked,
            stop,
            port,
            turn: Arc::default(),
        })
    }

    /// Holds this while it asks a meter: whoever else holds it knows that no poll is under way.
    pub fn in_turn(self, turn: Arc<Mutex<()>>) -> Self {
        Self { turn, ..self }
    }

    /// Runs until told to stop, or until the journal fails.
    pub async fn run(mut self) -> Result<(), JournalError> {
        let mut waiting: Vec<Question> = Vec::new();
        while !*self.stop.borrow() {
            // A line does one thing at a time: what was begun is ended, and what was ordered goes before what is due.
            if let Ok(deed) = self.asked.deeds.try_recv() {
                self.carry_out(deed, &mut waiting).await?;
                continue;
            }
            while let Ok(question) = self.asked.questions.try_recv() {
                self.take_question(question, &mut waiting);
            }
            if let Ok(order) = self.asked.scans.try_recv() {
                self.scan(order).await;
            }
            match self.schedule.turn(self.started.elapsed()) {
                Turn::Ask { meter, due, silent } => self.ask(meter, due, silent, &mut waiting).await?,
                Turn::Skip { meter, due, why } => self.skip(meter, due, why).await?,
                Turn::Wait(until) => {
                    let pause = until.saturating_sub(self.started.elapsed()).min(Duration::from_secs(3600));
                    tokio::select! {
                        () = sleep(pause) => {}
                        _ = self.stop.changed() => {}
                        Some(deed) = self.asked.deeds.recv() => self.carry_out(deed, &mut waiting).await?,
                        Some(question) = self.asked.questions.recv() => self.take_question(question, &mut waiting),
                        Some(order) = self.asked.scans.recv() => self.scan(order).await,
                    }
                }
            }
        }
        self.asked.deeds.close();
        while let Ok(deed) = self.asked.deeds.try_recv() {
            // Whoever asked may be gone.
            let _ = deed.answer.send(Err(Undone::surely(LINE_STOPPED, "the line was stopped before its turn came")));
        }
        self.tell_missed().await?;
        for index in 0..self.meters.len() {
            self.tell_held(index).await?;
        }
        Ok(())
    }

    /// What fell due while a meter held the line, and was not told until the stop: each due time is a record or an
    /// absence. What falls due at the stop itself is not told; its entry says enough.
    async fn tell_missed(&mut self) -> Result<(), JournalError> {
        let now = self.started.elapsed();
        for _ in 0..MISSED_AT_STOP_MAX {
            let Some((index, due)) = self.schedule.missed(now) else { break };
            let missed = "not asked: the line was busy with another meter until plombd stopped";
            self.absent(index, due, Reason::Busy, missed.into()).await?;
        }
        Ok(())
    }

    fn take_question(&mut self, question: Question, waiting: &mut Vec<Question>) {
        match self.meters.iter().position(|meter| meter.point == question.point) {
            Some(index) if waiting.len() < QUESTIONS_MAX => {
                self.schedule.ask_soon(index);
                waiting.push(question);
            }
            Some(_) => drop(question.answer.send(Err("too many questions wait for this line; try again later".into()))),
            None => drop(question.answer.send(Err(format!("no point {} on this line", question.point)))),
        }
    }

    /// Does something at a meter, once, and reads it right after; the reading is durable before the answer is given.
    async fn carry_out(&mut self, deed: Deed, waiting: &mut Vec<Question>) -> Result<(), JournalError> {
        let Deed { point, instruction, answer } = deed;
        if answer.is_closed() {
            // Nobody is left to enter what came of it.
            return Ok(());
        }
        let Some(index) = self.meters.iter().position(|meter| meter.point == point) else {
            let _ = answer.send(Err(Undone::surely(NO_POINT, format!("no point {point} on this line"))));
            return Ok(());
        };
        let verb = instruction.verb();
        let turn = self.turn.clone();
        let in_turn = turn.lock().await;
        let carried = match (&instruction, self.meters.get_mut(index)) {
            (Instruction::Read, _) | (_, None) => Ok(Effect::new("read")),
            (instruction, Some(meter)) => meter.carry_out(&mut self.port, instruction).await,
        };
        match &carried {
            Ok(effect) => info!(bus = self.config.name, %point, verb, "done: {}", effect.detail),
            Err(undone) => warn!(bus = self.config.name, %point, verb, "not done: {undone}"),
        }
        drop(in_turn);
        let reading = match &carried {
            Err(Undone { certainty: Certainty::NotDone, .. }) => None,
            _ => Some(self.read_after(index, point, waiting).await?),
        };
        let told = match (carried, reading) {
            (Err(undone), _) => Err(undone),
            (Ok(_), Some(Err(why))) if instruction == Instruction::Read => Err(Undone::surely(NOT_REACHED, why)),
            (Ok(effect), Some(Ok(record))) => Ok(Done { detail: effect.detail, record: Some(record) }),
            (Ok(effect), Some(Err(why))) => {
                Ok(Done { detail: format!("{}; it could not be read afterwards: {why}", effect.detail), record: None })
            }
            (Ok(effect), None) => Ok(Done { detail: effect.detail, record: None }),
        };
        // Whoever asked may be gone.
        let _ = answer.send(told);
        Ok(())
    }

    /// Reads a meter out of its turn; what came of it is durable.
    async fn read_after(
        &mut self,
        index: usize,
        point: Name,
        waiting: &mut Vec<Question>,
    ) -> Result<Result<Record, String>, JournalError> {
        let (answer, mut answered) = oneshot::channel();
        waiting.push(Question { point, answer });
        self.ask(index, self.started.elapsed(), false, waiting).await?;
        self.accept(self.journal.flush().await.map(drop))?;
        Ok(answered.try_recv().unwrap_or_else(|_| Err("the line was stopped".into())))
    }

    async fn ask(
        &mut self,
        index: usize,
        due: Duration,
        silent: bool,
        waiting: &mut Vec<Question>,
    ) -> Result<(), JournalError> {
        let turn = self.turn.clone();
        let _turn = turn.lock().await;
        if *self.stop.borrow() {
            return Ok(());
        }
        let Some(meter) = self.meters.get_mut(index) else { return Ok(()) };
        let (point, begun) = (meter.point.clone(), Instant::now());
        let mut outcome = tokio::select! {
            outcome = meter.ask(&mut self.port, silent) => outcome,
            _ = self.stop.changed() => Err((Reason::Busy, "stopped".into())),
        };
        if *self.stop.borrow() && outcome.is_err() {
            // Broken off by us: the meter is not to blame.
            let detail = format!("plombd stopped while it was asked, for {} s", begun.elapsed().as_secs());
            return self.absent(index, due, Reason::Busy, detail).await;
        }
        if let Ok(answer) = &mut outcome {
            let records = answer.earlier.iter_mut().chain([&mut answer.record]);
            records.for_each(|record| self.exchanges.complete(&point, record));
        }
        match &outcome {
            Ok(_) => self.schedule.answered(index),
            // Nobody was asked: the meter is not to wait for longer because of it.
            Err((Reason::Port, _)) => {}
            Err(_) => self.schedule.failed(index, begun.elapsed()),
        }
        self.note(index, &point, &outcome);
        self.tell_silence(index, &point, &outcome);
        for question in waiting.extract_if(.., |question| question.point == point) {
            let answer = outcome.as_ref().map(|answer| answer.record.clone()).map_err(|(_, detail)| detail.clone());
            // Whoever asked may be gone.
            let _ = question.answer.send(answer);
        }
        match outcome {
            Ok(Answer { record, frames, counters, earlier, marks }) => {
                for (name, value) in counters {
                    // Before the entry: what was accepted once never counts again.
                    self.accept(self.journal.advance_counter(&name, value))?;
                }
                self.tell_held(index).await?;
                if let Some(event) = self.exchanges.take(&point, &record) {
                    warn!(bus = self.config.name, %point, "another meter answers than the last time: entered");
                    let ticket = self.journal.append(Occurrence::Event(event), Vec::new()).await;
                    self.accept(ticket.map(drop))?;
                }
                for rows in earlier {
                    let ticket = self.journal.append(Occurrence::Record(point.clone(), rows), Vec::new()).await;
                    self.accept(ticket.map(drop))?;
                }
                for (name, value) in marks {
                    // Behind the rows: what is not durable is fetched again.
                    self.accept(self.journal.advance_counter(&name, value))?;
                }
                let ticket = self.journal.append(Occurrence::Record(point, record), frames).await;
                self.accept(ticket.map(drop))
            }
            Err((reason, detail)) => self.absent(index, due, reason, detail).await,
        }
    }

    async fn skip(&mut self, index: usize, due: Duration, why: Skipped) -> Result<(), JournalError> {
        let Some(meter) = self.meters.get(index) else { return Ok(()) };
        let (reason, detail) = match (self.port.error(), why) {
            // Nobody could have been asked.
            (Some(gone), _) => (Reason::Port, gone.into()),
            (None, Skipped::Silent(times)) => {
                (Reason::NotAsked, format!("it failed {times} times in a row and is asked less often"))
            }
            (None, Skipped::NoTime) => {
                (Reason::Busy, "not asked: the line had no time before the next reading was due".into())
            }
        };
        if let Some(status) = self.board.update().points.get_mut(meter.point.as_str()) {
            status.absent += 1;
            status.last_result = Some(Instant::now());
        }
        self.absent(index, due, reason, detail).await
    }

    async fn absent(&mut self, index: usize, due: Elapsed, reason: Reason, detail: String) -> Result<(), JournalError> {
        let now = self.started.elapsed();
        if reason == Reason::Port {
            return match self.outage.missed(index, due, now, &detail) {
                Some(range) => self.tell_range(index, range).await,
                None => Ok(()),
            };
        }
        self.tell_held(index).await?;
        let due_ms = unix_ms_at(due, now);
        self.enter(index, Absent { due_ms, reason, detail }).await
    }

    /// What a meter missed while the port was gone, as far as it is not told yet.
    async fn tell_held(&mut self, index: usize) -> Result<(), JournalError> {
        match self.outage.held(index) {
            Some(range) => self.tell_range(index, range).await,
            None => Ok(()),
        }
    }

    async fn tell_range(&self, index: usize, range: Range) -> Result<(), JournalError> {
        let now = self.started.elapsed();
        self.enter(index, self.outage.absent(range, |at| unix_ms_at(at, now))).await
    }

    async fn enter(&self, index: usize, absent: Absent) -> Result<(), JournalError> {
        let Some(meter) = self.meters.get(index) else { return Ok(()) };
        let ticket = self.journal.append(Occurrence::Absent(meter.point.clone(), absent), Vec::new()).await;
        self.accept(ticket.map(drop))
    }

    /// A full journal costs this entry and no more; any other failure stops the daemon.
    fn accept(&self, appended: Result<(), JournalError>) -> Result<(), JournalError> {
        match appended {
            Err(JournalError::Full { .. }) => Ok(()),
            other => other,
        }
    }

    /// Searches the line. Meanwhile no meter is read; readings that fall due are entered as absent.
    async fn scan(&mut self, order: ScanOrder) {
        let ScanOrder { options, lines } = order;
        let link = match self.port.open().await {
            Ok(link) => link,
            Err((_, detail)) => return tell_end(&lines, "failed", detail).await,
        };
        info!(bus = self.config.name, "searching the line; polling pauses");
        let mut stop = self.stop.clone();
        let given_up = async {
            tokio::select! {
                () = lines.closed() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        };
        let mut told = Vec::new();
        let daemon = self.stop.clone();
        let scanned = wired_on(link, &self.config, &options, given_up, |line| match stopped(line, *daemon.borrow()) {
            // Whoever is slow misses progress, never a meter.
            line @ ScanLine::Progress { .. } => drop(lines.try_send(line)),
            line => {
                if let Err(mpsc::error::TrySendError::Full(line)) = lines.try_send(self_named(line, &self.meters)) {
                    told.push(line);
                }
            }
        });
        let failure = scanned.await.err();
        for line in told {
            // Whoever asked may be gone.
            let _ = lines.send(line).await;
        }
        if let Some(error) = failure {
            let detail = self.port.fail(&error);
            tell_end(&lines, "failed", detail).await;
        }
        info!(bus = self.config.name, "polling goes on");
    }

    /// One line in the log when a meter turns silent, and one when it is back. A port that is gone says so
    /// itself, once for all its meters.
    fn tell_silence(&mut self, index: usize, point: &Name, outcome: &Outcome) {
        let Some(silence) = self.silences.get_mut(index) else { return };
        let turned = match outcome {
            Ok(_) => silence.answered(),
            Err((Reason::Port, _)) => None,
            Err(_) => silence.failed(),
        };
        match (turned, outcome) {
            (Some(Turned::Silent), Err((reason, detail))) => {
                warn!(bus = self.config.name, %point, "the meter is silent: {}: {detail}", reason.name());
            }
            (Some(Turned::Back { failures }), _) => {
                info!(bus = self.config.name, %point, failures, "the meter answers again");
            }
            _ => {}
        }
    }

    fn note(&self, index: usize, point: &Name, outcome: &Outcome) {
        let (now, failures) = (self.started.elapsed(), self.schedule.failures(index));
        let next = self.schedule.asked_next(index).filter(|_| failures > 0);
        let mut written = self.board.update();
        if let Some(bus) = written.buses.get_mut(&self.config.name) {
            match outcome {
                Ok(_) => bus.answered += 1,
                Err(_) => bus.failed += 1,
            }
        }
        let Some(status) = written.points.get_mut(point.as_str()) else { return };
        status.failures_in_a_row = failures;
        status.last_result = Some(Instant::now());
        status.asked_again = next.map(|next| {
            let wait_ms = i64::try_from(next.saturating_sub(now).as_millis()).unwrap_or(i64::MAX);
            rfc3339(unix_ms().saturating_add(wait_ms))
        });
        match outcome {
            Ok(Answer { record, .. }) => {
                status.answered += 1;
                status.last_record = Some(rfc3339(unix_ms()));
                let meter = &record.meter;
                let medium = Medium(meter.medium);
                status.meter = Some(format!("{} {} {medium}", meter.id, meter.manufacturer));
                status.value = telling_value(record);
                status.status.clone_from(&record.status);
            }
            Err((reason, detail)) => {
                status.absent += 1;
                status.last_failure = Some(format!("{}: {detail}", reason.name()));
            }
        }
    }
}

/// A time of the line as one of the world, in Unix milliseconds; `now` is the line's present.
pub(crate) fn unix_ms_at(at: Elapsed, now: Elapsed) -> i64 {
    let ago = i64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(0);
    unix_ms().saturating_sub(ago)
}

/// The end of a search that plombd itself broke off: nobody cancelled it.
fn stopped(line: ScanLine, stopping: bool) -> ScanLine {
    match line {
        ScanLine::Done { end, frames, found, took_s, .. } if stopping && end == "cancelled" => {
            ScanLine::Done { end: "failed".into(), detail: STOPPED.into(), frames, found, took_s }
        }
        line => line,
    }
}

/// Names the measuring point that a found meter is configured for.
fn self_named(line: ScanLine, meters: &[LineMeter]) -> ScanLine {
    let ScanLine::Found(mut found) = line else { return line };
    let known = meters.iter().find(|meter| meter.mbus().is_some_and(|meter| meter.is(&found)));
    found.point = known.map(|meter| meter.point.to_string());
    ScanLine::Found(found)
}

async fn tell_end(lines: &mpsc::Sender<ScanLine>, end: &str, detail: String) {
    let line = ScanLine::Done { end: end.into(), detail, frames: 0, found: 0, took_s: 0.0 };
    // Whoever asked may be gone.
    let _ = lines.send(line).await;
}

/// The register that a person wants to see first.
pub(crate) fn telling_value(record: &Record) -> Option<String> {
    let told = record.readings.iter().find(|reading| reading.obis.is_some() && !reading.unit.is_empty());
    told.or(record.readings.first()).map(|reading| {
        let obis = reading.obis.map_or(reading.quantity.clone(), |obis| obis.to_string());
        format!("{obis} {} {}", reading.value, reading.unit)
    })
}
