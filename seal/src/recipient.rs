//! Recipients: to which key a gateway is to be sealed to, in a form that an author can check without believing the hub
//! from which it comes. A hub that could pass off a key of its own could read every configuration.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Display;

use crate::{
    KeyId, Logged, Malformed, Name, Policy, Unverified,
    cbor::{Decoder, Encoder},
    credential::CERTIFICATES_MAX,
    parties::Parties,
    transaction::{Issue, Role, SealingKey},
};

/// A gateway's sealing key with all that vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The ledger's first transaction.
    pub genesis: Logged,
    /// The gateway's certificates, and the votes by which later members joined, if such issued them.
    pub parties: Vec<Logged>,
    /// The `sealing-key` transaction.
    pub sealing: Logged,
}

/// What a recipient shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientKey {
    /// The X25519 public key.
    pub key: [u8; 32],
    /// Which of the gateway's sealing keys it is, from 1.
    pub serial: u64,
    /// The certificate whose key signed it.
    pub vouched_by: Issue,
    /// Its index in the log.
    pub index: u64,
    /// The ledger's name.
    pub origin: String,
}

/// Why a recipient shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct NotRecipient {
    /// The rule that does not hold, in kebab case.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

impl NotRecipient {
    fn new(rule: &'static str, detail: impl Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

impl RecipientKey {
    /// The id by which statements name the key.
    pub fn key_id(&self) -> KeyId {
        crate::transaction::sealing_key_id(&self.key)
    }
}

impl Recipient {
    /// The bytes: `[1, [genesis, proof], [[transaction, proof], …], [sealing key, proof]]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.array(4).unsigned(crate::VERSION);
        self.genesis.encode(&mut out);
        out.array(self.parties.len());
        self.parties.iter().for_each(|logged| logged.encode(&mut out));
        self.sealing.encode(&mut out);
        out.finish()
    }

    /// Reads the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        from.versioned(4)?;
        let genesis = Logged::decode(&mut from)?;
        let count = from.array("a list of parties", CERTIFICATES_MAX)?;
        let parties = (0..count).map(|_| Logged::decode(&mut from)).collect::<Result<_, _>>()?;
        let sealing = Logged::decode(&mut from)?;
        from.finish()?;
        Ok(Self { genesis, parties, sealing })
    }

    /// Checks everything under `policy`, for this gateway. `origin` is the ledger's name, if it is known from elsewhere;
    /// the policy's log key names one ledger anyway.
    ///
    /// What it cannot show is that no newer key came after: the ledger refuses what is sealed to an older one.
    ///
    /// # Errors
    /// By rule: `recipient-parties`, `recipient-origin`, `recipient-logged`, `recipient-form`, `recipient-gateway`,
    /// `recipient-author`.
    pub fn verify(&self, origin: Option<&str>, gateway: &Name, policy: &Policy) -> Result<RecipientKey, NotRecipient> {
        let wrong = |error| NotRecipient::new("recipient-parties", error);
        let parties = Parties::read(&self.genesis, &self.parties, policy).map_err(wrong)?;
        let ledger = &parties.founding.origin;
        if origin.is_some_and(|origin| origin != ledger) {
            return Err(NotRecipient::new("recipient-origin", alloc::format!("it is of the ledger {ledger}")));
        }
        let issues = parties.certificates(&self.parties).map(|logged| parties.issue(logged, policy));
        let issues: Vec<(u64, Issue)> = issues.collect::<Result<_, _>>().map_err(wrong)?;
        let logged = |error| NotRecipient::new("recipient-logged", error);
        let index = self.sealing.check("the sealing key", ledger, policy).map_err(logged)?;
        let form = |error| NotRecipient::new("recipient-form", error);
        let parsed = Unverified::<SealingKey>::parse(&self.sealing.transaction).map_err(form)?;
        if parsed.claims().gateway != *gateway || parsed.claims().origin != *ledger {
            let claims = parsed.claims();
            let detail = alloc::format!("it is the key of {} at {}", claims.gateway, claims.origin);
            return Err(NotRecipient::new("recipient-gateway", detail));
        }
        let author = |detail| NotRecipient::new("recipient-author", detail);
        let vouching = issues.into_iter().find(|(at, issue)| {
            let names = issue.role == Role::Gateway && issue.subject == *gateway;
            names && *at < index && issue.key.id() == parsed.key_id()
        });
        let (_, issue) = vouching.ok_or_else(|| author("no certificate of this gateway vouches for it".to_string()))?;
        let signed = parsed.verify(&issue.key).map_err(|error| author(error.to_string()))?;
        let SealingKey { key, serial, .. } = *signed.statement();
        Ok(RecipientKey { key, serial, vouched_by: issue, index, origin: ledger.clone() })
    }
}
