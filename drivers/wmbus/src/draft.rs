//! Telegrams to be made: for simulators, and for tests that what is made is read again.

use crate::afl::Authentication;
use crate::cipher::{self, BLOCK_BYTES};
use crate::crc::crc;
use crate::ell::Ell;
use crate::key::{Key, cmac};
use crate::link::{Format, Link, LinkError, address};
use crate::transport::{SecurityMode, TransportHeader};
use alloc::vec::Vec;
use plomb_mbus::{Configuration, MeterId, ShortHeader};
use thiserror::Error;

/// A telegram in clear, and what is to protect it.
///
/// The header's configuration word names the security mode; how many blocks are encrypted is put in
/// when the telegram is made. The extended link layer encrypts when its session says so.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The link's head. Its sender is the meter where the header is short.
    pub link: Link,
    /// The extended link layer.
    pub ell: Option<Ell>,
    /// The application layer's CI; its header must be of the kind that goes with it.
    pub ci: u8,
    /// The header.
    pub header: TransportHeader,
    /// The application layer, without check bytes and filler.
    pub payload: &'a [u8],
    /// The message counter of modes 7 and 10.
    pub counter: u32,
    /// How mode 7 authenticates.
    pub authentication: Authentication,
}

/// Why a draft gives no telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DraftError {
    /// It does not fit in a frame.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It is to be encrypted and there is no key.
    #[error("{0} needs a key")]
    KeyMissing(SecurityMode),
    /// A mode or a MAC that is not made here.
    #[error("{0} is not made here")]
    ModeUnsupported(SecurityMode),
    /// More than fifteen blocks, which the configuration word cannot say.
    #[error("{bytes} bytes are more than the blocks that a header can announce")]
    PayloadTooLong {
        /// The payload's length.
        bytes: usize,
    },
}

const CHECK_BYTE: u8 = 0x2F;
const BLOCK_COUNT_MAX: usize = 15;
/// Key derivation by CMAC with the message counter, key 0.
const CFGE_DERIVED: u8 = 0x10;
/// Mode 10 has a second byte; 01 as meters send it.
const CFGE_SECOND: u8 = 0x01;
const CI_AFL: u8 = 0x90;

impl Draft<'_> {
    /// The radio frame.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn emit(&self, format: Format, key: Option<&Key>) -> Result<Vec<u8>, DraftError> {
        let upper = self.upper(key)?;
        let Some(ell) = self.ell else { return Ok(self.link.emit(format, &upper)?) };
        let mut payload = Vec::with_capacity(upper.len().saturating_add(18));
        payload.extend([ell.ci, ell.communication, ell.access]);
        if let Some(receiver) = ell.receiver {
            payload.extend(address(receiver));
        }
        if let Some(session) = ell.session {
            payload.extend(session.0.to_le_bytes());
            let mut sealed = Vec::with_capacity(upper.len().saturating_add(2));
            sealed.extend(crc(&upper).to_le_bytes());
            sealed.extend(&upper);
            if ell.is_encrypted() {
                let key = key.ok_or(DraftError::KeyMissing(SecurityMode::LINK))?;
                let counter = cipher::counter_of_link(self.link.sender, &ell, session);
                cipher::ctr(key.cipher(), counter, &mut sealed);
            }
            payload.extend(sealed);
        } else {
            payload.extend(upper);
        }
        Ok(self.link.emit(format, &payload)?)
    }

    /// Everything from the AFL, or else the transport layer's CI, to the end.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn upper(&self, key: Option<&Key>) -> Result<Vec<u8>, DraftError> {
        let mode = self.header.mode();
        let missing = DraftError::KeyMissing(mode);
        match mode {
            SecurityMode::PLAIN => {
                let mut out = self.head(None);
                out.extend(self.payload);
                Ok(out)
            }
            SecurityMode::AES_CBC => {
                let iv = cipher::iv_of_mode_5(self.meter(), self.header.access().unwrap_or_default());
                let (mut out, body) = self.padded()?;
                out.extend(cbc(key.ok_or(missing)?.cipher(), iv, body));
                Ok(out)
            }
            SecurityMode::AES_CBC_DERIVED => self.profile_b(key.ok_or(missing)?),
            SecurityMode::AES_CCM => self.profile_d(key.ok_or(missing)?),
            mode => Err(DraftError::ModeUnsupported(mode)),
        }
    }

    fn profile_b(&self, key: &Key) -> Result<Vec<u8>, DraftError> {
        let (code, mac_bytes) = match self.authentication {
            Authentication::Cmac(2) => (3, 2),
            Authentication::Cmac(4) => (4, 4),
            Authentication::Cmac(8) => (5, 8),
            Authentication::Cmac(12) => (6, 12),
            Authentication::Cmac(16) => (7, 16),
            _ => return Err(DraftError::ModeUnsupported(SecurityMode::AES_CBC_DERIVED)),
        };
        let (mut message, body) = self.padded()?;
        message.push(CFGE_DERIVED);
        let [_, _, id @ .., _, _] = address(self.meter());
        message.extend(cbc(&key.derive(0x00, self.counter, id), [0; BLOCK_BYTES], body));
        let control = 0x20 | code;
        let counter = self.counter.to_le_bytes();
        let mac = cmac(&key.derive(0x01, self.counter, id), &[&[control], &counter, &message]);
        // FCL, MCL, MCR and MAC.
        let mut out = Vec::with_capacity(message.len().saturating_add(25));
        out.extend([CI_AFL, 7 + mac_bytes, 0x00, 0x2C, control]);
        out.extend(counter);
        out.extend(mac.iter().take(mac_bytes.into()));
        out.extend(message);
        Ok(out)
    }

    fn profile_d(&self, key: &Key) -> Result<Vec<u8>, DraftError> {
        let mut out = self.head(None);
        out.extend([CFGE_DERIVED, CFGE_SECOND]);
        let [_, _, id @ .., _, _] = address(self.meter());
        let nonce = cipher::nonce_of_mode_10(self.meter(), self.counter);
        let mut body = self.payload.to_vec();
        let tag = cipher::ccm_encrypt(key.derive(0x00, self.counter, id), nonce, &out, &mut body)
            .ok_or(DraftError::PayloadTooLong { bytes: self.payload.len() })?;
        out.extend(self.counter.to_le_bytes());
        out.extend(body);
        out.extend(tag);
        Ok(out)
    }

    /// CI and header, and the payload with check bytes and filler.
    fn padded(&self) -> Result<(Vec<u8>, Vec<u8>), DraftError> {
        let mut body = Vec::with_capacity(self.payload.len().saturating_add(BLOCK_BYTES + 2));
        body.extend([CHECK_BYTE; 2]);
        body.extend(self.payload);
        body.resize(body.len().next_multiple_of(BLOCK_BYTES), CHECK_BYTE);
        let blocks = body.len() / BLOCK_BYTES;
        match u16::try_from(blocks) {
            Ok(count) if blocks <= BLOCK_COUNT_MAX => Ok((self.head(Some(count)), body)),
            _ => Err(DraftError::PayloadTooLong { bytes: self.payload.len() }),
        }
    }

    fn head(&self, blocks: Option<u16>) -> Vec<u8> {
        let word = |word: Configuration| match blocks {
            Some(blocks) => word.0 & !0x00F0 | blocks << 4,
            None => word.0,
        };
        let mut out = Vec::with_capacity(256);
        out.push(self.ci);
        let short = match self.header {
            TransportHeader::None => return out,
            TransportHeader::Short(short) => short,
            TransportHeader::Long(long) => {
                let MeterId { id, manufacturer, version, medium } = long.meter;
                out.extend(id.0.to_le_bytes());
                out.extend(manufacturer.0.to_le_bytes());
                out.extend([version, medium.0]);
                ShortHeader { access: long.access, status: long.status, configuration: long.configuration }
            }
        };
        out.extend([short.access, short.status.0]);
        out.extend(word(short.configuration).to_le_bytes());
        out
    }

    fn meter(&self) -> MeterId {
        self.header.meter().unwrap_or(self.link.sender)
    }
}

fn cbc(cipher: &aes::Aes128, iv: [u8; BLOCK_BYTES], mut body: Vec<u8>) -> Vec<u8> {
    cipher::cbc_encrypt(cipher, iv, &mut body);
    body
}
