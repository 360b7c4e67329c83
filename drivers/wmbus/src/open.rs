//! Opening a telegram: every check that the standard has, then the plain application layer.

use crate::afl::{Afl, Authentication};
use crate::cipher::{self, BLOCK_BYTES, TAG_BYTES};
use crate::compact::{Compact, CompactError, Formats, format_of};
use crate::crc::crc;
use crate::ell::{Ell, SessionNumber};
use crate::key::{Key, cmac};
use crate::link::address;
use crate::proprietary::ManufacturerPayload;
use crate::security::{Counters, MessageCounter, Protection, Security};
use crate::telegram::{Bearer, Telegram, TelegramError, Upper};
use crate::transport::{Application, SecurityMode, Transport};
use aes::Aes128;
use alloc::vec::Vec;
use plomb_mbus::{MeterId, Records, Status};
use plomb_session::Reader;
use thiserror::Error;

const CHECK_BYTES: [u8; 2] = [0x2F, 0x2F];
/// CRC of the extended link layer.
const PAYLOAD_CRC_BYTES: usize = 2;

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
    /// The payload came in clear under an encrypting header, and
    /// [`accept_decrypted_samples`](OpenOptions::accept_decrypted_samples) let it pass.
    pub sample: bool,
    /// The counter to put in the meter's [`Counters`], of a mode that has one.
    pub counter: Option<MessageCounter>,
    /// The extended link layer's session, if it encrypted.
    pub session: Option<SessionNumber>,
    /// The application layer.
    pub content: Content<'a>,
    /// Its plain bytes, as the transport layer carried them: what the content is read from.
    pub plain: &'a [u8],
    /// Where the first of [`plain`](Self::plain) stood in the frame without its CRCs.
    pub plain_at: usize,
}

/// The plain application layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// Records, of a full frame or of a compact one whose format is known.
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

/// Why a telegram is refused. Nothing of the meter's state has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The telegram is encrypted and the meter has no key.
    #[error("encrypted ({mode}) and no key is at hand: give the meter's key")]
    KeyMissing {
        /// How.
        mode: SecurityMode,
    },
    /// The key gives no sensible plaintext: another meter's, or the meter was given a new one.
    #[error("the key does not fit: {check} is wrong after decryption")]
    KeyWrong {
        /// What was checked.
        check: &'static str,
    },
    /// The message authentication code is wrong.
    #[error("the MAC is wrong: the telegram was changed on its way, or the key is another's")]
    MacFailed {
        /// Whether the key opens the telegram all the same, so that only a change explains it. `None`
        /// where the mode cannot tell.
        key_fits: Option<bool>,
    },
    /// The mode demands a MAC and the telegram has none.
    #[error("{mode} without a MAC")]
    MacMissing {
        /// The mode.
        mode: SecurityMode,
    },
    /// A kind of MAC that is not checked here.
    #[error("authentication by {0} is not supported")]
    MacUnsupported(Authentication),
    /// The mode needs a message counter and the telegram has none.
    #[error("{mode} without a message counter")]
    CounterMissing {
        /// The mode.
        mode: SecurityMode,
    },
    /// The message counter is not above the last accepted: a recording, or a repeater's second copy.
    #[error("message counter {received} was used before: {last} was accepted last")]
    CounterRepeated {
        /// The counter that came.
        received: u32,
        /// The last that was accepted.
        last: u32,
    },
    /// A mode that is not opened here.
    #[error("{0} is not supported")]
    ModeUnsupported(SecurityMode),
    /// Encryption of the extended link layer of an unknown kind.
    #[error("encryption {encryption} of the extended link layer is not supported")]
    LinkEncryptionUnsupported {
        /// The code.
        encryption: u8,
    },
    /// A way to derive keys that is not known here.
    #[error("key derivation {derivation} is not supported")]
    DerivationUnsupported {
        /// The code.
        derivation: u8,
    },
    /// The telegram is protected less than the meter's are expected to be.
    #[error("the telegram is {found}, this meter's are {expected}: a forgery, or the meter was set back")]
    Weaker {
        /// What is expected.
        expected: Protection,
        /// What came.
        found: Protection,
    },
    /// The header says encrypted and the payload is in clear: anyone can make such a telegram.
    #[error("the header says {mode}, the payload is in clear")]
    PlainUnderEncryption {
        /// What the header says.
        mode: SecurityMode,
    },
    /// Fewer bytes than the header says are encrypted.
    #[error("{needed} encrypted bytes are announced at {offset}, {left} are there")]
    Truncated {
        /// Where the ciphertext begins.
        offset: usize,
        /// Bytes announced.
        needed: usize,
        /// Bytes there.
        left: usize,
    },
    /// The telegram is one piece of several: put them together first.
    #[error("a fragment of a message: put the message together first")]
    Fragment,
    /// A short header on a wired bus, and nobody said which meter was asked.
    #[error("the telegram does not name its meter: say which was asked")]
    MeterUnknown,
    /// What the extended link layer had encrypted is no telegram.
    #[error("behind the extended link layer: {0}")]
    Inner(#[from] TelegramError),
    /// A format frame contradicts itself.
    #[error(transparent)]
    Format(#[from] CompactError),
}

impl OpenError {
    /// A short word for the kind of error, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::KeyMissing { .. } => "key missing",
            Self::KeyWrong { .. } => "key wrong",
            Self::MacFailed { .. } => "mac failed",
            Self::MacMissing { .. } => "mac missing",
            Self::MacUnsupported(_) => "mac unsupported",
            Self::CounterMissing { .. } => "counter missing",
            Self::CounterRepeated { .. } => "counter repeated",
            Self::ModeUnsupported(_) | Self::LinkEncryptionUnsupported { .. } => "mode unsupported",
            Self::DerivationUnsupported { .. } => "derivation unsupported",
            Self::Weaker { .. } => "weaker than expected",
            Self::PlainUnderEncryption { .. } => "plain under encryption",
            Self::Truncated { .. } => "truncated",
            Self::Fragment => "fragment",
            Self::MeterUnknown => "meter unknown",
            Self::Inner(_) => "inner telegram",
            Self::Format(_) => "format",
        }
    }
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
        match opened.content {
            Content::Records(records) => self.formats.learn(records),
            Content::Format(format) => self.formats.add(format),
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
}

/// One telegram against one meter's state.
struct Attempt<'s> {
    options: OpenOptions,
    bearer: Bearer,
    state: &'s MeterState,
}

impl Attempt<'_> {
    /// Decrypts what the extended link layer sealed; gives what that was worth.
    fn unseal(&self, ell: Option<&Ell>, bytes: &[u8], out: &mut Vec<u8>) -> Result<LinkSeal, OpenError> {
        let (Some(ell), Some(sender)) = (ell, self.bearer.meter()) else { return Err(OpenError::MeterUnknown) };
        let Some(session) = ell.session else { return Err(OpenError::Fragment) };
        if session.encryption() != 1 {
            return Err(OpenError::LinkEncryptionUnsupported { encryption: session.encryption() });
        }
        out.clear();
        out.extend(bytes);
        if let Some(key) = &self.state.security.key {
            cipher::ctr(key.cipher(), cipher::counter_of_link(sender, ell, session), out);
            if crc_holds(out) {
                return Ok(LinkSeal::Opened(session));
            }
        }
        if crc_holds(bytes) || self.options.accept_decrypted_samples && looks_plain(bytes) {
            out.clear();
            out.extend(bytes);
            return self.sample(SecurityMode::LINK).map(|()| LinkSeal::Sample);
        }
        Err(match self.state.security.key {
            None => OpenError::KeyMissing { mode: SecurityMode::LINK },
            Some(_) => OpenError::KeyWrong { check: "the payload's CRC" },
        })
    }

    /// A payload in clear under an encrypting header.
    const fn sample(&self, mode: SecurityMode) -> Result<(), OpenError> {
        if self.options.accept_decrypted_samples { Ok(()) } else { Err(OpenError::PlainUnderEncryption { mode }) }
    }

    fn message<'a>(
        &self,
        afl: Option<Afl<'a>>,
        transport: &Transport<'a>,
        seal: LinkSeal,
        payload: &'a mut Vec<u8>,
        full: &'a mut Vec<u8>,
    ) -> Result<Opened<'a>, OpenError> {
        let meter = transport.header.meter().or(self.bearer.meter()).ok_or(OpenError::MeterUnknown)?;
        let mode = transport.header.mode();
        let body = self.body(afl.as_ref(), transport, meter, seal.protection(), payload)?;
        let plain = if body.copied { &*payload } else { transport.payload };
        let content = content(transport, meter, plain, &self.state.formats, full)?;
        Ok(Opened {
            meter,
            access: transport.header.access(),
            status: transport.header.status(),
            mode,
            protection: match seal {
                LinkSeal::Sample => body.protection,
                seal => body.protection.max(seal.protection()),
            },
            clear_bytes: body.clear_bytes,
            sample: body.sample || matches!(seal, LinkSeal::Sample),
            counter: body.counter,
            session: if let LinkSeal::Opened(session) = seal { Some(session) } else { None },
            content,
            plain,
            plain_at: transport.payload_at,
        })
    }

    fn body(
        &self,
        afl: Option<&Afl<'_>>,
        transport: &Transport<'_>,
        meter: MeterId,
        link: Protection,
        out: &mut Vec<u8>,
    ) -> Result<Body, OpenError> {
        let mode = transport.header.mode();
        let left = transport.payload.len();
        let encrypted = self.encrypted_bytes(transport)?;
        let authenticated = afl.is_some_and(|afl| afl.mac.is_some()) || mode == SecurityMode::AES_CCM;
        let found = match (encrypted, authenticated) {
            (_, true) => Protection::Authenticated,
            (0, false) => Protection::Plain,
            _ => Protection::Encrypted,
        };
        let expected = self.state.security.minimum;
        if found.max(link) < expected {
            return Err(OpenError::Weaker { expected, found: found.max(link) });
        }
        if found == Protection::Plain {
            return Ok(Body::PLAIN);
        }
        let clear = CHECK_BYTES == *transport.payload.first_chunk().unwrap_or(&[0; 2]) && encrypted > 0;
        let Some(key) = &self.state.security.key else {
            if clear {
                return self.sample(mode).map(|()| Body { sample: true, ..Body::PLAIN });
            }
            return Err(OpenError::KeyMissing { mode });
        };
        out.clear();
        out.extend(transport.payload);
        let sealed = Sealed { key, meter, transport, afl, encrypted };
        let opened = match mode {
            SecurityMode::AES_CCM => sealed.mode_10(&self.state.counters, out),
            _ if authenticated => sealed.authenticated(&self.state.counters, out),
            SecurityMode::AES_CBC => sealed.mode_5(out).map(|()| None),
            _ => Err(OpenError::MacMissing { mode }),
        };
        match opened {
            Ok(counter) => Ok(Body {
                protection: found,
                clear_bytes: left.saturating_sub(encrypted),
                counter,
                copied: true,
                sample: false,
            }),
            Err(OpenError::KeyWrong { .. } | OpenError::MacFailed { key_fits: Some(false) | None }) if clear => {
                self.sample(mode).map(|()| Body { sample: true, ..Body::PLAIN })
            }
            Err(error) => Err(error),
        }
    }

    /// How many bytes of the payload are encrypted.
    fn encrypted_bytes(&self, transport: &Transport<'_>) -> Result<usize, OpenError> {
        let (mode, left) = (transport.header.mode(), transport.payload.len());
        let Some(configuration) = transport.header.configuration() else { return Ok(0) };
        if matches!(self.bearer, Bearer::Wired { .. }) && configuration.encrypted_bytes(left) == 0 {
            // On wires the word is often noise from before encryption; it counts only when it fits.
            return Ok(0);
        }
        if !mode.is_supported() {
            return Err(OpenError::ModeUnsupported(mode));
        }
        let needed = match mode {
            SecurityMode::PLAIN => 0,
            SecurityMode::AES_CCM => left,
            _ => usize::from(configuration.0 >> 4 & 0x0F).saturating_mul(BLOCK_BYTES),
        };
        if needed > left || mode == SecurityMode::AES_CCM && left < TAG_BYTES {
            let needed = needed.max(TAG_BYTES);
            return Err(OpenError::Truncated { offset: transport.payload_at, needed, left });
        }
        Ok(needed)
    }
}

/// How a body was opened.
struct Body {
    protection: Protection,
    clear_bytes: usize,
    counter: Option<MessageCounter>,
    /// Whether the plain bytes are in the buffer; else they are the transport layer's own.
    copied: bool,
    sample: bool,
}

impl Body {
    const PLAIN: Self =
        Self { protection: Protection::Plain, clear_bytes: 0, counter: None, copied: false, sample: false };
}

/// What the extended link layer's encryption was.
#[derive(Clone, Copy)]
enum LinkSeal {
    None,
    Opened(SessionNumber),
    /// In clear, let pass by an option.
    Sample,
}

impl LinkSeal {
    const fn protection(self) -> Protection {
        match self {
            Self::None => Protection::Plain,
            Self::Opened(_) | Self::Sample => Protection::Encrypted,
        }
    }
}

/// An encrypted or authenticated message and its key.
struct Sealed<'s> {
    key: &'s Key,
    meter: MeterId,
    transport: &'s Transport<'s>,
    afl: Option<&'s Afl<'s>>,
    encrypted: usize,
}

impl Sealed<'_> {
    fn mode_5(&self, out: &mut [u8]) -> Result<(), OpenError> {
        let access = self.transport.header.access().unwrap_or_default();
        let iv = cipher::iv_of_mode_5(self.meter, access);
        self.cbc(self.key.cipher(), iv, out)
    }

    fn cbc(&self, cipher: &Aes128, iv: [u8; BLOCK_BYTES], out: &mut [u8]) -> Result<(), OpenError> {
        cipher::cbc_decrypt(cipher, iv, out.get_mut(..self.encrypted).unwrap_or_default());
        match out.first_chunk() {
            Some(&CHECK_BYTES) => Ok(()),
            _ => Err(OpenError::KeyWrong { check: "2F2F" }),
        }
    }

    /// A message with a MAC in its AFL.
    fn authenticated(&self, counters: &Counters, out: &mut [u8]) -> Result<Option<MessageCounter>, OpenError> {
        let mode = self.transport.header.mode();
        let Some((afl, mac)) = self.afl.and_then(|afl| Some((afl, afl.mac?))) else {
            return Err(OpenError::MacMissing { mode });
        };
        let counter = afl.counter.or(self.transport.counter).ok_or(OpenError::CounterMissing { mode })?;
        let control = afl.message_control.map_or(0, |control| control.0);
        match Authentication::from_code(control & 0x0F) {
            Authentication::Cmac(_) => {}
            other => return Err(OpenError::MacUnsupported(other)),
        }
        let derivation = match mode {
            SecurityMode::AES_CBC_DERIVED => self.transport.extension.derivation(),
            _ => afl.key.map_or(0, |key| key.derivation()),
        };
        if derivation != 1 {
            return Err(OpenError::DerivationUnsupported { derivation });
        }
        let length = afl.length.map(u16::to_le_bytes);
        let length = length.as_ref().map_or(&[][..], |length| length);
        let kmac = self.derive(0x01, counter);
        let expected = cmac(&kmac, &[&[control], &counter.to_le_bytes(), length, self.transport.message]);
        let right = same(expected.get(..mac.len()).unwrap_or_default(), mac);
        let opened = match mode {
            SecurityMode::AES_CBC_DERIVED if self.encrypted > 0 => {
                self.cbc(&self.derive(0x00, counter), [0; BLOCK_BYTES], out)
            }
            SecurityMode::AES_CBC if self.encrypted > 0 => self.mode_5(out),
            _ => Ok(()),
        };
        if !right {
            return Err(OpenError::MacFailed { key_fits: Some(opened.is_ok()).filter(|_| self.encrypted > 0) });
        }
        self.count(counter, counters).and_then(|counted| opened.map(|()| Some(counted)))
    }

    fn mode_10(&self, counters: &Counters, out: &mut Vec<u8>) -> Result<Option<MessageCounter>, OpenError> {
        let Transport { extension, counter, associated, .. } = *self.transport;
        let counter = counter.ok_or(OpenError::CounterMissing { mode: SecurityMode::AES_CCM })?;
        if extension.derivation() != 1 {
            return Err(OpenError::DerivationUnsupported { derivation: extension.derivation() });
        }
        let failed = OpenError::MacFailed { key_fits: None };
        let (cut, tag) = out.split_last_chunk().map(|(plain, tag)| (plain.len(), *tag)).ok_or(failed)?;
        out.truncate(cut);
        let nonce = cipher::nonce_of_mode_10(self.meter, counter);
        if !cipher::ccm_decrypt(self.derive(0x00, counter), nonce, associated, out, tag) {
            return Err(failed);
        }
        self.count(counter, counters).map(Some)
    }

    fn derive(&self, use_code: u8, counter: u32) -> Aes128 {
        let [_, _, id @ .., _, _] = address(self.meter);
        self.key.derive(use_code, counter, id)
    }

    /// Refuses a counter that is not above the last. The window is zero: radio reorders nothing.
    fn count(&self, received: u32, counters: &Counters) -> Result<MessageCounter, OpenError> {
        match counters.last(self.key.tag()) {
            Some(last) if received <= last => Err(OpenError::CounterRepeated { received, last }),
            _ => Ok(MessageCounter { key: self.key.tag(), value: received }),
        }
    }
}

fn crc_holds(bytes: &[u8]) -> bool {
    bytes.split_first_chunk().is_some_and(|(received, rest)| u16::from_le_bytes(*received) == crc(rest))
}

/// Whether a sample that lost its CRC begins, behind it, with a transport layer that has records.
fn looks_plain(bytes: &[u8]) -> bool {
    matches!(bytes.get(PAYLOAD_CRC_BYTES), Some(0x72 | 0x78 | 0x79 | 0x7A | 0x7B))
}

/// Compares in a time that does not depend on where two codes differ.
fn same(expected: &[u8], received: &[u8]) -> bool {
    expected.len() == received.len()
        && expected.iter().zip(received).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
        && !expected.is_empty()
}

fn content<'a>(
    transport: &Transport<'a>,
    meter: MeterId,
    plain: &'a [u8],
    formats: &Formats,
    full: &'a mut Vec<u8>,
) -> Result<Content<'a>, OpenError> {
    let at = transport.payload_at;
    Ok(match transport.application() {
        Application::Full => Content::Records(Records::from_bytes(plain, at)),
        Application::Compact => {
            let compact = Compact::read(plain, at)?;
            match compact.restore(formats, full) {
                Ok(()) => Content::Records(Records::from_bytes(full, 0)),
                Err(error) => Content::Compact(compact, error),
            }
        }
        Application::Format => Content::Format(format_of(plain)?),
        Application::Manufacturer => {
            Content::Manufacturer(ManufacturerPayload { meter, ci: transport.ci, bytes: plain, offset: at })
        }
        Application::Empty => Content::Empty,
        Application::Error | Application::Alarm | Application::Other => {
            Content::Other { ci: transport.ci, bytes: plain }
        }
    })
}
