//! Asks the meters of one line, and hands what they said, or why they did not, to the journal.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use plomb_mbus::{
    Address, Identification, Manufacturer, Medium, ReadConfig, ReadEvent, ReadFailure, ReadMeter, SecondaryAddress,
    TELEGRAM_COUNT_MAX, Target,
};
use plomb_seal::{Absent, Name, Occurrence, Reason, Record};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tracing::{info, warn};

use crate::{
    clock::unix_ms,
    config::{self, Select},
    exchange::Exchanges,
    journal::{Journal, JournalError},
    link::{Link, drive, usual_latency},
    normalise::mbus::{NormaliseError, record},
    outage::{Outage, Range},
    scan::{ScanLine, ScanOrder, wired_on},
    schedule::{Elapsed, Schedule, Skipped, Turn},
    silence::{Silence, Turned},
    status::{Board, Bus as BusStatus, Point, rfc3339},
};

/// The most questions of people that wait for one line.
pub const QUESTIONS_MAX: usize = 16;
/// A meter that has been silent is asked again only so often.
const SILENT_RETRIES: u8 = 1;
/// How long a port that failed is left alone at least, and at most.
const REOPEN_MIN: Duration = Duration::from_millis(500);
const REOPEN_MAX: Duration = Duration::from_secs(30);

/// A person's question to a meter, outside its turn.
pub struct Question {
    /// The measuring point.
    pub point: Name,
    /// Where the answer goes: the record, or why there is none.
    pub answer: oneshot::Sender<Result<Record, String>>,
}

/// A line and its meters.
pub struct BusTask {
    config: config::Bus,
    meters: Vec<MeterOnBus>,
    silences: Vec<Silence>,
    outage: Outage,
    exchanges: Exchanges,
    schedule: Schedule,
    started: Instant,
    journal: Journal,
    board: Arc<Board>,
    questions: mpsc::Receiver<Question>,
    scans: mpsc::Receiver<ScanOrder>,
    stop: watch::Receiver<bool>,
    link: Option<Link>,
    reopen_after: Duration,
    reopen_at: Instant,
    port_error: Option<String>,
}

/// A meter as the line sees it.
#[derive(Debug, Clone)]
struct MeterOnBus {
    point: Name,
    target: Target,
    config: ReadConfig,
}

/// What came of asking a meter: its record with the raw frames, or why not.
type Outcome = Result<(Record, Vec<Vec<u8>>), (Reason, String)>;

impl BusTask {
    /// A line with the meters that are on it.
    pub fn new(
        bus: &config::Bus,
        meters: &[config::Meter],
        journal: Journal,
        board: Arc<Board>,
        (questions, scans): (mpsc::Receiver<Question>, mpsc::Receiver<ScanOrder>),
        stop: watch::Receiver<bool>,
    ) -> Result<Self, String> {
        let own: Vec<&config::Meter> = meters.iter().filter(|meter| meter.bus == bus.name).collect();
        let on_bus = own.iter().map(|meter| MeterOnBus::new(meter, bus)).collect::<Result<Vec<_>, _>>()?;
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
            questions,
            scans,
            stop,
            link: None,
            reopen_after: REOPEN_MIN,
            reopen_at: started,
            port_error: None,
        })
    }

    /// Runs until told to stop, or until the journal fails.
    pub async fn run(mut self) -> Result<(), JournalError> {
        let mut waiting: Vec<Question> = Vec::new();
        while !*self.stop.borrow() {
            while let Ok(question) = self.questions.try_recv() {
                self.take_question(question, &mut waiting);
            }
            if let Ok(order) = self.scans.try_recv() {
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
                        Some(question) = self.questions.recv() => self.take_question(question, &mut waiting),
                        Some(order) = self.scans.recv() => self.scan(order).await,
                    }
                }
            }
        }
        for index in 0..self.meters.len() {
            self.tell_held(index).await?;
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

    async fn ask(
        &mut self,
        index: usize,
        due: Duration,
        silent: bool,
        waiting: &mut Vec<Question>,
    ) -> Result<(), JournalError> {
        let Some(meter) = self.meters.get(index).cloned() else { return Ok(()) };
        let begun = Instant::now();
        let outcome = self.read(&meter, silent).await;
        if *self.stop.borrow() && outcome.is_err() {
            // Broken off by us: the meter is not to blame, and the stop is an entry of its own.
            return Ok(());
        }
        match &outcome {
            Ok(_) => self.schedule.answered(index),
            Err(_) => self.schedule.failed(index, begun.elapsed()),
        }
        self.note(index, &meter.point, &outcome);
        self.tell_silence(index, &meter.point, &outcome);
        for question in waiting.extract_if(.., |question| question.point == meter.point) {
            let answer = outcome.as_ref().map(|(record, _)| record.clone()).map_err(|(_, detail)| detail.clone());
            // Whoever asked may be gone.
            let _ = question.answer.send(answer);
        }
        match outcome {
            Ok((record, frames)) => {
                self.tell_held(index).await?;
                if let Some(event) = self.exchanges.take(&meter.point, &record) {
                    warn!(bus = self.config.name, point = %meter.point, "another meter answers than the last time: entered");
                    let ticket = self.journal.append(Occurrence::Event(event), Vec::new()).await;
                    self.accept(ticket.map(drop))?;
                }
                let ticket = self.journal.append(Occurrence::Record(meter.point, record), frames).await;
                self.accept(ticket.map(drop))
            }
            Err((reason, detail)) => self.absent(index, due, reason, detail).await,
        }
    }

    async fn skip(&mut self, index: usize, due: Duration, why: Skipped) -> Result<(), JournalError> {
        let Some(meter) = self.meters.get(index) else { return Ok(()) };
        let (reason, detail) = match (&self.port_error, why) {
            // Nobody could have been asked.
            (Some(gone), _) => (Reason::Port, gone.clone()),
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

    async fn read(&mut self, meter: &MeterOnBus, silent: bool) -> Outcome {
        let mut config = meter.config;
        if silent {
            config.retries = config.retries.min(SILENT_RETRIES);
        }
        self.open().await.map_err(|detail| (Reason::Port, detail))?;
        let Some(link) = &mut self.link else { return Err((Reason::Port, "the port is closed".into())) };
        let mut session = ReadMeter::new(meter.target, config);
        let (mut frames, mut failure) = (Vec::new(), None);
        let driven = drive(&mut session, link, |event| match event {
            ReadEvent::Telegram(telegram) => frames.push(telegram.bytes),
            ReadEvent::Failed(why) => failure = Some(why),
            ReadEvent::Done { .. } => {}
        });
        tokio::select! {
            result = driven => {
                if let Err(error) = result {
                    return Err((Reason::Port, self.close(&error)));
                }
            }
            _ = self.stop.changed() => return Err((Reason::Busy, "stopped".into())),
        }
        match failure {
            // Telegrams that came before the failure are a part of the answer only: not a record to bill on.
            Some(why) => Err((reason_of(&why), why.to_string())),
            None => record(&frames).map(|record| (record, frames)).map_err(|error| match error {
                NormaliseError::Refused(_) => (Reason::Refused, error.to_string()),
                _ => (Reason::Malformed, error.to_string()),
            }),
        }
    }

    /// Searches the line. Meanwhile no meter is read; readings that fall due are entered as absent.
    async fn scan(&mut self, order: ScanOrder) {
        let ScanOrder { options, lines } = order;
        if let Err(detail) = self.open().await {
            return tell_end(&lines, "failed", detail).await;
        }
        let Some(link) = &mut self.link else { return };
        info!(bus = self.config.name, "searching the line; polling pauses");
        let mut stop = self.stop.clone();
        let given_up = async {
            tokio::select! {
                () = lines.closed() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        };
        let mut told = Vec::new();
        let scanned = wired_on(link, &self.config, &options, given_up, |line| match line {
            // Whoever is slow misses progress, never a meter.
            ScanLine::Progress { .. } => drop(lines.try_send(line)),
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
            let detail = self.close(&error);
            tell_end(&lines, "failed", detail).await;
        }
        info!(bus = self.config.name, "polling goes on");
    }

    async fn open(&mut self) -> Result<(), String> {
        if self.link.is_some() {
            return Ok(());
        }
        if let (Some(error), true) = (&self.port_error, Instant::now() < self.reopen_at) {
            return Err(error.clone());
        }
        match Link::open(&self.config.port, self.config.baud, self.config.parity).await {
            Ok(link) => {
                info!(bus = self.config.name, port = self.config.port, "port open");
                self.link = Some(link);
                (self.reopen_after, self.port_error) = (REOPEN_MIN, None);
                if let Some(status) = self.board.update().buses.get_mut(&self.config.name) {
                    (status.open, status.last_error) = (true, None);
                }
                Ok(())
            }
            Err(error) => Err(self.close(&error)),
        }
    }

    /// Closes the port after an error, and says when it is tried again.
    fn close(&mut self, error: &io::Error) -> String {
        let detail = format!("{}: {error}; {}", self.config.port, advice(error));
        if self.port_error.is_none() {
            warn!(bus = self.config.name, "{detail}");
        }
        self.link = None;
        self.reopen_at = Instant::now() + self.reopen_after;
        self.reopen_after = (self.reopen_after * 2).min(REOPEN_MAX);
        self.port_error = Some(detail.clone());
        if let Some(status) = self.board.update().buses.get_mut(&self.config.name) {
            (status.open, status.last_error) = (false, Some(detail.clone()));
        }
        detail
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
            Ok((record, _)) => {
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

/// Reads one meter once, for a person, over a link of its own.
pub async fn read_once(meter: &config::Meter, bus: &config::Bus) -> Result<(Record, Vec<Vec<u8>>), String> {
    let on_bus = MeterOnBus::new(meter, bus)?;
    let port = |error: io::Error| format!("{}: {error}; {}", bus.port, advice(&error));
    let mut link = Link::open(&bus.port, bus.baud, bus.parity).await.map_err(port)?;
    let mut session = ReadMeter::new(on_bus.target, on_bus.config);
    let (mut frames, mut failure) = (Vec::new(), None);
    let driven = drive(&mut session, &mut link, |event| match event {
        ReadEvent::Telegram(telegram) => frames.push(telegram.bytes),
        ReadEvent::Failed(why) => failure = Some(why),
        ReadEvent::Done { .. } => {}
    });
    driven.await.map_err(port)?;
    if let Some(why) = failure {
        return Err(why.to_string());
    }
    record(&frames).map(|record| (record, frames)).map_err(|error| error.to_string())
}

/// Whether an identity that was found is one that is wanted. What either does not say is no difference.
fn is_of(wanted: &SecondaryAddress, found: &SecondaryAddress) -> bool {
    fn agree<T: PartialEq + Copy>(wanted: Option<T>, found: Option<T>) -> bool {
        wanted.is_none() || found.is_none() || wanted == found
    }
    wanted.matches_id(found.id)
        && agree(wanted.manufacturer, found.manufacturer)
        && agree(wanted.version, found.version)
        && agree(wanted.medium, found.medium)
}

/// Names the measuring point that a found meter is configured for.
fn self_named(line: ScanLine, meters: &[MeterOnBus]) -> ScanLine {
    let ScanLine::Found(mut found) = line else { return line };
    let identity = found.identity.as_deref().and_then(|text| secondary(text).ok());
    let known = meters.iter().find(|meter| match meter.target {
        Target::Primary(Address(address)) => found.address == Some(address),
        Target::Secondary(wanted) => identity.is_some_and(|identity| is_of(&wanted, &identity)),
    });
    found.point = known.map(|meter| meter.point.to_string());
    ScanLine::Found(found)
}

async fn tell_end(lines: &mpsc::Sender<ScanLine>, end: &str, detail: String) {
    let line = ScanLine::Done { end: end.into(), detail, frames: 0, found: 0, took_s: 0.0 };
    // Whoever asked may be gone.
    let _ = lines.send(line).await;
}

/// The timing of a line, as far as it is configured; the rest comes from the standard.
pub(crate) fn line_timing(bus: &config::Bus, baud: u32) -> ReadConfig {
    let millis = |ms: u32| Duration::from_millis(ms.into());
    let mut config = ReadConfig::new(baud);
    config.reply_timeout = bus.reply_timeout_ms.map(millis);
    config.gap_timeout = bus.gap_timeout_ms.map(millis);
    config.extra_latency = bus.latency_ms.map_or_else(|| usual_latency(&bus.port), millis);
    config.retries = bus.retries.unwrap_or(config.retries);
    config.telegrams_max = bus.telegrams_max.unwrap_or(config.telegrams_max).min(TELEGRAM_COUNT_MAX);
    config.select_with_fcb = bus.select == Select::WithFcb;
    config
}

impl MeterOnBus {
    fn new(meter: &config::Meter, bus: &config::Bus) -> Result<Self, String> {
        let target = match (meter.address, &meter.secondary) {
            (Some(address), _) => Target::Primary(Address(address)),
            (None, Some(text)) => {
                Target::Secondary(secondary(text).map_err(|error| format!("meter \"{}\": {error}", meter.point))?)
            }
            (None, None) => return Err(format!("meter \"{}\" has no address", meter.point)),
        };
        let timing = meter.timing(bus);
        let mut config = ReadConfig::new(bus.baud);
        let millis = |ms: u32| Duration::from_millis(ms.into());
        config.reply_timeout = timing.reply_timeout_ms.map(millis);
        config.gap_timeout = timing.gap_timeout_ms.map(millis);
        config.extra_latency = bus.latency_ms.map_or_else(|| usual_latency(&bus.port), millis);
        config.retries = timing.retries.unwrap_or(config.retries);
        config.telegrams_max = timing.telegrams_max.unwrap_or(config.telegrams_max).min(TELEGRAM_COUNT_MAX);
        config.select_with_fcb = bus.select == Select::WithFcb;
        let point = meter.point.parse().map_err(|error| format!("meter point: {error}"))?;
        Ok(Self { point, target, config })
    }
}

/// Reads `12345678`, `12345678.ACW.0E.07` or `12345678.ACW.0E.07.87654321` (with the fabrication number),
/// parts left out or `*` for any.
pub fn secondary(text: &str) -> Result<SecondaryAddress, String> {
    let wrong =
        || format!("\"{text}\" is no secondary address: write 12345678, or 12345678.ACW.0E.07 with * for any part");
    let mut parts = text.split('.');
    let id: Identification = parts.next().unwrap_or_default().parse().map_err(|_| wrong())?;
    let mut part = || parts.next().filter(|part| *part != "*");
    let manufacturer = match part() {
        None => None,
        Some(letters) => {
            let letters: [u8; 3] = letters.as_bytes().try_into().map_err(|_| wrong())?;
            Some(Manufacturer::from_letters(letters).ok_or_else(wrong)?)
        }
    };
    let byte = |part: Option<&str>| part.map(|hex| u8::from_str_radix(hex, 16)).transpose().map_err(|_| wrong());
    let version = byte(part())?;
    let medium = byte(part())?.map(Medium);
    let fabrication = part().map(|digits| digits.parse().map_err(|_| wrong())).transpose()?;
    if parts.next().is_some() {
        return Err(wrong());
    }
    Ok(SecondaryAddress { id, manufacturer, version, medium, fabrication })
}

fn reason_of(failure: &ReadFailure) -> Reason {
    match failure {
        ReadFailure::NoReply { .. } => Reason::Timeout,
        ReadFailure::Collision { .. } => Reason::Collision,
        ReadFailure::Checksum { .. } => Reason::Checksum,
        ReadFailure::WrongAddress { .. } | ReadFailure::WrongMeter { .. } => Reason::OtherMeter,
        ReadFailure::Refused { .. } | ReadFailure::NoData { .. } => Reason::Refused,
        ReadFailure::EndlessTelegrams { .. } => Reason::Endless,
        _ => Reason::Malformed,
    }
}

/// A port's error in words, with what to do.
pub fn explain(port: &str, error: &io::Error) -> String {
    format!("{port}: {error}; {}", advice(error))
}

pub(crate) fn advice(error: &io::Error) -> &'static str {
    // The serial library reports a port that somebody holds as missing.
    if error.to_string().contains("exclusive lock") {
        return "another program has the port open; while plombd runs, ask it: plomb read --point NAME";
    }
    match error.kind() {
        io::ErrorKind::NotFound => "is the adapter plugged in? Use its name under /dev/serial/by-id",
        io::ErrorKind::PermissionDenied => "add the user to the group that owns the port (often dialout)",
        io::ErrorKind::UnexpectedEof => "the adapter was unplugged; it is opened again when it is back",
        io::ErrorKind::ResourceBusy => "another program has the port open",
        _ => "it is tried again",
    }
}

/// The register that a person wants to see first.
pub(crate) fn telling_value(record: &Record) -> Option<String> {
    let told = record.readings.iter().find(|reading| reading.obis.is_some() && !reading.unit.is_empty());
    told.or(record.readings.first()).map(|reading| {
        let obis = reading.obis.map_or(reading.quantity.clone(), |obis| obis.to_string());
        format!("{obis} {} {}", reading.value, reading.unit)
    })
}
