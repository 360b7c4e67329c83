//! The examples of OMS Volume 2, annex N, and their relatives, against results that were computed
//! independently. The file is not part of the project: `PLOMB_CORPUS` names its folder.

use crate::{hex, hex_of, rows};
use plomb_wmbus::{Bearer, Format, Key, MeterState, OpenError, Opener, Protection, Security, SecurityMode, Telegram};
use serde_json::Value;

#[test]
fn every_example_opens_to_the_verified_plaintext() {
    let Some(rows) = rows("wmbus/oms_annex_n.jsonl") else { return };
    let (mut opened_rows, mut refused) = (0, 0);
    for row in &rows {
        let name = row["name"].as_str().unwrap();
        let bytes = hex(row["telegram"].as_str().unwrap());
        let verified = &row["verified"];
        let key = row["key"].as_str().map(|key| Key::from_hex(key).unwrap());
        let mut state = MeterState::new(key.map_or_else(Security::plain, Security::encrypted));
        let mut buffer = Vec::new();
        let telegram = if row["format"] == "wired" {
            Telegram::parse_wired(&bytes, None)
        } else {
            Telegram::parse(&bytes, &mut buffer)
        };
        let telegram = telegram.unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Bearer::Radio { format, .. } = telegram.bearer {
            let expected = match row["format"].as_str().unwrap() {
                "A+CRC" => Format::A,
                "B+CRC" => Format::B,
                _ => Format::Stripped,
            };
            assert_eq!(format, expected, "{name}");
        }
        let mut opener = Opener::new();
        let opened = opener.open(&telegram, &state);
        if verified["mac_ok"] == Value::Bool(false) {
            refused += 1;
            assert_eq!(opened, Err(OpenError::MacFailed { key_fits: Some(true) }), "{name}");
            continue;
        }
        let opened = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(plaintext) = verified["plaintext"].as_str() {
            // The extended link layer's plaintext begins with its CRC and the transport layer's CI.
            let plaintext = if opened.session.is_some() { &plaintext[6..] } else { plaintext };
            assert_eq!(hex_of(opened.plain), plaintext, "{name}");
        }
        if verified["mac_ok"] == Value::Bool(true) || opened.mode == SecurityMode::AES_CCM {
            assert_eq!(opened.protection, Protection::Authenticated, "{name}");
            let counter = opened.counter.unwrap();
            state.accept(&opened);
            let again = opener.open(&telegram, &state);
            let expected = OpenError::CounterRepeated { received: counter.value, last: counter.value };
            assert_eq!(again, Err(expected), "{name}");
        }
        opened_rows += 1;
    }
    eprintln!("annex N: {opened_rows} opened, {refused} refused as they must be, of {}", rows.len());
}
