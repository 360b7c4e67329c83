//! Verification: entries a second, beside the bound that Ed25519 sets on the same core in the same run.
//!
//! `bench-verify [ENTRIES]`: makes an export in memory and verifies it, in turns with bare strict signature checks
//! over messages of the same length. Prints one JSON line; `ratio` is verification over bound.

use std::{env, time::Instant};

use plomb_seal::{
    Batch, Chain, Clock, Credential, Decimal, Function, Hash, LogProof, Logged, Meter, Obis, Occurrence, Reading,
    Record, Signed, SigningKey, Stamp, Value,
    batch::Place,
    export::{Anchored, Scope, Writer},
    note::{Checkpoint, KeyUse, VerifierKey},
    transaction::{Certificate, Genesis, Issue, Member, Role},
    tree,
    verify::{Expect, Trust, Verdict, verify},
};

const ORIGIN: &str = "bench.example/ledger";
const ENTRIES_PER_BATCH: usize = 256;

fn main() {
    let entries: usize = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let file = export(entries).unwrap_or_default();
    let (bytes, key) = (file.len() / entries.max(1), SigningKey::from_seed(&[9; 32]));
    let message = vec![7; bytes];
    let signature = key.sign(&message);
    let public = key.public();
    let (mut verified, mut bound): (f64, f64) = (0.0, 0.0);
    for _ in 0..5 {
        let begun = Instant::now();
        let report = verify(&file, Trust::File, Expect::default());
        verified = verified.max(rate(entries, begun));
        if report.verdict != Verdict::Proved {
            eprintln!("the export does not verify: {:?}", report.first_bad);
            std::process::exit(1);
        }
        let begun = Instant::now();
        let good = (0..entries).filter(|_| public.verify(std::hint::black_box(&message), &signature).is_ok()).count();
        bound = bound.max(rate(good, begun));
    }
    println!(
        "{{\"bench\":\"verify\",\"entries\":{entries},\"bytes_per_entry\":{bytes},\"entries_per_s\":{verified:.0},\"signatures_per_s\":{bound:.0},\"ratio\":{:.3}}}",
        verified / bound
    );
}

fn rate(count: usize, begun: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(0)) / begun.elapsed().as_secs_f64()
}

fn export(entries: usize) -> Option<Vec<u8>> {
    let [log, gateway, member] = [1, 2, 3].map(|seed| SigningKey::from_seed(&[seed; 32]));
    let name = "gw-1".parse().ok()?;
    let key = VerifierKey { name: ORIGIN.into(), key: log.public(), usage: KeyUse::Log };
    let policy = format!("log {key}\nquorum none\n");
    let founder = Member { name: "utility".parse().ok()?, key: member.public(), authority: vec![1] };
    let genesis = Genesis { origin: ORIGIN.into(), members: vec![founder], quorum: 1 };
    let issue = Issue {
        origin: ORIGIN.into(),
        subject: "gw-1".parse().ok()?,
        role: Role::Gateway,
        scope: Vec::new(),
        points: Vec::new(),
        key: gateway.public(),
        not_before_s: 0,
        not_after_s: i64::MAX,
        x509: vec![2],
    };
    let genesis = Signed::sign(genesis, &member).into_bytes();
    let certificate = Signed::sign(Certificate::Issue(Box::new(issue)), &member).into_bytes();
    let batches = batches(entries, &gateway)?;
    let mut leaves = vec![tree::leaf_hash(&genesis), tree::leaf_hash(&certificate)];
    leaves.extend(batches.iter().map(|batch| batch.anchor().hash()));
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: leaves.len() as u64, root: tree::root(&leaves) };
    let note = checkpoint.sign(&log);
    let proof = |index: usize| {
        let path = tree::inclusion_path(&leaves, index).unwrap_or_default();
        LogProof { index: index as u64, path, note: note.clone() }.to_text()
    };
    let credential = Credential {
        policy,
        genesis: Logged { transaction: genesis, proof: proof(0) },
        certificates: vec![Logged { transaction: certificate, proof: proof(1) }],
    };
    let (mut writer, mut file) = Writer::begin(&name, &Scope::All, &credential);
    for (index, batch) in batches.iter().enumerate() {
        let proof = proof(index + 2);
        let part = Anchored { anchor: batch.anchor().bytes(), proof: Some(&proof), frames: Vec::new() };
        let bytes: Vec<&[u8]> = batch.entries().iter().map(Signed::bytes).collect();
        file.extend(writer.whole(&part, &bytes));
    }
    file.extend(writer.end());
    Some(file)
}

fn batches(entries: usize, key: &SigningKey) -> Option<Vec<Batch>> {
    let mut chain = Chain::begin("gw-1".parse().ok()?, 0, Hash::ZERO);
    let (mut batches, mut previous) = (Vec::new(), Hash::ZERO);
    let mut left = entries;
    while left > 0 {
        let count = left.min(ENTRIES_PER_BATCH);
        let run = (0..count)
            .map(|n| {
                let stamp = Stamp { unix_ms: 1_780_000_000_000, clock: Clock::Synced { error_ms: 10 } };
                Some(chain.seal(Occurrence::Record(format!("point-{}", n % 40).parse().ok()?, record(n)), stamp, key))
            })
            .collect::<Option<Vec<_>>>()?;
        let place = Place { batch: batches.len() as u64, previous, closed_ms: 1_780_000_000_000, checkpoint: None };
        let batch = Batch::close(run, place, key).ok()?;
        previous = batch.anchor().hash();
        batches.push(batch);
        left -= count;
    }
    Some(batches)
}

/// A water meter's answer: three readings.
fn record(n: usize) -> Record {
    let reading = |quantity: &str, unit: &str, obis| Reading {
        obis,
        value: Value::Number(Decimal { mantissa: i64::try_from(n).unwrap_or(0) + 123_456, exponent: -3 }),
        unit: unit.into(),
        quantity: quantity.into(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: Vec::new(),
    };
    Record {
        meter: Meter {
            protocol: "mbus".into(),
            id: "12345678".into(),
            manufacturer: "PLB".into(),
            version: 1,
            medium: 7,
        },
        readings: vec![
            reading("volume", "m3", Some(Obis([8, 0, 1, 0, 0, 255]))),
            reading("volume flow", "m3/h", Some(Obis([8, 0, 2, 0, 0, 255]))),
            reading("operating time", "h", None),
        ],
        meter_time: Some("2026-05-28T22:40".into()),
        status: Vec::new(),
        frames: vec![Hash::of(&n.to_be_bytes())],
        driver: "mbus 0.1.0".into(),
        profile: None,
    }
}
