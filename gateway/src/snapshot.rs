//! Makes status snapshots, and judges them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plomb_seal::{Body, Entry, Unverified, batch::BATCH_ENTRIES_MAX};

use plomb_seal::Reason;

use crate::{
    clock::{SystemClock, state_name, unix_ms},
    journal::{self, JournalError, Reader},
    normalise::dlms::{CLOCK_AHEAD, CLOCK_BEHIND, CLOCK_DRIFT_MAX_S},
    push::seats::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX},
    silence::is_silent,
    status::{Board, Bus, Journal, Point, SCHEMA, Snapshot, rfc3339},
    uplink::UNANSWERED_MIN,
};

/// From this share of the quota on the gateway calls itself degraded, in percent.
pub const QUOTA_WARNING_PERCENT: u64 = 70;
/// A point of which neither an answer nor an absence came for so many intervals is held up.
pub const HELD_UP_INTERVALS: u32 = 3;
/// But for this long at least: a line may be busy.
pub const HELD_UP_MIN: Duration = Duration::from_secs(60);
/// How long a rollback stays a trouble, in milliseconds: a week, so that somebody sees it.
pub const ROLLBACK_TOLD_MS: i64 = 7 * 86_400_000;
/// So many epochs back a rollback is looked for.
const EPOCHS_LOOKED_AT_MAX: u32 = 16;
/// The event that says that this journal was older than the ledger's last anchor. It is an epoch's first entry, or
/// at least in its first batch: a file that replaces a lost one has no anchor yet when the ledger's comes.
const ROLLBACK: &str = "rollback-noticed";

/// What snapshots are made from.
pub struct Snapshots {
    /// The gateway.
    pub gateway: String,
    /// The journal.
    pub journal: journal::Journal,
    /// What tasks wrote down.
    pub board: Arc<Board>,
    /// The clock.
    pub clock: Arc<SystemClock>,
    /// Since when the daemon runs, Unix milliseconds.
    pub started_ms: i64,
}

impl Snapshots {
    /// The state now.
    pub fn take(&self) -> Snapshot {
        let (quota_bytes, hub_configured, orders) = {
            let board = self.board.update();
            (board.quota_bytes, board.hub_configured, board.orders.clone())
        };
        let journal = self.journal(quota_bytes);
        let (hub, buses, points, unanswered, vitals, vital_troubles) = {
            let board = self.board.update();
            let unanswered = board.unanswered.map(|since| since.elapsed());
            let (buses, points) = (board.buses.values().cloned().collect(), board.points.values().cloned().collect());
            let vitals = (board.vitals.clone(), board.vital_troubles.clone());
            (board.hub.clone(), buses, points, unanswered, vitals.0, vitals.1)
        };
        let clock = self.clock.stamp().clock;
        let mut snapshot = Snapshot {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            gateway: self.gateway.clone(),
            verdict: String::new(),
            troubles: Vec::new(),
            time: rfc3339(unix_ms()),
            clock: state_name(clock).into(),
            clock_doubt: self.clock.doubt(clock),
            started: rfc3339(self.started_ms),
            hub,
            journal,
            vitals,
            orders,
            buses,
            points,
        };
        snapshot.troubles = self.troubles(&snapshot, unanswered, hub_configured);
        snapshot.troubles.extend(vital_troubles);
        snapshot.verdict = if snapshot.troubles.is_empty() { "ok" } else { "degraded" }.into();
        snapshot
    }

    fn journal(&self, quota_bytes: u64) -> Journal {
        match self.journal.stats() {
            Ok(stats) => Journal {
                epoch: stats.epoch,
                entries: stats.next_seq,
                anchored: stats.anchored_seq,
                receipted: stats.acked_seq,
                oldest_unreceipted: stats.oldest_unreceipted_ms.map(rfc3339),
                stored_bytes: stats.stored_bytes,
                quota_bytes,
                written_bytes: stats.written_bytes,
                commits: stats.commits,
                refused_receipt: stats.refused_receipt,
                not_taken: stats.not_taken.count,
                last_not_taken: stats.not_taken.last,
                failed: stats.latched,
            },
            Err(error) => Journal { failed: Some(error.to_string()), ..Journal::default() },
        }
    }

    fn troubles(&self, snapshot: &Snapshot, unanswered: Option<Duration>, hub_configured: bool) -> Vec<String> {
        let mut troubles = Vec::new();
        let journal = &snapshot.journal;
        if let Some(failed) = &journal.failed {
            troubles.push(format!("journal: {failed}"));
        }
        if let Some(last) = &journal.last_not_taken {
            let count = journal.not_taken;
            let entries = if count == 1 { "entry is" } else { "entries are" };
            troubles.push(format!("{count} {entries} lost since the start, the last of {last}"));
        }
        if let Some(refusal) = &snapshot.hub.refusal {
            troubles.push(format!("the ledger refuses {refusal}"));
        }
        if let Some(refused) = &journal.refused_receipt {
            troubles.push(format!("the hub's receipt is not taken: {refused}"));
        }
        if hub_configured && !snapshot.hub.connected {
            let error = snapshot.hub.last_error.as_deref().unwrap_or("not yet connected");
            troubles.push(format!("hub not connected: {error}"));
        }
        troubles.extend(silence_of_the_hub(unanswered.filter(|_| snapshot.hub.connected)));
        if journal.stored_bytes.saturating_mul(100) >= journal.quota_bytes.saturating_mul(QUOTA_WARNING_PERCENT) {
            troubles.push(format!("journal at {} of {} bytes", journal.stored_bytes, journal.quota_bytes));
        }
        for bus in snapshot.buses.iter().filter(|bus| !bus.open) {
            if let Some(error) = &bus.last_error {
                troubles.push(format!("bus {}: {error}", bus.name));
            }
        }
        troubles.extend(snapshot.buses.iter().filter_map(|bus| crowded(bus, Instant::now())));
        troubles.extend(silences(&snapshot.points, &snapshot.buses));
        troubles.extend(held_up(&snapshot.points, &snapshot.buses, Instant::now()));
        troubles.extend(snapshot.orders.edits.iter().cloned());
        // A clock that was never set tells nothing about another.
        troubles
            .extend(clocks_off(&snapshot.points).filter(|_| snapshot.clock != state_name(plomb_seal::Clock::Unset)));
        // A journal that can't be read is told as such.
        troubles.extend(rollback(&self.journal.reader(), unix_ms()).unwrap_or_default());
        troubles
    }
}

/// The last rollback that was noticed, for as long as it is told. It is looked for in the journal: a restart does
/// not hide it, and neither does a clock that was put back.
///
/// # Errors
/// The journal can't be read.
pub fn rollback(reader: &Reader, now_ms: i64) -> Result<Option<String>, JournalError> {
    let snapshot = reader.snapshot()?;
    let present = snapshot.head()?.epoch;
    for epoch in (present.saturating_sub(EPOCHS_LOOKED_AT_MAX)..=present).rev() {
        if let Some(at_ms) = rolled_back_in(&snapshot, epoch)? {
            let recent = now_ms.saturating_sub(at_ms) < ROLLBACK_TOLD_MS;
            let what = "the journal was older than the ledger's last anchor: a card was put back, or a file lost";
            return Ok(recent.then(|| format!("rollback noticed at {}: {what}; look into why", rfc3339(at_ms))));
        }
    }
    Ok(None)
}

/// When a rollback was noticed with which this epoch began, if one was; in Unix milliseconds.
///
/// # Errors
/// The journal can't be read.
pub fn rolled_back_in(snapshot: &journal::Snapshot, epoch: u32) -> Result<Option<i64>, JournalError> {
    let first = snapshot.batch(epoch, 0)?.and_then(|batch| usize::try_from(batch.count).ok());
    let entries = snapshot.entries(epoch, 0, first.unwrap_or(BATCH_ENTRIES_MAX))?;
    Ok(entries.iter().rev().find_map(|entry| rollback_at(&entry.bytes)))
}

/// When a rollback was noticed, if an entry says so.
fn rollback_at(entry: &[u8]) -> Option<i64> {
    let entry = Unverified::<Entry>::parse(entry).ok()?;
    let noticed = matches!(&entry.claims().body, Body::Event(event) if event.name == ROLLBACK);
    noticed.then_some(entry.claims().stamp.unix_ms)
}

/// The points of which nothing at all came: their line hangs, or is too slow for its meters.
fn held_up(points: &[Point], buses: &[Bus], now: Instant) -> Option<String> {
    let open = |point: &Point| buses.iter().any(|bus| bus.name == point.bus && bus.open);
    let since = |point: &Point| now.saturating_duration_since(point.last_result.unwrap_or(now));
    let limit = |point: &Point| {
        let interval = Duration::try_from_secs_f64(point.interval_s).unwrap_or(Duration::MAX);
        interval.saturating_mul(HELD_UP_INTERVALS).max(HELD_UP_MIN)
    };
    let held: Vec<&str> = points
        .iter()
        .filter(|point| open(point) && since(point) > limit(point))
        .map(|point| point.point.as_str())
        .collect();
    let what = format!("without any result for {HELD_UP_INTERVALS} intervals, their line hangs or is too slow");
    (!held.is_empty()).then(|| format!("{} {what}: {}", meters(held.len()), held.join(", ")))
}

fn meters(count: usize) -> String {
    if count == 1 { "1 meter".into() } else { format!("{count} meters") }
}

/// The hub takes batches and answers none.
fn silence_of_the_hub(unanswered: Option<Duration>) -> Option<String> {
    let seconds = unanswered.filter(|waited| *waited >= UNANSWERED_MIN)?.as_secs();
    Some(format!("connected, and no receipt for {seconds} s of sending: look at the hub's log and status"))
}

/// A port on which connections are held open that say nothing, so many that some gave way.
fn crowded(bus: &Bus, now: Instant) -> Option<String> {
    let from = bus.gave_way_from.as_deref().filter(|_| bus.is_crowded(now))?;
    Some(format!(
        "bus {}: {} connections gave way to others, the last one of {from}: at most {CONNECTIONS_MAX} stay, and \
         {CONNECTIONS_PER_ADDRESS_MAX} of an address; who holds them open and sends nothing?",
        bus.name, bus.gave_way
    ))
}

/// The meters whose clock is far from the gateway's.
fn clocks_off(points: &[Point]) -> Option<String> {
    let is_off = |point: &&Point| point.status.iter().any(|word| word == CLOCK_AHEAD || word == CLOCK_BEHIND);
    let off: Vec<&str> = points.iter().filter(is_off).map(|point| point.point.as_str()).collect();
    let what = format!("with a clock more than {} min off", CLOCK_DRIFT_MAX_S / 60);
    (!off.is_empty())
        .then(|| format!("{} {what}, set it or bill by it with care: {}", meters(off.len()), off.join(", ")))
}

/// The meters that do not answer. Where the port is gone, that is the trouble, and not its meters.
fn silences(points: &[Point], buses: &[Bus]) -> Vec<String> {
    let open = |point: &Point| buses.iter().any(|bus| bus.name == point.bus && bus.open);
    let silent: Vec<&Point> =
        points.iter().filter(|point| is_silent(point.answered, point.failures_in_a_row) && open(point)).collect();
    let mut troubles = Vec::new();
    for kind in [Silent::Locked, Silent::NeverHeard, Silent::Never, Silent::Fell, Silent::Refuses] {
        let names: Vec<&str> =
            silent.iter().filter(|point| Silent::of(point) == kind).map(|point| point.point.as_str()).collect();
        if !names.is_empty() {
            troubles.push(format!("{} {}: {}", meters(names.len()), kind.words(), names.join(", ")));
        }
    }
    troubles
}

/// In which way a meter gives no readings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Silent {
    /// It speaks, and can't be opened.
    Locked,
    /// It answers, and what it says is no reading.
    Refuses,
    /// By radio, it was never heard.
    NeverHeard,
    /// On a line, it never answered.
    Never,
    /// It fell silent.
    Fell,
}

/// Reasons that nobody can give who does not answer in whole frames: address, speed and wiring are right.
const ANSWERED: [Reason; 3] = [Reason::Refused, Reason::OtherMeter, Reason::Replayed];

impl Silent {
    fn of(point: &Point) -> Self {
        let failure = point.last_failure.as_deref().unwrap_or_default();
        let said = |reason: Reason| failure.split_once(':').is_some_and(|(name, _)| name == reason.name());
        match &point.radio {
            _ if said(Reason::Key) => Self::Locked,
            None if point.answered == 0 && ANSWERED.into_iter().any(said) => Self::Refuses,
            Some(_) if point.answered == 0 => Self::NeverHeard,
            None if point.answered == 0 => Self::Never,
            _ => Self::Fell,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Locked => "heard and not opened, key missing or wrong",
            Self::Refuses => "never read though something answers, see what it says in its row",
            Self::NeverHeard => "not heard since the start, check battery, distance, receiver and modes",
            Self::Never => "silent since the start, check address, baud rate and wiring",
            Self::Fell => "silent",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn point(name: &str, answered: u64, failures_in_a_row: u32) -> Point {
        Point { point: name.into(), bus: "cellar".into(), answered, failures_in_a_row, ..Point::default() }
    }

    #[test]
    fn a_hub_that_takes_batches_and_answers_none_is_a_trouble() {
        assert_eq!(silence_of_the_hub(None), None);
        assert_eq!(silence_of_the_hub(Some(UNANSWERED_MIN - Duration::from_secs(1))), None);
        assert!(silence_of_the_hub(Some(UNANSWERED_MIN)).is_some_and(|text| text.contains("no receipt for 120 s")));
    }

    #[test]
    fn the_time_without_a_connection_does_not_count_as_the_hubs_silence() {
        let (board, begun) = (Board::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut inner = board.update();
        inner.unanswered = Some(begun);
        inner.disconnected = Some(after(50));
        inner.connected(after(3650));
        assert_eq!((inner.unanswered, inner.disconnected), (Some(after(3600)), None));
    }

    #[test]
    fn a_meter_that_never_answered_is_a_trouble_from_its_first_failure() {
        let mut bus = Bus { name: "cellar".into(), open: true, ..Bus::default() };
        let points = [point("good", 5, 0), point("late", 5, 2), point("dead", 0, 1), point("gone", 5, 3)];
        assert_eq!(
            silences(&points, std::slice::from_ref(&bus)),
            ["1 meter silent since the start, check address, baud rate and wiring: dead", "1 meter silent: gone"]
        );
        assert_eq!(silences(&points[..2], std::slice::from_ref(&bus)), Vec::<String>::new());
        let locked = Point { last_failure: Some("key: no key is at hand".into()), ..point("locked", 0, 1) };
        let refused = Point { last_failure: Some("refused: no such register".into()), ..point("strange", 0, 1) };
        assert_eq!(
            silences(&[refused], std::slice::from_ref(&bus)),
            ["1 meter never read though something answers, see what it says in its row: strange"]
        );
        let unheard = Point { radio: Some(crate::status::Radio::default()), ..point("unheard", 0, 1) };
        assert_eq!(
            silences(&[locked, unheard], std::slice::from_ref(&bus)),
            [
                "1 meter heard and not opened, key missing or wrong: locked",
                "1 meter not heard since the start, check battery, distance, receiver and modes: unheard"
            ]
        );
        bus.open = false;
        assert_eq!(silences(&points, &[bus]), Vec::<String>::new(), "the port is the trouble");
    }

    #[test]
    fn connections_that_gave_way_and_clocks_that_are_off_are_troubles() {
        let at = Instant::now();
        let bus = Bus { name: "push".into(), gave_way: 7, gave_way_from: Some("192.0.2.9".into()), ..Bus::default() };
        assert_eq!(crowded(&bus, at), None);
        let bus = Bus { gave_way_at: Some(at), ..bus };
        let told = crowded(&bus, at).unwrap_or_default();
        assert!(told.starts_with("bus push: 7 connections gave way to others, the last one of 192.0.2.9: "), "{told}");
        assert_eq!(crowded(&bus, at + crate::status::CROWDED_TOLD), None);
        let status = |word: &str| vec!["load profile".to_string(), word.into()];
        let points = [point("right", 1, 0), Point { status: status(CLOCK_AHEAD), ..point("early", 1, 0) }];
        assert_eq!(clocks_off(&points[..1]), None);
        let told = clocks_off(&points).unwrap_or_default();
        assert!(told.starts_with("1 meter with a clock more than 15 min off") && told.ends_with(": early"), "{told}");
    }

    /// A meter that takes minutes holds up its line: neither records nor absences come, and that is told.
    #[test]
    fn a_point_without_any_result_is_a_trouble() {
        let mut bus = Bus { name: "cellar".into(), open: true, ..Bus::default() };
        let begun = Instant::now();
        let point = |name: &str, interval_s: f64| Point { interval_s, last_result: Some(begun), ..point(name, 5, 0) };
        let points = [point("fast", 1.0), point("usual", 900.0), Point { last_result: None, ..point("unknown", 1.0) }];
        let told = |bus: &Bus, after_s: u64| {
            held_up(&points, std::slice::from_ref(bus), begun + Duration::from_secs(after_s)).unwrap_or_default()
        };
        assert_eq!(told(&bus, 60), "", "a busy minute is none");
        let first = told(&bus, 61);
        assert!(
            first.starts_with("1 meter without any result for 3 intervals") && first.ends_with(": fast"),
            "{first}"
        );
        assert!(told(&bus, 2701).ends_with(": fast, usual"));
        bus.open = false;
        assert_eq!(told(&bus, 2701), "", "the port is the trouble");
    }
}
