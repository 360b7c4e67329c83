//! Restored, emptied and forked journals meet a ledger that knows more.

use plomb_gateway::journal::{Journal, JournalError, Limits, Noticed};
use plomb_seal::{Anchor, Batch, Body, Entry, Hash, Receipt, Signed};

use crate::{disk::Disk, ledger::Ledger, world::*};

fn close(journal: &Journal) -> Signed<Anchor> {
    run(journal.close_batch(Limits::default())).unwrap().unwrap()
}

fn image_of(disk: &Disk) -> Vec<u8> {
    disk.after(crate::disk::Cut::All)
}

/// A gateway with two batches on the ledger; its card as it was after the first; the last receipt.
fn restored() -> (Journal, Ledger, Receipt, Vec<Signed<Anchor>>) {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    let mut ledger = Ledger::new();
    append(&journal, 0..6);
    let first = close(&journal);
    run(journal.acknowledge(&ledger.take(&first), &ledger.policy)).unwrap();
    append(&journal, 6..9);
    let copy = image_of(&disk);
    append(&journal, 9..12);
    let second = close(&journal);
    let receipt = ledger.take(&second);
    drop(journal);
    let (journal, _) = open_on(Disk::holding(copy), options()).unwrap();
    (journal, ledger, receipt, vec![first, second])
}

fn event_of(entry: &Entry) -> (&str, Vec<(&str, &str)>) {
    let Body::Event(event) = &entry.body else { panic!("{entry:?} is no event") };
    (&event.name, event.details.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
}

/// The readings of an epoch, by their raw frame.
fn frames_of(entries: &[(Entry, Hash)]) -> Vec<Hash> {
    entries
        .iter()
        .filter_map(|(entry, _)| if let Body::Record(_, record) = &entry.body { Some(record.frames[0]) } else { None })
        .collect()
}

#[test]
fn a_restored_card_begins_an_epoch_and_re_enters_what_the_ledger_may_lack() {
    let (journal, mut ledger, receipt, anchors) = restored();
    append(&journal, 20..22);
    let noticed = run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    let Noticed::Behind { ledger_epoch: 0, ledger_batch: 1, ledger_seq: 11, ledger_anchor, epoch: 1, orphans: 5 } =
        noticed
    else {
        panic!("{noticed:?}")
    };
    assert_eq!(ledger_anchor, anchors[1].hash());
    settle(&journal);
    let snapshot = journal.reader().snapshot().unwrap();
    check_all(&snapshot);
    let (old, new) = (entries(&snapshot, 0), entries(&snapshot, 1));
    assert_eq!(old.len(), 11, "the old numbers stay");
    assert_eq!(new[0].0.previous, old[10].1);
    let (name, details) = event_of(&new[0].0);
    assert_eq!(name, "rollback-noticed");
    assert!(details.contains(&("ledger-anchor", &anchors[1].hash().to_string())));
    assert!(details.contains(&("own-next-seq", "11")));
    let (name, details) = event_of(&new[1].0);
    assert_eq!((name, details[1], details[2]), ("re-entered", ("first-seq", "6"), ("count", "5")));
    assert_eq!(frames_of(&new), frames_of(&old[6..]));
    for (old, new) in old[6..].iter().zip(&new[2..]) {
        assert_eq!(old.0.stamp, new.0.stamp, "an orphan keeps its time");
    }
    assert_eq!(snapshot.frames(1, 2).unwrap(), vec![frame(6)], "its raw frame moves with it");
    assert!(snapshot.frames(0, 6).unwrap().is_empty());

    let anchor = close(&journal);
    assert_eq!((anchor.statement().epoch, anchor.statement().batch), (1, 0));
    assert_eq!(anchor.statement().previous, anchors[1].hash(), "it follows the ledger's last");
    Batch::verify(&journal.batch_bytes(1, 0).unwrap(), &key().public()).unwrap();
    assert_eq!(journal.unreceipted(9).unwrap().len(), 1, "old batches are not offered again");
    let acknowledged = run(journal.acknowledge(&ledger.take(&anchor), &ledger.policy)).unwrap();
    assert_eq!((acknowledged.acked_batch, acknowledged.acked_seq), (1, 7));
    let again = run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    assert!(matches!(again, Noticed::Known(_)), "an old retained receipt changes nothing: {again:?}");
}

#[test]
fn noticing_twice_is_noticing_once_and_survives_reopening() {
    let (journal, ledger, receipt, _) = restored();
    run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    let again = run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    assert!(matches!(again, Noticed::Known(_)), "{again:?}");
    assert_eq!(journal.head().borrow().epoch, 1);
}

#[test]
fn re_entry_goes_on_after_a_cut() {
    for sync in 1..40 {
        let (disk, ledger, receipt) = {
            let disk = Disk::default();
            let (journal, _) = open_on(disk.clone(), options()).unwrap();
            let mut ledger = Ledger::new();
            append(&journal, 0..4);
            let copy = image_of(&disk);
            let receipt = ledger.take(&close(&journal));
            drop(journal);
            (Disk::holding(copy), ledger, receipt)
        };
        disk.cut_at_sync(sync);
        if let Ok((journal, _)) = open_on(disk.clone(), options()) {
            for number in 100..250 {
                let (occurrence, frames) = record(number);
                drop(journal.append_blocking(occurrence, frames));
            }
            let _ = run(journal.notice_ledger(&receipt, &ledger.policy));
            while journal.latched().is_none() && journal.stats().is_ok_and(|stats| stats.orphans_waiting > 0) {
                let _ = run(journal.flush());
            }
        }
        let (journal, _) = open_on(Disk::holding(disk.after(crate::disk::Cut::Torn(sync))), options()).unwrap();
        run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
        settle(&journal);
        let snapshot = journal.reader().snapshot().unwrap();
        check_all(&snapshot);
        assert_eq!(journal.head().borrow().epoch, 1, "cut at {sync}");
        // The first four are what the ledger has: its head is the entry that stands here.
        let (old, new) = (entries(&snapshot, 0), entries(&snapshot, 1));
        assert_eq!(frames_of(&new), frames_of(&old[4..]), "cut at {sync}");
    }
}

#[test]
fn an_emptied_journal_begins_an_epoch() {
    let (_, mut ledger, receipt, anchors) = restored();
    let (journal, _) = open_on(Disk::default(), options()).unwrap();
    append(&journal, 50..55);
    close(&journal);
    let noticed = run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    assert!(matches!(noticed, Noticed::Behind { epoch: 1, orphans: 5, .. }), "{noticed:?}");
    settle(&journal);
    let anchor = close(&journal);
    assert_eq!((anchor.statement().first_seq, anchor.statement().previous), (0, anchors[1].hash()));
    let snapshot = journal.reader().snapshot().unwrap();
    assert_eq!(frames_of(&entries(&snapshot, 1)), frames_of(&entries(&snapshot, 0)));
    run(journal.acknowledge(&ledger.take(&anchor), &ledger.policy)).unwrap();
    check_all(&journal.reader().snapshot().unwrap());
}

#[test]
fn the_same_number_with_other_content_begins_an_epoch() {
    let (journal, ledger, receipt, _) = restored();
    append(&journal, 30..34);
    let fork = close(&journal);
    assert_eq!(fork.statement().batch, 1, "the restored journal gave the number again");
    let noticed = run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    assert!(matches!(noticed, Noticed::Behind { ledger_batch: 1, epoch: 1, orphans: 7, .. }), "{noticed:?}");
    let error = run(journal.acknowledge(&receipt, &ledger.policy)).unwrap_err();
    assert_eq!(error, JournalError::UnknownAnchor { epoch: 0, batch: 1 });
}

#[test]
fn a_second_rollback_re_enters_what_was_re_entered() {
    let (journal, mut ledger, receipt, _) = restored();
    run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    // A twin of this card went on from here and got an anchor onto the ledger.
    let twin = {
        let (twin, _) = open_on(Disk::default(), options()).unwrap();
        append(&twin, 80..81);
        run(twin.notice_ledger(&receipt, &ledger.policy)).unwrap();
        settle(&twin);
        close(&twin)
    };
    let receipt = ledger.take(&twin);
    settle(&journal);
    let noticed = run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    assert!(matches!(noticed, Noticed::Behind { ledger_epoch: 1, epoch: 2, .. }), "{noticed:?}");
    settle(&journal);
    let snapshot = journal.reader().snapshot().unwrap();
    check_all(&snapshot);
    let (old, new) = (entries(&snapshot, 0), entries(&snapshot, 2));
    assert_eq!(frames_of(&new), frames_of(&old[6..]), "each reading once in the epoch that counts");
    assert_eq!(close(&journal).statement().previous, twin.hash());
}

#[test]
fn a_damaged_journal_s_successor_follows_the_ledger_without_another_epoch() {
    let (_, ledger, receipt, anchors) = restored();
    let options = plomb_gateway::journal::Options { first_epoch: 1, ..options() };
    let (journal, _) = open_on(Disk::default(), options).unwrap();
    append(&journal, 60..62);
    let noticed = run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    assert!(matches!(noticed, Noticed::Behind { epoch: 1, orphans: 0, .. }), "{noticed:?}");
    let anchor = close(&journal);
    assert_eq!((anchor.statement().epoch, anchor.statement().count), (1, 3));
    assert_eq!(anchor.statement().previous, anchors[1].hash());
    assert!(matches!(run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap(), Noticed::Known(_)));
}

#[test]
fn the_ledger_s_last_anchor_of_ours_is_only_a_receipt() {
    let (journal, _) = open_on(Disk::default(), options()).unwrap();
    let mut ledger = Ledger::new();
    append(&journal, 0..3);
    let first = ledger.take(&close(&journal));
    append(&journal, 3..5);
    let second = ledger.take(&close(&journal));
    let Noticed::Known(known) = run(journal.notice_ledger(&first, &ledger.policy)).unwrap() else { panic!() };
    assert!(known.new);
    assert_eq!(known.acked_batch, 1);
    let Noticed::Known(known) = run(journal.notice_ledger(&second, &ledger.policy)).unwrap() else { panic!() };
    assert_eq!((known.acked_batch, known.acked_seq), (2, 5));
    assert_eq!(journal.head().borrow().epoch, 0);
}
