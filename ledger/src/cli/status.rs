//! `plomb-hub status`.

use std::fmt::Write;

use serde_json::Value;

use crate::{config::HubConfig, desk::Request};

use super::{Failure, args::StatusArgs, door::Door, print, print_json};

pub(super) fn status(args: &StatusArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    let mut door = Door::open(&config)?;
    let answer = door.ask(if args.certificates { Request::Certificates {} } else { Request::Status {} })?;
    if args.json {
        return print_json(&answer);
    }
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = if args.certificates { certificates(&answer, &mut out) } else { ledger(&answer, &mut out) };
    print(&out)
}

fn ledger(answer: &Value, out: &mut String) -> std::fmt::Result {
    let running = answer.get("running").and_then(Value::as_bool) == Some(true);
    let listen = if running { format!("runs on {}", text(answer, "listen")) } else { "does not run".into() };
    writeln!(out, "Ledger        {}", text(answer, "origin"))?;
    writeln!(out, "Hub           {listen}")?;
    writeln!(out, "Height        {}, {}", text(answer, "height"), counted(answer, "size", "transaction"))?;
    writeln!(out, "State         {}", text(answer, "state"))?;
    for trouble in list(answer, "troubles").iter().filter_map(Value::as_str) {
        writeln!(out, "Trouble       {trouble}")?;
    }
    writeln!(out, "Gateways")?;
    for one in list(answer, "gateways") {
        gateway(one, out)?;
    }
    writeln!(out, "Certificates")?;
    for (role, counts) in answer.get("certificates").and_then(Value::as_object).into_iter().flatten() {
        let [valid, expired, revoked] = ["valid", "expired", "revoked"].map(|key| text(counts, key));
        writeln!(out, "  {role:<12} {valid} valid, {expired} expired, {revoked} revoked")?;
    }
    if let Some(batches) = answer.get("batches").filter(|batches| batches.is_object()) {
        let admitted = counted(batches, "admitted", "batch");
        writeln!(out, "Since start   {admitted} admitted, {} sent again", text(batches, "known"))?;
        for (rule, count) in batches.get("refused").and_then(Value::as_object).into_iter().flatten() {
            writeln!(out, "  refused by {rule}: {count}")?;
        }
    }
    if let Some(broker) = answer.get("broker").filter(|broker| broker.is_object()) {
        let open = counted(broker, "open", "connection");
        writeln!(out, "Broker        {open} open, {} accepted", text(broker, "accepted"))?;
        let refusals = broker.get("refusals").and_then(Value::as_object).into_iter().flatten();
        for (reason, count) in refusals.filter(|(_, count)| count.as_u64() != Some(0)) {
            writeln!(out, "  refused: {reason} {count}")?;
        }
    }
    Ok(())
}

fn gateway(one: &Value, out: &mut String) -> std::fmt::Result {
    let id = text(one, "gateway");
    let certificate = one.get("certificate").unwrap_or(&Value::Null);
    let until = text(certificate, "until");
    let mark = match certificate.get("state").and_then(Value::as_str) {
        Some("revoked") => format!("  REVOKED: {}", text(certificate, "reason")),
        Some("expired") => format!("  CERTIFICATE EXPIRED {until}: certify --id {id} --renew"),
        Some("ends-soon") => format!("  certificate ends {until}: certify --id {id} --renew"),
        _ => String::new(),
    };
    let place = match one.get("epoch").and_then(Value::as_u64) {
        Some(epoch) => format!(
            "epoch {epoch} batch {} to entry {}, anchored {}",
            text(one, "batch"),
            text(one, "last_seq"),
            text(one, "anchored")
        ),
        None => "has anchored nothing yet".into(),
    };
    writeln!(out, "  {id:<24} {place}{mark}")?;
    let Some(taken) = one.get("taken_over").filter(|taken| taken.is_object()) else { return Ok(()) };
    let (count, last) = (counted(taken, "count", "time"), text(taken, "last"));
    let advice = match taken.get("contested").and_then(Value::as_bool) {
        Some(true) => ": two boxes may hold its key (a copied card?); stop one, then revoke and certify anew",
        _ => "",
    };
    writeln!(out, "  {:<24} its connection was taken over {count} since start, last {last}{advice}", "")
}

fn certificates(answer: &Value, out: &mut String) -> std::fmt::Result {
    for one in list(answer, "certificates") {
        let revoked = one.get("revoked").and_then(|revoked| revoked.get("reason")).and_then(Value::as_str);
        let until = text(one, "not_after");
        let status = revoked.map_or_else(|| format!("until {until}"), |reason| format!("revoked: {reason}"));
        let [role, subject, fingerprint] = ["role", "subject", "fingerprint"].map(|key| text(one, key));
        writeln!(out, "{role:<10} {subject:<24} {fingerprint} {status}")?;
    }
    Ok(())
}

/// A number and what it counts.
fn counted(value: &Value, key: &str, noun: &str) -> String {
    let plural = match value.get(key).and_then(Value::as_u64) {
        Some(1) => "",
        _ if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{} {noun}{plural}", text(value, key))
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A member's text, or its JSON if it is none.
pub(super) fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
