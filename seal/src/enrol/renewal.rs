//! The next certificate: for the key that is there, or for a new one that both keys vouch for.

use alloc::{string::String, vec::Vec};

use crate::{
    Malformed, Name, PublicKey, SIGNED_BYTES_MAX, Signed, SigningKey, Statement, Unverified,
    cbor::{Decoder, Encoder},
    reading::text,
};

/// A gateway asks for its next certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The ledger.
    pub origin: String,
    /// The gateway.
    pub gateway: Name,
    /// The key that is to be certified.
    pub key: PublicKey,
    /// When, by the gateway's clock, in Unix seconds.
    pub time_s: i64,
}

impl Statement for Renewal {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.renewal+cbor";

    fn encode(&self, out: &mut Encoder) {
        out.array(5).unsigned(crate::VERSION).text(&self.origin).text(self.gateway.as_str());
        out.bytes(&self.key.to_bytes()).signed(self.time_s);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.versioned(5)?;
        Ok(Self {
            origin: text(from)?,
            gateway: Name::decode(from)?,
            key: PublicKey::decode(from)?,
            time_s: from.signed()?,
        })
    }
}

/// The statement, signed by the key that is certified, and by the new one if it is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalRequest {
    /// Signed by the present key.
    pub by_present: Vec<u8>,
    /// The same statement, signed by the new key.
    pub by_new: Option<Vec<u8>>,
}

impl RenewalRequest {
    /// For the key that is there.
    pub fn renew(origin: String, gateway: Name, key: &SigningKey, time_s: i64) -> Self {
        let renewal = Renewal { origin, gateway, key: key.public(), time_s };
        Self { by_present: Signed::sign(renewal, key).into_bytes(), by_new: None }
    }

    /// For a new key.
    pub fn rotate(origin: String, gateway: Name, (present, new): (&SigningKey, &SigningKey), time_s: i64) -> Self {
        let renewal = Renewal { origin, gateway, key: new.public(), time_s };
        let by_new = Signed::sign(renewal.clone(), new).into_bytes();
        Self { by_present: Signed::sign(renewal, present).into_bytes(), by_new: Some(by_new) }
    }

    /// The bytes: `[1, statement, statement / null]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(3).unsigned(crate::VERSION).bytes(&self.by_present);
        out.optional(self.by_new.as_ref(), |out, bytes| {
            out.bytes(bytes);
        });
        out.finish()
    }

    /// Reads the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(3)?;
        let by_present = from.bytes_max("a renewal", SIGNED_BYTES_MAX)?.into();
        let by_new = from.optional(|from| Ok(from.bytes_max("a renewal", SIGNED_BYTES_MAX)?.into()))?;
        from.finish()?;
        Ok(Self { by_present, by_new })
    }

    /// Checks the signatures: of `present`, and of the new key if the statement names another.
    pub fn verify(&self, present: &PublicKey) -> Result<Renewal, Malformed> {
        let renewal = Unverified::<Renewal>::parse(&self.by_present)?.verify(present)?.statement().clone();
        match &self.by_new {
            None if renewal.key == *present => Ok(renewal),
            // Neither a new key that did not sign, nor a second signature of the old one.
            None => Err(Malformed::Signature),
            Some(bytes) => {
                let by_new = Unverified::<Renewal>::parse(bytes)?.verify(&renewal.key)?.statement().clone();
                if by_new == renewal && renewal.key != *present { Ok(renewal) } else { Err(Malformed::Signature) }
            }
        }
    }
}
