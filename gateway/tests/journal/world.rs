//! What the tests share: a gateway, its records, and the check of everything that a journal holds.

use std::{
    future::Future,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use plomb_gateway::journal::{Durable, Journal, JournalError, Options, Recovered, Snapshot};
use plomb_seal::{
    Absent, Anchor, Batch, Clock, Decimal, Entry, Event, Function, Hash, Meter, Name, Reading, Reason, Record,
    SigningKey, Stamp, Unverified, Value, entry::Occurrence,
};
use redb::StorageBackend;

pub fn gateway() -> Name {
    "gw-test".parse().unwrap()
}

pub fn key() -> SigningKey {
    SigningKey::from_seed(&[42; 32])
}

/// A group of four, and no time limit.
pub fn options() -> Options {
    Options { window: Duration::from_secs(3600), window_entries_max: 4, ..Options::default() }
}

/// Ticks once at each question.
pub fn clock() -> impl Fn() -> Stamp + Send + 'static {
    let now = AtomicI64::new(1_760_000_000_000);
    move || Stamp { unix_ms: now.fetch_add(1, Ordering::Relaxed), clock: Clock::Synced { error_ms: 5 } }
}

pub fn open_on(backend: impl StorageBackend, options: Options) -> Result<(Journal, Recovered), JournalError> {
    Journal::open_with_backend(backend, gateway(), key(), options, clock())
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn frame(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(20)
}

/// A record of a point, and its raw frame.
pub fn record(number: u64) -> (Occurrence, Vec<Vec<u8>>) {
    let frame = frame(number);
    let reading = Reading {
        obis: Some("1-0:1.8.0*255".parse().unwrap()),
        value: Value::Number(Decimal { mantissa: number as i64, exponent: -3 }),
        unit: "kWh".into(),
        quantity: "energy".into(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: vec![],
    };
    let meter =
        Meter { protocol: "mbus".into(), id: "12345678".into(), manufacturer: "PLM".into(), version: 1, medium: 2 };
    let record = Record {
        meter,
        readings: vec![reading],
        meter_time: None,
        status: vec![],
        frames: vec![Hash::of(&frame)],
        driver: "mbus 0.1.0".into(),
        profile: None,
    };
    (Occurrence::Record(format!("point-{}", number % 7).parse().unwrap(), record), vec![frame])
}

pub fn absent(number: u64) -> Occurrence {
    let absent = Absent { due_ms: number as i64, reason: Reason::Timeout, detail: "no answer".into() };
    Occurrence::Absent(format!("point-{}", number % 7).parse().unwrap(), absent)
}

pub fn event(name: &str) -> Occurrence {
    Occurrence::Event(Event { name: name.into(), details: vec![] })
}

/// Appends so many records, commits them, and gives their places.
pub fn append(journal: &Journal, numbers: std::ops::Range<u64>) -> Vec<Durable> {
    let tickets: Vec<_> = numbers
        .map(|number| {
            let (occurrence, frames) = record(number);
            journal.append_blocking(occurrence, frames).unwrap()
        })
        .collect();
    run(journal.flush()).unwrap();
    tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect()
}

/// Waits until no orphan waits.
pub fn settle(journal: &Journal) {
    while journal.stats().unwrap().orphans_waiting > 0 {
        run(journal.flush()).unwrap();
    }
}

pub fn entries(snapshot: &Snapshot, epoch: u32) -> Vec<(Entry, Hash)> {
    let stored = snapshot.entries(epoch, 0, usize::MAX).unwrap();
    stored
        .iter()
        .map(|stored| {
            let signed = Unverified::<Entry>::parse(&stored.bytes).unwrap().verify(&key().public()).unwrap();
            assert_eq!((stored.epoch, stored.seq), (signed.statement().epoch, signed.statement().seq));
            (signed.statement().clone(), signed.hash())
        })
        .collect()
}

/// Every signature, every number, every link, every batch, every cursor.
pub fn check_all(snapshot: &Snapshot) {
    let head = snapshot.head().unwrap();
    let stats = snapshot.stats().unwrap();
    for (epoch, first, end) in snapshot.epochs().unwrap() {
        let entries = entries(snapshot, epoch);
        assert_eq!(entries.len() as u64, end - first, "epoch {epoch} has a hole");
        let mut points = std::collections::BTreeMap::new();
        for pair in entries.windows(2) {
            assert_eq!(pair[1].0.previous, pair[0].1, "entry {} does not follow", pair[1].0.seq);
        }
        for (entry, hash) in &entries {
            if let Some(link) = entry.body.link()
                && let Some(before) = points.insert(link.point.clone(), (link.seq, *hash))
            {
                assert_eq!((link.seq, link.previous), (before.0 + 1, before.1), "point {}", link.point);
            }
        }
        if epoch == head.epoch {
            assert_eq!((end, entries.last().unwrap().1), (head.next_seq, head.hash));
            for (point, next, hash) in snapshot.points().unwrap() {
                if let Some((seq, last)) = points.get(&point) {
                    assert_eq!((next, hash), (seq + 1, *last), "point {point}");
                }
            }
        }
    }
    check_batches(snapshot, head.epoch);
    assert_eq!(stats.next_seq, head.next_seq);
    for batch in 0..stats.acked_batch {
        if let Some(stored) = snapshot.batch(head.epoch, batch).unwrap() {
            assert!(stored.proof.is_some(), "the cursor is beyond batch {batch}, which has no receipt");
        }
    }
}

fn check_batches(snapshot: &Snapshot, epoch: u32) {
    let mut before: Option<(Hash, u64, u64)> = None;
    for stored in snapshot.batches(epoch, 0, usize::MAX).unwrap() {
        let bytes = snapshot.batch_bytes(epoch, stored.batch).unwrap();
        let batch = Batch::verify(&bytes, &key().public()).unwrap();
        let anchor: &Anchor = batch.anchor().statement();
        if let Some(before) = before {
            assert_eq!((anchor.previous, anchor.batch, anchor.first_seq), before, "batch {}", stored.batch);
        }
        before = Some((stored.hash, stored.batch + 1, anchor.last_seq() + 1));
        for seq in [anchor.first_seq, anchor.last_seq()] {
            assert_eq!(snapshot.batch_of(epoch, seq).unwrap().unwrap().batch, stored.batch);
        }
    }
    if let Some((hash, next_batch, next_seq)) = before {
        let stats = snapshot.stats().unwrap();
        assert_eq!((stats.next_batch, stats.anchored_seq), (next_batch, next_seq));
        assert_ne!(hash, Hash::ZERO);
    }
}
