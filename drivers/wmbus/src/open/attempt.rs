//! One telegram against what is expected of its meter.

use crate::afl::Afl;
use crate::cipher::{self, BLOCK_BYTES, TAG_BYTES};
use crate::compact::{Compact, Formats, format_of};
use crate::crc::crc;
use crate::ell::{Ell, SessionNumber};
use crate::open::sealed::{CHECK_BYTES, Sealed};
use crate::open::{Content, MeterState, OpenError, OpenOptions, Opened};
use crate::proprietary::ManufacturerPayload;
use crate::security::{MAC_BYTES_MIN, MessageCounter, Protection};
use crate::telegram::Bearer;
use crate::transport::{Application, SecurityMode, Transport};
use alloc::vec::Vec;
use plomb_mbus::{MeterId, Records};

/// Security modes from here on have no meaning in the standard.
const RESERVED_MODES_FROM: u8 = 16;

/// What stands between records and says nothing.
const FILLER: u8 = 0x2F;

/// CRC of the extended link layer.
pub(super) const PAYLOAD_CRC_BYTES: usize = 2;

/// One telegram against one meter's state.
pub(super) struct Attempt<'s> {
    pub(super) options: OpenOptions,
    pub(super) bearer: Bearer,
    pub(super) state: &'s MeterState,
}

impl Attempt<'_> {
    /// Decrypts what the extended link layer sealed; gives what that was worth.
    pub(super) fn unseal(&self, ell: Option<&Ell>, bytes: &[u8], out: &mut Vec<u8>) -> Result<LinkSeal, OpenError> {
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

    pub(super) fn message<'a>(
        &self,
        afl: Option<Afl<'a>>,
        transport: &Transport<'a>,
        seal: LinkSeal,
        payload: &'a mut Vec<u8>,
        full: &'a mut Vec<u8>,
    ) -> Result<Opened<'a>, OpenError> {
        let meter = transport.header.meter().or(self.bearer.meter()).ok_or(OpenError::MeterUnknown)?;
        if let (LinkSeal::Opened(_) | LinkSeal::Sample, Some(sender)) = (seal, self.bearer.meter())
            && meter != sender
        {
            // The key was found by the sender: it must not speak for another meter.
            return Err(OpenError::OtherMeter { sender, named: meter });
        }
        let mode = transport.header.mode();
        let body = self.body(afl.as_ref(), transport, meter, seal.protection(), payload)?;
        let plain = if body.copied { &*payload } else { transport.payload };
        let (content, format) = content(transport, meter, plain, &self.state.formats, full)?;
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
            clear_at: body.clear_at(transport, plain, seal),
            sample: body.sample || matches!(seal, LinkSeal::Sample),
            counter: body.counter,
            session: if let LinkSeal::Opened(session) = seal { Some(session) } else { None },
            content,
            format,
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
        let strong =
            mode == SecurityMode::AES_CCM || afl.and_then(|afl| afl.mac).is_some_and(|mac| mac.len() >= MAC_BYTES_MIN);
        let found = match (encrypted, authenticated) {
            (_, true) if strong => Protection::Authenticated,
            // Behind a MAC that can be guessed, what nobody encrypted is worth no more than without it.
            (0, _) => Protection::Plain,
            _ => Protection::Encrypted,
        };
        let expected = self.state.security.minimum;
        if found.max(link) < expected {
            return Err(match transport.application() {
                Application::Empty if left == 0 => OpenError::PresenceOnly,
                _ => OpenError::Weaker { expected, found: found.max(link) },
            });
        }
        if encrypted == 0 && !authenticated {
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
            Err(OpenError::KeyWrong { .. } | OpenError::MacFailed { key_fits: None }) if clear => {
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
            // Published samples have reserved modes over records that were never encrypted.
            let reads = || Records::from_bytes(transport.payload, transport.payload_at).all(|record| record.is_ok());
            if self.options.accept_decrypted_samples && mode.0 >= RESERVED_MODES_FROM && reads() {
                return Ok(0);
            }
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

    /// Where what nothing covers begins, if it says anything.
    fn clear_at(&self, transport: &Transport<'_>, plain: &[u8], seal: LinkSeal) -> Option<usize> {
        if self.protection != Protection::Encrypted || !matches!(seal, LinkSeal::None) {
            return None;
        }
        let sealed = plain.len().saturating_sub(self.clear_bytes);
        let clear = plain.get(sealed..).unwrap_or_default();
        clear.iter().any(|byte| *byte != FILLER).then(|| match transport.application() {
            Application::Full => transport.payload_at.saturating_add(sealed),
            _ => 0,
        })
    }
}

/// What the extended link layer's encryption was.
#[derive(Clone, Copy)]
pub(super) enum LinkSeal {
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

fn crc_holds(bytes: &[u8]) -> bool {
    bytes.split_first_chunk().is_some_and(|(received, rest)| u16::from_le_bytes(*received) == crc(rest))
}

/// Whether a sample that lost its CRC begins, behind it, with a transport layer that has records.
fn looks_plain(bytes: &[u8]) -> bool {
    matches!(bytes.get(PAYLOAD_CRC_BYTES), Some(0x72 | 0x78 | 0x79 | 0x7A | 0x7B))
}

fn content<'a>(
    transport: &Transport<'a>,
    meter: MeterId,
    plain: &'a [u8],
    formats: &Formats,
    full: &'a mut Vec<u8>,
) -> Result<(Content<'a>, Option<u16>), OpenError> {
    let at = transport.payload_at;
    let encrypted = transport.header.mode() != SecurityMode::PLAIN;
    // The check bytes are filler between records, and belong to no compact or format frame.
    let unchecked = plain.strip_prefix(&CHECK_BYTES).filter(|_| encrypted).unwrap_or(plain);
    let unchecked_at = at.saturating_add(plain.len().saturating_sub(unchecked.len()));
    let mut format = None;
    let content = match transport.application() {
        Application::Full => Content::Records(Records::from_bytes(plain, at)),
        Application::Compact => {
            let compact = Compact::read(unchecked, unchecked_at)?;
            match compact.restore(formats, full) {
                Ok(()) => {
                    format = Some(compact.signature);
                    Content::Records(Records::from_bytes(full, 0))
                }
                Err(error) => Content::Compact(compact, error),
            }
        }
        Application::Format => Content::Format(format_of(unchecked)?),
        Application::Manufacturer => {
            Content::Manufacturer(ManufacturerPayload { meter, ci: transport.ci, bytes: plain, offset: at })
        }
        Application::Empty => Content::Empty,
        Application::Error | Application::Alarm | Application::Other => {
            Content::Other { ci: transport.ci, bytes: plain }
        }
    };
    Ok((content, format))
}
