//! `plomb approve`: a second operator's word for a command.

use std::time::Duration;

use plomb_seal::{
    Signed,
    transaction::{Approval, Command, Kind},
};
use plomb_view::rfc3339;
use serde_json::{Value, json};

use super::order::{self, Became, agree};
use crate::{
    args::ApproveArgs,
    exit::Failure,
    party::{Hub, Logged, Party, Register, lines, read_statement, submit},
    show::{Show, one, one_line, print},
};

const SCHEMA: &str = "plomb.approval/1";

pub(super) fn approve(args: &ApproveArgs, show: &Show) -> Result<u8, Failure> {
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let logged = Logged::get(&mut hub, &party, &args.command)?;
    if logged.kind != Kind::Command {
        return Err(Failure::Usage(format!("{} is {}, no command", args.command, one(logged.kind.name()))));
    }
    let command: Command = read_statement(&logged.bytes)?;
    if command.needs < 2 {
        return Err(Failure::Usage("this command needs one operator alone: there is nothing to approve".into()));
    }
    let mut register = Register::fetch(&mut hub, &party)?;
    let author = lines::author(&mut hub, &logged.leaf)?;
    let signer = register.signer(&mut hub, &party, &logged, &author)?;
    let shown = [
        format!("{} at {} of {}", command.verb, command.point, command.gateway),
        format!("  sent by {}, until {}", signer.name(), rfc3339(command.expires_ms)),
        format!("  reason: {}", one_line(&command.reason)),
        format!("  what is sealed in it ({} bytes with its envelope) only the gateway can read", command.sealed.len()),
    ];
    agree(&shown, "Approve it?", args.yes)?;
    let approval = Approval { origin: command.origin.clone(), of: logged.leaf };
    let signed = Signed::sign(approval, &party.key);
    let approved = submit(&mut hub, signed.bytes(), None)?;
    // The command once more: it is known, and its outcome can be waited for.
    let wait = args.wait.unwrap_or(Duration::ZERO);
    let of_command = submit(&mut hub, &logged.bytes, Some(wait))?;
    let became = order::became(&mut hub, &party, &of_command, &command.gateway)?;
    if show.json {
        print(json!({
            "schema": SCHEMA, "transaction": approved.leaf.to_string(), "index": approved.index, "known": approved.known,
            "of": logged.leaf.to_string(), "gateway": command.gateway.as_str(), "point": command.point.as_str(),
            "verb": command.verb.as_str(), "author": signer.name().as_str(), "status": of_command.status,
            "outcome": became.as_ref().map_or(Value::Null, Became::document),
        }))?;
    } else {
        let mut lines = vec![format!(
            "Approved: {} at {} of {}, at index {}.",
            command.verb, command.point, command.gateway, approved.index
        )];
        match &became {
            Some(became) => lines.extend(became.lines(show)),
            None if args.wait.is_some() => lines.push(order::unanswered(&of_command)),
            None => {}
        }
        print(lines.join("\n"))?;
    }
    Ok(order::code(args.wait.is_some(), &of_command, became.as_ref()))
}
