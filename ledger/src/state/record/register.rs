//! What each gateway has been told to do, as far as the rules must know of it.

use plomb_seal::{
    Hash, KeyId, Malformed,
    cbor::{Decoder, Encoder},
    name::NAME_BYTES_MAX,
    transaction::Priority,
};

/// The most commands of one gateway that are neither answered nor expired.
pub const COMMANDS_OPEN_MAX: usize = 64;
/// The most configurations of one gateway that wait at once: one for each priority, as a newer one takes the place
/// of those that are not more urgent.
pub const CONFIGS_PENDING_MAX: usize = 3;

/// A gateway's line of configurations and commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// The key that it is sealed to.
    pub sealing: Option<Sealing>,
    /// The last configuration that was admitted.
    pub last: Option<Admitted>,
    /// The configurations that wait, the most urgent first, then the oldest.
    pub pending: Vec<PendingConfig>,
    /// The configuration in force, as the gateway says.
    pub applied: Option<Admitted>,
    /// The one that was in force before it, to which a roll-back returns.
    pub before: Option<Admitted>,
    /// The counter of the last command that was admitted.
    pub counter: u64,
    /// Commands that are not answered, the oldest first. Some may have expired.
    pub open: Vec<OpenCommand>,
}

/// A gateway's sealing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealing {
    /// Its number.
    pub serial: u64,
    /// The X25519 public key.
    pub key: [u8; 32],
    /// The gateway's signing key that vouched for it.
    pub signer: KeyId,
    /// The leaf hash of the statement.
    pub transaction: Hash,
}

/// A configuration by version and leaf hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Its version.
    pub version: u64,
    /// Its leaf hash.
    pub transaction: Hash,
}

/// A configuration that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingConfig {
    /// Its version.
    pub version: u64,
    /// How urgent.
    pub priority: Priority,
    /// Its leaf hash.
    pub transaction: Hash,
    /// Its index in the log.
    pub index: u64,
    /// The fingerprint of its author's certificate.
    pub certificate: Hash,
}

/// A command that is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenCommand {
    /// Its leaf hash.
    pub transaction: Hash,
    /// Its index in the log.
    pub index: u64,
    /// Its counter.
    pub counter: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: i64,
    /// Whether all who must sign have signed.
    pub released: bool,
    /// The fingerprint of its author's certificate.
    pub certificate: Hash,
}

impl Register {
    /// The version of the last configuration that was admitted; 0 if there was none.
    pub fn version(&self) -> u64 {
        self.last.map_or(0, |last| last.version)
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.optional(self.sealing, |out, sealing| {
            out.array(4).unsigned(sealing.serial).bytes(&sealing.key).bytes(&sealing.signer.0);
            out.hash(&sealing.transaction);
        });
        out.optional(self.last, Admitted::encode).array(self.pending.len());
        for one in &self.pending {
            out.array(5).unsigned(one.version).text(one.priority.name()).hash(&one.transaction);
            out.unsigned(one.index).hash(&one.certificate);
        }
        out.optional(self.applied, Admitted::encode).optional(self.before, Admitted::encode);
        out.unsigned(self.counter).array(self.open.len());
        for one in &self.open {
            out.array(6).hash(&one.transaction).unsigned(one.index).unsigned(one.counter).signed(one.expires_ms);
            out.unsigned(one.released.into()).hash(&one.certificate);
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let sealing = from.optional(|from| {
            from.array_exact(4)?;
            let (serial, key) = (from.unsigned()?, from.bytes_exact()?);
            Ok(Sealing { serial, key, signer: KeyId(from.bytes_exact()?), transaction: from.hash()? })
        })?;
        let last = from.optional(Admitted::decode)?;
        let count = from.array("a list of configurations", CONFIGS_PENDING_MAX)?;
        let pending = (0..count).map(|_| PendingConfig::decode(from)).collect::<Result<_, _>>()?;
        let (applied, before) = (from.optional(Admitted::decode)?, from.optional(Admitted::decode)?);
        let counter = from.unsigned()?;
        let count = from.array("a list of commands", COMMANDS_OPEN_MAX)?;
        let open = (0..count).map(|_| OpenCommand::decode(from)).collect::<Result<_, _>>()?;
        Ok(Self { sealing, last, pending, applied, before, counter, open })
    }
}

impl Admitted {
    fn encode(out: &mut Encoder, one: Self) {
        out.array(2).unsigned(one.version).hash(&one.transaction);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(2)?;
        Ok(Self { version: from.unsigned()?, transaction: from.hash()? })
    }
}

impl PendingConfig {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(5)?;
        Ok(Self {
            version: from.unsigned()?,
            priority: priority(from)?,
            transaction: from.hash()?,
            index: from.unsigned()?,
            certificate: from.hash()?,
        })
    }
}

impl OpenCommand {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(6)?;
        let (transaction, index, counter) = (from.hash()?, from.unsigned()?, from.unsigned()?);
        let expires_ms = from.signed()?;
        let start = from.clone();
        let released = match from.unsigned()? {
            0 => false,
            1 => true,
            _ => return Err(start.wrong("0 or 1 belongs here")),
        };
        Ok(Self { transaction, index, counter, expires_ms, released, certificate: from.hash()? })
    }
}

pub(super) fn priority(from: &mut Decoder<'_>) -> Result<Priority, Malformed> {
    let start = from.clone();
    Priority::from_name(from.text("a priority", NAME_BYTES_MAX)?).ok_or_else(|| start.wrong("no such priority"))
}
