//! The power fails at every sync, and leaves all, nothing, or any part of what was not synced.

use plomb_gateway::journal::{Durable, JournalError, Limits, Position, Ticket};
use plomb_seal::Receipt;

use crate::{
    disk::{Cut, Disk},
    ledger::Ledger,
    world::*,
};

/// What the rest of the world was told before the cut.
#[derive(Default)]
struct Told {
    opened: bool,
    durable: Vec<Durable>,
    anchors: Vec<(u32, u64, Vec<u8>)>,
    acknowledged: Vec<u64>,
}

fn campaign() -> bool {
    std::env::var_os("PLOMB_CAMPAIGN").is_some()
}

/// A life of the journal, with all that it can be asked.
fn live(disk: &Disk, rounds: u64, told: &mut Told) -> Result<(), JournalError> {
    let mut ledger = Ledger::new();
    let mut receipts: Vec<(u64, Receipt)> = Vec::new();
    let (journal, recovered) = open_on(disk.clone(), options())?;
    told.opened = true;
    for round in 0..rounds {
        let tickets: Vec<_> = (0..1 + round % 5)
            .map(|n| {
                let (occurrence, frames) = record(recovered.head.next_seq + round * 10 + n);
                journal.append_blocking(occurrence, frames)
            })
            .collect();
        let flushed = run(journal.flush());
        for ticket in tickets.into_iter().flatten() {
            told.durable.extend(ticket.wait());
        }
        flushed?;
        journal.set_cursor("local", Position { epoch: 0, seq: round })?;
        if round % 3 == 2 {
            journal.append_blocking(absent(round), vec![])?;
            let anchor = run(journal.close_batch(Limits { entries_max: 5, ..Limits::default() }))?.unwrap();
            let claims = anchor.statement();
            told.anchors.push((claims.epoch, claims.batch, anchor.bytes().to_vec()));
            receipts.push((claims.batch, ledger.take(&anchor)));
        }
        // Receipts come late and out of order.
        if round % 4 == 3 && receipts.len() > 1 {
            let (batch, receipt) = receipts.remove(receipts.len() - 2);
            run(journal.acknowledge(&receipt, &ledger.policy))?;
            told.acknowledged.push(batch);
        }
    }
    run(journal.close()).map(drop)
}

fn check(image: Vec<u8>, told: &Told, what: &str) {
    let disk = Disk::holding(image);
    let journal = match open_on(disk.clone(), options()) {
        Ok((journal, _)) => journal,
        // The very first commit was cut: there is nothing yet that could be lost.
        Err(JournalError::Damaged(_)) if !told.opened => return,
        Err(error) => panic!("{what}: {error}"),
    };
    let snapshot = journal.reader().snapshot().unwrap();
    for place in &told.durable {
        let entry = snapshot.entry(place.epoch, place.seq).unwrap();
        let entry = entry.unwrap_or_else(|| panic!("{what}: entry {} was durable and is gone", place.seq));
        assert_eq!(plomb_seal::tree::leaf_hash(&entry.bytes), place.hash, "{what}");
    }
    for (epoch, batch, anchor) in &told.anchors {
        let stored = snapshot.batch(*epoch, *batch).unwrap();
        assert_eq!(stored.map(|stored| stored.anchor).as_ref(), Some(anchor), "{what}: anchor {batch}");
    }
    for batch in &told.acknowledged {
        assert!(snapshot.receipt(0, *batch).unwrap().is_some(), "{what}: receipt {batch}");
    }
    check_all(&snapshot);
    drop(snapshot);
    let before = journal.head().borrow().next_seq;
    assert_eq!(append(&journal, 1000..1003)[0].seq, before, "{what}");
    check_all(&journal.reader().snapshot().unwrap());
}

#[test]
fn the_power_fails_at_every_sync() {
    let (rounds, seeds) = if campaign() { (60, 12) } else { (14, 1) };
    let whole = Disk::default();
    live(&whole, rounds, &mut Told::default()).unwrap();
    for sync in 1..=whole.syncs() {
        let disk = Disk::default();
        disk.cut_at_sync(sync);
        let mut told = Told::default();
        let outcome = live(&disk, rounds, &mut told);
        assert!(disk.is_dead() || outcome.is_ok());
        let mut cuts = vec![Cut::None, Cut::All];
        for seed in 0..seeds {
            cuts.extend([Cut::Some(sync * 7919 + seed), Cut::Torn(sync * 104_729 + seed)]);
        }
        for cut in cuts {
            check(disk.after(cut), &told, &format!("sync {sync}, {cut:?}"));
        }
    }
}

/// The repair after a cut is cut as well.
#[test]
fn the_power_fails_again_while_recovering() {
    let step = if campaign() { 1 } else { 7 };
    let whole = Disk::default();
    live(&whole, 10, &mut Told::default()).unwrap();
    for sync in (3..=whole.syncs()).step_by(step) {
        let disk = Disk::default();
        disk.cut_at_sync(sync);
        let mut told = Told::default();
        let _ = live(&disk, 10, &mut told);
        if !told.opened {
            continue;
        }
        for second in 1..=6 {
            let disk = Disk::holding(disk.after(Cut::Some(sync)));
            disk.cut_at_sync(second);
            drop(open_on(disk.clone(), options()));
            check(disk.after(Cut::Torn(second)), &told, &format!("sync {sync}, then {second}"));
        }
    }
}

#[test]
fn after_one_failed_sync_nothing_is_taken_any_more() {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    append(&journal, 0..3);
    disk.cut_at_sync(disk.syncs() + 1);
    let ticket = run(journal.append_urgent(event("lost"), vec![])).unwrap();
    assert!(matches!(ticket.wait(), Err(JournalError::Latched(_))));
    assert!(matches!(run(journal.flush()), Err(JournalError::Latched(_))));
    assert!(matches!(run(journal.append(event("late"), vec![])), Err(JournalError::Latched(_))));
    assert!(matches!(run(journal.close_batch(Limits::default())), Err(JournalError::Latched(_))));
    assert_eq!(journal.head().borrow().next_seq, 3);
    assert!(journal.latched().is_some());
}

#[test]
fn a_full_disk_latches_and_loses_nothing() {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    let mut durable = append(&journal, 0..8);
    disk.set_len_max(Some(disk.len_now()));
    let mut number = 8;
    let error = loop {
        let (occurrence, frames) = record(number);
        match run(journal.append_urgent(occurrence, frames)).and_then(Ticket::wait) {
            Ok(place) => durable.push(place),
            Err(error) => break error,
        }
        number += 1;
        assert!(number < 10_000, "the disk never filled up");
    };
    assert!(matches!(&error, JournalError::Latched(why) if !why.is_empty()), "{error}");
    drop(journal);
    let told = Told { opened: true, durable, ..Told::default() };
    for cut in [Cut::None, Cut::All, Cut::Torn(5)] {
        check(disk.after(cut), &told, "full disk");
    }
}
