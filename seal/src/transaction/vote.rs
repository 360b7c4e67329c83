//! Votes: how members are added and removed after the genesis.

use alloc::{boxed::Box, string::String};

use super::Member;
use crate::{
    Hash, Malformed, Name, Statement,
    cbor::{Decoder, Encoder},
    cose,
    reading::text,
};

/// One member's word for a change. Each member signs the very same statement as a transaction of its own; the
/// change takes effect with the vote that makes the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The ledger.
    pub origin: String,
    /// How many changes took effect before. A vote lapses when another change takes effect first.
    pub base: u64,
    /// What is voted for.
    pub change: MemberChange,
}

/// A change of who the members are, or of how many must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// A member joins.
    Add(Box<Member>),
    /// A member leaves. Certificates that it issued hold no longer.
    Remove(Name),
    /// So many members must agree from now on.
    Quorum(u32),
}

impl Vote {
    /// SHA-256 of the statement's payload: the same for all who vote for the same.
    pub fn ballot(&self) -> Hash {
        Hash::of(&cose::encoded(self))
    }
}

impl Statement for Vote {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.vote+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(4).unsigned(crate::VERSION).text(&self.origin).unsigned(self.base);
        self.change.encode(out);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(4)?;
        Ok(Self { origin: text(from)?, base: from.counter()?, change: MemberChange::decode(from)? })
    }
}

impl MemberChange {
    /// What it does, in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Remove(_) => "remove",
            Self::Quorum(_) => "quorum",
        }
    }

    fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Add(member) => member.encode(out.array(4).unsigned(1)),
            Self::Remove(name) => {
                out.array(2).unsigned(2).text(name.as_str());
            }
            Self::Quorum(quorum) => {
                out.array(2).unsigned(3).unsigned((*quorum).into());
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let start = from.clone();
        let len = from.array("a change of members", usize::MAX)?;
        match (from.unsigned()?, len) {
            (1, 4) => Ok(Self::Add(Box::new(Member::decode(from)?))),
            (2, 2) => Ok(Self::Remove(Name::decode(from)?)),
            (3, 2) => Ok(Self::Quorum(from.unsigned32()?)),
            (1..=3, _) => Err(start.wrong("the change has another number of items")),
            (code, _) => Err(Malformed::UnknownCode { what: "change of members", code }),
        }
    }
}
