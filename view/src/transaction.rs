//! The ledger's transactions as JSON: what each says. Who signed it, and whether it stands in the log, is for others.

use plomb_seal::{
    Anchor, Malformed, Unverified,
    transaction::{self, Approval, Certificate, Command, Config, Genesis, Kind, Outcome, SealingKey, Vote},
};
use serde_json::{Value, json};

use crate::rfc3339;

/// What a transaction says.
///
/// # Errors
/// Why it is none.
pub fn statement(bytes: &[u8]) -> Result<Value, Malformed> {
    Ok(match transaction::kind(bytes)? {
        Kind::Genesis => {
            let parsed = Unverified::<Genesis>::parse(bytes)?;
            let genesis = parsed.claims();
            let members: Vec<&str> = genesis.members.iter().map(|member| member.name.as_str()).collect();
            json!({ "origin": genesis.origin, "members": members, "quorum": genesis.quorum })
        }
        Kind::Member => {
            let parsed = Unverified::<Vote>::parse(bytes)?;
            let vote = parsed.claims();
            json!({ "base": vote.base, "change": vote.change.name(), "ballot": vote.ballot().to_string() })
        }
        Kind::Certificate => match Unverified::<Certificate>::parse(bytes)?.claims() {
            Certificate::Issue(issue) => json!({
                "subject": issue.subject.as_str(), "role": issue.role.name(),
                "fingerprint": issue.fingerprint().to_string(),
                "not_before": rfc3339(issue.not_before_s.saturating_mul(1000)),
                "not_after": rfc3339(issue.not_after_s.saturating_mul(1000)),
            }),
            Certificate::Revoke { fingerprint, reason, .. } => {
                json!({ "fingerprint": fingerprint.to_string(), "reason": reason })
            }
        },
        Kind::Anchor => {
            let parsed = Unverified::<Anchor>::parse(bytes)?;
            let anchor = parsed.claims();
            json!({
                "gateway": anchor.gateway.as_str(), "epoch": anchor.epoch, "batch": anchor.batch,
                "first_seq": anchor.first_seq, "entries": anchor.count, "root": anchor.root.to_string(),
            })
        }
        Kind::SealingKey => {
            let parsed = Unverified::<SealingKey>::parse(bytes)?;
            let sealing = parsed.claims();
            json!({
                "gateway": sealing.gateway.as_str(), "serial": sealing.serial, "key": hex::encode(sealing.key),
                "key_id": sealing.key_id().to_string(),
            })
        }
        Kind::Config => {
            let parsed = Unverified::<Config>::parse(bytes)?;
            let config = parsed.claims();
            json!({
                "gateway": config.gateway.as_str(), "version": config.version(), "base": config.base,
                "priority": config.priority.name(),
                "window": config.window.map(|window| [rfc3339(window.from_ms), rfc3339(window.until_ms)]),
                "commitment": config.commitment.to_string(), "recipient": config.recipient.to_string(),
                "sealed_bytes": config.sealed.len(), "reason": config.reason,
            })
        }
        Kind::Command => {
            let parsed = Unverified::<Command>::parse(bytes)?;
            let command = parsed.claims();
            json!({
                "gateway": command.gateway.as_str(), "point": command.point.as_str(), "verb": command.verb.as_str(),
                "counter": command.counter, "expires": rfc3339(command.expires_ms), "needs": command.needs,
                "commitment": command.commitment.to_string(), "recipient": command.recipient.to_string(),
                "sealed_bytes": command.sealed.len(), "reason": command.reason,
            })
        }
        Kind::Approval => json!({ "of": Unverified::<Approval>::parse(bytes)?.claims().of.to_string() }),
        Kind::Outcome => {
            let parsed = Unverified::<Outcome>::parse(bytes)?;
            let outcome = parsed.claims();
            json!({
                "gateway": outcome.gateway.as_str(), "of": outcome.of.to_string(), "effect": outcome.effect.name(),
                "rule": outcome.rule, "detail": outcome.detail, "epoch": outcome.epoch, "seq": outcome.seq,
                "time": rfc3339(outcome.time_ms),
            })
        }
    })
}
