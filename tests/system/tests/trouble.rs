//! Bad input of the whole line: each trouble gives a clear error where its user looks, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use plomb_sim::{
    live::{Kind, Meter},
    mbus::{Faults, Identity, Slave},
};
use plomb_system_tests::{GATEWAY, Site, wait_for};

fn water(address: u8) -> Slave {
    let identity = Identity { id: u32::from(address), manufacturer: 0x4182, version: 1, medium: 7 };
    Slave::live(address, Meter::new(Kind::Water, identity, u64::from(address)))
}

fn faulty(address: u8, set: impl FnOnce(&mut Faults)) -> Slave {
    let mut slave = water(address);
    set(&mut slave.faults);
    slave
}

/// Each way in which a meter can fail is an entry with its own reason; the good meter is not held up.
#[test]
fn each_failure_of_a_meter_is_an_entry_with_its_reason() {
    let site = Site::new();
    let line = site.line(vec![
        water(1),
        faulty(2, |faults| faults.silent = true),
        faulty(3, |faults| faults.wrong_checksum = true),
        faulty(4, |faults| faults.half_frame = true),
        faulty(6, |faults| faults.busy = true),
        water(7),
        Slave::live(7, Meter::new(Kind::Gas, Identity { id: 0x99, manufacturer: 0x4183, version: 2, medium: 3 }, 5)),
    ]);
    line.with_bus(|bus| bus.echo = true);
    let points = [("good", 1), ("silent", 2), ("checksum", 3), ("half", 4), ("busy", 6), ("two", 7)];
    site.configure(&site.at("bus"), &points, 2.0, "");
    let hub = site.start_hub();
    let subscriber = site.subscribe();
    let gateway = site.start_gateway();
    let reason = |point: &str| {
        let events = subscriber.documents(&format!("/pub/{point}/event"));
        events.first().map(|event| event["reason"].as_str().unwrap().to_string())
    };
    wait_for("a reason for each", || {
        ["silent", "checksum", "half", "busy", "two"].iter().all(|point| reason(point).is_some())
    });
    wait_for("the good meter, twice", || subscriber.documents("/pub/good/reading").len() >= 2);
    assert_eq!(reason("silent").as_deref(), Some("timeout"));
    assert_eq!(reason("checksum").as_deref(), Some("checksum"));
    assert_eq!(reason("half").as_deref(), Some("malformed"));
    assert_eq!(reason("busy").as_deref(), Some("refused"));
    assert!(matches!(reason("two").as_deref(), Some("collision" | "checksum" | "malformed")), "{:?}", reason("two"));
    let status = site.wait_status("the verdict", |status| status["verdict"] == "degraded");
    assert!(status["troubles"][0].as_str().unwrap().contains("silent"), "{status}");
    assert_eq!(gateway.stop(), 0);
    drop((hub, line));
}

/// An adapter that is pulled out and put back; a hub that is away and comes back. Nothing is lost.
#[test]
fn an_unplugged_adapter_and_an_absent_hub_are_survived() {
    let site = Site::new();
    let mut line = site.line(vec![water(1)]);
    site.configure(&site.at("bus"), &[("flat", 1)], 0.5, "");
    let hub = site.start_hub();
    let gateway = site.start_gateway();
    site.wait_status("a first receipt", |status| status["hub"]["receipts"].as_u64() > Some(0));
    hub.kill();
    site.runtime().block_on(line.unplug());
    let status = site.wait_status("both troubles in the status", |status| {
        let troubles = status["troubles"].to_string();
        troubles.contains("hub not connected") && troubles.contains("bus cellar")
    });
    assert!(status["troubles"].to_string().contains("adapter"), "{status}");
    let inside = site.runtime().enter();
    line.replug().unwrap();
    drop(inside);
    let answered = status["points"][0]["answered"].as_u64().unwrap();
    site.wait_status("readings again", |status| status["points"][0]["answered"].as_u64() > Some(answered + 2));
    let hub = site.start_hub();
    site.wait_status("all that was anchored has its receipt", |status| {
        status["hub"]["connected"] == true && status["journal"]["receipted"] == status["journal"]["anchored"]
    });
    assert_eq!(gateway.stop(), 0, "{}", site.log("plombd.log"));
    let (report, code) = site.verify(&site.export(&[]));
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report}");
    assert_eq!(report["entries"].as_u64(), Some(site.archive().len() as u64));
    drop(hub);
}

/// A card put back to an older state is noticed, entered as evidence, and begins a new epoch.
#[test]
fn a_restored_card_is_noticed_and_entered() {
    let site = Site::new();
    let line = site.line(vec![water(1)]);
    site.configure(&site.at("bus"), &[("flat", 1)], 0.5, "");
    let hub = site.start_hub();
    let gateway = site.start_gateway();
    site.wait_status("a first receipt", |status| status["hub"]["receipts"].as_u64() > Some(0));
    assert_eq!(gateway.stop(), 0);
    let (journal, card) = (site.path("state/journal.redb"), site.path("card.redb"));
    fs::copy(&journal, &card).unwrap();
    let gateway = site.start_gateway();
    site.wait_status("more receipts", |status| status["hub"]["receipts"].as_u64() > Some(1));
    assert_eq!(gateway.stop(), 0);
    fs::copy(&card, &journal).unwrap();
    let gateway = site.start_gateway();
    site.wait_status("a receipt in the new epoch", |status| {
        status["journal"]["epoch"] == 1 && status["journal"]["receipted"].as_u64() > Some(0)
    });
    assert_eq!(gateway.stop(), 0);
    assert!(site.log("plombd.log").contains("older than the ledger's last anchor"));
    // Whoever comes later sees it too.
    let gateway = site.start_gateway();
    site.wait_status("the trouble after a restart", |status| {
        status["verdict"] == "degraded" && status["troubles"].to_string().contains("rollback noticed at ")
    });
    assert_eq!(gateway.stop(), 0);
    let archive = site.archive();
    let noticed = archive.iter().find(|entry| entry["epoch"] == 1 && entry["seq"] == 0).unwrap();
    assert!(noticed.to_string().contains("rollback-noticed"), "{noticed}");
    let (report, code) = site.verify(&site.export(&[]));
    assert_eq!(
        (report["verdict"].as_str(), code),
        (Some("incomplete"), 3),
        "the card lost entries, and that shows: {report}"
    );
    assert!(report["gaps"].as_u64() > Some(0));
    drop((hub, line));
}

/// Many meters on a port that is not there, read as often as can be: the trouble is entered, not again and again,
/// and yet every due reading is accounted for.
#[test]
fn a_port_that_is_gone_does_not_flood_the_journal() {
    let site = Site::new();
    let names: Vec<String> = (1..=100).map(|number| format!("flat-{number}")).collect();
    let points: Vec<(&str, u8)> = names.iter().map(String::as_str).zip(1..).collect();
    site.configure("/nowhere/tty", &points, 0.2, "");
    let gateway = site.start_gateway();
    let missed = |status: &serde_json::Value| -> u64 {
        status["points"].as_array().into_iter().flatten().filter_map(|point| point["absent"].as_u64()).sum()
    };
    site.wait_status("many due readings", |status| missed(status) > 2000);
    assert_eq!(gateway.stop(), 0);
    let (report, code) = site.verify(&site.export(&[]));
    assert_eq!(code, 3, "there was no hub: {report}");
    let absences = report["absent"].as_u64().unwrap();
    // One of each point at once, and one at the stop. A machine that is held up for a minute may add some.
    assert!((200..=400).contains(&absences), "{absences} entries: {report}");
}

/// Somebody reads the journal's file while plombd starts, as `plomb status` does when no daemon answers:
/// plombd waits for it.
#[test]
fn a_start_waits_for_a_reader_of_the_journal() {
    let site = Site::new();
    site.configure("/nowhere/tty", &[("flat", 1)], 1.0, "");
    let gateway = site.start_gateway();
    site.wait_status("a first entry", |status| status["journal"]["entries"].as_u64() > Some(0));
    assert_eq!(gateway.stop(), 0);
    let reader = fs::File::open(site.path("state/journal.redb")).unwrap();
    reader.lock_shared().unwrap();
    let mut gateway = site.start_gateway();
    // What it says of the lock is the sign that it has tried.
    wait_for("plombd to wait", || site.log("plombd.log").contains("waiting for whoever reads"));
    assert!(gateway.is_running());
    drop(reader);
    site.wait_status("plombd to run", |status| status["verdict"] != "down" && status["schema"] == "plomb.status/1");
    assert_eq!(gateway.stop(), 0);
}

/// A meter that is not there, read every quarter of an hour: the installer sees it at once, in the status and in
/// the log. What makes no sense is refused by the running daemon too.
#[test]
fn a_meter_that_never_answered_is_told_at_once_and_so_is_a_typo() {
    let site = Site::new();
    let line = site.line(vec![water(1), faulty(2, |faults| faults.silent = true)]);
    site.configure(&site.at("bus"), &[("good", 1), ("dead", 2)], 900.0, "");
    let gateway = site.start_gateway();
    let status = site.wait_status("the trouble", |status| status["points"][0]["failures_in_a_row"] == 1);
    assert_eq!((&status["verdict"], &status["points"][1]["answered"]), (&"degraded".into(), &1.into()), "{status}");
    assert!(status["troubles"].to_string().contains("1 meter silent since the start"), "{status}");
    assert!(status["points"][0]["asked_again"].is_string(), "{status}");
    assert!(site.log("plombd.log").contains("the meter is silent: timeout: "), "{}", site.log("plombd.log"));

    let config = site.gateway_config();
    let out = site.at("out.plomb");
    for (arguments, code) in [
        (["export", "-o", &out, "--point", "nope"].as_slice(), 64),
        (&["export", "-o", &out, "--since", "2100-01-01"], 69),
        (&["tail", "--point", "nope"], 64),
        (&["read", "--point", "nope"], 64),
        (&["read", "--point", "dead"], 69),
    ] {
        let output = site.run("plomb", &[arguments, &["--config", &config]].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    }
    line.with_bus(|bus| bus.slave_mut(2).unwrap().faults.silent = false);
    site.good("plomb", &["read", "--point", "dead", "--config", &config]);
    let log = site.log("plombd.log");
    assert!(log.contains("the meter answers again"), "{log}");
    assert_eq!(log.matches("the meter is silent").count(), 1, "{log}");
    assert_eq!(gateway.stop(), 0);
}

/// A configuration with a typo, a key that others can read, a port that is not there, a wrong credential.
#[test]
fn wrong_files_are_named_with_what_would_be_right() {
    let site = Site::new();
    site.configure("/nowhere/tty", &[("flat", 1)], 1.0, "");
    let good = fs::read_to_string(site.gateway_config()).unwrap();
    let ends_with = |code: i32, what: &str| {
        fs::remove_file(site.path("plombd.log")).ok();
        assert_eq!(site.start_gateway().end(), code, "{}", site.log("plombd.log"));
        let log = site.log("plombd.log");
        assert!(log.contains(what), "{log}");
    };
    fs::write(site.gateway_config(), good.replace("window_s", "windows")).unwrap();
    ends_with(78, "plombd.toml:11:1: unknown key `windows` in [journal]; did you mean `window_s`?");
    fs::write(site.gateway_config(), good.replace("baud = 38400", "baud = \"fast\"")).unwrap();
    ends_with(78, "plombd.toml:19:8");
    fs::write(site.gateway_config(), good.replace("id = \"gw-1\"", "id = \"gw-2\"")).unwrap();
    ends_with(78, "it is for gateway gw-1");
    fs::write(site.gateway_config(), &good).unwrap();
    use std::os::unix::fs::PermissionsExt;
    let key = site.path(GATEWAY).join("client.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    ends_with(78, "chmod 600");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    // A new key goes on in the same journal, in an epoch of its own.
    let gateway = site.start_gateway();
    site.wait_status("a first entry", |status| status["journal"]["entries"].as_u64() > Some(0));
    assert_eq!(gateway.stop(), 0);
    let (hub, renewed) = (site.hub_config(), site.at("renewed"));
    let new_key = ["certify", "--config", &hub, "--role", "gateway", "--id", GATEWAY, "--out", &renewed, "--new-key"];
    site.good("plomb-hub", &new_key);
    fs::write(site.gateway_config(), good.replace(&site.at(GATEWAY), &renewed)).unwrap();

    let hub = site.start_hub();
    let gateway = site.start_gateway();
    let status =
        site.wait_status("the port's trouble", |status| status["troubles"].to_string().contains("adapter plugged in"));
    assert_eq!(status["verdict"], "degraded");
    site.wait_status("receipts under the new key", |status| {
        status["journal"]["epoch"] == 1 && status["journal"]["receipted"].as_u64() > Some(0)
    });
    assert_eq!(gateway.stop(), 0);
    drop(hub);
}

/// A gateway whose certificate is revoked is cut off and told; what it signed before stays proved.
#[test]
fn a_revoked_gateway_is_cut_off_and_keeps_its_past() {
    let site = Site::new();
    let line = site.line(vec![water(1)]);
    site.configure(&site.at("bus"), &[("flat", 1)], 0.5, "");
    let hub = site.start_hub();
    let gateway = site.start_gateway();
    site.wait_status("a receipt", |status| status["hub"]["receipts"].as_u64() > Some(0));
    site.good("plomb-hub", &["revoke", "--config", &site.hub_config(), "--id", GATEWAY, "--reason", "box stolen"]);
    site.wait_status("the link to be cut", |status| status["troubles"].to_string().contains("hub not connected"));
    let known = site.archive().len();
    assert!(known > 0);
    assert_eq!(gateway.stop(), 0);
    let (report, code) = site.verify(&site.export(&["--receipted"]));
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report}");
    assert_eq!(site.archive().len(), known, "nothing came after the revocation");
    drop((hub, line));
}

/// A gateway is certified anew, with another key, and another meter stands at its point by then: one chain, proved
/// under both keys, with an event for each change.
#[test]
fn a_new_key_and_a_new_meter_go_on_in_one_chain() {
    let site = Site::new();
    let line = site.line(vec![water(1)]);
    site.configure(&site.at("bus"), &[("flat", 1)], 0.5, "");
    let hub = site.start_hub();
    let gateway = site.start_gateway();
    site.wait_status("two receipts", |status| status["hub"]["receipts"].as_u64() > Some(1));
    assert_eq!(gateway.stop(), 0);

    let (config, renewed) = (site.hub_config(), site.at("renewed"));
    let new_key =
        ["certify", "--config", &config, "--role", "gateway", "--id", GATEWAY, "--out", &renewed, "--new-key"];
    site.good("plomb-hub", &new_key);
    let configured = fs::read_to_string(site.gateway_config()).unwrap();
    fs::write(site.gateway_config(), configured.replace(&site.at(GATEWAY), &renewed)).unwrap();
    line.with_bus(|bus| {
        let identity = Identity { id: 0x4711, manufacturer: 0x4182, version: 1, medium: 7 };
        *bus.slave_mut(1).unwrap() = Slave::live(1, Meter::new(Kind::Water, identity, 9));
    });
    let gateway = site.start_gateway();
    site.wait_status("readings and a receipt under the new key", |status| {
        let journal = &status["journal"];
        journal["epoch"] == 1
            && journal["receipted"].as_u64() > Some(0)
            && status["points"][0]["answered"].as_u64() > Some(1)
    });
    assert_eq!(gateway.stop(), 0, "{}", site.log("plombd.log"));
    assert!(!site.log("plombd.log").contains("older than the ledger"), "{}", site.log("plombd.log"));
    let (report, code) = site.verify(&site.export(&[]));
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report}");
    assert_eq!((&report["gaps"], report["runs"].as_array().map(Vec::len)), (&0.into(), Some(2)), "{report}");
    let archive = site.archive();
    let event = |name: &str| {
        let found: Vec<_> = archive.iter().filter(|entry| entry["event"] == name).collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found[0].clone()
    };
    assert_eq!((event("key-changed")["epoch"].as_u64(), event("key-changed")["seq"].as_u64()), (Some(1), Some(0)));
    let details = event("meter-exchanged")["details"].to_string();
    assert!(details.contains("00004711") && details.contains("00000001"), "{details}");
    assert!(details.contains("\"last 8-0:1.0.0*255\"") && details.contains("\"first 8-0:1.0.0*255\""), "{details}");
    drop((hub, line));
}
