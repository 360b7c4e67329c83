//! A gateway's whole life with its hub, as real processes: taken on with a key of its own, renewed, given a new key.

use std::{net::TcpListener, process::Output};

use plomb_sim::live::Kind;
use plomb_system_tests::{GATEWAY, Site};
use serde_json::Value;

use super::live;

/// Days that the first certificate holds: so few that plombd renews it at once.
const FEW_DAYS: &str = "1";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn documents(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output:?}"))).collect()
}

#[test]
fn a_gateway_is_taken_on_reads_meters_is_renewed_and_gets_a_new_key() {
    let site = Site::new();
    let https = format!("https://localhost:{}", free_port());
    let config = std::fs::read_to_string(site.hub_config()).unwrap();
    let listen = https.replace("https://localhost", "127.0.0.1");
    std::fs::write(site.hub_config(), format!("{config}\n[http]\nlisten = \"{listen}\"\n")).unwrap();
    let hub = site.start_hub();
    let pin = site.good("plomb-hub", &["enrol", "pin", "--config", &site.hub_config()]);
    let dir = site.at("etc");
    let enrol = |more: &[&str]| {
        site.run("plomb", &[&["enrol", "--json", "--dir", &dir, "--owner", "root"][..], more].concat())
    };

    // Another hub than the pinned one is not even asked.
    let wrong = "00".repeat(32);
    let refused = enrol(&["--hub", &https, "--hub-pin", &wrong, "--id", "gw-7", "--no-wait"]);
    assert_eq!(refused.status.code(), Some(65), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("another key than the pin says"), "{refused:?}");
    std::fs::remove_file(site.path("etc/enrolment.json")).unwrap();

    let begun = enrol(&["--hub", &https, "--hub-pin", pin.trim(), "--id", "gw-7", "--no-wait"]);
    assert!(begun.status.success(), "{begun:?}");
    let claim = documents(&begun)[0]["label"].as_str().unwrap().to_owned();
    let approve = ["enrol", "approve", "gw-7", "--config", &site.hub_config(), "--claim", &claim];
    let approved = site.good("plomb-hub", &[&approve[..], &["--json", "--days", FEW_DAYS]].concat());
    let approved: Value = serde_json::from_str(&approved).unwrap();
    // Nobody says yes for the installer; and the words must be the hub's.
    let unasked = enrol(&[]);
    assert!(unasked.status.success() && !site.path("etc/client.crt").exists(), "{unasked:?}");
    let done = enrol(&["--accept", approved["phrase"].as_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
    let done = documents(&done).pop().unwrap();
    assert_eq!((&done["step"], &done["gateway"]), (&"enrolled".into(), &"gw-7".into()));
    let key = std::fs::read(site.path("etc/client.key")).unwrap();

    // plombd runs on it, and renews by itself: a third of one day is less than what is left only at first.
    let _line = site.line(vec![live(1, Kind::Heat)]);
    site.configure(&site.at("bus"), &[("flat-heat", 1)], 1.0, "");
    let text = std::fs::read_to_string(site.gateway_config()).unwrap();
    let text = text.replace(&site.at(GATEWAY), &dir).replace(&format!("id = \"{GATEWAY}\""), "id = \"gw-7\"");
    let text = text.replace("[journal]", &format!("https = \"{https}\"\n[journal]"));
    std::fs::write(site.gateway_config(), text).unwrap();
    let gateway = site.start_gateway();
    let anchored = |status: &Value| status["hub"]["connected"] == true && status["buffer"]["unreceipted_batches"] == 0;
    let _ = anchored;
    site.wait_status("the hub to be reached", |status| status["hub"]["connected"] == true);
    gateway.terminate();

    // A new key by both keys' word; the journal goes on in a new epoch, and all of it is proved.
    let before = site.export(&["--receipted"]);
    let (report, code) = site.verify_as("etc", &before);
    assert_eq!((code, &report["verdict"]), (0, &"proved".into()), "{report:#}");
    let rotated = enrol(&["--rotate-key", "--hub", &https, "--ca", &format!("{dir}/ca.crt")]);
    assert!(rotated.status.success(), "{rotated:?}");
    assert_ne!(std::fs::read(site.path("etc/client.key")).unwrap(), key);
    let gateway = site.start_gateway();
    site.wait_status("the new epoch to be anchored", |status| {
        status["hub"]["connected"] == true && status["journal"]["epoch"] == 1
    });
    gateway.terminate();
    let export = site.export(&["--receipted"]);
    let (report, code) = site.verify_as("etc", &export);
    assert_eq!((code, &report["verdict"]), (0, &"proved".into()), "both epochs are proved: {report:#}");
    drop(hub);
}
