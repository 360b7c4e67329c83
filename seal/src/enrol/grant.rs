//! What a gateway is handed at the end of its enrolment, or with a renewed certificate.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{PHRASE_FILE_WORDS, labelled, phrase};
use crate::{
    Credential, Hash, Malformed, Name, Policy, PublicKey,
    cbor::{Decoder, Encoder},
    policy::POLICY_BYTES_MAX,
    transaction::Issue,
};

/// The longest PEM text of certificates, in bytes.
pub const PEM_BYTES_MAX: usize = 64 * 1024;
/// The longest credential, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Certificate, authorities, policy and credential. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The [`ticket`](super::Request::ticket) of the request that it answers; of a renewal, the SHA-256 of its bytes.
    pub ticket: Hash,
    /// The gateway.
    pub gateway: Name,
    /// Its certificate chain, PEM.
    pub certificate: String,
    /// The authorities that the hub's certificate comes from, PEM.
    pub authorities: String,
    /// The policy by which to believe the ledger.
    pub policy: String,
    /// The [`Credential`].
    pub credential: Vec<u8>,
}

/// Why a grant is none for this gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct NotGranted {
    /// The rule that does not hold.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

impl Grant {
    /// The bytes: `[1, ticket, gateway, certificate, authorities, policy, credential]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(7).unsigned(crate::VERSION).hash(&self.ticket).text(self.gateway.as_str());
        out.text(&self.certificate).text(&self.authorities).text(&self.policy).bytes(&self.credential);
        out.finish()
    }

    /// Reads the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(7)?;
        let this = Self {
            ticket: from.hash()?,
            gateway: Name::decode(&mut from)?,
            certificate: from.text("a certificate", PEM_BYTES_MAX)?.into(),
            authorities: from.text("a list of authorities", PEM_BYTES_MAX)?.into(),
            policy: from.text("a policy", POLICY_BYTES_MAX)?.into(),
            credential: from.bytes_max("a credential", CREDENTIAL_BYTES_MAX)?.into(),
        };
        from.finish()?;
        Ok(this)
    }

    /// The check phrase of a grant that travels as a file: 8 words.
    pub fn phrase(bytes: &[u8]) -> String {
        phrase(&labelled("plomb enrolment phrase by file", &[bytes]), PHRASE_FILE_WORDS)
    }

    /// Checks that it is for this request, name and key, and that the ledger which it names says so. `policy`: whom the
    /// gateway believes already; the grant's own if it is its first. Gives the newest certificate for the key.
    pub fn check(
        &self,
        ticket: &Hash,
        gateway: &Name,
        key: &PublicKey,
        policy: Option<&Policy>,
    ) -> Result<Issue, NotGranted> {
        let wrong = |rule, detail: String| NotGranted { rule, detail };
        if self.ticket != *ticket || self.gateway != *gateway {
            let detail = alloc::format!("it answers another request, for {}", self.gateway);
            return Err(wrong("grant-ticket", detail));
        }
        let own = Policy::parse(&self.policy).map_err(|error| wrong("grant-policy", error.to_string()))?;
        let credential =
            Credential::parse(&self.credential).map_err(|error| wrong("grant-credential", error.to_string()))?;
        let issues = credential.verify(policy.unwrap_or(&own));
        let issues = issues.map_err(|error| wrong("grant-credential", error.to_string()))?;
        let ours = issues.into_iter().filter(|issue| issue.subject == *gateway && issue.key == *key);
        let newest = ours.max_by_key(|issue| (issue.not_after_s, issue.not_before_s));
        newest.ok_or_else(|| {
            wrong("grant-key", alloc::format!("it holds no certificate for {gateway} with the key that was made here"))
        })
    }
}
