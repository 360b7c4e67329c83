//! Looking up: one transaction, the history, one gateway.

use plomb_seal::{
    Hash, Name,
    transaction::{Role, sealing_key_id},
};
use serde_json::{Value, json};

use crate::{
    desk::{Wanted, register},
    ledger::Ledger,
};

use super::{answer::Objection, route::Form};

/// The most lines in one answer.
const LINES_MAX: usize = crate::history::LINES_MAX;

/// One transaction, in the form that was asked for.
pub(super) enum Found {
    Told(Value),
    Bytes(Vec<u8>),
    Text(String),
}

/// `caller` is the fingerprint of the certificate of who asks: readings are shown to those whose scope reaches their point.
pub(super) fn transaction(ledger: &Ledger, which: &str, form: Form, caller: &Hash) -> Result<Found, Objection> {
    let unknown = || Objection::not_found("the ledger holds no such transaction: give its leaf hash or its index");
    if form == Form::Told {
        let state = ledger.state();
        let sees = |gateway: &Name, point: &Name| {
            let record = state.certificate(caller).filter(|record| record.role != Role::Gateway);
            record.is_some_and(|record| record.reaches(gateway, Some(point)))
        };
        return register::show(ledger, which, sees).map(Found::Told).map_err(|problem| match problem.kind.as_str() {
            "usage" => unknown(),
            _ => problem.into(),
        });
    }
    let leaf = match Hash::from_slice(&hex::decode(which).unwrap_or_default()) {
        Some(leaf) => leaf,
        None => {
            let index = which.parse().map_err(|_| unknown())?;
            plomb_seal::tree::leaf_hash(&ledger.transaction(index)?.ok_or_else(unknown)?)
        }
    };
    let logged = ledger.logged(&leaf)?.ok_or_else(unknown)?;
    Ok(if form == Form::Proof { Found::Text(logged.proof) } else { Found::Bytes(logged.transaction) })
}

/// From the query of `/ledger/history`. Every value is a name, a word or a number, none of which needs an escape.
pub(super) fn wanted(query: &str) -> Result<Wanted, Objection> {
    let wrong = |detail: String| Objection::new(hyper::StatusCode::BAD_REQUEST, "usage", detail);
    let mut wanted = Wanted { limit: Some(LINES_MAX), ..Wanted::default() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| wrong(format!("{pair} has no value")))?;
        let number = || value.parse::<u64>().map_err(|_| wrong(format!("{key} is no number")));
        let text = || Some(value.to_owned());
        match key {
            _ if value.is_empty() => {}
            "gateway" => wanted.gateway = text(),
            "point" => wanted.point = text(),
            "author" => wanted.author = text(),
            "subject" => wanted.subject = text(),
            "kind" => wanted.kind = text(),
            "version" => wanted.version = Some(number()?),
            "from" => wanted.from = number()?,
            "after" => wanted.from = number()?.saturating_add(1),
            "limit" => wanted.limit = Some(usize::try_from(number()?).unwrap_or(LINES_MAX).clamp(1, LINES_MAX)),
            _ => {
                let known = "gateway, point, author, subject, version, kind, from, after, limit";
                return Err(wrong(format!("\"{key}\" is not known here; known are {known}")));
            }
        }
    }
    Ok(wanted)
}

/// What a gateway is sealed to, which configurations it has, what waits.
pub(super) fn gateway(ledger: &Ledger, gateway: &Name, now_ms: i64) -> Result<Value, Objection> {
    let state = ledger.state();
    let register = state.register(gateway).cloned();
    if register.is_none()
        && !state.certificates().any(|(_, record)| record.subject == *gateway && record.role == Role::Gateway)
    {
        return Err(Objection::not_found(format!("no gateway \"{gateway}\" was ever certified here")));
    }
    let register = register.unwrap_or_default();
    let pending: Vec<Value> = register
        .pending
        .iter()
        .map(|one| {
            json!({
                "version": one.version, "priority": one.priority.name(), "transaction": one.transaction.to_string(),
                "index": one.index,
            })
        })
        .collect();
    let due: Vec<String> = state.due(gateway, now_ms).iter().map(|due| due.transaction.to_string()).collect();
    Ok(json!({
        "schema": "plomb.ledger-gateway/1", "gateway": gateway.as_str(),
        "sealing": register.sealing.map(|sealing| json!({
            "serial": sealing.serial, "key": hex::encode(sealing.key),
            "key_id": sealing_key_id(&sealing.key).to_string(),
        })),
        "last": register.version(), "applied": register.applied.map(|applied| applied.version),
        "pending": pending, "due": due, "counter": register.counter,
    }))
}

pub(super) fn recipient(ledger: &Ledger, gateway: &Name) -> Result<Vec<u8>, Objection> {
    let found = ledger.recipient(gateway)?;
    let none = || Objection::not_found(format!("{gateway} has said no sealing key yet"));
    Ok(found.ok_or_else(none)?.to_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_whole_or_refused() {
        let read = wanted("gateway=gw-1&version=3&after=41&limit=7&kind=config&point=").unwrap();
        assert_eq!(
            (read.gateway.as_deref(), read.version, read.from, read.limit),
            (Some("gw-1"), Some(3), 42, Some(7))
        );
        assert_eq!((read.kind.as_deref(), read.point), (Some("config"), None));
        assert_eq!(wanted("limit=999999999").unwrap().limit, Some(LINES_MAX));
        assert_eq!(wanted(&format!("after={}", u64::MAX)).unwrap().from, u64::MAX);
        for wrong in ["gatewy=gw-1", "gateway", "version=x", "limit=-1"] {
            assert_eq!(wanted(wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
