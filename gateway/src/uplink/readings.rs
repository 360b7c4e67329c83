//! Readings for subscribers: live ones first, missed ones at a set rate, each at least once.

use std::collections::{BTreeSet, HashMap};

use plomb_seal::{Body, Entry, Signed, Unverified};
use tokio::time::Instant;

use crate::{
    journal::{Journal, JournalError, Position, StoredEntry},
    view,
};

const CURSOR: &str = "subscribers";

/// One publication under way: all entries before this place are done when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sent {
    place: Position,
    missed: bool,
    info: bool,
}

/// What to publish: topic, document, whether it is retained.
pub(super) type Publication = (Sent, String, String, bool);

/// Where the publishing stands in one connection.
pub(super) struct Publishing {
    /// Entries written from the connection's begin on.
    live: Position,
    /// Entries that an outage left behind: the next, and where they end.
    missed: Position,
    missed_end: Position,
    /// Publications without a PUBACK.
    waiting: BTreeSet<Sent>,
    /// Which meter was last announced at each point.
    announced: HashMap<String, String>,
    /// An announcement that comes before the reading that caused it.
    pending: Option<Publication>,
    drain_per_s: u32,
    allowance: f64,
    refilled: Instant,
}

impl Publishing {
    /// Takes up where the last connection stopped.
    pub(super) fn begin(journal: &Journal, drain_per_s: u32) -> Result<Self, JournalError> {
        let head = *journal.head().borrow();
        let live = Position { epoch: head.epoch, seq: head.next_seq };
        let missed = match journal.cursor(CURSOR) {
            Some(cursor) => cursor.min(live),
            None => {
                let first = journal.reader().snapshot()?.epochs()?.first().map(|(epoch, seq, _)| (*epoch, *seq));
                first.map_or(live, |(epoch, seq)| Position { epoch, seq })
            }
        };
        Ok(Self {
            live,
            missed,
            missed_end: live,
            waiting: BTreeSet::new(),
            announced: HashMap::new(),
            pending: None,
            drain_per_s,
            allowance: f64::from(drain_per_s),
            refilled: Instant::now(),
        })
    }

    /// The next live publication.
    pub(super) fn next_live(&mut self, journal: &Journal) -> Result<Option<Publication>, JournalError> {
        if let Some(pending) = self.pending.take() {
            return Ok(Some(self.under_way(pending)));
        }
        loop {
            let head = *journal.head().borrow();
            if (head.epoch, head.next_seq) <= (self.live.epoch, self.live.seq) {
                return Ok(None);
            }
            let Some(stored) = one_from(journal, self.live)? else { return Ok(None) };
            self.live = after(&stored);
            let Some(signed) = read(&stored) else { continue };
            let Some(publication) = publication(&stored, &signed, false) else {
                self.advance(journal)?;
                continue;
            };
            if let Some(announcement) = self.announcement(&stored, &signed) {
                self.pending = Some(publication);
                return Ok(Some(self.under_way(announcement)));
            }
            return Ok(Some(self.under_way(publication)));
        }
    }

    /// The next missed publication, if the rate allows one.
    pub(super) fn next_missed(&mut self, journal: &Journal) -> Result<Option<Publication>, JournalError> {
        while self.missed < self.missed_end {
            if self.allowance < 1.0 {
                return Ok(None);
            }
            let Some(stored) = one_from(journal, self.missed)?.filter(|stored| place(stored) < self.missed_end) else {
                self.missed = self.missed_end;
                self.advance(journal)?;
                return Ok(None);
            };
            self.missed = after(&stored);
            if let Some(publication) = read(&stored).and_then(|signed| publication(&stored, &signed, true)) {
                self.allowance -= 1.0;
                return Ok(Some(self.under_way(publication)));
            }
            self.advance(journal)?;
        }
        Ok(None)
    }

    /// A PUBACK came.
    pub(super) fn acknowledged(&mut self, sent: Sent, journal: &Journal) -> Result<(), JournalError> {
        self.waiting.remove(&sent);
        self.advance(journal)
    }

    /// Gives the missed readings their share of the passing time.
    pub(super) fn refill(&mut self) {
        let now = Instant::now();
        let rate = f64::from(self.drain_per_s);
        self.allowance = (self.allowance + rate * now.duration_since(self.refilled).as_secs_f64()).min(rate.max(1.0));
        self.refilled = now;
    }

    fn under_way(&mut self, publication: Publication) -> Publication {
        self.waiting.insert(publication.0);
        publication
    }

    /// Moves the durable cursor to the first entry that is not acknowledged.
    fn advance(&self, journal: &Journal) -> Result<(), JournalError> {
        let missed = self.waiting.iter().filter(|sent| sent.missed).map(|sent| sent.place).min();
        let live = self.waiting.iter().filter(|sent| !sent.missed).map(|sent| sent.place).min();
        let place = match missed {
            Some(place) => place,
            None if self.missed < self.missed_end => self.missed,
            None => live.unwrap_or(self.live),
        };
        journal.set_cursor(CURSOR, place)
    }

    /// A retained description of the meter, when it was not announced in this connection yet.
    fn announcement(&mut self, stored: &StoredEntry, signed: &Signed<Entry>) -> Option<Publication> {
        let Body::Record(link, record) = &signed.statement().body else { return None };
        let meter = format!("{:?}", record.meter);
        if self.announced.get(link.point.as_str()) == Some(&meter) {
            return None;
        }
        self.announced.insert(link.point.as_str().into(), meter);
        let (topic, document) = view::info(&signed.statement().gateway, &link.point, record);
        Some((Sent { place: place(stored), missed: false, info: true }, topic, document.to_string(), true))
    }
}

fn publication(stored: &StoredEntry, signed: &Signed<Entry>, missed: bool) -> Option<Publication> {
    let (topic, document) = view::publication(signed, missed)?;
    Some((Sent { place: place(stored), missed, info: false }, topic, document.to_string(), false))
}

fn one_from(journal: &Journal, from: Position) -> Result<Option<StoredEntry>, JournalError> {
    Ok(journal.reader().snapshot()?.entries_from(from, 1)?.pop())
}

fn place(stored: &StoredEntry) -> Position {
    Position { epoch: stored.epoch, seq: stored.seq }
}

fn after(stored: &StoredEntry) -> Position {
    Position { epoch: stored.epoch, seq: stored.seq + 1 }
}

/// Our own entry, from our own journal, which checked it: its claims need no second signature check.
fn read(stored: &StoredEntry) -> Option<Signed<Entry>> {
    Unverified::<Entry>::parse(&stored.bytes).ok().map(Unverified::trust_own)
}
