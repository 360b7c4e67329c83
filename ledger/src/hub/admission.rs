//! The broker asks the ledger who somebody is.

use std::sync::Arc;

use plomb_broker::{Admission, Identity, Refused, Role, Scope};
use plomb_seal::{Hash, transaction};
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;

use crate::{ledger::Ledger, state::Standing};

/// Answers from the certificates that the ledger records.
#[derive(Debug)]
pub struct LedgerAdmission {
    ledger: Arc<Ledger>,
    now_ms: fn() -> i64,
}

impl LedgerAdmission {
    /// Answers from this ledger, by this clock (Unix milliseconds).
    pub fn new(ledger: Arc<Ledger>, now_ms: fn() -> i64) -> Self {
        Self { ledger, now_ms }
    }
}

impl Admission for LedgerAdmission {
    fn identify(&self, certificate_der: &[u8]) -> Result<Identity, Refused> {
        let fingerprint = Hash::of(certificate_der);
        let state = self.ledger.state();
        let record = state.certificate(&fingerprint).ok_or(Refused::Unknown)?;
        match record.standing(&state, (self.now_ms)()) {
            Standing::Holds => {}
            Standing::Revoked(reason) => return Err(Refused::Revoked { reason: reason.into() }),
            Standing::IssuerLeft(issuer) => {
                return Err(Refused::Revoked { reason: format!("{issuer}, who issued it, is no member any more") });
            }
            Standing::OutsideValidity => return Err(Refused::OutsideValidity),
        }
        let role = match record.role {
            transaction::Role::Gateway => Role::Gateway,
            transaction::Role::Admin => Role::Admin,
            transaction::Role::Operator => Role::Operator,
            transaction::Role::Subscriber => Role::Subscriber,
            transaction::Role::Auditor => Role::Auditor,
        };
        // The broker knows no single points: a scope of points alone reaches no topic of a whole gateway.
        let scope = match record.scope.as_slice() {
            [] if record.points.is_empty() => Scope::All,
            gateways => Scope::Gateways(gateways.iter().map(ToString::to_string).collect()),
        };
        Ok(Identity { id: record.subject.to_string(), role, scope, fingerprint: fingerprint.0 })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.ledger.certificate_changes()
    }

    fn authorities(&self) -> Vec<CertificateDer<'static>> {
        self.ledger.state().members().iter().map(|member| CertificateDer::from(member.authority.clone())).collect()
    }
}
