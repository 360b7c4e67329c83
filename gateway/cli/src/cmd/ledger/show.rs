//! `plomb ledger show`.

use std::{fs, path::Path};

use plomb_seal::transaction::Kind;
use serde_json::{Value, json};

use super::lines::{text, told};
use crate::{
    args::ShowArgs,
    cmd::order::date,
    exit::{Failure, OK},
    party::{Hub, Logged, Party, Register, lines},
    show::{Out, Show, Tone, one_line, print},
};

const SCHEMA: &str = "plomb.ledger-proved/1";

pub(super) fn show(args: &ShowArgs, show: &Show) -> Result<u8, Failure> {
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let logged = Logged::get(&mut hub, &party, &args.transaction)?;
    let told_by_hub = hub.get_json(&format!("/ledger/transactions/{}", logged.leaf))?;
    let mut register = Register::fetch(&mut hub, &party)?;
    let author = lines::author(&mut hub, &logged.leaf)?;
    let signer = register.signer(&mut hub, &party, &logged, &author)?;
    let statement = plomb_view::statement(&logged.bytes).map_err(|error| Failure::Unproved(error.to_string()))?;
    if let Some(path) = &args.bytes {
        write(path, &logged.bytes)?;
    }
    if let Some(path) = &args.proof {
        write(path, logged.proof.as_bytes())?;
    }
    let line = told_by_hub.get("line").cloned().unwrap_or_default();
    if show.json {
        print(json!({
            "schema": SCHEMA, "proved": true, "transaction": logged.leaf.to_string(), "index": logged.index,
            "kind": logged.kind.name(), "origin": logged.origin, "not_after": date(logged.dated_s),
            "signer": { "name": signer.name().as_str(), "role": signer.role() }, "statement": statement, "line": line,
            "order": told_by_hub.get("order"), "reading": told_by_hub.get("reading"),
        }))?;
        return Ok(OK);
    }
    let mut out = Out::new();
    if line.is_object() {
        out.line(told(&line, show))?;
    }
    for (key, value) in statement.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), one_line);
        out.line(format_args!("  {key:<12} {value}"))?;
    }
    if let Some(order) = told_by_hub.get("order") {
        for line in followed(order, show) {
            out.line(line)?;
        }
    }
    if let Some(reading) = told_by_hub.get("reading").filter(|reading| reading.is_object()) {
        let said = |key: &str| one_line(reading.get(key).and_then(Value::as_str).unwrap_or_default());
        out.line(format_args!("  read after   at {}, entry {}, as the hub has it:", said("time"), said("hash")))?;
        for record in reading.get("records").and_then(Value::as_array).into_iter().flatten() {
            let said = |key: &str| one_line(record.get(key).and_then(Value::as_str).unwrap_or_default());
            out.line(format_args!("               {} {} {}", said("obis"), said("value"), said("unit")))?;
        }
    }
    let by = logged.dated_s.map_or(String::new(), |dated_s| format!(" by {}", show.zone.seconds(dated_s)));
    out.line(format_args!(
        "{}: transaction {} stood at index {} of the ledger {}{by}, signed by {} ({}).",
        show.tone(Tone::Good, "PROVED"),
        logged.leaf,
        logged.index,
        one_line(&logged.origin),
        signer.name(),
        signer.role()
    ))?;
    if logged.kind == Kind::Certificate && args.bytes.is_none() {
        out.line("  Its bytes, for `plomb verify --certificate`: give --bytes FILE.")?;
    }
    out.flush()?;
    Ok(OK)
}

/// An order's certificate, approval and answers, as the hub tells them.
fn followed(order: &Value, show: &Show) -> Vec<String> {
    let said = |one: &Value, what: String| {
        let time = show.zone.text(&text(one, "time"));
        let line = format!("{what} {time}");
        format!("{}  (plomb ledger show {})", line.trim(), text(one, "transaction"))
    };
    let mut lines = Vec::new();
    let certificate = text(order, "certificate");
    if !certificate.is_empty() {
        lines.push(format!("  certificate  of its author: plomb ledger show {certificate} --bytes FILE has its bytes"));
    }
    if let Some(approval) = order.get("approval").filter(|approval| approval.is_object()) {
        lines.push(format!("  approved     {}", said(approval, format!("by {}", text(approval, "by")))));
    }
    for answer in order.get("answers").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!("  answered     {}", said(answer, text(answer, "effect"))));
    }
    lines
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::file(path, error))
}
