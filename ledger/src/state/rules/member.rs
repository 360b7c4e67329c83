//! Rules of votes.

use plomb_seal::transaction::{MEMBERS_MAX, Member, MemberChange, Vote};

use super::super::{Consortium, FORMER_MAX, Refused, State, VOTES_OPEN_MAX, x509};

/// `member-base`: the vote is for the members as they are now.
pub(in crate::state) fn member_base(consortium: &Consortium, vote: &Vote) -> Result<(), Refused> {
    if vote.base == consortium.changes {
        return Ok(());
    }
    let detail = format!(
        "the vote is for the members after {} changes, there were {}: vote again on the present members",
        vote.base, consortium.changes
    );
    Err(Refused::new("member-base", detail))
}

/// `member-change`: what is voted for can be done.
pub(in crate::state) fn member_change(
    state: &State,
    consortium: &Consortium,
    change: &MemberChange,
) -> Result<(), Refused> {
    let possible = match change {
        MemberChange::Add(member) => can_join(state, consortium, member),
        MemberChange::Remove(name) => {
            let left = consortium.members.len().saturating_sub(1);
            if !consortium.members.iter().any(|member| member.name == *name) {
                Err(format!("{name} is no member"))
            } else if left == 0 {
                Err(format!("{name} is the last member, and stays"))
            } else if (consortium.quorum as usize) > left {
                Err(format!("{left} members could not reach the quorum of {}: lower it first", consortium.quorum))
            } else if consortium.former.len() >= FORMER_MAX {
                Err(format!("{FORMER_MAX} members left already, the most that a ledger remembers"))
            } else {
                Ok(())
            }
        }
        MemberChange::Quorum(quorum) => match *quorum as usize {
            _ if *quorum == consortium.quorum => Err(format!("the quorum is {quorum} already")),
            wanted if (1..=consortium.members.len()).contains(&wanted) => Ok(()),
            _ => Err(format!("a quorum of {quorum} can't be reached by {} members", consortium.members.len())),
        },
    };
    possible.map_err(|detail| Refused::new("member-change", detail))
}

/// Names and keys serve one party for ever: certificates name their issuer by its name alone.
fn can_join(state: &State, consortium: &Consortium, member: &Member) -> Result<(), String> {
    let known = |name, key| name == &member.name || key == &member.key;
    let present = consortium.members.iter().any(|one| known(&one.name, &one.key));
    if present || consortium.former.iter().any(|one| known(&one.name, &one.key)) {
        return Err(format!("the name {} or its key is or was a member's: take new ones", member.name));
    }
    if state.certificates_of_key(member.key.id()).next().is_some() {
        return Err(format!("key {} is certified for somebody: make a new key", member.key.id()));
    }
    if consortium.members.len() >= MEMBERS_MAX {
        return Err(format!("the ledger has {MEMBERS_MAX} members, its most"));
    }
    x509::check_authority(&member.authority)
        .map_err(|detail| format!("the authority of member {}: {detail}", member.name))
}

/// `member-vote-once`: a member votes for a change once.
pub(in crate::state) fn member_vote_once(consortium: &Consortium, vote: &Vote, voter: &Member) -> Result<(), Refused> {
    let ballot = vote.ballot();
    let voted = |voters: &[_]| voters.contains(&voter.name);
    if consortium.ballots.iter().any(|one| one.statement == ballot && voted(&one.voters)) {
        return Err(Refused::new("member-vote-once", format!("{} voted for this already", voter.name)));
    }
    Ok(())
}

/// `member-votes-max`: a member has few undecided votes.
pub(in crate::state) fn member_votes_max(consortium: &Consortium, voter: &Member) -> Result<(), Refused> {
    let open = consortium.ballots.iter().filter(|one| one.voters.contains(&voter.name)).count();
    if open < VOTES_OPEN_MAX {
        return Ok(());
    }
    let detail = format!(
        "{} has {VOTES_OPEN_MAX} undecided votes, the most: they lapse when the next change takes effect",
        voter.name
    );
    Err(Refused::new("member-votes-max", detail))
}
