//! The genesis: who founds a ledger.

use alloc::{string::String, vec::Vec};

use super::{MEMBERS_MAX, X509_BYTES_MAX};
use crate::{
    Malformed, Name, PublicKey, Statement,
    cbor::{Decoder, Encoder},
    reading::text,
};

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

impl Statement for Genesis {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.member+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(5).unsigned(crate::VERSION).unsigned(0).text(&self.origin).array(self.members.len());
        for member in &self.members {
            member.encode(out.array(3));
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
                Member::decode(from)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { origin, members, quorum: from.unsigned32()? })
    }
}

impl Member {
    /// Name, key and authority; the array's head is the caller's.
    pub(super) fn encode(&self, out: &mut Encoder) {
        out.text(self.name.as_str()).bytes(&self.key.to_bytes()).bytes(&self.authority);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (name, key) = (Name::decode(from)?, PublicKey::decode(from)?);
        let authority: Vec<u8> = from.bytes_max("a certificate", X509_BYTES_MAX)?.into();
        Ok(Self { name, key, authority })
    }
}
