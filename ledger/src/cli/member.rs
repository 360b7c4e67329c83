//! `plomb-hub member`: a new member's keys, and votes.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use plomb_seal::{
    Name, PublicKey, Signed,
    transaction::{Member, MemberChange, Vote},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    config::HubConfig,
    desk::Request,
    files::{self, FileError},
    hub::{self, unix_ms},
    pki,
};

use super::{
    Failure,
    args::{MemberCommand, NewMemberArgs, VoteArgs, VoteFor},
    door::Door,
    exit, print, print_json,
    status::{list, text},
};

/// What a new member gives to the others, so that they can vote for it.
const CARD: &str = "member.json";

/// A member's public half, as a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    schema: String,
    name: String,
    /// Hexadecimal.
    key: String,
    /// X.509 DER, hexadecimal.
    authority: String,
}

const CARD_SCHEMA: &str = "plomb.member-card/1";

pub(super) fn member(what: &MemberCommand) -> Result<(), Failure> {
    match what {
        MemberCommand::New(args) => new(args),
        MemberCommand::Vote(args) => vote(args),
    }
}

/// Makes key and authority of a member that is to be.
fn new(args: &NewMemberArgs) -> Result<(), Failure> {
    let name = named(&args.name, "--name")?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&args.dir);
    made.map_err(|error| Failure::io(args.dir.display(), &error))?;
    let file = |name: &str| args.dir.join(name);
    let key = files::make_seed(&file(hub::MEMBER_KEY))?;
    let pair = files::make_pair(&file(hub::AUTHORITY_KEY))?;
    let authority = pki::authority(&name, &pair, unix_ms().div_euclid(1000));
    let authority = authority.map_err(|error| Failure::new(exit::USAGE, error.to_string()))?;
    files::write_new(&file(hub::AUTHORITY), authority.pem().as_bytes())?;
    let card = Card {
        schema: CARD_SCHEMA.into(),
        name: name.to_string(),
        key: hex::encode(key.public().to_bytes()),
        authority: hex::encode(authority.der()),
    };
    let card = serde_json::to_vec(&card).map_err(|error| Failure::new(exit::IO, error.to_string()))?;
    files::write_new(&file(CARD), &card)?;
    if args.json {
        return print_json(&json!({ "schema": "plomb.hub-member-new/1", "member": name.as_str(), "card": file(CARD) }));
    }
    print(&format!(
        "{} is what the present members need to vote for {name}:\n  plomb-hub member vote --config hub.toml add {0}\n\
         Keep copies of member.key and ca.key offline.\n",
        file(CARD).display()
    ))
}

/// Signs a vote for the members as they are now, and submits it.
fn vote(args: &VoteArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    let change = match &args.what {
        VoteFor::Add { card } => MemberChange::Add(Box::new(read_card(card)?)),
        VoteFor::Remove { name } => MemberChange::Remove(named(name, "remove")?),
        VoteFor::Quorum { number } => MemberChange::Quorum(*number),
    };
    let key = files::read_seed(&file_of(&config, args.member.as_deref(), hub::MEMBER_KEY))?;
    let mut door = Door::open(&config)?;
    let members = |door: &mut Door| door.ask(Request::Members {});
    let base = members(&mut door)?.get("changes").and_then(Value::as_u64);
    let base = base.ok_or_else(|| Failure::new(exit::IO, "the hub's answer does not say how often members changed"))?;
    let vote = Vote { origin: config.origin.clone(), base, change };
    let ballot = vote.ballot().to_string();
    let bytes = Signed::sign(vote, &key).into_bytes();
    let answer = door.ask(Request::Submit { transaction: hex::encode(bytes) })?;
    let after = members(&mut door)?;
    let took_effect = after.get("changes").and_then(Value::as_u64) > Some(base);
    let open = list(&after, "ballots").iter().find(|one| text(one, "ballot") == ballot);
    let votes = open.map_or(0, |one| list(one, "voters").len());
    if args.json {
        return print_json(&json!({
            "schema": "plomb.hub-vote/1", "index": answer.get("index"), "ballot": ballot, "took_effect": took_effect,
            "votes": (!took_effect).then_some(votes), "quorum": after.get("quorum"),
        }));
    }
    if took_effect {
        return print("The vote made the quorum: the change took effect..\n");
    }
    print(&format!("{votes} of {} votes. The others vote for the very same change.\n", text(&after, "quorum")))
}

fn read_card(path: &Path) -> Result<Member, Failure> {
    let wrong = |what: &str| Failure::from(FileError::content(path, what));
    let card: Card = serde_json::from_slice(&files::read(path)?)
        .map_err(|error| wrong(&format!("this is no member's card: {error}; `plomb-hub member new` makes one")))?;
    if card.schema != CARD_SCHEMA {
        return Err(wrong(&format!("its schema is \"{}\", not \"{CARD_SCHEMA}\"", card.schema)));
    }
    let key = hex::decode(&card.key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = key.and_then(|bytes| PublicKey::from_bytes(&bytes)).ok_or_else(|| wrong("its key is no Ed25519 key"))?;
    let authority = hex::decode(&card.authority).map_err(|_| wrong("its authority is not hexadecimal"))?;
    Ok(Member { name: named(&card.name, "the card's name")?, key, authority })
}

/// A file of a member: of another one's folder, or of the hub's own.
pub(super) fn file_of(config: &HubConfig, member: Option<&Path>, name: &str) -> PathBuf {
    member.map_or_else(|| config.file(name), |folder| folder.join(name))
}

fn named(text: &str, option: &str) -> Result<Name, Failure> {
    text.parse().map_err(|error: plomb_seal::NameError| Failure::new(exit::USAGE, format!("{option}: {error}")))
}
