//! One receiver and the meters that are heard through it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use plomb_profiles::Library;
use plomb_receivers::{Form, Heard as Received, ReceiverEvent};
use plomb_seal::{Absent, Event, Name, Occurrence, Reason};
use plomb_wmbus::Format;
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use super::{
    air_scan::AirScan,
    listener::{Heard, Listener, Missing, Outcome},
    receive::{self, EVENTS_MAX, FromReceiver},
};
use crate::{
    ask::deed::refuse_on_listened_line,
    clock::unix_ms,
    config,
    exchange::Exchanges,
    journal::{Journal, JournalError},
    keys::Keys,
    outage::{Outage, Range},
    poll::{Asked, Question, telling_value, unix_ms_at},
    status::{Board, Bus as BusStatus, Point, rfc3339},
};

/// How often due times are looked at.
const TICK: std::time::Duration = std::time::Duration::from_millis(500);
/// How long a moved message counter may wait for a commit that takes it along.
const COUNTERS_UNWRITTEN_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// The most questions of people that wait for a telegram.
const QUESTIONS_MAX: usize = 16;
/// Of one point's refused telegrams of one kind, so many become events in an hour; all are counted.
const REFUSAL_EVENTS_PER_HOUR: u64 = 1;
const HOUR_S: u64 = 3600;
/// Refusals after which waiting for a better telegram is in vain.
const KEY_KINDS: [&str; 2] = ["key missing", "key wrong"];

/// A receiver and its meters.
pub struct RadioTask {
    config: config::Bus,
    points: Vec<Name>,
    listener: Listener,
    outage: Outage,
    /// Why the port is gone, while it is.
    port_error: Option<String>,
    journal: Journal,
    board: Arc<Board>,
    asked: Asked,
    scan: Option<AirScan>,
    stop: watch::Receiver<bool>,
    started: Instant,
    waiting: Vec<Question>,
    counters_since: Option<Instant>,
    /// Refusals that became events, by point and kind: in which hour, how many.
    told: BTreeMap<(usize, &'static str), (u64, u64)>,
    exchanges: Exchanges,
    /// In which hour loss was last warned of, and how many telegrams were lost since.
    lost: (Option<u64>, u64),
}

impl RadioTask {
    /// A receiver with the meters that are configured for it.
    pub fn new(
        bus: &config::Bus,
        meters: &[config::Meter],
        (keys, library): (Arc<Keys>, Arc<Library>),
        journal: Journal,
        board: Arc<Board>,
        asked: Asked,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, String> {
        let own: Vec<&config::Meter> = meters.iter().filter(|meter| meter.bus == bus.name).collect();
        let wanted = own.iter().map(|meter| super::wanted(meter, &keys)).collect::<Result<Vec<_>, _>>()?;
        let intervals: Vec<_> = own.iter().map(|meter| meter.interval()).collect();
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
                    radio: Some(crate::status::Radio::default()),
                    ..Point::default()
                };
                written.points.insert(meter.point.clone(), point);
            }
        }
        let listener = Listener::new(wanted, keys, library, journal.counters());
        let known: BTreeSet<Name> = points.iter().cloned().collect();
        let exchanges = Exchanges::recall(&journal, &known).map_err(|error| error.to_string())?;
        Ok(Self {
            config: bus.clone(),
            points,
            listener,
            outage: Outage::new(&intervals),
            port_error: None,
            journal,
            board,
            asked,
            scan: None,
            stop,
            started: Instant::now(),
            waiting: Vec::new(),
            counters_since: None,
            told: BTreeMap::new(),
            exchanges,
            lost: (None, 0),
        })
    }

    /// Runs until told to stop, or until the journal fails.
    pub async fn run(mut self) -> Result<(), JournalError> {
        let (send, mut events) = mpsc::channel(EVENTS_MAX);
        let receiving = receive::Task(tokio::spawn(receive::keep(self.config.clone(), send)));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*self.stop.borrow() {
            tokio::select! {
                Some(event) = events.recv() => self.take(event).await?,
                _ = tick.tick() => self.look_at_time().await?,
                Some(deed) = self.asked.deeds.recv() => refuse_on_listened_line(deed),
                Some(question) = self.asked.questions.recv() => self.take_question(question),
                Some(order) = self.asked.scans.recv(), if self.scan.is_none() => self.scan = Some(AirScan::begin(order, self.listener.library())),
                _ = self.stop.changed() => {}
            }
        }
        drop(receiving);
        for index in 0..self.points.len() {
            self.tell_held(index).await?;
        }
        if let Some(scan) = self.scan.take() {
            scan.end("failed");
        }
        if self.journal.has_unwritten_counters() {
            self.journal.flush().await?;
        }
        Ok(())
    }

    async fn take(&mut self, event: FromReceiver) -> Result<(), JournalError> {
        match event {
            FromReceiver::Port(detail) => {
                self.listener.port_failed(&detail);
                self.port_error = Some(detail.clone());
                let mut board = self.board.update();
                let Some(bus) = board.buses.get_mut(&self.config.name) else { return Ok(()) };
                if bus.last_error.as_deref() != Some(detail.as_str()) {
                    warn!(bus = self.config.name, "{detail}");
                }
                (bus.open, bus.last_error) = (false, Some(detail));
            }
            FromReceiver::Receiver(ReceiverEvent::Ready(identity)) => {
                info!(bus = self.config.name, receiver = %identity, "listening");
                self.port_error = None;
                if let Some(bus) = self.board.update().buses.get_mut(&self.config.name) {
                    (bus.open, bus.last_error, bus.receiver) = (true, None, Some(identity.to_string()));
                }
            }
            FromReceiver::Receiver(ReceiverEvent::Heard(received)) => return self.hear(&received).await,
            FromReceiver::Receiver(ReceiverEvent::Noise(_)) => self.count(|bus| bus.noise += 1),
            FromReceiver::Receiver(ReceiverEvent::Silent { since, resets }) => {
                let silent = format!("nothing was heard for {} s; the receiver is reset", since.as_secs());
                warn!(bus = self.config.name, resets, "{silent}");
                self.count(|bus| bus.last_error = Some(silent));
            }
            FromReceiver::Receiver(ReceiverEvent::Lost(telegrams)) => {
                self.warn_of_loss(u64::from(telegrams));
            }
            // The receiving task tells a failure as a port's, with what to do.
            FromReceiver::Receiver(_) => {}
        }
        Ok(())
    }

    pub(super) async fn hear(&mut self, received: &Received) -> Result<(), JournalError> {
        if let Some(scan) = &mut self.scan {
            let (listener, points) = (&self.listener, &self.points);
            scan.hear(received, |identity| Some(points.get(listener.meter_of(identity)?)?.to_string()));
        }
        let now = self.started.elapsed();
        let format = match received.form {
            Form::CrcA => Some(Format::A),
            Form::CrcB => Some(Format::B),
            Form::Stripped => Some(Format::Stripped),
            Form::Chips => None,
        };
        match self.listener.hear_as(format, &received.bytes, received.rssi_dbm, now) {
            Outcome::Due(heard) => self.good(*heard, received, true).await,
            Outcome::Heard(heard) => self.good(*heard, received, false).await,
            Outcome::Refused { meter, kind, detail } => {
                self.note(meter);
                self.count(|bus| bus.failed += 1);
                self.answer_refused(meter, kind, &detail);
                self.tell_refusal(meter, kind, detail).await
            }
            Outcome::Duplicate(meter) | Outcome::Fragment(meter) => {
                self.note(meter);
                Ok(())
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

    async fn good(&mut self, heard: Heard, received: &Received, due: bool) -> Result<(), JournalError> {
        let Heard { meter, record, counter, protection, .. } = heard;
        if let Some((name, value)) = counter {
            // Before the entry: a telegram whose counter is kept can be lost with the loss window, never repeated.
            self.accept(self.journal.advance_counter(&name, value))?;
            self.counters_since.get_or_insert_with(Instant::now);
        }
        self.note(meter);
        let (Some(point), Ok(record)) = (self.points.get(meter).cloned(), record) else { return Ok(()) };
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
                let medium = plomb_mbus::Medium(record.meter.medium);
                status.meter = Some(format!("{} {} {medium}", record.meter.id, record.meter.manufacturer));
                status.value = telling_value(&record);
                status.status.clone_from(&record.status);
                status.failures_in_a_row = 0;
                status.last_record = Some(rfc3339(unix_ms()));
                status.last_result = Some(Instant::now());
                status.answered += u64::from(due);
                if let Some(radio) = &mut status.radio {
                    radio.protection = Some(protection.into());
                }
            }
        }
        if !due {
            return Ok(());
        }
        self.tell_held(meter).await?;
        if let Some(event) = self.exchanges.take(&point, &record) {
            warn!(bus = self.config.name, %point, "another meter is heard than the last time: entered");
            let appended = self.journal.append(Occurrence::Event(event), Vec::new()).await;
            self.accept(appended.map(drop))?;
        }
        let appended = self.journal.append(Occurrence::Record(point, record), vec![received.bytes.clone()]).await;
        self.accept(appended.map(drop))
    }

    /// Noise on a fast line looks like loss: it must not fill the log.
    fn warn_of_loss(&mut self, telegrams: u64) {
        let hour = self.started.elapsed().as_secs() / HOUR_S;
        let (told, lost) = &mut self.lost;
        *lost = lost.saturating_add(telegrams);
        if *told != Some(hour) {
            let what = "telegrams were lost, or noise came: more than was taken; told once an hour";
            warn!(bus = self.config.name, telegrams = *lost, "{what}");
            self.lost = (Some(hour), 0);
        }
    }

    /// Whoever waits for a meter that can't be opened waits in vain. A forgery gets no such word: the meter's own
    /// telegram may come yet.
    fn answer_refused(&mut self, meter: usize, kind: &'static str, detail: &str) {
        let Some(point) = self.points.get(meter) else { return };
        if !KEY_KINDS.contains(&kind) {
            return;
        }
        for question in self.waiting.extract_if(.., |question| question.point == *point) {
            // Whoever asked may be gone.
            let _ = question.answer.send(Err(format!("its telegram is refused: {kind}: {detail}")));
        }
    }

    /// What was refused is evidence too, but a sender of forgeries must not fill the journal.
    async fn tell_refusal(&mut self, meter: usize, kind: &'static str, detail: String) -> Result<(), JournalError> {
        let hour = self.started.elapsed().as_secs() / HOUR_S;
        let told = self.told.entry((meter, kind)).or_default();
        if told.0 != hour {
            *told = (hour, 0);
        }
        if told.1 >= REFUSAL_EVENTS_PER_HOUR {
            return Ok(());
        }
        told.1 += 1;
        let Some(point) = self.points.get(meter) else { return Ok(()) };
        warn!(point = point.as_str(), kind, "telegram refused: {detail}");
        let details = [("point", point.as_str()), ("kind", kind), ("detail", &detail)];
        let details = details.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
        let event = Occurrence::Event(Event { name: "telegram-refused".into(), details });
        let appended = self.journal.append(event, Vec::new()).await;
        self.accept(appended.map(drop))
    }

    async fn look_at_time(&mut self) -> Result<(), JournalError> {
        if let Some(scan) = self.scan.take_if(|scan| scan.is_over()) {
            scan.end("complete");
        }
        if let Some(scan) = &self.scan {
            scan.tick();
        }
        let now = self.started.elapsed();
        for Missing { meter, due, reason, detail } in self.listener.missing(now) {
            let (reason, detail) = self.port_error.clone().map_or((reason, detail), |gone| (Reason::Port, gone));
            let Some(point) = self.points.get(meter) else { continue };
            if let Some(status) = self.board.update().points.get_mut(point.as_str()) {
                status.absent += 1;
                status.last_result = Some(Instant::now());
                status.failures_in_a_row = status.failures_in_a_row.saturating_add(1);
                status.last_failure = Some(format!("{}: {detail}", reason.name()));
            }
            if reason == Reason::Port {
                if let Some(range) = self.outage.missed(meter, due, now, &detail) {
                    self.tell_range(meter, range).await?;
                }
                continue;
            }
            self.tell_held(meter).await?;
            self.enter(meter, Absent { due_ms: unix_ms_at(due, now), reason, detail }).await?;
        }
        if !self.journal.has_unwritten_counters() {
            self.counters_since = None;
        } else if self.counters_since.is_some_and(|since| since.elapsed() >= COUNTERS_UNWRITTEN_MAX) {
            self.journal.flush().await?;
        }
        Ok(())
    }

    /// What a meter missed while the port was gone, as far as it is not told yet.
    async fn tell_held(&mut self, meter: usize) -> Result<(), JournalError> {
        match self.outage.held(meter) {
            Some(range) => self.tell_range(meter, range).await,
            None => Ok(()),
        }
    }

    async fn tell_range(&self, meter: usize, range: Range) -> Result<(), JournalError> {
        let now = self.started.elapsed();
        self.enter(meter, self.outage.absent(range, |at| unix_ms_at(at, now))).await
    }

    async fn enter(&self, meter: usize, absent: Absent) -> Result<(), JournalError> {
        let Some(point) = self.points.get(meter).cloned() else { return Ok(()) };
        let appended = self.journal.append(Occurrence::Absent(point, absent), Vec::new()).await;
        self.accept(appended.map(drop))
    }

    fn take_question(&mut self, question: Question) {
        let known = self.points.contains(&question.point);
        if known && self.waiting.len() < QUESTIONS_MAX {
            self.waiting.retain(|waiting| !waiting.answer.is_closed());
            self.waiting.push(question);
            return;
        }
        let why = if known { "too many questions wait for telegrams; try again later" } else { "no such point here" };
        // Whoever asked may be gone.
        let _ = question.answer.send(Err(why.into()));
    }

    /// A full journal costs this entry and no more; any other failure stops the daemon.
    fn accept(&self, appended: Result<(), JournalError>) -> Result<(), JournalError> {
        match appended {
            Err(JournalError::Full { .. }) => Ok(()),
            Err(error @ JournalError::TooManyCounters { .. }) => {
                warn!("{error}; after a restart older telegrams of this meter could be repeated");
                Ok(())
            }
            other => other,
        }
    }

    /// Writes down how a meter is received.
    fn note(&self, meter: usize) {
        let (Some(point), Some(reception)) = (self.points.get(meter), self.listener.reception(meter)) else { return };
        let now = self.started.elapsed();
        let mut board = self.board.update();
        let Some(radio) = board.points.get_mut(point.as_str()).and_then(|status| status.radio.as_mut()) else { return };
        radio.telegrams = reception.telegrams;
        radio.duplicates = reception.duplicates;
        radio.refused = reception.refused.iter().map(|(kind, count)| ((*kind).to_string(), *count)).collect();
        radio.last_refusal.clone_from(&reception.last_refusal);
        radio.rssi_dbm = reception.rssi_dbm;
        radio.expected_interval_s = reception.expected_interval.map(|expected| expected.as_secs_f64());
        radio.heard_24h_percent = reception.share_percent(now);
        let time = |at| rfc3339(unix_ms_at(at, now));
        (radio.last_heard, radio.last_refused) = (reception.last.map(time), reception.last_refused.map(time));
    }

    fn count(&self, write: impl FnOnce(&mut BusStatus)) {
        if let Some(bus) = self.board.update().buses.get_mut(&self.config.name) {
            write(bus);
        }
    }
}
