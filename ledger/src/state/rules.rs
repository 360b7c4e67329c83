//! The rules, one function each, named as the refusal names them.

use std::collections::BTreeSet;

use plomb_seal::{
    Anchor, Hash, KeyId, Name,
    note::{Checkpoint, Note, VerifierKey},
    transaction::{Genesis, Issue, Kind, Member, Role},
};

use super::{CERTIFICATES_MAX, CertificateRecord, GatewayRecord, Refused, State, x509};

/// The longest validity of a certificate, in days: a gateway's mounted life.
const VALIDITY_DAYS_MAX: i64 = 20 * 366;
const DAY_S: i64 = 86_400;
/// The most epochs that a gateway passes at once: each was one restart on a lost or restored journal, of which
/// nothing was ever anchored.
const EPOCHS_AT_ONCE_MAX: u32 = 1_000;

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

/// `known-author`: a certificate transaction is signed by a member.
pub(super) fn known_author(state: &State, key: KeyId) -> Result<&Member, Refused> {
    let members = state.founding().map(|founding| founding.members.as_slice()).unwrap_or_default();
    members
        .iter()
        .find(|member| member.key.id() == key)
        .ok_or_else(|| Refused::new("known-author", format!("key {key} belongs to no member of the ledger")))
}

/// `certificate-origin`: the transaction is meant for this ledger.
pub(super) fn certificate_origin(state: &State, origin: &str) -> Result<(), Refused> {
    match state.founding() {
        Some(founding) if founding.origin == origin => Ok(()),
        _ => Err(Refused::new("certificate-origin", format!("the transaction is meant for the ledger \"{origin}\""))),
    }
}

/// `certificate-unique`: the certificate was never recorded, its key serves nobody else, there is room.
pub(super) fn certificate_unique(state: &State, issue: &Issue) -> Result<(), Refused> {
    let wrong = |detail: String| Err(Refused::new("certificate-unique", detail));
    if let Some(found) = state.certificate(&issue.fingerprint()) {
        return wrong(format!("this X.509 certificate is recorded already, for {}", found.subject));
    }
    if let Some((_, found)) =
        state.certificates_of_key(issue.key.id()).find(|(_, found)| found.subject != issue.subject)
    {
        return wrong(format!("key {} is recorded for {}: make a new key", issue.key.id(), found.subject));
    }
    if state.certificates.len() >= CERTIFICATES_MAX {
        return wrong(format!("the ledger holds {CERTIFICATES_MAX} certificates, its most"));
    }
    Ok(())
}

/// `certificate-role`: a name keeps its role for ever, and a gateway's certificate has no scope.
pub(super) fn certificate_role(state: &State, issue: &Issue) -> Result<(), Refused> {
    if let Some(role) = state.roles.get(&issue.subject).filter(|role| **role != issue.role) {
        let detail = format!("{} is recorded as {}: choose another name", issue.subject, role.name());
        return Err(Refused::new("certificate-role", detail));
    }
    if issue.role == Role::Gateway && !issue.scope.is_empty() {
        return Err(Refused::new("certificate-role", "a gateway reaches itself alone: issue it without a scope"));
    }
    Ok(())
}

/// `certificate-validity`: a validity that begins before it ends, and has not ended.
pub(super) fn certificate_validity(issue: &Issue, time_ms: i64) -> Result<(), Refused> {
    let wrong = |detail: &str| Err(Refused::new("certificate-validity", detail));
    if issue.not_before_s >= issue.not_after_s {
        return wrong("its validity ends before it begins");
    }
    if issue.not_after_s.saturating_sub(issue.not_before_s) > VALIDITY_DAYS_MAX * DAY_S {
        return wrong("it would hold for more than 20 years");
    }
    if issue.not_after_s < time_ms.div_euclid(1000) {
        return wrong("it has expired already; check the clocks of the issuer and of the hub");
    }
    Ok(())
}

/// `revoke-known`: what is revoked was issued, and not revoked before.
pub(super) fn revoke_known<'a>(state: &'a State, fingerprint: &Hash) -> Result<&'a CertificateRecord, Refused> {
    match state.certificate(fingerprint) {
        None => Err(Refused::new("revoke-known", format!("no certificate {fingerprint} is recorded"))),
        Some(CertificateRecord { revoked: Some(_), subject, .. }) => {
            Err(Refused::new("revoke-known", format!("this certificate of {subject} is revoked already")))
        }
        Some(found) => Ok(found),
    }
}

/// `revoke-author`: the member that issued a certificate revokes it. No member can shut out another's gateways.
pub(super) fn revoke_author(found: &CertificateRecord, author: &Member) -> Result<(), Refused> {
    if found.author == author.name {
        return Ok(());
    }
    Err(Refused::new("revoke-author", format!("issued by {}, which alone can revoke it", found.author)))
}

/// `anchor-known-certificate`: the key belongs to a certificate of that gateway, and it holds at the
/// block's time.
pub(super) fn anchor_known_certificate<'a>(
    state: &'a State,
    gateway: &Name,
    key: KeyId,
    time_ms: i64,
) -> Result<&'a CertificateRecord, Refused> {
    let wrong = |detail: String| Err(Refused::new("anchor-known-certificate", detail));
    let own = |(_, record): &(&Hash, &CertificateRecord)| record.role == Role::Gateway && record.subject == *gateway;
    let mut ended = None;
    for (_, record) in state.certificates_of_key(key).filter(own) {
        match &record.revoked {
            None if record.covers(time_ms) => return Ok(record),
            None => ended = Some("is outside its validity: certify the gateway anew".to_owned()),
            Some(revoked) => ended = Some(format!("is revoked: {}", revoked.reason)),
        }
    }
    match ended {
        Some(why) => wrong(format!("the certificate of {gateway} with key {key} {why}")),
        None => wrong(format!("key {key} is recorded in no certificate of gateway {gateway}: certify it first")),
    }
}

/// `anchor-no-fork`: no other anchor holds this number.
pub(super) fn anchor_no_fork(anchor: &Anchor, held: Option<Hash>) -> Result<(), Refused> {
    match held {
        None => Ok(()),
        Some(other) => Err(Refused::new(
            "anchor-no-fork",
            format!(
                "epoch {} batch {} of {} is anchored as {other}: the chain was forked; begin a new epoch",
                anchor.epoch, anchor.batch, anchor.gateway
            ),
        )),
    }
}

/// `anchor-continuous`: the next number, from the next entry, after the last anchor; or the first of a
/// later epoch.
pub(super) fn anchor_continuous(last: Option<&GatewayRecord>, anchor: &Anchor) -> Result<(), Refused> {
    let wrong = |detail: String| Err(Refused::new("anchor-continuous", detail));
    let same_epoch = last.filter(|last| last.epoch == anchor.epoch);
    if let Some(last) = last.filter(|last| anchor.epoch < last.epoch) {
        return wrong(format!("epoch {} is closed: epoch {} has begun; begin a new one", anchor.epoch, last.epoch));
    }
    // A new epoch may skip numbers: epochs can pass of which nothing was ever anchored.
    let (batch, first_seq) = match same_epoch {
        Some(last) => (last.batch.checked_add(1), last.last_seq.checked_add(1)),
        None => (Some(0), Some(0)),
    };
    let previous = last.map_or(Hash::ZERO, |last| last.anchor);
    if Some(anchor.batch) != batch || Some(anchor.first_seq) != first_seq {
        let (batch, first_seq) = (batch.unwrap_or(u64::MAX), first_seq.unwrap_or(u64::MAX));
        return wrong(format!(
            "batch {} from entry {} does not follow; epoch {} goes on with batch {batch} from entry {first_seq}",
            anchor.batch, anchor.first_seq, anchor.epoch
        ));
    }
    if anchor.previous != previous {
        return wrong(format!("the anchor before is {previous}, not {}", anchor.previous));
    }
    Ok(())
}

/// `anchor-epoch`: a new epoch is not far beyond the last. Whoever holds a stolen key for a moment can't use up
/// the numbers, and with them the gateway's name for ever.
pub(super) fn anchor_epoch(last: Option<&GatewayRecord>, anchor: &Anchor) -> Result<(), Refused> {
    let highest = last.map_or(0, |last| last.epoch).saturating_add(EPOCHS_AT_ONCE_MAX);
    if anchor.epoch <= highest {
        return Ok(());
    }
    let detail = format!(
        "epoch {} is more than {EPOCHS_AT_ONCE_MAX} beyond the last; if nobody else holds this gateway's key, \
         its journal is damaged",
        anchor.epoch
    );
    Err(Refused::new("anchor-epoch", detail))
}

/// `anchor-checkpoint`: the checkpoint that the anchor names is signed by this log.
pub(super) fn anchor_checkpoint_signed(note: &str, log: &VerifierKey) -> Result<Checkpoint, Refused> {
    let wrong = |detail: String| Refused::new("anchor-checkpoint", detail);
    let note = Note::parse(note).map_err(|error| wrong(error.to_string()))?;
    let checkpoint = note.checkpoint().map_err(|error| wrong(error.to_string()))?;
    match log.check(&note) {
        Ok(Some(_)) if checkpoint.origin == log.name => Ok(checkpoint),
        Ok(_) => Err(wrong(format!("the checkpoint of \"{}\" is not signed by this ledger's log", checkpoint.origin))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// `anchor-checkpoint`: it is no larger than the log.
pub(super) fn anchor_checkpoint_present(checkpoint: &Checkpoint, size: u64) -> Result<(), Refused> {
    if checkpoint.size <= size {
        return Ok(());
    }
    Err(Refused::new(
        "anchor-checkpoint",
        format!(
            "the checkpoint speaks of {} transactions, the log has {size}: this ledger lost some. Was an older \
             ledger.redb put back?",
            checkpoint.size
        ),
    ))
}

/// `anchor-checkpoint`: it is not dated after the block. Else the receipt would say that the anchor was on the
/// ledger before the gateway could have made it, and every verifier would find the evidence at odds with itself.
pub(super) fn anchor_checkpoint_dated(note: &str, witness: &VerifierKey, time_ms: i64) -> Result<(), Refused> {
    let wrong = |detail: String| Refused::new("anchor-checkpoint", detail);
    let note = Note::parse(note).map_err(|error| wrong(error.to_string()))?;
    let dated_s = witness.check(&note).map_err(|error| wrong(error.to_string()))?;
    let block_s = u64::try_from(time_ms.div_euclid(1000)).unwrap_or(0);
    match dated_s.map(|dated_s| dated_s.saturating_sub(block_s)) {
        None | Some(0) => Ok(()),
        Some(ahead_s) => Err(wrong(format!(
            "the checkpoint is dated {ahead_s} s after this block: the hub's clock was wrong when it gave that out; \
             the batch is taken when the ledger's time has come so far"
        ))),
    }
}

/// `anchor-checkpoint`: its root is the log's at that size.
pub(super) fn anchor_checkpoint_root(checkpoint: &Checkpoint, root: &Hash) -> Result<(), Refused> {
    if checkpoint.root == *root {
        return Ok(());
    }
    let detail =
        format!("the log's root at size {} is {root}, the checkpoint says {}", checkpoint.size, checkpoint.root);
    Err(Refused::new("anchor-checkpoint", detail))
}
