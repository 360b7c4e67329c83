//! Every record of real meters' frames against an independent decoder's normalised values.
//!
//! The frames are not part of the project: `PLOMB_CORPUS` names the folder that holds them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_mbus::{Decoded, Function, Precision, Record, Value, decode};
use plomb_session::Decimal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where this decoder means to differ: file, record, why.
const DEVIATIONS: &[(&str, usize, &str)] = &[
    ("REL-Relay-Padpuls2", 1, "the meter marks its time as invalid; its digits are kept beside the mark"),
    ("landis+gyr_ultraheat_t230", 19, "VIFE 6F: the value is a date, of the end of the last maximum"),
    ("landis+gyr_ultraheat_t230", 20, "VIFE 6F, as above"),
    ("landis+gyr_ultraheat_t230", 21, "VIFE 6F, as above: 26 August 2011, not 41 million degrees"),
    ("landis+gyr_ultraheat_t230", 22, "VIFE 6F, as above"),
    ("landis+gyr_ultraheat_t230", 32, "year 127 of a date is every year, not 2027"),
];

/// One record as the independent decoder sees it.
#[derive(Debug)]
struct Expected {
    function: String,
    storage: Option<u64>,
    tariff: Option<u32>,
    device: Option<u16>,
    unit: String,
    quantity: String,
    value: String,
}

#[test]
fn every_record_agrees_with_the_independent_decoder() {
    let Some(corpus) = corpus() else { return };
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    let (mut frames, mut records) = (0, 0);
    for path in files(&corpus.join("mbus-wired/test-frames"), "hex") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let bytes = hex(&fs::read_to_string(&path).unwrap());
        let xml = path.with_file_name(format!("{name}.norm.xml"));
        let xml: String = fs::read(xml).unwrap().iter().map(|byte| char::from(*byte)).collect();
        let expected = expected_records(&xml);
        let decoded = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.error, None, "{name}");
        assert_eq!(decoded.records.len(), expected.len(), "{name}");
        compare_meter(&name, &decoded, &xml);
        frames += 1;
        for (at, (record, expected)) in decoded.records.iter().zip(&expected).enumerate() {
            records += 1;
            let verdict = compare(record, expected);
            let deviation = DEVIATIONS.iter().find(|(file, place, _)| *file == name && *place == at);
            match (verdict, deviation) {
                (Err(_), Some(_)) => drop(used.insert((name.clone(), at))),
                (Err(why), None) => wrong.push(format!("{name} record {at}: {why}\n    {record:?}\n    {expected:?}")),
                (Ok(()), _) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {records} records disagree:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(used.len(), DEVIATIONS.len(), "a deviation is listed that does not occur");
    assert!(frames > 30 && records > 400, "only {frames} frames with {records} records were found");
    eprintln!("{records} records of {frames} frames agree, {} of them by a listed deviation", used.len());
}

#[test]
fn frames_in_error_give_a_reason_or_a_part() {
    let Some(corpus) = corpus() else { return };
    let mut seen = 0;
    for folder in ["mbus-wired/error-frames", "mbus-wired/unsupported-frames"] {
        for path in files(&corpus.join(folder), "hex") {
            let bytes = hex(&fs::read_to_string(&path).unwrap());
            seen += 1;
            match decode(&bytes) {
                Ok(decoded) => eprintln!(
                    "{path:?}: {:?}, {} records, {:?}",
                    decoded.telegram.body,
                    decoded.records.len(),
                    decoded.error
                ),
                Err(error) => {
                    eprintln!("{path:?}: {error}");
                    assert!(error.offset() <= bytes.len());
                }
            }
        }
    }
    assert!(seen > 15, "only {seen} frames were found");
}

/// Wired rows of a decoder that knows each meter model. It renames, adds up and rescales, so only
/// digits are compared: every number that it prints should occur among ours.
#[test]
fn numbers_of_a_decoder_with_meter_models_occur() {
    let Some(corpus) = corpus() else { return };
    let (mut rows, mut numbers, mut missing) = (0, 0, Vec::new());
    for line in fs::read_to_string(corpus.join("wmbus/telegrams.jsonl")).unwrap().lines() {
        if !line.contains("\"bus\": \"wired\"") {
            continue;
        }
        rows += 1;
        let bytes = hex(json_text(line, "telegram").unwrap());
        let decoded = decode(&bytes).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(decoded.error, None, "{line}");
        let driver = json_text(line, "driver").unwrap();
        let ours: Vec<f64> = decoded.records.iter().filter_map(|record| record.value.number()).map(to_f64).collect();
        for (name, theirs) in json_numbers(line.split_once("\"expected\"").unwrap().1) {
            numbers += 1;
            if !ours.iter().any(|ours| alike(*ours, theirs)) {
                missing.push(format!("{driver} {name} {theirs}"));
            }
        }
    }
    assert!(rows > 15 && numbers > 200, "only {numbers} numbers in {rows} rows were found");
    assert!(missing.is_empty(), "{missing:#?}");
}

fn to_f64(decimal: Decimal) -> f64 {
    decimal.to_string().parse().unwrap()
}

/// Equal but for a power of ten or a unit of time.
fn alike(ours: f64, theirs: f64) -> bool {
    if theirs == 0.0 {
        return ours == 0.0;
    }
    [1.0, 24.0, 60.0, 3600.0, 1.0 / 24.0, 1.0 / 60.0, 1.0 / 3600.0, 365.25, 1.0 / 3.6].iter().any(|factor| {
        let decades = (ours * factor / theirs).log10();
        (decades - decades.round()).abs() < 1e-6 && ours * theirs > 0.0
    })
}

fn json_text<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\": \""))?;
    rest.split_once('"').map(|(text, _)| text)
}

fn json_numbers(json: &str) -> Vec<(&str, f64)> {
    let fields =
        json.split(", \"").filter_map(|field| field.trim_start_matches([':', ' ', '{', '"']).split_once("\": "));
    fields.filter_map(|(name, value)| Some((name, value.trim_end_matches(['}', ',']).parse().ok()?))).collect()
}

fn compare_meter(name: &str, decoded: &Decoded<'_>, xml: &str) {
    let Some(meter) = decoded.telegram.meter() else { panic!("{name}: no meter") };
    let id: u64 = meter.id.to_string().parse().unwrap();
    assert_eq!(Some(id), element(xml, "Id").and_then(|id| id.parse().ok()), "{name}: identification");
    assert_eq!(Some(meter.manufacturer.to_string()), element(xml, "Manufacturer"), "{name}: manufacturer");
    assert_eq!(Some(meter.version.to_string()), element(xml, "Version"), "{name}: version");
    let status = decoded.telegram.status().unwrap().0;
    assert_eq!(Some(format!("{status:02X}")), element(xml, "Status"), "{name}: status");
}

fn compare(record: &Record<'_>, expected: &Expected) -> Result<(), String> {
    let function = match record.function {
        Function::Instantaneous => "Instantaneous value",
        Function::Maximum => "Maximum value",
        Function::Minimum => "Minimum value",
        Function::Error => "Value during error state",
        Function::ManufacturerSpecific => "Manufacturer specific",
        Function::MoreRecordsFollow => "More records follow",
        Function::GlobalReadout => "Global readout",
    };
    same("function", function, &expected.function)?;
    if record.function == Function::ManufacturerSpecific || record.function == Function::MoreRecordsFollow {
        // The order of opaque bytes in the expectation is stale; only their presence is compared.
        return Ok(());
    }
    same("storage", &record.storage, &expected.storage.unwrap_or(0))?;
    same("tariff", &record.tariff, &expected.tariff.unwrap_or(0))?;
    same("subunit", &record.subunit, &expected.device.unwrap_or(0))?;
    let (unit, factor) = base_unit(record.unit);
    same("unit", unit, &expected.unit)?;
    match record.value {
        Value::Number(decimal) => {
            let ours: f64 = decimal.to_string().parse::<f64>().unwrap() * factor;
            let theirs: f64 = expected.value.parse().map_err(|_| format!("{} is no number", expected.value))?;
            // Six places are printed, of a double.
            let tolerance = 1e-6 * theirs.abs().max(1.0);
            if (ours - theirs).abs() > tolerance {
                return Err(format!("value {ours}, expected {theirs}"));
            }
            Ok(())
        }
        Value::DateTime(date) if expected.value.ends_with('Z') => {
            let seconds = if date.precision == Precision::Second { "" } else { ":00" };
            same("value", &format!("{date}{seconds}Z"), &expected.value)
        }
        // Opaque: see above.
        Value::Bytes(_) => Ok(()),
        other => same("value", &other.to_string(), &expected.value),
    }?;
    let quantity = record.text.map_or_else(|| quantity(record.quantity.name()), |text| text.to_string());
    same("quantity", &quantity, &expected.quantity)
}

fn same<A: PartialEq<B> + ?Sized + std::fmt::Debug, B: std::fmt::Debug + ?Sized>(
    what: &str,
    ours: &A,
    theirs: &B,
) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what} {ours:?}, expected {theirs:?}")) }
}

/// The expectation's unit for ours, and the factor to it.
fn base_unit(unit: &str) -> (&str, f64) {
    match unit {
        "min" => ("s", 60.0),
        "h" => ("s", 3600.0),
        "d" => ("s", 86_400.0),
        "m3" => ("m^3", 1.0),
        "m3/h" => ("m^3/h", 1.0),
        "hca" => ("Units for H.C.A.", 1.0),
        other => (other, 1.0),
    }
}

/// The expectation's name for our quantity, where it is not the same but for capitals.
fn quantity(name: &str) -> String {
    let known = match name {
        "date" => "Time point (date)",
        "date time" => "Time point (date & time)",
        "fabrication number" => "Fabrication No",
        "heat cost allocation" => "H.C.A.",
        "averaging duration" => "Averaging Duration",
        "actuality duration" => "Actuality Duration",
        "enhanced identification" => "(Enhanced) Identification",
        "device type" => "Medium",
        "model version" => "Model / Version",
        "digital output" => "Digital Output",
        other => {
            let mut letters = other.chars();
            return letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
        }
    };
    known.to_owned()
}

fn expected_records(xml: &str) -> Vec<Expected> {
    let number = |block: &str, tag: &str| element(block, tag).and_then(|text| text.parse::<u64>().ok());
    xml.split("<DataRecord")
        .skip(1)
        .map(|block| Expected {
            function: element(block, "Function").unwrap(),
            storage: number(block, "StorageNumber"),
            tariff: number(block, "Tariff").map(|tariff| u32::try_from(tariff).unwrap()),
            device: number(block, "Device").map(|device| u16::try_from(device).unwrap()),
            // Latin-1 in the heading, UTF-8 in the bytes.
            unit: element(block, "Unit").unwrap().replace("Â°", "°").replace('-', ""),
            quantity: element(block, "Quantity").unwrap().replace("&amp;", "&"),
            value: element(block, "Value").unwrap(),
        })
        .collect()
}

fn element(xml: &str, tag: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    let (text, _) = rest.split_once(&format!("</{tag}>"))?;
    Some(text.to_owned())
}

fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("PLOMB_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        eprintln!("corpus absent: set PLOMB_CORPUS");
    }
    corpus
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)).unwrap()).collect()
}
