//! What a gateway is handed: its credential, and what it is to do, each with proofs of who may say so.

use std::collections::BTreeSet;

use plomb_seal::{
    Credential, Dossier, Hash, KeyId, Logged, Name, Recipient, Unverified,
    credential::CERTIFICATES_MAX,
    transaction::{Approval, Kind, MemberChange, Role, Vote},
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
        let (genesis, mut issues, issuers) = {
            let state = self.state();
            let fits =
                |record: &CertificateRecord| record.subject == *gateway && key.is_none_or(|key| record.key.id() == key);
            let own = || state.certificates().filter(|(_, record)| fits(record));
            let issues: Vec<(i64, Hash)> = own().map(|(_, record)| (record.not_before_s, record.transaction)).collect();
            let issuers: BTreeSet<Name> = own().map(|(_, record)| record.author.clone()).collect();
            (state.founding().map(|founding| founding.transaction), issues, issuers)
        };
        issues.sort_unstable();
        let votes = self.votes_for(&issuers)?;
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
        let (genesis, issuers) = {
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
            let issuers: BTreeSet<Name> = signed.iter().map(|record| record.author.clone()).collect();
            (founding.transaction, issuers)
        };
        let Some(genesis) = self.logged(&genesis)? else { return Ok(None) };
        let votes = self.votes_for(&issuers)?;
        let mut proved = Vec::new();
        for leaf in votes.into_iter().chain(parties) {
            proved.extend(self.logged(&leaf)?);
        }
        Ok(Some(Dossier { genesis, parties: proved, order: logged, approval }))
    }

    /// The votes that show how these issuers became members, in the order of the log; none if they founded the ledger.
    /// All that took effect until the last of them had joined: each vote is for the members as those before it left
    /// them. What came later changes nothing about what they issued, as the log took it.
    fn votes_for(&self, issuers: &BTreeSet<Name>) -> Result<Vec<Hash>, LedgerError> {
        let (mut later, changes) = {
            let state = self.state();
            let founders = state.founding().into_iter().flat_map(|founding| &founding.members);
            let founders: BTreeSet<&Name> = founders.map(|member| &member.name).collect();
            let later: BTreeSet<Name> = issuers.iter().filter(|issuer| !founders.contains(issuer)).cloned().collect();
            (later, state.consortium().map_or(0, |consortium| consortium.changes))
        };
        if later.is_empty() {
            return Ok(Vec::new());
        }
        let votes = self.votes()?;
        let mut counted = Vec::new();
        for base in 0..changes {
            // Of the votes for one state of the members the last is the one that made the quorum; those for the same
            // were counted with it.
            let of_base = || votes.iter().filter(|(_, vote)| vote.base == base);
            let Some((_, deciding)) = of_base().next_back() else { continue };
            let ballot = deciding.ballot();
            counted.extend(of_base().filter(|(_, vote)| vote.ballot() == ballot).map(|(leaf, _)| *leaf));
            if let MemberChange::Add(member) = &deciding.change {
                later.remove(&member.name);
            }
            if later.is_empty() {
                break;
            }
        }
        Ok(counted)
    }

    /// All votes with their leaf hashes, in the order of the log.
    fn votes(&self) -> Result<Vec<(Hash, Vote)>, LedgerError> {
        let mut votes = Vec::new();
        let mut filter = Filter { kind: Some(Kind::Member), lines_max: LINES_MAX, ..Filter::default() };
        loop {
            let page = self.history(&filter, 0)?;
            for line in page.lines {
                let Some(Logged { transaction, .. }) = self.logged(&line.transaction)? else { continue };
                votes.push((line.transaction, Unverified::<Vote>::parse(&transaction)?.claims().clone()));
            }
            match page.next {
                Some(next) => filter.from = next,
                None => return Ok(votes),
            }
        }
    }
}
