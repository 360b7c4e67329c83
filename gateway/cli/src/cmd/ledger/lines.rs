//! Lines of the history in words, and held against the transactions that they are of.

use plomb_seal::transaction::{Command, Config, Kind, Outcome, SealingKey};
use serde_json::Value;

use crate::{
    exit::Failure,
    party::{Logged, read_statement},
    show::{Show, one_line},
};

/// A value of a line as text; nothing if it has none.
pub(super) fn text(line: &Value, key: &str) -> String {
    match line.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => one_line(text),
        Some(other) => other.to_string(),
    }
}

/// One line in words.
pub(super) fn told(line: &Value, show: &Show) -> String {
    let [gateway, point, subject] = ["gateway", "point", "subject"].map(|key| text(line, key));
    let place = match (gateway.as_str(), point.as_str()) {
        ("", _) => subject,
        (_, "") => gateway,
        _ => format!("{gateway}/{point}"),
    };
    let kind = text(line, "kind");
    let numbered = matches!(kind.as_str(), "config" | "outcome") && !text(line, "version").is_empty();
    let version = if numbered { format!(" v{}", text(line, "version")) } else { String::new() };
    let status = Some(text(line, "status")).filter(|status| !status.is_empty());
    let status = status.map_or(String::new(), |status| format!("  [{status}]"));
    let note = Some(text(line, "text")).filter(|text| !text.is_empty());
    let note = note.map_or(String::new(), |note| format!("  \"{note}\""));
    let [index, action, author] = ["index", "action", "author"].map(|key| text(line, key));
    let time = show.zone.text(&text(line, "time"));
    format!("{index:>7}  {time}  {kind:<11} {action:<12} {place}{version}  by {author}{status}{note}")
}

/// Whether a line says what its transaction says. A hub could show other words beside a proof that holds.
pub(super) fn fits(line: &Value, logged: &Logged) -> Result<(), Failure> {
    let lies = |what: &str| {
        Err(Failure::Unproved(format!("line {}: its {what} is not that of its transaction", logged.index)))
    };
    let says = |key: &str, value: &str| line.get(key).and_then(Value::as_str) == Some(value);
    if !says("kind", logged.kind.name()) {
        return lies("kind");
    }
    if line.get("index").and_then(Value::as_u64) != Some(logged.index) {
        return lies("index");
    }
    let number = |key: &str| line.get(key).and_then(Value::as_u64);
    match logged.kind {
        Kind::Config => {
            let config: Config = read_statement(&logged.bytes)?;
            let same = says("gateway", config.gateway.as_str()) && number("version") == Some(config.version());
            let same = same && says("action", config.priority.name()) && says("text", &config.reason);
            if same { Ok(()) } else { lies("content") }
        }
        Kind::Command => {
            let command: Command = read_statement(&logged.bytes)?;
            let same = says("gateway", command.gateway.as_str()) && says("point", command.point.as_str());
            let same = same && says("action", command.verb.as_str()) && says("text", &command.reason);
            if same { Ok(()) } else { lies("content") }
        }
        Kind::Outcome => {
            let outcome: Outcome = read_statement(&logged.bytes)?;
            let same = says("gateway", outcome.gateway.as_str()) && says("of", &outcome.of.to_string());
            if same && says("action", outcome.effect.name()) { Ok(()) } else { lies("content") }
        }
        Kind::SealingKey => {
            let sealing: SealingKey = read_statement(&logged.bytes)?;
            if says("gateway", sealing.gateway.as_str()) { Ok(()) } else { lies("content") }
        }
        _ => Ok(()),
    }
}
