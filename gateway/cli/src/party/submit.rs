//! A signed transaction goes to the ledger; if wanted, what became of it is waited for.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use plomb_gateway::plain::one_line;
use plomb_seal::{Hash, tree};
use serde_json::Value;

use crate::exit::Failure;

use super::{Hub, trouble};

/// How long the hub is asked to wait at once: proxies and hubs end what takes longer.
const WAIT_AT_ONCE: Duration = Duration::from_secs(60);
/// How long a hub is left alone that did not wait.
const PAUSE: Duration = Duration::from_millis(250);

/// What the ledger took.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    /// Its leaf hash.
    pub(crate) leaf: Hash,
    /// Where it stands in the log, as the hub says.
    pub(crate) index: u64,
    /// Whether it stood there before.
    pub(crate) known: bool,
    /// Where an order stands then, in a word.
    pub(crate) status: Option<String>,
    /// The leaf hash of the gateway's answer, if there was one in time.
    pub(crate) outcome: Option<Hash>,
}

/// Submits, and waits so long for an outcome.
///
/// # Errors
/// [`Failure::Refused`] if a rule forbids it.
pub(crate) fn submit(hub: &mut Hub, bytes: &[u8], wait: Option<Duration>) -> Result<Submitted, Failure> {
    let until = wait.map(|wait| Instant::now() + wait);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()).min(WAIT_AT_ONCE));
        let path = match left {
            // Whole seconds, rounded up: none at all would be asked again and again.
            Some(left) => {
                let whole_s = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                format!("/ledger/transactions?wait=outcome&timeout_s={}", whole_s.max(1))
            }
            None => "/ledger/transactions".into(),
        };
        let reply = hub.post(&path, bytes, left.unwrap_or_default())?;
        let told = reply.json()?;
        if reply.status == StatusCode::UNPROCESSABLE_ENTITY {
            let word = |key: &str| one_line(told.get(key).and_then(Value::as_str).unwrap_or_default());
            return Err(Failure::Refused { rule: word("rule"), detail: word("detail") });
        }
        let submitted = read(&told, tree::leaf_hash(bytes))?;
        let pending = matches!(submitted.status.as_deref(), Some("pending" | "awaits-approval" | "released"));
        if until.is_none_or(|until| submitted.outcome.is_some() || !pending || Instant::now() >= until) {
            return Ok(submitted);
        }
        // A hub that answers at once is not asked again at once.
        let rest = until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        std::thread::sleep(rest.min(PAUSE));
    }
}

fn read(told: &Value, leaf: Hash) -> Result<Submitted, Failure> {
    let index = told.get("index").and_then(Value::as_u64).ok_or_else(trouble::stranger)?;
    let outcome = told.get("outcome").and_then(|line| line.get("transaction")).and_then(Value::as_str);
    let outcome = outcome.and_then(|text| hex::decode(text).ok()).and_then(|bytes| Hash::from_slice(&bytes));
    Ok(Submitted {
        leaf,
        index,
        known: told.get("known").and_then(Value::as_bool).unwrap_or_default(),
        status: told.get("status").and_then(Value::as_str).map(one_line),
        outcome,
    })
}
