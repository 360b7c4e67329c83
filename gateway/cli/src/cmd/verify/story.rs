//! `plomb verify` of a story: one order and what became of it.

use plomb_seal::Ordered;
use plomb_seal::{
    Policy, Story, Unwarranted,
    policy::PolicyError,
    story::Proved,
    transaction::{Effect, Outcome},
};
use plomb_view::rfc3339;
use serde_json::{Value, json};

use super::Keys;
use crate::{
    args::VerifyArgs,
    cmd::order::date,
    exit::{BAD, Failure, OK},
    show::{Out, Show, Tone, one_line, print},
};

const SCHEMA: &str = "plomb.verify-story/1";

pub(super) fn verify(args: &VerifyArgs, own: Option<&Policy>, bytes: &[u8], show: &Show) -> Result<u8, Failure> {
    if args.reaches.is_some() {
        return Err(Failure::Usage("--reaches is for exports: a story holds no entries".into()));
    }
    let wrong = |rule, detail: String| Unwarranted { rule, detail };
    let parsed = Story::parse(bytes).map_err(|error| wrong("story-form", error.to_string()));
    let keys = Keys::of(parsed.as_ref().map(|story| story.policy.as_str()).unwrap_or_default());
    let judged = parsed.and_then(|story| {
        let named = match own {
            Some(_) => None,
            None => Some(
                Policy::parse(&story.policy).map_err(|error: PolicyError| wrong("story-policy", error.to_string()))?,
            ),
        };
        let policy = own.or(named.as_ref()).ok_or_else(|| wrong("story-policy", "there is none".into()))?;
        story.verify(policy)
    });
    let code = if judged.is_ok() { OK } else { BAD };
    if show.json {
        print(document(&judged, own.is_some(), &keys))?;
        return Ok(code);
    }
    let mut out = Out::new();
    match &judged {
        Ok(proved) => {
            out.line(format_args!("{}: every check passed.", show.tone(Tone::Good, "PROVED")))?;
            for line in told(proved, show) {
                out.line(format_args!("  {line}"))?;
            }
            for line in super::trust(own.is_some(), &keys) {
                out.line(line)?;
            }
        }
        Err(wrong) => {
            let what = "this file is no story of this ledger, or was changed.";
            out.line(format_args!("{}: {what}", show.tone(Tone::Bad, "TAMPERED")))?;
            out.line(format_args!("  Rule {}: {}", wrong.rule, one_line(&wrong.detail)))?;
            out.line("  Nothing in the file is proved.")?;
        }
    }
    out.flush()?;
    Ok(code)
}

fn document(judged: &Result<Proved, Unwarranted>, own: bool, keys: &Keys) -> Value {
    let keys = (!own).then(|| json!({ "logs": keys.logs, "witnesses": keys.witnesses, "quorum": keys.quorum }));
    let trust = if own { "policy" } else { "file" };
    match judged {
        Err(wrong) => json!({
            "schema": SCHEMA, "verdict": "tampered", "trust": trust, "keys": keys, "rule": wrong.rule,
            "detail": wrong.detail,
        }),
        Ok(proved) => {
            let (statement, leaf) = match &proved.warrant.order {
                Ordered::Config(config) => (plomb_view::statement(config.bytes()), config.hash()),
                Ordered::Command(command) => (plomb_view::statement(command.bytes()), command.hash()),
            };
            let answers: Vec<Value> = proved
                .answers
                .iter()
                .map(|answer| {
                    let Outcome { effect, rule, detail, epoch, seq, time_ms, .. } = answer.outcome.statement();
                    json!({
                        "transaction": answer.outcome.hash().to_string(), "index": answer.index,
                        "effect": effect.name(), "rule": rule, "detail": detail, "epoch": epoch, "seq": seq,
                        "time": rfc3339(*time_ms), "not_after": date(answer.dated_s),
                    })
                })
                .collect();
            json!({
                "schema": SCHEMA, "verdict": "proved", "trust": trust, "keys": keys, "kind": kind(proved),
                "transaction": leaf.to_string(), "index": proved.warrant.index,
                "not_after": date(proved.warrant.dated_s), "author": proved.warrant.author.subject.as_str(),
                "author_role": proved.warrant.author.role.name(),
                "approved_by": proved.warrant.approved_by.as_ref().map(|issue| issue.subject.as_str()),
                "statement": statement.unwrap_or_default(), "answers": answers,
                "content": proved.content.as_deref().map(String::from_utf8_lossy),
            })
        }
    }
}

fn kind(proved: &Proved) -> &'static str {
    match proved.warrant.order {
        Ordered::Config(_) => "config",
        Ordered::Command(_) => "command",
    }
}

/// What holds, sentence by sentence.
fn told(proved: &Proved, show: &Show) -> Vec<String> {
    let warrant = &proved.warrant;
    let at = |index: u64, dated_s: Option<u64>| match dated_s {
        Some(dated_s) => format!("at index {index}, not after {}", show.zone.seconds(dated_s)),
        None => format!("at index {index}"),
    };
    let by = format!("{} ({})", warrant.author.subject, warrant.author.role.name());
    let (what, reason) = match &warrant.order {
        Ordered::Config(config) => {
            let config = config.statement();
            (format!("Version {} of {}, {}", config.version(), config.gateway, config.priority.name()), &config.reason)
        }
        Ordered::Command(command) => {
            let command = command.statement();
            (format!("{} at {} of {}", command.verb, command.point, command.gateway), &command.reason)
        }
    };
    let mut lines = vec![format!("{what}: ordered by {by}, on the ledger {}.", at(warrant.index, warrant.dated_s))];
    if !reason.is_empty() {
        lines.push(format!("Its reason: \"{}\"", one_line(reason)));
    }
    if let (Some(second), Some((index, dated_s))) = (&warrant.approved_by, proved.approved) {
        lines.push(format!("Approved by {} ({}), {}.", second.subject, second.role.name(), at(index, dated_s)));
    }
    for answer in &proved.answers {
        let Outcome { effect, rule, detail, epoch, seq, gateway, .. } = answer.outcome.statement();
        let rule = if rule.is_empty() { String::new() } else { format!(" by rule {}", one_line(rule)) };
        let detail = if detail.is_empty() { String::new() } else { format!(": {}", one_line(detail)) };
        let tone = if *effect == Effect::Applied { Tone::Good } else { Tone::Doubt };
        lines.push(format!(
            "{gateway} answered {}{rule}{detail} ({}; entry {seq} of epoch {epoch} in its journal).",
            show.tone(tone, effect.name()),
            at(answer.index, answer.dated_s)
        ));
    }
    if proved.answers.is_empty() {
        lines.push("No answer of the gateway is in the file: whether there is one can't be seen.".into());
    }
    if let Some(content) = &proved.content {
        lines.push(format!("What was sealed ({} bytes) is in the file, and is what was committed to:", content.len()));
        lines.extend(String::from_utf8_lossy(content).lines().map(|line| format!("  {}", one_line(line))));
    }
    lines
}
