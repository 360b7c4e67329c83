//! What is expected of a meter's telegrams, and what was accepted of them.

use crate::key::{Key, KeyTag};

/// How many keys' message counters are kept for a meter. The oldest gives way.
pub const COUNTER_COUNT_MAX: usize = 4;

/// The shortest MAC that makes a telegram [`Protection::Authenticated`]: that of OMS profiles B and D.
/// A shorter one is checked all the same; it can be guessed in the time that a radio has, so that it adds
/// nothing to what is sent in clear.
pub const MAC_BYTES_MIN: usize = 8;

/// How well a telegram is protected, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// Not at all: anyone can send it.
    #[default]
    Plain,
    /// Encrypted, with a check of a few bytes: mode 5, the extended link layer, or encrypted and with a MAC
    /// shorter than [`MAC_BYTES_MIN`]. Who recorded such telegrams can send them again, unless there is a MAC.
    Encrypted,
    /// Authenticated under a message counter that only grows: modes 7 and 10.
    Authenticated,
}

/// A meter's key, and the least protection that its telegrams must have.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// The key, if there is one.
    pub key: Option<Key>,
    /// Telegrams with less are refused.
    pub minimum: Protection,
}

/// The highest message counter accepted so far, for each key of one meter.
///
/// Opening a telegram reads it and never changes it: the caller puts in what
/// [`Opened::counter`](crate::Opened::counter) hands out, once the reading is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    last: [Option<MessageCounter>; COUNTER_COUNT_MAX],
}

/// A message counter and the key that it counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageCounter {
    /// The key's fingerprint.
    pub key: KeyTag,
    /// The counter.
    pub value: u32,
}

impl Protection {
    /// The name in lower-case words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Encrypted => "encrypted",
            Self::Authenticated => "authenticated",
        }
    }
}

impl core::fmt::Display for Protection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl Security {
    /// A meter that sends in clear.
    #[must_use]
    pub const fn plain() -> Self {
        Self { key: None, minimum: Protection::Plain }
    }

    /// A meter with a key: nothing in clear is taken from it.
    #[must_use]
    pub const fn encrypted(key: Key) -> Self {
        Self { key: Some(key), minimum: Protection::Encrypted }
    }

    /// A meter of OMS profile B or D: nothing without a MAC is taken from it.
    #[must_use]
    pub const fn authenticated(key: Key) -> Self {
        Self { key: Some(key), minimum: Protection::Authenticated }
    }
}

impl Counters {
    /// The highest counter accepted under the key with this fingerprint.
    #[must_use]
    pub fn last(&self, key: KeyTag) -> Option<u32> {
        self.iter().find(|counter| counter.key == key).map(|counter| counter.value)
    }

    /// Puts in a counter that was accepted, or one that was stored. A lower one than is there changes
    /// nothing.
    pub fn accept(&mut self, counter: MessageCounter) {
        let known = self.last.iter().position(|last| last.is_some_and(|last| last.key == counter.key));
        if self.last(counter.key).is_some_and(|last| last >= counter.value) {
            return;
        }
        // The newest stands first, so that the key longest out of use gives way.
        if let Some(touched) = self.last.get_mut(..=known.unwrap_or(COUNTER_COUNT_MAX - 1)) {
            touched.rotate_right(1);
        }
        if let Some(first) = self.last.first_mut() {
            *first = Some(counter);
        }
    }

    /// What there is, newest first: for storing it.
    pub fn iter(&self) -> impl Iterator<Item = MessageCounter> + '_ {
        self.last.iter().flatten().copied()
    }
}
