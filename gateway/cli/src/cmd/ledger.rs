//! `plomb ledger`: looking up what was changed, ordered and answered.

mod diff;
mod export;
mod history;
mod lines;
mod show;

use plomb_seal::transaction::TRANSACTION_BYTES_MAX;
use serde_json::{Value, json};

use super::order;
use crate::{
    args::{GatewaysArgs, LedgerArgs, LedgerVerb, RecipientArgs, SubmitArgs},
    exit::{Failure, NONE_FOUND, OK},
    party::{Hub, Party, lines as history_lines, submit},
    show::{Out, Show, Table, print, tell},
};

/// The most gateways that are listed.
const GATEWAYS_MAX: usize = 100_000;

pub(super) fn ledger(args: &LedgerArgs, show: &Show) -> Result<u8, Failure> {
    match &args.verb {
        LedgerVerb::History(args) => history::history(args, show),
        LedgerVerb::Show(args) => show::show(args, show),
        LedgerVerb::Diff(args) => diff::diff(args, show),
        LedgerVerb::Gateways(args) => gateways(args, show),
        LedgerVerb::Export(args) => export::export(args, show),
        LedgerVerb::Recipient(args) => recipient(args, show),
        LedgerVerb::Submit(args) => bring(args, show),
    }
}

fn gateways(args: &GatewaysArgs, show: &Show) -> Result<u8, Failure> {
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let mut names: Vec<String> = args.gateways.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        let lines = history_lines::all(&mut hub, "kind=certificate", GATEWAYS_MAX)?;
        names.extend(lines.iter().filter_map(|line| Some(line.get("gateway")?.as_str()?.to_string())));
        names.sort();
        names.dedup();
    }
    if names.is_empty() {
        tell("No gateway has a certificate of this ledger, or none that your scope lets you see.");
        return Ok(NONE_FOUND);
    }
    let mut table = Table::new(&["gateway", ">in force", ">last", "waits", ">counter", "sealing key"]);
    let mut out = Out::new();
    for name in &names {
        let told = hub.get_json(&format!("/ledger/gateways/{name}"))?;
        if show.json {
            out.json(&told)?;
            continue;
        }
        let number = |key: &str| told.get(key).and_then(Value::as_u64).map_or("-".into(), |number| number.to_string());
        let pending = told.get("pending").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let waits: Vec<String> = pending
            .iter()
            .map(|one| format!("{} ({})", lines::text(one, "version"), lines::text(one, "priority")))
            .collect();
        let key = told.get("sealing").map(|sealing| lines::text(sealing, "key_id")).unwrap_or_default();
        table.row([name.clone(), number("applied"), number("last"), waits.join(", "), number("counter"), key]);
    }
    if !show.json {
        for line in table.lines() {
            out.line(line)?;
        }
    }
    out.flush()?;
    Ok(OK)
}

fn recipient(args: &RecipientArgs, show: &Show) -> Result<u8, Failure> {
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let bytes = hub.get(&order::recipient_path(&args.gateway))?;
    let key = order::recipient(&party, &bytes, &args.gateway)?;
    std::fs::write(&args.output, &bytes).map_err(|error| Failure::file(&args.output, error))?;
    if show.json {
        print(json!({
            "schema": "plomb.recipient/1", "gateway": args.gateway.as_str(), "key_id": key.key_id().to_string(),
            "serial": key.serial, "origin": key.origin, "out": args.output,
        }))?;
    } else {
        print(format_args!(
            "{}: key {} (number {}) of {}, proved. A newer one makes what is sealed to it useless.",
            args.output.display(),
            key.key_id(),
            key.serial,
            args.gateway
        ))?;
    }
    Ok(OK)
}

fn bring(args: &SubmitArgs, show: &Show) -> Result<u8, Failure> {
    let bytes = super::read_bytes(&args.file, TRANSACTION_BYTES_MAX as u64)?;
    let kind = plomb_seal::transaction::kind(&bytes)
        .map_err(|error| Failure::Usage(format!("{} is no transaction: {error}", args.file.display())))?;
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let submitted = submit(&mut hub, &bytes, None)?;
    if show.json {
        print(json!({
            "schema": "plomb.ledger-submit/1", "transaction": submitted.leaf.to_string(), "index": submitted.index,
            "known": submitted.known, "kind": kind.name(),
        }))?;
    } else {
        let before = if submitted.known { " (it was there before)" } else { "" };
        print(format_args!("Transaction {} stands at index {}{before}.", submitted.leaf, submitted.index))?;
    }
    Ok(OK)
}
