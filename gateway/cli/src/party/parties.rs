//! Genesis, votes and certificates of a ledger: fetched from the hub, checked here, each once.

use std::collections::BTreeMap;

use plomb_seal::{
    Name,
    parties::Parties,
    transaction::{Issue, Kind},
};
use serde_json::Value;

use crate::exit::Failure;

use super::{Hub, Logged, Party, Signer, lines, signer};

/// The most votes and certificates of one kind and holder that are fetched: what evidence may hold.
const FETCHED_MAX: usize = plomb_seal::credential::CERTIFICATES_MAX;

/// The parties to a ledger, as far as they were needed.
pub(crate) struct Register {
    pub(crate) genesis: Logged,
    pub(crate) votes: Vec<Logged>,
    parties: Parties,
    certificates: BTreeMap<Name, Vec<(Logged, Issue)>>,
}

impl Register {
    /// Fetches and checks the genesis and the votes since.
    pub(crate) fn fetch(hub: &mut Hub, party: &Party) -> Result<Self, Failure> {
        let genesis = Logged::get(hub, party, "0")?;
        let mut votes = Vec::new();
        for line in lines::all(hub, "kind=member", FETCHED_MAX)? {
            votes.push(Logged::get(hub, party, &lines::leaf(&line)?.to_string())?);
        }
        let sealed: Vec<_> = votes.iter().map(Logged::sealed).collect();
        let parties = Parties::read(&genesis.sealed(), &sealed, &party.policy);
        let parties = parties.map_err(|error| Failure::Unproved(error.to_string()))?;
        Ok(Self { genesis, votes, parties, certificates: BTreeMap::new() })
    }

    /// The certificates that were ever issued for a name, in the order of the log, each checked.
    pub(crate) fn certificates(
        &mut self,
        hub: &mut Hub,
        party: &Party,
        subject: &Name,
    ) -> Result<&[(Logged, Issue)], Failure> {
        if !self.certificates.contains_key(subject) {
            let mut found = Vec::new();
            for line in lines::all(hub, &format!("kind=certificate&subject={subject}"), FETCHED_MAX)? {
                if line.get("action").and_then(Value::as_str) != Some("issue") {
                    continue;
                }
                let logged = Logged::get(hub, party, &lines::leaf(&line)?.to_string())?;
                let checked = self.parties.issue(&logged.sealed(), &party.policy);
                let (_, issue) = checked.map_err(|error| Failure::Unproved(error.to_string()))?;
                if issue.subject == *subject {
                    found.push((logged, issue));
                }
            }
            self.certificates.insert(subject.clone(), found);
        }
        Ok(self.certificates.get(subject).map(Vec::as_slice).unwrap_or_default())
    }

    /// Who signed a transaction. `author` is who the hub says it was: only where to look.
    pub(crate) fn signer(
        &mut self,
        hub: &mut Hub,
        party: &Party,
        logged: &Logged,
        author: &Name,
    ) -> Result<Signer, Failure> {
        let issues = match logged.kind {
            Kind::Genesis | Kind::Member | Kind::Certificate => Vec::new(),
            _ => {
                let certificates = self.certificates(hub, party, author)?;
                certificates.iter().map(|(logged, issue)| (logged.index, issue.clone())).collect()
            }
        };
        signer(logged, &self.parties, &issues).map_err(Failure::Unproved)
    }
}
