//! Who may come in. The ledger knows; the guard asks.

use std::collections::BTreeSet;
use std::fmt;

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::watch;

/// Longest gateway or member id, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// What a certificate's holder is, as the ledger records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// A gateway: publishes its own readings, hears its own receipts.
    Gateway,
    /// A subscriber: hears the readings in its scope, says nothing.
    Subscriber,
    /// The ledger itself, inside the process. Refused from outside.
    Ledger,
    /// An administrator. Configurations travel through the ledger, not through MQTT.
    Admin,
    /// An operator. Commands travel through the ledger, not through MQTT.
    Operator,
    /// An auditor.
    Auditor,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Subscriber => "subscriber",
            Self::Ledger => "ledger",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        })
    }
}

/// Whose gateways an identity may hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every gateway.
    All,
    /// These gateways, by id. An empty set means none.
    Gateways(BTreeSet<String>),
}

/// A certificate's holder, as the ledger knows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Unique over all roles; `[a-z0-9-]{1,64}`. A gateway's id is its topic level.
    pub id: String,
    /// What it is.
    pub role: Role,
    /// Which gateways it may hear. Unused for a gateway.
    pub scope: Scope,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: [u8; 32],
}

/// Whether `id` is one to one topic level and safe there: `[a-z0-9-]{1,64}`.
#[must_use]
pub fn is_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Why the ledger does not let a certificate in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The certificate chains to a known root, but nobody recorded it.
    #[error("the ledger has no record of this certificate: have a member record it")]
    Unknown,
    /// The certificate was recorded, and revoked.
    #[error("the ledger says this certificate is revoked{}{}", if .reason.is_empty() { "" } else { ": " }, .reason)]
    Revoked {
        /// The reason recorded with the revocation; may be empty.
        reason: String,
    },
    /// The ledger's validity window for this certificate is not now.
    #[error("the ledger's validity for this certificate does not cover the present time")]
    OutsideValidity,
    /// The ledger cannot answer at present; the peer should try again.
    #[error("the ledger cannot say at present: {0}")]
    Unavailable(String),
}

/// The ledger's answer to "who is this?".
///
/// The guard asks after each handshake, and again for every open connection
/// whenever [`changes`](Self::changes) ticks. It must not block: it is called
/// on the runtime's threads.
pub trait Admission: Send + Sync + 'static {
    /// Says whose certificate this is, or why it does not hold.
    ///
    /// The chain has already been verified against the roots; `certificate_der`
    /// is the end entity's.
    fn identify(&self, certificate_der: &[u8]) -> Result<Identity, Refused>;

    /// A counter that grows whenever an answer of [`identify`](Self::identify) may have changed.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The authorities whose certificates TLS lets in beside the configured ones, for
    /// [`identify`](Self::identify) to judge. Asked again after each tick of [`changes`](Self::changes).
    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_safe_topic_level() {
        for good in ["a", "gw-0001", "0", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "GW", "a/b", "+", "#", "$x", "a.b", "a b", "é", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_revocation_names_its_reason_when_there_is_one() {
        let said = |reason: &str| Refused::Revoked { reason: reason.into() }.to_string();
        assert_eq!(said(""), "the ledger says this certificate is revoked");
        assert_eq!(said("stolen"), "the ledger says this certificate is revoked: stolen");
    }
}
