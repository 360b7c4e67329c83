//! A transaction is brought; and, if so asked, its outcome waited for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::StatusCode;
use plomb_seal::{
    Hash,
    transaction::{self, Kind, TRANSACTION_BYTES_MAX},
    tree,
};
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;

use crate::{
    desk::{Problem, register},
    ledger::{Answer, Ledger},
    node::NodeError,
    state::Status,
};

use super::{
    Caller, Shared,
    answer::{self, Objection, Reply},
    respond::{blocking, busy},
};

/// The largest body: one byte more than fits, so that the ledger's own rule refuses it by name.
pub(super) const BODY_BYTES_MAX: usize = TRANSACTION_BYTES_MAX + 1;
/// How long an outcome is waited for, if not said.
const WAIT_S: u64 = 30;
/// And at most.
const WAIT_S_MAX: u64 = 300;

/// How the answer is wanted.
#[derive(Debug, PartialEq, Eq)]
struct Manner {
    /// How long to wait for the outcome; `None`: not at all.
    wait: Option<Duration>,
}

impl Manner {
    fn of(query: &str) -> Result<Self, Objection> {
        let wrong = |detail: &str| Objection::new(StatusCode::BAD_REQUEST, "usage", detail);
        let (mut waits, mut timeout_s) = (false, WAIT_S);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("wait", "outcome")) => waits = true,
                Some(("timeout_s", digits)) => {
                    timeout_s = digits.parse().map_err(|_| wrong("timeout_s is no number of seconds"))?;
                }
                _ => return Err(wrong("known here are wait=outcome and timeout_s=SECONDS")),
            }
        }
        Ok(Self { wait: waits.then(|| Duration::from_secs(timeout_s.min(WAIT_S_MAX))) })
    }
}

pub(super) async fn submit(
    shared: &Arc<Shared>,
    caller: &Caller,
    query: &str,
    body: Bytes,
    working: SemaphorePermit<'_>,
) -> Result<Reply, Objection> {
    let manner = Manner::of(query)?;
    // Whoever gives no time does not wait.
    let waits = manner.wait.is_some_and(|wait| !wait.is_zero());
    let waiting = waits.then(|| shared.waiting.take(caller.seat.who()).ok_or_else(busy)).transpose()?;
    if transaction::kind(&body) == Ok(Kind::Genesis) {
        return Ok(refused("genesis-once", "the genesis is made by `plomb-hub init`"));
    }
    let leaf = tree::leaf_hash(&body);
    // What stands in the log already, as with one who asks again and again for its outcome, costs no block.
    let ledger = shared.ledger().clone();
    let (index, known) = match blocking(move || Ok(ledger.index_of(&leaf)?)).await? {
        Some(index) => (index, true),
        None => match shared.node.submit(body.to_vec(), None).await.map_err(|error| unavailable(&error))? {
            Answer::Refused(why) => return Ok(refused(why.rule, &why.detail)),
            Answer::Admitted { index } => (index, false),
            Answer::Known { index } => (index, true),
        },
    };
    let mut told = json!({ "admitted": true, "known": known, "index": index, "leaf": leaf.to_string() });
    if let Some(wait) = manner.wait {
        // The wait is not work: others may have its place.
        drop(working);
        let (outcome, status) = outcome(shared, leaf, wait).await?;
        if let Some(told) = told.as_object_mut() {
            told.insert("outcome".into(), outcome);
            told.insert("status".into(), status.map(Status::name).into());
        }
    }
    drop(waiting);
    Ok(answer::json(StatusCode::OK, &told))
}

fn unavailable(error: &NodeError) -> Objection {
    Problem::new("unavailable", error.to_string()).into()
}

fn refused(rule: &str, detail: &str) -> Reply {
    answer::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "admitted": false, "rule": rule, "detail": detail }))
}

/// Waits until the order is answered, or can't be any more, or for so long. Gives the line of the outcome, or null, and
/// where the order stands.
async fn outcome(shared: &Arc<Shared>, leaf: Hash, wait: Duration) -> Result<(Value, Option<Status>), Objection> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut changes = shared.ledger().order_changes();
    loop {
        changes.borrow_and_update();
        let (ledger, now_ms) = (shared.ledger().clone(), (shared.now_ms)());
        let (line, status) = blocking(move || look(&ledger, leaf, now_ms)).await?;
        if !line.is_null() || status.is_none_or(is_final) || wait.is_zero() {
            return Ok((line, status));
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok((line, status)) },
            () = tokio::time::sleep_until(deadline) => return Ok((line, status)),
        }
    }
}

fn look(ledger: &Ledger, leaf: Hash, now_ms: i64) -> Result<(Value, Option<Status>), Objection> {
    let Some(order) = ledger.order(&leaf)? else { return Ok((Value::Null, None)) };
    let status = ledger.state().status(&leaf, &order, now_ms);
    let answered = order.answer().map(|answer| answer.transaction);
    let index = answered.map(|outcome| ledger.index_of(&outcome)).transpose()?.flatten();
    let line = index.map(|index| ledger.history_line(index, now_ms)).transpose()?.flatten();
    Ok((line.as_ref().map_or(Value::Null, register::line), Some(status)))
}

/// Whether nothing more will come of it.
fn is_final(status: Status) -> bool {
    !matches!(status, Status::Pending | Status::AwaitsApproval | Status::Released)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_bounded() {
        let of = |query: &str| Manner::of(query).map(|manner| manner.wait.map(|wait| wait.as_secs()));
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("timeout_s=5").unwrap(), None);
        assert_eq!(of("wait=outcome").unwrap(), Some(WAIT_S));
        assert_eq!(of("wait=outcome&timeout_s=5").unwrap(), Some(5));
        assert_eq!(of("timeout_s=999999&wait=outcome").unwrap(), Some(WAIT_S_MAX));
        for wrong in ["wait=answer", "timeout_s=x", "x", "wait"] {
            assert_eq!(of(wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
