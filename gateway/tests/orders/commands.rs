//! Commands: once, in time, and never again after a card was put back.

use plomb_gateway::{ask::deed::Undone, orders::Ledger};
use plomb_seal::{Clock, Stamp};

use crate::{
    script::{House, now, run},
    town::{NOON_MS, Wish},
};

#[test]
fn a_command_is_begun_entered_and_answered_once() {
    let mut house = House::new();
    let (leaf, dossier) = house.town.send(&Wish::new(1));
    house.follow(&dossier);
    house.follow(&dossier);
    assert_eq!((house.asked(), house.town.came(leaf)), (vec![leaf], None));
    assert_eq!(house.world().shown.executing, 1);
    house.done(leaf).unwrap();
    house.done(leaf).unwrap();
    house.correspond();
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
    house.follow(&dossier);
    house.restart(now(NOON_MS + 1000), None).unwrap();
    house.follow(&dossier);
    assert_eq!((house.asked().len(), house.town.outcomes.len()), (1, 1));
    // What was read after it stands behind the entry that the outcome names.
    assert_eq!(house.entries("command-begun").len(), 1);
    assert_eq!(house.town.outcomes[0].seq, 0);
    let last = house.world().shown.last_command.clone().unwrap();
    assert_eq!(
        (last.verb.as_str(), last.author.as_str(), last.outcome.as_str()),
        ("disconnect", "bob", "applied: done")
    );
}

/// A card of before, put back later, is known by a receipt that it does not hold: no meter is asked without one.
#[test]
fn no_meter_is_asked_before_the_ledger_has_a_receipt_for_it() {
    let mut house = House::new();
    house.world().withholds_receipts = true;
    let (leaf, dossier) = house.town.send(&Wish::new(1));
    house.follow(&dossier);
    assert_eq!((house.asked(), house.entries("command-begun").len()), (vec![], 1));
    house.world().withholds_receipts = false;
    house.look().unwrap();
    assert_eq!(house.asked(), [leaf]);
    house.done(leaf).unwrap();
    house.world().withholds_receipts = true;
    let (never, dossier) = house.town.send(&Wish::new(2));
    house.follow(&dossier);
    house.pass(59_999);
    assert_eq!(house.town.came(never), None);
    house.pass(1);
    assert_eq!(house.town.came(never), Some(("failed", "command-not-anchored".into())));
    assert_eq!(house.asked(), [leaf]);
    // One that expires meanwhile is not begun either.
    let expires_ms = house.world().now.unix_ms + 5_000;
    let (late, dossier) = house.town.send(&Wish { expires_ms, ..Wish::new(3) });
    house.follow(&dossier);
    house.pass(6_000);
    house.world().withholds_receipts = false;
    house.look().unwrap();
    house.correspond();
    assert_eq!(house.town.came(late), Some(("expired", "command-expired".into())));
    assert_eq!(house.asked(), [leaf]);
}

#[test]
fn each_rule_refuses_by_its_name_and_no_meter_is_asked() {
    let late = NOON_MS - 1;
    for (effect, rule, wish) in [
        ("expired", "command-expired", Wish { expires_ms: late, ..Wish::new(1) }),
        ("refused", "command-sealed", Wish { flip: true, ..Wish::new(1) }),
        ("refused", "command-unknown-verb", Wish { verb: "explode", ..Wish::new(1) }),
        ("refused", "command-content", Wish { verb: "read", content: "now", ..Wish::new(1) }),
        ("refused", "command-point", Wish { point: "flat-9", ..Wish::new(1) }),
    ] {
        let mut house = House::new();
        let (leaf, dossier) = house.town.send(&wish);
        house.follow(&dossier);
        assert_eq!(house.town.came(leaf), Some((effect, rule.to_string())));
        assert_eq!(house.asked(), [], "{rule}");
        // Its number is spent all the same.
        let (twin, dossier) = house.town.send(&Wish::new(1));
        house.follow(&dossier);
        assert_eq!(house.town.came(twin), Some(("refused", "command-counter".into())), "{rule}");
    }
}

#[test]
fn a_number_is_used_once_and_only_goes_up() {
    let mut house = House::new();
    let (held_back, first) = house.town.send(&Wish::new(4));
    let (second, dossier) = house.town.send(&Wish::new(5));
    house.follow(&dossier);
    house.follow(&first);
    assert_eq!(house.town.came(held_back), Some(("refused", "command-counter".into())));
    assert_eq!(house.asked(), [second]);
}

#[test]
fn a_clock_that_is_not_set_says_nothing_of_expiry() {
    let mut house = House::new();
    house.world().now = Stamp { unix_ms: NOON_MS, clock: Clock::Unset };
    let (leaf, dossier) = house.town.send(&Wish::new(1));
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), Some(("refused", "command-expired".into())));
    assert_eq!(house.asked(), []);
}

#[test]
fn two_at_once_are_both_done_and_two_that_need_a_second_word_wait_for_it() {
    let mut house = House::new();
    let (a, first) = house.town.send(&Wish::new(1));
    let (b, second) = house.town.send(&Wish::new(2));
    house.follow(&first);
    house.follow(&second);
    house.done(b).unwrap();
    house.done(a).unwrap();
    house.correspond();
    assert!([a, b].iter().all(|leaf| house.town.came(*leaf) == Some(("applied", String::new()))));
    let (lonely, dossier) = house.town.send(&Wish { needs: 2, ..Wish::new(3) });
    house.follow(&dossier);
    assert_eq!((house.town.came(lonely), house.asked()), (None, vec![a, b]));
    assert!(house.world().shown.refused.as_ref().unwrap().contains("dossier-approval"));
}

#[test]
fn what_went_wrong_at_the_meter_is_told_with_its_rule() {
    let mut house = House::new();
    let (leaf, dossier) = house.town.send(&Wish::new(1));
    house.follow(&dossier);
    run(house.desk.done(leaf, Err(Undone::perhaps("deed-answer-lost", "no answer")))).unwrap();
    house.correspond();
    assert_eq!(house.town.came(leaf), Some(("failed", "deed-answer-lost".into())));
    assert!(house.town.detail(leaf).contains("not known"), "{}", house.town.detail(leaf));
}

#[test]
fn nothing_is_done_before_the_journal_was_held_against_the_ledger() {
    let mut house = House::new();
    house.world().ledger.compared = false;
    let (leaf, dossier) = house.town.send(&Wish::new(1));
    house.follow(&dossier);
    house.follow(&dossier);
    assert_eq!(house.asked(), []);
    house.world().ledger.compared = true;
    house.look().unwrap();
    assert_eq!(house.asked(), [leaf], "once");
}

/// A card is put back to before a command; a hub that lies sends the command again.
#[test]
fn after_a_card_was_put_back_old_commands_are_not_done_again() {
    let mut house = House::new();
    let before = house.disk.lock().unwrap().rows.clone();
    let (old, old_dossier) = house.town.send(&Wish::new(1));
    house.follow(&old_dossier);
    house.done(old).unwrap();
    house.correspond();
    // The card is put back, and the uplink notices.
    house.disk.lock().unwrap().rows = before;
    house.restart(now(NOON_MS + 60_000), None).unwrap();
    let size = house.town.size();
    let returned = Ledger { size, words: 0, returned: true, ..house.world().ledger };
    house.world().ledger = returned;
    house.take(&old_dossier).unwrap();
    let (new, new_dossier) = house.town.send(&Wish::new(2));
    house.take(&new_dossier).unwrap();
    assert_eq!(house.asked(), [old], "the ledger's size is not known yet");
    // A checkpoint that is old does not say how far the ledger is.
    let old_s = (NOON_MS / 1000 - 3600) as u64;
    house.world().ledger = Ledger { words: 1, witnessed_s: Some(old_s), ..returned };
    house.look().unwrap();
    assert_eq!(house.asked(), [old]);
    house.world().ledger = Ledger { words: 2, witnessed_s: Some(NOON_MS as u64 / 1000), ..returned };
    house.look().unwrap();
    assert_eq!(house.asked(), [old, new], "only what came after the return");
    let refused = house
        .entries("command")
        .into_iter()
        .any(|event| event.details.contains(&("rule".into(), "command-before-return".into())));
    assert!(refused);
    // And it stays so.
    house.restart(now(NOON_MS + 120_000), None).unwrap();
    let (_, later) = house.town.send(&Wish::new(3));
    house.take(&later).unwrap();
    assert_eq!(house.asked().len(), 3);
}

/// The journal's file is gone, the sealing key is not: nobody can know what was done.
#[test]
fn a_lost_journal_counts_as_a_card_that_was_put_back() {
    let mut house = House::new();
    let (old, dossier) = house.town.send(&Wish::new(1));
    house.follow(&dossier);
    house.done(old).unwrap();
    house.disk.lock().unwrap().rows.clear();
    house.restart(now(NOON_MS + 60_000), None).unwrap();
    house.take(&dossier).unwrap();
    assert_eq!(house.asked(), [old]);
}
