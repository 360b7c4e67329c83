//! Telegrams to meters: found by a hash, opened, counted, and recorded when their point is due. Pure: times
//! come in, outcomes go out.
//!
//! ```text
//! bytes ─ link, layers ─► whose? ─ hash ─► seen just now? ─► open: every check ─► due? ─► record
//!              │              │                   │                 │               └─ no: heard
//!            noise         unknown            duplicate          refused, and the meter's state is as before
//! ```

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use plomb_mbus::{Identification, MeterId, SecondaryAddress};
use plomb_profiles::{Library, Memory};
use plomb_seal::{Reason, Record};
use plomb_session::Instant;
use plomb_wmbus::{
    Format, FragmentError, Key, LinkFrame, MessageCounter, MeterState, OpenError, Opener, Protection, Reassembly,
    Security, Telegram, TelegramError, Upper,
};

use super::{
    reception::Reception,
    strangers::{Stranger, Strangers},
};
use crate::{
    ask::sealed::{counter_name, make_room, reason_of},
    keys::Keys,
    normalise::wmbus::{Aids, NormaliseError, own_ci, record},
};

/// The same telegram once more within this time is a repeater's, or a second receiver's.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(10);
/// The most telegrams that are remembered to know them again.
pub const RECENT_TELEGRAMS_MAX: usize = 1024;

/// The most identities that one configured meter may have: digits alone can be those of several meters.
pub const STATES_MAX: usize = 4;

/// A time, counted from the start.
pub type Elapsed = Duration;

/// A meter that is listened for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Which.
    pub address: SecondaryAddress,
    /// How well its telegrams must be protected; `None`: as its key and its profile say.
    pub minimum: Option<Protection>,
    /// How often it is recorded.
    pub interval: Duration,
}

/// What became of a telegram.
#[derive(Debug)]
pub enum Outcome {
    /// It belongs into the journal.
    Due(Box<Heard>),
    /// It is good, and the point has its reading of this interval.
    Heard(Box<Heard>),
    /// It was here just now.
    Duplicate(usize),
    /// A piece of a message; the rest is awaited.
    Fragment(usize),
    /// It failed a check. The meter's state is as before.
    Refused {
        /// The meter's index.
        meter: usize,
        /// A short word for the kind of failure, stable for programs.
        kind: &'static str,
        /// The failure in words.
        detail: String,
    },
    /// The sender is not configured.
    Stranger,
    /// No telegram at all.
    Noise(String),
}

/// A good telegram.
#[derive(Debug)]
pub struct Heard {
    /// The meter's index.
    pub meter: usize,
    /// When the reading was due.
    pub due: Elapsed,
    /// What it says; or why it says nothing that can be recorded.
    pub record: Result<Record, NormaliseError>,
    /// How well it was protected.
    pub protection: &'static str,
    /// The message counter that it used up, under the name that the journal keeps it by.
    pub counter: Option<(String, u64)>,
}

/// A reading that did not come in its interval.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// The meter's index.
    pub meter: usize,
    /// When it was due.
    pub due: Elapsed,
    /// Why, as far as is known.
    pub reason: Reason,
    /// The same in words.
    pub detail: String,
}

/// The meters that are listened for.
pub struct Listener {
    meters: Vec<Meter>,
    by_id: HashMap<Identification, Vec<usize>>,
    /// Counters as the journal had them, until their meter is heard; and those of identities that gave way.
    stored: BTreeMap<String, u64>,
    keys: Arc<Keys>,
    library: Arc<Library>,
    memory: Memory,
    opener: Opener,
    link: Vec<u8>,
    recent: VecDeque<(u64, Elapsed)>,
    strangers: Strangers,
}

struct Meter {
    address: SecondaryAddress,
    minimum: Option<Protection>,
    /// One for each identity that was heard; several only where the configuration names digits alone.
    states: Vec<(MeterId, MeterState)>,
    reassembly: Reassembly,
    interval: Duration,
    due: Elapsed,
    /// The last failure since the last good telegram.
    trouble: Option<(Reason, String)>,
    reception: Reception,
}

impl Listener {
    /// Listens for these meters. `stored` are the message counters of the journal.
    pub fn new(wanted: Vec<Wanted>, keys: Arc<Keys>, library: Arc<Library>, stored: BTreeMap<String, u64>) -> Self {
        let mut by_id: HashMap<Identification, Vec<usize>> = HashMap::new();
        let meters: Vec<Meter> = wanted.into_iter().map(Meter::new).collect();
        for (index, meter) in meters.iter().enumerate() {
            by_id.entry(meter.address.id).or_default().push(index);
        }
        Self {
            meters,
            by_id,
            stored,
            keys,
            library,
            memory: Memory::default(),
            opener: Opener::new(),
            link: Vec::new(),
            recent: VecDeque::new(),
            strangers: Strangers::default(),
        }
    }

    /// Takes a telegram whose frame format nobody told. See [`hear_as`](Self::hear_as).
    pub fn hear(&mut self, bytes: &[u8], rssi_dbm: Option<i16>, now: Elapsed) -> Outcome {
        self.hear_as(None, bytes, rssi_dbm, now)
    }

    /// Takes a telegram as a receiver gave it, in the frame format that it says it gives. Without that, one
    /// telegram in 65,536 without CRCs passes for one of format B and loses its last two bytes.
    pub fn hear_as(&mut self, format: Option<Format>, bytes: &[u8], rssi_dbm: Option<i16>, now: Elapsed) -> Outcome {
        let Self { meters, by_id, stored, keys, library, memory, opener, link, recent, strangers } = self;
        let frame = match format {
            Some(format) => LinkFrame::parse_as(format, bytes, link),
            None => LinkFrame::parse(bytes, link),
        };
        let telegram = match frame.map_err(TelegramError::from).and_then(|frame| Telegram::from_link(&frame)) {
            Ok(telegram) => telegram,
            Err(error) => return Outcome::Noise(error.to_string()),
        };
        // The sender's, or the long header's: a radio adapter may speak for several meters.
        let Some(sent) = telegram.meter() else { return Outcome::Noise("a telegram without a meter".into()) };
        let id = library.identity(sent, own_ci(&telegram));
        let mut same_id = by_id.get(&id.id).into_iter().flatten().copied();
        let index = same_id.find(|index| meters.get(*index).is_some_and(|meter| meter.address.matches(&id)));
        let Some((index, meter)) = index.and_then(|index| Some((index, meters.get_mut(index)?))) else {
            strangers.hear(id, &telegram, rssi_dbm, now);
            return Outcome::Stranger;
        };
        if is_recent(recent, bytes, now) {
            meter.reception.duplicates += 1;
            return Outcome::Duplicate(index);
        }
        let key = keys.find(&id).or_else(|| keys.find(&sent));
        let known = meter.states.iter().position(|(known, _)| *known == id);
        let fresh = if known.is_some() { None } else { Some(meter.fresh(id, key, (keys, library), stored)) };
        let state = known.and_then(|known| meter.states.get(known)).map(|(_, state)| state);
        let Some(state) = state.or(fresh.as_ref()) else { return Outcome::Stranger };
        let telegram = match telegram.upper {
            Upper::Fragment { .. } => {
                let opens = |whole: &Telegram<'_>| opener.open(whole, state).is_ok();
                match meter.reassembly.add_where(&telegram, instant(now), opens) {
                    Ok(Some(whole)) => whole,
                    Ok(None) | Err(FragmentError::Repeated { .. }) => return Outcome::Fragment(index),
                    Err(error) => return meter.reception.refuse(index, "fragment", error.to_string()),
                }
            }
            _ => telegram,
        };
        match opener.open(&telegram, state) {
            Ok(opened) => {
                let heard = Heard {
                    meter: index,
                    due: meter.due,
                    record: record(&opened, bytes, rssi_dbm, Aids { library, key, memory }).map(|(record, _)| record),
                    protection: opened.protection.name(),
                    counter: opened.counter.map(|counter| (counter_name(id, counter.key), counter.value.into())),
                };
                // Only who passed every check gets a place among the states.
                if let Some(fresh) = fresh {
                    make_room(&mut meter.states, STATES_MAX, stored);
                    meter.states.push((id, fresh));
                }
                let known = known.unwrap_or(meter.states.len().saturating_sub(1));
                if let Some((_, state)) = meter.states.get_mut(known) {
                    state.accept(&opened);
                }
                meter.reception.heard(opened.access, rssi_dbm, now);
                meter.good(now, heard)
            }
            Err(error) => {
                // Whoever turns an antenna wants to see it also while the key is missing.
                meter.reception.last_refused = Some(now);
                if meter.reception.last.is_none() {
                    meter.reception.rssi_dbm = rssi_dbm;
                }
                meter.refused(index, &error)
            }
        }
    }

    /// The readings whose interval has passed without a good telegram. Each is told once.
    pub fn missing(&mut self, now: Elapsed) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (index, meter) in self.meters.iter_mut().enumerate() {
            while meter.due.saturating_add(meter.interval) <= now {
                let (reason, detail) = meter.trouble.take().unwrap_or_else(|| {
                    (Reason::Timeout, "nothing was heard of it: check battery, distance and receiver".into())
                });
                missing.push(Missing { meter: index, due: meter.due, reason, detail });
                meter.due = meter.due.saturating_add(meter.interval);
            }
        }
        missing
    }

    /// The port or its receiver failed: what is not heard until it is back is not the meters' fault.
    pub fn port_failed(&mut self, detail: &str) {
        for meter in &mut self.meters {
            meter.trouble = Some((Reason::Port, detail.into()));
        }
    }

    /// How a meter is received.
    pub fn reception(&self, meter: usize) -> Option<&Reception> {
        self.meters.get(meter).map(|meter| &meter.reception)
    }

    /// The models that are known.
    pub fn library(&self) -> Arc<Library> {
        self.library.clone()
    }

    /// The meter that is configured for an identity.
    pub fn meter_of(&self, id: &MeterId) -> Option<usize> {
        let mut same_id = self.by_id.get(&id.id)?.iter().copied();
        same_id.find(|index| self.meters.get(*index).is_some_and(|meter| meter.address.matches(id)))
    }

    /// Senders that are not configured, the latest first.
    pub fn strangers(&self) -> Vec<Stranger> {
        self.strangers.list()
    }
}

impl Meter {
    fn new(wanted: Wanted) -> Self {
        let Wanted { address, minimum, interval } = wanted;
        Self {
            address,
            minimum,
            states: Vec::new(),
            reassembly: Reassembly::default(),
            interval: interval.max(Duration::from_millis(1)),
            due: Duration::ZERO,
            trouble: None,
            reception: Reception::default(),
        }
    }

    /// The state of an identity that was not heard before, with the counter that the journal has for it.
    fn fresh(
        &self,
        id: MeterId,
        key: Option<&Key>,
        (keys, library): (&Keys, &Library),
        stored: &BTreeMap<String, u64>,
    ) -> MeterState {
        let usual = || {
            // Digits alone are anybody's: a key that is not the sender's may be the meter's.
            let keyed = key.is_some() || keys.has_for(&self.address);
            let by_key = if keyed { Protection::Encrypted } else { Protection::Plain };
            library.find(id, None).map_or(by_key, |profile| profile.security.max(by_key))
        };
        let minimum = self.minimum.unwrap_or_else(usual);
        let mut state = MeterState::new(Security { key: key.cloned(), minimum });
        let tag = key.map(Key::tag);
        let value = tag.and_then(|tag| Some((tag, u32::try_from(*stored.get(&counter_name(id, tag))?).ok()?)));
        if let Some((key, value)) = value {
            state.counters.accept(MessageCounter { key, value });
        }
        state
    }

    fn good(&mut self, now: Elapsed, heard: Heard) -> Outcome {
        match &heard.record {
            // A sign of life, or a format frame, is no reading: the next telegram may be one.
            Err(NormaliseError::NoValues(_)) => return Outcome::Heard(Box::new(heard)),
            Err(error) => {
                self.trouble = Some((Reason::Malformed, error.to_string()));
                return self.reception.refuse(heard.meter, error.kind(), error.to_string());
            }
            Ok(_) => self.trouble = None,
        }
        if now < self.due {
            return Outcome::Heard(Box::new(heard));
        }
        self.due = self.due.saturating_add(self.interval);
        Outcome::Due(Box::new(heard))
    }

    fn refused(&mut self, index: usize, error: &OpenError) -> Outcome {
        self.trouble = Some((reason_of(error), error.to_string()));
        self.reception.refuse(index, error.kind(), error.to_string())
    }
}

impl Reception {
    fn refuse(&mut self, meter: usize, kind: &'static str, detail: String) -> Outcome {
        *self.refused.entry(kind).or_default() += 1;
        self.last_refusal = Some(format!("{kind}: {detail}"));
        Outcome::Refused { meter, kind, detail }
    }
}

/// Whether the same bytes came within the window. They are remembered either way.
fn is_recent(recent: &mut VecDeque<(u64, Elapsed)>, bytes: &[u8], now: Elapsed) -> bool {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let hash = hasher.finish();
    while recent.front().is_some_and(|(_, at)| *at + DUPLICATE_WINDOW <= now) || recent.len() >= RECENT_TELEGRAMS_MAX {
        recent.pop_front();
    }
    let known = recent.iter().any(|(seen, _)| *seen == hash);
    if !known {
        recent.push_back((hash, now));
    }
    known
}

fn instant(elapsed: Elapsed) -> Instant {
    Instant::from_duration(elapsed)
}
