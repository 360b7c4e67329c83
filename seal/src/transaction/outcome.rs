//! Outcomes: what became of a configuration or a command, in the gateway's words.

use alloc::string::String;

use crate::{
    Hash, Malformed, Name, Statement,
    cbor::{Decoder, Encoder},
    reading::text,
};

/// What became of a configuration or a command. Signed by its gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The ledger.
    pub origin: String,
    /// The gateway.
    pub gateway: Name,
    /// The leaf hash of the configuration or command.
    pub of: Hash,
    /// What became of it.
    pub effect: Effect,
    /// The rule by which it was refused, rolled back or failed; empty if it was applied.
    pub rule: String,
    /// In words.
    pub detail: String,
    /// The epoch of the entry that says so in the gateway's journal.
    pub epoch: u32,
    /// That entry's sequence number: what was read after it stands behind it.
    pub seq: u64,
    /// When, in Unix milliseconds of the gateway's clock.
    pub time_ms: i64,
}

/// What became of a configuration or a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// It was done.
    Applied,
    /// It was not begun: a rule of the gateway forbids it.
    Refused,
    /// It was applied, and taken back: a configuration under which the gateway could not go on.
    RolledBack,
    /// It came too late: a command after its expiry.
    Expired,
    /// It was begun, and went wrong.
    Failed,
}

impl Statement for Outcome {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.outcome+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(10).unsigned(crate::VERSION).text(&self.origin).text(self.gateway.as_str()).hash(&self.of);
        out.unsigned(self.effect.code()).text(&self.rule).text(&self.detail);
        out.unsigned(self.epoch.into()).unsigned(self.seq).signed(self.time_ms);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(10)?;
        Ok(Self {
            origin: text(from)?,
            gateway: Name::decode(from)?,
            of: from.hash()?,
            effect: Effect::from_code(from.unsigned()?)?,
            rule: text(from)?,
            detail: text(from)?,
            epoch: from.unsigned32()?,
            seq: from.counter()?,
            time_ms: from.signed()?,
        })
    }
}

impl Effect {
    const NAMED: [(Self, u64, &'static str); 5] = [
        (Self::Applied, 1, "applied"),
        (Self::Refused, 2, "refused"),
        (Self::RolledBack, 3, "rolled-back"),
        (Self::Expired, 4, "expired"),
        (Self::Failed, 5, "failed"),
    ];

    /// In one word.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(effect, ..)| *effect == self).map_or("", |(_, _, name)| name)
    }

    /// From its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(.., known)| *known == name).map(|(effect, ..)| *effect)
    }

    fn code(self) -> u64 {
        Self::NAMED.iter().find(|(effect, ..)| *effect == self).map_or(0, |(_, code, _)| *code)
    }

    fn from_code(code: u64) -> Result<Self, Malformed> {
        let found = Self::NAMED.iter().find(|(_, known, _)| *known == code);
        found.map(|(effect, ..)| *effect).ok_or(Malformed::UnknownCode { what: "effect", code })
    }
}
