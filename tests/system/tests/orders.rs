//! Orders of the ledger, end to end: a configuration that is applied while everything else runs on, one that is taken
//! back, a command, a restart.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use plomb_seal::{
    Hash, KeyId, Signed, SigningKey, Statement, Unverified,
    sealed::Sealing,
    transaction::{Command, Config, Priority, SealingKey},
};
use plomb_sim::{
    Bus, Calendar, LineSpeed, PtyLine,
    live::{Kind, Meter},
    mbus::{Identity, Slave},
};
use plomb_system_tests::{GATEWAY, ORIGIN, Site};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::Value;

fn slave(address: u8) -> Slave {
    let identity = Identity { id: u32::from(address), manufacturer: 0x4182, version: 1, medium: 7 };
    Slave::live(address, Meter::new(Kind::Water, identity, u64::from(address)))
}

/// The key in a folder that `plomb-hub certify` made: PKCS#8, whose seed stands behind 16 bytes of header.
fn key(site: &Site, who: &str) -> SigningKey {
    let pem = fs::read(site.path(who).join("client.key")).unwrap();
    let der = PrivateKeyDer::from_pem_slice(&pem).unwrap();
    SigningKey::from_seed(der.secret_der()[16..48].try_into().unwrap())
}

fn history(site: &Site, kind: &str) -> Vec<Value> {
    let text = site.good("plomb-hub", &["ledger", "history", "--config", &site.hub_config(), "--kind", kind, "--json"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sealing_key(site: &Site) -> [u8; 32] {
    let index = history(site, "sealing-key").last().unwrap()["index"].to_string();
    let file = site.at("sealing.cose");
    site.good("plomb-hub", &["ledger", "show", "--config", &site.hub_config(), &index, "--bytes", &file]);
    let bytes = fs::read(file).unwrap();
    let key = key(site, GATEWAY).public();
    Unverified::<SealingKey>::parse(&bytes).unwrap().verify(&key).unwrap().statement().key
}

fn submit<T: Statement>(site: &Site, statement: T, author: &SigningKey) {
    let file = site.path("order.cose");
    fs::write(&file, Signed::sign(statement, author).into_bytes()).unwrap();
    site.good("plomb-hub", &["submit", "--config", &site.hub_config(), &file.display().to_string()]);
}

fn propose(site: &Site, base: u64, text: &str) {
    let author = key(site, "alice");
    let bare = Config {
        origin: ORIGIN.into(),
        gateway: GATEWAY.parse().unwrap(),
        base,
        priority: Priority::Immediate,
        window: None,
        commitment: Hash::ZERO,
        recipient: KeyId([0; 8]),
        sealed: Vec::new(),
        reason: "a test".into(),
    };
    let recipient = sealing_key(site);
    let seed = Hash::of(text.as_bytes()).0;
    let sealing = Sealing { recipient: &recipient, salt: &[base as u8; 32], seed: &seed };
    submit(site, bare.seal(author.public().id(), &sealing, text.as_bytes()).unwrap(), &author);
}

fn command(site: &Site, counter: u64, point: &str, verb: &str) {
    let author = key(site, "bob");
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let bare = Command {
        origin: ORIGIN.into(),
        gateway: GATEWAY.parse().unwrap(),
        point: point.parse().unwrap(),
        verb: verb.parse().unwrap(),
        counter,
        expires_ms: now_ms + 600_000,
        needs: 1,
        commitment: Hash::ZERO,
        recipient: KeyId([0; 8]),
        sealed: Vec::new(),
        reason: "a test".into(),
    };
    let recipient = sealing_key(site);
    let seed = [counter as u8 | 0x40; 32];
    let sealing = Sealing { recipient: &recipient, salt: &[counter as u8; 32], seed: &seed };
    submit(site, bare.seal(author.public().id(), &sealing, b"").unwrap(), &author);
}

fn in_force(status: &Value, version: u64) -> bool {
    status["orders"]["in_force"]["version"] == version && status["orders"]["unanswered"] == 0
}

fn answered(status: &Value, point: &str) -> u64 {
    let points = status["points"].as_array().cloned().unwrap_or_default();
    points.iter().find(|found| found["point"] == point).map_or(0, |found| found["answered"].as_u64().unwrap())
}

#[test]
fn orders_of_the_ledger_are_followed_while_everything_else_runs_on() {
    let site = Site::new();
    site.certify("admin", "alice", "alice");
    site.certify("operator", "bob", "bob");
    let _cellar = site.line(vec![slave(1)]);
    let _attic = {
        let mut bus = Bus::new(LineSpeed(38_400), Calendar { start_unix_s: 1_780_000_000, factor: 0 });
        bus.fit(slave(2));
        let _inside = site.runtime().enter();
        PtyLine::open(Some(&site.path("bus-2")), bus).unwrap()
    };
    let attic = |interval_s: f64| {
        format!(
            "[clock]\nsynced_file = \"{}\"\n[orders]\nconfirm_s = 5\n[[bus]]\nname = \"attic\"\nprotocol = \"mbus\"\n\
             port = \"{}\"\nbaud = 38400\n[[meter]]\npoint = \"b\"\nbus = \"attic\"\naddress = 2\n\
             interval_s = {interval_s}\n",
            site.gateway_config(),
            site.at("bus-2")
        )
    };
    let text = |interval_s: f64| {
        site.configure(&site.at("bus"), &[("a", 1)], 0.5, &attic(interval_s));
        fs::read_to_string(site.path("plombd.toml")).unwrap()
    };
    let (first, founding) = (text(0.6), text(0.5));
    let hub = site.start_hub();
    let gateway = site.start_gateway();
    let before = site.wait_status("a sealing key on the ledger, and readings", |status| {
        let announced = status["orders"]["sealing_key"].as_str().is_some_and(|key| key.ends_with(", on the ledger"));
        announced && answered(status, "a") > 0 && answered(status, "b") > 0
    });

    propose(&site, 0, &first);
    let after = site.wait_status("the configuration in force", |status| in_force(status, 1));
    assert!(answered(&after, "a") >= answered(&before, "a"), "the other line was not begun anew: {after:#}");
    assert_eq!(after["hub"]["connections"], before["hub"]["connections"], "nor was the connection");
    assert_eq!(after["orders"]["in_force"]["author"], "alice");
    assert_eq!(fs::read_to_string(site.path("state/orders/applied.toml")).unwrap(), first);
    let points = after["points"].as_array().unwrap();
    assert!(points.iter().any(|point| point["point"] == "b" && point["interval_s"] == 0.6), "{points:?}");

    // One that leads nowhere: nothing listens there.
    let lost = first.replace(&format!("127.0.0.1:{}", site.port), "127.0.0.1:1");
    propose(&site, 1, &lost);
    let back = site.wait_status("the one before in force again", |status| {
        status["hub"]["connected"] == true && in_force(status, 1) && history(&site, "outcome").len() == 2
    });
    assert_eq!(back["orders"]["on_trial"], Value::Null);
    let outcomes = history(&site, "outcome");
    let told = |n: usize| outcomes[n].to_string();
    assert!(told(0).contains("applied"), "{}", told(0));
    assert!(told(1).contains("rolled-back") && told(1).contains("confirm-no-hub"), "{}", told(1));

    // One that means nothing.
    propose(&site, 2, &first.replace("interval_s = 0.6", "interval_s = \"often\""));
    site.wait_status("a refusal", |_| history(&site, "outcome").len() == 3);
    let refused = history(&site, "outcome")[2].to_string();
    assert!(refused.contains("config-syntax"), "{refused}");

    command(&site, 1, "b", "read");
    site.wait_status("a command's end", |status| {
        let last = &status["orders"]["last_command"];
        last["outcome"].as_str().is_some_and(|outcome| outcome.starts_with("applied")) && in_force(status, 1)
    });
    command(&site, 2, "b", "explode");
    site.wait_status("another's", |_| history(&site, "outcome").len() == 5);
    assert!(history(&site, "outcome")[4].to_string().contains("command-unknown-verb"));

    // An edit by hand is noticed at the next start, and has no effect.
    gateway.kill();
    fs::write(site.path("plombd.toml"), founding + "# by hand\n").unwrap();
    let gateway = site.start_gateway();
    let edited = site.wait_status("the edit in the status", |status| {
        status["orders"]["edits"].as_array().is_some_and(|edits| edits.len() == 1) && answered(status, "b") > 0
    });
    assert_eq!((&edited["orders"]["in_force"]["version"], &edited["verdict"]), (&1.into(), &"degraded".into()));
    assert!(site.good_or_bad_status().contains("was edited by hand"));
    assert_eq!(gateway.stop(), 0, "{}", site.log("plombd.log"));
    let entries: Vec<String> = site.archive().iter().map(Value::to_string).collect();
    for name in ["configuration", "command-begun", "command", "configuration-edited"] {
        assert!(entries.iter().any(|entry| entry.contains(&format!("\"{name}\""))), "{name}: {entries:#?}");
    }
    assert_eq!(hub.stop(), 0, "{}", site.log("hub.log"));
}
