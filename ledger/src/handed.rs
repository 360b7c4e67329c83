//! What a gateway is handed: its credential, and what it is to do, each with proofs of who may say so.

use std::collections::BTreeSet;

use plomb_seal::{
    Credential, Dossier, Hash, KeyId, Logged, Name, Recipient, Unverified,
    credential::CERTIFICATES_MAX,
    transaction::{Approval, Kind, Role, Vote},
};

use crate::{
    LedgerError,
    history::{Filter, LINES_MAX},
    ledger::Ledger,
    state::{CertificateRecord, Order},
};

/// The most certificates of an approver in a dossier, those that hold longest first: one fits, but the approval does
/// not say which.
const APPROVER_CERTIFICATES_MAX: usize = 8;

impl Ledger {
    /// The policy, genesis and certificates of a gateway, as one file; `None` if it has no certificate.
    pub fn credential(&self, gateway: &Name) -> Result<Option<Credential>, LedgerError> {
        let found = self.vouchers(gateway, None)?;
        let policy = self.signers().policy();
        Ok(found.map(|(genesis, certificates)| Credential { policy, genesis, certificates }))
    }

    /// To which key a gateway is to be sealed to, with all that an author needs to check it; `None` if the gateway
    /// has said none.
    pub fn recipient(&self, gateway: &Name) -> Result<Option<Recipient>, LedgerError> {
        let Some(sealing) = self.state().register(gateway).and_then(|register| register.sealing) else {
            return Ok(None);
        };
        let logged = self.logged(&sealing.transaction)?;
        let found = self.vouchers(gateway, Some(sealing.signer))?.zip(logged);
        Ok(found.map(|((genesis, parties), sealing)| Recipient { genesis, parties, sealing }))
    }

    /// The genesis; and the certificates of a gateway, of one of its keys if one is named, after the votes that they
    /// need.
    fn vouchers(&self, gateway: &Name, key: Option<KeyId>) -> Result<Option<(Logged, Vec<Logged>)>, LedgerError> {
        let (genesis, mut issues, founders_alone) = {
            let state = self.state();
            let founders: Vec<&Name> =
                state.founding().iter().flat_map(|founding| &founding.members).map(|member| &member.name).collect();
            let fits =
                |record: &CertificateRecord| record.subject == *gateway && key.is_none_or(|key| record.key.id() == key);
            let own = || state.certificates().filter(|(_, record)| fits(record));
            let issues: Vec<(i64, Hash)> = own().map(|(_, record)| (record.not_before_s, record.transaction)).collect();
            let founders_alone = own().all(|(_, record)| founders.contains(&&record.author));
            (state.founding().map(|founding| founding.transaction), issues, founders_alone)
        };
        issues.sort_unstable();
        let votes = if founders_alone { Vec::new() } else { self.votes_that_counted()? };
        let room = CERTIFICATES_MAX.saturating_sub(votes.len());
        let skipped = issues.len().saturating_sub(room);
        let Some(genesis) = genesis.map(|leaf| self.logged(&leaf)).transpose()?.flatten() else {
            return Ok(None);
        };
        let mut certificates = Vec::new();
        for leaf in votes.into_iter().chain(issues.into_iter().skip(skipped).map(|(_, leaf)| leaf)) {
            certificates.extend(self.logged(&leaf)?);
        }
        if certificates.is_empty() {
            return Ok(None);
        }
        Ok(Some((genesis, certificates)))
    }

    /// A configuration or command with all that its gateway needs to judge it; `None` if there is none with this leaf
    /// hash.
    pub fn dossier(&self, leaf: &Hash) -> Result<Option<Dossier>, LedgerError> {
        let (Some(order), Some(logged)) = (self.order(leaf)?, self.logged(leaf)?) else { return Ok(None) };
        let approval = match &order {
            Order::Command(command) => command.approval.as_ref(),
            Order::Config(_) => None,
        };
        let approval = approval.map(|approval| self.logged(&approval.transaction)).transpose()?.flatten();
        let mut parties: BTreeSet<Hash> = BTreeSet::new();
        let (genesis, founders_alone) = {
            let state = self.state();
            let approver = approval.as_ref().map(|logged| Unverified::<Approval>::parse(&logged.transaction));
            let approver = approver.transpose()?.map(|parsed| parsed.key_id());
            let fits = |record: &&CertificateRecord| match &order {
                Order::Command(command) => {
                    record.role == Role::Operator && record.reaches(&command.gateway, Some(&command.point))
                }
                Order::Config(_) => false,
            };
            let all = approver.iter().flat_map(|key| state.certificates_of_key(*key)).map(|(_, record)| record);
            let mut of_approver: Vec<&CertificateRecord> = all.filter(fits).collect();
            of_approver.sort_by_key(|record| std::cmp::Reverse(record.not_after_s));
            let signed = state.certificate(order.certificate()).into_iter();
            let signed: Vec<_> = signed.chain(of_approver.into_iter().take(APPROVER_CERTIFICATES_MAX)).collect();
            parties.extend(signed.iter().map(|record| record.transaction));
            let founding = state.founding().ok_or_else(|| LedgerError::Damaged("the genesis is missing".into()))?;
            let founder =
                |record: &&CertificateRecord| founding.members.iter().any(|member| member.name == record.author);
            (founding.transaction, signed.iter().all(founder))
        };
        let Some(genesis) = self.logged(&genesis)? else { return Ok(None) };
        let votes = if founders_alone { Vec::new() } else { self.votes_that_counted()? };
        let mut proved = Vec::new();
        for leaf in votes.into_iter().chain(parties) {
            proved.extend(self.logged(&leaf)?);
        }
        Ok(Some(Dossier { genesis, parties: proved, order: logged, approval }))
    }

    /// The votes that took effect, in the order of the log. Of the votes for one state of the members the last is
    /// the one that made the quorum; those for the same were counted with it.
    fn votes_that_counted(&self) -> Result<Vec<Hash>, LedgerError> {
        let changes = self.state().consortium().map_or(0, |consortium| consortium.changes);
        let mut of_base: Vec<(u64, Hash, Hash)> = Vec::new();
        let mut filter = Filter { kind: Some(Kind::Member), lines_max: LINES_MAX, ..Filter::default() };
        loop {
            let page = self.history(&filter, 0)?;
            for line in page.lines {
                let Some(Logged { transaction, .. }) = self.logged(&line.transaction)? else { continue };
                let vote = Unverified::<Vote>::parse(&transaction)?;
                of_base.push((vote.claims().base, vote.claims().ballot(), line.transaction));
            }
            match page.next {
                Some(next) => filter.from = next,
                None => break,
            }
        }
        let deciding = |base: u64| of_base.iter().rev().find(|(of, ..)| *of == base).map(|(_, ballot, _)| *ballot);
        let counted = of_base.iter().filter(|(base, ballot, _)| *base < changes && deciding(*base) == Some(*ballot));
        Ok(counted.map(|(.., leaf)| *leaf).collect())
    }
}
