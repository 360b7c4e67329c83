//! What a journal does on a good day, and what it refuses.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use plomb_gateway::journal::{Journal, JournalError, Limits, Options, Position, set_aside};
use plomb_seal::{Body, SigningKey, entry::Occurrence};
use redb::ReadableTable;

use crate::{
    disk::{Cut, Disk},
    ledger::Ledger,
    world::*,
};

#[test]
fn entries_come_back_in_order_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let (journal, recovered) = Journal::open(&path, gateway(), key(), options(), clock()).unwrap();
    assert!(recovered.created);
    // A new journal is nobody else's to read.
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    let places = append(&journal, 0..10);
    journal.set_cursor("local", Position { epoch: 0, seq: 7 }).unwrap();
    let head = run(journal.close()).unwrap();
    assert!(matches!(journal.append_blocking(event("late"), vec![]), Err(JournalError::Latched(_))));
    drop(journal);

    let (journal, recovered) = Journal::open(&path, gateway(), key(), options(), clock()).unwrap();
    assert!(!recovered.created);
    assert_eq!((recovered.head, recovered.openings, recovered.unreceipted_entries), (head, 2, 10));
    assert_eq!(journal.cursor("local"), Some(Position { epoch: 0, seq: 7 }));
    append(&journal, 10..13);
    let snapshot = journal.reader().snapshot().unwrap();
    check_all(&snapshot);
    assert_eq!(
        snapshot.entry(0, 3).unwrap().map(|entry| plomb_seal::tree::leaf_hash(&entry.bytes)),
        Some(places[3].hash)
    );
    assert_eq!(snapshot.frame(0, 12, plomb_seal::Hash::of(&frame(12))).unwrap(), Some(frame(12)));
    assert_eq!(snapshot.points().unwrap().len(), 7);
}

/// A counter goes with the commit of any entry that comes after it, never back, and is there after a crash.
#[test]
fn message_counters_are_durable_with_the_entries_and_never_go_back() {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    journal.advance_counter("12345678 key", 7).unwrap();
    append(&journal, 0..1);
    run(journal.flush()).unwrap();
    assert!(!journal.has_unwritten_counters());
    journal.advance_counter("12345678 key", 3).unwrap();
    assert!(!journal.has_unwritten_counters(), "a counter that does not move is not written");
    journal.advance_counter("87654321 key", 1).unwrap();
    let after_power_cut = Disk::holding(disk.after(Cut::None));
    assert_eq!(journal.counters().get("87654321 key"), Some(&1));
    drop(journal);
    let (journal, _) = open_on(after_power_cut, options()).unwrap();
    assert_eq!(journal.counters().into_iter().collect::<Vec<_>>(), [("12345678 key".to_string(), 7)]);
}

#[test]
fn an_entry_exists_when_its_group_is_durable_and_not_before() {
    let (journal, _) = open_on(Disk::default(), options()).unwrap();
    let head = journal.head();
    let one = journal.append_blocking(record(1).0, vec![]).unwrap();
    let two = journal.append_blocking(record(2).0, vec![]).unwrap();
    assert_eq!(head.borrow().next_seq, 0);
    let urgent = run(journal.append_urgent(event("start"), vec![])).unwrap();
    assert_eq!(urgent.wait().unwrap().seq, 2);
    assert_eq!((one.wait().unwrap().seq, two.wait().unwrap().seq), (0, 1));
    assert_eq!(head.borrow().next_seq, 3);
    // A full group needs nobody to ask.
    let tickets: Vec<_> = (0..4).map(|n| journal.append_blocking(record(n).0, vec![]).unwrap()).collect();
    assert_eq!(tickets.into_iter().map(|t| t.wait().unwrap().seq).collect::<Vec<_>>(), [3, 4, 5, 6]);
}

#[test]
fn the_window_commits_without_being_asked() {
    let options = Options { window: Duration::from_millis(1), window_entries_max: 256, ..options() };
    let (journal, _) = open_on(Disk::default(), options).unwrap();
    assert_eq!(journal.append_blocking(event("one"), vec![]).unwrap().wait().unwrap().seq, 0);
}

#[test]
fn batches_are_numbered_once_and_only_receipts_move_the_cursor() {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    let mut ledger = Ledger::new();
    assert!(run(journal.close_batch(Limits::default())).unwrap().is_none());
    append(&journal, 0..10);
    let limits = Limits { entries_max: 4, ..Limits::default() };
    let anchors: Vec<_> = (0..3).map(|_| run(journal.close_batch(limits.clone())).unwrap().unwrap()).collect();
    assert_eq!(anchors.iter().map(|a| a.statement().count).collect::<Vec<_>>(), [4, 4, 2]);
    assert!(run(journal.close_batch(limits)).unwrap().is_none());
    assert_eq!(journal.unreceipted(9).unwrap().iter().map(|b| b.batch).collect::<Vec<_>>(), [0, 1, 2]);

    let receipts: Vec<_> = anchors.iter().map(|anchor| ledger.take(anchor)).collect();
    let acknowledged = run(journal.acknowledge(&receipts[2], &ledger.policy)).unwrap();
    assert!(acknowledged.new);
    assert_eq!((acknowledged.acked_batch, acknowledged.acked_seq), (0, 0), "a gap holds the cursor");
    let other = Ledger::new();
    let stranger = plomb_seal::Policy::parse(&format!(
        "log {}\nquorum none\n",
        plomb_seal::note::VerifierKey {
            name: "ledger.example/test".into(),
            key: SigningKey::from_seed(&[1; 32]).public(),
            usage: plomb_seal::note::KeyUse::Log
        }
    ))
    .unwrap();
    assert!(matches!(run(journal.acknowledge(&receipts[0], &stranger)), Err(JournalError::Receipt(_))));
    let mut swapped = receipts[0].clone();
    swapped.proof.clone_from(&receipts[1].proof);
    assert!(matches!(run(journal.acknowledge(&swapped, &other.policy)), Err(JournalError::Receipt(_))));
    assert_eq!(journal.stats().unwrap().acked_batch, 0);

    run(journal.acknowledge(&receipts[0], &ledger.policy)).unwrap();
    let acknowledged = run(journal.acknowledge(&receipts[1], &ledger.policy)).unwrap();
    assert_eq!((acknowledged.acked_batch, acknowledged.acked_seq), (3, 10));
    assert!(!run(journal.acknowledge(&receipts[1], &ledger.policy)).unwrap().new);
    assert!(journal.unreceipted(9).unwrap().is_empty());
    check_all(&journal.reader().snapshot().unwrap());
    let snapshot = journal.reader().snapshot().unwrap();
    assert_eq!(snapshot.receipt(0, 2).unwrap(), Some(receipts[2].clone()));
}

#[test]
fn what_no_verifier_would_read_gets_no_number() {
    let (journal, _) = open_on(Disk::default(), options()).unwrap();
    let refused = |occurrence: Occurrence, frames: Vec<Vec<u8>>| {
        run(journal.append_urgent(occurrence, frames)).unwrap().wait().unwrap_err()
    };
    let long = "x".repeat(plomb_seal::reading::TEXT_BYTES_MAX + 1);
    assert!(matches!(refused(event(&long), vec![]), JournalError::Unfit(_)));
    let Occurrence::Record(point, mut fat) = record(1).0 else { unreachable!() };
    fat.readings = vec![fat.readings[0].clone(); 513];
    assert!(matches!(refused(Occurrence::Record(point.clone(), fat.clone()), vec![]), JournalError::Unfit(_)));
    fat.readings.truncate(512);
    for reading in &mut fat.readings {
        reading.quantity = "q".repeat(250);
    }
    assert!(matches!(refused(Occurrence::Record(point, fat), vec![]), JournalError::Unfit(_)));
    assert!(matches!(refused(record(1).0, vec![frame(2)]), JournalError::Frames(_)));
    assert!(matches!(refused(absent(1), vec![vec![0; 5000]]), JournalError::Frames(_)));
    // Each record that was refused has an absence in its place, so that its due time is not without an entry.
    assert_eq!(run(journal.append_urgent(event("good"), vec![])).unwrap().wait().unwrap().seq, 3);
    assert_eq!(journal.stats().unwrap().not_taken.count, 5);
    check_all(&journal.reader().snapshot().unwrap());
}

#[test]
fn a_file_of_another_gateway_key_or_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let (journal, _) = Journal::open(&path, gateway(), key(), options(), clock()).unwrap();
    append(&journal, 0..5);
    assert_eq!(Journal::open_read_only(&path).err(), Some(JournalError::InUse));
    assert_eq!(Journal::open(&path, gateway(), key(), options(), clock()).err(), Some(JournalError::InUse));
    drop(journal);
    let other = Journal::open(&path, "gw-other".parse().unwrap(), key(), options(), clock());
    assert!(matches!(other, Err(JournalError::OtherGateway { .. })));
    let other = Journal::open(&path, gateway(), SigningKey::from_seed(&[1; 32]), options(), clock());
    assert!(matches!(other, Err(JournalError::OtherKey { .. })));

    const META: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2_u64.to_be_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let newer = Journal::open(&path, gateway(), key(), options(), clock());
    assert_eq!(newer.err(), Some(JournalError::UnknownFormat { found: 2, known: 1 }));
}

#[test]
fn a_reader_needs_no_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let (journal, _) = Journal::open(&path, gateway(), key(), options(), clock()).unwrap();
    append(&journal, 0..30);
    run(journal.close_batch(Limits::default())).unwrap().unwrap();
    // As after a kill: the file is copied while it is open.
    let killed = folder.path().join("killed.redb");
    std::fs::copy(&path, &killed).unwrap();
    drop(journal);
    for path in [&path, &killed] {
        let before = std::fs::read(path).unwrap();
        let reader = Journal::open_read_only(path).unwrap();
        let snapshot = reader.snapshot().unwrap();
        check_all(&snapshot);
        assert_eq!((snapshot.head().unwrap().next_seq, snapshot.stats().unwrap().batches), (30, 1));
        drop((snapshot, reader));
        assert!(std::fs::read(path).unwrap() == before, "reading changed {}", path.display());
    }
}

/// A byte of every page is bent: opening may refuse, or find that nobody needs the page.
#[test]
fn a_bent_page_never_passes_for_a_good_one() {
    let disk = Disk::default();
    let (journal, _) = open_on(disk.clone(), options()).unwrap();
    append(&journal, 0..60);
    run(journal.close_batch(Limits::default())).unwrap().unwrap();
    let head = run(journal.close()).unwrap();
    drop(journal);
    let good = disk.after(Cut::All);
    let mut refused = 0;
    for at in (0..good.len()).step_by(1361) {
        let mut bent = good.clone();
        bent[at] ^= 0x55;
        match open_on(Disk::holding(bent), options()) {
            Ok((journal, recovered)) => {
                assert_eq!(recovered.head, head, "byte {at}");
                check_all(&journal.reader().snapshot().unwrap());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "no byte mattered");
}

#[test]
fn a_damaged_file_is_refused_moved_aside_and_followed_by_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let (journal, _) = Journal::open(&path, gateway(), key(), options(), clock()).unwrap();
    append(&journal, 0..40);
    drop(journal);
    let good = std::fs::read(&path).unwrap();

    // The last entry's signature is bent, under a checksum that fits.
    const ENTRIES: redb::TableDefinition<'_, (u32, u64), &[u8]> = redb::TableDefinition::new("entries");
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut entries = transaction.open_table(ENTRIES).unwrap();
        let mut bytes = entries.get((0, 20)).unwrap().unwrap().value().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        entries.insert((0, 20), bytes.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let error = Journal::open(&path, gateway(), key(), options(), clock()).err().unwrap();
    assert!(matches!(error, JournalError::Damaged(_)), "{error}");

    let (journal, recovered, aside) =
        Journal::open_replacing_damaged(&path, gateway(), key(), options(), clock(), &error).unwrap();
    assert!(recovered.created && aside.exists());
    run(journal.flush()).unwrap();
    let snapshot = journal.reader().snapshot().unwrap();
    let first = &entries(&snapshot, 1)[0].0;
    assert!(matches!(&first.body, Body::Event(event) if event.name == "journal-damaged"));
    drop((snapshot, journal));

    std::fs::write(&path, &good).unwrap();
    let moved = set_aside(&path, 7).unwrap();
    assert_eq!(std::fs::read(moved).unwrap(), good);
    std::fs::write(&path, &good).unwrap();
    assert!(set_aside(&path, 7).is_err(), "an older damaged file is never overwritten");
}

#[test]
fn a_removed_entry_anchor_or_receipt_is_noticed() {
    const ENTRIES: redb::TableDefinition<'_, (u32, u64), &[u8]> = redb::TableDefinition::new("entries");
    const ANCHORS: redb::TableDefinition<'_, (u32, u64), &[u8]> = redb::TableDefinition::new("anchors");
    const RECEIPTS: redb::TableDefinition<'_, (u32, u64), &str> = redb::TableDefinition::new("receipts");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let (journal, _) = Journal::open(&path, gateway(), key(), options(), clock()).unwrap();
    let mut ledger = Ledger::new();
    append(&journal, 0..8);
    let anchor = run(journal.close_batch(Limits::default())).unwrap().unwrap();
    run(journal.acknowledge(&ledger.take(&anchor), &ledger.policy)).unwrap();
    append(&journal, 8..12);
    drop(journal);
    let good = std::fs::read(&path).unwrap();
    let bend = |what: &dyn Fn(&redb::WriteTransaction)| {
        std::fs::write(&path, &good).unwrap();
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        what(&transaction);
        transaction.commit().unwrap();
        drop(database);
        let opened = Journal::open(&path, gateway(), key(), options(), clock());
        assert!(matches!(opened, Err(JournalError::Damaged(_))));
    };
    for seq in [0, 5, 7, 11] {
        bend(&|t| assert!(t.open_table(ENTRIES).unwrap().remove((0, seq)).unwrap().is_some()));
    }
    bend(&|t| assert!(t.open_table(ENTRIES).unwrap().insert((0, 12), b"x".as_slice()).unwrap().is_none()));
    bend(&|t| assert!(t.open_table(ENTRIES).unwrap().insert((3, 0), b"x".as_slice()).unwrap().is_none()));
    bend(&|t| assert!(t.open_table(ANCHORS).unwrap().remove((0, 0)).unwrap().is_some()));
    bend(&|t| assert!(t.open_table(RECEIPTS).unwrap().remove((0, 0)).unwrap().is_some()));
}
