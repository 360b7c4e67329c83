//! Every byte of every telegram is annotated, once.

use crate::{LINK, draft, hex, key, rows};
use plomb_mbus::Annotation;
use plomb_wmbus::{
    Draft, Ell, Format, Key, MeterState, OpenOptions, Opener, Security, SessionNumber, TransportHeader, annotate,
    annotate_wired, deciphered,
};
use proptest::prelude::*;

fn covers(annotations: &[Annotation], bytes: usize) -> bool {
    let mut at = 0;
    annotations.iter().all(|annotation| {
        let follows = annotation.offset == at && annotation.length > 0;
        at += annotation.length;
        follows
    }) && at == bytes
}

#[test]
fn ciphertext_is_annotated_by_what_it_says() {
    let state = MeterState::new(Security::encrypted(key()));
    for mode in [5, 7, 10] {
        for format in [Format::A, Format::B, Format::Stripped] {
            let bytes = draft(mode).emit(format, Some(&key())).unwrap();
            let annotations = annotate(&bytes, &mut Opener::new(), &state);
            assert!(covers(&annotations, bytes.len()), "{annotations:#?}");
            let has = |field: &str, part: &str| {
                annotations.iter().any(|annotation| annotation.field == field && annotation.meaning.contains(part))
            };
            assert!(has("value", "54.321 m3"), "{annotations:#?}");
            assert_eq!(has("CRC", "right"), format != Format::Stripped);
            assert_eq!(has("MAC", ""), mode == 7);
            assert_eq!(has("tag", "right"), mode == 10);
            assert_eq!(has("check bytes", "right"), mode != 10);
            let shut = annotate(&bytes, &mut Opener::new(), &MeterState::default());
            assert!(covers(&shut, bytes.len()));
            let reason = |annotation: &Annotation| {
                annotation.field == "ciphertext" && annotation.meaning.contains("no key is at hand")
            };
            assert!(shut.iter().any(reason), "{shut:#?}");
        }
    }
}

#[test]
fn what_the_link_sealed_is_annotated_too() {
    let session = Some(SessionNumber(0x2000_0010));
    let ell = Some(Ell { ci: 0x8D, communication: 0x20, access: 7, receiver: None, session });
    let draft = Draft { ell, ci: 0x78, header: TransportHeader::None, ..draft(0) };
    let bytes = draft.emit(Format::A, Some(&key())).unwrap();
    let state = MeterState::new(Security::encrypted(key()));
    let annotations = annotate(&bytes, &mut Opener::new(), &state);
    assert!(covers(&annotations, bytes.len()), "{annotations:#?}");
    assert!(annotations.iter().any(|annotation| annotation.meaning.contains("54.321 m3")), "{annotations:#?}");
    let plain = deciphered(&bytes, &mut Opener::new(), &state);
    assert!(plain.len() == bytes.len() && plain.windows(2).any(|run| run == [0x0C, 0x13]), "{plain:02x?}");
}

#[test]
fn the_plaintext_stands_in_the_ciphertexts_place() {
    let state = MeterState::new(Security::encrypted(key()));
    let value = [0x0C, 0x13, 0x21, 0x43, 0x05, 0x00];
    for mode in [5, 7, 10] {
        for format in [Format::A, Format::B, Format::Stripped] {
            let bytes = draft(mode).emit(format, Some(&key())).unwrap();
            let plain = deciphered(&bytes, &mut Opener::new(), &state);
            assert_eq!(plain.len(), bytes.len());
            let annotations = annotate(&bytes, &mut Opener::new(), &state);
            // A CRC may cut the value: without the CRCs it is whole.
            let told = annotations.iter().filter(|one| one.field != "CRC");
            let without: Vec<u8> = told.flat_map(|one| plain[one.offset..][..one.length].iter().copied()).collect();
            assert!(without.windows(value.len()).any(|run| run == value), "{mode} {format:?}: {without:02x?}");
            assert_eq!(deciphered(&bytes, &mut Opener::new(), &MeterState::default()), bytes);
        }
    }
}

#[test]
fn every_byte_of_the_corpus_is_annotated() {
    let Some(rows) = rows("wmbus/telegrams.jsonl") else { return };
    let examples = crate::rows("wmbus/oms_annex_n.jsonl").unwrap();
    for row in rows.iter().chain(&examples) {
        let bytes = hex(row["telegram"].as_str().unwrap());
        let key = row["key"].as_str().map(|key| Key::from_hex(key).unwrap());
        let state = MeterState::new(key.map_or_else(Security::plain, Security::encrypted));
        let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
        let annotations = if row["bus"] == "wired" || row["format"] == "wired" {
            annotate_wired(&bytes, None, &mut opener, &state)
        } else {
            annotate(&bytes, &mut opener, &state)
        };
        assert!(covers(&annotations, bytes.len()), "{}: {annotations:#?}", row["name"]);
    }
}

proptest! {
    #[test]
    fn every_byte_of_anything_is_annotated(
        payload in proptest::collection::vec(any::<u8>(), 0..200), first in prop::sample::select(
            vec![0x72u8, 0x73, 0x78, 0x79, 0x7A, 0x7B, 0x69, 0x8A, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0xA2, 0x81, 0x70]
        ), format in prop::sample::select(vec![Format::A, Format::B, Format::Stripped]),
    ) {
        let payload = [&[first][..], &payload].concat();
        let bytes = LINK.emit(format, &payload).unwrap();
        let options = OpenOptions { accept_decrypted_samples: true };
        for state in [MeterState::default(), MeterState::new(Security { key: Some(key()), ..Security::plain() })] {
            let annotations = annotate(&bytes, &mut Opener::with_options(options), &state);
            prop_assert!(covers(&annotations, bytes.len()), "{:#?}", annotations);
        }
        prop_assert!(covers(&annotate(&payload, &mut Opener::new(), &MeterState::default()), payload.len()));
    }
}
