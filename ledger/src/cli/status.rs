//! `plomb-hub status`.

use serde_json::Value;

use crate::{config::HubConfig, desk::Request};

use super::{Failure, args::StatusArgs, door::Door, entry_json::rfc3339, print_json};

pub(super) fn status(args: &StatusArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    let mut door = Door::open(&config)?;
    let answer = door.ask(if args.certificates { Request::Certificates {} } else { Request::Status {} })?;
    if args.json {
        return print_json(&answer);
    }
    if args.certificates {
        print_certificates(&answer);
    } else {
        print_status(&answer);
    }
    Ok(())
}

fn print_status(answer: &Value) {
    let running = answer.get("running").and_then(Value::as_bool) == Some(true);
    println!("Ledger        {}", text(answer, "origin"));
    println!(
        "Hub           {}",
        if running { format!("runs on {}", text(answer, "listen")) } else { "does not run".into() }
    );
    println!("Height        {}, {} transactions", text(answer, "height"), text(answer, "size"));
    println!("State         {}", text(answer, "state"));
    println!("Gateways");
    for gateway in list(answer, "gateways") {
        println!(
            "  {:<24} epoch {} batch {} to entry {}, anchored {}",
            text(gateway, "gateway"),
            text(gateway, "epoch"),
            text(gateway, "batch"),
            text(gateway, "last_seq"),
            rfc3339(gateway.get("anchored_ms").and_then(Value::as_i64).unwrap_or(0)),
        );
    }
    println!("Certificates");
    for (role, counts) in answer.get("certificates").and_then(Value::as_object).into_iter().flatten() {
        println!(
            "  {role:<12} {} valid, {} expired, {} revoked",
            text(counts, "valid"),
            text(counts, "expired"),
            text(counts, "revoked")
        );
    }
    if let Some(batches) = answer.get("batches").filter(|batches| batches.is_object()) {
        println!("Since start   {} batches admitted, {} known", text(batches, "admitted"), text(batches, "known"));
        for (rule, count) in batches.get("refused").and_then(Value::as_object).into_iter().flatten() {
            println!("  refused by {rule}: {count}");
        }
    }
    if let Some(broker) = answer.get("broker").filter(|broker| broker.is_object()) {
        println!("Broker        {} connections open, {} accepted", text(broker, "open"), text(broker, "accepted"));
        let refusals = broker.get("refusals").and_then(Value::as_object).into_iter().flatten();
        for (reason, count) in refusals.filter(|(_, count)| count.as_u64() != Some(0)) {
            println!("  refused: {reason} {count}");
        }
    }
}

fn print_certificates(answer: &Value) {
    for one in list(answer, "certificates") {
        let revoked = one.get("revoked").and_then(|revoked| revoked.get("reason")).and_then(Value::as_str);
        let until = rfc3339(one.get("not_after_s").and_then(Value::as_i64).unwrap_or(0).saturating_mul(1000));
        let status = revoked.map_or_else(|| format!("until {until}"), |reason| format!("revoked: {reason}"));
        println!("{:<10} {:<24} {} {status}", text(one, "role"), text(one, "subject"), text(one, "fingerprint"));
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A member's text, or its JSON if it is none.
fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
