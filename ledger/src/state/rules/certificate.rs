//! Rules of certificates.

use plomb_seal::{
    Hash,
    transaction::{Issue, Member, Role},
};

use super::super::{CERTIFICATES_MAX, CertificateRecord, Refused, State};

/// The longest validity of a certificate, in days: a gateway's mounted life.
const VALIDITY_DAYS_MAX: i64 = 20 * 366;
const DAY_S: i64 = 86_400;

/// `certificate-unique`: the certificate was never recorded, its key serves nobody else, there is room.
pub(in crate::state) fn certificate_unique(state: &State, issue: &Issue) -> Result<(), Refused> {
    let wrong = |detail: String| Err(Refused::new("certificate-unique", detail));
    if let Some(found) = state.certificate(&issue.fingerprint()) {
        return wrong(format!("this X.509 certificate is recorded already, for {}", found.subject));
    }
    if let Some((_, found)) =
        state.certificates_of_key(issue.key.id()).find(|(_, found)| found.subject != issue.subject)
    {
        return wrong(format!("key {} is recorded for {}: make a new key", issue.key.id(), found.subject));
    }
    if state.certificates.len() >= CERTIFICATES_MAX {
        return wrong(format!("the ledger holds {CERTIFICATES_MAX} certificates, its most"));
    }
    Ok(())
}

/// `certificate-role`: a name keeps its role for ever, and a gateway's certificate has no scope.
pub(in crate::state) fn certificate_role(state: &State, issue: &Issue) -> Result<(), Refused> {
    if let Some(role) = state.roles.get(&issue.subject).filter(|role| **role != issue.role) {
        let detail = format!("{} is recorded as {}: choose another name", issue.subject, role.name());
        return Err(Refused::new("certificate-role", detail));
    }
    if issue.role == Role::Gateway && !(issue.scope.is_empty() && issue.points.is_empty()) {
        return Err(Refused::new("certificate-role", "a gateway reaches itself alone: issue it without a scope"));
    }
    Ok(())
}

/// `certificate-validity`: a validity that begins before it ends, and has not ended.
pub(in crate::state) fn certificate_validity(issue: &Issue, time_ms: i64) -> Result<(), Refused> {
    let wrong = |detail: &str| Err(Refused::new("certificate-validity", detail));
    if issue.not_before_s >= issue.not_after_s {
        return wrong("its validity ends before it begins");
    }
    if issue.not_after_s.saturating_sub(issue.not_before_s) > VALIDITY_DAYS_MAX * DAY_S {
        return wrong("it would hold for more than 20 years");
    }
    if issue.not_after_s < time_ms.div_euclid(1000) {
        return wrong("it has expired already; check the clocks of the issuer and of the hub");
    }
    Ok(())
}

/// `revoke-known`: what is revoked was issued, and not revoked before.
pub(in crate::state) fn revoke_known<'a>(
    state: &'a State,
    fingerprint: &Hash,
) -> Result<&'a CertificateRecord, Refused> {
    match state.certificate(fingerprint) {
        None => Err(Refused::new("revoke-known", format!("no certificate {fingerprint} is recorded"))),
        Some(CertificateRecord { revoked: Some(_), subject, .. }) => {
            Err(Refused::new("revoke-known", format!("this certificate of {subject} is revoked already")))
        }
        Some(found) => Ok(found),
    }
}

/// `revoke-author`: the member that issued a certificate revokes it. No member can shut out another's gateways.
pub(in crate::state) fn revoke_author(found: &CertificateRecord, author: &Member) -> Result<(), Refused> {
    if found.author == author.name {
        return Ok(());
    }
    Err(Refused::new("revoke-author", format!("issued by {}, which alone can revoke it", found.author)))
}
