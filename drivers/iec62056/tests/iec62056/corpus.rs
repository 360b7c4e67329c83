//! Recorded telegrams. They are not part of the project: `PLOMB_CORPUS` names the folder that holds
//! them.

use plomb_iec62056::annotate;
use plomb_iec62056::p1::{Checksum, Deframer, Found, Telegram};

#[test]
fn every_recorded_telegram_is_read() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS") else {
        eprintln!("PLOMB_CORPUS is not set: recorded telegrams are not tried");
        return;
    };
    let path = std::path::Path::new(&corpus).join("p1/telegrams.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut telegrams = 0;
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (name, text) = (row["name"].as_str().unwrap(), row["text"].as_str().unwrap());
        let (telegram, consumed, error) = Telegram::parse_leniently(text.as_bytes()).unwrap().unwrap();
        assert_eq!(consumed, text.len(), "{name}");
        for set in telegram.data_sets() {
            let set = set.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(set.obis().is_some(), "{name}: {}", set.address);
        }
        let readings: Vec<_> = telegram.readings().collect();
        eprintln!(
            "{name}: {:?}, version {:?}, {:?}, {} readings, {} logs, {:?}",
            telegram.checksum,
            telegram.version(),
            telegram.equipment(),
            readings.len(),
            telegram.logs().count(),
            telegram.devices(),
        );
        assert!(annotate(text.as_bytes()).iter().all(|one| one.field != "not read"));
        let mut found = 0;
        let mut deframer = Deframer::default();
        for byte in text.bytes() {
            deframer.push(&[byte], |one| found += usize::from(matches!(one, Found::Telegram(..))));
        }
        assert_eq!((found, deframer.noise_bytes()), (1, 0), "{name}");
        assert_eq!(error, None, "{name}");
        telegrams += 1;
        if name.contains("V2_2") {
            assert_eq!(telegram.checksum, Checksum::Absent);
        }
    }
    assert!(telegrams >= 4);
}
