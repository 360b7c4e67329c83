//! What configurations and commands have in common: the key to seal to, asking back, submitting, what became of it.

use std::{
    io::{self, BufRead, IsTerminal},
    time::Duration,
};

use plomb_seal::{
    Hash, Name, Recipient,
    recipient::RecipientKey,
    transaction::{Effect, Outcome},
};
use plomb_view::rfc3339;
use serde_json::{Value, json};

use crate::{
    exit::{BAD, Failure, INCOMPLETE, OK},
    party::{Hub, Kept, Logged, Party, Register, Signer, Submitted, read_statement, submit},
    show::{Show, Tone, one_line, tell},
};

/// Digits in a row that look like a key or a token in a reason.
const SECRET_DIGITS: usize = 16;
/// Words before what nobody should read.
const SECRET_WORDS: &[&str] = &["password", "passwort", "passwd", "secret", "token", "pin=", "pin:", "key=", "key:"];

/// Random bytes of which no one was ever used before.
pub(super) fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::io("random numbers", io::Error::other(error)))?;
    Ok(bytes)
}

/// To which key a gateway is to be sealed, checked under the party's own policy.
pub(super) fn recipient(party: &Party, bytes: &[u8], gateway: &Name) -> Result<RecipientKey, Failure> {
    let recipient = Recipient::parse(bytes).map_err(|error| Failure::Unproved(error.to_string()))?;
    recipient.verify(None, gateway, &party.policy).map_err(|error| Failure::Unproved(error.to_string()))
}

/// Where the hub has it.
pub(super) fn recipient_path(gateway: &Name) -> String {
    format!("/ledger/gateways/{gateway}/recipient")
}

/// What the hub says of a gateway's register.
pub(super) fn register(hub: &mut Hub, gateway: &Name) -> Result<Value, Failure> {
    hub.get_json(&format!("/ledger/gateways/{gateway}"))
}

/// A number in it.
pub(super) fn number(register: &Value, key: &str) -> Result<u64, Failure> {
    let number = register.get(key).and_then(Value::as_u64);
    number.ok_or_else(|| Failure::Unavailable(format!("the hub's answer has no {key}")))
}

/// Whether a text looks as if nobody should read it.
fn looks_secret(text: &str) -> bool {
    let lower = text.to_lowercase();
    let long = text.split(|c: char| !c.is_ascii_hexdigit()).any(|digits| digits.len() >= SECRET_DIGITS);
    long || SECRET_WORDS.iter().any(|word| lower.contains(word))
}

/// Warns of a reason that nobody should read.
pub(super) fn warn_of_secrets(reason: &str) {
    if looks_secret(reason) {
        tell("Warning: the reason looks as if a secret were in it. Everybody with the ledger can read it, for ever.");
    }
}

/// Asks back. Without a terminal nobody can answer: whoever wants it nevertheless says so with `--yes`.
pub(super) fn agree(shown: &[String], question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let what = shown.first().map_or(String::new(), |first| format!(" ({first})"));
        return Err(Failure::Usage(format!(
            "nothing was sent{what}: standard input is no terminal, so nobody can be asked; give --yes"
        )));
    }
    shown.iter().for_each(tell);
    crate::show::tell_part(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::io("standard input", error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("not confirmed: nothing was sent".into())),
    }
}

/// Keeps what was sealed, then submits: so nothing is on the ledger whose author can't show it.
pub(super) fn send(
    hub: &mut Hub,
    party: &Party,
    (bytes, kept): (&[u8], &Kept),
    wait: Option<Duration>,
) -> Result<Submitted, Failure> {
    kept.write(&party.folder)?;
    let submitted = submit(hub, bytes, wait);
    if let Err(Failure::Refused { .. }) = submitted {
        kept.remove(&party.folder);
    }
    submitted
}

/// What the gateway said, proved.
pub(super) struct Became {
    pub(super) outcome: Outcome,
    pub(super) leaf: Hash,
    pub(super) index: u64,
    pub(super) dated_s: Option<u64>,
}

/// Fetches the gateway's answer, and checks that it is one: on the ledger, of this order, signed by the gateway.
pub(super) fn became(
    hub: &mut Hub,
    party: &Party,
    submitted: &Submitted,
    gateway: &Name,
) -> Result<Option<Became>, Failure> {
    let Some(leaf) = submitted.outcome else { return Ok(None) };
    let logged = Logged::get(hub, party, &leaf.to_string())?;
    let mut register = Register::fetch(hub, party)?;
    let signer = register.signer(hub, party, &logged, gateway)?;
    let outcome: Outcome = read_statement(&logged.bytes)?;
    let by_gateway = matches!(&signer, Signer::Party(issue) if issue.subject == *gateway);
    if !by_gateway || outcome.of != submitted.leaf || outcome.gateway != *gateway {
        return Err(Failure::Unproved("the outcome is of another order, or by another gateway".into()));
    }
    Ok(Some(Became { outcome, leaf, index: logged.index, dated_s: logged.dated_s }))
}

impl Became {
    /// For programs.
    pub(super) fn document(&self) -> Value {
        let Outcome { effect, rule, detail, epoch, seq, time_ms, .. } = &self.outcome;
        json!({
            "transaction": self.leaf.to_string(), "index": self.index, "effect": effect.name(), "rule": rule,
            "detail": detail, "epoch": epoch, "seq": seq, "time": rfc3339(*time_ms), "proved": true,
            "not_after": date(self.dated_s),
        })
    }

    /// For people.
    pub(super) fn lines(&self, show: &Show) -> Vec<String> {
        let Outcome { effect, rule, detail, epoch, seq, gateway, .. } = &self.outcome;
        let tone = if *effect == Effect::Applied { Tone::Good } else { Tone::Bad };
        let rule = if rule.is_empty() { String::new() } else { format!(" (rule {})", one_line(rule)) };
        let detail = if detail.is_empty() { String::new() } else { format!(": {}", one_line(detail)) };
        vec![
            format!("{}{rule}{detail}", show.tone(tone, word(*effect))),
            format!(
                "  {gateway} says so on the ledger, at index {}; its journal has it in entry {seq} of epoch {epoch}.",
                self.index
            ),
        ]
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Applied => "Done",
        Effect::Refused => "Refused by the gateway",
        Effect::RolledBack => "Rolled back",
        Effect::Expired => "Expired",
        Effect::Failed => "Failed",
    }
}

/// A date of Unix seconds.
pub(super) fn date(unix_s: Option<u64>) -> Option<String> {
    unix_s.and_then(|s| i64::try_from(s).ok()).map(|s| rfc3339(s.saturating_mul(1000)))
}

/// The exit code of a wait.
pub(super) fn code(waited: bool, submitted: &Submitted, became: Option<&Became>) -> u8 {
    match became {
        _ if !waited => OK,
        Some(became) if became.outcome.effect == Effect::Applied => OK,
        Some(_) => BAD,
        None if still_open(submitted) => INCOMPLETE,
        None => BAD,
    }
}

/// What is told when there is no answer.
pub(super) fn unanswered(submitted: &Submitted) -> String {
    let status = submitted.status.as_deref().unwrap_or("unknown");
    if still_open(submitted) {
        format!("No answer yet; it is {status}. Look again: plomb ledger show {}", submitted.leaf)
    } else {
        format!("There will be no answer: it is {status}.")
    }
}

/// Whether something may still come of it.
pub(super) fn still_open(submitted: &Submitted) -> bool {
    matches!(submitted.status.as_deref(), Some("pending" | "awaits-approval" | "released") | None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_reasons_are_noticed_and_dates_are_not() {
        for secret in ["token 1234", "key=00", "1234567890123456", "Password: x"] {
            assert!(looks_secret(secret), "{secret}");
        }
        for open in ["two heat meters", "as of 2026-12-01T01:00:00Z", "ticket 20261125"] {
            assert!(!looks_secret(open), "{open}");
        }
    }
}
