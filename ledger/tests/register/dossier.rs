//! What a gateway is handed to judge by itself.

use plomb_seal::{
    Dossier, Hash, Name, Ordered, Policy, Unwarranted, Warrant,
    transaction::{Effect, MemberChange, Priority, Role, Vote},
};

use crate::{
    cast::{Founder, Party, Town, approval, certificate, config, sign, signers},
    common::{NOW_MS, NOW_S, ORIGIN, name},
};

fn policy() -> Policy {
    Policy::parse(&signers().policy()).unwrap()
}

fn dossier(town: &Town, of: &Hash) -> Dossier {
    let dossier = town.ground.ledger.as_ref().unwrap().dossier(of).unwrap().unwrap();
    assert_eq!(Dossier::parse(&dossier.to_bytes()).as_ref(), Ok(&dossier));
    dossier
}

fn judge(dossier: &Dossier) -> Result<Warrant, Unwarranted> {
    dossier.verify(ORIGIN, &name("gw-1"), &policy())
}

#[track_caller]
fn refuses(rule: &str, dossier: &Dossier) {
    let refused = judge(dossier).unwrap_err();
    assert_eq!(refused.rule, rule, "{}", refused.detail);
}

#[test]
fn a_gateway_learns_who_ordered_what_and_when_from_its_policy_alone() {
    let mut town = Town::new();
    let (proposed, sent) = (town.propose(Priority::Urgent), town.send(1));
    let warrant = judge(&dossier(&town, &proposed)).unwrap();
    let Ordered::Config(config) = &warrant.order else { panic!("{warrant:?}") };
    assert_eq!((config.hash(), config.statement().version()), (proposed, 1));
    assert_eq!((warrant.author.subject.as_str(), warrant.author.role), ("boss", Role::Admin));
    assert_eq!((warrant.index, warrant.dated_s), (6, Some(NOW_S.unsigned_abs())));
    let warrant = judge(&dossier(&town, &sent)).unwrap();
    let Ordered::Command(command) = &warrant.order else { panic!("{warrant:?}") };
    assert_eq!((command.hash(), command.statement().verb.as_str(), warrant.approved_by), (sent, "read", None));
    assert_eq!(town.ground.ledger.as_ref().unwrap().dossier(&Hash([1; 32])).unwrap(), None);
    let outcome = town.answer(sent, Effect::Applied);
    assert_eq!(town.ground.ledger.as_ref().unwrap().dossier(&outcome).unwrap(), None);
}

#[test]
fn two_operators_are_two() {
    let mut town = Town::new();
    let sent = town.send(2);
    refuses("dossier-approval", &dossier(&town, &sent));
    town.admit(sign(approval(sent), &town.operators[1].key));
    let whole = dossier(&town, &sent);
    let warrant = judge(&whole).unwrap();
    let second = warrant.approved_by.unwrap().subject;
    assert_eq!((warrant.author.subject.as_str(), second.as_str()), ("op-a", "op-b"));
    // Another command's approval, and one where none belongs.
    let other = town.send(2);
    town.admit(sign(approval(other), &town.operators[1].key));
    let approved = dossier(&town, &other).approval;
    refuses("dossier-approval", &Dossier { approval: approved.clone(), ..whole });
    let proposed = town.propose(Priority::Routine);
    refuses("dossier-approval", &Dossier { approval: approved.clone(), ..dossier(&town, &proposed) });
    let alone = town.send(1);
    refuses("dossier-approval", &Dossier { approval: approved, ..dossier(&town, &alone) });
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_no_byte_can_be_changed() {
    let mut town = Town::new();
    let (proposed, sent) = (town.propose(Priority::Urgent), town.send(1));
    let whole = dossier(&town, &proposed);
    let elsewhere: Name = name("gw-2");
    assert_eq!(whole.verify(ORIGIN, &elsewhere, &policy()).unwrap_err().rule, "dossier-gateway");
    assert_eq!(whole.verify("other.example/x", &name("gw-1"), &policy()).unwrap_err().rule, "dossier-origin");
    refuses("dossier-author", &Dossier { parties: Vec::new(), ..whole.clone() });
    let command = dossier(&town, &sent);
    refuses("dossier-author", &Dossier { parties: command.parties.clone(), ..whole.clone() });
    let mut swapped = whole.clone();
    swapped.order.proof = command.order.proof.clone();
    refuses("dossier-logged", &swapped);
    refuses("dossier-form", &Dossier { order: whole.parties[0].clone(), ..whole.clone() });
    // Another admin's, shown with the certificate of the first.
    let late = Party::new("late", Role::Admin, &[]);
    let issue = town.a.issue(&late, NOW_S);
    town.admit(sign(certificate(&issue), &town.a.key));
    let next = config(&town.ground.state, &name("gw-1"));
    let later = town.admit(sign(next, &late.key));
    let later = dossier(&town, &later);
    judge(&later).unwrap();
    refuses("dossier-author", &Dossier { order: later.order.clone(), ..whole.clone() });
    let bytes = whole.to_bytes();
    for at in (0..bytes.len()).step_by(5) {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        let taken = Dossier::parse(&bent).ok().map(|dossier| judge(&dossier));
        assert!(taken.is_none_or(|judged| judged.is_err()), "byte {at}");
        assert!(Dossier::parse(&bytes[..at]).is_err());
    }
}

#[test]
fn who_was_certified_by_a_later_member_is_shown_with_the_votes() {
    let mut town = Town::new();
    let c = Founder::new("member-c", NOW_S);
    let vote = Vote { origin: ORIGIN.into(), base: 0, change: MemberChange::Add(Box::new(c.member())) };
    town.admit(sign(vote.clone(), &town.a.key));
    town.admit(sign(vote, &town.b.key));
    let local = Party::new("local", Role::Admin, &["gw-1"]);
    let issue = c.issue(&local, NOW_S);
    town.admit(sign(certificate(&issue), &c.key));
    let proposed = town.admit(sign(config(&town.ground.state, &name("gw-1")), &local.key));
    let whole = dossier(&town, &proposed);
    assert_eq!((whole.parties.len(), judge(&whole).unwrap().author.subject.as_str()), (3, "local"));
    refuses("dossier-parties", &Dossier { parties: whole.parties[1..].to_vec(), ..whole.clone() });
    let plain = town.propose(Priority::Routine);
    assert_eq!(dossier(&town, &plain).parties.len(), 1);
    assert_eq!(town.ground.state.due(&name("gw-1"), NOW_MS).len(), 1);
}
