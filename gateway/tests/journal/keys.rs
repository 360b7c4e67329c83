//! A gateway is certified anew, with another key, and goes on in the same journal.

use plomb_gateway::{
    export::{self, Selection},
    journal::{Journal, JournalError, Keyring, Limits, Noticed, Recovered},
};
use plomb_seal::{
    Anchor, Batch, Body, Credential, Entry, Signed, SigningKey, Unverified,
    export::Scope,
    verify::{Expect, Report, Trust, Verdict, verify},
};

use crate::{
    disk::{Cut, Disk},
    ledger::Ledger,
    world::*,
};

fn new_key() -> SigningKey {
    SigningKey::from_seed(&[43; 32])
}

fn open(disk: &Disk, key: SigningKey, ledger: &Ledger) -> Result<(Journal, Recovered), JournalError> {
    let keys = Keyring::new(key, &gateway(), &ledger.certificates);
    Journal::open_with_backend(disk.clone(), gateway(), keys, options(), clock())
}

fn reopened(disk: &Disk, key: SigningKey, ledger: &Ledger) -> (Disk, Journal, Recovered) {
    let disk = Disk::holding(disk.after(Cut::All));
    let (journal, recovered) = open(&disk, key, ledger).unwrap();
    settle(&journal);
    (disk, journal, recovered)
}

fn close(journal: &Journal) -> Signed<Anchor> {
    run(journal.close_batch(Limits::default())).unwrap().unwrap()
}

fn exported(journal: &Journal, credential: &Credential, ledger: &Ledger, receipted_only: bool) -> Report {
    let selection = Selection { scope: Scope::All, since_ms: None, until_ms: None, receipted_only, frames: true };
    let mut file = Vec::new();
    export::write(&journal.reader(), credential, &selection, &mut file).unwrap();
    verify(&file, Trust::Own(&ledger.policy), Expect::default())
}

/// The event that an epoch begins with.
fn first_event(journal: &Journal, epoch: u32) -> String {
    let first = journal.reader().snapshot().unwrap().entry(epoch, 0).unwrap().unwrap();
    let first = Unverified::<Entry>::parse(&first.bytes).unwrap();
    let Body::Event(event) = &first.claims().body else { panic!("{first:?}") };
    event.name.clone()
}

/// Two batches, the first with its receipt; three entries more.
fn begun(ledger: &mut Ledger) -> (Disk, Signed<Anchor>, Signed<Anchor>) {
    let disk = Disk::default();
    let (journal, recovered) = open(&disk, key(), ledger).unwrap();
    assert_eq!(recovered.key_before, None);
    append(&journal, 0..4);
    let first = close(&journal);
    run(journal.acknowledge(&ledger.take(&first), &ledger.policy)).unwrap();
    append(&journal, 4..6);
    let second = close(&journal);
    append(&journal, 6..9);
    run(journal.close()).unwrap();
    (disk, first, second)
}

#[test]
fn another_key_begins_an_epoch_that_follows_the_last_receipt() {
    let mut ledger = Ledger::certifying(&[key(), new_key()]);
    let (disk, first, _) = begun(&mut ledger);
    let (disk, journal, recovered) = reopened(&disk, new_key(), &ledger);
    assert_eq!(recovered.key_before, Some(key().public().id()));
    assert_eq!((recovered.head.epoch, first_event(&journal, 1).as_str()), (1, "key-changed"));
    // key-changed, re-entered, and the five entries without a receipt.
    assert_eq!(journal.stats().unwrap().next_seq, 7);
    append(&journal, 20..22);
    let anchor = close(&journal);
    assert_eq!((anchor.statement().epoch, anchor.statement().previous), (1, first.hash()));
    Batch::verify(&journal.batch_bytes(1, 0).unwrap(), &new_key().public()).unwrap();
    run(journal.notice_ledger(&ledger.take(&anchor), &ledger.policy)).unwrap();
    for receipted_only in [false, true] {
        let report = exported(&journal, &ledger.credential, &ledger, receipted_only);
        assert_eq!(report.first_bad, None);
        assert_eq!((report.verdict, report.gaps, report.entries), (Verdict::Proved, 0, 13), "{report:?}");
    }
    drop(journal);
    // The next start finds its own key, and nothing to do.
    let (_, journal, recovered) = reopened(&disk, new_key(), &ledger);
    assert_eq!((recovered.key_before, recovered.head.epoch), (None, 1));
    assert_eq!(journal.stats().unwrap().next_seq, 9);
}

/// The ledger had taken the second batch; its receipt comes after the key was changed.
#[test]
fn a_late_receipt_of_the_old_key_still_counts_and_is_no_rollback() {
    for closed_before in [false, true] {
        let mut ledger = Ledger::certifying(&[key(), new_key()]);
        let (disk, _, second) = begun(&mut ledger);
        let late = ledger.take(&second);
        let (_, journal, _) = reopened(&disk, new_key(), &ledger);
        if closed_before {
            close(&journal);
        }
        let noticed = run(journal.notice_ledger(&late, &ledger.policy)).unwrap();
        assert!(matches!(&noticed, Noticed::Known(known) if known.new && known.batch == 1), "{noticed:?}");
        settle(&journal);
        let epoch = if closed_before { 2 } else { 1 };
        let begins = if closed_before { "receipt-late" } else { "key-changed" };
        assert_eq!((journal.head().borrow().epoch, first_event(&journal, epoch).as_str()), (epoch, begins));
        let anchor = close(&journal);
        assert_eq!(anchor.statement().previous, second.hash(), "it follows the ledger's last");
        run(journal.notice_ledger(&ledger.take(&anchor), &ledger.policy)).unwrap();
        let again = run(journal.notice_ledger(&late, &ledger.policy)).unwrap();
        assert!(matches!(&again, Noticed::Known(known) if !known.new), "{again:?}");
        let report = exported(&journal, &ledger.credential, &ledger, true);
        assert_eq!((report.verdict, report.gaps, report.rollbacks.len()), (Verdict::Proved, 0, 0), "{report:?}");
        let (old, new) = (report.runs[0], report.runs[1]);
        assert_eq!((old.epoch, old.last, new.epoch), (0, 5, epoch), "what the old key anchored is in it");
    }
}

/// Nothing was ever anchored, or the power goes while the epoch begins.
#[test]
fn a_key_is_changed_whole_or_not_at_all() {
    let ledger = Ledger::certifying(&[key(), new_key()]);
    let made = Disk::default();
    let (journal, _) = open(&made, key(), &ledger).unwrap();
    append(&journal, 0..3);
    run(journal.close()).unwrap();
    let image = made.after(Cut::All);
    for sync in 1..12 {
        let disk = Disk::holding(image.clone());
        disk.cut_at_sync(sync);
        drop(open(&disk, new_key(), &ledger));
        let (_, journal, _) = {
            let disk = Disk::holding(disk.after(Cut::Torn(sync)));
            reopened(&disk, new_key(), &ledger)
        };
        let stats = journal.stats().unwrap();
        assert_eq!((stats.epoch, stats.next_seq), (1, 5), "cut at {sync}");
        assert_eq!(close(&journal).statement().previous, plomb_seal::Hash::ZERO);
    }
}

#[test]
fn a_key_without_a_certificate_is_refused() {
    let mut ledger = Ledger::certifying(&[key()]);
    let (disk, ..) = begun(&mut ledger);
    let other = Ledger::certifying(&[new_key()]);
    let refused = open(&Disk::holding(disk.after(Cut::All)), new_key(), &other).err().unwrap();
    assert!(matches!(refused, JournalError::OtherKey { .. }), "{refused}");
    assert!(refused.to_string().contains("credential"), "{refused}");
}
