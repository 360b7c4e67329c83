//! What goes when room is short, and what never goes.

use plomb_gateway::journal::{Journal, JournalError, Limits, Options, QUOTA_BYTES_MIN};
use plomb_seal::{Body, Hash, entry::Occurrence};

use crate::{disk::Disk, ledger::Ledger, world::*};

fn options() -> Options {
    Options { quota_bytes: QUOTA_BYTES_MIN, window_entries_max: 16, ..crate::world::options() }
}

/// A record with some ten thousand bytes of readings, and frames of four thousand.
fn big(number: u64) -> (Occurrence, Vec<Vec<u8>>) {
    let (Occurrence::Record(point, mut record), _) = record(number) else { unreachable!() };
    record.readings = vec![record.readings[0].clone(); 200];
    let mut frame = number.to_be_bytes().to_vec();
    frame.resize(4000, 0);
    record.frames = vec![Hash::of(&frame)];
    (Occurrence::Record(point, record), vec![frame])
}

fn append_big(journal: &Journal, numbers: std::ops::Range<u64>) -> Result<(), JournalError> {
    let tickets: Vec<_> = numbers
        .map(|number| {
            let (occurrence, frames) = big(number);
            journal.append_blocking(occurrence, frames).unwrap()
        })
        .collect();
    run(journal.flush())?;
    tickets.into_iter().try_for_each(|ticket| ticket.wait().map(drop))
}

#[test]
fn what_has_a_receipt_goes_first_and_frames_go_before_readings() {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    let mut ledger = Ledger::new();
    let (mut frames_only, mut whole) = (false, false);
    for round in 0..120 {
        append_big(&journal, round * 10..round * 10 + 10).unwrap();
        let anchor = run(journal.close_batch(Limits::default())).unwrap().unwrap();
        run(journal.acknowledge(&ledger.take(&anchor), &ledger.policy)).unwrap();
        let stats = journal.stats().unwrap();
        assert!(stats.stored_bytes <= QUOTA_BYTES_MIN, "{stats:?}");
        assert_eq!(stats.frames_dropped, 0, "a frame without a receipt went while others had one");
        frames_only |= stats.frames < stats.entries && stats.entries == stats.next_seq;
        whole |= stats.entries < stats.next_seq;
        if whole {
            assert!(stats.frames < 20, "readings went while old frames stayed: {stats:?}");
        }
    }
    assert!(frames_only && whole);
    let snapshot = journal.reader().snapshot().unwrap();
    check_all(&snapshot);
    let (epoch, first, _) = snapshot.epochs().unwrap()[0];
    assert_eq!(snapshot.batch_of(epoch, first).unwrap().unwrap().first_seq, first, "only whole batches go");
    assert!(snapshot.batch(epoch, 119).unwrap().unwrap().proof.is_some(), "the newest with a receipt stays");
    assert!(disk.len_now() < 2 * QUOTA_BYTES_MIN, "the file has {} bytes", disk.len_now());
    drop((snapshot, journal));
    let (journal, _) = open_on(disk, options()).unwrap();
    check_all(&journal.reader().snapshot().unwrap());
}

#[test]
fn without_receipts_frames_go_then_nothing_comes_in_until_there_is_room() {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    let mut number = 0;
    let error = loop {
        match append_big(&journal, number..number + 1) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    let stats = journal.stats().unwrap();
    assert!(stats.frames_dropped > 0 && stats.frames < 3, "{stats:?}");
    assert!(matches!(append_big(&journal, 9000..9001), Err(JournalError::Full { .. })));
    let snapshot = journal.reader().snapshot().unwrap();
    let kept = entries(&snapshot, 0);
    assert_eq!(kept.len() as u64, number + 1, "every entry is there, and the event that says it is full");
    assert!(matches!(&kept.last().unwrap().0.body, Body::Event(event) if event.name == "journal-full"));
    check_all(&snapshot);
    drop(snapshot);
    // What the gateway says of itself still has room, and so has an anchor.
    run(journal.append_urgent(event("stop"), vec![])).unwrap().wait().unwrap();
    drop(journal);

    let (journal, _) = open_on(disk, options()).unwrap();
    assert!(matches!(append_big(&journal, 9000..9001), Err(JournalError::Full { .. })), "it remembers");
    let mut ledger = Ledger::new();
    let mut came = false;
    while let Some(anchor) = run(journal.close_batch(Limits::default())).unwrap() {
        run(journal.acknowledge(&ledger.take(&anchor), &ledger.policy)).unwrap();
        came |= append_big(&journal, 5000..5001).is_ok();
        if came {
            break;
        }
    }
    assert!(came, "receipts make room");
    let snapshot = journal.reader().snapshot().unwrap();
    check_all(&snapshot);
    let all = entries(&snapshot, 0);
    let space = all.iter().rev().find_map(|(entry, _)| match &entry.body {
        Body::Event(event) if event.name == "journal-space" => Some(event.details.clone()),
        _ => None,
    });
    let refused: u64 = space.unwrap()[0].1.parse().unwrap();
    assert!(refused >= 3, "{refused} refused");
}

#[test]
fn a_quota_full_of_orphans_can_still_be_re_entered() {
    let mut ledger = Ledger::new();
    let other = {
        let (journal, _) = open_on(Disk::default(), options()).unwrap();
        append(&journal, 0..2);
        run(journal.close_batch(Limits::default())).unwrap().unwrap()
    };
    let receipt = ledger.take(&other);
    let (journal, _) = open_on(Disk::default(), options()).unwrap();
    let mut number = 100;
    while append_big(&journal, number..number + 1).is_ok() {
        number += 1;
    }
    run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap();
    settle(&journal);
    let snapshot = journal.reader().snapshot().unwrap();
    check_all(&snapshot);
    let records = entries(&snapshot, 1).iter().filter(|(entry, _)| entry.body.link().is_some()).count() as u64;
    assert_eq!(records, number - 100, "every orphan is in the new epoch");
    assert!(snapshot.stats().unwrap().stored_bytes < QUOTA_BYTES_MIN + 128 * 1024);
    drop(snapshot);
    while let Some(anchor) = run(journal.close_batch(Limits::default())).unwrap() {
        run(journal.acknowledge(&ledger.take(&anchor), &ledger.policy)).unwrap();
    }
    append_big(&journal, 0..1).unwrap();
    let stats = journal.stats().unwrap();
    assert_eq!(stats.acked_batch, stats.next_batch);
    check_all(&journal.reader().snapshot().unwrap());
}

#[test]
fn options_out_of_bounds_are_refused_by_name() {
    let small = Options { quota_bytes: QUOTA_BYTES_MIN - 1, ..options() };
    assert!(matches!(open_on(Disk::default(), small), Err(JournalError::Option { name: "quota_bytes", .. })));
    let wide = Options { window_entries_max: 4097, ..options() };
    assert!(matches!(open_on(Disk::default(), wide), Err(JournalError::Option { name: "window_entries_max", .. })));
}
