//! Messages in several frames (EN 13757-7, 6.3): put together within bounds.

use crate::afl::{Afl, FragmentControl, KeyInformation, MAC_BYTES_MAX, MessageControl};
use crate::telegram::{Telegram, TelegramError, Upper};
use crate::transport::Transport;
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::{Instant, Reader};
use thiserror::Error;

/// The most fragments of a message.
pub const FRAGMENT_COUNT_MAX: u8 = 16;
/// The longest message.
pub const MESSAGE_BYTES_MAX: usize = 2048;
/// How long a message may take, from its first fragment on.
pub const MESSAGE_SECONDS_MAX: u64 = 60;

/// The most beginnings of a message that are kept at once. The oldest gives way.
pub const BEGINNING_COUNT_MAX: usize = 4;

/// One meter's message in the making. Kept by the caller.
///
/// Nothing is known of a fragment's origin until the message's MAC is checked. So a fragment never spoils what
/// came before: each beginning that it may belong to is kept with it and without it. Only
/// [`BEGINNING_COUNT_MAX`] forged ones between two honest fragments make a message lost, and no other one.
#[derive(Clone, Debug, Default)]
pub struct Reassembly {
    beginnings: Vec<Beginning>,
    /// The message that was handed out.
    whole: Beginning,
}

/// The first fragments of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Beginning {
    message: Vec<u8>,
    last: u8,
    began: Instant,
    message_control: Option<MessageControl>,
    key: Option<KeyInformation>,
    counter: Option<u32>,
    length: Option<u16>,
    mac: [u8; MAC_BYTES_MAX],
    mac_bytes: usize,
}

/// Why a fragment was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FragmentError {
    /// The telegram is no fragment: open it as it is.
    #[error("the telegram is not a fragment")]
    NotFragment,
    /// A fragment before this one is missing.
    #[error("fragment {received} came where {expected} was expected: a fragment is missing")]
    Missing {
        /// The fragment that was expected.
        expected: u8,
        /// The one that came.
        received: u8,
    },
    /// The same fragment once more, as repeaters send it: nothing is changed.
    #[error("fragment {fragment} came twice")]
    Repeated {
        /// Which.
        fragment: u8,
    },
    /// The message took too long; it is dropped.
    #[error("the message was not complete after {MESSAGE_SECONDS_MAX} s")]
    Late,
    /// The message would be longer than is taken.
    #[error("a message of more than {MESSAGE_BYTES_MAX} bytes or {FRAGMENT_COUNT_MAX} fragments")]
    TooLong,
    /// The message's length is not what its first fragment said.
    #[error("the message has {found} bytes, its first fragment said {said}")]
    Length {
        /// What the first fragment said.
        said: usize,
        /// What came.
        found: usize,
    },
    /// The message is complete and is no telegram.
    #[error("{0}")]
    Telegram(#[from] TelegramError),
}

impl Reassembly {
    /// Takes a fragment. `Some` is the whole message as a telegram that can be opened, as the one of its
    /// own [`meter`](Telegram::meter); offsets in it count from the message's first byte.
    ///
    /// # Errors
    /// [`FragmentError`]; the fragment is dropped.
    pub fn add(&mut self, telegram: &Telegram<'_>, now: Instant) -> Result<Option<Telegram<'_>>, FragmentError> {
        self.add_where(telegram, now, |_| true)
    }

    /// The same where forged fragments are about: of the messages that this fragment completes, the one that
    /// `opens`. If none does, the latest is given, to be refused, and the honest one can still be completed.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_where(
        &mut self,
        telegram: &Telegram<'_>,
        now: Instant,
        mut opens: impl FnMut(&Telegram<'_>) -> bool,
    ) -> Result<Option<Telegram<'_>>, FragmentError> {
        let Upper::Fragment { afl, bytes } = telegram.upper else { return Err(FragmentError::NotFragment) };
        let received = afl.control.fragment().max(1);
        let mut wrong = self.missing(received);
        let late = |beginning: &Beginning| now - beginning.began > Duration::from_secs(MESSAGE_SECONDS_MAX);
        if self.beginnings.extract_if(.., |beginning| late(beginning)).any(|old| old.last.saturating_add(1) == received)
        {
            wrong = FragmentError::Late;
        }
        let first = Beginning { began: now, ..Beginning::default() };
        let before = self.beginnings.iter().filter(|beginning| beginning.last.saturating_add(1) == received);
        let mut longer = Vec::new();
        for before in before.chain((received == 1).then_some(&first)) {
            match before.with(&afl, bytes) {
                Ok(again) if received > 1 && self.beginnings.contains(&again) => {
                    wrong = FragmentError::Repeated { fragment: received };
                }
                Ok(beginning) => longer.push(beginning),
                Err(error) => wrong = error,
            }
        }
        if longer.is_empty() {
            return Err(wrong);
        }
        if afl.control.more_follow() {
            if received == 1 {
                // A repetition begins the message's time anew.
                self.beginnings.retain(|known| !longer.iter().any(|new| known.says_the_same(new)));
            }
            self.beginnings.extend(longer);
            let over = self.beginnings.len().saturating_sub(BEGINNING_COUNT_MAX);
            self.beginnings.drain(..over);
            return Ok(None);
        }
        let good = longer.iter().rposition(|whole| whole.finish(telegram).is_ok_and(|whole| opens(&whole)));
        if good.is_some() {
            self.beginnings.clear();
        }
        let at = good.unwrap_or(longer.len().saturating_sub(1));
        self.whole = longer.into_iter().nth(at).unwrap_or_default();
        self.whole.finish(telegram).map(Some)
    }

    fn missing(&self, received: u8) -> FragmentError {
        let expected = self.beginnings.last().map_or(1, |latest| latest.last.saturating_add(1));
        FragmentError::Missing { expected, received }
    }
}

impl Beginning {
    /// Whether only the time differs.
    fn says_the_same(&self, other: &Self) -> bool {
        *self == Self { began: self.began, ..other.clone() }
    }

    /// This with one fragment more.
    fn with(&self, afl: &Afl<'_>, bytes: &[u8]) -> Result<Self, FragmentError> {
        let last = self.last.saturating_add(1);
        if self.message.len().saturating_add(bytes.len()) > MESSAGE_BYTES_MAX || last > FRAGMENT_COUNT_MAX {
            return Err(FragmentError::TooLong);
        }
        let mut longer = Self { last, ..self.clone() };
        longer.message.extend(bytes);
        longer.merge(afl);
        Ok(longer)
    }

    /// Fields come with the first fragment, the MAC with the last.
    fn merge(&mut self, afl: &Afl<'_>) {
        self.message_control = self.message_control.or(afl.message_control);
        self.key = self.key.or(afl.key);
        self.counter = self.counter.or(afl.counter);
        self.length = self.length.or(afl.length);
        if let Some(mac) = afl.mac
            && let Some(to) = self.mac.get_mut(..mac.len())
        {
            to.copy_from_slice(mac);
            self.mac_bytes = mac.len();
        }
    }

    fn finish(&self, last: &Telegram<'_>) -> Result<Telegram<'_>, FragmentError> {
        let found = self.message.len();
        if let Some(said) = self.length.map(usize::from).filter(|said| *said != found) {
            return Err(FragmentError::Length { said, found });
        }
        let afl = Afl {
            control: FragmentControl(0),
            message_control: self.message_control,
            key: self.key,
            counter: self.counter,
            mac: self.mac.get(..self.mac_bytes).filter(|mac| !mac.is_empty()),
            length: self.length,
        };
        let mut reader = Reader::new(&self.message);
        let transport = Transport::read(&mut reader)
            .map_err(|source| TelegramError::Truncated { layer: "transport layer", source })?;
        Ok(Telegram { bearer: last.bearer, ell: last.ell, upper: Upper::Message { afl: Some(afl), transport } })
    }
}
