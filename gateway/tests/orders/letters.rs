//! Statements on their way to the ledger, and the sealing key.

use plomb_gateway::orders::letters::REFUSALS_MAX;
use plomb_seal::SigningKey;

use crate::{
    script::{House, every, now, run},
    town::{NOON_MS, Proposal},
};

fn answered(house: &mut House, answer: &[u8]) {
    run(house.desk.answered(answer)).unwrap();
}

#[test]
fn an_outcome_is_kept_until_the_ledger_shows_that_it_has_it() {
    let mut house = House::new();
    let (_, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.take(&dossier).unwrap();
    let letter = house.world().letters.values().next().unwrap().clone();
    // Neither a refusal nor a proof for something else takes it away.
    let refusal = house.town.refusal(&letter, "outcome-once");
    answered(&mut house, &refusal);
    assert!(house.world().shown.refused.as_ref().unwrap().contains("outcome-once"));
    let mut bent = house.town.answer(&letter);
    let last = bent.len() - 10;
    bent[last] ^= 1;
    answered(&mut house, &bent);
    answered(&mut house, b"nonsense");
    assert_eq!(house.world().letters.len(), 1);
    // It outlives a restart, and is the same.
    house.restart(now(NOON_MS + 1000), None).unwrap();
    assert_eq!(house.world().letters.values().collect::<Vec<_>>(), [&letter]);
    house.correspond();
    assert_eq!(house.world().letters.len(), 0);
    run(house.desk.tidy()).unwrap();
    house.restart(now(NOON_MS + 2000), None).unwrap();
    assert_eq!(house.world().letters.len(), 0);
}

#[test]
fn what_is_refused_again_and_again_is_given_up_and_entered() {
    let mut house = House::new();
    let (_, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.take(&dossier).unwrap();
    let letter = house.world().letters.values().next().unwrap().clone();
    let refusal = house.town.refusal(&letter, "outcome-of");
    for _ in 1..REFUSALS_MAX {
        answered(&mut house, &refusal);
    }
    assert_eq!((house.world().letters.len(), house.entries("statement-refused").len()), (1, 0));
    answered(&mut house, &refusal);
    assert_eq!((house.world().letters.len(), house.entries("statement-refused").len()), (0, 1));
}

#[test]
fn the_sealing_key_is_announced_once_and_outlives_restarts() {
    let mut house = House::new();
    let key = house.town.sealing;
    assert_ne!(key, [0; 32]);
    assert!(house.world().shown.sealing_key.as_ref().unwrap().ends_with("on the ledger"));
    run(house.desk.tidy()).unwrap();
    house.restart(now(NOON_MS + 1000), None).unwrap();
    assert_eq!(house.world().letters.len(), 0);
    assert!(house.world().shown.sealing_key.as_ref().unwrap().ends_with(", on the ledger"));
}

#[test]
fn a_number_that_the_ledger_knows_leads_to_a_new_key_and_the_old_one_still_opens() {
    let mut house = House::new();
    let old = house.town.sealing;
    // The journal is lost, so the key is announced again; the ledger knows a later one.
    house.disk.lock().unwrap().rows.clear();
    house.restart(now(NOON_MS + 1000), None).unwrap();
    let letter = house.world().letters.values().next().unwrap().clone();
    let refusal = house.town.refusal(&letter, "sealing-serial");
    answered(&mut house, &refusal);
    assert_eq!(house.world().letters.len(), 1, "the old announcement goes");
    let (leaf, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.correspond();
    assert_ne!(house.town.sealing, old);
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())), "sealed to the old key");
}

#[test]
fn a_new_key_of_the_gateway_vouches_for_a_new_sealing_key() {
    let mut house = House::new();
    let old = house.town.sealing;
    run(house.desk.tidy()).unwrap();
    house.town.gateway = SigningKey::from_seed(&[77; 32]);
    house.restart(now(NOON_MS + 1000), None).unwrap();
    house.correspond();
    assert_ne!(house.town.sealing, old);
}
