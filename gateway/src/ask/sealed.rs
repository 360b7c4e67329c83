//! Encrypted telegrams of wired M-Bus (EN 13757-7 over a wire): opened with the meter's key, every check made.

use std::{collections::BTreeMap, sync::Arc};

use plomb_mbus::{MeterId, SecondaryAddress};
use plomb_profiles::{Library, Memory};
use plomb_seal::{Reason, Record};
use plomb_wmbus::{
    KeyTag, MessageCounter, MeterState, OpenError, Opener, Protection, Security, Telegram, TelegramError, Upper,
};

use super::Knowledge;
use crate::{
    keys::Keys,
    normalise::wmbus::{Aids, record},
};

/// The most identities whose counters are kept for one measuring point. The oldest gives way.
pub const IDENTITIES_MAX: usize = 4;

/// Opens the telegrams of one measuring point.
#[derive(Debug)]
pub struct Unsealer {
    minimum: Option<Protection>,
    keys: Arc<Keys>,
    library: Arc<Library>,
    stored: BTreeMap<String, u64>,
    states: Vec<(MeterId, MeterState)>,
    opener: Opener,
    memory: Memory,
}

/// What a sealed telegram says.
pub type Opened = (Record, Option<(String, u64)>);

impl Unsealer {
    /// Expects at least `minimum`; without one, encryption where there is a key.
    pub fn new(minimum: Option<Protection>, knowledge: &Knowledge) -> Self {
        Self {
            minimum,
            keys: knowledge.keys.clone(),
            library: knowledge.library.clone(),
            stored: knowledge.counters.clone(),
            states: Vec::new(),
            opener: Opener::new(),
            memory: Memory::default(),
        }
    }

    /// Whether a plain telegram of this meter is to be refused.
    pub fn expects_more_than_plain(&self, meter: &MeterId) -> bool {
        self.minimum.unwrap_or_else(|| self.usual(meter)) > Protection::Plain
    }

    /// A key for these digits is one for whoever answers under them, whatever else its line names.
    fn usual(&self, meter: &MeterId) -> Protection {
        if self.keys.has(meter.id) { Protection::Encrypted } else { Protection::Plain }
    }

    /// Opens a telegram. The message counter is accepted; the caller keeps the one handed out.
    ///
    /// # Errors
    /// Why it can't be opened, and what to do.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Opened, (Reason, String)> {
        let telegram = Telegram::parse_wired(bytes, None)
            .map_err(|error: TelegramError| (Reason::Malformed, error.to_string()))?;
        let Some(id) = telegram.meter() else {
            let what = "an encrypted telegram that does not name its meter: ask by secondary address";
            return Err((Reason::Key, what.into()));
        };
        if matches!(telegram.upper, Upper::Fragment { .. }) {
            return Err((Reason::Malformed, "a fragment: on a wire telegrams come whole".into()));
        }
        let key = self.keys.find(&id);
        if !self.states.iter().any(|(known, _)| *known == id) {
            let minimum = self.minimum.unwrap_or_else(|| self.usual(&id));
            let mut state = MeterState::new(Security { key: key.cloned(), minimum });
            if let Some(tag) = key.map(plomb_wmbus::Key::tag)
                && let Some(value) =
                    self.stored.get(&counter_name(id, tag)).and_then(|value| u32::try_from(*value).ok())
            {
                state.counters.accept(MessageCounter { key: tag, value });
            }
            make_room(&mut self.states, IDENTITIES_MAX, &mut self.stored);
            self.states.push((id, state));
        }
        let Some((_, state)) = self.states.iter_mut().find(|(known, _)| *known == id) else {
            return Err((Reason::Malformed, "no state".into()));
        };
        let opened = self.opener.open(&telegram, state).map_err(|error| (reason_of(&error), error.to_string()))?;
        let aids = Aids { library: &self.library, key, memory: &mut self.memory };
        let (mut record, _) =
            record(&opened, bytes, None, aids).map_err(|error| (Reason::Malformed, error.to_string()))?;
        record.meter.protocol = "mbus".into();
        let counter = opened.counter.map(|counter| (counter_name(id, counter.key), counter.value.into()));
        state.accept(&opened);
        Ok((record, counter))
    }
}

/// Makes room for one more identity of a measuring point. The first without a message counter gives way, and of
/// these one whose compact frames are not read yet, else the first; its counters go back among the stored ones, so that nothing it accepted is ever taken again. Those grow
/// only by who holds a key.
pub(crate) fn make_room(states: &mut Vec<(MeterId, MeterState)>, max: usize, stored: &mut BTreeMap<String, u64>) {
    if states.len() < max || states.is_empty() {
        return;
    }
    let has_counter = |state: &MeterState| state.counters.iter().next().is_some();
    let ranks = states.iter().map(|(_, state)| (has_counter(state), state.formats.in_use())).enumerate();
    let least = ranks.min_by_key(|(_, rank)| *rank).map_or(0, |(at, _)| at);
    let (id, state) = states.remove(least);
    for counter in state.counters.iter() {
        let last = stored.entry(counter_name(id, counter.key)).or_default();
        *last = u64::from(counter.value).max(*last);
    }
}

/// Why a telegram that failed a check is absent.
pub(crate) fn reason_of(error: &OpenError) -> Reason {
    match error {
        OpenError::KeyMissing { .. } | OpenError::KeyWrong { .. } => Reason::Key,
        OpenError::MacFailed { .. } | OpenError::MacMissing { .. } => Reason::Checksum,
        OpenError::CounterRepeated { .. } => Reason::Replayed,
        OpenError::Weaker { .. } | OpenError::PlainUnderEncryption { .. } => Reason::Refused,
        _ => Reason::Malformed,
    }
}

/// The name of a meter's counter under a key: identity and fingerprint.
pub(crate) fn counter_name(id: MeterId, key: KeyTag) -> String {
    format!("{} {}", SecondaryAddress::from(id), hex::encode(key.0))
}
