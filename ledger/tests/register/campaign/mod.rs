//! Random transactions, right and wrong, on the state machine: each right one is admitted, each wrong one is refused
//! by the rule that it was made to break, nothing panics, and the log leads to the same state again.
//!
//! The short form runs with the other tests, beside a real ledger file in memory. `PLOMB_CAMPAIGN=1` takes a million
//! steps and prints how often each rule was broken.

mod break_orders;
mod break_parties;
mod right;
mod stage;

use std::collections::BTreeMap;

use proptest::prelude::*;

use stage::{RULES, Stage};

const STEPS_CAMPAIGN: u64 = 1_000_000;
/// A consortium's life in the campaign, in steps; then another begins.
const STEPS_OF_A_LIFE: u64 = 20_000;
const VIOLATIONS_MIN: u64 = 1_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn ledger_and_bare_state_machine_agree_on_whatever_comes(seeds in prop::collection::vec(any::<u64>(), 250..350)) {
        let mut stage = Stage::new(seeds.first().copied().unwrap_or_default(), true);
        for seed in seeds {
            stage.step(seed);
        }
        stage.replay();
    }
}

#[test]
fn every_rule_is_broken_and_refuses() {
    let mut stage = Stage::new(7, false);
    for seed in 0..6_000u64 {
        stage.step(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    stage.replay();
    let missing: Vec<&str> = RULES.iter().copied().filter(|rule| !stage.refused.contains_key(rule)).collect();
    assert!(missing.is_empty(), "never broken: {missing:?}");
}

#[test]
fn a_million_steps() {
    if std::env::var_os("PLOMB_CAMPAIGN").is_none_or(|value| value != "1") {
        println!("skipped: PLOMB_CAMPAIGN=1 takes {STEPS_CAMPAIGN} steps (some minutes)");
        return;
    }
    let (mut refused, mut admitted, mut known) = (BTreeMap::new(), BTreeMap::new(), 0);
    let began = std::time::Instant::now();
    for life in 0..STEPS_CAMPAIGN / STEPS_OF_A_LIFE {
        let mut stage = Stage::new(life, false);
        for step in 0..STEPS_OF_A_LIFE {
            stage.step((life * STEPS_OF_A_LIFE + step).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
        }
        stage.replay();
        known += stage.known;
        for (rule, count) in &stage.refused {
            *refused.entry(*rule).or_insert(0) += count;
        }
        for (kind, count) in &stage.admitted {
            *admitted.entry(*kind).or_insert(0) += count;
        }
    }
    let total: u64 = refused.values().sum::<u64>() + admitted.values().sum::<u64>() + known;
    println!(
        "{total} transactions in {STEPS_CAMPAIGN} steps, {:.0} s; {known} sent twice",
        began.elapsed().as_secs_f64()
    );
    println!("| admitted | times |\n|---|---|");
    admitted.iter().for_each(|(kind, count)| println!("| `{kind}` | {count} |"));
    println!("| refused by | times |\n|---|---|");
    refused.iter().for_each(|(rule, count)| println!("| `{rule}` | {count} |"));
    for rule in RULES {
        let count = refused.get(rule).copied().unwrap_or(0);
        assert!(count >= VIOLATIONS_MIN, "{rule} was broken {count} times only");
    }
}
