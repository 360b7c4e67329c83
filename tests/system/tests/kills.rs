//! `kill -9` of gateway and hub at random moments under traffic: every entry that was durable is in the
//! archive exactly once, in order, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{collections::BTreeSet, thread, time::Duration};

use plomb_seal::export::Item;
use plomb_sim::{
    live::{Kind, Meter},
    mbus::{Identity, Slave},
};
use plomb_system_tests::{Dice, Process, Site, campaign};

#[test]
fn killed_at_any_moment_nothing_durable_is_lost_or_doubled() {
    let rounds = if campaign() { 200 } else { 12 };
    let site = Site::new();
    let slaves = (1..=4).map(|address| {
        let identity = Identity { id: u32::from(address), manufacturer: 0x4182, version: 1, medium: 7 };
        Slave::live(address, Meter::new(Kind::Water, identity, u64::from(address)))
    });
    let line = site.line(slaves.collect());
    site.configure(&site.at("bus"), &[("a", 1), ("b", 2), ("c", 3), ("d", 4)], 0.4, "");
    let mut hub = Some(site.start_hub());
    let mut gateway = Some(site.start_gateway());
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut shown: BTreeSet<(u64, u64, String)> = BTreeSet::new();
    for round in 0..rounds {
        // How long they run is of no account to what must hold; it only makes the moments differ.
        thread::sleep(Duration::from_millis(150 + dice.below(900)));
        note_durable(&site, &mut shown);
        match dice.below(3) {
            0 => gateway.take().unwrap().kill(),
            1 => hub.take().unwrap().kill(),
            _ => {
                gateway.take().unwrap().kill();
                hub.take().unwrap().kill();
            }
        }
        if hub.is_none() {
            hub = Some(site.start_hub());
        }
        if gateway.is_none() {
            gateway = Some(site.start_gateway());
        }
        assert!(hub.as_mut().is_some_and(Process::is_running), "round {round}: {}", site.log("hub.log"));
    }
    site.wait_status("a connection after the last kill", |status| status["hub"]["connected"] == true);
    site.wait_status("receipts for what was anchored", |status| {
        status["journal"]["receipted"] == status["journal"]["anchored"]
    });
    assert_eq!(gateway.take().unwrap().stop(), 0, "{}", site.log("plombd.log"));

    let archive = site.archive();
    let (report, code) = site.verify(&site.export(&[]));
    assert_eq!((report["verdict"].as_str(), code), (Some("proved"), 0), "{report}");
    assert_eq!(report["entries"].as_u64(), Some(archive.len() as u64), "archive and journal have the same entries");
    let places: Vec<(u64, u64)> =
        archive.iter().map(|entry| (entry["epoch"].as_u64().unwrap(), entry["seq"].as_u64().unwrap())).collect();
    let expected: Vec<(u64, u64)> = (0..places.len() as u64).map(|seq| (0, seq)).collect();
    assert_eq!(places, expected, "each number once, in order, in one epoch");
    let archived: BTreeSet<(u64, u64, String)> = archive
        .iter()
        .map(|entry| {
            (entry["epoch"].as_u64().unwrap(), entry["seq"].as_u64().unwrap(), entry["hash"].as_str().unwrap().into())
        })
        .collect();
    assert!(shown.len() > 10, "the campaign saw no traffic");
    let lost: Vec<_> = shown.difference(&archived).collect();
    assert!(lost.is_empty(), "shown as durable and not in the archive: {lost:?}");
    println!("{rounds} rounds of kill -9, {} entries, {} seen as durable before a kill", archive.len(), shown.len());
    drop((hub, line));
}

/// What the gateway shows as durable just before it is killed.
fn note_durable(site: &Site, shown: &mut BTreeSet<(u64, u64, String)>) {
    let file = site.path("noted.plomb");
    let arguments = ["export", "--config", &site.gateway_config(), "--no-frames", "-o", &file.display().to_string()];
    if !site.run("plomb", &arguments).status.success() {
        return;
    }
    let bytes = std::fs::read(&file).unwrap();
    let mut from = plomb_seal::cbor::Decoder::new(&bytes);
    while !from.is_empty() {
        let (Item::Whole(_, entries) | Item::Tail(entries, _)) = Item::decode(&mut from).unwrap() else { continue };
        for bytes in entries {
            let entry = plomb_seal::Unverified::<plomb_seal::Entry>::parse(bytes).unwrap();
            shown.insert((entry.claims().epoch.into(), entry.claims().seq, entry.hash().to_string()));
        }
    }
}

/// The meter takes each invocation counter once: whenever plombd is killed, none is used a second time.
#[test]
fn killed_at_any_moment_no_invocation_counter_is_used_twice() {
    use plomb_sim::{
        Calendar,
        dlms::{Framing, Mechanism, MeterConfig, MeterServer},
    };
    use std::{fs, os::unix::fs::PermissionsExt};

    let rounds = if campaign() { 200 } else { 10 };
    let site = Site::new();
    let inside = site.runtime().enter();
    let calendar = Calendar { start_unix_s: 1_780_000_000, factor: 0 };
    let config = MeterConfig::new(9, calendar, Mechanism::Gmac, 0);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secrets = format!(
        "power encryption {}\npower authentication {}\n",
        hex(&config.keys.unicast),
        hex(&config.keys.authentication)
    );
    fs::write(site.path("secrets"), secrets).unwrap();
    fs::set_permissions(site.path("secrets"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut meter = MeterServer::new(config);
    let address = site.runtime().block_on(meter.serve_tcp("127.0.0.1:0", Framing::Wrapper)).unwrap();
    drop(inside);
    let more = format!(
        "[[bus]]\nname = \"grid\"\nprotocol = \"dlms\"\nport = \"tcp://{address}\"\n[[meter]]\npoint = \"power\"\n\
         bus = \"grid\"\nauthentication = \"hls-gmac\"\nregisters = [\"1-0:1.8.0\", \"1-0:2.8.0\"]\n\
         load_profile = \"1-0:99.1.0\"\nbacklog_days = 1\ninterval_s = 0.2\n"
    );
    site.configure(&site.at("bus"), &[], 1.0, &more);
    let text = fs::read_to_string(site.gateway_config()).unwrap();
    let secret = format!("meter_secrets = \"{}\"\n[hub]", site.at("secrets"));
    fs::write(site.gateway_config(), text.replacen("[hub]", &secret, 1)).unwrap();
    let _line = site.line(Vec::new());
    let _hub = site.start_hub();
    let mut dice = Dice(0x00D1_0005);
    let (mut counted, mut moved) = (0, 0);
    for round in 0..rounds {
        let gateway = site.start_gateway();
        // How long it runs is of no account to what must hold; it only makes the moments differ.
        thread::sleep(Duration::from_millis(200 + dice.below(600)));
        gateway.kill();
        let (refused, now) = meter.with_meter(|meter, _| (meter.counters_refused, meter.config.client_counter));
        assert_eq!(refused, 0, "round {round}: a counter was used twice; {}", site.log("plombd.log"));
        moved += usize::from(now > counted);
        counted = now;
    }
    assert!(moved > rounds / 2, "the campaign saw no traffic: {moved}; {}", site.log("plombd.log"));
}
