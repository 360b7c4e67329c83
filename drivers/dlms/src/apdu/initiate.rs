//! What client and meter agree on (IEC 62056-5-3 §9.3.1).

use super::{ApduError, read_optional};
use crate::axdr::{emit_octets, octets};
use alloc::vec::Vec;
use core::fmt;
use core::ops::{BitAnd, BitOr};
use plomb_session::Reader;

/// The version that both sides speak.
const VERSION: u8 = 6;
/// VAA name of logical name referencing.
const VAA_LOGICAL_NAMES: u16 = 0x0007;

/// What a side can do: 24 bits, the first the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conformance(pub u32);

/// A client's proposal (`01`).
#[derive(Clone, PartialEq, Eq)]
pub struct InitiateRequest {
    /// A key for this association alone. Never shown.
    pub dedicated_key: Option<Vec<u8>>,
    /// Whether an answer is wanted; absent for yes.
    pub response_allowed: Option<u8>,
    /// Quality of service.
    pub quality_of_service: Option<u8>,
    /// The DLMS version: 6.
    pub version: u8,
    /// What the client can do.
    pub conformance: Conformance,
    /// The longest APDU that the client takes, in bytes; 0 for any.
    pub max_pdu_bytes: u16,
}

/// A meter's answer (`08`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitiateResponse {
    /// Quality of service.
    pub quality_of_service: Option<u8>,
    /// The DLMS version: 6.
    pub version: u8,
    /// What both can do.
    pub conformance: Conformance,
    /// The longest APDU that the meter takes, in bytes; 0 for any.
    pub max_pdu_bytes: u16,
    /// 7 for logical names.
    pub vaa_name: u16,
}

impl fmt::Debug for InitiateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitiateRequest")
            .field("dedicated_key", &self.dedicated_key.is_some())
            .field("conformance", &self.conformance)
            .field("max_pdu_bytes", &self.max_pdu_bytes)
            .finish_non_exhaustive()
    }
}

impl Conformance {
    /// Ciphering of any APDU (general ciphering).
    pub const GENERAL_PROTECTION: Self = Self::bit(1);
    /// Blocks of any APDU.
    pub const GENERAL_BLOCK_TRANSFER: Self = Self::bit(2);
    /// Priorities.
    pub const PRIORITY: Self = Self::bit(9);
    /// All attributes at once.
    pub const ATTRIBUTE_0_WITH_GET: Self = Self::bit(10);
    /// Blocks with GET.
    pub const BLOCK_GET: Self = Self::bit(11);
    /// Blocks with SET.
    pub const BLOCK_SET: Self = Self::bit(12);
    /// Blocks with ACTION.
    pub const BLOCK_ACTION: Self = Self::bit(13);
    /// Several attributes in one question.
    pub const MULTIPLE_REFERENCES: Self = Self::bit(14);
    /// Pushes.
    pub const DATA_NOTIFICATION: Self = Self::bit(16);
    /// GET.
    pub const GET: Self = Self::bit(19);
    /// SET.
    pub const SET: Self = Self::bit(20);
    /// Parts of attributes.
    pub const SELECTIVE_ACCESS: Self = Self::bit(21);
    /// Events.
    pub const EVENT_NOTIFICATION: Self = Self::bit(22);
    /// ACTION.
    pub const ACTION: Self = Self::bit(23);

    const NAMES: [(u32, &'static str); 21] = [
        (1, "general-protection"),
        (2, "general-block-transfer"),
        (3, "read"),
        (4, "write"),
        (5, "unconfirmed-write"),
        (6, "delta-value-encoding"),
        (8, "attribute0-supported-with-set"),
        (9, "priority-mgmt-supported"),
        (10, "attribute0-supported-with-get"),
        (11, "block-transfer-with-get"),
        (12, "block-transfer-with-set"),
        (13, "block-transfer-with-action"),
        (14, "multiple-references"),
        (15, "information-report"),
        (16, "data-notification"),
        (17, "access"),
        (18, "parameterized-access"),
        (19, "get"),
        (20, "set"),
        (21, "selective-access"),
        (22, "event-notification"),
    ];

    const fn bit(bit: u32) -> Self {
        Self(1 << (23 - bit))
    }

    /// All that this client can do.
    #[must_use]
    pub fn of_client() -> Self {
        [
            Self::GENERAL_PROTECTION,
            Self::GENERAL_BLOCK_TRANSFER,
            Self::PRIORITY,
            Self::BLOCK_GET,
            Self::BLOCK_SET,
            Self::BLOCK_ACTION,
            Self::MULTIPLE_REFERENCES,
            Self::DATA_NOTIFICATION,
            Self::GET,
            Self::SET,
            Self::SELECTIVE_ACCESS,
            Self::EVENT_NOTIFICATION,
            Self::ACTION,
        ]
        .into_iter()
        .fold(Self(0), BitOr::bitor)
    }

    /// Whether all of `other` is there.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is there, as the standard names it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let last = self.has(Self::ACTION).then_some("action");
        let named = Self::NAMES.into_iter().filter(move |(bit, _)| self.has(Self::bit(*bit)));
        named.map(|(_, name)| name).chain(last)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let offset = reader.offset();
        let wrong = ApduError::Field { what: "the conformance block", offset };
        // [APPLICATION 31], in one byte with older meters; a bit string of 24 bits.
        if reader.u8()? != 0x5F {
            return Err(wrong);
        }
        if reader.peek() == Some(0x1F) {
            reader.u8()?;
        }
        let [length, unused, a, b, c] = reader.array()?;
        if (length, unused) != (4, 0) {
            return Err(wrong);
        }
        Ok(Self(u32::from_be_bytes([0, a, b, c])))
    }

    fn write(self, out: &mut Vec<u8>) {
        let [_, a, b, c] = self.0.to_be_bytes();
        out.extend([0x5F, 0x1F, 0x04, 0x00, a, b, c]);
    }
}

impl BitOr for Conformance {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Conformance {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl InitiateRequest {
    /// A proposal without a key.
    #[must_use]
    pub const fn new(conformance: Conformance, max_pdu_bytes: u16) -> Self {
        Self {
            dedicated_key: None,
            response_allowed: None,
            quality_of_service: None,
            version: VERSION,
            conformance,
            max_pdu_bytes,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        Ok(Self {
            dedicated_key: read_optional(reader, |reader| Ok(octets(reader)?))?,
            response_allowed: read_optional(reader, |reader| Ok(reader.u8()?))?,
            quality_of_service: read_optional(reader, |reader| Ok(reader.u8()?))?,
            version: reader.u8()?,
            conformance: Conformance::read(reader)?,
            max_pdu_bytes: reader.u16_be()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend([0x01, u8::from(self.dedicated_key.is_some())]);
        if let Some(key) = &self.dedicated_key {
            emit_octets(key, out);
        }
        for field in [self.response_allowed, self.quality_of_service] {
            out.push(u8::from(field.is_some()));
            out.extend(field);
        }
        out.push(self.version);
        self.conformance.write(out);
        out.extend(self.max_pdu_bytes.to_be_bytes());
    }
}

impl InitiateResponse {
    /// An answer for logical names.
    #[must_use]
    pub const fn new(conformance: Conformance, max_pdu_bytes: u16) -> Self {
        Self { quality_of_service: None, version: VERSION, conformance, max_pdu_bytes, vaa_name: VAA_LOGICAL_NAMES }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        Ok(Self {
            quality_of_service: read_optional(reader, |reader| Ok(reader.u8()?))?,
            version: reader.u8()?,
            conformance: Conformance::read(reader)?,
            max_pdu_bytes: reader.u16_be()?,
            vaa_name: reader.u16_be()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend([0x08, u8::from(self.quality_of_service.is_some())]);
        out.extend(self.quality_of_service);
        out.push(self.version);
        self.conformance.write(out);
        out.extend(self.max_pdu_bytes.to_be_bytes());
        out.extend(self.vaa_name.to_be_bytes());
    }
}
