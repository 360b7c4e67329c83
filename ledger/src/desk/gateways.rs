//! What the desk tells of each gateway: its certificate, where its chain stands, who fights for its seat.

use std::collections::BTreeMap;

use plomb_broker::{Snapshot, Takeovers};
use plomb_seal::{Name, transaction::Role};
use plomb_view::rfc3339;
use serde_json::{Value, json};

use crate::state::{CertificateRecord, GatewayRecord, Standing, State};

/// A certificate that ends within this many days should be renewed now.
pub(crate) const RENEW_DAYS: i64 = 60;
const DAY_MS: i64 = 86_400_000;

/// Every gateway that was ever certified, by name.
pub(super) fn list(state: &State, broker: Option<&Snapshot>, now_ms: i64) -> Vec<Value> {
    let mut newest: BTreeMap<&Name, &CertificateRecord> = BTreeMap::new();
    for (_, record) in state.certificates().filter(|(_, record)| record.role == Role::Gateway) {
        let best = newest.entry(&record.subject).or_insert(record);
        if rank(record, state) > rank(best, state) {
            *best = record;
        }
    }
    newest
        .into_iter()
        .map(|(name, certificate)| {
            let taken_over = broker.and_then(|broker| broker.taken_over.get(name.as_str()));
            let place = place(state.gateway(name));
            let about = json!({
                "gateway": name.as_str(),
                "certificate": self::certificate(certificate, state, now_ms),
                "taken_over": taken_over.map(self::taken_over),
            });
            plomb_view::joined(about, place)
        })
        .collect()
}

/// One that was not taken away counts before one that was, then the one that holds longest.
fn rank(record: &CertificateRecord, state: &State) -> (bool, i64) {
    let taken_away = matches!(record.standing(state, 0), Standing::Revoked(_) | Standing::IssuerLeft(_));
    (!taken_away, record.not_after_s)
}

fn certificate(record: &CertificateRecord, state: &State, now_ms: i64) -> Value {
    let until_ms = record.not_after_s.saturating_mul(1000);
    let (status, reason) = match record.standing(state, now_ms) {
        Standing::Revoked(reason) => ("revoked", Some(reason.to_owned())),
        Standing::IssuerLeft(issuer) => {
            ("revoked", Some(format!("{issuer}, who issued it, is no member any more: another member must certify it")))
        }
        Standing::OutsideValidity => ("expired", None),
        Standing::Holds if until_ms.saturating_sub(now_ms) < RENEW_DAYS * DAY_MS => ("ends-soon", None),
        Standing::Holds => ("valid", None),
    };
    json!({ "state": status, "until": rfc3339(until_ms), "reason": reason })
}

fn place(record: Option<&GatewayRecord>) -> Value {
    json!({
        "epoch": record.map(|record| record.epoch), "batch": record.map(|record| record.batch),
        "last_seq": record.map(|record| record.last_seq), "anchor": record.map(|record| record.anchor.to_string()),
        "closed": record.map(|record| rfc3339(record.closed_ms)),
        "anchored": record.map(|record| rfc3339(record.anchored_ms)),
    })
}

fn taken_over(taken: &Takeovers) -> Value {
    json!({ "count": taken.count, "last": rfc3339(taken.last_unix_ms), "contested": taken.is_contested() })
}
