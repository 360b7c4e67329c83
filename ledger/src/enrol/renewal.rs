//! The next certificate of a gateway that has one which holds: for the same key, or for a new one.

use std::sync::Arc;

use plomb_broker::Identity;
use plomb_seal::{
    Hash, Name,
    enrol::{Renewal, RenewalRequest},
    transaction::Role,
};
use tracing::{error, info};

use super::{Authority, Denied, Enrolments, Issued, blocking};
use crate::{
    ledger::Answer,
    pki::{SubjectKey, Wish},
    state::{CertificateRecord, Standing, State},
};

/// A certificate is renewed when less than this part of its validity is left: 1 over this.
const LEFT_PART: i64 = 3;
/// Keys of one gateway that hold at once. More than one is an exchange under way.
const KEYS_MAX: usize = 4;
const DAY_S: i64 = 86_400;

/// What is to be done.
enum Course {
    /// It was done before: the certificate stands at this index.
    Done(u64),
    /// It is to be issued.
    Issue(Box<Issued>),
}

impl Enrolments {
    /// The grant with the next certificate. Whoever lost the answer asks again and gets the same certificate.
    pub(crate) async fn renew(self: &Arc<Self>, who: &Identity, body: Vec<u8>) -> Result<Vec<u8>, Denied> {
        let gateway: Name = who.id.parse().map_err(|_| Denied::new("renewal-gateway", "the name is none"))?;
        let (this, presented, of) = (self.clone(), Hash(who.fingerprint), gateway.clone());
        let ticket = Hash::of(&body);
        let course = blocking(move || this.course(&of, &presented, &body)).await?;
        let index = match course {
            Course::Done(index) => index,
            Course::Issue(issued) => {
                let answer = self.node.submit(issued.transaction, None).await;
                match answer.map_err(|error| Denied::new("unavailable", error.to_string()))? {
                    Answer::Admitted { index } | Answer::Known { index } => {
                        info!(%gateway, key = %issued.issue.key.id(), "a certificate is renewed");
                        index
                    }
                    Answer::Refused(why) => return Err(Denied::new(why.rule, why.detail)),
                }
            }
        };
        let this = self.clone();
        Ok(blocking(move || this.grant_of(ticket, gateway, index)).await?.to_bytes())
    }

    fn course(&self, gateway: &Name, presented: &Hash, body: &[u8]) -> Result<Course, Denied> {
        let now_ms = (self.now_ms)();
        let form = |error: plomb_seal::Malformed| Denied::new("renewal-form", error.to_string());
        let request = RenewalRequest::parse(body).map_err(form)?;
        let (renewal, present, done, keys) = {
            let state = self.ledger().state();
            let present = state.certificate(presented).cloned();
            let present = present.ok_or_else(|| Denied::new("renewal-gateway", "the certificate is not known"))?;
            let renewal = request.verify(&present.key).map_err(|error| {
                Denied::new("renewal-signature", format!("{error} (of both keys, if there are two)"))
            })?;
            if renewal.origin != self.origin() || renewal.gateway != *gateway {
                let detail = format!("it is for {} of {}", renewal.gateway, renewal.origin);
                return Err(Denied::new("renewal-gateway", detail));
            }
            let done = newer(&state, &renewal, (&present, presented), now_ms);
            let held = state
                .certificates()
                .map(|(_, record)| record)
                .filter(|record| record.subject == *gateway && record.standing(&state, now_ms) == Standing::Holds);
            let keys: std::collections::BTreeSet<[u8; 32]> = held.map(|record| record.key.to_bytes()).collect();
            (renewal, present, done, keys)
        };
        if let Some(leaf) = done {
            let index = self.ledger().index_of(&leaf).ok().flatten();
            return index.map(Course::Done).ok_or_else(|| Denied::new("enrolment-io", "the ledger can't be read"));
        }
        if renewal.key == present.key && !is_due(&present, now_ms) {
            let detail = format!("more than 1/{LEFT_PART} of its validity is left");
            return Err(Denied::new("renewal-early", detail));
        }
        if !keys.contains(&renewal.key.to_bytes()) && keys.len() >= KEYS_MAX {
            let detail = format!("{KEYS_MAX} keys of it hold already; the hub's operator may revoke older ones");
            return Err(Denied::new("renewal-keys-max", detail));
        }
        let days = (present.not_after_s.saturating_sub(present.not_before_s)).div_euclid(DAY_S).max(1);
        let wish = Wish {
            origin: renewal.origin,
            subject: gateway.clone(),
            role: Role::Gateway,
            scope: Vec::new(),
            points: Vec::new(),
            days: u32::try_from(days).unwrap_or(1),
        };
        let issued = Authority::load(&self.folder).and_then(|authority| {
            Ok(authority.issue(&wish, &SubjectKey::Known(&renewal.key), now_ms.div_euclid(1000))?)
        });
        let issued = issued.map_err(|error| {
            error!("renewal of {gateway}: {error}");
            Denied::new("renewal-authority", "this hub has no member's keys at hand; ask its operator")
        });
        Ok(Course::Issue(Box::new(issued?)))
    }
}

/// Whether so little is left of it that it is to be renewed.
fn is_due(record: &CertificateRecord, now_ms: i64) -> bool {
    let (now_s, whole_s) = (now_ms.div_euclid(1000), record.not_after_s.saturating_sub(record.not_before_s));
    record.not_after_s.saturating_sub(now_s) < whole_s / LEFT_PART
}

/// The leaf of a certificate for the wanted key that holds, is not due itself, and is not the one that was presented.
fn newer(
    state: &State,
    renewal: &Renewal,
    (present, presented): (&CertificateRecord, &Hash),
    now_ms: i64,
) -> Option<Hash> {
    let fits = |record: &CertificateRecord| {
        record.subject == present.subject
            && record.key == renewal.key
            && record.standing(state, now_ms) == Standing::Holds
            && !is_due(record, now_ms)
    };
    let all = state.certificates().filter(|(fingerprint, record)| *fingerprint != presented && fits(record));
    all.max_by_key(|(_, record)| record.not_after_s).map(|(_, record)| record.transaction)
}
