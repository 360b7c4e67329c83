//! Receipts and refusals: what the ledger answers to an anchor.

use alloc::{string::String, vec::Vec};

use crate::{
    Anchor, Hash, LogProof, Malformed, Name, Policy, ProofError, SIGNED_BYTES_MAX, Signed,
    attest::Unattested,
    cbor::{Decoder, Encoder},
    proof::PROOF_BYTES_MAX,
    reading::text,
};

/// A proof of logging for an anchor, with the anchor itself: so that a gateway whose card was restored
/// can see what it once signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The anchor's bytes.
    pub anchor: Vec<u8>,
    /// The proof, C2SP tlog-proof text.
    pub proof: String,
}

/// The ledger does not take an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gateway.
    pub gateway: Name,
    /// Its epoch.
    pub epoch: u32,
    /// The batch's number.
    pub batch: u64,
    /// The hash of the anchor that was refused.
    pub anchor: Hash,
    /// The rule that it broke.
    pub rule: String,
    /// What the rule saw, and what to do about it.
    pub detail: String,
}

/// Why a receipt does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The bytes can't be read.
    #[error("receipt: {0}")]
    Malformed(#[from] Malformed),
    /// The proof does not hold.
    #[error("receipt: {0}")]
    Proof(#[from] ProofError),
    /// It speaks of another anchor.
    #[error("receipt: it is for another anchor")]
    OtherAnchor,
    /// It contradicts the anchor, or the certificates of its gateway.
    #[error("receipt: {0}")]
    Unattested(#[from] Unattested),
}

impl Receipt {
    /// The bytes that travel: `[1, anchor, proof]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(3).unsigned(crate::VERSION).bytes(&self.anchor).text(&self.proof);
        out.finish()
    }

    /// Reads the bytes that travel.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(3)?;
        let anchor = from.bytes_max("an anchor", SIGNED_BYTES_MAX)?.into();
        let proof = from.text("a proof", PROOF_BYTES_MAX)?.into();
        from.finish()?;
        Ok(Self { anchor, proof })
    }

    /// Checks the receipt for an anchor. Gives the time by which the anchor was on the ledger (Unix
    /// seconds), if the policy's witnesses tell.
    pub fn verify(&self, anchor: &Signed<Anchor>, policy: &Policy) -> Result<Option<u64>, ReceiptError> {
        if self.anchor != anchor.bytes() {
            return Err(ReceiptError::OtherAnchor);
        }
        Ok(LogProof::parse(&self.proof)?.verify(anchor.hash(), policy)?.witnessed_s)
    }
}

impl Refusal {
    /// The bytes that travel: `[1, gateway, epoch, batch, anchor hash, rule, detail]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(7).unsigned(crate::VERSION).text(self.gateway.as_str()).unsigned(self.epoch.into());
        out.unsigned(self.batch).hash(&self.anchor).text(&self.rule).text(&self.detail);
        out.finish()
    }

    /// Reads the bytes that travel.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(7)?;
        let this = Self {
            gateway: Name::decode(&mut from)?,
            epoch: from.unsigned32()?,
            batch: from.counter()?,
            anchor: from.hash()?,
            rule: text(&mut from)?,
            detail: text(&mut from)?,
        };
        from.finish()?;
        Ok(this)
    }
}
