//! Configurations: the rules, the priorities, the confirmation.

use plomb_gateway::{
    lines::Haste,
    orders::desk::{FRESH_MS_MAX, REFUSED_ENTRIES_PER_HOUR},
};
use plomb_seal::{
    SigningKey,
    transaction::{Priority, Role, Window},
};

use crate::{
    script::{FOUNDING, GOOD, House, every, now, run},
    town::{NOON_MS, Proposal},
};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_configuration_is_applied_confirmed_and_said_on_the_ledger() {
    let mut house = House::new();
    let (leaf, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
    assert_eq!(house.applied(), [60]);
    let entry = &house.entries("configuration")[0];
    let outcome = &house.town.outcomes[0];
    assert_eq!((outcome.epoch, outcome.seq), (0, 0), "it names its entry");
    assert!(entry.details.contains(&("author".into(), "alice".into())), "{entry:?}");
    let shown = house.world().shown.clone();
    let in_force = shown.in_force.unwrap();
    assert_eq!((in_force.version, in_force.author.as_str()), (1, "alice"));
    assert_eq!((shown.unanswered, shown.on_trial), (0, None));
    // The hub may send it as often as it likes.
    house.follow(&dossier);
    house.restart(now(NOON_MS + 1000), None).unwrap();
    house.follow(&dossier);
    assert_eq!((house.applied(), house.town.outcomes.len()), (vec![60], 1));
    assert_eq!(house.world().running.meter[0].interval_s, 60.0, "it rules after a restart");
}

#[test]
fn each_rule_refuses_by_its_name_and_nothing_is_applied() {
    let other_gateway = FOUNDING.replace("gw-1", "gw-2");
    let other_state = FOUNDING.replace("/s", "/other");
    let nonsense = format!("{FOUNDING}interval_s = 0.001\n");
    let typo = format!("{FOUNDING}intervall_s = 5\n");
    let socket = format!("{FOUNDING}[control]\nsocket = \"/elsewhere\"\n");
    let no_hub = FOUNDING.replace("[hub]\naddress = \"hub:1\"\nca = \"/a\"\n", "");
    let impossible = FOUNDING.replace("flat-1", "impossible");
    let passed = Window { from_ms: NOON_MS - 2000, until_ms: NOON_MS - 1000 };
    let good = every(60);
    let cases = [
        ("config-sealed", Proposal { flip: true, ..Proposal::new(0, &good) }, "it does not open"),
        ("config-syntax", Proposal::new(0, &typo), "configuration:18:1: unknown key `intervall_s`"),
        ("config-syntax", Proposal::new(0, "[gateway\n"), "configuration:1:"),
        ("config-identity", Proposal::new(0, &other_gateway), "[gateway] id"),
        ("config-identity", Proposal::new(0, &other_state), "[gateway] state_dir"),
        ("config-no-hub", Proposal::new(0, &no_hub), "it has no [hub]"),
        ("config-meaning", Proposal::new(0, &nonsense), "interval_s is 0.2"),
        ("config-meaning", Proposal::new(0, &impossible), "its profile is unknown"),
        ("config-needs-restart", Proposal::new(0, &socket), "[control]"),
        (
            "config-window",
            Proposal { window: Some(passed), priority: Priority::Routine, ..Proposal::new(0, &good) },
            "has passed",
        ),
    ];
    for (rule, proposal, detail) in cases {
        let mut house = House::new();
        let (leaf, dossier) = house.town.propose(&proposal);
        house.follow(&dossier);
        assert_eq!(house.town.came(leaf), Some(("refused", rule.to_string())));
        assert!(house.town.detail(leaf).contains(detail), "{rule}: {}", house.town.detail(leaf));
        assert_eq!(house.applied(), [] as [u64; 0], "{rule}");
        // And the one after it goes its way.
        let (next, dossier) = house.town.propose(&Proposal::new(1, &good));
        house.follow(&dossier);
        assert_eq!(house.town.came(next), Some(("applied", String::new())), "{rule}");
    }
}

#[test]
fn sealed_to_another_key_is_refused() {
    let mut house = House::new();
    let own = house.town.sealing;
    house.town.sealing = plomb_seal::sealed::SealingSecret::from_bytes(&[9; 32]).unwrap().public();
    let (leaf, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.town.sealing = own;
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), Some(("refused", "config-sealed".to_string())));
}

#[test]
fn whoever_may_not_order_gets_an_entry_and_no_outcome() {
    let stranger = SigningKey::from_seed(&[99; 32]);
    let scoped = SigningKey::from_seed(&[98; 32]);
    for (rule, author, gateway) in [
        ("dossier-author", Some(&stranger), "gw-1"),
        ("dossier-scope", Some(&scoped), "gw-1"),
        ("dossier-gateway", None, "gw-2"),
    ] {
        let mut house = House::new();
        house.town.certify(&scoped, Role::Admin, "eve", &["gw-9"]);
        let author = author.cloned().unwrap_or(house.town.admin.clone());
        let text = every(60);
        let (leaf, dossier) = house.town.propose_as(&author, &Proposal { gateway, ..Proposal::new(0, &text) });
        house.follow(&dossier);
        house.follow(&dossier);
        assert_eq!((house.town.came(leaf), house.applied()), (None, vec![]), "{rule}");
        let entries = house.entries("order-refused");
        assert_eq!(entries.len(), 1, "once, however often it comes");
        assert!(entries[0].details.contains(&("rule".into(), rule.into())), "{rule}: {entries:?}");
        assert!(house.world().shown.refused.as_ref().unwrap().contains(rule));
    }
    // An operator is no admin.
    let mut house = House::new();
    let operator = house.town.operator.clone();
    let (leaf, dossier) = house.town.propose_as(&operator, &Proposal::new(0, &every(60)));
    house.follow(&dossier);
    assert_eq!((house.town.came(leaf), house.entries("order-refused").len()), (None, 1));
    // A proof that was bent shows nothing.
    let (leaf, mut dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    let last = dossier.len() - 5;
    dossier[last] ^= 1;
    house.follow(&dossier);
    assert_eq!((house.town.came(leaf), house.applied()), (None, vec![]));
}

#[test]
fn a_hub_that_sends_broken_dossiers_does_not_fill_the_journal() {
    let mut house = House::new();
    let stranger = SigningKey::from_seed(&[99; 32]);
    for n in 0..50 {
        let (_, dossier) = house.town.propose_as(&stranger, &Proposal::new(n, &every(60)));
        house.follow(&dossier);
    }
    assert_eq!(house.entries("order-refused").len(), REFUSED_ENTRIES_PER_HOUR);
    house.pass(HOUR_MS as u64);
    let (_, dossier) = house.town.propose_as(&stranger, &Proposal::new(50, &every(60)));
    house.follow(&dossier);
    assert_eq!(house.entries("order-refused").len(), REFUSED_ENTRIES_PER_HOUR + 1);
}

#[test]
fn versions_only_go_forward() {
    let mut house = House::new();
    let (first, held_back) = house.town.propose(&Proposal::new(0, &every(60)));
    let (_, second) = house.town.propose(&Proposal::new(1, &every(30)));
    house.follow(&second);
    house.follow(&held_back);
    assert_eq!(house.town.came(first), Some(("refused", "config-version".into())));
    // Nor does another one with the same number get in.
    let (twin, dossier) = house.town.propose(&Proposal::new(1, &every(20)));
    house.follow(&dossier);
    assert_eq!(house.town.came(twin), Some(("refused", "config-version".into())));
    assert_eq!(house.applied(), [30]);
}

#[test]
fn immediate_breaks_off_a_poll_and_urgent_lets_it_end() {
    for (priority, haste) in [(Priority::Immediate, Haste::Now), (Priority::Urgent, Haste::AfterPoll)] {
        let mut house = House::new();
        let (_, dossier) = house.town.propose(&Proposal { priority, ..Proposal::new(0, &every(60)) });
        house.follow(&dossier);
        assert_eq!(house.world().haste, Some(haste));
    }
}

#[test]
fn routine_waits_for_the_night_and_is_refused_nothing_meanwhile() {
    let mut house = House::new();
    let (leaf, dossier) = house.town.propose(&Proposal { priority: Priority::Routine, ..Proposal::new(0, &every(60)) });
    house.follow(&dossier);
    assert_eq!((house.town.came(leaf), house.applied()), (None, vec![]));
    assert_eq!(house.world().shown.pending.len(), 1);
    assert_eq!(run(house.desk.next_look_ms()), Some(14 * HOUR_MS as u64), "at two in the morning");
    house.pass(14 * HOUR_MS as u64 - 60_000);
    assert_eq!(house.world().shown.pending.len(), 0, "the hub has not sent it for hours: it may have been withdrawn");
    house.follow(&dossier);
    house.pass(60_000);
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
}

#[test]
fn its_own_window_goes_before_the_maintenance_window() {
    let mut house = House::new();
    let window = Window { from_ms: NOON_MS + HOUR_MS, until_ms: NOON_MS + 2 * HOUR_MS };
    let text = every(60);
    let proposal = Proposal { window: Some(window), priority: Priority::Routine, ..Proposal::new(0, &text) };
    let (leaf, dossier) = house.town.propose(&proposal);
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), None);
    house.pass(HOUR_MS as u64 - 1000);
    house.follow(&dossier);
    house.pass(1000);
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
}

#[test]
fn a_more_urgent_one_goes_first_and_what_it_replaces_is_forgotten() {
    let mut house = House::new();
    let (text_a, text_b) = (every(60), every(30));
    let routine = |base, text| Proposal { priority: Priority::Routine, ..Proposal::new(base, text) };
    let (old, first) = house.town.propose(&routine(0, &text_a));
    let (_, second) = house.town.propose(&Proposal::new(1, &text_b));
    house.follow(&first);
    house.follow(&second);
    assert_eq!((house.applied(), house.world().shown.pending.len()), (vec![30], 0));
    house.pass(15 * HOUR_MS as u64);
    assert_eq!((house.town.came(old), house.applied()), (None, vec![30]));
    assert!(FRESH_MS_MAX < HOUR_MS as u64);
}

#[test]
fn the_same_content_is_no_change() {
    let mut house = House::new();
    let (_, first) = house.town.propose(&Proposal::new(0, &every(60)));
    house.follow(&first);
    let commented = format!("# as before\n{}", every(60));
    for (base, text) in [(1, every(60)), (2, commented)] {
        let (leaf, dossier) = house.town.propose(&Proposal::new(base, &text));
        house.follow(&dossier);
        assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
        assert_eq!(house.town.detail(leaf), "no change");
        assert_eq!(house.applied(), [60], "nothing was begun anew");
    }
    house.restart(now(NOON_MS + 1000), None).unwrap();
    assert_eq!(house.world().shown.in_force.as_ref().unwrap().version, 3);
}

#[test]
fn a_configuration_that_loses_the_hub_or_the_meters_is_taken_back_and_says_so() {
    let hubless = crate::script::Script::without_hub();
    let mute = plomb_gateway::orders::world::Standing { reading: false, ..GOOD };
    for (under_new, rule) in [(hubless, "confirm-no-hub"), (mute, "confirm-no-meter")] {
        let mut house = House::new();
        let (_, first) = house.town.propose(&Proposal::new(0, &every(60)));
        house.follow(&first);
        let (leaf, dossier) = house.town.propose(&Proposal::new(1, &every(30)));
        house.world().under_new = Some(under_new);
        house.follow(&dossier);
        assert_eq!(house.town.came(leaf), None, "it still has time");
        assert_eq!(house.world().shown.on_trial.as_ref().unwrap().version, 2);
        house.pass(119_000);
        assert_eq!(house.town.came(leaf), None);
        house.world().under_new = Some(GOOD);
        house.pass(1_000);
        assert_eq!(house.town.came(leaf), Some(("rolled-back", rule.to_string())));
        assert_eq!(house.applied(), [60, 30, 60]);
        assert_eq!(house.world().shown.in_force.as_ref().unwrap().version, 1);
        // Not again, whatever the hub sends; and the next one may.
        house.follow(&dossier);
        let (next, dossier) = house.town.propose(&Proposal::new(2, &every(20)));
        house.follow(&dossier);
        assert_eq!((house.town.came(next).unwrap().0, house.applied()), ("applied", vec![60, 30, 60, 20]));
    }
}

/// Other meters read on, but what was changed is not read: it has the whole time, and then the outcome names it.
#[test]
fn what_was_changed_and_is_not_read_is_named() {
    let mut house = House::new();
    house.world().unread = vec!["long-dead".into()];
    let (first, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.follow(&dossier);
    assert_eq!(house.town.came(first), Some(("applied", String::new())), "who was silent before is not waited for");
    let (leaf, dossier) = house.town.propose(&Proposal::new(1, &every(30)));
    house.world().unread_under_new = vec!["flat-power".into()];
    house.follow(&dossier);
    house.pass(119_000);
    assert_eq!(house.town.came(leaf), None);
    house.pass(1_000);
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
    let detail = "hub and meters are reached, but for flat-power: not read within 120 s";
    assert!(house.entries("configuration").iter().any(|event| event.details.iter().any(|(_, value)| value == detail)));
}

#[test]
fn it_is_confirmed_as_soon_as_hub_and_meters_are_there() {
    let mut house = House::new();
    let (leaf, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.world().under_new = Some(crate::script::Script::without_hub());
    house.follow(&dossier);
    house.world().standing = GOOD;
    house.look().unwrap();
    house.correspond();
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
    // A hub at another address must have said something that holds, not only let us in.
    let text = every(60).replace("hub:1", "hub:2");
    let (leaf, dossier) = house.town.propose(&Proposal::new(1, &text));
    house.world().under_new = Some(plomb_gateway::orders::world::Standing { spoke: false, ..GOOD });
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), None);
    house.world().standing = GOOD;
    house.look().unwrap();
    house.correspond();
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
}

#[test]
fn a_gateway_that_read_nothing_before_need_not_read_now() {
    let mut house = House::new();
    house.world().standing.reading = false;
    let (leaf, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), Some(("applied", String::new())));
}

#[test]
fn one_that_fails_while_it_is_applied_is_taken_back() {
    let mut house = House::new();
    let stubborn = FOUNDING.replace("flat-1", "stubborn");
    let (leaf, dossier) = house.town.propose(&Proposal::new(0, &stubborn));
    house.follow(&dossier);
    assert_eq!(house.town.came(leaf), Some(("rolled-back", "config-apply".into())));
    assert_eq!(house.applied(), [900], "the founding one again");
}

#[test]
fn while_one_is_on_trial_the_next_waits() {
    let mut house = House::new();
    let (first, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.world().under_new = Some(crate::script::Script::without_hub());
    house.follow(&dossier);
    let (second, dossier) = house.town.propose(&Proposal::new(1, &every(30)));
    house.follow(&dossier);
    assert_eq!(house.applied(), [60]);
    house.world().standing = GOOD;
    house.look().unwrap();
    house.correspond();
    assert_eq!(house.applied(), [60, 30]);
    assert!([first, second].iter().all(|leaf| house.town.came(*leaf) == Some(("applied", String::new()))));
}

#[test]
fn an_edit_by_hand_is_entered_once_and_shown_until_it_is_undone() {
    let mut house = House::new();
    assert_eq!(house.desk.expected(), None, "the founding file rules");
    let (_, dossier) = house.town.propose(&Proposal::new(0, &every(60)));
    house.follow(&dossier);
    let (founding, applied) = house.desk.expected().unwrap();
    assert_eq!(founding, plomb_seal::Hash::of(FOUNDING.as_bytes()).to_string());
    assert_eq!(applied, plomb_seal::Hash::of(every(60).as_bytes()).to_string());
    let found = |hash: &str| vec![("plombd.toml".to_string(), founding.clone(), hash.to_string())];
    for _ in 0..2 {
        run(house.desk.edits(found("ab12"))).unwrap();
    }
    assert_eq!(house.entries("configuration-edited").len(), 1);
    assert!(house.world().shown.edits[0].contains("plombd.toml was edited by hand"));
    house.restart(now(NOON_MS + 1000), None).unwrap();
    run(house.desk.edits(found("ab12"))).unwrap();
    assert_eq!(house.entries("configuration-edited").len(), 1, "once, also after a restart");
    run(house.desk.edits(found(&founding))).unwrap();
    let entries = |name| house.entries(name).len();
    assert_eq!((entries("configuration-edited"), entries("configuration-restored")), (1, 1));
    assert!(house.world().shown.edits.is_empty());
}
