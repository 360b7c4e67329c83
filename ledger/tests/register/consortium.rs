//! Members come and go by votes.

use plomb_seal::transaction::{MemberChange, Vote};

use plomb_seal::{Credential, CredentialError, Policy};

use crate::{
    cast::{Founder, Party, Town, certificate, config, sealing_key, sign, signers},
    common::{NOW_MS, NOW_S, ORIGIN, name},
};

fn vote(base: u64, change: MemberChange) -> Vote {
    Vote { origin: ORIGIN.into(), base, change }
}

fn names(town: &Town) -> Vec<String> {
    town.ground.state.members().iter().map(|member| member.name.to_string()).collect()
}

#[test]
fn a_member_joins_when_the_quorum_has_voted_for_the_same_and_then_certifies() {
    let mut town = Town::new();
    let c = Founder::new("member-c", NOW_S);
    let add = vote(0, MemberChange::Add(Box::new(c.member())));
    town.admit(sign(add.clone(), &town.a.key));
    assert_eq!(names(&town), ["member-a", "member-b"]);
    // A vote for almost the same is another vote.
    let other = Founder::new("member-c", NOW_S);
    town.admit(sign(vote(0, MemberChange::Add(Box::new(other.member()))), &town.b.key));
    assert_eq!(names(&town), ["member-a", "member-b"]);
    let auditor = Party::new("auditor", plomb_seal::transaction::Role::Auditor, &[]);
    let issue = c.issue(&auditor, NOW_S);
    town.refuse("known-author", sign(certificate(&issue), &c.key));
    town.admit(sign(add, &town.b.key));
    assert_eq!(names(&town), ["member-a", "member-b", "member-c"]);
    town.admit(sign(certificate(&issue), &c.key));
    // Whatever was undecided lapsed.
    let consortium = town.ground.state.consortium().unwrap();
    assert_eq!((consortium.changes, consortium.ballots.len()), (1, 0));
    town.refuse("member-base", sign(vote(0, MemberChange::Quorum(1)), &town.a.key));
    town.ground.replay(&signers());
}

#[test]
fn votes_that_cannot_count_are_refused() {
    let mut town = Town::new();
    let stranger = Founder::new("stranger", NOW_S);
    let quorum = |n| vote(0, MemberChange::Quorum(n));
    let elsewhere = Vote { origin: "other.example/x".into(), ..quorum(1) };
    town.refuse("member-origin", sign(elsewhere, &town.a.key));
    town.refuse("member-known-author", sign(quorum(1), &stranger.key));
    town.refuse("member-known-author", sign(quorum(1), &town.gateway.key));
    town.refuse("member-base", sign(vote(1, MemberChange::Quorum(1)), &town.a.key));
    for impossible in [
        MemberChange::Quorum(0),
        MemberChange::Quorum(2),
        MemberChange::Quorum(3),
        MemberChange::Remove(name("member-x")),
        // One could not reach the quorum of two.
        MemberChange::Remove(name("member-b")),
        MemberChange::Add(Box::new(town.b.member())),
        MemberChange::Add(Box::new(plomb_seal::transaction::Member { key: town.a.key.public(), ..stranger.member() })),
        MemberChange::Add(Box::new(plomb_seal::transaction::Member {
            key: town.gateway.key.public(),
            ..stranger.member()
        })),
        MemberChange::Add(Box::new(plomb_seal::transaction::Member { authority: vec![1], ..stranger.member() })),
    ] {
        town.refuse("member-change", sign(vote(0, impossible), &town.a.key));
    }
    let mut bent = sign(quorum(1), &town.a.key);
    *bent.last_mut().unwrap() ^= 1;
    town.refuse("signature", bent);
    town.admit(sign(quorum(1), &town.a.key));
    let again = town.ground.deliver(sign(quorum(1), &town.a.key), NOW_MS);
    assert!(matches!(again, plomb_ledger::ledger::Answer::Known { .. }), "{again:?}");
    let anew = town.a.sign_anew(quorum(1));
    town.refuse("member-vote-once", anew);
    for n in 0..15 {
        let add = MemberChange::Add(Box::new(Founder::new(&format!("member-{n}"), NOW_S).member()));
        town.admit(sign(vote(0, add), &town.a.key));
    }
    let add = MemberChange::Add(Box::new(Founder::new("member-16", NOW_S).member()));
    town.refuse("member-votes-max", sign(vote(0, add.clone()), &town.a.key));
    town.admit(sign(vote(0, add), &town.b.key));
}

#[test]
fn with_a_member_its_certificates_go_until_another_issues_them_anew() {
    let mut town = Town::new();
    let state = |town: &Town| town.ground.state.clone();
    town.admit(sign(vote(0, MemberChange::Quorum(1)), &town.a.key));
    town.admit(sign(vote(0, MemberChange::Quorum(1)), &town.b.key));
    assert!(town.gateway.holds(&state(&town), NOW_MS));
    town.admit(sign(vote(1, MemberChange::Remove(name("member-a"))), &town.b.key));
    assert_eq!(names(&town), ["member-b"]);
    assert!(!town.gateway.holds(&state(&town), NOW_MS));
    let sealing = sealing_key(&town.ground.state, &name("gw-1"));
    town.refuse("sealing-known-gateway", sign(sealing, &town.gateway.key));
    town.refuse("config-known-admin", sign(config(&town.ground.state, &name("gw-1")), &town.admin.key));
    town.refuse("member-known-author", sign(vote(2, MemberChange::Quorum(1)), &town.a.key));
    town.refuse("member-change", sign(vote(2, MemberChange::Remove(name("member-b"))), &town.b.key));
    // Neither its name nor its key comes back.
    town.refuse("member-change", sign(vote(2, MemberChange::Add(Box::new(town.a.member()))), &town.b.key));
    // The same keys, certified by the other member: all goes on.
    for party in [&mut town.gateway, &mut town.admin] {
        let issue = town.b.issue(party, NOW_S);
        party.fingerprint = issue.fingerprint();
        let answer = town.ground.deliver(sign(certificate(&issue), &town.b.key), NOW_MS);
        assert!(matches!(answer, plomb_ledger::ledger::Answer::Admitted { .. }), "{answer:?}");
    }
    town.propose(plomb_seal::transaction::Priority::Routine);
    town.ground.replay(&signers());
}

/// Whoever joined later certifies gateways that anybody can check, from the genesis on.
#[test]
fn a_credential_shows_how_its_issuer_became_a_member() {
    let mut town = Town::new();
    let policy = Policy::parse(&signers().policy()).unwrap();
    let c = Founder::new("member-c", NOW_S);
    town.admit(sign(vote(0, MemberChange::Quorum(1)), &town.a.key));
    town.admit(sign(vote(0, MemberChange::Add(Box::new(Founder::new("never", NOW_S).member()))), &town.a.key));
    town.admit(sign(vote(0, MemberChange::Quorum(1)), &town.b.key));
    town.admit(sign(vote(1, MemberChange::Add(Box::new(c.member()))), &town.b.key));
    let plain = credential(&town, "gw-1");
    assert_eq!(plain.certificates.len(), 1, "its issuer founded the ledger: no votes");
    let party = Party::new("gw-c", plomb_seal::transaction::Role::Gateway, &[]);
    let issue = c.issue(&party, NOW_S);
    town.admit(sign(certificate(&issue), &c.key));
    town.admit(sign(vote(2, MemberChange::Remove(name("member-a"))), &town.b.key));
    let whole = credential(&town, "gw-c");
    assert_eq!(
        whole.certificates.len(),
        4,
        "two votes for the quorum, one for who came, the certificate; who went since does not matter"
    );
    assert_eq!(whole.verify(&policy).unwrap(), [issue]);
    assert_eq!(Credential::parse(&whole.to_bytes()).unwrap().verify(&policy).unwrap().len(), 1, "in any order");
    // Each vote is needed; what is out of its place is noticed.
    for left_out in 0..3 {
        let mut cut = whole.clone();
        cut.certificates.remove(left_out);
        assert!(matches!(cut.verify(&policy), Err(CredentialError::Vote(_) | CredentialError::Certificate(_))));
    }
    let mut bent = whole.clone();
    *bent.certificates[1].transaction.last_mut().unwrap() ^= 1;
    assert!(bent.verify(&policy).is_err());
    let mut foreign = whole.clone();
    foreign.certificates[2].proof = foreign.certificates[1].proof.clone();
    assert!(foreign.verify(&policy).is_err());
    // What member-a issued stands with the votes, too.
    let mut both = whole.clone();
    both.certificates.extend(plain.certificates);
    assert_eq!(both.verify(&policy).unwrap().len(), 2);
}

/// A consortium may change as often as it likes after a member joined: what that issues still fits into a credential.
#[test]
fn what_a_consortium_decides_later_does_not_fill_a_members_credentials() {
    let mut town = Town::new();
    let policy = Policy::parse(&signers().policy()).unwrap();
    let c = Founder::new("member-c", NOW_S);
    town.admit(sign(vote(0, MemberChange::Quorum(1)), &town.a.key));
    town.admit(sign(vote(0, MemberChange::Quorum(1)), &town.b.key));
    town.admit(sign(vote(1, MemberChange::Add(Box::new(c.member()))), &town.b.key));
    for round in 0..40 {
        town.admit(sign(vote(2 * round + 2, MemberChange::Quorum(2)), &town.a.key));
        town.admit(sign(vote(2 * round + 3, MemberChange::Quorum(1)), &town.a.key));
        town.admit(sign(vote(2 * round + 3, MemberChange::Quorum(1)), &town.b.key));
    }
    let party = Party::new("gw-c", plomb_seal::transaction::Role::Gateway, &[]);
    let issue = c.issue(&party, NOW_S);
    town.admit(sign(certificate(&issue), &c.key));
    let whole = credential(&town, "gw-c");
    assert_eq!(whole.certificates.len(), 4);
    assert_eq!(whole.verify(&policy).unwrap(), [issue]);
}

fn credential(town: &Town, gateway: &str) -> Credential {
    town.ground.ledger.as_ref().unwrap().credential(&name(gateway)).unwrap().unwrap()
}
