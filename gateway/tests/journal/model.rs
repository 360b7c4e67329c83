//! Any order of calls, against a model that is only counts.

use plomb_gateway::journal::{Limits, Options};
use plomb_seal::Receipt;
use proptest::prelude::*;

use crate::{disk::Disk, ledger::Ledger, world::*};

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Absent,
    Urgent,
    Flush,
    Close(u8),
    Receipt(prop::sample::Index),
    Reopen,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..9_u8).prop_map(Step::Append),
        1 => Just(Step::Absent),
        1 => Just(Step::Urgent),
        1 => Just(Step::Flush),
        3 => (1..12_u8).prop_map(Step::Close),
        3 => any::<prop::sample::Index>().prop_map(Step::Receipt),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerCut),
    ]
}

#[derive(Default)]
struct Model {
    entries: u64,
    durable: u64,
    /// One past the last entry, and whether it has a receipt.
    batches: Vec<(u64, bool)>,
    offered: Vec<(usize, Receipt)>,
}

impl Model {
    fn anchored(&self) -> u64 {
        self.batches.last().map_or(0, |(end, _)| *end)
    }

    fn acked(&self) -> usize {
        self.batches.iter().take_while(|(_, receipt)| *receipt).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("PLOMB_CAMPAIGN").is_some() { 600 } else { 40 }, ..ProptestConfig::default() })]
    #[test]
    fn the_journal_does_what_the_model_says(steps in prop::collection::vec(step(), 1..60), window in 1..9_usize) {
        let options = Options { window_entries_max: window, ..options() };
        let mut disk = Disk::default();
        let mut ledger = Ledger::new();
        let (mut journal, _) = open_on(disk.clone(), options).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(count) => {
                    for _ in 0..count {
                        let (occurrence, frames) = record(model.entries);
                        drop(journal.append_blocking(occurrence, frames).unwrap());
                        model.entries += 1;
                        if model.entries - model.durable >= window as u64 {
                            model.durable = model.entries;
                        }
                    }
                }
                Step::Absent => {
                    drop(journal.append_blocking(absent(model.entries), vec![]).unwrap());
                    model.entries += 1;
                    if model.entries - model.durable >= window as u64 {
                        model.durable = model.entries;
                    }
                }
                Step::Urgent => {
                    let place = run(journal.append_urgent(event("urgent"), vec![])).unwrap().wait().unwrap();
                    prop_assert_eq!(place.seq, model.entries);
                    model.entries += 1;
                    model.durable = model.entries;
                }
                Step::Flush => {
                    prop_assert_eq!(run(journal.flush()).unwrap().next_seq, model.entries);
                    model.durable = model.entries;
                }
                Step::Close(entries_max) => {
                    let limits = Limits { entries_max: entries_max.into(), ..Limits::default() };
                    let anchor = run(journal.close_batch(limits)).unwrap();
                    let expected = (model.entries - model.anchored()).min(entries_max.into());
                    prop_assert_eq!(anchor.as_ref().map_or(0, |anchor| u64::from(anchor.statement().count)), expected);
                    if let Some(anchor) = anchor {
                        prop_assert_eq!(anchor.statement().batch, model.batches.len() as u64);
                        prop_assert_eq!(anchor.statement().first_seq, model.anchored());
                        model.durable = model.entries;
                        model.offered.push((model.batches.len(), ledger.take(&anchor)));
                        model.batches.push((model.anchored() + expected, false));
                    }
                }
                Step::Receipt(index) if !model.offered.is_empty() => {
                    let (batch, receipt) = model.offered[index.index(model.offered.len())].clone();
                    let new = run(journal.acknowledge(&receipt, &ledger.policy)).unwrap().new;
                    prop_assert_eq!(new, !model.batches[batch].1);
                    model.batches[batch].1 = true;
                    if new {
                        model.durable = model.entries;
                    }
                }
                Step::Receipt(_) => {}
                Step::Reopen => {
                    drop(journal);
                    journal = open_on(disk.clone(), options).unwrap().0;
                    model.durable = model.entries;
                }
                Step::PowerCut => {
                    // The writer may not have got to the last appends: ask for something that waits for it.
                    let stats = loop {
                        let stats = journal.stats().unwrap();
                        if stats.next_seq >= model.durable { break stats; }
                        std::thread::yield_now();
                    };
                    prop_assert_eq!(stats.next_seq, model.durable);
                    disk.cut_at_sync(disk.syncs() + 1);
                    drop(journal);
                    disk = Disk::holding(disk.after(crate::disk::Cut::None));
                    journal = open_on(disk.clone(), options).unwrap().0;
                    model.entries = model.durable;
                }
            }
            let stats = journal.stats().unwrap();
            prop_assert_eq!(stats.next_batch as usize, model.batches.len());
            prop_assert_eq!(stats.acked_batch as usize, model.acked());
            prop_assert_eq!(stats.acked_seq, model.acked().checked_sub(1).map_or(0, |last| model.batches[last].0));
            prop_assert!(stats.next_seq <= model.entries);
            let open: Vec<_> = journal.unreceipted(1000).unwrap().iter().map(|batch| batch.batch as usize).collect();
            let expected: Vec<_> = (0..model.batches.len()).filter(|batch| !model.batches[*batch].1).collect();
            prop_assert_eq!(open, expected);
        }
        run(journal.flush()).unwrap();
        prop_assert_eq!(journal.stats().unwrap().entries, model.entries);
        check_all(&journal.reader().snapshot().unwrap());
    }
}
