//! A journal that is damaged or gone: the file beside it says how far its epochs went.

use std::{fs, path::Path};

use plomb_gateway::journal::{Journal, JournalError, set_aside};
use plomb_seal::{Body, Entry, Unverified};
use tempfile::TempDir;

use crate::{ledger::Ledger, world::*};

fn open(path: &Path) -> Result<Journal, JournalError> {
    Journal::open(path, gateway(), key(), options(), clock()).map(|(journal, _)| journal)
}

/// The present epoch, and the name and details of the event that it begins with.
fn begins(journal: &Journal) -> (u32, String, String) {
    let epoch = journal.head().borrow().epoch;
    let first = journal.reader().snapshot().unwrap().entry(epoch, 0).unwrap().expect("an event");
    let first = Unverified::<Entry>::parse(&first.bytes).unwrap();
    let Body::Event(event) = &first.claims().body else { panic!("{first:?}") };
    (epoch, event.name.clone(), format!("{:?}", event.details))
}

/// A journal in its second epoch.
fn in_epoch_1() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let ahead = {
        let (twin, _) = open_on(crate::disk::Disk::default(), options()).unwrap();
        append(&twin, 50..60);
        run(twin.close_batch(plomb_gateway::journal::Limits::default())).unwrap().unwrap()
    };
    let mut ledger = Ledger::new();
    let journal = open(&path).unwrap();
    append(&journal, 0..40);
    run(journal.notice_ledger(&ledger.take(&ahead), &ledger.policy)).unwrap();
    settle(&journal);
    assert_eq!(journal.head().borrow().epoch, 1);
    drop(journal);
    assert_eq!(fs::read_to_string(folder.path().join("journal.epoch")).unwrap(), "plomb journal epoch 1\n");
    (folder, path)
}

/// Every page in turn is lost. Whatever the store then says, the file is never asked for its epoch.
#[test]
fn a_damaged_journal_is_followed_by_the_epoch_after_its_last() {
    let (_folder, path) = in_epoch_1();
    let (good, mark) = (fs::read(&path).unwrap(), fs::read(path.with_extension("epoch")).unwrap());
    let mut replaced = 0;
    for page in 1..good.len() / 4096 {
        let mut bent = good.clone();
        bent[page * 4096..(page + 1) * 4096].fill(0);
        fs::write(&path, bent).unwrap();
        fs::write(path.with_extension("epoch"), &mark).unwrap();
        let Err(error) = open(&path) else { continue };
        assert!(matches!(error, JournalError::Damaged(_)), "page {page}: {error}");
        let (journal, _, aside) =
            Journal::open_replacing_damaged(&path, gateway(), key(), options(), clock(), &error).unwrap();
        let (epoch, name, details) = begins(&journal);
        assert_eq!((epoch, name.as_str()), (2, "journal-damaged"), "page {page}");
        assert!(details.contains(r#"("old-epoch", "1")"#) && details.contains("damaged-"), "{details}");
        drop(journal);
        fs::remove_file(aside).unwrap();
        replaced += 1;
    }
    assert!(replaced > 0, "no page mattered");
}

/// The daemon ends after it moved the damaged file aside, and before it made a new one.
#[test]
fn a_start_that_was_broken_off_is_made_up_for() {
    let (folder, path) = in_epoch_1();
    set_aside(&path, 5).unwrap();
    set_aside_again(&path, &folder);
    let journal = open(&path).unwrap();
    let (epoch, name, details) = begins(&journal);
    assert_eq!((epoch, name.as_str()), (2, "journal-damaged"));
    assert!(details.contains("journal.redb.damaged-17"), "the newest: {details}");
    drop(journal);
    // And only once.
    let journal = open(&path).unwrap();
    assert_eq!((journal.head().borrow().epoch, journal.head().borrow().next_seq), (2, 1));
}

fn set_aside_again(path: &Path, folder: &TempDir) {
    fs::write(folder.path().join("journal.redb.damaged-17"), "").unwrap();
    fs::write(folder.path().join("journal.redb.damaged-old"), "").unwrap();
    assert!(!path.exists());
}

#[test]
fn a_journal_that_is_gone_is_told() {
    let (_folder, path) = in_epoch_1();
    fs::remove_file(&path).unwrap();
    let (epoch, name, details) = begins(&open(&path).unwrap());
    assert_eq!((epoch, name.as_str()), (2, "journal-missing"));
    assert!(details.contains(r#"("old-epoch", "1")"#), "{details}");
}

/// A mark that makes no sense is no mark; an older card does not take it back.
#[test]
fn a_mark_never_goes_back_and_a_first_start_has_none() {
    let (folder, path) = in_epoch_1();
    let mark = path.with_extension("epoch");
    fs::write(&mark, "plomb journal epoch 7\n").unwrap();
    drop(open(&path).unwrap());
    assert_eq!(fs::read_to_string(&mark).unwrap(), "plomb journal epoch 7\n");
    for nonsense in ["", "plomb journal epoch -1\n", "plomb journal epoch 1", "7\n"] {
        fs::write(&mark, nonsense).unwrap();
        drop(open(&path).unwrap());
        assert_eq!(fs::read_to_string(&mark).unwrap(), "plomb journal epoch 1\n");
    }
    let first = open(&folder.path().join("other.redb")).unwrap();
    assert_eq!((first.head().borrow().epoch, first.head().borrow().next_seq), (0, 0), "nothing to tell");
    drop(first);
    let again = open(&folder.path().join("other.redb")).unwrap();
    assert_eq!(again.head().borrow().next_seq, 0, "a start that was broken off at the very first is no loss");
}
