//! What the ledger says of an anchor: checks 8 to 11 of `docs/evidence.md`. Verifiers of exports and gateways
//! that take receipts ask the same questions here, so that no gateway keeps a receipt that its own export
//! would fail by.

use alloc::{
    format,
    string::{String, ToString},
};

use crate::{Anchor, LogProof, Policy, PublicKey, Signed, transaction::Issue};

/// What is wrong with a receipt, or with the checkpoint that an anchor names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {detail}")]
pub struct Unattested {
    /// Which check failed; the names are those of `docs/evidence.md`.
    pub check: &'static str,
    /// What was seen.
    pub detail: String,
}

/// The dates of an anchor, in Unix seconds, as far as the policy's witnesses tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attested {
    /// It was signed not before this: when the checkpoint that it names was witnessed.
    pub not_before_s: Option<u64>,
    /// It was on the ledger by this: when the receipt's checkpoint was witnessed.
    pub not_after_s: Option<u64>,
}

impl Attested {
    /// Whether the dates exclude each other. The order is proved all the same: the checkpoint's tree ends before
    /// the anchor's place. So a witness's clock was wrong, and neither date is worth anything.
    pub fn dates_contradict(&self) -> bool {
        self.not_before_s.zip(self.not_after_s).is_some_and(|(before, after)| before > after)
    }
}

/// Checks the proof of logging, if there is one, and the checkpoint that the anchor names, if it names one.
///
/// `key` is the one that signed the anchor, `certificates` are those of its gateway. Without any there is no
/// ledger's name and no validity to compare with.
pub fn attest(
    anchor: &Signed<Anchor>,
    key: &PublicKey,
    proof: Option<&str>,
    policy: &Policy,
    certificates: &[Issue],
) -> Result<Attested, Unattested> {
    let wrong = |check, detail: String| Unattested { check, detail };
    let origin = certificates.first().map(|issue| issue.origin.as_str());
    let ours = |found: &str| origin.is_none_or(|origin| origin == found);
    let mut dates = Attested::default();
    let mut index = None;
    if let Some(proof) = proof {
        let proof = LogProof::parse(proof).map_err(|error| wrong("receipt", error.to_string()))?;
        let trusted = proof.verify(anchor.hash(), policy).map_err(|error| wrong("receipt", error.to_string()))?;
        if !ours(&trusted.checkpoint.origin) {
            return Err(wrong("receipt", "it is of another ledger".to_string()));
        }
        (dates.not_after_s, index) = (trusted.witnessed_s, Some(proof.index));
    }
    if let Some(note) = &anchor.statement().checkpoint {
        let seen = policy.check(note).map_err(|error| wrong("checkpoint", error.to_string()))?;
        if !ours(&seen.checkpoint.origin) {
            return Err(wrong("checkpoint", "it is of another ledger".to_string()));
        }
        if let Some(index) = index.filter(|index| seen.checkpoint.size > *index) {
            let size = seen.checkpoint.size;
            return Err(wrong(
                "checkpoint",
                format!("it is of a ledger of {size} transactions, that held this anchor at {index} already"),
            ));
        }
        dates.not_before_s = seen.witnessed_s;
    }
    // A key may have several certificates, one after the other.
    let valid = |s: i64| {
        let own = |issue: &&Issue| issue.key == *key;
        certificates.iter().filter(own).any(|issue| (issue.not_before_s..=issue.not_after_s).contains(&s))
    };
    let dated = dates.not_after_s.map(|s| i64::try_from(s).unwrap_or(i64::MAX));
    if !certificates.is_empty() && dated.is_some_and(|s| !valid(s)) {
        return Err(wrong(
            "certificate-validity",
            "the receipt's date is outside the certificate's validity".to_string(),
        ));
    }
    Ok(dates)
}
