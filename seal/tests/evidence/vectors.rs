//! The vectors in `docs/vectors`: made by this program, kept as files, so that a change of format shows.

use std::{fs, path::PathBuf};

use plomb_seal::{Signed, export::Scope};

use super::street::{Street, name};

/// Three batches; the witness's clock was an hour ahead for the second.
fn dates_that_contradict() -> Vec<u8> {
    let mut street = Street::new().rounds(1);
    for (n, by_s) in [(1, 3600), (2, -3600)] {
        street.clock_s = street.clock_s.saturating_add_signed(by_s);
        let entries = street.round(n);
        street.batch(entries, true);
    }
    street.export_all()
}

/// With `PLOMB_WRITE_VECTORS=1` the files are written anew; else they must be as they are made.
#[test]
fn the_vectors_beside_the_document_are_what_this_program_makes() {
    let mut street = Street::new().rounds(2);
    let whole = street.export_all();
    let of_point = |entry: &plomb_seal::Entry| entry.body.link().is_some_and(|link| link.point == name("cellar-water"));
    let point = street.export_some(&Scope::Point(name("cellar-water")), of_point);
    let single = street.export_some(&Scope::Entry { epoch: 0, seq: 5 }, |entry| entry.seq == 5);
    let (batch, receipt) = &street.batches[0];
    let absent = batch.entries().last().unwrap();
    let mut files = vec![
        ("entry-event.cose", batch.entries()[0].bytes().to_vec()),
        ("entry-record.cose", batch.entries()[1].bytes().to_vec()),
        ("entry-absent.cose", absent.bytes().to_vec()),
        ("anchor.cose", batch.anchor().bytes().to_vec()),
        ("batch.cbor", batch.to_bytes()),
        ("receipt.cbor", receipt.as_ref().unwrap().to_bytes()),
        ("anchor.tlog-proof", receipt.as_ref().unwrap().proof.clone().into_bytes()),
        ("credential.cbor", street.credential.to_bytes()),
        ("policy.txt", street.policy_text().into_bytes()),
        ("proved.plomb", whole.clone()),
        ("proved-point.plomb", point),
        ("proved-entry.plomb", single),
    ];
    let mut bent = whole;
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    files.push(("tampered-byte.plomb", bent));
    let removed = street.batches.remove(0);
    street.batches.insert(0, removed.clone());
    let entries = street.round(2);
    street.batch(entries, false);
    files.push(("incomplete-unanchored.plomb", street.export_all()));
    street.batches.remove(1);
    files.push(("tampered-batch-removed.plomb", street.export_all()));
    files.push(("incomplete-dates.plomb", dates_that_contradict()));
    assert_eq!(removed.0.entries().iter().map(Signed::bytes).count(), 4);

    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors");
    for (file, bytes) in files {
        let path = folder.join(file);
        if std::env::var_os("PLOMB_WRITE_VECTORS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(kept == bytes, "{} is not what this program makes: the format changed", path.display());
    }
}
