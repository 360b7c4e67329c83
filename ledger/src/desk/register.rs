//! What the desk tells of the register: lines of the history, one transaction in full, what a gateway has to do, who
//! the members are.

use plomb_seal::{
    Hash, Name, Unverified,
    transaction::{self, Kind, Outcome},
};
use plomb_view::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Problem, name};
use crate::{
    LedgerError,
    history::{Filter, HistoryLine},
    hub::unix_ms,
    ledger::Ledger,
    state::{Answered, CommandRecord, Order},
};

/// What lines of the history are asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// About this gateway.
    pub gateway: Option<String>,
    /// About this measuring point.
    pub point: Option<String>,
    /// Signed by this party.
    pub author: Option<String>,
    /// About this holder of a certificate, or this member.
    pub subject: Option<String>,
    /// A configuration of this version, and what became of it.
    pub version: Option<u64>,
    /// Of this kind.
    pub kind: Option<String>,
    /// From this index in the log on.
    pub from: u64,
    /// At most so many lines in one answer.
    pub limit: Option<usize>,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, Problem> {
        let named = |text: &Option<String>| text.as_deref().map(name).transpose();
        let kind = self.kind.as_deref().map(|text| {
            Kind::from_name(text).ok_or_else(|| Problem::usage(format!("there are no transactions of kind \"{text}\"")))
        });
        if self.version.is_some() && self.gateway.is_none() {
            return Err(Problem::usage("each gateway counts its own versions: name the gateway too"));
        }
        Ok(Filter {
            gateway: named(&self.gateway)?,
            point: named(&self.point)?,
            author: named(&self.author)?,
            subject: named(&self.subject)?,
            version: self.version,
            kind: kind.transpose()?,
            from: self.from,
            lines_max: self.limit.unwrap_or(crate::history::LINES_MAX),
        })
    }
}

/// A page of the history.
pub(crate) fn history(ledger: &Ledger, wanted: &Wanted) -> Result<Value, Problem> {
    let page = ledger.history(&wanted.filter()?, unix_ms())?;
    let lines: Vec<Value> = page.lines.iter().map(line).collect();
    Ok(json!({ "schema": "plomb.ledger-history/1", "lines": lines, "next": page.next }))
}

pub(crate) fn line(told: &HistoryLine) -> Value {
    let line = &told.line;
    let named = |name: &Option<Name>| name.as_ref().map(ToString::to_string);
    json!({
        "schema": "plomb.ledger-line/1", "index": told.index, "time": rfc3339(told.time_ms),
        "transaction": told.transaction.to_string(), "kind": line.kind.name(), "action": line.action,
        "author": line.author.as_str(), "gateway": named(&line.gateway), "point": named(&line.point),
        "subject": named(&line.subject), "version": line.version,
        "priority": line.priority().map(transaction::Priority::name), "of": line.of.map(|of| of.to_string()),
        "text": line.text, "status": told.status.map(crate::state::Status::name),
        "answer": told.answer.as_ref().map(answer),
    })
}

fn answer(answered: &Answered) -> Value {
    json!({
        "effect": answered.effect.name(), "transaction": answered.transaction.to_string(),
        "time": rfc3339(answered.time_ms),
    })
}

/// One transaction, by index or leaf hash: its line, what it says, its bytes and its proof. `sees` says whether whoever asks
/// may see readings of a gateway's point: consumption is not everybody's to know.
pub(crate) fn show(ledger: &Ledger, which: &str, sees: impl Fn(&Name, &Name) -> bool) -> Result<Value, Problem> {
    let unknown = || Problem::usage(format!("the ledger holds no transaction {which}: give an index or a leaf hash"));
    let index = match hex::decode(which).ok().filter(|_| which.len() == 64).and_then(|bytes| Hash::from_slice(&bytes)) {
        Some(leaf) => ledger.index_of(&leaf)?.ok_or_else(unknown)?,
        None => which.parse().map_err(|_| unknown())?,
    };
    let bytes = ledger.transaction(index)?.ok_or_else(unknown)?;
    let leaf = plomb_seal::tree::leaf_hash(&bytes);
    let proof = ledger.logged(&leaf)?.map(|logged| logged.proof);
    let kind = transaction::kind(&bytes).map_err(LedgerError::from)?;
    let line = ledger.history_line(index, unix_ms())?.as_ref().map(line);
    let stored = ledger.order(&leaf)?;
    let order = stored.as_ref().map(order);
    let reading = match &stored {
        Some(Order::Command(command)) if sees(&command.gateway, &command.point) => read_after(ledger, command)?,
        _ => None,
    };
    Ok(json!({
        "schema": "plomb.ledger-transaction/1", "index": index, "transaction": leaf.to_string(), "kind": kind.name(),
        "line": line, "statement": plomb_view::statement(&bytes).map_err(LedgerError::from)?, "order": order,
        "bytes": hex::encode(&bytes), "proof": proof, "reading": reading,
    }))
}

/// The reading taken after a command was carried out, as far as its batch has come.
fn read_after(ledger: &Ledger, command: &CommandRecord) -> Result<Option<Value>, Problem> {
    let Some(answer) = &command.answer else { return Ok(None) };
    let index = ledger.index_of(&answer.transaction)?;
    let Some(bytes) = index.map(|index| ledger.transaction(index)).transpose()?.flatten() else { return Ok(None) };
    let outcome = Unverified::<Outcome>::parse(&bytes).map_err(LedgerError::from)?;
    let entry = (outcome.claims().epoch, outcome.claims().seq);
    let found = ledger.reading_after(&command.gateway, &command.point, entry)?;
    Ok(found.map(|entry| plomb_view::document(&entry)))
}

/// What became of a configuration or command, in full.
fn order(order: &Order) -> Value {
    match order {
        Order::Config(config) => json!({
            "certificate": config.certificate.to_string(),
            "answers": config.answers.iter().map(answer).collect::<Vec<_>>(),
        }),
        Order::Command(command) => json!({
            "certificate": command.certificate.to_string(),
            "approval": command.approval.as_ref().map(|approval| json!({
                "by": approval.by.as_str(), "transaction": approval.transaction.to_string(),
                "time": rfc3339(approval.time_ms),
            })),
            "answers": command.answer.iter().map(answer).collect::<Vec<_>>(),
        }),
    }
}

/// What a gateway has to do, what it is sealed to, and what is in force.
pub(super) fn due(ledger: &Ledger, gateway: &Name) -> Value {
    let (state, now_ms) = (ledger.state(), unix_ms());
    let due: Vec<Value> = state
        .due(gateway, now_ms)
        .into_iter()
        .map(|due| {
            json!({
                "kind": due.kind.name(), "priority": due.priority.name(), "index": due.index,
                "transaction": due.transaction.to_string(),
            })
        })
        .collect();
    let register = state.register(gateway);
    json!({
        "schema": "plomb.ledger-due/1", "gateway": gateway.as_str(), "due": due,
        "version": register.map_or(0, crate::state::Register::version),
        "applied": register.and_then(|register| register.applied).map(|applied| applied.version),
        "counter": register.map_or(0, |register| register.counter),
        "sealing": register.and_then(|register| register.sealing).map(|sealing| json!({
            "serial": sealing.serial, "key": hex::encode(sealing.key),
            "key_id": transaction::sealing_key_id(&sealing.key).to_string(),
        })),
    })
}

/// Members, quorum, undecided votes.
pub(super) fn members(ledger: &Ledger) -> Value {
    let consortium = ledger.state().consortium();
    let members: Vec<Value> = consortium
        .iter()
        .flat_map(|consortium| &consortium.members)
        .map(|member| json!({ "member": member.name.as_str(), "key": hex::encode(member.key.to_bytes()) }))
        .collect();
    let former: Vec<Value> = consortium
        .iter()
        .flat_map(|consortium| &consortium.former)
        .map(|former| json!({ "member": former.name.as_str(), "left": rfc3339(former.left_ms) }))
        .collect();
    let ballots: Vec<Value> = consortium
        .iter()
        .flat_map(|consortium| &consortium.ballots)
        .map(|ballot| {
            let voters: Vec<&str> = ballot.voters.iter().map(Name::as_str).collect();
            json!({ "ballot": ballot.statement.to_string(), "change": ballot.change, "voters": voters })
        })
        .collect();
    json!({
        "schema": "plomb.ledger-members/1", "members": members, "former": former, "ballots": ballots,
        "quorum": consortium.as_ref().map(|consortium| consortium.quorum),
        "changes": consortium.as_ref().map(|consortium| consortium.changes),
    })
}
