//! Certificates as the ledger knows them.

use plomb_seal::{
    Hash, Malformed, Name, PublicKey,
    cbor::{Decoder, Encoder},
    name::NAME_BYTES_MAX,
    reading::TEXT_BYTES_MAX,
    transaction::{Role, SCOPE_MAX, ScopedPoint, in_scope},
};

use super::{key, name};

/// A certificate as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Who holds it.
    pub subject: Name,
    /// What it is for.
    pub role: Role,
    /// Which gateways it reaches, with all their points.
    pub scope: Vec<Name>,
    /// Which points of other gateways it reaches; everything, if this and `scope` are empty.
    pub points: Vec<ScopedPoint>,
    /// The holder's key.
    pub key: PublicKey,
    /// Valid from, Unix seconds.
    pub not_before_s: i64,
    /// Valid until, Unix seconds.
    pub not_after_s: i64,
    /// The member that issued it.
    pub author: Name,
    /// The leaf hash of the transaction that issued it.
    pub transaction: Hash,
    /// When and why it was revoked, if it was.
    pub revoked: Option<Revocation>,
}

/// The end of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Why, in the member's words.
    pub reason: String,
    /// The block's time, in Unix milliseconds.
    pub time_ms: i64,
}

impl CertificateRecord {
    /// Whether its validity covers a time, in Unix milliseconds.
    pub fn covers(&self, time_ms: i64) -> bool {
        let time_s = time_ms.div_euclid(1000);
        (self.not_before_s..=self.not_after_s).contains(&time_s)
    }

    /// Whether its scope reaches a gateway's point, or, without one, the gateway as a whole.
    pub fn reaches(&self, gateway: &Name, point: Option<&Name>) -> bool {
        in_scope(&self.scope, &self.points, gateway, point)
    }

    /// A certificate without single points is written as before there were any.
    pub(super) fn len(&self) -> usize {
        if self.points.is_empty() { 12 } else { 13 }
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.text(self.subject.as_str()).text(self.role.name()).array(self.scope.len());
        for gateway in &self.scope {
            out.text(gateway.as_str());
        }
        if !self.points.is_empty() {
            out.array(self.points.len());
            for one in &self.points {
                out.array(2).text(one.gateway.as_str()).text(one.point.as_str());
            }
        }
        out.bytes(&self.key.to_bytes()).signed(self.not_before_s).signed(self.not_after_s);
        out.text(self.author.as_str()).hash(&self.transaction);
        out.optional(self.revoked.as_ref(), |out, revoked| {
            out.array(2).text(&revoked.reason).signed(revoked.time_ms);
        });
    }

    pub(super) fn decode(from: &mut Decoder<'_>, with_points: bool) -> Result<Self, Malformed> {
        let subject = name(from)?;
        let start = from.clone();
        let role = Role::from_name(from.text("a role", NAME_BYTES_MAX)?).ok_or_else(|| start.wrong("no such role"))?;
        let count = from.array("a scope", SCOPE_MAX)?;
        let scope = (0..count).map(|_| name(from)).collect::<Result<_, _>>()?;
        Ok(Self {
            subject,
            role,
            scope,
            points: if with_points { points(from)? } else { Vec::new() },
            key: key(from)?,
            not_before_s: from.signed()?,
            not_after_s: from.signed()?,
            author: name(from)?,
            transaction: from.hash()?,
            revoked: from.optional(|from| {
                from.array_exact(2)?;
                Ok(Revocation { reason: from.text("a reason", TEXT_BYTES_MAX)?.into(), time_ms: from.signed()? })
            })?,
        })
    }
}

fn points(from: &mut Decoder<'_>) -> Result<Vec<ScopedPoint>, Malformed> {
    let start = from.clone();
    let count = from.array("a scope's points", SCOPE_MAX)?;
    if count == 0 {
        return Err(start.wrong("a scope without points is written without a list of them"));
    }
    (0..count)
        .map(|_| {
            from.array_exact(2)?;
            Ok(ScopedPoint { gateway: name(from)?, point: name(from)? })
        })
        .collect()
}
