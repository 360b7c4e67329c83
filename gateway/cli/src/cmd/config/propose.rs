//! `plomb config propose`: a configuration, checked, sealed, signed, and brought to the ledger.

use std::path::Path;

use plomb_gateway::config::survey;
use plomb_seal::{
    Hash, KeyId, Signed,
    reading::TEXT_BYTES_MAX,
    recipient::RecipientKey,
    sealed::Sealing,
    transaction::{Config, Priority, Window},
};
use plomb_view::rfc3339;
use serde_json::{Value, json};

use super::{
    super::order::{self, Became},
    check,
};
use crate::{
    args::ProposeArgs,
    cmd::order::{agree, random, warn_of_secrets},
    exit::{Failure, OK},
    party::{Hub, Kept, Party, Submitted},
    show::{Show, print, tell},
};

const SCHEMA: &str = "plomb.config-proposal/1";
/// The largest file with a recipient, in bytes.
const RECIPIENT_BYTES_MAX: u64 = 4 << 20;

pub(super) fn propose(args: &ProposeArgs, show: &Show) -> Result<u8, Failure> {
    let text = checked(args)?;
    if args.reason.is_empty() || args.reason.len() > TEXT_BYTES_MAX {
        return Err(Failure::Usage(format!("--reason: say why, in 1 to {TEXT_BYTES_MAX} bytes")));
    }
    warn_of_secrets(&args.reason);
    let party = Party::open(&args.party)?;
    if let Some(out) = &args.out {
        return offline(args, &party, &text, out, show);
    }
    let mut hub = Hub::of(&party, &args.party)?;
    let bytes = match &args.recipient {
        Some(path) => crate::cmd::read_bytes(path, RECIPIENT_BYTES_MAX)?,
        None => hub.get(&order::recipient_path(&args.gateway))?,
    };
    let recipient = order::recipient(&party, &bytes, &args.gateway)?;
    let base = match args.base {
        Some(base) => base,
        None => {
            let last = order::number(&order::register(&mut hub, &args.gateway)?, "last")?;
            tell(format_args!("The last version of {} is {last}, as the hub says: taken as base.", args.gateway));
            last
        }
    };
    agree(&summary(args, base, &recipient), "Send it?", args.yes)?;
    let (signed, kept) = seal(args, &party, &recipient, base, &text)?;
    let submitted = order::send(&mut hub, &party, (signed.bytes(), &kept), args.wait)?;
    let became = order::became(&mut hub, &party, &submitted, &args.gateway)?;
    report(args, &signed, &recipient, Some((&submitted, became.as_ref())), show)?;
    Ok(order::code(args.wait.is_some(), &submitted, became.as_ref()))
}

/// The text of a file in which nothing is wrong, for this gateway.
fn checked(args: &ProposeArgs) -> Result<String, Failure> {
    let text = check::read(&args.file)?;
    let surveyed = survey(&args.file, &text);
    let Some(config) = surveyed.config else {
        check::lines(&surveyed.findings).iter().for_each(tell);
        return Err(Failure::Config(format!("{} is not sent: something is wrong in it", args.file.display())));
    };
    if config.gateway.id != args.gateway.as_str() {
        return Err(Failure::Config(format!(
            "{} is for gateway {}, not for {}: it would never be applied",
            args.file.display(),
            config.gateway.id,
            args.gateway
        )));
    }
    Ok(text)
}

fn offline(args: &ProposeArgs, party: &Party, text: &str, out: &Path, show: &Show) -> Result<u8, Failure> {
    let (Some(file), Some(base)) = (&args.recipient, args.base) else {
        return Err(Failure::Usage("--out needs --recipient and --base".into()));
    };
    let bytes = crate::cmd::read_bytes(file, RECIPIENT_BYTES_MAX)?;
    let recipient = order::recipient(party, &bytes, &args.gateway)?;
    let (signed, kept) = seal(args, party, &recipient, base, text)?;
    kept.write(&party.folder)?;
    std::fs::write(out, signed.bytes()).map_err(|error| Failure::file(out, error))?;
    report(args, &signed, &recipient, None, show)?;
    Ok(OK)
}

fn seal(
    args: &ProposeArgs,
    party: &Party,
    recipient: &RecipientKey,
    base: u64,
    text: &str,
) -> Result<(Signed<Config>, Kept), Failure> {
    let bare = Config {
        origin: recipient.origin.clone(),
        gateway: args.gateway.clone(),
        base,
        priority: args.priority.into(),
        window: args.at.map(|(from_ms, until_ms)| Window { from_ms, until_ms }),
        // What sealing sets.
        commitment: Hash::ZERO,
        recipient: KeyId([0; 8]),
        sealed: Vec::new(),
        reason: args.reason.clone(),
    };
    let (salt, seed) = (random()?, random()?);
    let sealing = Sealing { recipient: &recipient.key, salt: &salt, seed: &seed };
    let sealed = bare.seal(party.key.public().id(), &sealing, text.as_bytes());
    let sealed = sealed.map_err(|error| Failure::Config(format!("{}: {error}", args.file.display())))?;
    let signed = Signed::sign(sealed, &party.key);
    let kept = Kept::new(signed.hash(), args.gateway.as_str(), &salt, text);
    Ok((signed, kept))
}

fn summary(args: &ProposeArgs, base: u64, recipient: &RecipientKey) -> Vec<String> {
    let window =
        args.at.map_or(String::new(), |(from, until)| format!(", from {} until {}", rfc3339(from), rfc3339(until)));
    vec![
        format!(
            "{} as version {} of {}, {}{window}",
            args.file.display(),
            base.saturating_add(1),
            args.gateway,
            Priority::from(args.priority).name()
        ),
        format!(
            "sealed to the gateway's key {} (number {}), which the ledger {} vouches for",
            recipient.key_id(),
            recipient.serial,
            recipient.origin
        ),
    ]
}

fn report(
    args: &ProposeArgs,
    signed: &Signed<Config>,
    recipient: &RecipientKey,
    sent: Option<(&Submitted, Option<&Became>)>,
    show: &Show,
) -> Result<(), Failure> {
    let config = signed.statement();
    if show.json {
        return print(json!({
            "schema": SCHEMA, "transaction": signed.hash().to_string(), "gateway": config.gateway.as_str(),
            "version": config.version(), "base": config.base, "priority": config.priority.name(),
            "commitment": config.commitment.to_string(),
            "recipient": { "key_id": recipient.key_id().to_string(), "serial": recipient.serial },
            "out": args.out, "admitted": sent.is_some(), "index": sent.map(|(submitted, _)| submitted.index),
            "known": sent.map(|(submitted, _)| submitted.known),
            "status": sent.and_then(|(submitted, _)| submitted.status.clone()),
            "outcome": sent.and_then(|(_, became)| became).map_or(Value::Null, Became::document),
        }));
    }
    let Some((submitted, became)) = sent else {
        let out = args.out.as_deref().unwrap_or(Path::new("-")).display();
        return print(format_args!(
            "Version {} of {} is signed, in {out}: bring it to the ledger with `plomb ledger submit`.\nTransaction {}",
            config.version(),
            config.gateway,
            signed.hash()
        ));
    };
    let mut lines = vec![
        format!("Version {} of {} is on the ledger, at index {}.", config.version(), config.gateway, submitted.index),
        format!("Transaction {}", submitted.leaf),
    ];
    match became {
        Some(became) => lines.extend(became.lines(show)),
        None if args.wait.is_some() => lines.push(order::unanswered(submitted)),
        None => {}
    }
    print(lines.join("\n"))
}
