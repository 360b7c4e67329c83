//! Masters that share no code with this project read the simulated meters
//! over a paced pseudo-terminal. See `tests/peers/README.md` for what they need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_sim::file::read_folder;
use plomb_sim::live::Expected;
use plomb_sim::mbus::{Slave, Source};
use plomb_sim::{Bus, Calendar, LineSpeed, PtyLine, street};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The meters' clocks stand still, so that registers can be foretold.
const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 0 };
const SPEED: LineSpeed = LineSpeed(9600);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Python that has the peers; `None` after saying that it is missing,
/// which is a failure where peers are required.
async fn python() -> Option<PathBuf> {
    let own = root().join("tests/.venv/bin/python3");
    let fallback = if own.exists() { own } else { PathBuf::from("python3") };
    let python = std::env::var_os("PLOMB_PYTHON").map_or(fallback, PathBuf::from);
    let import = Command::new(&python).args(["-c", "import meterbus, serial"]).output().await;
    if import.is_ok_and(|import| import.status.success()) {
        return Some(python);
    }
    let required =
        std::env::var("CI").is_ok_and(|ci| ci == "true") || std::env::var_os("PLOMB_REQUIRE_PEERS").is_some();
    assert!(!required, "{python:?} has no pyMeterBus: install tests/peers/requirements.txt");
    eprintln!("pyMeterBus absent in {python:?}: install tests/peers/requirements.txt");
    None
}

/// Runs a master over the line; gives its lines of JSON.
async fn run(program: &Path, script: &str, line: &PtyLine, named: bool, meters: &[String]) -> Vec<Value> {
    let port = line.path().to_str().unwrap();
    let speed = line.with_bus(|bus| bus.speed()).0.to_string();
    let place: &[&str] = if named { &["--port", port, "--baud", &speed] } else { &[port, &speed] };
    let script = root().join("tests/peers").join(script);
    let output = Command::new(program).arg(&script).args(place).args(meters).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), meters.len(), "{script:?} said: {errors}");
    lines
}

fn frames(line: &Value) -> Vec<String> {
    assert_eq!(line["error"], Value::Null, "{line}");
    line["frames"].as_array().unwrap().iter().map(|frame| frame.as_str().unwrap().to_owned()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The newest `count` telegrams of a slave, oldest first.
fn newest(slave: &Slave, count: usize) -> Vec<String> {
    let served: Vec<String> = slave.served().map(hex).collect();
    served[served.len() - count..].to_vec()
}

fn addresses(bus: &Bus) -> Vec<String> {
    bus.slaves().map(|slave| slave.address().to_string()).collect()
}

fn check_frames(line: &PtyLine, heard: &[Value]) {
    line.with_bus(|bus| {
        for (slave, heard) in bus.slaves().zip(heard) {
            let frames = frames(heard);
            assert!(!frames.is_empty());
            assert_eq!(frames, newest(slave, frames.len()), "address {}", slave.address());
        }
    });
}

fn expected(slave: &Slave) -> Vec<Expected> {
    let Source::Live(meter) = slave.source() else { panic!("a live meter") };
    meter.expected(NOW.start_unix_s)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_master_reads_live_meters_by_both_addresses() {
    let Some(python) = python().await else { return };
    let line = PtyLine::open(None, street(7, 5, SPEED, NOW).bus).unwrap();
    let primary = line.with_bus(|bus| addresses(bus));
    let heard = run(&python, "mbus_master_plain.py", &line, true, &primary).await;
    check_frames(&line, &heard);
    assert_eq!(frames(&heard[0]).len(), 2, "heat meters have two telegrams");
    let secondary: Vec<String> = line.with_bus(|bus| {
        let whole = |slave: &Slave| {
            let identity = slave.identity();
            let digits = identity.id_digits();
            format!("{digits}{:04x}{:02x}{:02x}", identity.manufacturer, identity.version, identity.medium)
        };
        bus.slaves().map(whole).collect()
    });
    let heard = run(&python, "mbus_master_plain.py", &line, true, &secondary).await;
    check_frames(&line, &heard);
    assert_eq!(line.counters().collisions, 0);
    assert_eq!(line.counters().frames_refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_master_sees_the_faults() {
    let Some(python) = python().await else { return };
    let mut street = street(2, 5, SPEED, NOW);
    street.bus.slave_mut(2).unwrap().faults.wrong_checksum = true;
    let line = PtyLine::open(None, street.bus).unwrap();
    let meters = line.with_bus(|bus| addresses(bus));
    let heard = run(&python, "mbus_master_plain.py", &line, true, &meters).await;
    assert_eq!(heard[0]["error"], Value::Null);
    assert!(heard[1]["error"].as_str().unwrap().contains("no good answer"));
    let tries = line.with_bus(|bus| bus.slave(2).unwrap().served().count());
    assert_eq!(tries, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymeterbus_reads_the_registers_of_live_meters() {
    let Some(python) = python().await else { return };
    let line = PtyLine::open(None, street(7, 5, SPEED, NOW).bus).unwrap();
    let meters = line.with_bus(|bus| addresses(bus));
    let heard = run(&python, "mbus_master_pymeterbus.py", &line, true, &meters).await;
    check_frames(&line, &heard);
    line.with_bus(|bus| {
        for (slave, heard) in bus.slaves().zip(&heard) {
            let numbers = heard["records"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|record| record["value"].is_number() && record["type"] != "VIFUnitExt.ERROR_FLAGS");
            let expected = expected(slave);
            assert_eq!(numbers.clone().count(), expected.len(), "{heard}");
            for (record, expected) in numbers.zip(&expected) {
                same_as_pymeterbus(record, expected);
            }
        }
    });
}

/// pyMeterBus gives base units as floats: Wh, m³, seconds.
fn same_as_pymeterbus(record: &Value, expected: &Expected) {
    let hours = if expected.unit == "h" { 3600.0 } else { 1.0 };
    let foretold = expected.mantissa as f64 * 10f64.powi(expected.exponent.into()) * hours;
    let value = record["value"].as_f64().unwrap();
    assert!((value - foretold).abs() <= foretold.abs() * 1e-9, "{record} is not {expected:?}");
    assert_eq!(record["storage_number"].as_u64().unwrap(), u64::from(expected.storage), "{record}");
    assert_eq!(record["tariff"].as_u64().unwrap_or_default(), u64::from(expected.tariff), "{record}");
    let unit = match expected.unit {
        "Wh" => "WH",
        "W" => "W",
        "m3" => "M3",
        "m3/h" => "M3_H",
        "Cel" => "C",
        "K" => "K",
        "h" => "SECONDS",
        "V" => "V",
        other => panic!("a unit that pyMeterBus was not asked about: {other}"),
    };
    assert_eq!(record["unit"].as_str().unwrap(), format!("MeasureUnit.{unit}"), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_meters_frames_reach_both_masters_unchanged() {
    let Some(python) = python().await else { return };
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS") else {
        eprintln!("corpus absent: set PLOMB_CORPUS");
        return;
    };
    let recorded = read_folder(&Path::new(&corpus).join("mbus-wired/test-frames")).unwrap();
    assert!(recorded.len() > 30, "only {} recordings", recorded.len());
    let mut bus = Bus::new(LineSpeed(38_400), NOW);
    let mut as_recorded = Vec::new();
    for recorded in recorded {
        as_recorded.push(readdressed(&recorded.file, recorded.slave.address()));
        bus.fit(recorded.slave);
    }
    let line = PtyLine::open(None, bus).unwrap();
    let meters = line.with_bus(|bus| addresses(bus));
    for script in ["mbus_master_plain.py", "mbus_master_pymeterbus.py"] {
        let heard = run(&python, script, &line, true, &meters).await;
        for (heard, recorded) in heard.iter().zip(&as_recorded) {
            assert_eq!(frames(heard), std::slice::from_ref(recorded), "{script}");
        }
    }
}

/// A recording as it must arrive, made without the simulator's help.
fn readdressed(file: &Path, address: u8) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let digits: String = text.split_whitespace().collect();
    let mut frame: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let sum = frame.len() - 2;
    frame[5] = address;
    frame[sum] = frame[4..sum].iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
    hex(&frame)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libmbus_reads_the_registers_of_live_meters() {
    let folder = root().join("tests/peers/libmbus");
    let node = Command::new("node").args(["-e", "require('node-mbus')"]).current_dir(&folder).output().await;
    if !node.is_ok_and(|node| node.status.success()) {
        assert!(std::env::var_os("PLOMB_REQUIRE_LIBMBUS").is_none(), "node-mbus is not built");
        eprintln!("libmbus absent: see tests/peers/README.md for how to build it");
        return;
    }
    let line = PtyLine::open(None, street(5, 5, SPEED, NOW).bus).unwrap();
    let meters = line.with_bus(|bus| addresses(bus));
    let script = "libmbus/mbus_master_libmbus.js";
    let heard = run(Path::new("node"), script, &line, false, &meters).await;
    line.with_bus(|bus| {
        for (slave, heard) in bus.slaves().zip(&heard) {
            let identity = slave.identity();
            assert_eq!(heard["id"].as_str().unwrap(), identity.id_digits().trim_start_matches('0'));
            let numbers: Vec<(i64, u64)> = heard["records"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|record| record["value"].is_number() && record["unit"] != "Error flags")
                .map(|record| (record["value"].as_i64().unwrap(), record["storage"].as_u64().unwrap()))
                .collect();
            let expected: Vec<(i64, u64)> =
                expected(slave).iter().map(|number| (number.mantissa, number.storage.into())).collect();
            assert_eq!(numbers, expected, "{heard}");
        }
    });
}
