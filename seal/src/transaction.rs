//! Transactions of the ledger, as far as a verifier must read them: who takes part, and with which keys.
//!
//! The third kind is the [`Anchor`](crate::Anchor) itself.

use alloc::{boxed::Box, string::String, vec::Vec};

use crate::{
    Anchor, Hash, Malformed, Name, PublicKey, Statement,
    cbor::{Decoder, Encoder},
    cose,
    reading::text,
};

/// The most members of a consortium.
pub const MEMBERS_MAX: usize = 128;
/// The most gateways or points that one certificate's scope may list.
pub const SCOPE_MAX: usize = 1024;
/// The largest X.509 certificate, in bytes.
pub const X509_BYTES_MAX: usize = 8 * 1024;

/// What kind of transaction some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Genesis`].
    Genesis,
    /// [`Certificate`].
    Certificate,
    /// [`Anchor`](crate::Anchor).
    Anchor,
}

/// Tells the kind of a transaction by its content type.
pub fn kind(bytes: &[u8]) -> Result<Kind, Malformed> {
    match cose::content_type(bytes)? {
        Genesis::CONTENT_TYPE => Ok(Kind::Genesis),
        Certificate::CONTENT_TYPE => Ok(Kind::Certificate),
        Anchor::CONTENT_TYPE => Ok(Kind::Anchor),
        other => {
            Err(Malformed::ContentType { expected: "that of a transaction", found: other.chars().take(64).collect() })
        }
    }
}

/// The first transaction of a ledger: its founding members. Signed by the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The log's origin: the ledger's name.
    pub origin: String,
    /// The members.
    pub members: Vec<Member>,
    /// How many members must agree to add or remove one.
    pub quorum: u32,
}

/// A party to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Name,
    /// Its key: signs certificates.
    pub key: PublicKey,
    /// Its X.509 certificate authority, DER: issues what TLS asks for.
    pub authority: Vec<u8>,
}

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
    /// Which gateways it reaches; empty for all. A gateway's own certificate has none.
    pub scope: Vec<Name>,
    /// The subject's key.
    pub key: PublicKey,
    /// Valid from, Unix seconds.
    pub not_before_s: i64,
    /// Valid until, Unix seconds.
    pub not_after_s: i64,
    /// The X.509 certificate, DER: what TLS shows.
    pub x509: Vec<u8>,
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

impl Statement for Genesis {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.member+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(5).unsigned(crate::VERSION).unsigned(0).text(&self.origin).array(self.members.len());
        for member in &self.members {
            out.array(3).text(member.name.as_str()).bytes(&member.key.to_bytes()).bytes(&member.authority);
        }
        out.unsigned(self.quorum.into());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(5)?;
        match from.unsigned()? {
            0 => {}
            code => {
                return Err(Malformed::UnknownCode { what: "member action", code });
            }
        }
        let origin = text(from)?;
        let count = from.array("a genesis' list of members", MEMBERS_MAX)?;
        let members = (0..count)
            .map(|_| {
                from.array_exact(3)?;
                Ok(Member {
                    name: Name::decode(from)?,
                    key: PublicKey::decode(from)?,
                    authority: from.bytes_max("a certificate", X509_BYTES_MAX)?.into(),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { origin, members, quorum: from.unsigned32()? })
    }
}

impl Statement for Certificate {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.certificate+cbor";

    fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Issue(issue) => {
                out.array(10).unsigned(crate::VERSION).unsigned(1).text(&issue.origin).text(issue.subject.as_str());
                out.unsigned(issue.role.code()).array(issue.scope.len());
                for gateway in &issue.scope {
                    out.text(gateway.as_str());
                }
                out.bytes(&issue.key.to_bytes())
                    .signed(issue.not_before_s)
                    .signed(issue.not_after_s)
                    .bytes(&issue.x509);
            }
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
            (1, 10) => Ok(Self::Issue(Box::new(Issue::decode(from)?))),
            (2, 5) => Ok(Self::Revoke { origin: text(from)?, fingerprint: from.hash()?, reason: text(from)? }),
            (1 | 2, _) => Err(start.wrong("the transaction has another number of items")),
            (code, _) => Err(Malformed::UnknownCode { what: "certificate action", code }),
        }
    }
}

impl Issue {
    /// SHA-256 of the X.509 certificate: its fingerprint.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&self.x509)
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (origin, subject) = (text(from)?, Name::decode(from)?);
        let role = Role::from_code(from.unsigned()?)?;
        let count = from.array("a certificate's scope", SCOPE_MAX)?;
        let scope = (0..count).map(|_| Name::decode(from)).collect::<Result<_, _>>()?;
        Ok(Self {
            origin,
            subject,
            role,
            scope,
            key: PublicKey::decode(from)?,
            not_before_s: from.signed()?,
            not_after_s: from.signed()?,
            x509: from.bytes_max("a certificate", X509_BYTES_MAX)?.into(),
        })
    }
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
