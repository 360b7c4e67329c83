//! Association control: AARQ, AARE, RLRQ, RLRE, in BER (IEC 62056-5-3 §9.4).

use super::ApduError;
use crate::axdr::{emit_length, parse_length};
use alloc::vec::Vec;
use core::fmt;
use plomb_session::Reader;

/// `2.16.756.5.8.1.x`: application contexts.
const CONTEXT: [u8; 6] = [0x60, 0x85, 0x74, 0x05, 0x08, 0x01];
/// `2.16.756.5.8.2.x`: mechanisms.
const MECHANISM: [u8; 6] = [0x60, 0x85, 0x74, 0x05, 0x08, 0x02];
/// The functional unit "authentication", as a bit string.
const AUTHENTICATION_UNIT: [u8; 2] = [0x07, 0x80];
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const INTEGER: u8 = 0x02;
/// The most fields of one APDU.
const FIELD_COUNT_MAX: usize = 32;

/// An application context: 1 logical names, 2 short names, 3 and 4 the same ciphered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContextName(pub u8);

/// How a side proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mechanism(pub u8);

/// A proof, or a challenge.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthenticationValue {
    /// Characters; what the standard asks for.
    Text(Vec<u8>),
    /// Bits; some meters send these.
    Bits(Vec<u8>),
}

/// A client asks for an association (`60`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aarq {
    /// The context.
    pub context: ContextName,
    /// The client's system title.
    pub title: Option<Vec<u8>>,
    /// The client's user.
    pub user: Option<u8>,
    /// How it proves who it is; absent for not at all.
    pub mechanism: Option<Mechanism>,
    /// The password, or the challenge.
    pub authentication: Option<AuthenticationValue>,
    /// The initiateRequest, plain or ciphered.
    pub initiate: Vec<u8>,
    /// Fields that are not read here, as tag and contents.
    pub other: Vec<(u8, Vec<u8>)>,
}

/// A meter's answer (`61`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aare {
    /// The context.
    pub context: ContextName,
    /// Whether the association stands.
    pub result: AssociateResult,
    /// Why, or why not.
    pub diagnostic: AssociateDiagnostic,
    /// The meter's system title.
    pub title: Option<Vec<u8>>,
    /// How it proves who it is.
    pub mechanism: Option<Mechanism>,
    /// Its challenge.
    pub authentication: Option<AuthenticationValue>,
    /// The initiateResponse, plain or ciphered, or a confirmedServiceError.
    pub initiate: Vec<u8>,
    /// Fields that are not read here, as tag and contents.
    pub other: Vec<(u8, Vec<u8>)>,
}

/// Whether an association stands: 0 accepted, 1 refused for good, 2 refused for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AssociateResult(pub u8);

/// Why an association stands or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AssociateDiagnostic {
    /// By the service's user.
    User(u8),
    /// By the service's provider.
    Provider(u8),
}

/// An association is given up (`62`, `63`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Question or answer.
    pub kind: ReleaseKind,
    /// Why; 0 is normal.
    pub reason: Option<u8>,
    /// The initiateRequest or initiateResponse once more, where it is ciphered.
    pub initiate: Option<Vec<u8>>,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReleaseKind {
    /// RLRQ.
    Request,
    /// RLRE.
    Response,
}

impl ContextName {
    /// Logical names, plain.
    pub const LOGICAL_NAMES: Self = Self(1);
    /// Logical names, ciphered.
    pub const LOGICAL_NAMES_CIPHERED: Self = Self(3);
}

impl Mechanism {
    /// No proof.
    pub const LOWEST: Self = Self(0);
    /// A password.
    pub const LLS: Self = Self(1);
    /// The manufacturer's own.
    pub const HLS: Self = Self(2);
    /// MD5.
    pub const MD5: Self = Self(3);
    /// SHA-1.
    pub const SHA1: Self = Self(4);
    /// GMAC.
    pub const GMAC: Self = Self(5);
    /// SHA-256.
    pub const SHA256: Self = Self(6);
    /// ECDSA.
    pub const ECDSA: Self = Self(7);

    /// Whether both sides prove themselves with challenges.
    #[must_use]
    pub const fn is_high(self) -> bool {
        self.0 >= 2
    }
}

impl AuthenticationValue {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) | Self::Bits(bytes) => bytes,
        }
    }

    fn read(content: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(content);
        let tag = reader.u8().ok()?;
        let length = parse_length(&mut reader).ok()?;
        let bytes = reader.take(length).ok()?;
        match tag {
            0x80 => Some(Self::Text(bytes.to_vec())),
            // The first byte of a bit string counts its unused bits.
            0x81 => bytes.split_first().map(|(_, bits)| Self::Bits(bits.to_vec())),
            _ => None,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(bytes) => tlv(0x80, bytes),
            Self::Bits(bytes) => tlv(0x81, &[&[0], bytes.as_slice()].concat()),
        }
    }
}

impl fmt::Debug for AuthenticationValue {
    /// Never the bytes: they may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

impl fmt::Display for AssociateDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(0) | Self::Provider(0) => f.write_str("no reason"),
            Self::User(1) | Self::Provider(1) => f.write_str("no reason given"),
            Self::User(2) => f.write_str("application context not supported"),
            Self::Provider(2) => f.write_str("no common ACSE version"),
            Self::User(3) => f.write_str("calling AP title not recognised"),
            Self::User(11) => f.write_str("authentication mechanism not recognised"),
            Self::User(12) => f.write_str("authentication mechanism required"),
            Self::User(13) => f.write_str("authentication failed"),
            Self::User(14) => f.write_str("authentication required"),
            Self::User(code) => write!(f, "diagnostic {code}"),
            Self::Provider(code) => write!(f, "provider's diagnostic {code}"),
        }
    }
}

/// A field of a constructed BER value: tag, offset and contents.
type Field<'a> = (u8, usize, &'a [u8]);

fn fields<'a>(reader: &mut Reader<'a>) -> Result<Vec<Field<'a>>, ApduError> {
    let length = parse_length(reader)?;
    let mut inner = reader.sub(length)?;
    let mut fields = Vec::new();
    while !inner.is_empty() {
        let offset = inner.offset();
        if fields.len() >= FIELD_COUNT_MAX {
            return Err(ApduError::LongList { count: FIELD_COUNT_MAX, offset });
        }
        let tag = inner.u8()?;
        let length = parse_length(&mut inner)?;
        fields.push((tag, offset, inner.take(length)?));
    }
    Ok(fields)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len().saturating_add(6));
    out.push(tag);
    emit_length(content.len(), &mut out);
    out.extend(content);
    out
}

/// The contents of the one field with this tag.
fn inside(content: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader::new(content);
    let found = reader.u8().ok()?;
    let length = parse_length(&mut reader).ok()?;
    let inner = reader.take(length).ok()?;
    (found == tag && reader.is_empty()).then_some(inner)
}

fn small(content: &[u8]) -> Option<u8> {
    match inside(content, INTEGER)? {
        [number] => Some(*number),
        _ => None,
    }
}

/// The last part of an object identifier under `root`.
fn last_of(content: &[u8], root: [u8; 6]) -> Option<u8> {
    match content.strip_prefix(&root)? {
        [last] => Some(*last),
        _ => None,
    }
}

fn oid(root: [u8; 6], last: u8) -> Vec<u8> {
    let [a, b, c, d, e, f] = root;
    [a, b, c, d, e, f, last].to_vec()
}

impl Aarq {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let mut aarq = Self {
            context: ContextName(0),
            title: None,
            user: None,
            mechanism: None,
            authentication: None,
            initiate: Vec::new(),
            other: Vec::new(),
        };
        for (tag, offset, content) in fields(reader)? {
            let wrong = |what| ApduError::Field { what, offset };
            match tag {
                0xA1 => aarq.context = context(content).ok_or(wrong("the application context name"))?,
                0xA6 => aarq.title = Some(inside(content, OCTET_STRING).ok_or(wrong("the calling AP title"))?.to_vec()),
                0xA9 => aarq.user = Some(small(content).ok_or(wrong("the calling AE invocation id"))?),
                0x8A if content == AUTHENTICATION_UNIT => {}
                0x8B => aarq.mechanism = Some(mechanism(content).ok_or(wrong("the mechanism name"))?),
                0xAC => {
                    let value = AuthenticationValue::read(content).ok_or(wrong("the authentication value"))?;
                    aarq.authentication = Some(value);
                }
                0xBE => aarq.initiate = inside(content, OCTET_STRING).ok_or(wrong("the user information"))?.to_vec(),
                _ => aarq.other.push((tag, content.to_vec())),
            }
        }
        Ok(aarq)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut body = tlv(0xA1, &tlv(OBJECT_IDENTIFIER, &oid(CONTEXT, self.context.0)));
        if let Some(title) = &self.title {
            body.extend(tlv(0xA6, &tlv(OCTET_STRING, title)));
        }
        for (tag, content) in &self.other {
            body.extend(tlv(*tag, content));
        }
        if let Some(user) = self.user {
            body.extend(tlv(0xA9, &tlv(INTEGER, &[user])));
        }
        if let Some(mechanism) = self.mechanism {
            body.extend(tlv(0x8A, &AUTHENTICATION_UNIT));
            body.extend(tlv(0x8B, &oid(MECHANISM, mechanism.0)));
        }
        if let Some(value) = &self.authentication {
            body.extend(tlv(0xAC, &value.to_bytes()));
        }
        if !self.initiate.is_empty() {
            body.extend(tlv(0xBE, &tlv(OCTET_STRING, &self.initiate)));
        }
        out.extend(tlv(0x60, &body));
    }
}

impl Aare {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let at = reader.offset();
        let (mut result, mut diagnostic) = (None, None);
        let mut aare = Self {
            context: ContextName(0),
            result: AssociateResult(1),
            diagnostic: AssociateDiagnostic::User(1),
            title: None,
            mechanism: None,
            authentication: None,
            initiate: Vec::new(),
            other: Vec::new(),
        };
        for (tag, offset, content) in fields(reader)? {
            let wrong = |what| ApduError::Field { what, offset };
            match tag {
                0xA1 => aare.context = context(content).ok_or(wrong("the application context name"))?,
                0xA2 => result = Some(AssociateResult(small(content).ok_or(wrong("the result"))?)),
                0xA3 => {
                    let user = inside(content, 0xA1).and_then(small).map(AssociateDiagnostic::User);
                    let provider = || inside(content, 0xA2).and_then(small).map(AssociateDiagnostic::Provider);
                    diagnostic = Some(user.or_else(provider).ok_or(wrong("the diagnostic"))?);
                }
                0xA4 => {
                    aare.title = Some(inside(content, OCTET_STRING).ok_or(wrong("the responding AP title"))?.to_vec());
                }
                0x88 if content == AUTHENTICATION_UNIT => {}
                0x89 => aare.mechanism = Some(mechanism(content).ok_or(wrong("the mechanism name"))?),
                0xAA => {
                    let value = AuthenticationValue::read(content).ok_or(wrong("the authentication value"))?;
                    aare.authentication = Some(value);
                }
                0xBE => aare.initiate = inside(content, OCTET_STRING).ok_or(wrong("the user information"))?.to_vec(),
                _ => aare.other.push((tag, content.to_vec())),
            }
        }
        aare.result = result.ok_or(ApduError::Field { what: "the result", offset: at })?;
        aare.diagnostic = diagnostic.ok_or(ApduError::Field { what: "the diagnostic", offset: at })?;
        Ok(aare)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut body = tlv(0xA1, &tlv(OBJECT_IDENTIFIER, &oid(CONTEXT, self.context.0)));
        body.extend(tlv(0xA2, &tlv(INTEGER, &[self.result.0])));
        let (source, code) = match self.diagnostic {
            AssociateDiagnostic::User(code) => (0xA1, code),
            AssociateDiagnostic::Provider(code) => (0xA2, code),
        };
        body.extend(tlv(0xA3, &tlv(source, &tlv(INTEGER, &[code]))));
        if let Some(title) = &self.title {
            body.extend(tlv(0xA4, &tlv(OCTET_STRING, title)));
        }
        for (tag, content) in &self.other {
            body.extend(tlv(*tag, content));
        }
        if let Some(mechanism) = self.mechanism {
            body.extend(tlv(0x88, &AUTHENTICATION_UNIT));
            body.extend(tlv(0x89, &oid(MECHANISM, mechanism.0)));
        }
        if let Some(value) = &self.authentication {
            body.extend(tlv(0xAA, &value.to_bytes()));
        }
        if !self.initiate.is_empty() {
            body.extend(tlv(0xBE, &tlv(OCTET_STRING, &self.initiate)));
        }
        out.extend(tlv(0x61, &body));
    }
}

impl Release {
    pub(super) fn read(kind: ReleaseKind, reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let mut release = Self { kind, reason: None, initiate: None };
        for (tag, offset, content) in fields(reader)? {
            match (tag, content) {
                (0x80, [reason]) => release.reason = Some(*reason),
                (0xBE, content) => {
                    let inner = inside(content, OCTET_STRING);
                    let wrong = ApduError::Field { what: "the user information", offset };
                    release.initiate = Some(inner.ok_or(wrong)?.to_vec());
                }
                _ => return Err(ApduError::Field { what: "a field of the release", offset }),
            }
        }
        Ok(release)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        if let Some(reason) = self.reason {
            body.extend(tlv(0x80, &[reason]));
        }
        if let Some(initiate) = &self.initiate {
            body.extend(tlv(0xBE, &tlv(OCTET_STRING, initiate)));
        }
        let tag = match self.kind {
            ReleaseKind::Request => 0x62,
            ReleaseKind::Response => 0x63,
        };
        out.extend(tlv(tag, &body));
    }
}

fn context(content: &[u8]) -> Option<ContextName> {
    last_of(inside(content, OBJECT_IDENTIFIER)?, CONTEXT).map(ContextName)
}

fn mechanism(content: &[u8]) -> Option<Mechanism> {
    last_of(content, MECHANISM).map(Mechanism)
}
