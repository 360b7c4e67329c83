//! `plomb decode` of P1 telegrams.

use serde_json::Value;

use super::{lines, plomb, water};

/// A telegram with its sum.
fn telegram() -> String {
    let body = "/PLB5\\2made\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(260215200523W)\r\n0-0:96.1.1(31323334)\r\n\
                1-0:1.8.1(000123.456*kWh)\r\n0-1:24.2.1(260215200500W)(00012.345*m3)\r\n!";
    format!("{body}{:04X}\r\n", plomb_iec62056::p1::crc16(body.as_bytes()))
}

fn is_told(told: &Value) -> bool {
    let value = |obis: &str| {
        let records = told["records"].as_array().unwrap();
        records.iter().find(|record| record["obis"] == obis).map(|record| record["value"].clone())
    };
    told["protocol"] == "p1"
        && told["meter"]["id"] == "1234"
        && value("1-0:1.8.1*255") == Some("123.456".into())
        && value("0-1:24.2.1*255") == Some("12.345".into())
}

fn decode(arguments: &[&str], input: &str) -> (Option<i32>, Vec<Value>) {
    let output = plomb(&[&["decode", "--json"], arguments].concat(), input.as_bytes());
    (output.status.code(), lines(&output))
}

#[test]
fn a_telegram_is_read_as_text_and_in_hexadecimal() {
    let text = telegram();
    let unix = text.replace('\r', "");
    for (arguments, input) in [
        ([text.as_str()].as_slice(), ""),
        (&[text.trim_end()], ""),
        (&[&hex::encode(&text)], ""),
        (&["--protocol", "p1", &hex::encode(&text)], ""),
        (&["-"], &text),
        (&["-"], &unix),
        (&["--protocol", "p1", "-"], &text),
    ] {
        let (code, told) = decode(arguments, input);
        assert_eq!((code, told.len()), (Some(0), 1), "{arguments:?}");
        assert!(told[0]["ok"] == true && is_told(&told[0]), "{}", told[0]);
    }
    // Among others, one answer each.
    let stream = format!("{}\n{text}{text}{}\n", water(), water());
    let (_, told) = decode(&["-"], &stream);
    let protocols: Vec<&str> = told.iter().map(|one| one["protocol"].as_str().unwrap()).collect();
    assert_eq!(protocols, ["mbus", "p1", "p1", "mbus"]);
}

#[test]
fn a_wrong_sum_is_told_and_the_values_are_shown() {
    let text = telegram().replace("123.456", "123.457");
    let (code, told) = decode(&["-"], &text);
    assert_eq!((code, &told[0]["error"]["kind"]), (Some(65), &"checksum".into()));
    assert!(told[0]["status"].as_array().unwrap().contains(&"the checksum is wrong".into()), "{}", told[0]);
    assert!(told[0]["records"].as_array().unwrap().iter().any(|record| record["value"] == "123.457"));
}

#[test]
fn a_telegram_that_is_cut_off_swallows_nothing() {
    let text = telegram();
    let begun: String = text.lines().take(4).map(|line| format!("{line}\r\n")).collect();
    for rest in [format!("{}\n", water()), text.clone()] {
        let (code, told) = decode(&["-"], &format!("{begun}{rest}"));
        assert_eq!((code, told.len()), (Some(0), 2), "{told:?}");
        assert_eq!(told[0]["error"]["kind"], "truncated");
        assert_eq!(told[1]["ok"], true);
    }
    assert_eq!(decode(&["-"], &begun).1[0]["error"]["kind"], "truncated");
    // What only looks like one is a bad line, and the next is read.
    let (_, told) = decode(&["-"], &format!("/dev/null\n{}\n", water()));
    assert_eq!(told.last().map(|one| one["ok"].clone()), Some(true.into()), "{told:?}");
}

#[test]
fn every_byte_of_a_telegram_is_annotated_once() {
    let text = telegram();
    let (_, told) = decode(&["--annotate", &text], "");
    let bytes: String =
        told[0]["annotations"].as_array().unwrap().iter().map(|one| one["bytes"].as_str().unwrap()).collect();
    assert_eq!(bytes, hex::encode(&text));
}

/// Telegrams from outside the project, where they are at hand.
#[test]
fn the_corpus_is_decoded() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS").map(std::path::PathBuf::from) else {
        eprintln!("corpus absent: set PLOMB_CORPUS");
        return;
    };
    let rows = std::fs::read_to_string(corpus.join("p1/telegrams.jsonl")).unwrap();
    let mut values = 0;
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let text = row["text"].as_str().unwrap();
        let (code, told) = decode(&["-"], text);
        assert_eq!((code, told.len()), (Some(0), 1), "{}", row["name"]);
        // Each value with a unit is there, with its digits.
        let records = told[0]["records"].as_array().unwrap();
        for line in
            text.lines().filter(|line| line.contains('*') && !line.contains(":98.1.0") && !line.contains(":99.97.0"))
        {
            let (code, rest) = line.split_once('(').unwrap();
            let last = rest.rsplit_once('(').map_or(rest, |(_, last)| last);
            let (number, unit) = last.trim_end_matches(')').split_once('*').unwrap();
            let obis = format!("{code}*255");
            let found = records.iter().find(|record| record["obis"] == obis.as_str()).unwrap();
            let said: f64 = found["value"].as_str().unwrap().parse().unwrap();
            assert!((said - number.parse::<f64>().unwrap()).abs() < 1e-9, "{line}: {found}");
            assert_eq!(found["unit"], unit, "{line}");
            values += 1;
        }
    }
    eprintln!("{} telegrams, {values} values equal", rows.lines().count());
    assert!(values >= 40, "{values}");
}
