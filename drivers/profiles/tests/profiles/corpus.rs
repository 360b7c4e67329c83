//! Telegrams of real meters against what an independent decoder with meter models prints.
//!
//! They are not part of the project: `PLOMB_CORPUS` names their folder. The decoder has its own names and
//! rescales, so only numbers are compared: equal but for a power of ten or a unit of time or energy.

use crate::hex;
use plomb_mbus::MeterId;
use plomb_profiles::{Library, Memory, Named, NamedValue, ReadError};
use plomb_session::Decimal;
use plomb_wmbus::{Content, Key, MeterState, OpenOptions, Opener, Protection, Security, Telegram};
use serde_json::Value;
use std::collections::BTreeMap;

/// What came of one row.
#[derive(Default)]
struct Row {
    profile: Option<String>,
    named: Vec<f64>,
    dates: Vec<String>,
    records: Vec<f64>,
    error: Option<String>,
}

impl Row {
    fn take(&mut self, named: &Named<'_>) {
        match named.value {
            NamedValue::Number(number) => self.named.push(to_f64(number)),
            NamedValue::Fraction { numerator, divisor } => self.named.push(to_f64(numerator) / f64::from(divisor)),
            NamedValue::DateTime(date) => self.dates.push(date.to_string()),
            _ => {}
        }
    }
}

#[test]
fn numbers_of_a_decoder_with_meter_models_are_found() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS").map(std::path::PathBuf::from) else {
        return eprintln!("corpus absent: set PLOMB_CORPUS");
    };
    let library = Library::shipped().unwrap();
    let text = std::fs::read_to_string(corpus.join("wmbus/telegrams.jsonl")).unwrap();
    let mut tally = BTreeMap::<&str, [usize; 6]>::new();
    let mut missing = Vec::new();
    let mut drivers = BTreeMap::<String, Option<String>>::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let own = value["proprietary"] == Value::Bool(true);
        let mut states = MeterState::new(Security { key: key(&value), minimum: Protection::Plain });
        if let Some(preceding) = value["preceding"].as_array() {
            for telegram in preceding {
                learn(telegram.as_str().unwrap_or_default(), &mut states);
            }
        }
        let row = read(&library, &value, &states);
        let driver = value["driver"].as_str().unwrap();
        drivers.entry(driver.into()).or_default().clone_from(&row.profile);
        let counts = tally.entry(if own { "own coding" } else { "records" }).or_default();
        counts[0] += 1;
        counts[1] += usize::from(row.profile.is_some());
        for (name, theirs) in value["expected"].as_object().unwrap() {
            if let Some(number) = theirs.as_f64() {
                counts[2] += 1;
                let found = row.named.iter().any(|ours| alike(*ours, number));
                counts[3] += usize::from(found);
                counts[4] += usize::from(found || row.records.iter().any(|ours| alike(*ours, number)));
                if own && !found {
                    missing.push(format!("{driver} {name} {theirs}: {:?} {:?}", row.named, row.error));
                }
            } else if own && name.ends_with("date") {
                let date = theirs.as_str().unwrap_or_default();
                if !date.is_empty() && !row.dates.iter().any(|ours| ours.starts_with(date)) {
                    missing.push(format!("{driver} {name} {theirs}: {:?}", row.dates));
                }
            }
        }
    }
    for (kind, [rows, known, numbers, named, any, _]) in &tally {
        eprintln!(
            "{kind}: {rows} rows, {known} of a known model; {numbers} numbers expected, {named} named by a profile, \
             {any} named or in a record"
        );
    }
    eprintln!("missing in payloads of their own coding:\n{}", missing.join("\n"));
    let without: Vec<_> = drivers.iter().filter(|(_, profile)| profile.is_none()).map(|(driver, _)| driver).collect();
    eprintln!("{} models, {} without a profile: {without:?}", drivers.len(), without.len());
    let [rows, known, numbers, named, ..] = tally["own coding"];
    assert!(rows >= 28 && known == rows, "{known} of {rows}");
    assert!(named * 10 >= numbers * 9, "{named} of {numbers}");
}

fn key(row: &Value) -> Option<Key> {
    row["key"].as_str().and_then(|key| Key::from_hex(key).ok())
}

fn learn(telegram: &str, state: &mut MeterState) {
    let (bytes, mut buffer) = (hex(telegram), Vec::new());
    let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
    if let Ok(telegram) = Telegram::parse(&bytes, &mut buffer)
        && let Ok(opened) = opener.open(&telegram, &state.clone())
    {
        state.accept(&opened);
    }
}

fn read(library: &Library, row: &Value, state: &MeterState) -> Row {
    let (bytes, mut buffer, mut memory) = (hex(row["telegram"].as_str().unwrap()), Vec::new(), Memory::default());
    let mut out = Row::default();
    if row["bus"] == "wired" {
        let decoded = plomb_mbus::decode(&bytes).unwrap();
        let meter = decoded.telegram.meter().unwrap();
        out.records.extend(decoded.records.iter().filter_map(|record| record.value.number()).map(to_f64));
        if let Some(profile) = library.find(meter, None) {
            out.profile = Some(profile.name.clone());
            let records = decoded.telegram.records();
            let _ = profile.apply_records(meter, records, &mut memory, |named| out.take(named));
        }
        return out;
    }
    let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
    let telegram = match Telegram::parse(&bytes, &mut buffer) {
        Ok(telegram) => telegram,
        Err(error) => return Row { error: Some(error.to_string()), ..out },
    };
    let opened = match opener.open(&telegram, state) {
        Ok(opened) => opened,
        Err(error) => return Row { error: Some(error.to_string()), ..out },
    };
    if let Content::Records(records) = opened.content {
        let numbers = records.map_while(Result::ok).filter_map(|record| record.value.number());
        out.records.extend(numbers.map(to_f64));
    }
    let found = apply(library, opened.meter, &opened.content, state, &mut memory, &mut out);
    out.error = found.err().map(|error| error.to_string());
    out
}

fn apply(
    library: &Library,
    meter: MeterId,
    content: &Content<'_>,
    state: &MeterState,
    memory: &mut Memory,
    out: &mut Row,
) -> Result<(), ReadError> {
    let profile = library.apply(meter, content, state.security.key.as_ref(), memory, |named| out.take(named))?;
    out.profile = profile.map(|profile| profile.name.clone());
    Ok(())
}

fn to_f64(decimal: Decimal) -> f64 {
    decimal.to_string().parse().unwrap()
}

fn alike(ours: f64, theirs: f64) -> bool {
    if theirs == 0.0 {
        return ours == 0.0;
    }
    [1.0, 24.0, 60.0, 3600.0, 1.0 / 24.0, 1.0 / 60.0, 1.0 / 3600.0, 365.25, 1.0 / 3.6].iter().any(|factor| {
        let decades = (ours * factor / theirs).log10();
        (decades - decades.round()).abs() < 1e-6 && ours * theirs > 0.0
    })
}
