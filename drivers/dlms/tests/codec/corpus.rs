//! Frames from outside the project, where they are at hand.

use plomb_dlms::apdu::Apdu;
use plomb_dlms::axdr::Value;

use crate::{hex, hex_of};

/// A proof, two keys, pieces of values, and what another project's tests want refused.
const REFUSED: [&str; 12] = [
    "greenbook.hls-gmac.f-stoc",
    "pwitab.test_a_xdr.L112",
    "pwitab.conftest.L31",
    "pwitab.conftest.L41",
    "pwitab.test_get.L288",
    "pwitab.test_get.L293",
    "pwitab.test_get.L329",
    "pwitab.test_get.L215",
    "pwitab.test_action.L43",
    "pwitab.test_action.L49",
    "pwitab.test_set.L32",
    "pwitab.test_set.L59",
];

#[test]
fn every_raw_row_is_an_apdu_that_is_written_as_it_was_read() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS").map(std::path::PathBuf::from) else {
        eprintln!("corpus absent: set PLOMB_CORPUS");
        return;
    };
    let text = std::fs::read_to_string(corpus.join("dlms/apdus.jsonl")).unwrap();
    let (mut apdus, mut values, mut refused) = (0, 0, Vec::new());
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = row["name"].as_str().unwrap();
        if row["transport"] != "raw" {
            continue;
        }
        let bytes = hex(row["hex"].as_str().unwrap());
        match Apdu::parse(&bytes) {
            Ok(apdu) => {
                assert_eq!(hex_of(&apdu.emit()), hex_of(&bytes), "{name}");
                apdus += 1;
            }
            Err(error) => match Value::parse_whole(&bytes) {
                Ok(value) => {
                    assert_eq!(hex_of(&value.to_bytes()), hex_of(&bytes), "{name}");
                    values += 1;
                }
                Err(_) => {
                    eprintln!("{name}: {error}");
                    refused.push(name.to_string());
                }
            },
        }
    }
    eprintln!("{apdus} APDUs, {values} values alone");
    assert_eq!(refused, REFUSED);
    assert_eq!((apdus, values), (19, 3));
}

/// Pushes with expected values: frames of HDLC and M-Bus, raw APDUs, some of them ciphered.
#[test]
fn pushes_tell_the_values_that_others_find() {
    use plomb_dlms::object::pushed;
    use plomb_dlms::push::{PushConfig, PushEvent, PushFraming, PushReceiver};
    use plomb_dlms::security::{Key, Keys, Protection, SecurityError, Suite, decipher_unchecked, open_push};
    use plomb_session::Instant;
    use std::collections::BTreeMap;

    let Some(corpus) = std::env::var_os("PLOMB_CORPUS").map(std::path::PathBuf::from) else {
        eprintln!("corpus absent: set PLOMB_CORPUS");
        return;
    };
    let text = std::fs::read_to_string(corpus.join("dlms/apdus.jsonl")).unwrap();
    let mut streams: BTreeMap<String, (serde_json::Value, Vec<u8>)> = BTreeMap::new();
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = row["name"].as_str().unwrap().to_string();
        if row["expected"]["count"].is_null() {
            continue;
        }
        // Frames of one APDU in several rows.
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit()).to_string();
        let stem = if stem.ends_with("_frame") && name.ends_with(char::is_numeric) { stem } else { name };
        let entry = streams.entry(stem).or_insert_with(|| (row.clone(), Vec::new()));
        entry.1.extend(hex(row["hex"].as_str().unwrap()));
    }
    let (mut numbers, mut strings) = (0, 0);
    for (name, (row, bytes)) in streams {
        let mut apdus = Vec::new();
        if row["transport"] == "raw" {
            apdus.push(bytes);
        } else {
            let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Serial));
            receiver.handle_input(&bytes, Instant::ORIGIN);
            while let Some(event) = receiver.poll_event() {
                match event {
                    PushEvent::Apdu { apdu, .. } => apdus.push(apdu),
                    // The last frame was made anonymous, its sum was not made anew.
                    PushEvent::Lost(loss) => assert_eq!(name, "hdlc_landis_gyr_zmf100_raw_frame", "{loss}"),
                }
            }
        }
        // Blocks of general block transfer, which the listener joins.
        let (mut whole, mut joined) = (Vec::new(), Vec::new());
        for apdu in apdus {
            match Apdu::parse(&apdu) {
                Ok(Apdu::GeneralBlock(block)) => {
                    joined.extend(block.bytes);
                    if block.last {
                        whole.push(std::mem::take(&mut joined));
                    }
                }
                _ => whole.push(apdu),
            }
        }
        let apdus = whole;
        if apdus.is_empty() {
            eprintln!("{name}: the last segment is not there");
            continue;
        }
        let keys = row["keys"].as_object().cloned().unwrap_or_default();
        let key = |auth: bool| {
            let found = keys.iter().find(|(name, _)| name.contains("auth") == auth);
            found.map(|(_, digits)| Key::new(&hex(digits.as_str().unwrap())).unwrap())
        };
        let mut found = Vec::new();
        for apdu in apdus {
            let plain = match key(false) {
                Some(encryption) => {
                    let keys = Keys { encryption, authentication: key(true), broadcast: None };
                    match open_push(&apdu, Suite::Zero, None, &keys, Protection::NONE, None) {
                        Ok(opened) => opened.apdu,
                        Err(SecurityError::KeyMissing("authentication")) => {
                            decipher_unchecked(&apdu, None, &keys.encryption).unwrap()
                        }
                        Err(error) => {
                            eprintln!("{name}: {error}");
                            continue;
                        }
                    }
                }
                None => apdu,
            };
            match Apdu::parse(&plain) {
                Ok(Apdu::DataNotification(push)) => found.extend(pushed(&push.body)),
                other => eprintln!("{name}: {other:?}"),
            }
        }
        let expected = &row["expected"];
        let said: BTreeMap<String, &plomb_dlms::object::Pushed> =
            found.iter().filter_map(|one| Some((one.obis?.0.map(|group| group.to_string()).join("."), one))).collect();
        for (code, value) in expected["values"].as_object().unwrap() {
            let one = said.get(code).unwrap_or_else(|| panic!("{name}: no {code} in {said:?}"));
            let number = one.scaler.map_or_else(|| one.value.as_decimal(), |scaler| scaler.apply(&one.value));
            let number: f64 = number.unwrap().to_string().parse().unwrap();
            assert!((number - value.as_f64().unwrap()).abs() < 1e-9, "{name} {code}: {number} / {value}");
            numbers += 1;
        }
        for (code, value) in expected["strings"].as_object().unwrap() {
            match said.get(code) {
                Some(one) if one.value.as_text() == value.as_str() => strings += 1,
                other => eprintln!("{name} {code}: {other:?} / {value}"),
            }
        }
        eprintln!("{name}: {} values, {} expected", found.len(), expected["count"]);
    }
    eprintln!("{numbers} numbers, {strings} texts");
}
