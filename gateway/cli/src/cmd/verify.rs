//! `plomb verify`: checks an export, and says what it proves.

mod entries;
mod story;
mod transaction;

use std::path::Path;

use plomb_seal::{
    Policy, export,
    export::Scope,
    story::is_story,
    verify::{Expect, Fault, Report, Trust, Verdict, verify as check},
};
use serde_json::{Value, json};

use super::read_bytes;
use crate::{
    args::VerifyArgs,
    exit::{BAD, Failure, INCOMPLETE, OK},
    show::{Out, Show, Tone, count, escaped, one_line, print, tell},
};

/// The largest export that is read, in bytes: it is held in memory as a whole.
const EXPORT_BYTES_MAX: u64 = 4 << 30;
/// The largest policy that is read, in bytes.
const POLICY_BYTES_MAX: u64 = 64 * 1024;
/// How many rollbacks are told with their time.
const ROLLBACKS_SHOWN_MAX: usize = 10;
/// How many epochs are told with what the file holds of them.
const RUNS_SHOWN_MAX: usize = 10;
const SCHEMA: &str = "plomb.verify/1";

pub(super) fn verify(args: &VerifyArgs, show: &Show) -> Result<u8, Failure> {
    let own = args.policy.as_deref().map(policy).transpose()?;
    if let (Some(policy), Some(proof)) = (&own, &args.proof) {
        return transaction::verify(args, policy, proof, show);
    }
    let bytes = read_bytes(&args.file, EXPORT_BYTES_MAX)?;
    if is_story(&bytes) {
        if args.entries {
            return Err(Failure::Usage(
                "--entries is for exports: this file holds an order and what became of it".into(),
            ));
        }
        return story::verify(args, own.as_ref(), &bytes, show);
    }
    let trust = own.as_ref().map_or(Trust::File, Trust::Own);
    let report = check(&bytes, trust, Expect { reaches: args.reaches });
    let keys = Keys::of(&export::policy_of(&bytes).unwrap_or_default());
    if args.entries && report.verdict == Verdict::Proved {
        words(&report, own.is_some(), &keys, show).iter().for_each(tell);
        entries::print(&bytes, show)?;
    } else if show.json {
        print(document(&report, own.is_some(), &keys))?;
    } else {
        let mut out = Out::new();
        for line in words(&report, own.is_some(), &keys, show) {
            out.line(line)?;
        }
        out.flush()?;
    }
    Ok(match report.verdict {
        Verdict::Proved => OK,
        Verdict::Tampered => BAD,
        Verdict::Incomplete => INCOMPLETE,
    })
}

/// Reads a policy file.
pub(super) fn policy(path: &Path) -> Result<Policy, Failure> {
    let wrong = |what: String| Failure::Config(format!("{}: {what}", path.display()));
    let text = String::from_utf8(read_bytes(path, POLICY_BYTES_MAX)?).map_err(|_| wrong("this is no text".into()))?;
    Policy::parse(&text).map_err(|error| wrong(error.to_string()))
}

/// The keys that a policy names.
pub(super) struct Keys {
    logs: Vec<String>,
    witnesses: Vec<String>,
    quorum: String,
}

impl Keys {
    pub(super) fn of(policy: &str) -> Self {
        let words = |line: &str| line.split_ascii_whitespace().map(one_line).collect::<Vec<_>>();
        let named = |kind: &str, place: usize| {
            let of_kind = policy.lines().map(words).filter(|words| words.first().is_some_and(|word| word == kind));
            of_kind.filter_map(|words| words.get(place).cloned()).collect::<Vec<_>>()
        };
        Self {
            logs: named("log", 1),
            witnesses: named("witness", 2),
            quorum: named("quorum", 1).pop().unwrap_or_default(),
        }
    }
}

impl Keys {
    /// The ledger, by its log's key: `name+hash+key`.
    fn ledger(&self) -> &str {
        self.logs.first().and_then(|key| key.split('+').next()).unwrap_or("(none named)")
    }
}

/// What was found, for programs.
pub(super) fn document(report: &Report, own: bool, keys: &Keys) -> Value {
    let place = |place: (u32, u64)| json!({ "epoch": place.0, "seq": place.1 });
    let date = |unix_s: Option<u64>| unix_s.and_then(|s| i64::try_from(s).ok()).map(rfc3339);
    json!({
        "schema": SCHEMA,
        "verdict": report.verdict.name(),
        "gateway": report.gateway.as_ref().map(ToString::to_string),
        "origin": report.origin,
        "scope": report.scope.as_ref().map(scope),
        "trust": if own { "policy" } else { "file" },
        "keys": (!own).then(|| json!({ "logs": keys.logs, "witnesses": keys.witnesses, "quorum": keys.quorum })),
        "entries": report.entries,
        "records": report.records,
        "absent": report.absent,
        "events": report.events,
        "readings": report.readings,
        "frames": report.frames,
        "gaps": report.gaps,
        "batches": report.batches,
        "anchored": report.anchored,
        "first": report.span.map(|(first, _)| place(first)),
        "last": report.span.map(|(_, last)| place(last)),
        "runs": report.runs.iter().map(|run| json!({
            "epoch": run.epoch, "first": run.first, "last": run.last,
        })).collect::<Vec<_>>(),
        "epochs_before": report.epochs_before(),
        "rollbacks": report.rollbacks.iter().map(|noticed| json!({
            "epoch": noticed.epoch, "seq": noticed.seq, "time": plomb_gateway::status::rfc3339(noticed.unix_ms),
        })).collect::<Vec<_>>(),
        "not_before": date(report.not_before_s),
        "not_after": date(report.not_after_s),
        "shortfalls": report.shortfalls,
        "first_bad": report.first_bad.as_ref().map(|fault| json!({
            "check": fault.check,
            "item": fault.item,
            "offset": fault.offset,
            "entry": fault.entry.map(place),
            "detail": fault.detail,
        })),
    })
}

fn scope(scope: &Scope) -> Value {
    match scope {
        Scope::All => json!({ "of": "all" }),
        Scope::Point(point) => json!({ "of": "point", "point": point.as_str() }),
        Scope::Entry { epoch, seq } => json!({ "of": "entry", "epoch": epoch, "seq": seq }),
    }
}

fn rfc3339(unix_s: i64) -> String {
    plomb_gateway::status::rfc3339(unix_s.saturating_mul(1000))
}

/// What was found, in words.
fn words(report: &Report, own: bool, keys: &Keys, show: &Show) -> Vec<String> {
    let mut lines = match (&report.verdict, &report.first_bad) {
        (_, Some(fault)) => tampered(fault, own, keys, show),
        (Verdict::Proved, _) => vec![format!("{}: every check passed.", show.tone(Tone::Good, "PROVED"))],
        _ => vec![format!("{}: nothing is wrong, but not all is proved.", show.tone(Tone::Doubt, "INCOMPLETE"))],
    };
    if report.first_bad.is_none() {
        lines.extend(claims(report, show));
        lines.extend(report.shortfalls.iter().map(|shortfall| format!("  Not proved: {}.", one_line(shortfall))));
        lines.extend(trust(own, keys));
    }
    lines
}

fn tampered(fault: &Fault, own: bool, keys: &Keys, show: &Show) -> Vec<String> {
    let entry = fault.entry.map(|(epoch, seq)| format!(", entry {seq} of epoch {epoch}")).unwrap_or_default();
    let what = match (fault.check, fault.item) {
        ("format" | "end", 0) => "this is no plomb export, or its beginning was changed.".to_string(),
        // Every other check comes after: this one shows whose ledger the file is of.
        ("credential", _) if own => format!(
            "this file is not what a gateway and its ledger made, or this policy is not that of ledger {}.",
            keys.ledger()
        ),
        _ => "this file is not what a gateway and its ledger made.".into(),
    };
    vec![
        format!("{}: {what}", show.tone(Tone::Bad, "TAMPERED")),
        format!("  Check \"{}\" failed in item {} at byte {}{entry}:", fault.check, fault.item, fault.offset),
        format!("  {}", one_line(&fault.detail)),
        "  Nothing in the file is proved. Ask for it again, from the gateway or from the hub's archive.".into(),
    ]
}

/// What holds, sentence by sentence.
pub(super) fn claims(report: &Report, show: &Show) -> Vec<String> {
    let gateway = report.gateway.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = match &report.scope {
        Some(Scope::Point(point)) => format!(" of the measuring point {point}"),
        _ => String::new(),
    };
    let mut lines = vec![format!(
        "  {} of gateway {gateway}{what}, each signed by its certified key:",
        count(report.entries, "entry", "entries")
    )];
    lines.push(format!(
        "    {} with {}, {} (\"no reading\", with the reason), {}.",
        count(report.records, "record", "records"),
        count(report.readings, "reading", "readings"),
        count(report.absent, "absence", "absences"),
        count(report.events, "event", "events"),
    ));
    match report.epochs_before() {
        0 => {}
        1 => lines.push("  Begins with epoch 1: epoch 0 is not in it; the hub's archive has what the ledger had of it.".into()),
        epochs => lines.push(format!(
            "  Begins with epoch {epochs}: the {epochs} earlier epochs are not in it; the hub's archive has what the ledger had of them."
        )),
    }
    lines.extend(runs(report));
    if !report.rollbacks.is_empty() {
        lines.push(rollbacks(report, show));
    }
    let origin = escaped(report.origin.as_deref().unwrap_or("(none)"));
    lines.push(format!(
        "  {} in {}; {} anchored on the ledger {origin}.",
        count(report.entries, "entry", "entries"),
        count(report.batches, "batch", "batches"),
        if report.anchored == report.entries { "all".into() } else { report.anchored.to_string() },
    ));
    match (report.not_before_s, report.not_after_s) {
        (None, None) => {}
        (None, Some(after)) => lines.push(format!("  Anchored not after {}.", show.zone.seconds(after))),
        (Some(before), None) => lines.push(format!("  Written not before {}.", show.zone.seconds(before))),
        (Some(before), Some(after)) => lines.push(format!(
            "  The ledger dates them: the first batch closed not before {}, the last anchored not after {}.",
            show.zone.seconds(before),
            show.zone.seconds(after)
        )),
    }
    if report.frames > 0 {
        lines.push(format!("  {} fit the records made from them.", count(report.frames, "raw frame", "raw frames")));
    }
    lines
}

/// What the file holds of each epoch. Complete is a run of one epoch; how far an earlier one went on is not to be seen.
fn runs(report: &Report) -> Vec<String> {
    let single = matches!(report.scope, Some(Scope::Entry { .. }));
    let whole = if single { "its place in its batch is proved" } else { "none between them is missing" };
    let mut lines: Vec<String> = report
        .runs
        .iter()
        .take(RUNS_SHOWN_MAX)
        .map(|run| format!("  From entry {} to entry {} of epoch {}; {whole}.", run.first, run.last, run.epoch))
        .collect();
    match report.runs.len() {
        0 | 1 => {}
        runs => {
            if runs > RUNS_SHOWN_MAX {
                lines.push(format!("  … {runs} epochs in all."));
            }
            lines.push(
                "  Whether an earlier epoch went on after that can't be seen: what was never anchored leaves no trace."
                    .into(),
            );
        }
    }
    if report.gaps > 0 {
        lines.push(format!("  {}.", count(report.gaps, "hole is known", "holes are known")));
    }
    lines
}

/// A card that was put back leaves a trace, and whoever reads the verdict sees it.
fn rollbacks(report: &Report, show: &Show) -> String {
    let noticed = u64::try_from(report.rollbacks.len()).unwrap_or(u64::MAX);
    let shown = report.rollbacks.iter().take(ROLLBACKS_SHOWN_MAX);
    let mut times: Vec<String> =
        shown.map(|rollback| show.zone.seconds(u64::try_from(rollback.unix_ms / 1000).unwrap_or(0))).collect();
    if report.rollbacks.len() > ROLLBACKS_SHOWN_MAX {
        times.push("…".into());
    }
    format!(
        "  {} noticed: the gateway's journal was older than the ledger, at {}.",
        count(noticed, "rollback", "rollbacks"),
        times.join(", ")
    )
}

fn trust(own: bool, keys: &Keys) -> Vec<String> {
    if own {
        return vec!["  Checked under your own policy: this holds against whoever made the file.".into()];
    }
    let mut lines = vec![
        "  Checked under the policy in the file itself: the file agrees with itself and with these keys.".to_string(),
        "  Whoever made it could have named keys of their own. Compare with keys that you got elsewhere,".into(),
        "  or give them with --policy:".into(),
    ];
    lines.extend(keys.logs.iter().map(|key| format!("    log      {key}")));
    lines.extend(keys.witnesses.iter().map(|key| format!("    witness  {key}")));
    lines.push(format!("    quorum   {}", keys.quorum));
    lines
}

#[cfg(test)]
mod tests {
    use plomb_seal::{
        SigningKey,
        note::{KeyUse, VerifierKey},
        verify::{Rollback, Run},
    };

    use super::*;
    use crate::args::Args;

    const FILE: &[u8] = include_bytes!("../../../../docs/vectors/proved.plomb");

    fn show() -> Show {
        Show::new(&<Args as clap::Parser>::try_parse_from(["plomb", "verify", "x"]).unwrap())
    }

    fn told(bytes: &[u8], trust: Trust<'_>) -> String {
        let own = matches!(trust, Trust::Own(_));
        let keys = Keys::of(&export::policy_of(bytes).unwrap_or_default());
        words(&check(bytes, trust, Expect::default()), own, &keys, &show()).join("\n")
    }

    #[test]
    fn another_ledger_s_policy_is_told_from_tampering() {
        let key = |name: &str, seed, usage| VerifierKey {
            name: name.into(),
            key: SigningKey::from_seed(&[seed; 32]).public(),
            usage,
        };
        let (log, witness) = (key("other.example", 8, KeyUse::Log), key("other.example/w", 9, KeyUse::Cosigner));
        let policy = Policy::parse(&format!("log {log}\nwitness w {witness}\nquorum w\n")).unwrap();
        let text = told(FILE, Trust::Own(&policy));
        assert!(text.contains("or this policy is not that of ledger ledger.example/street."), "{text}");
        let bent = include_bytes!("../../../../docs/vectors/tampered-byte.plomb");
        let text = told(bent, Trust::File);
        assert!(text.contains("not what a gateway and its ledger made") && !text.contains("or this policy"), "{text}");
    }

    #[test]
    fn what_is_no_export_is_called_so() {
        for other in ["# Plomb\n\nA plomb is the lead seal", "", "{}"] {
            let text = told(other.as_bytes(), Trust::File);
            assert!(text.starts_with("TAMPERED: this is no plomb export"), "{text}");
        }
    }

    #[test]
    fn each_epoch_is_told_by_itself() {
        let mut report = check(FILE, Trust::File, Expect::default());
        let text = claims(&report, &show()).join("\n");
        assert!(text.contains("From entry 0 to entry 6 of epoch 0; none between them is missing."), "{text}");
        assert!(!text.contains("can't be seen"), "{text}");
        report.runs.push(Run { epoch: 1, first: 0, last: 4 });
        let text = claims(&report, &show()).join("\n");
        assert!(text.contains("From entry 0 to entry 4 of epoch 1"), "{text}");
        assert!(text.contains("Whether an earlier epoch went on after that can't be seen"), "{text}");
        assert_eq!(document(&report, false, &Keys::of(""))["runs"][1]["last"], 4);
    }

    #[test]
    fn rollbacks_and_epochs_before_are_told_beside_the_verdict() {
        let mut report = check(FILE, Trust::File, Expect::default());
        let text = claims(&report, &show()).join("\n");
        assert!(!text.contains("rollback") && !text.contains("Begins"), "{text}");
        report.rollbacks = vec![Rollback { epoch: 1, seq: 0, unix_ms: 1_795_423_325_000 }; 2];
        report.span = report.span.map(|_| ((1, 0), (1, 9)));
        let text = claims(&report, &show()).join("\n");
        assert!(text.contains("2 rollbacks noticed") && text.contains("2026-11-23 "), "{text}");
        assert!(text.contains("Begins with epoch 1: epoch 0 is not in it"), "{text}");
        let document = document(&report, false, &Keys::of(""));
        assert_eq!(
            (document["epochs_before"].as_u64(), document["rollbacks"][1]["epoch"].as_u64()),
            (Some(1), Some(1))
        );
    }
}
