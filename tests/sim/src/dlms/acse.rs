//! Opening and closing associations: ACSE in BER (IEC 62056-5-3, 7.2).

use super::value::{take, take_byte, take_octets, write_length};

/// Association results and their reasons (acse-service-user).
pub(super) const ACCEPTED: u8 = 0;
pub(super) const REJECTED: u8 = 1;
pub(super) const NO_REASON: u8 = 1;
pub(super) const CONTEXT_NOT_SUPPORTED: u8 = 2;
pub(super) const MECHANISM_NOT_RECOGNISED: u8 = 11;
pub(super) const MECHANISM_REQUIRED: u8 = 12;
pub(super) const AUTHENTICATION_FAILURE: u8 = 13;
pub(super) const AUTHENTICATION_REQUIRED: u8 = 14;

/// A request for an association.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Aarq {
    /// Last arc of the application context: 1 plain, 3 ciphered; with logical names.
    pub(super) context: u8,
    pub(super) title: Vec<u8>,
    pub(super) mechanism: Option<u8>,
    pub(super) authentication: Vec<u8>,
    /// The initiate-request, ciphered or not.
    pub(super) user: Vec<u8>,
}

impl Aarq {
    /// Reads the APDU without its tag 60.
    pub(super) fn read(mut rest: &[u8]) -> Option<Self> {
        let mut inner = take_octets(&mut rest)?;
        let mut aarq = Self::default();
        while let Some(tag) = take_byte(&mut inner) {
            let content = take_octets(&mut inner)?;
            match tag {
                0xA1 => aarq.context = *content.last()?,
                0xA6 => aarq.title = content.get(2..)?.to_vec(),
                0x8B => aarq.mechanism = content.last().copied(),
                0xAC => aarq.authentication = content.get(2..)?.to_vec(),
                0xBE => {
                    let mut octets = content;
                    if take_byte(&mut octets)? != 0x04 {
                        return None;
                    }
                    aarq.user = take_octets(&mut octets)?.to_vec();
                }
                // Version, AE qualifier, requirements and the like.
                _ => {}
            }
        }
        Some(aarq)
    }
}

/// An answer to a request for an association.
#[derive(Debug, Clone)]
pub(super) struct Aare {
    pub(super) context: u8,
    pub(super) result: u8,
    pub(super) reason: u8,
    pub(super) title: Option<Vec<u8>>,
    /// A mechanism of four passes, and the meter's challenge.
    pub(super) challenge: Option<(u8, Vec<u8>)>,
    pub(super) user: Vec<u8>,
}

impl Aare {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut inner = Vec::new();
        let oid = |kind: u8, last: u8| [0x60, 0x85, 0x74, 0x05, 0x08, kind, last];
        element(0xA1, &nested(0x06, &oid(1, self.context)), &mut inner);
        element(0xA2, &[2, 1, self.result], &mut inner);
        element(0xA3, &nested(0xA1, &[2, 1, self.reason]), &mut inner);
        if let Some(title) = &self.title {
            element(0xA4, &nested(0x04, title), &mut inner);
        }
        if let Some((mechanism, challenge)) = &self.challenge {
            element(0x88, &[0x07, 0x80], &mut inner);
            element(0x89, &oid(2, *mechanism), &mut inner);
            element(0xAA, &nested(0x80, challenge), &mut inner);
        }
        if !self.user.is_empty() {
            element(0xBE, &nested(0x04, &self.user), &mut inner);
        }
        nested(0x61, &inner)
    }
}

/// An answer to a request for release: normal.
pub(super) fn rlre() -> Vec<u8> {
    vec![0x63, 0x03, 0x80, 0x01, 0x00]
}

fn element(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    write_length(content.len(), out);
    out.extend(content);
}

fn nested(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    element(tag, content, &mut out);
    out
}

/// What a client proposes (IEC 62056-5-3, 7.3.1): InitiateRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Initiate {
    pub(super) dedicated_key: Option<Vec<u8>>,
    pub(super) version: u8,
    pub(super) conformance: u32,
    pub(super) pdu_bytes_max: u16,
}

impl Initiate {
    pub(super) fn read(mut rest: &[u8]) -> Option<Self> {
        if take_byte(&mut rest)? != 0x01 {
            return None;
        }
        let dedicated_key = match take_byte(&mut rest)? {
            0 => None,
            _ => Some(take_octets(&mut rest)?.to_vec()),
        };
        // response-allowed and the proposed quality of service, where told.
        for _ in 0..2 {
            if take_byte(&mut rest)? != 0 {
                take_byte(&mut rest)?;
            }
        }
        let version = take_byte(&mut rest)?;
        if take(&mut rest, 2)? != [0x5F, 0x1F] || take_byte(&mut rest)? != 0x04 {
            return None;
        }
        let conformance = take(&mut rest, 4)?.iter().skip(1).fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let pdu_bytes_max = u16::from_be_bytes([take_byte(&mut rest)?, take_byte(&mut rest)?]);
        Some(Self { dedicated_key, version, conformance, pdu_bytes_max })
    }
}

/// InitiateResponse: version 6, what was agreed on, logical names.
pub(super) fn initiate_response(conformance: u32, pdu_bytes_max: u16) -> Vec<u8> {
    let [_, conformance @ ..] = conformance.to_be_bytes();
    let mut out = vec![0x08, 0x00, 0x06, 0x5F, 0x1F, 0x04, 0x00];
    out.extend(conformance);
    out.extend(pdu_bytes_max.to_be_bytes());
    out.extend([0x00, 0x07]);
    out
}

/// ConfirmedServiceError to an initiate-request: `reason` of initiate (0 other, 1 version, 2 services, 3 PDU).
pub(super) fn initiate_error(reason: u8) -> Vec<u8> {
    vec![0x0E, 0x01, 0x06, reason]
}
