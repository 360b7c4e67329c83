//! The contracts of the command line, on the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

/// A water meter's answer, made by hand: volume 12.565 m3 and an unknown code behind it.
const WATER: &str = "68 15 15 68 08 01 72 78 56 34 12 82 41 01 07 05 00 00 00 0C 13 65 25 01 00 00 16";

fn plomb(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_plomb"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A frame with its lengths and sum put right.
fn frame(payload: &[u8]) -> String {
    let length = u8::try_from(payload.len()).unwrap();
    let sum = payload.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let bytes = [&[0x68, length, length, 0x68], payload, &[sum, 0x16]].concat();
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn water() -> String {
    let digits: Vec<u8> = WATER.split(' ').map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    frame(&digits[4..digits.len() - 2])
}

#[test]
fn one_line_in_is_one_line_out() {
    let output = plomb(&["decode", "--json", &water()], b"");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = &lines(&output)[0];
    assert_eq!(decoded["ok"], true);
    assert_eq!(decoded["protocol"], "mbus");
    assert_eq!(decoded["meter"]["id"], "12345678");
    let record = &decoded["records"][0];
    assert_eq!((record["value"].as_str(), record["unit"].as_str()), (Some("12.565"), Some("m3")));
    assert_eq!((record["function"].as_str(), record["storage"].as_u64()), (Some("instantaneous"), Some(0)));
    for key in ["obis", "quantity", "tariff", "subunit", "time"] {
        assert!(record.get(key).is_some(), "{key} is missing");
    }
}

#[test]
fn a_bad_line_is_told_and_the_stream_goes_on() {
    let input = format!("{0}\nnonsense\n{1}\n68\n{0}\n", water(), water().replace("65", "66"));
    let decoded = lines(&plomb(&["decode", "--json", "-"], input.as_bytes()));
    let good: Vec<bool> = decoded.iter().map(|line| line["ok"].as_bool().unwrap()).collect();
    assert_eq!(good, [true, false, false, false, true]);
    for line in decoded.iter().filter(|line| line["ok"] == false) {
        assert!(line["error"]["kind"].is_string() && line["error"]["message"].is_string(), "{line}");
        assert!(line["error"].get("offset").is_some(), "{line}");
    }
    assert_eq!(plomb(&["decode", "--json", "zz"], b"").status.code(), Some(65));
}

#[test]
fn a_hundred_thousand_lines_stream() {
    let line = water() + "\n";
    let output = plomb(&["decode", "--json", "-"], line.repeat(100_000).as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 100_000);
}

#[test]
fn the_vectors_get_the_verdicts_that_their_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    for (file, verdict, code) in [
        ("proved.plomb", "proved", 0),
        ("proved-point.plomb", "proved", 0),
        ("proved-entry.plomb", "proved", 0),
        ("tampered-byte.plomb", "tampered", 1),
        ("tampered-batch-removed.plomb", "tampered", 1),
        ("incomplete-unanchored.plomb", "incomplete", 3),
        ("policy.txt", "tampered", 1),
    ] {
        let output = plomb(&["verify", "--json", &folder.join(file).display().to_string()], b"");
        let report = &lines(&output)[0];
        assert_eq!((report["verdict"].as_str(), output.status.code()), (Some(verdict), Some(code)), "{file}: {report}");
        for key in ["entries", "absent", "gaps", "batches", "anchored", "first_bad"] {
            assert!(report.get(key).is_some(), "{file}: {key} is missing");
        }
    }
    assert_eq!(plomb(&["verify", "--json", "/nowhere"], b"").status.code(), Some(74));
}

#[test]
fn without_a_daemon_the_verbs_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("plombd.toml");
    let state = folder.path().display();
    std::fs::write(&config, format!("[gateway]\nid = \"gw\"\nstate_dir = \"{state}\"\nkey = \"k\"\n")).unwrap();
    let config = config.display().to_string();
    assert_eq!(plomb(&["status", "--json", "--config", &config], b"").status.code(), Some(2));
    let tail = plomb(&["tail", "--config", &config], b"");
    assert_eq!(tail.status.code(), Some(69), "{}", String::from_utf8_lossy(&tail.stderr));
    assert_eq!(plomb(&["frobnicate"], b"").status.code(), Some(64));
}

#[test]
fn every_verb_has_help_with_examples() {
    for verb in ["demo", "status", "tail", "read", "decode", "export", "verify"] {
        let help = plomb(&[verb, "--help"], b"");
        assert_eq!(help.status.code(), Some(0));
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(text.contains("Example"), "{verb}: {text}");
    }
}
