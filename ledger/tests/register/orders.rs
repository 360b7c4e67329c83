//! Configurations and commands: what is due, what takes whose place, and what comes of each.

use plomb_seal::{
    Hash, KeyId,
    transaction::{Command, Config, Effect, Priority, Role, SealingKey, Window},
};

use crate::{
    cast::{DAY_MS, Party, Town, approval, certificate, command, config, outcome, sealing_key, sign, signers},
    common::{NOW_MS, NOW_S, name},
};

#[test]
fn a_newer_configuration_takes_the_place_of_those_that_are_not_more_urgent() {
    let mut town = Town::new();
    let routine = town.propose(Priority::Routine);
    let immediate = town.propose(Priority::Immediate);
    assert_eq!((town.status(&routine), town.status(&immediate)), ("superseded", "pending"));
    let urgent = town.propose(Priority::Urgent);
    let later = town.propose(Priority::Routine);
    // The immediate one goes first, though it is older: the others were made from it.
    assert_eq!(town.due(NOW_MS), [immediate, urgent, later]);
    let last = town.propose(Priority::Urgent);
    assert_eq!(town.due(NOW_MS), [immediate, last]);
    assert_eq!((town.status(&urgent), town.status(&later)), ("superseded", "superseded"));
    // A command goes at once, in its turn.
    let read = town.send(1);
    assert_eq!(town.due(NOW_MS), [immediate, read, last]);
    town.answer(immediate, Effect::Applied);
    assert_eq!(town.due(NOW_MS), [read, last]);
    town.answer(last, Effect::Applied);
    assert_eq!((town.status(&immediate), town.status(&last)), ("replaced", "applied"));
    // It was applied before it was known that another had taken its place: the truth is taken, and changes nothing.
    town.answer(urgent, Effect::Applied);
    assert_eq!((town.status(&urgent), town.status(&last)), ("replaced", "applied"));
    town.ground.replay(&signers());
}

#[test]
fn a_configuration_is_rolled_back_to_the_one_before_and_only_once() {
    let mut town = Town::new();
    let first = town.propose(Priority::Routine);
    town.answer(first, Effect::Applied);
    let second = town.propose(Priority::Routine);
    town.answer(second, Effect::Applied);
    let roll_back = |of| outcome(&name("gw-1"), of, Effect::RolledBack);
    town.refuse("outcome-once", sign(roll_back(first), &town.gateway.key));
    town.answer(second, Effect::RolledBack);
    assert_eq!((town.status(&first), town.status(&second)), ("applied", "rolled-back"));
    let again = plomb_seal::transaction::Outcome { seq: 18, ..roll_back(second) };
    town.refuse("outcome-once", sign(again, &town.gateway.key));
    // The next is made from the version that was admitted last, whatever became of it.
    let third = town.propose(Priority::Routine);
    assert_eq!(town.ground.state.register(&name("gw-1")).unwrap().version(), 3);
    town.answer(third, Effect::RolledBack);
    assert_eq!((town.status(&first), town.status(&third)), ("applied", "rolled-back"));
    for effect in [Effect::Refused, Effect::Failed] {
        let one = town.propose(Priority::Urgent);
        town.answer(one, effect);
        assert_eq!(town.status(&one), effect.name());
        town.refuse("outcome-once", sign(outcome(&name("gw-1"), one, Effect::Applied), &town.gateway.key));
    }
    assert_eq!(town.due(NOW_MS), []);
    town.ground.replay(&signers());
}

#[test]
fn bent_configurations_are_refused_by_the_rule_they_break() {
    let mut town = Town::new();
    let right = config(&town.ground.state, &name("gw-1"));
    let ending = |from_ms, until_ms| Config { window: Some(Window { from_ms, until_ms }), ..right.clone() };
    for (rule, config) in [
        ("config-origin", Config { origin: "other.example/x".into(), ..right.clone() }),
        ("config-base", Config { base: 1, ..right.clone() }),
        ("config-size", Config { sealed: vec![1; 79], ..right.clone() }),
        ("config-size", Config { sealed: vec![1; 60 * 1024 + 1], ..right.clone() }),
        ("transaction-size", Config { sealed: vec![1; 66 * 1024], ..right.clone() }),
        ("config-recipient", Config { recipient: KeyId([9; 8]), ..right.clone() }),
        ("config-recipient", Config { gateway: name("gw-2"), ..right.clone() }),
        ("config-window", ending(NOW_MS + 5, NOW_MS + 5)),
        ("config-window", ending(NOW_MS - 5, NOW_MS)),
        ("config-window", ending(NOW_MS, NOW_MS + 91 * DAY_MS)),
        ("config-window", ending(i64::MIN, i64::MAX)),
        ("config-window", Config { priority: Priority::Immediate, ..ending(NOW_MS, NOW_MS + 5) }),
    ] {
        town.refuse(rule, sign(config, &town.admin.key));
    }
    town.refuse("config-known-admin", sign(right.clone(), &town.operators[0].key));
    town.refuse("config-known-admin", sign(right.clone(), &town.gateway.key));
    let mut bent = sign(right.clone(), &town.admin.key);
    *bent.last_mut().unwrap() ^= 1;
    town.refuse("signature", bent);
    let local = certified(&mut town, "local", Role::Admin, &["gw-2", "gw-1/water"]);
    town.refuse("config-scope", sign(right.clone(), &local.key));
    town.admit(sign(Config { window: ending(NOW_MS, NOW_MS + 5).window, ..right.clone() }, &town.admin.key));
    // Two admins, one base: who comes second looks again.
    let boss = certified(&mut town, "boss-2", Role::Admin, &[]);
    town.refuse("config-base", sign(right, &boss.key));
    let late = config(&town.ground.state, &name("gw-1"));
    town.refuse_at("config-known-admin", sign(late, &town.admin.key), NOW_MS + 31 * DAY_MS);
}

fn certified(town: &mut Town, id: &str, role: Role, scope: &'static [&'static str]) -> Party {
    let mut party = Party::new(id, role, scope);
    let issue = town.a.issue(&party, NOW_S);
    party.fingerprint = issue.fingerprint();
    town.admit(sign(certificate(&issue), &town.a.key));
    party
}

#[test]
fn nothing_is_sealed_to_a_box_whose_key_was_revoked() {
    let mut town = Town::new();
    let next = |town: &Town| sealing_key(&town.ground.state, &name("gw-1"));
    let older = next(&town);
    town.refuse("sealing-origin", sign(SealingKey { origin: "x".into(), ..older.clone() }, &town.gateway.key));
    town.refuse("sealing-serial", sign(SealingKey { serial: 1, key: [5; 32], ..older.clone() }, &town.gateway.key));
    town.refuse("sealing-known-gateway", sign(older.clone(), &town.admin.key));
    town.admit(sign(SealingKey { key: [6; 32], ..older.clone() }, &town.gateway.key));
    // What was signed and never sent does not bring an older key back.
    town.refuse("sealing-serial", sign(SealingKey { key: [7; 32], ..older }, &town.gateway.key));
    town.propose(Priority::Routine);
    // The box is stolen; a new one takes its name, with a new key.
    let stolen = town.gateway.fingerprint;
    town.revoke(stolen);
    town.gateway.new_key();
    let issue = town.a.issue(&town.gateway, NOW_S);
    town.admit(sign(certificate(&issue), &town.a.key));
    let proposed = config(&town.ground.state, &name("gw-1"));
    town.refuse("config-recipient", sign(proposed, &town.admin.key));
    let sent = command(&town.ground.state, &name("gw-1"), NOW_MS);
    town.refuse("command-recipient", sign(sent, &town.operators[0].key));
    town.admit(sign(SealingKey { key: [8; 32], ..next(&town) }, &town.gateway.key));
    town.propose(Priority::Routine);
    town.ground.replay(&signers());
}

#[test]
fn bent_commands_are_refused_by_the_rule_they_break() {
    let mut town = Town::new();
    let right = command(&town.ground.state, &name("gw-1"), NOW_MS);
    for (rule, command) in [
        ("command-origin", Command { origin: "other.example/x".into(), ..right.clone() }),
        ("command-counter", Command { counter: 0, ..right.clone() }),
        ("command-counter", Command { counter: 1001, ..right.clone() }),
        ("command-counter", Command { counter: i64::MAX.unsigned_abs(), ..right.clone() }),
        ("command-expiry", Command { expires_ms: NOW_MS, ..right.clone() }),
        ("command-expiry", Command { expires_ms: NOW_MS + 7 * DAY_MS + 1, ..right.clone() }),
        ("command-expiry", Command { expires_ms: i64::MAX, ..right.clone() }),
        ("command-size", Command { sealed: Vec::new(), ..right.clone() }),
        ("command-size", Command { sealed: vec![1; 16 * 1024 + 1], ..right.clone() }),
        ("command-recipient", Command { recipient: KeyId([9; 8]), ..right.clone() }),
        ("transaction-form", Command { needs: 3, ..right.clone() }),
    ] {
        town.refuse(rule, sign(command, &town.operators[0].key));
    }
    town.refuse("command-known-operator", sign(right.clone(), &town.admin.key));
    let plumber = certified(&mut town, "plumber", Role::Operator, &["gw-1/heat", "gw-2"]);
    town.refuse("command-scope", sign(right.clone(), &plumber.key));
    town.admit(sign(Command { point: name("heat"), ..right.clone() }, &plumber.key));
    // Its number is used up.
    town.refuse("command-counter", sign(right, &town.operators[0].key));
    for _ in 0..63 {
        town.send(2);
    }
    let more = |town: &Town, time_ms| command(&town.ground.state, &name("gw-1"), time_ms);
    town.refuse("command-room", sign(more(&town, NOW_MS), &town.operators[0].key));
    // What has expired makes room.
    let later = NOW_MS + DAY_MS + 1;
    town.admit_at(sign(more(&town, later), &town.operators[0].key), later);
    assert_eq!(town.ground.state.register(&name("gw-1")).unwrap().open.len(), 1);
    town.ground.replay(&signers());
}

#[test]
fn two_operators_release_a_command_and_it_is_answered_once() {
    let mut town = Town::new();
    let sent = town.send(2);
    assert_eq!((town.status(&sent), town.due(NOW_MS)), ("awaits-approval", vec![]));
    let applied = |of| outcome(&name("gw-1"), of, Effect::Applied);
    town.refuse("outcome-released", sign(applied(sent), &town.gateway.key));
    let elsewhere = plomb_seal::transaction::Approval { origin: "x".into(), ..approval(sent) };
    town.refuse("approval-origin", sign(elsewhere, &town.operators[1].key));
    town.refuse("approval-other-operator", sign(approval(sent), &town.operators[0].key));
    let second_key = certified(&mut town, "op-a", Role::Operator, &[]);
    town.refuse("approval-other-operator", sign(approval(sent), &second_key.key));
    town.refuse("approval-known-operator", sign(approval(sent), &town.admin.key));
    town.refuse("approval-known", sign(approval(Hash([1; 32])), &town.operators[1].key));
    let (alone, proposed) = (town.send(1), town.propose(Priority::Routine));
    town.refuse("approval-known", sign(approval(alone), &town.operators[1].key));
    town.refuse("approval-known", sign(approval(proposed), &town.operators[1].key));
    let plumber = certified(&mut town, "plumber", Role::Operator, &["gw-1/heat"]);
    town.refuse("approval-scope", sign(approval(sent), &plumber.key));
    town.refuse_at("approval-in-time", sign(approval(sent), &town.operators[1].key), NOW_MS + DAY_MS + 1);

    let mut town = Town::new();
    let (sent, third) = (town.send(2), certified(&mut town, "op-c", Role::Operator, &[]));
    town.admit(sign(approval(sent), &town.operators[1].key));
    town.refuse("approval-once", sign(approval(sent), &third.key));
    assert_eq!((town.status(&sent), town.due(NOW_MS)), ("released", vec![sent]));
    assert_eq!((town.status_at(&sent, NOW_MS + DAY_MS + 1), town.due(NOW_MS + DAY_MS + 1)), ("expired", vec![]));
    town.refuse("outcome-effect", sign(outcome(&name("gw-1"), sent, Effect::RolledBack), &town.gateway.key));
    town.answer(sent, Effect::Applied);
    assert_eq!((town.status(&sent), town.due(NOW_MS)), ("applied", vec![]));
    let again = outcome(&name("gw-1"), sent, Effect::Failed);
    town.refuse("outcome-once", sign(again, &town.gateway.key));
    // Refused before anybody approved it: nothing to approve any more.
    let refused = town.send(2);
    town.answer(refused, Effect::Refused);
    town.refuse("approval-open", sign(approval(refused), &town.operators[1].key));
    town.ground.replay(&signers());
}

#[test]
fn what_a_revoked_author_sent_is_not_due_any_more() {
    let mut town = Town::new();
    let (proposed, sent, waits) = (town.propose(Priority::Urgent), town.send(1), town.send(2));
    assert_eq!(town.due(NOW_MS), [sent, proposed]);
    let (admin, operator) = (town.admin.fingerprint, town.operators[0].fingerprint);
    town.revoke(admin);
    town.revoke(operator);
    assert_eq!(town.due(NOW_MS), []);
    assert_eq!([proposed, sent, waits].map(|of| town.status(&of)), ["withdrawn"; 3]);
    town.refuse("approval-open", sign(approval(waits), &town.operators[1].key));
    // The gateway had done it before it knew: that is what happened.
    town.answer(proposed, Effect::Applied);
    assert_eq!(town.status(&proposed), "applied");
}

#[test]
fn outcomes_are_the_gateways_own_about_what_it_was_told() {
    let mut town = Town::new();
    let proposed = town.propose(Priority::Routine);
    let right = outcome(&name("gw-1"), proposed, Effect::Applied);
    let mut other = certified(&mut town, "gw-2", Role::Gateway, &[]);
    let elsewhere = plomb_seal::transaction::Outcome { origin: "x".into(), ..right.clone() };
    town.refuse("outcome-origin", sign(elsewhere, &town.gateway.key));
    town.refuse("outcome-known-gateway", sign(right.clone(), &other.key));
    town.refuse("outcome-known-gateway", sign(right.clone(), &town.admin.key));
    town.refuse("outcome-of", sign(outcome(&name("gw-2"), proposed, Effect::Applied), &other.key));
    town.refuse("outcome-of", sign(outcome(&name("gw-1"), Hash([3; 32]), Effect::Applied), &town.gateway.key));
    town.refuse("outcome-effect", sign(outcome(&name("gw-1"), proposed, Effect::Expired), &town.gateway.key));
    let late = (town.gateway.fingerprint, NOW_MS + 31 * DAY_MS);
    town.revoke(late.0);
    town.refuse("outcome-current", sign(right.clone(), &town.gateway.key));
    // A new key answers for what was told under the old one.
    town.gateway.new_key();
    let issue = town.a.issue(&town.gateway, NOW_S);
    town.admit(sign(certificate(&issue), &town.a.key));
    town.admit(sign(right, &town.gateway.key));
    other.new_key();
    town.refuse_at(
        "outcome-current",
        sign(outcome(&name("gw-1"), proposed, Effect::RolledBack), &town.gateway.key),
        late.1,
    );
}
