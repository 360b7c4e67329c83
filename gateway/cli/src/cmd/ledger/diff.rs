//! `plomb ledger diff`: what changed between two configurations, for who sealed them.

mod compare;

use plomb_seal::transaction::{Config, Kind};
use serde_json::{Value, json};

use self::compare::{Line, compare, hunks, masked};
use crate::{
    args::DiffArgs,
    exit::{Failure, OK},
    party::{Hub, Kept, Logged, Party, lines, read_statement},
    show::{Out, Show, Tone, one_line, print},
};

const SCHEMA: &str = "plomb.ledger-diff/1";
/// The most lines that answer to one version: itself, and what was said of it.
const LINES_MAX: usize = 64;

pub(super) fn diff(args: &DiffArgs, show: &Show) -> Result<u8, Failure> {
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let old = content(&mut hub, &party, args, args.old)?;
    let new = content(&mut hub, &party, args, args.new)?;
    let compared = compare(&masked(&old.text), &masked(&new.text));
    let context = usize::from(args.context);
    if show.json {
        let changes: Vec<Value> = compared.iter().filter_map(change).collect();
        print(json!({
            "schema": SCHEMA, "gateway": args.gateway.as_str(), "old": old.document(args.old),
            "new": new.document(args.new), "changes": changes,
        }))?;
        return Ok(OK);
    }
    let mut out = Out::new();
    for (sign, version, side) in [("---", args.old, &old), ("+++", args.new, &new)] {
        let leaf = side.leaf.as_deref().unwrap_or("nothing");
        out.line(format_args!("{sign} {} version {version} ({leaf})", args.gateway))?;
    }
    for hunk in hunks(&compared, context) {
        out.line(&hunk.head)?;
        for line in hunk.lines {
            out.line(match line {
                Line::Same { text, .. } => format!(" {}", one_line(text)),
                Line::Gone { text, .. } => show.tone(Tone::Bad, format_args!("-{}", one_line(text))),
                Line::New { text, .. } => show.tone(Tone::Good, format_args!("+{}", one_line(text))),
            })?;
        }
    }
    out.flush()?;
    Ok(OK)
}

fn change(line: &Line) -> Option<Value> {
    match line {
        Line::Same { .. } => None,
        Line::Gone { text, old } => Some(json!({ "change": "gone", "line": old, "text": text })),
        Line::New { text, new } => Some(json!({ "change": "new", "line": new, "text": text })),
    }
}

/// One side of the comparison.
struct Side {
    leaf: Option<String>,
    text: String,
}

impl Side {
    fn document(&self, version: u64) -> Value {
        json!({ "version": version, "transaction": self.leaf })
    }
}

/// What was sealed as a version, checked against the ledger.
fn content(hub: &mut Hub, party: &Party, args: &DiffArgs, version: u64) -> Result<Side, Failure> {
    if version == 0 {
        return Ok(Side { leaf: None, text: String::new() });
    }
    let found = lines::all(hub, &format!("gateway={}&version={version}&kind=config", args.gateway), LINES_MAX)?;
    let line = found
        .first()
        .ok_or_else(|| Failure::Unavailable(format!("{} has no version {version} on the ledger", args.gateway)))?;
    let logged = Logged::get(hub, party, &lines::leaf(line)?.to_string())?;
    let wrong = || Failure::Unproved(format!("the transaction at index {} is not version {version}", logged.index));
    if logged.kind != Kind::Config {
        return Err(wrong());
    }
    let config: Config = read_statement(&logged.bytes)?;
    if config.gateway != args.gateway || config.version() != version {
        return Err(wrong());
    }
    let kept = Kept::read(&party.folder, &logged.leaf)?.ok_or_else(|| {
        let author = line.get("author").and_then(Value::as_str).unwrap_or_default();
        Failure::Unavailable(format!(
            "what version {version} holds is not in this folder: {} sealed it, and has it in FOLDER/sealed/{}.json",
            one_line(author),
            logged.leaf
        ))
    })?;
    if !kept.fits(&config.commitment) {
        return Err(Failure::Unproved(format!(
            "what is kept of version {version} is not what was sealed: the ledger's commitment does not fit"
        )));
    }
    Ok(Side { leaf: Some(logged.leaf.to_string()), text: kept.content })
}
