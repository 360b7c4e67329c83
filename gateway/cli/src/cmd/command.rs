//! `plomb command`: a command to a meter, sealed, signed, and brought to the ledger.

use std::{
    io::{self, Read},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use plomb_gateway::ask::deed::Instruction;
use plomb_seal::{
    Hash, KeyId, Name, Signed,
    reading::TEXT_BYTES_MAX,
    sealed::Sealing,
    transaction::{COMMAND_SEALED_BYTES_MAX, Command, Effect},
};
use plomb_view::rfc3339;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::order::{self, Became, agree, random, warn_of_secrets};
use crate::{
    args::{CommandArgs, CommandVerb},
    exit::Failure,
    party::{Hub, Kept, Party, Submitted, submit},
    show::{Show, print, tell},
};

const SCHEMA: &str = "plomb.command/1";
/// How often a command takes another number, because other operators were quicker.
const COUNTER_TRIES_MAX: u8 = 8;

pub(super) fn command(args: &CommandArgs, show: &Show) -> Result<u8, Failure> {
    let content = content(args)?;
    // As the gateway will: what it could only refuse is not sealed.
    Instruction::parse(args.verb.name(), content.as_bytes()).map_err(|what| unfit(args, &what))?;
    let verb: Name = args.verb.name().parse().map_err(|_| Failure::Usage("the verb is no name".into()))?;
    if args.reason.len() > TEXT_BYTES_MAX {
        return Err(Failure::Usage(format!("--reason has at most {TEXT_BYTES_MAX} bytes")));
    }
    warn_of_secrets(&args.reason);
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let recipient = hub.get(&order::recipient_path(&args.gateway))?;
    let recipient = order::recipient(&party, &recipient, &args.gateway)?;
    let register = order::register(&mut hub, &args.gateway)?;
    let counter = order::number(&register, "counter")?.saturating_add(1);
    let expires_ms = unix_ms().saturating_add(i64::try_from(args.expires.as_millis()).unwrap_or(i64::MAX));
    let what = format!("{} at {} of {}, until {}", args.verb.name(), args.point, args.gateway, rfc3339(expires_ms));
    agree(&[what], "Send it?", args.yes)?;
    let mut bare = Command {
        origin: recipient.origin.clone(),
        gateway: args.gateway.clone(),
        point: args.point.clone(),
        verb,
        counter,
        expires_ms,
        needs: args.needs,
        // What sealing sets.
        commitment: Hash::ZERO,
        recipient: KeyId([0; 8]),
        sealed: Vec::new(),
        reason: args.reason.clone(),
    };
    let mut tries = 0;
    let (signed, submitted) = loop {
        let (signed, kept) = sealed(&bare, &recipient.key, &party, &content)?;
        match sent(&mut hub, &party, (&signed, &kept), args) {
            // Another operator was quicker: nothing of this one is on the ledger, and the next number is as good.
            Err(Failure::Refused { rule, .. }) if rule == "command-counter" && tries < COUNTER_TRIES_MAX => {
                tries += 1;
                let register = order::register(&mut hub, &args.gateway)?;
                bare.counter = order::number(&register, "counter")?.saturating_add(1);
            }
            submitted => break (signed, submitted?),
        }
    };
    let became = order::became(&mut hub, &party, &submitted, &args.gateway)?;
    report(args, &signed, (&submitted, became.as_ref()), show)?;
    Ok(order::code(args.wait.is_some(), &submitted, became.as_ref()))
}

/// Seals and signs; the salt is new each time.
fn sealed(bare: &Command, to: &[u8; 32], party: &Party, content: &str) -> Result<(Signed<Command>, Kept), Failure> {
    let (salt, seed) = (random()?, random()?);
    let sealing = Sealing { recipient: to, salt: &salt, seed: &seed };
    let sealed = bare.clone().seal(party.key.public().id(), &sealing, content.as_bytes());
    let signed = Signed::sign(sealed.map_err(|error| Failure::Usage(error.to_string()))?, &party.key);
    let kept = Kept::new(signed.hash(), bare.gateway.as_str(), &salt, content);
    Ok((signed, kept))
}

fn sent(
    hub: &mut Hub,
    party: &Party,
    (signed, kept): (&Signed<Command>, &Kept),
    args: &CommandArgs,
) -> Result<Submitted, Failure> {
    if args.needs < 2 || args.wait.is_none() {
        return order::send(hub, party, (signed.bytes(), kept), args.wait);
    }
    // The other operator must know what to approve before it is waited for.
    let first = order::send(hub, party, (signed.bytes(), kept), None)?;
    tell(format_args!("It waits for another operator's word: plomb approve {}", first.leaf));
    Ok(Submitted { known: first.known, ..submit(hub, signed.bytes(), args.wait)? })
}

/// What is sealed: by the verb nothing, a token, a file's text, or a word.
fn content(args: &CommandArgs) -> Result<Zeroizing<String>, Failure> {
    let needed = |what: &str| Failure::Usage(format!("{} needs {what}", args.verb.name()));
    match (args.verb, args.value.as_deref()) {
        (CommandVerb::Credit, Some("-")) => {
            let token = text(io::stdin().lock(), "standard input")?;
            let token = Zeroizing::new(token.trim().to_string());
            if token.is_empty() { Err(needed("a token on standard input")) } else { Ok(token) }
        }
        (CommandVerb::Credit, Some(token)) => Ok(Zeroizing::new(token.into())),
        (CommandVerb::Credit, None) => Err(needed("a token, or - to read it from standard input")),
        (CommandVerb::SetTariff, Some(path)) => {
            let path = Path::new(path);
            let file = std::fs::File::open(path).map_err(|error| Failure::file(path, error))?;
            text(file, &path.display().to_string())
        }
        (CommandVerb::SetTariff, None) => Err(needed("a file with the calendar")),
        (CommandVerb::Valve, Some(word @ ("open" | "close"))) => Ok(Zeroizing::new(word.into())),
        (CommandVerb::Valve, _) => Err(needed("open or close")),
        (_, None) => Ok(Zeroizing::default()),
        (_, Some(_)) => Err(Failure::Usage(format!("{} takes nothing more", args.verb.name()))),
    }
}

/// A content that no gateway would take.
fn unfit(args: &CommandArgs, what: &str) -> Failure {
    match (args.verb, args.value.as_deref()) {
        (CommandVerb::SetTariff, Some(file)) => Failure::Usage(format!("{file} is not sent: {what}")),
        _ => Failure::Usage(what.into()),
    }
}

fn text(from: impl Read, what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let limit = COMMAND_SEALED_BYTES_MAX as u64 + 1;
    from.take(limit).read_to_string(&mut text).map_err(|error| Failure::io(what, error))?;
    Ok(text)
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn report(
    args: &CommandArgs,
    signed: &Signed<Command>,
    (submitted, became): (&Submitted, Option<&Became>),
    show: &Show,
) -> Result<(), Failure> {
    let command = signed.statement();
    if show.json {
        return print(json!({
            "schema": SCHEMA, "transaction": submitted.leaf.to_string(), "index": submitted.index,
            "known": submitted.known, "gateway": command.gateway.as_str(), "point": command.point.as_str(),
            "verb": command.verb.as_str(), "counter": command.counter, "expires": rfc3339(command.expires_ms),
            "needs": command.needs, "status": submitted.status,
            "outcome": became.map_or(Value::Null, Became::document),
        }));
    }
    let mut lines = vec![
        format!(
            "{} at {} of {} is on the ledger, at index {}.",
            command.verb, command.point, command.gateway, submitted.index
        ),
        format!("Transaction {}", submitted.leaf),
    ];
    match became {
        Some(became) => {
            lines.extend(became.lines(show));
            if args.verb == CommandVerb::Read && became.outcome.effect == Effect::Applied {
                let leaf = submitted.leaf;
                lines.push(format!("The reading, once its batch has come to the hub: plomb ledger show {leaf}"));
            }
        }
        None if args.needs > 1 && order::still_open(submitted) => {
            lines.push(format!("It needs another operator's word: plomb approve {}", submitted.leaf));
            lines.extend(args.wait.map(|_| order::unanswered(submitted)));
        }
        None if args.wait.is_some() => lines.push(order::unanswered(submitted)),
        None => {}
    }
    print(lines.join("\n"))
}
