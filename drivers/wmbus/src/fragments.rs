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

/// One meter's message in the making. Kept by the caller.
///
/// Nothing is known of a fragment's origin until the message's MAC is checked. A forged fragment can
/// spoil the message that is in the making, as noise can; it touches nothing else, and the next first
/// fragment begins anew.
#[derive(Clone, Debug, Default)]
pub struct Reassembly {
    message: Vec<u8>,
    last: u8,
    began: Option<Instant>,
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
    /// A fragment before this one is missing; the message is dropped.
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
    /// The message is longer than is taken.
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
    /// [`FragmentError`]; the fragment, or the message where the error says so, is dropped.
    pub fn add(&mut self, telegram: &Telegram<'_>, now: Instant) -> Result<Option<Telegram<'_>>, FragmentError> {
        let Upper::Fragment { afl, bytes } = telegram.upper else { return Err(FragmentError::NotFragment) };
        let received = afl.control.fragment();
        if received <= 1 {
            self.begin(now);
        }
        let Some(began) = self.began else {
            return Err(FragmentError::Missing { expected: 1, received });
        };
        if now - began > Duration::from_secs(MESSAGE_SECONDS_MAX) {
            self.began = None;
            return Err(FragmentError::Late);
        }
        if received > 1 && received == self.last {
            return Err(FragmentError::Repeated { fragment: received });
        }
        let expected = self.last.saturating_add(1);
        if received.max(1) != expected {
            self.began = None;
            return Err(FragmentError::Missing { expected, received });
        }
        self.last = expected;
        if self.message.len().saturating_add(bytes.len()) > MESSAGE_BYTES_MAX || expected > FRAGMENT_COUNT_MAX {
            self.began = None;
            return Err(FragmentError::TooLong);
        }
        self.message.extend(bytes);
        self.merge(&afl);
        if afl.control.more_follow() {
            return Ok(None);
        }
        self.began = None;
        self.finish(telegram).map(Some)
    }

    fn begin(&mut self, now: Instant) {
        let mut message = core::mem::take(&mut self.message);
        message.clear();
        *self = Self { message, began: Some(now), ..Self::default() };
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
