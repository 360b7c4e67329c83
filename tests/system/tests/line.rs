//! The main job, end to end: from a meter on a wire to a receipt that anyone can check.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "line/enrolment.rs"]
mod enrolment;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use plomb_sim::{
    live::{Kind, Meter},
    mbus::{Identity, Slave},
};
use plomb_system_tests::{Site, same_number, wait_for};
use serde_json::Value;

fn meters() -> Vec<(&'static str, u8, Kind)> {
    vec![
        ("flat-heat", 1, Kind::Heat),
        ("flat-water", 2, Kind::Water),
        ("house-power", 3, Kind::Electricity),
        ("house-gas", 4, Kind::Gas),
    ]
}

fn live(address: u8, kind: Kind) -> Slave {
    let identity =
        Identity { id: 0x1000_0000 + u32::from(address), manufacturer: 0x4182, version: 1, medium: kind.medium() };
    Slave::live(address, Meter::new(kind, identity, u64::from(address)))
}

/// What everybody tries first: it proves all that it claims, on the radio too.
#[test]
fn the_demo_proves_what_it_shows() {
    let output = Command::new(plomb_system_tests::binary("plomb")).args(["demo", "--for", "5s", "--json"]).output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}\n{:#}", lines.last().unwrap_or(&Value::Null));
    let checks: Vec<&str> =
        lines.last().unwrap()["checks"].as_array().unwrap().iter().filter_map(|check| check["name"].as_str()).collect();
    for name in ["verified", "archive", "silence", "honest-radio", "forged", "replayed", "stolen", "tampering"] {
        assert!(checks.contains(&name), "{name} is not among {checks:?}");
    }
    for kind in ["mac failed", "counter repeated", "key wrong"] {
        assert!(lines.iter().any(|line| line["event"] == "refused" && line["kind"] == kind), "{kind} was not shown");
    }
}

/// Every value that a meter's own simulator foretells arrives at a subscriber, in the archive, and in a
/// verified export, under the same entry.
#[test]
fn what_the_meters_say_arrives_everywhere_and_is_proved() {
    let site = Site::new();
    let line = site.line(meters().into_iter().map(|(_, address, kind)| live(address, kind)).collect());
    let points: Vec<(&str, u8)> =
        meters().into_iter().map(|(point, address, _)| (point, address)).chain([("silent-flat", 99)]).collect();
    site.configure(&site.at("bus"), &points, 1.0, "");
    let hub = site.start_hub();
    let subscriber = site.subscribe();
    let gateway = site.start_gateway();
    wait_for("two readings of each meter", || {
        meters().iter().all(|(point, ..)| subscriber.documents(&format!("/pub/{point}/reading")).len() >= 2)
    });
    wait_for("an absence", || !subscriber.documents("/pub/silent-flat/event").is_empty());
    site.wait_status("receipts", |status| status["hub"]["receipts"].as_u64() > Some(2));
    assert_eq!(gateway.stop(), 0, "{}", site.log("plombd.log"));

    let export = site.export(&[]);
    let (report, code) = site.verify(&export);
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report}");
    assert_eq!(report["anchored"], report["entries"], "{report}");
    assert!(report["absent"].as_u64() > Some(0));

    let archive = site.archive();
    assert_eq!(archive.len() as u64, report["entries"].as_u64().unwrap(), "the archive has what the export has");
    let by_hash: BTreeMap<&str, &Value> =
        archive.iter().map(|entry| (entry["hash"].as_str().unwrap(), entry)).collect();
    let unix_s = line.with_bus(|bus| bus.calendar.start_unix_s);
    for (point, address, kind) in meters() {
        let expected = match live(address, kind).source() {
            plomb_sim::mbus::Source::Live(meter) => meter.expected(unix_s),
            plomb_sim::mbus::Source::Fixed(_) => unreachable!(),
        };
        assert!(!expected.is_empty());
        for heard in subscriber.documents(&format!("/pub/{point}/reading")) {
            let archived = by_hash[heard["hash"].as_str().unwrap()];
            assert_eq!(readings(&heard), readings(archived), "subscriber and archive agree on {point}");
            for register in &expected {
                let found = heard["records"].as_array().unwrap().iter().any(|record| {
                    let value = record["value"].as_str().unwrap_or_default();
                    same_number(value, register.mantissa, register.exponent.into())
                        && record["storage"].as_u64() == Some(u64::from(register.storage))
                        && record["tariff"].as_u64() == Some(u64::from(register.tariff))
                });
                assert!(found, "{point}: {register:?} is not in {heard}");
            }
        }
    }
    schemas(&site, &subscriber);
    foreign_verifier(&export, &site);
    assert_eq!(hub.stop(), 0, "{}", site.log("hub.log"));
    drop(line);
}

fn readings(document: &Value) -> Vec<(Option<String>, Option<String>, Option<String>)> {
    let list = document["records"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_string);
    list.iter().map(|record| (text(&record["obis"]), text(&record["value"]), text(&record["unit"]))).collect()
}

/// What is really published fits the AsyncAPI document beside the code.
fn schemas(site: &Site, subscriber: &plomb_system_tests::Subscriber) {
    let mut lines = String::new();
    for (schema, ending) in [("reading", "/reading"), ("event", "/event"), ("info", "/info"), ("status", "/up/status")]
    {
        let documents = subscriber.documents(ending);
        assert!(!documents.is_empty(), "nothing was published on {ending}");
        for document in documents {
            lines += &format!("{}\n", serde_json::json!({ "schema": schema, "document": document }));
        }
    }
    let file = site.path("published.ndjson");
    fs::write(&file, lines).unwrap();
    python("check_asyncapi.py", &[&tree("docs/asyncapi.yaml"), &file]);
}

/// A verifier in another language, written from the format's page, accepts the export and refuses bent ones.
fn foreign_verifier(export: &Path, site: &Site) {
    let policy = site.path("gw-1/policy.txt");
    let output = python("verify_evidence.py", &[export, Path::new("--policy"), &policy]);
    assert!(output.contains("proved"), "{output}");
    let bytes = fs::read(export).unwrap();
    let bent = site.path("bent.plomb");
    for step in 1..8 {
        let mut copy = bytes.clone();
        let at = bytes.len() * step / 8;
        copy[at] ^= 0x10;
        fs::write(&bent, &copy).unwrap();
        let (report, code) = site.verify(&bent);
        assert_eq!((report["verdict"].as_str(), code), (Some("tampered"), 1), "byte {at}: {report}");
    }
}

/// Configurations and commands are sealed as RFC 9180 says: primitives of another make open them.
#[test]
fn a_foreign_reader_opens_what_is_sealed() {
    let secret = "09".repeat(32);
    for (file, content) in [("transaction-config.cose", "[gateway]\n"), ("transaction-command.cose", "close")] {
        let file = tree("docs/vectors").join(file);
        assert_eq!(python("open_sealed.py", &[&file, Path::new(&secret)]), content);
    }
}

fn tree(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn python(script: &str, arguments: &[&Path]) -> String {
    let python = std::env::var("PLOMB_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python).arg(tree("tests/peers").join(script)).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn recorded_frames(meter: &plomb_sim::file::Recorded) -> Vec<Vec<u8>> {
    match meter.slave.source() {
        plomb_sim::mbus::Source::Fixed(frames) => frames.clone(),
        plomb_sim::mbus::Source::Live(_) => unreachable!(),
    }
}

/// Recorded frames of real meters, where they are at hand: each value of each frame, as `plomb decode` reads
/// it, arrives in the archive.
#[test]
fn frames_of_real_meters_arrive_whole() {
    let Some(corpus) = std::env::var_os("PLOMB_CORPUS") else {
        eprintln!("corpus absent: set PLOMB_CORPUS to poll the recorded frames of real meters");
        return;
    };
    let site = Site::new();
    let recorded = plomb_sim::file::read_folder(&Path::new(&corpus).join("mbus-wired/test-frames")).unwrap();
    assert!(recorded.len() > 30);
    let mut slaves = Vec::new();
    let mut points = Vec::new();
    for (index, meter) in recorded.iter().enumerate() {
        let address = u8::try_from(index + 1).unwrap();
        slaves.push(Slave::fixed(address, recorded_frames(meter)));
        points.push((format!("meter-{address}"), address));
    }
    let line = site.line(slaves);
    let named: Vec<(&str, u8)> = points.iter().map(|(point, address)| (point.as_str(), *address)).collect();
    site.configure(&site.at("bus"), &named, 60.0, "");
    let hub = site.start_hub();
    let subscriber = site.subscribe();
    // Started after the stagger has been shortened by asking each meter at once.
    let gateway = site.start_gateway();
    site.wait_status("the gateway", |status| status["verdict"].is_string() && status["verdict"] != "down");
    for (point, _) in &points {
        site.good("plomb", &["read", "--config", &site.gateway_config(), "--point", point, "--json"]);
    }
    wait_for("every meter at the subscriber", || {
        points.iter().all(|(point, _)| !subscriber.documents(&format!("/pub/{point}/reading")).is_empty())
    });
    assert_eq!(gateway.stop(), 0);
    let (report, code) = site.verify(&site.export(&[]));
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report}");
    let archive = site.archive();
    for ((point, _), meter) in points.iter().zip(&recorded) {
        let frames: Vec<String> =
            recorded_frames(meter).iter().map(|frame| frame.iter().map(|b| format!("{b:02x}")).collect()).collect();
        let arguments: Vec<&str> = ["decode", "--json"].into_iter().chain(frames.iter().map(String::as_str)).collect();
        let decoded = site.good("plomb", &arguments);
        let expected: Vec<_> =
            decoded.lines().flat_map(|line| readings(&serde_json::from_str(line).unwrap())).collect();
        let archived =
            archive.iter().find(|entry| entry["point"] == point.as_str() && entry["records"].is_array()).unwrap();
        assert_eq!(readings(archived), expected, "{point} ({:?})", meter.file);
        let heard = subscriber.documents(&format!("/pub/{point}/reading"));
        assert_eq!(readings(&heard[0]), expected, "{point} at the subscriber");
        // One dialect: the hub shows of its archive what the gateway published.
        let mut published = heard[0].clone();
        published.as_object_mut().unwrap().remove("historical");
        assert!(archive.contains(&published), "{published}");
    }
    drop((hub, line));
}
