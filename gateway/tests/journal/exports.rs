//! What an honest gateway exports is never taken for tampering, whatever its clock and its hub did.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use plomb_gateway::{
    export::{self, Selection},
    journal::{Checkpoint, Journal, JournalError, Keyring, Limits},
};
use plomb_seal::{
    Clock, ReceiptError, Stamp,
    export::Scope,
    verify::{Expect, Report, Trust, Verdict, verify},
};

use crate::{disk::Disk, ledger::Ledger, world::*};

const HOUR_MS: i64 = 3_600_000;
const BEGUN_MS: i64 = 1_760_000_000_000;

struct Street {
    journal: Journal,
    ledger: Ledger,
    now: Arc<AtomicI64>,
    appended: u64,
}

impl Street {
    fn new() -> Self {
        let (ledger, now) = (Ledger::certifying(&[key()]), Arc::new(AtomicI64::new(BEGUN_MS)));
        let keys = Keyring::new(key(), &gateway(), &ledger.certificates);
        let clock = now.clone();
        let stamp =
            move || Stamp { unix_ms: clock.fetch_add(1, Ordering::Relaxed), clock: Clock::Synced { error_ms: 5 } };
        let (journal, _) = Journal::open_with_backend(Disk::default(), gateway(), keys, options(), stamp).unwrap();
        Self { journal, ledger, now, appended: 0 }
    }

    /// Seven records, one of each point, in a batch.
    fn batch(&mut self, answered: bool) {
        append(&self.journal, self.appended..self.appended + 7);
        self.appended += 7;
        let anchor = run(self.journal.close_batch(Limits::default())).unwrap().unwrap();
        let receipt = self.ledger.take(&anchor);
        if answered {
            run(self.journal.acknowledge(&receipt, &self.ledger.policy)).unwrap();
        }
    }

    fn export(&self, change: impl FnOnce(&mut Selection)) -> Report {
        let mut selection =
            Selection { scope: Scope::All, since_ms: None, until_ms: None, receipted_only: false, frames: false };
        change(&mut selection);
        let mut file = Vec::new();
        export::write(&self.journal.reader(), &self.ledger.credential, &selection, &mut file).unwrap();
        verify(&file, Trust::Own(&self.ledger.policy), Expect::default())
    }
}

/// The clock goes back an hour for one batch, and is put right.
#[test]
fn a_clock_that_was_set_back_and_forth_leaves_no_hole_in_an_export() {
    let mut street = Street::new();
    for by_ms in [0, 0, -HOUR_MS, HOUR_MS, 0] {
        street.now.fetch_add(by_ms, Ordering::Relaxed);
        street.batch(true);
    }
    append(&street.journal, 35..42);
    let scopes = [Scope::All, Scope::Point("point-3".parse().unwrap())];
    for scope in &scopes {
        for (since_ms, until_ms) in
            [(Some(BEGUN_MS), None), (None, Some(BEGUN_MS + 20)), (Some(BEGUN_MS), Some(BEGUN_MS + 60))]
        {
            let report = street.export(|selection| {
                (selection.scope, selection.since_ms, selection.until_ms) = (scope.clone(), since_ms, until_ms);
            });
            assert_eq!(report.first_bad, None, "{scope:?} {since_ms:?} {until_ms:?}");
        }
    }
    let report = street.export(|selection| selection.since_ms = Some(BEGUN_MS));
    assert_eq!((report.entries, report.span), (42, Some(((0, 0), (0, 41)))), "those between go along");
    let report = street.export(|selection| selection.until_ms = Some(BEGUN_MS - 60_000));
    assert_eq!(report.span, Some(((0, 14), (0, 20))), "nothing more than what fits, and what lies between");
}

/// The hub answers all batches but the second.
#[test]
fn a_hole_in_the_receipts_ends_an_export_of_receipted_entries() {
    let mut street = Street::new();
    for answered in [true, false, true, true] {
        street.batch(answered);
    }
    let report = street.export(|selection| selection.receipted_only = true);
    assert_eq!((report.verdict, report.span), (Verdict::Proved, Some(((0, 0), (0, 6)))));
    let report = street.export(|selection| {
        (selection.receipted_only, selection.since_ms) = (true, Some(BEGUN_MS + 20));
    });
    assert_eq!((report.verdict, report.span), (Verdict::Proved, Some(((0, 14), (0, 27)))), "it begins behind the hole");
    let report = street.export(|_| ());
    assert_eq!((report.verdict, report.entries, report.anchored), (Verdict::Incomplete, 28, 21));
}

/// The hub gives a checkpoint of 500 transactions, then a receipt at index 2.
#[test]
fn a_receipt_that_contradicts_its_anchor_is_refused_and_told() {
    let street = Street::new();
    let (journal, mut ledger) = (street.journal, street.ledger);
    let seen = |note| Limits { checkpoint: Some(Checkpoint { note, witnessed_s: None }), ..Limits::default() };
    append(&journal, 0..3);
    let anchor = run(journal.close_batch(seen(ledger.checkpoint(Some(500))))).unwrap().unwrap();
    let receipt = ledger.take(&anchor);
    for refused in [
        run(journal.acknowledge(&receipt, &ledger.policy)).unwrap_err(),
        run(journal.notice_ledger(&receipt, &ledger.policy)).unwrap_err(),
    ] {
        let JournalError::Receipt(ReceiptError::Unattested(why)) = refused else { panic!("{refused:?}") };
        assert_eq!(why.check, "checkpoint");
    }
    let told = journal.stats().unwrap().refused_receipt.unwrap();
    assert!(told.contains("500 transactions"), "{told}");
    assert_eq!(journal.stats().unwrap().acked_batch, 0);
    append(&journal, 3..5);
    let anchor = run(journal.close_batch(Limits::default())).unwrap().unwrap();
    run(journal.acknowledge(&ledger.take(&anchor), &ledger.policy)).unwrap();
    assert_eq!(journal.stats().unwrap().refused_receipt, None, "a good one came");
}

/// A receipt from another ledger under a policy that knows both, and one dated outside the certificate.
#[test]
fn a_receipt_dated_outside_the_certificate_is_refused() {
    let mut street = Street::new();
    let mut certificates = street.ledger.certificates.clone();
    certificates[0].not_after_s = street.ledger.clock_s as i64;
    let keys = Keyring::new(key(), &gateway(), &certificates);
    let (journal, _) = Journal::open_with_backend(Disk::default(), gateway(), keys, options(), clock()).unwrap();
    append(&journal, 0..3);
    let anchor = run(journal.close_batch(Limits::default())).unwrap().unwrap();
    let refused = run(journal.acknowledge(&street.ledger.take(&anchor), &street.ledger.policy)).unwrap_err();
    assert!(refused.to_string().contains("certificate-validity"), "{refused}");
}

/// The hub's clock is an hour ahead: its checkpoint is not named while the gateway's own clock is known to be right.
#[test]
fn a_checkpoint_from_the_future_is_not_named() {
    let mut street = Street::new();
    let now_s = BEGUN_MS as u64 / 1000;
    let named = |street: &mut Street, witnessed_s| {
        append(&street.journal, street.appended..street.appended + 1);
        street.appended += 1;
        street.ledger.clock_s = witnessed_s;
        let checkpoint = Checkpoint { note: street.ledger.checkpoint(None), witnessed_s: Some(witnessed_s) };
        let limits = Limits { checkpoint: Some(checkpoint), ..Limits::default() };
        run(street.journal.close_batch(limits)).unwrap().unwrap().statement().checkpoint.is_some()
    };
    assert!(named(&mut street, now_s - 3));
    assert!(named(&mut street, now_s + 30), "clocks differ a little");
    assert!(!named(&mut street, now_s + 3600));
    let unset = || Stamp { unix_ms: 0, clock: Clock::Unset };
    street.journal = Journal::open_with_backend(Disk::default(), gateway(), key(), options(), unset).unwrap().0;
    assert!(named(&mut street, now_s + 3600), "a clock that nobody set says nothing");
}
