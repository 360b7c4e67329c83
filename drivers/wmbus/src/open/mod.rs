//! Opening a telegram: every check that the standard has, then the plain application layer.

mod attempt;
mod error;
mod sealed;

pub use error::OpenError;

use crate::compact::{Compact, CompactError, Formats};
use crate::ell::SessionNumber;
use crate::proprietary::ManufacturerPayload;
use crate::security::{Counters, MessageCounter, Protection, Security};
use crate::telegram::{Telegram, Upper};
use crate::transport::SecurityMode;
use alloc::vec::Vec;
use attempt::{Attempt, LinkSeal, PAYLOAD_CRC_BYTES};
use plomb_mbus::{MeterId, Records, Status};
use plomb_session::Reader;

/// Everything that is kept for one meter. Opening reads it; only [`accept`](Self::accept) changes it.
#[derive(Clone, Debug, Default)]
pub struct MeterState {
    /// The key, and what is expected.
    pub security: Security,
    /// The message counters accepted so far. To be stored.
    pub counters: Counters,
    /// The formats of the meter's compact frames.
    pub formats: Formats,
}

/// What a test may allow and a gateway must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Takes a payload in clear under a header that says it is encrypted, as published samples have
    /// it. Whoever accepts this in the field accepts readings from anyone.
    pub accept_decrypted_samples: bool,
}

/// Opens telegrams. Its memory is used again from telegram to telegram.
#[derive(Clone, Debug, Default)]
pub struct Opener {
    options: OpenOptions,
    link: Vec<u8>,
    payload: Vec<u8>,
    full: Vec<u8>,
}

/// A telegram that passed every check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opened<'a> {
    /// The meter.
    pub meter: MeterId,
    /// The transport layer's access number. It is no message counter: it wraps, and nothing protects it
    /// in mode 5.
    pub access: Option<u8>,
    /// The meter's status.
    pub status: Option<Status>,
    /// The transport layer's security mode.
    pub mode: SecurityMode,
    /// How the telegram was protected.
    pub protection: Protection,
    /// Bytes at the end of the payload that mode 5 or 7 left in clear, though the rest is encrypted.
    /// In mode 7 the MAC covers them.
    pub clear_bytes: usize,
    /// From where on, counted as the content's offsets are, nothing protects what the telegram says, though
    /// the rest of it is encrypted: some meters send so, and who hears a telegram can put records there.
    /// 0 where the content cannot be told apart; `None` where those bytes are filler, or a MAC of
    /// [`MAC_BYTES_MIN`](crate::MAC_BYTES_MIN) or the extended link layer covers them.
    pub clear_at: Option<usize>,
    /// The payload came in clear under an encrypting header, and
    /// [`accept_decrypted_samples`](OpenOptions::accept_decrypted_samples) let it pass.
    pub sample: bool,
    /// The counter to put in the meter's [`Counters`], of a mode that has one.
    pub counter: Option<MessageCounter>,
    /// The extended link layer's session, if it encrypted.
    pub session: Option<SessionNumber>,
    /// The application layer.
    pub content: Content<'a>,
    /// The signature of the format that a compact frame was read by.
    pub format: Option<u16>,
    /// Its plain bytes, as the transport layer carried them: what the content is read from.
    pub plain: &'a [u8],
    /// Where the first of [`plain`](Self::plain) stood in the frame without its CRCs.
    pub plain_at: usize,
}

/// The plain application layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// Records, of a full frame or of a compact one whose format is known. Offsets are those of
    /// [`Opened::plain_at`] in a full frame; in a compact one they count in the full frame it stands for.
    Records(Records<'a>),
    /// A compact frame that cannot be read, and why; usually its format was not heard yet.
    Compact(Compact<'a>, CompactError),
    /// The information blocks of a format frame.
    Format(&'a [u8]),
    /// The manufacturer's own.
    Manufacturer(ManufacturerPayload<'a>),
    /// None: the meter only shows that it is there.
    Empty,
    /// An application error, an alarm, or a CI that is not read here, with what follows.
    Other {
        /// The CI.
        ci: u8,
        /// What follows header and configuration.
        bytes: &'a [u8],
    },
}

impl MeterState {
    /// A meter with these expectations and no past.
    #[must_use]
    pub fn new(security: Security) -> Self {
        Self { security, ..Self::default() }
    }

    /// Takes over what an opened telegram brings: its message counter, and its format.
    ///
    /// To be called when the reading is safe; a telegram opened again before is accepted again.
    pub fn accept(&mut self, opened: &Opened<'_>) {
        if let Some(counter) = opened.counter {
            self.counters.accept(counter);
        }
        match (opened.content, opened.format) {
            (Content::Records(_), Some(format)) => self.formats.use_again(format),
            (Content::Records(records), None) => self.formats.learn(records, opened.protection),
            (Content::Format(format), _) => self.formats.add(format, opened.protection),
            _ => {}
        }
    }
}

impl Opener {
    /// An opener with the options of the field: none.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An opener for tests.
    #[must_use]
    pub fn with_options(options: OpenOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Opens `telegram` as that of the meter with this state, which is not changed.
    ///
    /// The order of the checks: expected protection, MAC, message counter, decryption, check bytes. So
    /// a repeated counter is only reported of a telegram that is the meter's own.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open<'a>(&'a mut self, telegram: &Telegram<'a>, state: &MeterState) -> Result<Opened<'a>, OpenError> {
        let Self { options, link, payload, full } = self;
        let attempt = Attempt { options: *options, bearer: telegram.bearer, state };
        match telegram.upper {
            Upper::Fragment { .. } => Err(OpenError::Fragment),
            Upper::Message { afl, transport } => attempt.message(afl, &transport, LinkSeal::None, payload, full),
            Upper::Sealed { bytes, offset } => {
                let seal = attempt.unseal(telegram.ell.as_ref(), bytes, link)?;
                let inner = link.get(PAYLOAD_CRC_BYTES..).unwrap_or_default();
                let mut reader = Reader::with_base(inner, offset.saturating_add(PAYLOAD_CRC_BYTES));
                match Upper::read(&mut reader)? {
                    Upper::Message { afl, transport } => attempt.message(afl, &transport, seal, payload, full),
                    _ => Err(OpenError::Fragment),
                }
            }
        }
    }

    /// The bytes that the extended link layer sealed, decrypted, from its CRC on.
    pub(crate) fn unseal(
        &self,
        telegram: &Telegram<'_>,
        bytes: &[u8],
        state: &MeterState,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        let attempt = Attempt { options: self.options, bearer: telegram.bearer, state };
        attempt.unseal(telegram.ell.as_ref(), bytes, out).map(|_| ())
    }
}
