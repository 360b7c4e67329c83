//! What the demo proved, check by check.

use std::{collections::BTreeMap, fs};

use plomb_gateway::{control::Request, journal::Position, view};
use plomb_seal::{
    Body, Entry, Hash, Policy, Unverified,
    cbor::Decoder,
    export::Item,
    verify::{Expect, Report, Trust, Verdict, verify},
};
use serde_json::{Value, json};

use crate::{
    cmd::{export, verify as verify_cmd},
    exit::Failure,
    show::count,
};

use super::{listen::Heard, refusals, town::Town};

/// How many entries are read from the journal at once.
const ENTRIES_AT_ONCE: usize = 256;

/// The outcome of one check.
pub(super) struct Check {
    /// A short word for programs.
    pub(super) name: &'static str,
    /// Whether it holds.
    pub(super) holds: bool,
    /// What was compared, in plain words.
    pub(super) says: String,
}

/// All that was checked.
pub(super) struct Proof {
    /// The verifier's report on the export.
    pub(super) report: Report,
    /// The key that signed the entries.
    pub(super) key: String,
    /// Where the export is.
    pub(super) file: std::path::PathBuf,
    /// How many meters gave readings.
    pub(super) meters: usize,
    /// The checks, in order.
    pub(super) checks: Vec<Check>,
}

impl Proof {
    /// Whether every check holds.
    pub(super) fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// For programs.
    pub(super) fn document(&self) -> Value {
        let checks =
            self.checks.iter().map(|check| json!({ "name": check.name, "ok": check.holds, "says": check.says }));
        json!({
            "ok": self.holds(), "key": self.key, "export": self.file, "meters": self.meters,
            "checks": checks.collect::<Vec<_>>(),
            "verify": verify_cmd::document(&self.report, true, &verify_cmd::Keys::of("")),
        })
    }
}

/// An entry's place and hash.
pub(super) type Placed = ((u32, u64), Hash);

/// Exports, verifies, and compares with the journal, the subscriber and the archive.
pub(super) fn prove(town: &Town, heard: &Heard) -> Result<Proof, Failure> {
    let policy = verify_cmd::policy(&town.folder.at("hub/policy.txt"))?;
    let mut bytes = Vec::new();
    let all = Request::Export {
        point: None,
        entry: None,
        since_ms: None,
        until_ms: None,
        receipted_only: false,
        frames: true,
    };
    export::from_journal(&town.config()?, &all, &mut bytes)?;
    let file = town.folder.at("demo.plomb");
    fs::write(&file, &bytes).map_err(|error| Failure::file(&file, error))?;

    let journal = journal(town)?;
    let reaches = journal.last().map(|(place, _)| *place);
    let report = verify(&bytes, Trust::Own(&policy), Expect { reaches });
    let exported = exported(&bytes);
    let placed: Vec<Placed> = exported.iter().map(|entry| entry.placed).collect();
    let (silence, meters) = street(town, &exported);
    let (air, recorded) = refusals::radio(&town.antenna, heard, &exported);
    let mut checks = vec![
        verified(&report),
        same(
            "journal",
            &journal,
            &placed,
            "The export holds every entry of the gateway's journal, each once, in order",
        ),
        subscriber(heard, &exported),
        same("archive", &journal, &archive(town)?, "The hub's archive holds every entry exactly once, in order"),
        silence,
    ];
    checks.extend(air);
    checks.push(tampering(town, &bytes, &policy)?);
    let meters = meters + recorded;
    let key = exported.first().map(|entry| entry.key.clone()).unwrap_or_default();
    Ok(Proof { report, key, file, meters, checks })
}

fn verified(report: &Report) -> Check {
    let says = match (report.verdict, &report.first_bad) {
        (Verdict::Proved, _) => "The export is verified under the hub's policy, by the export's bytes alone".into(),
        (_, Some(fault)) => format!("The export is called tampered: {}: {}", fault.check, fault.detail),
        (_, None) => format!("The export is incomplete: {}", report.shortfalls.join("; ")),
    };
    Check { name: "verified", holds: report.verdict == Verdict::Proved, says }
}

fn same(name: &'static str, expected: &[Placed], found: &[Placed], says: &str) -> Check {
    let holds = expected == found && !expected.is_empty();
    let says = if holds {
        format!("{says} ({})", expected.len())
    } else {
        let at = expected.iter().zip(found).position(|(one, other)| one != other);
        let at = at.unwrap_or(expected.len().min(found.len()));
        format!("{says}: no, {} against {}, the first difference is at place {at}", expected.len(), found.len())
    };
    Check { name, holds, says }
}

/// Whatever the subscriber got is in the export, with the same hash and the same numbers.
fn subscriber(heard: &Heard, exported: &[Exported]) -> Check {
    let signed: BTreeMap<(u64, u64), &Value> =
        exported.iter().map(|entry| ((entry.placed.0.0.into(), entry.placed.0.1), &entry.document)).collect();
    let strange: Vec<_> =
        heard.entries.iter().filter(|(place, document)| signed.get(place) != Some(document)).collect();
    let readings: usize = heard
        .entries
        .values()
        .filter_map(|document| document.get("records").and_then(Value::as_array))
        .map(Vec::len)
        .sum();
    let holds = strange.is_empty() && heard.contradictions == 0 && readings > 0;
    let says = match strange.first() {
        Some(((epoch, seq), _)) => format!(
            "{} of {} messages at the subscriber differ from what was signed; the first is entry {seq} of epoch {epoch}",
            strange.len(),
            heard.entries.len()
        ),
        None if readings == 0 => "The subscriber got no reading".into(),
        None => format!(
            "All {} that the subscriber got over MQTT are in the export, hash and numbers the same",
            count(readings as u64, "reading", "readings")
        ),
    };
    Check { name: "subscriber", holds, says }
}

/// The silent meter has absences and nothing else; each other one has answered. Gives how many.
fn street(town: &Town, exported: &[Exported]) -> (Check, usize) {
    let of = |point: &str, absent: bool| {
        exported.iter().filter(|entry| entry.point.as_deref() == Some(point) && entry.absent == absent).count()
    };
    let silent = town.silent();
    let (absences, answers) = (of(silent, true), of(silent, false));
    let others = town.meters.iter().map(|meter| meter.name.as_str()).filter(|name| *name != silent);
    let mute: Vec<&str> = others.clone().filter(|name| of(name, false) == 0).collect();
    let meters = others.count() - mute.len();
    let holds = absences > 0 && answers == 0 && mute.is_empty();
    let says = if holds {
        format!(
            "{silent} never answers, and {} saying so: silence is evidence, a deleted reading would not look like this",
            count(absences as u64, "signed entry is there", "signed entries are there")
        )
    } else if mute.is_empty() {
        format!("{silent} should be silent, and has {absences} absences and {answers} records")
    } else {
        format!("no reading came from {}: the demo was too short, or the machine too busy", mute.join(", "))
    };
    (Check { name: "silence", holds, says }, meters)
}

/// One byte of a copy is changed.
fn tampering(town: &Town, bytes: &[u8], policy: &Policy) -> Result<Check, Failure> {
    let place = bytes.len() / 2;
    let mut copy = bytes.to_vec();
    if let Some(byte) = copy.get_mut(place) {
        *byte ^= 1;
    }
    let file = town.folder.at("demo-tampered.plomb");
    fs::write(&file, &copy).map_err(|error| Failure::file(&file, error))?;
    let report = verify(&copy, Trust::Own(policy), Expect::default());
    let check = report.first_bad.as_ref().map_or("none", |fault| fault.check);
    let says =
        format!("With one bit of byte {place} changed, a copy is called {} (check \"{check}\")", report.verdict.name());
    Ok(Check { name: "tampering", holds: report.verdict == Verdict::Tampered, says })
}

/// An entry of the export.
pub(super) struct Exported {
    pub(super) placed: Placed,
    pub(super) point: Option<String>,
    pub(super) absent: bool,
    /// The telegrams of a record.
    pub(super) frames: Vec<Hash>,
    key: String,
    pub(super) document: Value,
}

/// The entries of an export, in its order, as far as it can be read.
fn exported(bytes: &[u8]) -> Vec<Exported> {
    let mut from = Decoder::new(bytes);
    let mut found = Vec::new();
    while let Ok(item) = Item::decode(&mut from) {
        match item {
            Item::Whole(_, entries) | Item::Tail(entries, _) => found.extend(entries.into_iter().filter_map(entry)),
            Item::End { .. } => break,
            _ => {}
        }
    }
    found
}

fn entry(bytes: &[u8]) -> Option<Exported> {
    let parsed = Unverified::<Entry>::parse(bytes).ok()?;
    let key = parsed.key_id().to_string();
    // The whole export has been verified; this only reads it.
    let signed = parsed.trust_own();
    let statement = signed.statement();
    Some(Exported {
        placed: ((statement.epoch, statement.seq), signed.hash()),
        point: statement.body.link().map(|link| link.point.to_string()),
        absent: matches!(statement.body, Body::Absent(..)),
        frames: match &statement.body {
            Body::Record(_, record) => record.frames.clone(),
            _ => Vec::new(),
        },
        key,
        document: view::document(&signed),
    })
}

/// All entries of the gateway's journal.
fn journal(town: &Town) -> Result<Vec<Placed>, Failure> {
    let wrong = |error: plomb_gateway::journal::JournalError| Failure::Unavailable(error.to_string());
    let snapshot = export::open(&town.config()?)?.snapshot().map_err(wrong)?;
    let mut found = Vec::new();
    let mut from = Position { epoch: 0, seq: 0 };
    loop {
        let entries = snapshot.entries_from(from, ENTRIES_AT_ONCE).map_err(wrong)?;
        let Some(last) = entries.last() else { return Ok(found) };
        from = Position { epoch: last.epoch, seq: last.seq + 1 };
        for entry in &entries {
            let parsed = Unverified::<Entry>::parse(&entry.bytes)
                .map_err(|error| Failure::Unavailable(format!("the journal's entry {}: {error}", entry.seq)))?;
            found.push(((entry.epoch, entry.seq), parsed.hash()));
        }
    }
}

/// All entries of the hub's archive, in its order.
fn archive(town: &Town) -> Result<Vec<Placed>, Failure> {
    let text = town.archive()?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let document: Value = serde_json::from_slice(line)
                .map_err(|error| Failure::Unavailable(format!("the hub's archive can't be read: {error}")))?;
            placed(&document)
                .ok_or_else(|| Failure::Unavailable("the hub's archive has an entry without a place".into()))
        })
        .collect()
}

fn placed(document: &Value) -> Option<Placed> {
    let number = |key: &str| document.get(key).and_then(Value::as_u64);
    let hash: [u8; 32] = hex::decode(document.get("hash")?.as_str()?).ok()?.try_into().ok()?;
    Some(((u32::try_from(number("epoch")?).ok()?, number("seq")?), Hash(hash)))
}
