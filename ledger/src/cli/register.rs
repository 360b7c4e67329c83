//! `plomb-hub ledger` and `plomb-hub submit`: the register looked up, and written to with what others signed.

use std::{fmt::Write, fs, path::Path};

use plomb_seal::transaction::TRANSACTION_BYTES_MAX;
use serde_json::{Value, json};

use crate::{
    config::HubConfig,
    desk::{Request, Wanted},
};

use super::{
    Failure,
    args::{HistoryArgs, LedgerCommand, ShowArgs, SubmitArgs},
    door::Door,
    exit, print, print_json,
    status::{list, text},
};

pub(super) fn ledger(what: &LedgerCommand) -> Result<(), Failure> {
    match what {
        LedgerCommand::History(args) => history(args),
        LedgerCommand::Show(args) => show(args),
        LedgerCommand::Due(args) => {
            let answer = open(&args.config)?.ask(Request::Due { gateway: args.gateway.clone() })?;
            if args.json { print_json(&answer) } else { print(&due(&answer)) }
        }
        LedgerCommand::Members(args) => {
            let answer = open(&args.config)?.ask(Request::Members {})?;
            if args.json { print_json(&answer) } else { print(&members(&answer)) }
        }
    }
}

fn open(config: &Path) -> Result<Door, Failure> {
    Door::open(&HubConfig::load(config)?)
}

/// Prints page after page: one line each, in the order of the log.
fn history(args: &HistoryArgs) -> Result<(), Failure> {
    let mut door = open(&args.config)?;
    let mut wanted = Wanted {
        gateway: args.gateway.clone(),
        point: args.point.clone(),
        author: args.author.clone(),
        subject: args.subject.clone(),
        version: args.version,
        kind: args.kind.clone(),
        from: args.from,
        limit: None,
    };
    loop {
        let page = door.ask(Request::History(wanted.clone()))?;
        let mut out = String::new();
        for line in list(&page, "lines") {
            // Writing to a string never fails.
            let _ = if args.json { writeln!(out, "{line}") } else { writeln!(out, "{}", told(line)) };
        }
        print(&out)?;
        match page.get("next").and_then(Value::as_u64) {
            Some(next) => wanted.from = next,
            None => return Ok(()),
        }
    }
}

fn told(line: &Value) -> String {
    let some = |key: &str| line.get(key).filter(|value| !value.is_null()).map(|_| text(line, key));
    let place = match (some("gateway"), some("point"), some("subject")) {
        (Some(gateway), Some(point), _) => format!("{gateway}/{point}"),
        (Some(gateway), None, _) => gateway,
        (None, _, Some(subject)) => subject,
        (None, ..) => String::new(),
    };
    let version = some("version").filter(|_| matches!(text(line, "kind").as_str(), "config" | "outcome"));
    let version = version.map_or(String::new(), |version| format!(" v{version}"));
    let status = some("status").map_or(String::new(), |status| format!("  [{status}]"));
    let note =
        Some(text(line, "text")).filter(|text| !text.is_empty()).map_or(String::new(), |text| format!("  {text:?}"));
    let [time, kind, action, author] = ["time", "kind", "action", "author"].map(|key| text(line, key));
    format!("{:>7}  {time}  {kind:<11} {action:<12} {place}{version}  by {author}{status}{note}", text(line, "index"))
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let answer = open(&args.config)?.ask(Request::Show { transaction: args.transaction.clone() })?;
    if let Some(path) = &args.proof {
        let proof = answer.get("proof").and_then(Value::as_str).unwrap_or_default();
        fs::write(path, proof).map_err(|error| Failure::io(path.display(), &error))?;
    }
    if let Some(path) = &args.bytes {
        let bytes = hex::decode(text(&answer, "bytes"));
        let bytes = bytes.map_err(|_| Failure::new(exit::IO, "the hub's answer is not hexadecimal"))?;
        fs::write(path, bytes).map_err(|error| Failure::io(path.display(), &error))?;
    }
    if args.json {
        return print_json(&answer);
    }
    let mut out = String::new();
    let _ = shown(&answer, &mut out);
    print(&out)
}

fn shown(answer: &Value, out: &mut String) -> std::fmt::Result {
    if let Some(line) = answer.get("line").filter(|line| !line.is_null()) {
        writeln!(out, "{}", told(line))?;
    }
    writeln!(out, "  transaction  {}", text(answer, "transaction"))?;
    for part in ["statement", "order"] {
        for (key, value) in answer.get(part).and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), ToString::to_string);
            writeln!(out, "  {key:<12} {value}")?;
        }
    }
    Ok(())
}

fn due(answer: &Value) -> String {
    let mut out = format!(
        "{}: version {} admitted, {} in force, next counter above {}\n",
        text(answer, "gateway"),
        text(answer, "version"),
        answer.get("applied").and_then(Value::as_u64).map_or("none".into(), |version| version.to_string()),
        text(answer, "counter")
    );
    for one in list(answer, "due") {
        let [kind, priority, index, transaction] =
            ["kind", "priority", "index", "transaction"].map(|key| text(one, key));
        let _ = writeln!(out, "{index:>7}  {kind:<8} {priority:<10} {transaction}");
    }
    out
}

fn members(answer: &Value) -> String {
    let mut out = format!("{} of these must agree:\n", text(answer, "quorum"));
    for one in list(answer, "members") {
        let _ = writeln!(out, "  {:<24} key {}", text(one, "member"), text(one, "key"));
    }
    for one in list(answer, "former") {
        let _ = writeln!(out, "  {:<24} left {}", text(one, "member"), text(one, "left"));
    }
    for one in list(answer, "ballots") {
        let voters: Vec<&str> = list(one, "voters").iter().filter_map(Value::as_str).collect();
        let _ = writeln!(out, "Undecided: {}, voted for by {}", text(one, "change"), voters.join(", "));
    }
    out
}

pub(super) fn submit(args: &SubmitArgs) -> Result<(), Failure> {
    let bytes = fs::read(&args.file).map_err(|error| Failure::io(args.file.display(), &error))?;
    if bytes.len() > TRANSACTION_BYTES_MAX {
        let what =
            format!("{} has {} bytes, a transaction at most {TRANSACTION_BYTES_MAX}", args.file.display(), bytes.len());
        return Err(Failure::new(exit::USAGE, what));
    }
    let answer = open(&args.config)?.ask(Request::Submit { transaction: hex::encode(&bytes) })?;
    let leaf = plomb_seal::tree::leaf_hash(&bytes).to_string();
    if args.json {
        let index = answer.get("index").cloned().unwrap_or_default();
        return print_json(&json!({ "schema": "plomb.hub-submit/1", "index": index, "transaction": leaf }));
    }
    print(&format!("Transaction {leaf} stands at index {}.\n", text(&answer, "index")))
}
