//! Who takes part, as far as a genesis, votes and certificates with their proofs of logging show it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    CredentialError, Hash, KeyId, Logged, Name, Policy, Unverified,
    transaction::{self, Certificate, Genesis, Issue, Kind, Member, MemberChange, Vote},
};

/// The founding of a ledger, and the members since.
#[derive(Debug, Clone)]
pub struct Parties {
    pub(crate) founding: Genesis,
    roll: Roll,
}

impl Parties {
    /// Checks the genesis, and counts the votes among the logged transactions.
    ///
    /// # Errors
    /// What of genesis or votes does not hold under `policy`.
    pub fn read(genesis: &Logged, logged: &[Logged], policy: &Policy) -> Result<Self, CredentialError> {
        let parsed = Unverified::<Genesis>::parse(&genesis.transaction)?;
        let founder = parsed.claims().members.first().ok_or(CredentialError::Genesis("it has no members"))?.key;
        let founding = parsed.verify(&founder)?.statement().clone();
        if genesis.check("genesis", &founding.origin, policy)? != 0 {
            return Err(CredentialError::Genesis("it is not the ledger's first transaction"));
        }
        let roll = Roll::read(&founding, logged.iter().filter(|logged| is_vote(logged)), policy)?;
        Ok(Self { founding, roll })
    }

    /// The ledger's name.
    pub fn origin(&self) -> &str {
        &self.founding.origin
    }

    /// The member with this key, if it was one when the log held this index.
    pub fn member(&self, key: KeyId, index: u64) -> Option<&Member> {
        self.roll.at(index).iter().find(|member| member.key.id() == key)
    }

    /// Those of the logged transactions that are no votes.
    pub(crate) fn certificates<'a>(&self, logged: &'a [Logged]) -> impl Iterator<Item = &'a Logged> + use<'a> {
        logged.iter().filter(|logged| !is_vote(logged))
    }

    /// Checks a certificate that was issued by somebody who was a member then. Gives its index in the log, too.
    ///
    /// # Errors
    /// Why nobody who may has issued it.
    pub fn issue(&self, logged: &Logged, policy: &Policy) -> Result<(u64, Issue), CredentialError> {
        let parsed = Unverified::<Certificate>::parse(&logged.transaction)?;
        let author = self.roll.find(parsed.key_id());
        let author = author.ok_or(CredentialError::Certificate("its author is no member of the ledger"))?;
        let signed = parsed.verify(&author.key)?;
        let index = logged.check("certificate", &self.founding.origin, policy)?;
        if !self.roll.at(index).contains(author) {
            return Err(CredentialError::Certificate("its author was no member of the ledger then"));
        }
        match signed.statement() {
            Certificate::Issue(issue) if issue.origin != self.founding.origin => {
                Err(CredentialError::Certificate("it was issued for another ledger"))
            }
            Certificate::Issue(issue) => Ok((index, (**issue).clone())),
            Certificate::Revoke { .. } => Err(CredentialError::Certificate("it is a revocation")),
        }
    }
}

fn is_vote(logged: &Logged) -> bool {
    transaction::kind(&logged.transaction) == Ok(Kind::Member)
}

/// Who was a member when, by index in the log: from each index on, until the next.
#[derive(Debug, Clone)]
struct Roll(Vec<(u64, Vec<Member>)>);

impl Roll {
    /// Counts the votes in the order of the log. Each is for the members as the ones before it left them; so none
    /// that took effect can be missing before one that is there.
    fn read<'a>(
        founding: &Genesis,
        votes: impl Iterator<Item = &'a Logged>,
        policy: &Policy,
    ) -> Result<Self, CredentialError> {
        let mut logged = Vec::new();
        for vote in votes {
            let index = vote.check("vote", &founding.origin, policy)?;
            logged.push((index, Unverified::<Vote>::parse(&vote.transaction)?));
        }
        logged.sort_by_key(|(index, _)| *index);
        let (mut members, mut quorum, mut changes) = (founding.members.clone(), founding.quorum, 0);
        let mut ballots: BTreeMap<Hash, BTreeSet<Name>> = BTreeMap::new();
        let mut roll = Vec::from([(0, members.clone())]);
        for (index, parsed) in logged {
            let voter = members.iter().find(|member| member.key.id() == parsed.key_id()).cloned();
            let voter = voter.ok_or(CredentialError::Vote("its author was no member of the ledger then"))?;
            let vote = parsed.verify(&voter.key)?;
            let vote = vote.statement();
            if vote.origin != founding.origin || vote.base != changes {
                return Err(CredentialError::Vote("it is not for the ledger's members as they were then"));
            }
            let voters = ballots.entry(vote.ballot()).or_default();
            voters.insert(voter.name);
            if voters.len() < quorum as usize {
                continue;
            }
            match &vote.change {
                MemberChange::Add(member) => members.push((**member).clone()),
                MemberChange::Remove(name) => members.retain(|member| member.name != *name),
                MemberChange::Quorum(wanted) => quorum = *wanted,
            }
            changes += 1;
            ballots.clear();
            roll.push((index, members.clone()));
        }
        Ok(Self(roll))
    }

    /// Whoever has this key and was a member at some time, the earliest first.
    fn find(&self, key: KeyId) -> Option<&Member> {
        self.0.iter().flat_map(|(_, members)| members).find(|member| member.key.id() == key)
    }

    /// The members when the log held this index.
    fn at(&self, index: u64) -> &[Member] {
        let last = self.0.iter().rev().find(|(since, _)| *since <= index);
        last.map_or(&[], |(_, members)| members.as_slice())
    }
}
