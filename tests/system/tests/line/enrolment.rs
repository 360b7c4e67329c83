//! A gateway's whole life with its hub, as real processes: taken on with a key of its own, renewed, given a new key.

use std::{fs, net::TcpListener, path::Path, process::Output};

use plomb_ledger::{
    block::Block,
    config::HubConfig,
    files,
    hub::{open_ledger, unix_ms},
    pki::{self, SubjectKey, Wish},
};
use plomb_seal::{
    Hash, Signed,
    transaction::{Certificate, Role},
};
use plomb_sim::live::Kind;
use plomb_system_tests::{GATEWAY, Site, wait_for};
use rcgen::Issuer;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;

use super::live;

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
    let config = fs::read_to_string(site.hub_config()).unwrap();
    let listen = https.replace("https://localhost", "127.0.0.1");
    fs::write(site.hub_config(), format!("{config}\n[http]\nlisten = \"{listen}\"\n")).unwrap();
    let hub = site.start_hub();
    let pin = site.good("plomb-hub", &["enrol", "pin", "--config", &site.hub_config()]);
    let dir = site.at("etc");
    let enrol =
        |more: &[&str]| site.run("plomb", &[&["enrol", "--json", "--dir", &dir, "--owner", "root"][..], more].concat());

    // Another hub than the pinned one is not even asked.
    let wrong = "00".repeat(32);
    let refused = enrol(&["--hub", &https, "--hub-pin", &wrong, "--id", "gw-7", "--no-wait"]);
    assert_eq!(refused.status.code(), Some(65), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("another key than the pin says"), "{refused:?}");
    fs::remove_file(site.path("etc/enrolment.json")).unwrap();

    let begun = enrol(&["--hub", &https, "--hub-pin", pin.trim(), "--id", "gw-7", "--no-wait"]);
    assert!(begun.status.success(), "{begun:?}");
    let claim = documents(&begun)[0]["label"].as_str().unwrap().to_owned();
    let approve = ["enrol", "approve", "gw-7", "--config", &site.hub_config(), "--claim", &claim];
    let approved = site.good("plomb-hub", &[&approve[..], &["--json"]].concat());
    let approved: Value = serde_json::from_str(&approved).unwrap();
    // Nobody says yes for the installer; and the words must be the hub's.
    let unasked = enrol(&[]);
    assert!(unasked.status.success() && !site.path("etc/client.crt").exists(), "{unasked:?}");
    let done = enrol(&["--accept", approved["phrase"].as_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
    let done = documents(&done).pop().unwrap();
    assert_eq!((&done["step"], &done["gateway"]), (&"enrolled".into(), &"gw-7".into()));
    let key = fs::read(site.path("etc/client.key")).unwrap();

    // plombd runs on it.
    let _line = site.line(vec![live(1, Kind::Heat)]);
    site.configure(&site.at("bus"), &[("flat-heat", 1)], 1.0, "");
    let text = fs::read_to_string(site.gateway_config()).unwrap();
    let text = text.replace(&site.at(GATEWAY), &dir).replace(&format!("id = \"{GATEWAY}\""), "id = \"gw-7\"");
    let text = text.replace("[journal]", &format!("https = \"{https}\"\n[journal]"));
    fs::write(site.gateway_config(), text).unwrap();
    let gateway = site.start_gateway();
    site.wait_status("receipts", |status| status["hub"]["receipts"].as_u64() > Some(1));
    assert_eq!(gateway.stop(), 0);

    // A new key by both keys' word; the journal goes on in a new epoch, and all of it is proved.
    proved(&site, 0);
    let rotated = enrol(&["--rotate-key", "--hub", &https, "--ca", &format!("{dir}/ca.crt")]);
    assert!(rotated.status.success(), "{rotated:?}");
    assert_ne!(fs::read(site.path("etc/client.key")).unwrap(), key);
    assert!(!site.path("etc/next").exists());
    let gateway = site.start_gateway();
    site.wait_status("receipts in the new epoch", |status| {
        status["journal"]["epoch"] == 1 && status["hub"]["receipts"].as_u64() > Some(1)
    });
    assert_eq!(gateway.stop(), 0);
    proved(&site, 1);
    drop(hub);
}

/// The whole journal proves itself, up to this epoch, by the policy that came with the enrolment.
fn proved(site: &Site, epoch: u64) {
    let export = site.export(&["--receipted"]);
    let policy = site.at("etc/policy.txt");
    let output = site.run("plomb", &["verify", "--json", "--policy", &policy, &export.display().to_string()]);
    let report = documents(&output).pop().unwrap();
    assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &"proved".into()), "{report:#}");
    let reached = site.run(
        "plomb",
        &["verify", "--json", "--policy", &policy, "--reaches", &format!("{epoch}:0"), &export.display().to_string()],
    );
    assert_eq!(reached.status.code(), Some(0), "it reaches epoch {epoch}: {reached:?}");
}

/// A certificate for the gateway's own key that ends in five of its thirty days.
fn ends_soon(site: &Site) -> Vec<u8> {
    let config = HubConfig::load(Path::new(&site.hub_config())).unwrap();
    let ledger = open_ledger(&config).unwrap();
    let authority = fs::read_to_string(config.file("ca.crt")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&authority, files::read_pair(&config.file("ca.key")).unwrap()).unwrap();
    let member = files::read_seed(&config.file("member.key")).unwrap();
    let pair = files::read_pair(&site.path("gw-2/client.key")).unwrap();
    let wish = Wish {
        origin: config.origin.clone(),
        subject: "gw-2".parse().unwrap(),
        role: Role::Gateway,
        scope: Vec::new(),
        points: Vec::new(),
        days: 30,
    };
    let begun_s = unix_ms() / 1000 - 25 * 86_400;
    let (issue, certificate) = pki::issue(&wish, &SubjectKey::Pair(&pair), &issuer, begun_s).unwrap();
    let x509 = issue.x509.clone();
    let transaction = Signed::sign(Certificate::Issue(Box::new(issue)), &member).into_bytes();
    let block = Block { height: ledger.height() + 1, time_ms: unix_ms(), transactions: vec![transaction] };
    ledger.deliver(&block, &[]).unwrap();
    fs::write(site.path("gw-2/client.crt"), format!("{}{authority}", certificate.pem())).unwrap();
    let credential = ledger.credential(&"gw-2".parse().unwrap()).unwrap().unwrap();
    fs::write(site.path("gw-2/credential.cbor"), credential.to_bytes()).unwrap();
    x509
}

/// plombd asks for its next certificate by itself, shows it from the next connection on, and loses nothing.
#[test]
fn a_certificate_that_ends_soon_is_renewed_by_the_daemon_itself() {
    let site = Site::new();
    let port = free_port();
    let config = fs::read_to_string(site.hub_config()).unwrap();
    fs::write(site.hub_config(), format!("{config}\n[http]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    // The name is certified twice for one key: now for two years, which is revoked, and as it was 25 days ago.
    site.certify("gateway", "gw-2", "gw-2");
    let first = CertificateDer::from_pem_file(site.path("gw-2/client.crt")).unwrap();
    let revoke = |certificate: &[u8]| {
        let fingerprint = Hash::of(certificate).to_string();
        let config = site.hub_config();
        let of = ["revoke", "--config", &config, "--fingerprint", &fingerprint, "--reason", "test"];
        site.good("plomb-hub", &of);
    };
    let old = ends_soon(&site);
    revoke(&first);
    let _hub = site.start_hub();
    let _line = site.line(vec![live(1, Kind::Heat)]);
    site.configure(&site.at("bus"), &[("flat-heat", 1)], 1.0, "");
    let text = fs::read_to_string(site.gateway_config()).unwrap();
    let text =
        text.replace(&site.at(GATEWAY), &site.at("gw-2")).replace(&format!("id = \"{GATEWAY}\""), "id = \"gw-2\"");
    let text = text.replace("[journal]", &format!("https = \"localhost:{port}\"\n[journal]"));
    fs::write(site.gateway_config(), text).unwrap();
    let gateway = site.start_gateway();
    wait_for("the renewed certificate", || site.path("state/identity/client.crt").exists());
    let renewed = CertificateDer::from_pem_file(site.path("state/identity/client.crt")).unwrap();
    assert_ne!(renewed.as_ref(), old.as_slice());
    // Without the old one the connection ends; the new one is shown at the next.
    let before = site.wait_status("receipts", |status| status["hub"]["receipts"].as_u64() > Some(0));
    revoke(&old);
    let after = site.wait_status("receipts under the new certificate", |status| {
        status["hub"]["connections"].as_u64() > before["hub"]["connections"].as_u64()
            && status["hub"]["connected"] == true
            && status["hub"]["receipts"].as_u64() > before["hub"]["receipts"].as_u64().map(|count| count + 2)
    });
    assert_eq!(after["journal"]["epoch"], before["journal"]["epoch"], "the same key, the same epoch");
    // What is exported now speaks of the new certificate, from the daemon and without it.
    for running in [Some(gateway), None] {
        let export = site.export(&["--receipted"]);
        let policy = site.at("gw-2/policy.txt");
        let output = site.run("plomb", &["verify", "--json", "--policy", &policy, &export.display().to_string()]);
        let report = documents(&output).pop().unwrap();
        assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &"proved".into()), "{report:#}");
        let bytes = fs::read(&export).unwrap();
        assert!(bytes.windows(renewed.len()).any(|part| part == renewed.as_ref()), "the renewed certificate is in it");
        assert_eq!(running.map_or(0, plomb_system_tests::Process::stop), 0);
    }
}
