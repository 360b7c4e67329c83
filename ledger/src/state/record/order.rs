//! Configurations and commands as the ledger remembers them, for ever: who sent them, and what became of them.

use plomb_seal::{
    Hash, Malformed, Name,
    cbor::{Decoder, Encoder},
    name::NAME_BYTES_MAX,
    transaction::{Effect, Priority},
};

use super::{name, register::priority};

/// The most answers to one configuration: applied, then rolled back.
const ANSWERS_MAX: usize = 2;

/// What a gateway was told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// A configuration.
    Config(ConfigRecord),
    /// A command.
    Command(CommandRecord),
}

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRecord {
    /// The gateway.
    pub gateway: Name,
    /// Its version.
    pub version: u64,
    /// How urgent.
    pub priority: Priority,
    /// The admin.
    pub author: Name,
    /// The fingerprint of the admin's certificate.
    pub certificate: Hash,
    /// Its index in the log.
    pub index: u64,
    /// The time of its block, Unix milliseconds.
    pub admitted_ms: i64,
    /// What the gateway answered, the oldest first.
    pub answers: Vec<Answered>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// The gateway.
    pub gateway: Name,
    /// The measuring point.
    pub point: Name,
    /// What to do.
    pub verb: Name,
    /// Its counter.
    pub counter: u64,
    /// When it expires, in Unix milliseconds.
    pub expires_ms: i64,
    /// How many operators must sign.
    pub needs: u8,
    /// The operator.
    pub author: Name,
    /// The fingerprint of the operator's certificate.
    pub certificate: Hash,
    /// Its index in the log.
    pub index: u64,
    /// The time of its block, Unix milliseconds.
    pub admitted_ms: i64,
    /// Who approved it.
    pub approval: Option<Approved>,
    /// What the gateway answered.
    pub answer: Option<Answered>,
}

/// A second operator's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// The operator.
    pub by: Name,
    /// The leaf hash of the approval.
    pub transaction: Hash,
    /// The time of its block, Unix milliseconds.
    pub time_ms: i64,
}

/// A gateway's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// What became of it.
    pub effect: Effect,
    /// The leaf hash of the outcome.
    pub transaction: Hash,
    /// The time of its block, Unix milliseconds.
    pub time_ms: i64,
}

impl Order {
    /// The gateway that it is for.
    pub fn gateway(&self) -> &Name {
        match self {
            Self::Config(config) => &config.gateway,
            Self::Command(command) => &command.gateway,
        }
    }

    /// Who sent it.
    pub fn author(&self) -> &Name {
        match self {
            Self::Config(config) => &config.author,
            Self::Command(command) => &command.author,
        }
    }

    /// The fingerprint of its author's certificate.
    pub fn certificate(&self) -> &Hash {
        match self {
            Self::Config(config) => &config.certificate,
            Self::Command(command) => &command.certificate,
        }
    }

    /// The last answer.
    pub fn answer(&self) -> Option<&Answered> {
        match self {
            Self::Config(config) => config.answers.last(),
            Self::Command(command) => command.answer.as_ref(),
        }
    }
}

impl CommandRecord {
    /// Whether all who must sign have signed.
    pub fn is_released(&self) -> bool {
        self.needs < 2 || self.approval.is_some()
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.text(self.gateway.as_str()).text(self.point.as_str()).text(self.verb.as_str()).unsigned(self.counter);
        out.signed(self.expires_ms).unsigned(self.needs.into()).text(self.author.as_str()).hash(&self.certificate);
        out.unsigned(self.index).signed(self.admitted_ms);
        out.optional(self.approval.as_ref(), |out, approval| {
            out.array(3).text(approval.by.as_str()).hash(&approval.transaction).signed(approval.time_ms);
        });
        out.optional(self.answer, |out, answer| answer.encode(out));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            gateway: name(from)?,
            point: name(from)?,
            verb: name(from)?,
            counter: from.unsigned()?,
            expires_ms: from.signed()?,
            needs: from.unsigned8()?,
            author: name(from)?,
            certificate: from.hash()?,
            index: from.unsigned()?,
            admitted_ms: from.signed()?,
            approval: from.optional(|from| {
                from.array_exact(3)?;
                Ok(Approved { by: name(from)?, transaction: from.hash()?, time_ms: from.signed()? })
            })?,
            answer: from.optional(Answered::decode)?,
        })
    }
}

impl ConfigRecord {
    pub(super) fn encode(&self, out: &mut Encoder) {
        out.text(self.gateway.as_str()).unsigned(self.version).text(self.priority.name()).text(self.author.as_str());
        out.hash(&self.certificate).unsigned(self.index).signed(self.admitted_ms).array(self.answers.len());
        self.answers.iter().for_each(|answer| answer.encode(out));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (gateway, version, priority) = (name(from)?, from.unsigned()?, priority(from)?);
        let (author, certificate, index, admitted_ms) = (name(from)?, from.hash()?, from.unsigned()?, from.signed()?);
        let count = from.array("a list of answers", ANSWERS_MAX)?;
        let answers = (0..count).map(|_| Answered::decode(from)).collect::<Result<_, _>>()?;
        Ok(Self { gateway, version, priority, author, certificate, index, admitted_ms, answers })
    }
}

impl Answered {
    fn encode(&self, out: &mut Encoder) {
        out.array(3).text(self.effect.name()).hash(&self.transaction).signed(self.time_ms);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(3)?;
        let start = from.clone();
        let effect = Effect::from_name(from.text("an effect", NAME_BYTES_MAX)?);
        let effect = effect.ok_or_else(|| start.wrong("no such effect"))?;
        Ok(Self { effect, transaction: from.hash()?, time_ms: from.signed()? })
    }
}
