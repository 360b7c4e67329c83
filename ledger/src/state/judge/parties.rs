//! Who takes part: genesis, votes, certificates.

use plomb_seal::{
    Hash, Signed,
    transaction::{Certificate, Genesis, Issue, Kind, Member, MemberChange, Role, Vote},
};

use super::{
    super::{
        Admission, Ballot, CertificateRecord, Change, Consortium, Context, Former, Founding, Line, Refused, Revocation,
        State, rules, x509,
    },
    read, signature,
};

impl State {
    pub(super) fn judge_genesis(&self, transaction: &[u8]) -> Result<Admission, Refused> {
        rules::genesis_once(self)?;
        let parsed = read::<Genesis>(transaction)?;
        rules::genesis_members(parsed.claims())?;
        let Some(founder) = parsed.claims().members.first().cloned() else {
            return Err(Refused::new("genesis-members", "a ledger needs at least one member"));
        };
        let signed = parsed.verify(&founder.key).map_err(|error| signature(&error))?;
        let Genesis { origin, members, quorum } = signed.statement().clone();
        let founding = Founding { origin, members, quorum, transaction: signed.hash() };
        let line = Line { text: founding.origin.clone(), ..Line::new(Kind::Genesis, &founder.name, "found") };
        Ok(Admission { changes: vec![Change::Founded(founding)], line: Some(line) })
    }

    pub(super) fn judge_vote(&self, transaction: &[u8], context: Context<'_>) -> Result<Admission, Refused> {
        let parsed = read::<Vote>(transaction)?;
        rules::origin("member-origin", self, &parsed.claims().origin)?;
        let voter = rules::member("member-known-author", self, parsed.key_id())?;
        let signed = parsed.verify(&voter.key).map_err(|error| signature(&error))?;
        let vote = signed.statement();
        let Some(consortium) = self.consortium() else {
            return Err(Refused::new("member-known-author", "the ledger has no members"));
        };
        rules::member_base(&consortium, vote)?;
        rules::member_change(self, &consortium, &vote.change)?;
        rules::member_vote_once(&consortium, vote, voter)?;
        rules::member_votes_max(&consortium, voter)?;
        let line = Line {
            subject: match &vote.change {
                MemberChange::Add(member) => Some(member.name.clone()),
                MemberChange::Remove(name) => Some(name.clone()),
                MemberChange::Quorum(_) => None,
            },
            version: Some(vote.base),
            text: in_words(&vote.change),
            ..Line::new(Kind::Member, &voter.name, vote.change.name())
        };
        let consortium = counted(consortium, vote, voter, context.time_ms);
        Ok(Admission { changes: vec![Change::Consortium(Box::new(consortium))], line: Some(line) })
    }

    pub(super) fn judge_certificate(&self, transaction: &[u8], context: Context<'_>) -> Result<Admission, Refused> {
        let parsed = read::<Certificate>(transaction)?;
        let author = rules::member("known-author", self, parsed.key_id())?;
        let signed = parsed.verify(&author.key).map_err(|error| signature(&error))?;
        match signed.statement() {
            Certificate::Issue(issue) => self.judge_issue(&signed, issue, author, context),
            Certificate::Revoke { origin, fingerprint, reason } => {
                rules::origin("certificate-origin", self, origin)?;
                let found = rules::revoke_known(self, fingerprint)?;
                rules::revoke_author(found, author)?;
                let revoked = Some(Revocation { reason: reason.clone(), time_ms: context.time_ms });
                let record = CertificateRecord { revoked, ..found.clone() };
                let line =
                    Line { of: Some(found.transaction), text: reason.clone(), ..about(&record, author, "revoke") };
                Ok(admission(*fingerprint, record, line))
            }
        }
    }

    fn judge_issue(
        &self,
        signed: &Signed<Certificate>,
        issue: &Issue,
        author: &Member,
        context: Context<'_>,
    ) -> Result<Admission, Refused> {
        rules::origin("certificate-origin", self, &issue.origin)?;
        rules::certificate_unique(self, issue)?;
        rules::certificate_role(self, issue)?;
        rules::certificate_validity(issue, context.time_ms)?;
        x509::certificate_fields_match_x509(issue, author)?;
        let record = CertificateRecord {
            subject: issue.subject.clone(),
            role: issue.role,
            scope: issue.scope.clone(),
            points: issue.points.clone(),
            key: issue.key,
            not_before_s: issue.not_before_s,
            not_after_s: issue.not_after_s,
            author: author.name.clone(),
            transaction: signed.hash(),
            revoked: None,
        };
        let line = Line { text: issue.role.name().into(), ..about(&record, author, "issue") };
        Ok(admission(issue.fingerprint(), record, line))
    }
}

fn admission(fingerprint: Hash, record: CertificateRecord, line: Line) -> Admission {
    Admission { changes: vec![Change::Certificate(fingerprint, Box::new(record))], line: Some(line) }
}

fn about(record: &CertificateRecord, author: &Member, action: &str) -> Line {
    Line {
        gateway: Some(record.subject.clone()).filter(|_| record.role == Role::Gateway),
        subject: Some(record.subject.clone()),
        ..Line::new(Kind::Certificate, &author.name, action)
    }
}

fn in_words(change: &MemberChange) -> String {
    match change {
        MemberChange::Add(member) => format!("add {} with key {}", member.name, member.key.id()),
        MemberChange::Remove(name) => format!("remove {name}"),
        MemberChange::Quorum(quorum) => format!("quorum {quorum}"),
    }
}

/// The consortium after a vote. With the vote that makes the quorum the change takes effect, and all other votes
/// lapse.
fn counted(mut consortium: Consortium, vote: &Vote, voter: &Member, time_ms: i64) -> Consortium {
    let statement = vote.ballot();
    let at = match consortium.ballots.iter().position(|one| one.statement == statement) {
        Some(at) => at,
        None => {
            let change = in_words(&vote.change);
            consortium.ballots.push(Ballot { statement, change, voters: Vec::new() });
            consortium.ballots.len() - 1
        }
    };
    let Some(ballot) = consortium.ballots.get_mut(at) else { return consortium };
    ballot.voters.push(voter.name.clone());
    if ballot.voters.len() < consortium.quorum as usize {
        return consortium;
    }
    consortium.changes = consortium.changes.saturating_add(1);
    consortium.ballots.clear();
    match &vote.change {
        MemberChange::Add(member) => consortium.members.push((**member).clone()),
        MemberChange::Quorum(quorum) => consortium.quorum = *quorum,
        MemberChange::Remove(name) => {
            if let Some(at) = consortium.members.iter().position(|member| member.name == *name) {
                let Member { name, key, .. } = consortium.members.remove(at);
                consortium.former.push(Former { name, key, left_ms: time_ms });
            }
        }
    }
    consortium
}
