//! APDUs under a cipher or a signature, as they are.

use super::ApduError;
use crate::axdr::{emit_octets, octets};
use alloc::vec::Vec;
use plomb_session::Reader;

/// A ciphered APDU, tag and all. [`security`](crate::security) opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphered {
    /// The whole APDU.
    pub bytes: Vec<u8>,
}

/// A signed APDU (`DF`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneralSigning {
    /// The transaction.
    pub transaction: Vec<u8>,
    /// The signer's system title.
    pub originator: Vec<u8>,
    /// Whom it is for.
    pub recipient: Vec<u8>,
    /// When, as sent.
    pub time: Vec<u8>,
    /// Anything else.
    pub other: Vec<u8>,
    /// The APDU that is signed.
    pub content: Vec<u8>,
    /// The signature, both halves.
    pub signature: Vec<u8>,
}

impl Ciphered {
    /// Whether an APDU with this tag is a ciphered one.
    #[must_use]
    pub const fn is_ciphered(tag: u8) -> bool {
        matches!(tag, 0x21 | 0x28 | 0x2E | 0x41 | 0x48 | 0x4E | 0xC8..=0xCF | 0xD0..=0xD7 | 0xDB..=0xDD)
    }

    /// The first byte.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// The name, as the standard writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.tag() {
            0x21 => "glo-initiateRequest",
            0x28 => "glo-initiateResponse",
            0x2E => "glo-confirmedServiceError",
            0x41 => "ded-initiateRequest",
            0x48 => "ded-initiateResponse",
            0x4E => "ded-confirmedServiceError",
            0xC8 => "glo-get-request",
            0xC9 => "glo-set-request",
            0xCA => "glo-event-notification-request",
            0xCB => "glo-action-request",
            0xCC => "glo-get-response",
            0xCD => "glo-set-response",
            0xCF => "glo-action-response",
            0xD0 => "ded-get-request",
            0xD1 => "ded-set-request",
            0xD2 => "ded-event-notification-request",
            0xD3 => "ded-action-request",
            0xD4 => "ded-get-response",
            0xD5 => "ded-set-response",
            0xD7 => "ded-action-response",
            0xDB => "general-glo-ciphering",
            0xDC => "general-ded-ciphering",
            0xDD => "general-ciphering",
            _ => "ciphered",
        }
    }
}

impl GeneralSigning {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        Ok(Self {
            transaction: octets(reader)?,
            originator: octets(reader)?,
            recipient: octets(reader)?,
            time: octets(reader)?,
            other: octets(reader)?,
            content: octets(reader)?,
            signature: octets(reader)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(0xDF);
        let Self { transaction, originator, recipient, time, other, content, signature } = self;
        for field in [transaction, originator, recipient, time, other, content, signature] {
            emit_octets(field, out);
        }
    }
}
