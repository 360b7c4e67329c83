//! What the desk tells of each gateway: its certificate, where its chain stands, who fights for its seat.

use std::collections::BTreeMap;

use plomb_broker::{Snapshot, Takeovers};
use plomb_seal::{Name, transaction::Role};
use plomb_view::rfc3339;
use serde_json::{Value, json};

use crate::state::{CertificateRecord, GatewayRecord, State};

/// A certificate that ends within this many days should be renewed now.
pub(crate) const RENEW_DAYS: i64 = 60;
const DAY_MS: i64 = 86_400_000;

/// Every gateway that was ever certified, by name.
pub(super) fn list(state: &State, broker: Option<&Snapshot>, now_ms: i64) -> Vec<Value> {
    let mut newest: BTreeMap<&Name, &CertificateRecord> = BTreeMap::new();
    for (_, record) in state.certificates().filter(|(_, record)| record.role == Role::Gateway) {
        let best = newest.entry(&record.subject).or_insert(record);
        if rank(record) > rank(best) {
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
                "certificate": self::certificate(certificate, now_ms),
                "taken_over": taken_over.map(self::taken_over),
            });
            plomb_view::joined(about, place)
        })
        .collect()
}

/// One that holds counts before one that is revoked, then the one that holds longest.
fn rank(record: &CertificateRecord) -> (bool, i64) {
    (record.revoked.is_none(), record.not_after_s)
}

fn certificate(record: &CertificateRecord, now_ms: i64) -> Value {
    let until_ms = record.not_after_s.saturating_mul(1000);
    let state = match &record.revoked {
        Some(_) => "revoked",
        None if !record.covers(now_ms) => "expired",
        None if until_ms.saturating_sub(now_ms) < RENEW_DAYS * DAY_MS => "ends-soon",
        None => "valid",
    };
    json!({
        "state": state, "until": rfc3339(until_ms),
        "reason": record.revoked.as_ref().map(|revoked| revoked.reason.as_str()),
    })
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
