//! Lines of the history, as the hub tells them: where to look, and nothing more.

use plomb_seal::{Hash, Name};
use serde_json::Value;

use crate::exit::Failure;

use super::{Hub, trouble};

/// The most pages of one question.
const PAGES_MAX: usize = 4096;

/// A page of lines, and where the next one begins.
pub(crate) fn page(hub: &mut Hub, query: &str, from: u64) -> Result<(Vec<Value>, Option<u64>), Failure> {
    let mut page = hub.get_json(&format!("/ledger/history?{query}&from={from}"))?;
    let next = page.get("next").and_then(Value::as_u64).filter(|next| *next > from);
    match page.get_mut("lines").map(Value::take) {
        Some(Value::Array(lines)) => Ok((lines, next)),
        _ => Err(trouble::stranger()),
    }
}

/// All lines that a question has, and no more than so many.
pub(crate) fn all(hub: &mut Hub, query: &str, max: usize) -> Result<Vec<Value>, Failure> {
    let (mut all, mut from) = (Vec::new(), 0);
    for _ in 0..PAGES_MAX {
        let (lines, next) = page(hub, query, from)?;
        all.extend(lines);
        if all.len() > max {
            return Err(Failure::Unavailable(format!("more than {max} lines answer to {query}")));
        }
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    Ok(all)
}

/// The leaf hash that a line names.
pub(crate) fn leaf(line: &Value) -> Result<Hash, Failure> {
    let text = line.get("transaction").and_then(Value::as_str).unwrap_or_default();
    hex::decode(text).ok().and_then(|bytes| Hash::from_slice(&bytes)).ok_or_else(trouble::stranger)
}

/// Who a transaction is by.
pub(crate) fn author(hub: &mut Hub, transaction: &Hash) -> Result<Name, Failure> {
    let told = hub.get_json(&format!("/ledger/transactions/{transaction}"))?;
    let by_line = told.get("line").and_then(|line| line.get("author"));
    // Anchors have no line; their author is the gateway that they name.
    let author = by_line.or_else(|| told.get("statement").and_then(|statement| statement.get("gateway")));
    author.and_then(Value::as_str).and_then(|text| text.parse().ok()).ok_or_else(trouble::stranger)
}
