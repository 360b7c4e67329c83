//! Certificates: who may do what, and until when.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{SCOPE_MAX, X509_BYTES_MAX};
use crate::{
    Hash, Malformed, Name, PublicKey, Statement,
    cbor::{Decoder, Encoder},
    reading::text,
};

/// A certificate is issued or revoked. Signed by a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// It holds from now on.
    Issue(Box<Issue>),
    /// It holds no longer.
    Revoke {
        /// The ledger.
        origin: String,
        /// SHA-256 of the X.509 certificate's DER.
        fingerprint: Hash,
        /// Why.
        reason: String,
    },
}

/// The parts of an issued certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The ledger.
    pub origin: String,
    /// Who it is for: a gateway's id, or another party's name.
    pub subject: Name,
    /// What it is for.
    pub role: Role,
    /// Which gateways it reaches, with all their points. A gateway's own certificate has none.
    pub scope: Vec<Name>,
    /// Which points of other gateways it reaches. All gateways and points, if this and `scope` are empty.
    pub points: Vec<ScopedPoint>,
    /// The subject's key.
    pub key: PublicKey,
    /// Valid from, Unix seconds.
    pub not_before_s: i64,
    /// Valid until, Unix seconds.
    pub not_after_s: i64,
    /// The X.509 certificate, DER: what TLS shows.
    pub x509: Vec<u8>,
}

/// One measuring point of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopedPoint {
    /// The gateway.
    pub gateway: Name,
    /// The point.
    pub point: Name,
}

/// Whether a scope reaches a gateway's point, or, without one, the gateway as a whole.
pub fn in_scope(gateways: &[Name], points: &[ScopedPoint], gateway: &Name, point: Option<&Name>) -> bool {
    let everything = gateways.is_empty() && points.is_empty();
    let the_point = |one: &ScopedPoint| one.gateway == *gateway && Some(&one.point) == point;
    everything || gateways.contains(gateway) || points.iter().any(the_point)
}

/// What a certificate's subject may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads meters and anchors.
    Gateway,
    /// Proposes configurations.
    Admin,
    /// Sends commands.
    Operator,
    /// Receives readings.
    Subscriber,
    /// Looks things up.
    Auditor,
}

impl Statement for Certificate {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.certificate+cbor";

    fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Issue(issue) => issue.encode(out),
            Self::Revoke { origin, fingerprint, reason } => {
                out.array(5).unsigned(crate::VERSION).unsigned(2).text(origin).hash(fingerprint).text(reason);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let start = from.clone();
        let len = from.array("a certificate transaction", usize::MAX)?;
        from.version()?;
        match (from.unsigned()?, len) {
            (1, 10) => Ok(Self::Issue(Box::new(Issue::decode(from, false)?))),
            (3, 11) => Ok(Self::Issue(Box::new(Issue::decode(from, true)?))),
            (2, 5) => Ok(Self::Revoke { origin: text(from)?, fingerprint: from.hash()?, reason: text(from)? }),
            (1..=3, _) => Err(start.wrong("the transaction has another number of items")),
            (code, _) => Err(Malformed::UnknownCode { what: "certificate action", code }),
        }
    }
}

impl Issue {
    /// SHA-256 of the X.509 certificate: its fingerprint.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&self.x509)
    }

    /// Whether it reaches a gateway's point, or, without one, the gateway as a whole.
    pub fn reaches(&self, gateway: &Name, point: Option<&Name>) -> bool {
        in_scope(&self.scope, &self.points, gateway, point)
    }

    /// Action 1, or 3 if single points are in its scope: who reads version 1 from before there were any refuses
    /// action 3 by its number.
    fn encode(&self, out: &mut Encoder) {
        let (len, action) = if self.points.is_empty() { (10, 1) } else { (11, 3) };
        out.array(len).unsigned(crate::VERSION).unsigned(action).text(&self.origin).text(self.subject.as_str());
        out.unsigned(self.role.code()).array(self.scope.len());
        for gateway in &self.scope {
            out.text(gateway.as_str());
        }
        if !self.points.is_empty() {
            out.array(self.points.len());
            for one in &self.points {
                out.array(2).text(one.gateway.as_str()).text(one.point.as_str());
            }
        }
        out.bytes(&self.key.to_bytes()).signed(self.not_before_s).signed(self.not_after_s).bytes(&self.x509);
    }

    fn decode(from: &mut Decoder<'_>, with_points: bool) -> Result<Self, Malformed> {
        let (origin, subject) = (text(from)?, Name::decode(from)?);
        let role = Role::from_code(from.unsigned()?)?;
        let count = from.array("a certificate's scope", SCOPE_MAX)?;
        let scope = (0..count).map(|_| Name::decode(from)).collect::<Result<_, _>>()?;
        Ok(Self {
            origin,
            subject,
            role,
            scope,
            points: if with_points { points(from)? } else { Vec::new() },
            key: PublicKey::decode(from)?,
            not_before_s: from.signed()?,
            not_after_s: from.signed()?,
            x509: from.bytes_max("a certificate", X509_BYTES_MAX)?.into(),
        })
    }
}

/// The single points of a scope: at least one, as without any the action is another.
fn points(from: &mut Decoder<'_>) -> Result<Vec<ScopedPoint>, Malformed> {
    let start = from.clone();
    let count = from.array("a certificate's points", SCOPE_MAX)?;
    if count == 0 {
        return Err(start.wrong("a scope without points has action 1"));
    }
    (0..count)
        .map(|_| {
            from.array_exact(2)?;
            Ok(ScopedPoint { gateway: Name::decode(from)?, point: Name::decode(from)? })
        })
        .collect()
}

impl Role {
    const NAMED: [(Self, u64, &'static str); 5] = [
        (Self::Gateway, 1, "gateway"),
        (Self::Admin, 2, "admin"),
        (Self::Operator, 3, "operator"),
        (Self::Subscriber, 4, "subscriber"),
        (Self::Auditor, 5, "auditor"),
    ];

    /// In one word.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(role, ..)| *role == self).map_or("", |(_, _, name)| name)
    }

    /// From its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(.., known)| *known == name).map(|(role, ..)| *role)
    }

    fn code(self) -> u64 {
        Self::NAMED.iter().find(|(role, ..)| *role == self).map_or(0, |(_, code, _)| *code)
    }

    fn from_code(code: u64) -> Result<Self, Malformed> {
        let found = Self::NAMED.iter().find(|(_, known, _)| *known == code);
        found.map(|(role, ..)| *role).ok_or(Malformed::UnknownCode { what: "role", code })
    }
}
