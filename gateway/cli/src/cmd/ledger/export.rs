//! `plomb ledger export`: one order and what became of it, in a file that proves itself.

use plomb_seal::{
    Dossier, Name, Policy, Story, Unverified, Unwarranted,
    story::{OUTCOMES_MAX, Opened},
    transaction::{Approval, Command, Config, Kind},
};
use serde_json::{Value, json};

use crate::{
    args::StoryArgs,
    exit::{Failure, OK},
    party::{Hub, Kept, Logged, Party, Register, lines, read_statement},
    show::{Show, count, one, print},
};

const SCHEMA: &str = "plomb.ledger-export/1";

pub(super) fn export(args: &StoryArgs, show: &Show) -> Result<u8, Failure> {
    let party = Party::open(&args.party)?;
    let mut hub = Hub::of(&party, &args.party)?;
    let order = Logged::get(&mut hub, &party, &args.order)?;
    let (gateway, committed) = match order.kind {
        Kind::Config => {
            let config: Config = read_statement(&order.bytes)?;
            (config.gateway, config.commitment)
        }
        Kind::Command => {
            let command: Command = read_statement(&order.bytes)?;
            (command.gateway, command.commitment)
        }
        kind => {
            return Err(Failure::Usage(format!(
                "{} is {}: no order has been given by it",
                args.order,
                one(kind.name())
            )));
        }
    };
    let opened = if args.content { Some(opened(&party, &order, &committed)?) } else { None };
    let told = hub.get_json(&format!("/ledger/transactions/{}", order.leaf))?;
    let told = told.get("order").cloned().unwrap_or_default();
    let answers = told.get("answers").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut outcomes = Vec::new();
    for answer in answers.iter().take(OUTCOMES_MAX) {
        outcomes.push(Logged::get(&mut hub, &party, &lines::leaf(answer)?.to_string())?);
    }
    outcomes.sort_by_key(|outcome| outcome.index);
    let approval = match told.get("approval").filter(|approval| approval.is_object()) {
        Some(approval) => Some(Logged::get(&mut hub, &party, &lines::leaf(approval)?.to_string())?),
        None => None,
    };
    let mut register = Register::fetch(&mut hub, &party)?;
    let mut parties = Vec::new();
    let mut names = vec![lines::author(&mut hub, &order.leaf)?];
    if let Some(approval) = &approval {
        names.push(lines::author(&mut hub, &approval.leaf)?);
    }
    names.push(gateway.clone());
    names.dedup();
    for name in &names {
        parties.extend(signing(&mut hub, &party, &mut register, name, [Some(&order), approval.as_ref()], &outcomes)?);
    }
    let story = Story {
        policy: party.policy_text.clone(),
        dossier: Dossier {
            genesis: register.genesis.sealed(),
            parties,
            order: order.sealed(),
            approval: approval.as_ref().map(Logged::sealed),
        },
        outcomes: outcomes.iter().map(Logged::sealed).collect(),
        opened,
    };
    let story = with_votes(story, &register, &party.policy).map_err(|wrong| Failure::Unproved(wrong.to_string()))?;
    std::fs::write(&args.output, story.to_bytes()).map_err(|error| Failure::file(&args.output, error))?;
    if show.json {
        print(json!({
            "schema": SCHEMA, "transaction": order.leaf.to_string(), "index": order.index, "kind": order.kind.name(),
            "gateway": gateway.as_str(), "outcomes": story.outcomes.len(), "content": story.opened.is_some(),
            "out": args.output,
        }))?;
    } else {
        let outcomes = count(u64::try_from(story.outcomes.len()).unwrap_or(u64::MAX), "answer", "answers");
        print(format_args!(
            "{}: the {} at index {} for {gateway}, with {outcomes}, proved.\nCheck it anywhere: plomb verify {} --policy POLICY",
            args.output.display(),
            order.kind.name(),
            order.index,
            args.output.display()
        ))?;
    }
    Ok(OK)
}

/// Of the certificates of a name those whose keys signed something here.
fn signing(
    hub: &mut Hub,
    party: &Party,
    register: &mut Register,
    name: &Name,
    orders: [Option<&Logged>; 2],
    outcomes: &[Logged],
) -> Result<Vec<plomb_seal::Logged>, Failure> {
    let signed: Vec<_> = orders.into_iter().flatten().chain(outcomes).filter_map(key).collect();
    let certificates = register.certificates(hub, party, name)?;
    let fits = |issue: &plomb_seal::transaction::Issue| signed.contains(&issue.key.id());
    Ok(certificates.iter().filter(|(_, issue)| fits(issue)).map(|(logged, _)| logged.sealed()).collect())
}

/// The id of the key that signed.
fn key(logged: &Logged) -> Option<plomb_seal::KeyId> {
    let bytes = &logged.bytes;
    match logged.kind {
        Kind::Config => Unverified::<Config>::parse(bytes).ok().map(|parsed| parsed.key_id()),
        Kind::Command => Unverified::<Command>::parse(bytes).ok().map(|parsed| parsed.key_id()),
        Kind::Approval => Unverified::<Approval>::parse(bytes).ok().map(|parsed| parsed.key_id()),
        Kind::Outcome => {
            Unverified::<plomb_seal::transaction::Outcome>::parse(bytes).ok().map(|parsed| parsed.key_id())
        }
        _ => None,
    }
}

/// The story as it holds: with the votes, if without them nobody would know who issued a certificate.
fn with_votes(mut story: Story, register: &Register, policy: &Policy) -> Result<Story, Unwarranted> {
    match story.verify(policy) {
        Ok(_) => return Ok(story),
        Err(wrong) if register.votes.is_empty() => return Err(wrong),
        Err(_) => {}
    }
    let votes: Vec<_> = register.votes.iter().map(Logged::sealed).collect();
    story.dossier.parties.splice(0..0, votes);
    story.verify(policy)?;
    Ok(story)
}

fn opened(party: &Party, order: &Logged, committed: &plomb_seal::Hash) -> Result<Opened, Failure> {
    let kept = Kept::read(&party.folder, &order.leaf)?;
    let kept =
        kept.ok_or_else(|| Failure::Unavailable("what was sealed is not in this folder: another sealed it".into()))?;
    if !kept.fits(committed) {
        return Err(Failure::Unproved("what is kept here is not what was sealed".into()));
    }
    let salt = kept.salt().ok_or_else(|| Failure::Config("the salt that is kept can't be read".into()))?;
    Ok(Opened { salt, content: kept.content.into_bytes() })
}
