//! Configurations: sealed to one gateway, in one line of versions.

use alloc::{string::String, vec::Vec};

use super::CONFIG_SEALED_BYTES_MAX;
use crate::{
    Hash, KeyId, Malformed, Name, Statement,
    cbor::{Decoder, Encoder},
    cose,
    reading::text,
};

/// A configuration for a gateway. Signed by an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The ledger.
    pub origin: String,
    /// The gateway.
    pub gateway: Name,
    /// The version that it is made from: the last that the ledger admitted for this gateway; 0 for none.
    pub base: u64,
    /// How urgent.
    pub priority: Priority,
    /// When it is to be applied, if not when the priority says.
    pub window: Option<Window>,
    /// [`commitment`](super::commitment) of the content.
    pub commitment: Hash,
    /// The [`SealingKey`](super::SealingKey) that it is sealed to.
    pub recipient: KeyId,
    /// Salt and content, sealed with HPKE (RFC 9180).
    pub sealed: Vec<u8>,
    /// Why, in the admin's words. Everybody can read it.
    pub reason: String,
}

/// How urgent a configuration is. A later variant goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// In the maintenance window.
    Routine,
    /// At the end of the running poll.
    Urgent,
    /// At once.
    Immediate,
}

/// A span of time, in Unix milliseconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Not before this.
    pub from_ms: i64,
    /// Not after this.
    pub until_ms: i64,
}

impl Config {
    /// Its own version: the one after its base.
    pub fn version(&self) -> u64 {
        self.base.saturating_add(1)
    }

    /// What the sealing is bound to (HPKE's `aad`): the author's key id, and the statement with nothing sealed in
    /// it. So no sealed content can be taken over into another statement, or by another author.
    pub fn bound_to(&self, author: KeyId) -> Vec<u8> {
        let bare = Self { sealed: Vec::new(), ..self.clone() };
        bound(author, &bare)
    }
}

/// The author's key id before a statement without its sealed content.
pub(super) fn bound(author: KeyId, bare: &impl Statement) -> Vec<u8> {
    let mut out = Encoder::new();
    out.array(2).bytes(&author.0).bytes(&cose::encoded(bare));
    out.finish()
}

impl Statement for Config {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.config+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(10).unsigned(crate::VERSION).text(&self.origin).text(self.gateway.as_str());
        out.unsigned(self.base).unsigned(self.priority.code());
        out.optional(self.window, |out, window| {
            out.array(2).signed(window.from_ms).signed(window.until_ms);
        });
        out.hash(&self.commitment).bytes(&self.recipient.0).bytes(&self.sealed).text(&self.reason);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(10)?;
        Ok(Self {
            origin: text(from)?,
            gateway: Name::decode(from)?,
            base: from.counter()?,
            priority: Priority::from_code(from.unsigned()?)?,
            window: from.optional(|from| {
                from.array_exact(2)?;
                Ok(Window { from_ms: from.signed()?, until_ms: from.signed()? })
            })?,
            commitment: from.hash()?,
            recipient: KeyId(from.bytes_exact()?),
            sealed: from.bytes_max("a sealed configuration", CONFIG_SEALED_BYTES_MAX)?.into(),
            reason: text(from)?,
        })
    }
}

impl Priority {
    const NAMED: [(Self, u64, &'static str); 3] =
        [(Self::Routine, 1, "routine"), (Self::Urgent, 2, "urgent"), (Self::Immediate, 3, "immediate")];

    /// In one word.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(priority, ..)| *priority == self).map_or("", |(_, _, name)| name)
    }

    /// From its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(.., known)| *known == name).map(|(priority, ..)| *priority)
    }

    fn code(self) -> u64 {
        Self::NAMED.iter().find(|(priority, ..)| *priority == self).map_or(0, |(_, code, _)| *code)
    }

    fn from_code(code: u64) -> Result<Self, Malformed> {
        let found = Self::NAMED.iter().find(|(_, known, _)| *known == code);
        found.map(|(priority, ..)| *priority).ok_or(Malformed::UnknownCode { what: "priority", code })
    }
}
