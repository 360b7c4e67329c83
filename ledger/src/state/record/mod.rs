//! The records that make up the state, and their one encoding: deterministic CBOR, stored and hashed alike.

use plomb_seal::{
    Hash, Malformed, Name, PublicKey,
    cbor::{Decoder, Encoder},
    name::NAME_BYTES_MAX,
    reading::TEXT_BYTES_MAX,
    transaction::{MEMBERS_MAX, Member, X509_BYTES_MAX},
};

mod certificate;
mod consortium;
mod order;
mod register;

#[cfg(test)]
mod tests;

pub use certificate::{CertificateRecord, Revocation};
pub use consortium::{Ballot, Consortium, FORMER_MAX, Former, VOTES_OPEN_MAX};
pub use order::{Answered, Approved, CommandRecord, ConfigRecord, Order};
pub use register::{Admitted, COMMANDS_OPEN_MAX, CONFIGS_PENDING_MAX, OpenCommand, PendingConfig, Register, Sealing};

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

/// A record that a transaction writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The ledger is founded.
    Founded(Founding),
    /// A certificate begins or ends; by its fingerprint.
    Certificate(Hash, Box<CertificateRecord>),
    /// A gateway's chain moves on.
    Gateway(Name, GatewayRecord),
    /// A member voted, or the members changed.
    Consortium(Box<Consortium>),
    /// What a gateway is to do, or to which key it is sealed to, changed.
    Register(Name, Box<Register>),
    /// A configuration or command was admitted, approved or answered; by its leaf hash.
    Order(Hash, Box<Order>),
}

/// The state hash after a transaction's changes.
pub(crate) fn chain(before: &Hash, leaf: &Hash, changes: &[Change]) -> Hash {
    let records: Vec<Vec<u8>> = changes.iter().map(Change::to_bytes).collect();
    let parts: Vec<&[u8]> =
        [before.0.as_slice(), &leaf.0].into_iter().chain(records.iter().map(Vec::as_slice)).collect();
    Hash::of_parts(&parts)
}

impl Change {
    /// The record's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        let (len, kind) = match self {
            Self::Founded(_) => (6, 1),
            Self::Certificate(_, record) => (record.len(), 2),
            Self::Gateway(..) => (10, 3),
            Self::Consortium(_) => (7, 4),
            Self::Register(..) => (10, 5),
            Self::Order(_, order) => match &**order {
                Order::Config(_) => (11, 6),
                Order::Command(_) => (15, 7),
            },
        };
        out.array(len).unsigned(RECORD_VERSION).unsigned(kind);
        match self {
            Self::Founded(founding) => founding.encode(&mut out),
            Self::Certificate(fingerprint, record) => record.encode(out.hash(fingerprint)),
            Self::Gateway(gateway, record) => record.encode(out.text(gateway.as_str())),
            Self::Consortium(consortium) => consortium.encode(&mut out),
            Self::Register(gateway, register) => register.encode(out.text(gateway.as_str())),
            Self::Order(leaf, order) => match &**order {
                Order::Config(config) => config.encode(out.hash(leaf)),
                Order::Command(command) => command.encode(out.hash(leaf)),
            },
        }
        out.finish()
    }

    /// Reads a record's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let start = from.clone();
        let len = from.array("a record", 15)?;
        let version = from.unsigned()?;
        if version != RECORD_VERSION {
            return Err(Malformed::UnknownVersion { found: version });
        }
        let reader = &mut from;
        let change = match (reader.unsigned()?, len) {
            (1, 6) => Self::Founded(Founding::decode(reader)?),
            (2, 12) => Self::Certificate(reader.hash()?, Box::new(CertificateRecord::decode(reader, false)?)),
            (2, 13) => Self::Certificate(reader.hash()?, Box::new(CertificateRecord::decode(reader, true)?)),
            (3, 10) => Self::Gateway(name(reader)?, GatewayRecord::decode(reader)?),
            (4, 7) => Self::Consortium(Box::new(Consortium::decode(reader)?)),
            (5, 10) => Self::Register(name(reader)?, Box::new(Register::decode(reader)?)),
            (6, 11) => Self::Order(reader.hash()?, Box::new(Order::Config(ConfigRecord::decode(reader)?))),
            (7, 15) => Self::Order(reader.hash()?, Box::new(Order::Command(CommandRecord::decode(reader)?))),
            (1..=7, _) => return Err(start.wrong("the record has another number of items")),
            (code, _) => return Err(Malformed::UnknownCode { what: "record kind", code }),
        };
        from.finish()?;
        Ok(change)
    }
}

impl Founding {
    fn encode(&self, out: &mut Encoder) {
        encode_members(&self.members, out.text(&self.origin));
        out.unsigned(self.quorum.into()).hash(&self.transaction);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let origin = from.text("an origin", TEXT_BYTES_MAX)?.into();
        Ok(Self { origin, members: members(from)?, quorum: from.unsigned32()?, transaction: from.hash()? })
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

fn encode_members(members: &[Member], out: &mut Encoder) {
    out.array(members.len());
    for member in members {
        out.array(3).text(member.name.as_str()).bytes(&member.key.to_bytes()).bytes(&member.authority);
    }
}

fn members(from: &mut Decoder<'_>) -> Result<Vec<Member>, Malformed> {
    let count = from.array("a list of members", MEMBERS_MAX)?;
    (0..count)
        .map(|_| {
            from.array_exact(3)?;
            let (name, key) = (name(from)?, key(from)?);
            Ok(Member { name, key, authority: from.bytes_max("a certificate", X509_BYTES_MAX)?.into() })
        })
        .collect()
}

fn name(from: &mut Decoder<'_>) -> Result<Name, Malformed> {
    let start = from.clone();
    from.text("a name", NAME_BYTES_MAX)?.parse().map_err(|_| start.wrong("this is no name"))
}

fn key(from: &mut Decoder<'_>) -> Result<PublicKey, Malformed> {
    let start = from.clone();
    PublicKey::from_bytes(&from.bytes_exact()?).ok_or_else(|| start.wrong("these 32 bytes are no Ed25519 public key"))
}
