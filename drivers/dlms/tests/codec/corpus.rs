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
