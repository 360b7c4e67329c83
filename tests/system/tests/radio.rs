//! The air as real processes: a receiver on a pseudo-terminal, a gateway, a hub and a subscriber.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use plomb_sim::{
    Calendar, PtyLine,
    live::{Kind, Meter},
    mbus::{Identity, Slave, manufacturer_letters},
    radio::{Make, Protection, PtyReceiver, RadioMeter, Station, Trick, Twin, demo_air},
};
use plomb_system_tests::{Site, Subscriber, wait_for};
use serde_json::Value;

/// Wired slaves with numbers that differ in the first digit: a search is over soon.
const WIRED: [(&str, u8); 3] = [("flat-1", 1), ("flat-2", 2), ("flat-3", 3)];
/// The receiver by its name.
const NAMED: &str = "receiver = \"amb8465\"";
const SENDS_EVERY: Duration = Duration::from_millis(400);
/// The meters' clocks stand still, so that each telegram of a meter says the same.
const STOPPED: Calendar = Calendar { start_unix_s: 1_780_000_000, factor: 0 };
const SEED: u64 = 11;

/// A site with a wired line and a receiver among the demo's meters.
struct Street {
    site: Site,
    line: PtyLine,
    receiver: PtyReceiver,
    senders: Vec<Sender>,
}

/// A radio meter as it is configured.
struct Sender {
    point: String,
    identity: String,
    meter: RadioMeter,
}

impl Street {
    /// `named` names the receiver in the configuration; without it plombd finds out.
    fn new(named: &str) -> Self {
        let site = Site::new();
        let slaves = WIRED.map(|(_, address)| {
            let identity =
                Identity { id: 0x1000_0001 * u32::from(address), manufacturer: 0x4182, version: 1, medium: 7 };
            Slave::live(address, Meter::new(Kind::Water, identity, address.into()))
        });
        let line = site.line(slaves.into());
        let mut air = demo_air(SEED, SENDS_EVERY, STOPPED);
        let senders: Vec<Sender> = (1..).zip(air.meters()).map(|(place, meter)| Sender::new(place, meter)).collect();
        // Nobody hears the first telegrams; one of them is played back later.
        air.meters_mut().filter(|meter| is_replayed(meter.trick)).for_each(|meter| meter.trick = Trick::Honest);
        assert_eq!(air.take_due(SENDS_EVERY).len(), senders.len());
        let inside = site.runtime().enter();
        let station = Station::new(Twin::new(Make::Amb8465), air);
        let receiver = PtyReceiver::open(Some(&site.path("air")), station).unwrap();
        drop(inside);
        let street = Self { site, line, receiver, senders };
        street.configure(named);
        street
    }

    fn configure(&self, named: &str) {
        let mut keys = String::new();
        let port = self.site.at("air");
        let mut more = format!("[[bus]]\nname = \"air\"\nprotocol = \"wmbus\"\nport = \"{port}\"\n{named}\n");
        for sender in &self.senders {
            let (point, identity) = (&sender.point, &sender.identity);
            more += &format!("[[meter]]\npoint = \"{point}\"\nbus = \"air\"\nid = \"{identity}\"\ninterval_s = 1.0\n");
            if let Protection::Mode5 { key } | Protection::Mode7 { key, .. } = sender.meter.protection {
                let key: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
                keys += &format!("{} {key}\n", identity.replace('.', " "));
            }
        }
        write_secret(&self.site.path("meters.keys"), &keys);
        self.site.configure(&self.site.at("bus"), &WIRED, 1.0, &more);
        let text = fs::read_to_string(self.site.gateway_config()).unwrap();
        let named = format!("meter_keys = \"{}\"\n[hub]", self.site.at("meters.keys"));
        fs::write(self.site.gateway_config(), text.replacen("[hub]", &named, 1)).unwrap();
    }

    fn of(&self, is: impl Fn(Trick) -> bool) -> Vec<&Sender> {
        self.senders.iter().filter(|sender| is(sender.meter.trick)).collect()
    }

    fn only(&self, is: impl Fn(Trick) -> bool) -> &str {
        &self.of(is)[0].point
    }

    /// The first honest meter with a message counter: its place, its point, and where its counter began.
    fn counting(&self) -> (usize, &str, u32) {
        let counts = |(place, sender): (usize, &'_ Sender)| match sender.meter.protection {
            Protection::Mode7 { counter, .. } if sender.meter.trick == Trick::Honest => Some((place, counter)),
            _ => None,
        };
        let (place, counter) = self.senders.iter().enumerate().find_map(counts).unwrap();
        (place, &self.senders[place].point, counter)
    }

    /// Somebody begins to play back a meter's first telegram.
    fn replay(&self) {
        let place = self.senders.iter().position(|sender| is_replayed(sender.meter.trick)).unwrap();
        self.receiver.with_station(|station| {
            station.air.meters_mut().nth(place).unwrap().trick = Trick::Replay { after: 1 };
        });
    }

    /// Sets a meter's message counter.
    fn set_counter(&self, place: usize, value: u32) {
        self.receiver.with_station(|station| {
            let meter = station.air.meters_mut().nth(place).unwrap();
            let Protection::Mode7 { counter, .. } = &mut meter.protection else { panic!("it has no counter") };
            *counter = value;
        });
    }
}

impl Sender {
    fn new(place: usize, meter: &RadioMeter) -> Self {
        let identity = meter.meter.identity();
        let letters = manufacturer_letters(identity.manufacturer);
        let text = format!("{}.{letters}.{:02X}.{:02X}", identity.id_digits(), identity.version, identity.medium);
        Self { point: format!("air-{place}"), identity: text, meter: meter.clone() }
    }
}

fn is_replayed(trick: Trick) -> bool {
    matches!(trick, Trick::Replay { .. })
}

fn write_secret(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn point<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["points"]
        .as_array()
        .and_then(|points| points.iter().find(|point| point["point"] == name))
        .unwrap_or(&Value::Null)
}

fn refused(status: &Value, name: &str, kind: &str) -> u64 {
    point(status, name)["radio"]["refused"][kind].as_u64().unwrap_or(0)
}

fn readings(subscriber: &Subscriber, point: &str) -> Vec<Value> {
    subscriber.documents(&format!("/pub/{point}/reading"))
}

/// Each number that the meter's own simulator foretells, in any order.
fn says_what_was_sent(record: &Value, sender: &Sender) {
    let (_, expected) = sender.meter.meter.radio_records(STOPPED.start_unix_s);
    assert!(!expected.is_empty());
    let list = record["records"].as_array().unwrap();
    for register in expected {
        let found = list.iter().any(|reading| {
            let value = reading["value"].as_str().unwrap_or_default();
            plomb_system_tests::same_number(value, register.mantissa, register.exponent.into())
                && reading["storage"].as_u64() == Some(register.storage.into())
                && reading["tariff"].as_u64() == Some(register.tariff.into())
        });
        assert!(found, "{}: {register:?} is not in {record}", sender.point);
    }
}

/// What is honest arrives everywhere and is proved; what is not is counted, told, and never recorded. After a
/// kill an old telegram is still an old one.
#[test]
fn radio_meters_arrive_and_forgeries_do_not_also_after_a_kill() {
    let street = Street::new(NAMED);
    let site = &street.site;
    let hub = site.start_hub();
    let subscriber = site.subscribe();
    let gateway = site.start_gateway();
    let honest = street.of(|trick| trick == Trick::Honest);
    let (stolen, forged) =
        (street.only(|trick| trick == Trick::WrongKey), street.only(|trick| trick == Trick::WrongMac));
    let replayed = street.only(is_replayed);
    assert_eq!(honest.len(), 9);
    wait_for("two readings of each honest meter", || {
        let points = honest.iter().map(|sender| sender.point.as_str()).chain([replayed]);
        points.map(|point| readings(&subscriber, point).len()).all(|count| count >= 2)
    });
    street.replay();
    site.wait_status("each refusal", |status| {
        refused(status, stolen, "key wrong") > 1
            && refused(status, forged, "mac failed") > 1
            && refused(status, replayed, "counter repeated") > 0
    });

    let (place, counting, first) = street.counting();
    gateway.kill();
    street.set_counter(place, first - 500);
    let gateway = site.start_gateway();
    let status =
        site.wait_status("old telegrams to be refused", |status| refused(status, counting, "counter repeated") > 1);
    assert_eq!(point(&status, counting)["answered"], 0, "an old telegram was taken after the kill: {status}");
    assert_eq!(point(&status, replayed)["answered"], 0, "so was the one that is played back: {status}");
    street.set_counter(place, first + 10_000);
    site.wait_status("its next telegram", |status| point(status, counting)["answered"].as_u64() > Some(0));
    assert_eq!(gateway.stop(), 0, "{}", site.log("plombd.log"));

    let (report, code) = site.verify(&site.export(&[]));
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report}");
    let archive = site.archive();
    assert_eq!(archive.len() as u64, report["entries"].as_u64().unwrap(), "the archive has what the export has");
    for sender in &honest {
        for reading in readings(&subscriber, &sender.point) {
            says_what_was_sent(&reading, sender);
            assert!(archive.iter().any(|entry| entry["hash"] == reading["hash"]), "{}", sender.point);
        }
    }
    for point in [stolen, forged] {
        assert!(!archive.iter().any(|entry| entry["point"] == point && entry["kind"] == "record"), "{point}");
    }
    for (point, kind) in [(stolen, "key wrong"), (forged, "mac failed"), (replayed, "counter repeated")] {
        let told = archive.iter().map(Value::to_string);
        let mut told = told.filter(|entry| entry.contains("telegram-refused") && entry.contains(point));
        assert!(told.any(|entry| entry.contains(kind)), "no entry says that {point} was refused: {kind}");
    }
    drop(hub);
}

/// A scan goes through the daemon that holds the port: in the air beside its work, on a wire in a pause of it.
#[test]
fn a_scan_goes_through_the_running_daemon() {
    let street = Street::new("");
    let site = &street.site;
    let gateway = site.start_gateway();
    site.wait_status("all meters", |status| {
        WIRED.iter().all(|(name, _)| point(status, name)["answered"].as_u64() > Some(0))
            && street
                .of(|trick| trick == Trick::Honest)
                .iter()
                .all(|sender| point(status, &sender.point)["answered"].as_u64() > Some(0))
    });
    let answered = |name: &str| point(&site.status().unwrap(), name)["answered"].as_u64().unwrap();
    let scan = |arguments: &[&str]| {
        let config = site.gateway_config();
        let output = site.run("plomb", &[&["scan", "--json", "--config", &config], arguments].concat());
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (output.status.code(), lines)
    };
    let found = |lines: &[Value]| {
        let found = lines.iter().filter(|line| line["event"] == "found");
        let mut found: Vec<(String, String)> = found
            .map(|line| (line["point"].as_str().unwrap_or("-").into(), line["identity"].as_str().unwrap_or("-").into()))
            .collect();
        found.sort();
        found
    };

    let before = (answered("flat-1"), answered("air-1"));
    let (code, lines) = scan(&[&site.at("air"), "--wmbus", "--for", "3s"]);
    assert_eq!(code, Some(0), "{lines:?}");
    let mut expected: Vec<(String, String)> =
        street.senders.iter().map(|sender| (sender.point.clone(), sender.identity.clone())).collect();
    expected.sort();
    assert_eq!(found(&lines), expected);
    assert!(lines.iter().any(|line| line["event"] == "progress"), "{lines:?}");
    assert!(
        answered("flat-1") > before.0 && answered("air-1") > before.1,
        "polling stood still during a scan of the air"
    );

    let (code, lines) = scan(&[&site.at("bus")]);
    assert_eq!(code, Some(0), "{lines:?}");
    let points: Vec<String> = found(&lines).into_iter().map(|(point, _)| point).collect();
    assert_eq!(points, WIRED.map(|(point, _)| point), "{lines:?}");
    let before = answered("flat-1");
    site.wait_status("polling after the scan", |status| point(status, "flat-1")["answered"].as_u64() > Some(before));

    street
        .line
        .with_bus(|bus| WIRED.iter().for_each(|(_, address)| bus.slave_mut(*address).unwrap().faults.silent = true));
    let (code, lines) = scan(&[&site.at("bus")]);
    assert_eq!((code, &lines.last().unwrap()["end"]), (Some(4), &"nobody-answers".into()), "{lines:?}");
    assert_eq!(gateway.stop(), 0, "{}", site.log("plombd.log"));
    let (code, lines) = scan(&[&site.at("bus"), "--baud", "38400"]);
    assert_eq!(
        (code, &lines.last().unwrap()["end"]),
        (Some(4), &"nobody-answers".into()),
        "without a daemon: {lines:?}"
    );
}

/// Keys that others can read are none.
#[test]
fn a_key_file_that_others_can_read_stops_the_start() {
    let street = Street::new(NAMED);
    fs::set_permissions(street.site.path("meters.keys"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(street.site.start_gateway().end(), 78);
    let log = street.site.log("plombd.log");
    assert!(log.contains("meters.keys") && log.contains("chmod 600"), "{log}");
    assert!(!street.site.path("state/journal.redb").exists(), "nothing was begun");
}
