//! What the status tells of a journal's past.

use plomb_gateway::{
    journal::{Limits, Options},
    snapshot::{ROLLBACK_TOLD_MS, rollback},
};

use crate::{
    disk::{Cut, Disk},
    ledger::Ledger,
    world::*,
};

/// Within a day of the tests' clock.
const NOW_MS: i64 = 1_760_000_000_000 + 3_600_000;

/// A thief puts an old card back. For a week the box says so, whatever restarts, and however the clock is set.
#[test]
fn a_rollback_stays_a_trouble_for_a_week_and_over_restarts() {
    let (disk, mut ledger) = (Disk::default(), Ledger::new());
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    append(&journal, 0..4);
    let copy = disk.after(Cut::All);
    let anchor = run(journal.close_batch(Limits::default())).unwrap().unwrap();
    let receipt = ledger.take(&anchor);
    assert_eq!(rollback(&journal.reader(), NOW_MS).unwrap(), None);
    drop(journal);

    let disk = Disk::holding(copy);
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    assert_eq!(rollback(&journal.reader(), NOW_MS).unwrap(), None, "not noticed yet");
    run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    settle(&journal);
    let told = rollback(&journal.reader(), NOW_MS).unwrap().unwrap();
    assert!(
        told.starts_with("rollback noticed at 2025-10-09T08:53:2") && told.contains("a card was put back"),
        "{told}"
    );
    drop(journal);

    let (journal, _) = open_on(Disk::holding(disk.after(Cut::All)), options()).unwrap();
    append(&journal, 10..20);
    assert_eq!(rollback(&journal.reader(), NOW_MS).unwrap(), Some(told.clone()), "a restart does not hide it");
    assert_eq!(rollback(&journal.reader(), NOW_MS - ROLLBACK_TOLD_MS).unwrap(), Some(told), "nor does a clock");
    assert_eq!(rollback(&journal.reader(), NOW_MS + ROLLBACK_TOLD_MS).unwrap(), None, "a week is enough");
}

/// A file that replaces a lost one has entries already when it hears of the ledger's last anchor, and begins no
/// other epoch.
#[test]
fn a_lost_journal_is_told_too() {
    let (journal, _) = open_on(Disk::default(), options()).unwrap();
    let mut ledger = Ledger::new();
    append(&journal, 0..4);
    let receipt = ledger.take(&run(journal.close_batch(Limits::default())).unwrap().unwrap());
    let successor = Options { first_epoch: 1, ..options() };
    let (journal, _) = open_on(Disk::default(), successor).unwrap();
    append(&journal, 10..15);
    run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    let told = rollback(&journal.reader(), NOW_MS).unwrap();
    assert!(told.is_some());
    run(journal.close_batch(Limits::default())).unwrap().unwrap();
    append(&journal, 20..40);
    assert_eq!(rollback(&journal.reader(), NOW_MS).unwrap(), told);
}
