//! Telegrams of real meters, with what an independent program says of them: each number that it gives
//! must be among our records' values. The file is not part of the project: `PLOMB_CORPUS` names its
//! folder.

use crate::{hex, rows};
use plomb_mbus::{Function, Modifier, Profile, Quantity, Record, Records, Value};
use plomb_wmbus::{Content, Key, MeterState, OpenError, OpenOptions, Opener, Security, Telegram};
use std::collections::BTreeMap;

/// Numbers that no record holds, since the other program computes them: driver, number's name.
const COMPUTED: &[(&str, &str)] = &[
    ("em24", "total_apparent_energy_consumption_kvah"), // from active and reactive energy
];

#[test]
fn every_number_of_a_radio_telegram_is_among_its_records() {
    let Some(rows) = rows("wmbus/telegrams.jsonl") else { return };
    let mut tally = Tally::default();
    for row in rows.iter().filter(|row| row["bus"] == "wmbus" && row["proprietary"] == false) {
        let mut bytes = hex(row["telegram"].as_str().unwrap());
        // One row has a receiver's bytes behind the frame.
        bytes.truncate(usize::from(bytes[0]) + 1);
        let mut buffer = Vec::new();
        let telegram = Telegram::parse(&bytes, &mut buffer).unwrap();
        tally.open(row, &telegram);
    }
    tally.report("radio");
    assert!(tally.unexplained.is_empty(), "{:#?}", tally.unexplained);
    assert!(tally.found >= 840 && tally.samples >= 60, "{tally:?}");
}

#[test]
fn every_number_of_a_wired_telegram_is_among_its_records() {
    let Some(rows) = rows("wmbus/telegrams.jsonl") else { return };
    let mut tally = Tally::default();
    for row in rows.iter().filter(|row| row["bus"] == "wired") {
        let bytes = hex(row["telegram"].as_str().unwrap());
        let telegram = Telegram::parse_wired(&bytes, None).unwrap();
        tally.open(row, &telegram);
        let decoded = plomb_mbus::decode(&bytes).unwrap();
        let mut opener = Opener::new();
        let opened = opener.open(&telegram, &MeterState::default()).unwrap();
        let Content::Records(records) = opened.content else { panic!("{:?}", opened.content) };
        assert_eq!(records.flatten().collect::<Vec<_>>(), decoded.records);
    }
    tally.report("wired");
    assert!(tally.unexplained.is_empty(), "{:#?}", tally.unexplained);
}

#[derive(Debug, Default)]
struct Tally {
    rows: usize,
    whole: usize,
    /// Rows whose header says encrypted and whose payload is in clear.
    samples: usize,
    numbers: usize,
    found: usize,
    /// Numbers not found, by cause.
    missed: BTreeMap<String, usize>,
    unexplained: Vec<String>,
}

impl Tally {
    fn open(&mut self, row: &serde_json::Value, telegram: &Telegram<'_>) {
        let driver = row["driver"].as_str().unwrap();
        let key = row["key"].as_str().map(|key| Key::from_hex(key).unwrap());
        let state = MeterState::new(key.map_or_else(Security::plain, Security::encrypted));
        let numbers: Vec<_> = row["expected"].as_object().unwrap().iter().collect();
        let numbers: Vec<_> =
            numbers.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?))).collect();
        self.rows += 1;
        self.numbers += numbers.len();
        let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
        let opened = match opener.open(telegram, &state) {
            Ok(opened) => opened,
            Err(error @ (OpenError::KeyMissing { .. } | OpenError::ModeUnsupported(_))) => {
                return *self.missed.entry(error.to_string()).or_default() += numbers.len();
            }
            Err(error) => return self.unexplained.push(format!("{driver}: {error}")),
        };
        if opened.sample {
            self.samples += 1;
            let mut strict = Opener::new();
            let strict = strict.open(telegram, &state);
            assert!(matches!(strict, Err(OpenError::PlainUnderEncryption { .. })), "{driver}: {strict:?}");
        }
        match opened.content {
            Content::Records(records) => self.compare(driver, records, &numbers),
            Content::Compact(compact, error) => {
                *self.missed.entry(format!("compact frame: {error}")).or_default() += numbers.len();
                assert!(compact.restore(&state.formats, &mut Vec::new()).is_err());
            }
            other => self.unexplained.push(format!("{driver}: {other:?}")),
        }
    }

    fn compare(&mut self, driver: &str, records: Records<'_>, numbers: &[(&str, f64)]) {
        let broken = records.clone().any(|record| record.is_err());
        let records: Vec<Record<'_>> = records.flatten().collect();
        let mut whole = true;
        for (name, number) in numbers {
            if records.iter().any(|record| holds(record, name, *number)) {
                self.found += 1;
                continue;
            }
            whole = false;
            let has = |what: fn(&Record<'_>) -> bool| records.iter().any(what);
            let cause = if COMPUTED.contains(&(driver, name)) {
                "computed by the other program"
            } else if has(is_manufacturers) {
                "in a manufacturer's block"
            } else if has(is_profile) {
                "in a compact profile"
            } else if broken {
                "no records of the standard"
            } else {
                self.unexplained.push(format!("{driver}: {name} = {number} of {records:#?}"));
                continue;
            };
            *self.missed.entry(cause.to_owned()).or_default() += 1;
        }
        self.whole += usize::from(whole);
    }

    fn report(&self, what: &str) {
        let Self { rows, whole, samples, numbers, found, missed, .. } = self;
        eprintln!("{what}: {rows} rows, {whole} with every number; {found} of {numbers} numbers; {samples} samples");
        missed.iter().for_each(|(cause, count)| eprintln!("  {count:4} {cause}"));
    }
}

fn is_manufacturers(record: &Record<'_>) -> bool {
    record.function == Function::ManufacturerSpecific || record.quantity == Quantity::ManufacturerSpecific
}

fn is_profile(record: &Record<'_>) -> bool {
    record.modifiers.into_iter().any(|modifier| {
        matches!(
            modifier,
            Modifier::CompactProfile | Modifier::InverseCompactProfile | Modifier::CompactProfileWithRegister
        )
    })
}

fn holds(record: &Record<'_>, name: &str, number: f64) -> bool {
    let series = record.profile().into_iter().flat_map(Profile::values);
    let mut values = core::iter::once(record.value).chain(series);
    values.any(|value| is(value, record.unit, name, number))
}

fn is(value: Value<'_>, unit_of_record: &str, name: &str, number: f64) -> bool {
    let Value::Number(decimal) = value else { return false };
    let ours: f64 = decimal.to_string().parse().unwrap();
    let unit = name.rsplit('_').next().unwrap();
    let factor = match (unit, unit_of_record) {
        ("kwh", "Wh") | ("kw", "W") | ("kvarh", "varh") | ("kvar", "var") | ("kvah", "VAh") | ("kva", "VA") => 1e-3,
        ("kwh", "J") | ("kw", "J/h") => 1.0 / 3.6e6,
        ("mj", "J") => 1e-6,
        ("gj", "J") => 1e-9,
        ("m3h", "m3/min") => 60.0,
        ("m3h", "m3/s") => 3600.0,
        ("h", "s") => 1.0 / 3600.0,
        ("h", "min") | ("min", "s") => 1.0 / 60.0,
        ("h", "d") => 24.0,
        ("min", "h") => 60.0,
        ("d", "h") => 1.0 / 24.0,
        // Both years occur.
        ("y", "d") if (ours / 365.0 - number).abs() < 1e-6 => 1.0 / 365.0,
        ("y", "d") => 1.0 / 365.2422,
        _ => 1.0,
    };
    // The other program prints six places.
    (ours * factor - number).abs() <= 1e-6 * number.abs().max(1.0)
}
