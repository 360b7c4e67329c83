//! The rules, one function each, named as the refusal names them.

mod anchor;
mod authors;
mod certificate;
mod command;
mod config;
mod member;
mod outcome;

use std::collections::BTreeSet;

use plomb_seal::{
    Name,
    transaction::{Genesis, Kind, TRANSACTION_BYTES_MAX},
};

use super::{Refused, State, x509};

pub(super) use anchor::*;
pub(super) use authors::{holder, in_scope, member, origin};
pub(super) use certificate::*;
pub(super) use command::*;
pub use command::{COMMAND_LIFE_DAYS_MAX, COUNTER_STEP_MAX};
pub(super) use config::*;
pub use config::{SEALED_BYTES_MIN, WINDOW_AHEAD_DAYS_MAX};
pub(super) use member::*;
pub(super) use outcome::*;

/// `transaction-size`: it fits an entry of C2SP tlog-tiles.
pub(super) fn transaction_size(transaction: &[u8]) -> Result<(), Refused> {
    if transaction.len() <= TRANSACTION_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("{} bytes: a transaction has at most {TRANSACTION_BYTES_MAX}", transaction.len());
    Err(Refused::new("transaction-size", detail))
}

/// `genesis-first`: nothing stands before the genesis.
pub(super) fn genesis_first(state: &State, kind: Kind) -> Result<(), Refused> {
    if state.founding().is_none() && kind != Kind::Genesis {
        return Err(Refused::new(
            "genesis-first",
            "the ledger has no members yet: its first transaction must be the genesis",
        ));
    }
    Ok(())
}

/// `genesis-once`: there is one genesis.
pub(super) fn genesis_once(state: &State) -> Result<(), Refused> {
    match state.founding() {
        None => Ok(()),
        Some(founding) => {
            Err(Refused::new("genesis-once", format!("the ledger \"{}\" is founded already", founding.origin)))
        }
    }
}

/// `genesis-members`: an origin fit for a note, members with distinct names and keys, a quorum that they
/// can reach, each authority a self-signed Ed25519 CA certificate.
pub(super) fn genesis_members(genesis: &Genesis) -> Result<(), Refused> {
    let wrong = |detail: String| Err(Refused::new("genesis-members", detail));
    let origin = &genesis.origin;
    if origin.is_empty() || origin.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        return wrong("the origin must be a word without spaces or plus signs, like ledger.example/street".into());
    }
    let names: BTreeSet<&Name> = genesis.members.iter().map(|member| &member.name).collect();
    let keys: BTreeSet<[u8; 32]> = genesis.members.iter().map(|member| member.key.to_bytes()).collect();
    if names.len() != genesis.members.len() || keys.len() != genesis.members.len() || names.is_empty() {
        return wrong("a ledger needs at least one member, each with its own name and key".into());
    }
    if !(1..=names.len()).contains(&(genesis.quorum as usize)) {
        return wrong(format!("the quorum of {} can't be reached by {} members", genesis.quorum, names.len()));
    }
    for member in &genesis.members {
        if let Err(detail) = x509::check_authority(&member.authority) {
            return wrong(format!("the authority of member {}: {detail}", member.name));
        }
    }
    Ok(())
}
