//! Commands: sealed to one gateway, for one measuring point, once, until a time.

use alloc::{string::String, vec::Vec};

use super::{COMMAND_SEALED_BYTES_MAX, config::bound};
use crate::{
    Hash, KeyId, Malformed, Name, Statement,
    cbor::{Decoder, Encoder},
    reading::text,
};

/// A command to a meter. Signed by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The ledger.
    pub origin: String,
    /// The gateway.
    pub gateway: Name,
    /// The measuring point.
    pub point: Name,
    /// What to do: `disconnect`, `reconnect`, `read`, `sync-clock`, `credit`, `set-tariff`, `valve`, … The list is
    /// open: the gateway refuses what it does not know.
    pub verb: Name,
    /// Above that of every command that the ledger admitted for this gateway before.
    pub counter: u64,
    /// Not to be executed after this time, in Unix milliseconds.
    pub expires_ms: i64,
    /// How many operators must sign: 1 or 2.
    pub needs: u8,
    /// [`commitment`](super::commitment) of the content.
    pub commitment: Hash,
    /// The [`SealingKey`](super::SealingKey) that it is sealed to.
    pub recipient: KeyId,
    /// Salt and content, sealed with HPKE (RFC 9180).
    pub sealed: Vec<u8>,
    /// Why, in the operator's words. Everybody can read it.
    pub reason: String,
}

/// A second operator's word for a command that needs two. Signed by that operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The ledger.
    pub origin: String,
    /// The leaf hash of the command.
    pub of: Hash,
}

impl Command {
    /// What the sealing is bound to (HPKE's `aad`): the author's key id, and the statement with nothing sealed in
    /// it.
    pub fn bound_to(&self, author: KeyId) -> Vec<u8> {
        let bare = Self { sealed: Vec::new(), ..self.clone() };
        bound(author, &bare)
    }
}

impl Statement for Command {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.command+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(12).unsigned(crate::VERSION).text(&self.origin).text(self.gateway.as_str());
        out.text(self.point.as_str()).text(self.verb.as_str()).unsigned(self.counter).signed(self.expires_ms);
        out.unsigned(self.needs.into()).hash(&self.commitment).bytes(&self.recipient.0).bytes(&self.sealed);
        out.text(&self.reason);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(12)?;
        Ok(Self {
            origin: text(from)?,
            gateway: Name::decode(from)?,
            point: Name::decode(from)?,
            verb: Name::decode(from)?,
            counter: from.counter()?,
            expires_ms: from.signed()?,
            needs: needs(from)?,
            commitment: from.hash()?,
            recipient: KeyId(from.bytes_exact()?),
            sealed: from.bytes_max("a sealed command", COMMAND_SEALED_BYTES_MAX)?.into(),
            reason: text(from)?,
        })
    }
}

fn needs(from: &mut Decoder<'_>) -> Result<u8, Malformed> {
    match from.unsigned()? {
        1 => Ok(1),
        2 => Ok(2),
        code => Err(Malformed::UnknownCode { what: "number of operators", code }),
    }
}

impl Statement for Approval {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.approval+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(3).unsigned(crate::VERSION).text(&self.origin).hash(&self.of);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(3)?;
        Ok(Self { origin: text(from)?, of: from.hash()? })
    }
}
