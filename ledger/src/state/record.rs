//! The records that make up the state, and their one encoding: deterministic CBOR, stored and hashed alike.

use plomb_seal::{
    Hash, Malformed, Name, PublicKey,
    cbor::{Decoder, Encoder},
    name::NAME_BYTES_MAX,
    reading::TEXT_BYTES_MAX,
    transaction::{MEMBERS_MAX, Member, Role, SCOPE_MAX, X509_BYTES_MAX},
};

/// The version of the records' encoding.
const RECORD_VERSION: u64 = 1;

/// Who founded the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// The ledger's name, and its log's origin.
    pub origin: String,
    /// The members.
    pub members: Vec<Member>,
    /// How many members must agree to add or remove one.
    pub quorum: u32,
    /// The leaf hash of the genesis transaction.
    pub transaction: Hash,
}

/// A certificate as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Who holds it.
    pub subject: Name,
    /// What it is for.
    pub role: Role,
    /// Which gateways it reaches; empty for all.
    pub scope: Vec<Name>,
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

/// Where a gateway's chain stands: its last anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRecord {
    /// The epoch of the last anchor.
    pub epoch: u32,
    /// Its number in the epoch.
    pub batch: u64,
    /// The last entry's sequence number.
    pub last_seq: u64,
    /// The anchor's hash.
    pub anchor: Hash,
    /// The last entry's hash.
    pub head: Hash,
    /// When the gateway closed the batch, Unix milliseconds of its own clock.
    pub closed_ms: i64,
    /// The time of the block that admitted it, Unix milliseconds.
    pub anchored_ms: i64,
}

/// The one record that a transaction writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The ledger is founded.
    Founded(Founding),
    /// A certificate begins or ends; by its fingerprint.
    Certificate(Hash, Box<CertificateRecord>),
    /// A gateway's chain moves on.
    Gateway(Name, GatewayRecord),
}

impl CertificateRecord {
    /// Whether its validity covers a time, in Unix milliseconds.
    pub fn covers(&self, time_ms: i64) -> bool {
        let time_s = time_ms.div_euclid(1000);
        (self.not_before_s..=self.not_after_s).contains(&time_s)
    }
}

impl Change {
    /// The state hash after this change.
    pub(crate) fn chain(&self, before: &Hash, leaf: &Hash) -> Hash {
        Hash::of_parts(&[&before.0, &leaf.0, &self.to_bytes()])
    }

    /// The record's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Founded(founding) => founding.encode(out.array(6).unsigned(RECORD_VERSION).unsigned(1)),
            Self::Certificate(fingerprint, record) => {
                record.encode(out.array(12).unsigned(RECORD_VERSION).unsigned(2).hash(fingerprint));
            }
            Self::Gateway(gateway, record) => {
                record.encode(out.array(10).unsigned(RECORD_VERSION).unsigned(3).text(gateway.as_str()));
            }
        }
        out.finish()
    }

    /// Reads a record's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let start = from.clone();
        let len = from.array("a record", 12)?;
        let version = from.unsigned()?;
        if version != RECORD_VERSION {
            return Err(Malformed::UnknownVersion { found: version });
        }
        let change = match (from.unsigned()?, len) {
            (1, 6) => Self::Founded(Founding::decode(&mut from)?),
            (2, 12) => Self::Certificate(from.hash()?, Box::new(CertificateRecord::decode(&mut from)?)),
            (3, 10) => Self::Gateway(name(&mut from)?, GatewayRecord::decode(&mut from)?),
            (1..=3, _) => return Err(start.wrong("the record has another number of items")),
            (code, _) => return Err(Malformed::UnknownCode { what: "record kind", code }),
        };
        from.finish()?;
        Ok(change)
    }
}

impl Founding {
    fn encode(&self, out: &mut Encoder) {
        out.text(&self.origin).array(self.members.len());
        for member in &self.members {
            out.array(3).text(member.name.as_str()).bytes(&member.key.to_bytes()).bytes(&member.authority);
        }
        out.unsigned(self.quorum.into()).hash(&self.transaction);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let origin = from.text("an origin", TEXT_BYTES_MAX)?.into();
        let count = from.array("a list of members", MEMBERS_MAX)?;
        let members = (0..count)
            .map(|_| {
                from.array_exact(3)?;
                let (name, key) = (name(from)?, key(from)?);
                Ok(Member { name, key, authority: from.bytes_max("a certificate", X509_BYTES_MAX)?.into() })
            })
            .collect::<Result<_, Malformed>>()?;
        Ok(Self { origin, members, quorum: from.unsigned32()?, transaction: from.hash()? })
    }
}

impl CertificateRecord {
    fn encode(&self, out: &mut Encoder) {
        out.text(self.subject.as_str()).text(self.role.name()).array(self.scope.len());
        for gateway in &self.scope {
            out.text(gateway.as_str());
        }
        out.bytes(&self.key.to_bytes()).signed(self.not_before_s).signed(self.not_after_s);
        out.text(self.author.as_str()).hash(&self.transaction);
        out.optional(self.revoked.as_ref(), |out, revoked| {
            out.array(2).text(&revoked.reason).signed(revoked.time_ms);
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let subject = name(from)?;
        let start = from.clone();
        let role = Role::from_name(from.text("a role", NAME_BYTES_MAX)?).ok_or_else(|| start.wrong("no such role"))?;
        let count = from.array("a scope", SCOPE_MAX)?;
        let scope = (0..count).map(|_| name(from)).collect::<Result<_, _>>()?;
        Ok(Self {
            subject,
            role,
            scope,
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

impl GatewayRecord {
    fn encode(&self, out: &mut Encoder) {
        out.unsigned(self.epoch.into()).unsigned(self.batch).unsigned(self.last_seq);
        out.hash(&self.anchor).hash(&self.head).signed(self.closed_ms).signed(self.anchored_ms);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch: from.unsigned32()?,
            batch: from.unsigned()?,
            last_seq: from.unsigned()?,
            anchor: from.hash()?,
            head: from.hash()?,
            closed_ms: from.signed()?,
            anchored_ms: from.signed()?,
        })
    }
}

fn name(from: &mut Decoder<'_>) -> Result<Name, Malformed> {
    let start = from.clone();
    from.text("a name", NAME_BYTES_MAX)?.parse().map_err(|_| start.wrong("this is no name"))
}

fn key(from: &mut Decoder<'_>) -> Result<PublicKey, Malformed> {
    let start = from.clone();
    PublicKey::from_bytes(&from.bytes_exact()?).ok_or_else(|| start.wrong("these 32 bytes are no Ed25519 public key"))
}

#[cfg(test)]
mod tests {
    use plomb_seal::SigningKey;
    use proptest::prelude::*;

    use super::*;

    fn certificate(revoked: bool, scope: usize, times: (i64, i64)) -> CertificateRecord {
        let name = |text: &str| text.parse().unwrap();
        CertificateRecord {
            subject: name("bill"),
            role: Role::Subscriber,
            scope: (0..scope).map(|n| name(&format!("gw-{n}"))).collect(),
            key: SigningKey::from_seed(&[3; 32]).public(),
            not_before_s: times.0,
            not_after_s: times.1,
            author: name("member-a"),
            transaction: Hash([4; 32]),
            revoked: revoked.then(|| Revocation { reason: "lost".into(), time_ms: times.0 }),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(revoked: bool, scope in 0usize..40, times: (i64, i64), epoch: u32, batch: u64) {
            let record = Box::new(certificate(revoked, scope, times));
            let gateway = GatewayRecord {
                epoch, batch, last_seq: batch, anchor: Hash([1; 32]), head: Hash([2; 32]),
                closed_ms: times.0, anchored_ms: times.1,
            };
            for change in [
                Change::Certificate(Hash([9; 32]), record),
                Change::Gateway("gw-1".parse().unwrap(), gateway),
            ] {
                prop_assert_eq!(Change::parse(&change.to_bytes()).unwrap(), change);
            }
        }

        #[test]
        fn arbitrary_and_bent_bytes_never_panic(bytes: Vec<u8>, at in 0usize..300, flip: u8) {
            let _ = Change::parse(&bytes);
            let mut bent = Change::Certificate(Hash([9; 32]), Box::new(certificate(true, 3, (1, 2)))).to_bytes();
            let at = at % bent.len();
            bent[at] ^= flip;
            if let Ok(change) = Change::parse(&bent) {
                prop_assert_eq!(change.to_bytes(), bent, "one meaning has one encoding");
            }
        }
    }
}
