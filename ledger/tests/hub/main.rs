//! The real `plomb-hub` process, and a gateway by hand over mutual TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
mod enrolment;
mod operating;
mod orders;
mod parties;
mod register;
mod site;
mod web;

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use common::{Gateway, name, seed_of};
use plomb_ledger::{
    block::Block,
    config::HubConfig,
    hub::{open_ledger, unix_ms},
    ledger::Ledger,
};
use plomb_seal::{
    Batch, Credential, Hash, Receipt,
    export::Scope,
    topic,
    verify::{Expect, Trust, Verdict, verify},
};
use rcgen::KeyPair;
use rumqttc::{ConnectReturnCode, ConnectionError, Event, Packet};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;
use site::{PATIENCE, Running, Site, absent, hub, listen};

#[tokio::test(flavor = "multi_thread")]
async fn batches_become_receipts_and_duplicates_forks_and_strangers_do_not_count() {
    let site = Site::new();
    let mut first = site.gateway("gw-1");
    let (running, at) = site.start();
    // The second is certified while the hub runs.
    let mut second = site.gateway("gw-2");
    let policy = site.policy();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;

    // Several at once, in order; then one again, an old one again.
    let mut fork = first.clone();
    let batches: Vec<Batch> = (0..5).map(|n| first.batch(n + 1)).collect();
    for batch in &batches {
        peer.send("gw-1", batch.to_bytes()).await;
    }
    for batch in &batches {
        let (receipt, _) = peer.receipt("gw-1").await;
        assert!(receipt.verify(batch.anchor(), &policy).unwrap().is_some());
    }
    peer.send("gw-1", batches[4].to_bytes()).await;
    assert_eq!(peer.receipt("gw-1").await.0.anchor, batches[4].anchor().bytes());
    peer.send("gw-1", batches[1].to_bytes()).await;
    assert_eq!(peer.receipt("gw-1").await.0.anchor, batches[1].anchor().bytes());

    // A fork, a torn batch, another gateway's batch, and noise: each refused by its rule.
    peer.send("gw-1", fork.batch(7).to_bytes()).await;
    let refusal = peer.refusal("gw-1").await;
    assert_eq!((refusal.rule.as_str(), refusal.batch), ("anchor-no-fork", 0));
    let mut bent = first.clone().batch(2).to_bytes();
    let at_entry = bent.len() - 100;
    bent[at_entry] ^= 1;
    peer.send("gw-1", bent).await;
    assert_eq!(peer.refusal("gw-1").await.rule, "batch-verifies");
    peer.send("gw-1", second.batch(1).to_bytes()).await;
    assert_eq!(peer.refusal("gw-1").await.rule, "batch-gateway");
    peer.send("gw-1", b"noise".to_vec()).await;
    assert_eq!(peer.refusal("gw-1").await.rule, "batch-verifies");
    // And the chain goes on.
    let next = first.batch(1);
    peer.send("gw-1", next.to_bytes()).await;
    assert_eq!(peer.receipt("gw-1").await.0.anchor, next.anchor().bytes());

    let status = site.json(&["status", "--json"]);
    assert_eq!(status["batches"]["admitted"], 6);
    assert_eq!(status["batches"]["known"], 2);
    assert_eq!(status["batches"]["refused"]["batch-verifies"], 2);
    archive_holds(&site, 16);
    assert_eq!(running.terminate(), 0);
    // The same without a hub.
    archive_holds(&site, 16);
}

/// The archive has each entry once, in order, and its export proves itself.
fn archive_holds(site: &Site, entries: u64) {
    let out = site.ask(&["archive", "entries", "--gateway", "gw-1"]);
    let lines: Vec<Value> =
        String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (0..entries).collect::<Vec<_>>());
    for line in &lines {
        assert_eq!((&line["schema"], &line["event"]), (&"plomb.event/1".into(), &"test".into()), "{line}");
        assert_eq!((&line["clock"], &line["time"]), (&"synced".into(), &"2027-01-15T08:00:00.000Z".into()), "{line}");
    }
    let file = site.path("export.plomb");
    let out = site.ask(&["archive", "export", "--gateway", "gw-1", "-o", file.to_str().unwrap()]);
    assert!(out.status.success(), "{out:?}");
    let report = verify(&std::fs::read(&file).unwrap(), Trust::Own(&site.policy()), Expect::default());
    assert_eq!((report.verdict, report.entries), (Verdict::Proved, entries), "{report:?}");
    assert_eq!(report.scope, Some(Scope::All));
    let out = site.ask(&["archive", "list", "--json"]);
    assert_eq!(String::from_utf8(out.stdout).unwrap().lines().count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_receipt_and_checkpoint_are_published_anew_and_the_chain_goes_on() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let policy = site.policy();
    let mut last: Option<(Batch, Receipt)> = None;
    for round in 0..4 {
        let (running, at) = site.start();
        let mut peer = listen(&site, "gw-1", "gw-1", at).await;
        if let Some((batch, receipt)) = &last {
            let (again, _) = peer.receipt("gw-1").await;
            assert_eq!(again, *receipt, "the same receipt, byte for byte");
            again.verify(batch.anchor(), &policy).unwrap();
        }
        peer.subscribe(topic::CHECKPOINT).await;
        let note = String::from_utf8(peer.on(topic::CHECKPOINT).await.payload.to_vec()).unwrap();
        let trusted = policy.check(&note).unwrap();
        assert_eq!(trusted.checkpoint.size, 2 + round);
        gateway.place.checkpoint = Some(note);
        let batch = gateway.batch(2);
        peer.send("gw-1", batch.to_bytes()).await;
        let (receipt, _) = peer.receipt("gw-1").await;
        receipt.verify(batch.anchor(), &policy).unwrap();
        last = Some((batch, receipt));
        // Dropping the hub kills it without a word.
        drop(running);
    }
}

/// The hub is killed in the middle of traffic, each time a little later; the gateway sends again what has
/// no receipt. In the end every batch has one, and the archive has each entry once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn killed_under_traffic_the_archive_has_everything_once() {
    const KILLS: usize = 8;
    const BATCHES: usize = 40;
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let policy = site.policy();
    let batches: Vec<Batch> = (0..BATCHES).map(|n| gateway.batch(n % 3 + 1)).collect();
    let mut receipted = std::collections::BTreeSet::new();
    for round in 0..=KILLS {
        let (running, at) = site.start();
        let mut peer = listen(&site, "gw-1", "gw-1", at).await;
        let open: Vec<&Batch> = batches.iter().filter(|batch| !receipted.contains(&batch.anchor().hash().0)).collect();
        for batch in &open {
            peer.send("gw-1", batch.to_bytes()).await;
        }
        // At the last round all; before, a few more each time.
        let wanted = if round == KILLS { BATCHES } else { (receipted.len() + round).min(BATCHES - 1) };
        while receipted.len() < wanted {
            let (receipt, _) = peer.receipt("gw-1").await;
            let batch = batches.iter().find(|batch| batch.anchor().bytes() == receipt.anchor).unwrap();
            receipt.verify(batch.anchor(), &policy).unwrap();
            receipted.insert(batch.anchor().hash().0);
        }
        drop(running);
    }
    let out = site.ask(&["archive", "entries", "--gateway", "gw-1"]);
    let seqs: Vec<u64> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (0..gateway.chain.next_seq()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retained_receipt_never_goes_back() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let (_running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    let (old, new) = (gateway.batch(1), gateway.batch(1));
    for batch in [&old, &new, &old] {
        peer.send("gw-1", batch.to_bytes()).await;
        assert_eq!(peer.receipt("gw-1").await.0.anchor, batch.anchor().bytes());
    }
    let mut late = listen(&site, "gw-1", "gw-1-late", at).await;
    let (receipt, retained) = late.receipt("gw-1").await;
    assert!(retained);
    assert_eq!(receipt.anchor, new.anchor().bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_gateway_is_cut_off_and_stays_out() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let (_running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    let batch = gateway.batch(1);
    peer.send("gw-1", batch.to_bytes()).await;
    peer.receipt("gw-1").await;
    let revoked = site.json(&["revoke", "--id", "gw-1", "--reason", "stolen", "--json"]);
    assert_eq!(revoked["revoked"][0], gateway.fingerprint.to_string());
    peer.is_cut_off().await;
    let mut again = listen(&site, "gw-1", "gw-1", at).await;
    let told = again.is_cut_off().await;
    assert!(
        matches!(told, ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized)),
        "it is told that it is not wanted: {told:?}"
    );
    let text = String::from_utf8(site.ask(&["status"]).stdout).unwrap();
    let line = text.lines().find(|line| line.contains("gw-1")).unwrap();
    assert!(line.contains("REVOKED: stolen"), "{text}");
    let out = site.ask(&["revoke", "--id", "gw-1", "--reason", "again"]);
    assert_eq!(out.status.code(), Some(65));
    let certificates = site.json(&["status", "--certificates", "--json"]);
    assert_eq!(certificates["certificates"][0]["revoked"]["reason"], "stolen");
    assert_ne!(gateway.fingerprint, Hash::ZERO);
}

#[test]
fn wrong_usage_and_wrong_files_have_their_exit_codes() {
    let site = Site::new();
    let code = |args: &[&str]| hub().args(args).output().unwrap().status.code().unwrap();
    assert_eq!(code(&["--help"]), 0);
    for sub in ["init", "certify", "revoke", "status", "archive"] {
        let out = hub().args([sub, "--help"]).output().unwrap();
        assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("Examples"), "{sub}");
    }
    assert_eq!(code(&[]), 64);
    assert_eq!(code(&["--bogus"]), 64);
    assert_eq!(code(&["--config", "/nowhere/hub.toml"]), 78);
    site.certify("gateway", "gw-1");
    assert_eq!(site.ask(&["archive", "export", "--gateway", "gw-1"]).status.code(), Some(69), "nothing is there yet");
    for what in ["list", "entries", "export"] {
        let out = site.ask(&["archive", what, "--gateway", "gw-11"]);
        assert_eq!(out.status.code(), Some(64), "{what}");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains("no gateway \"gw-11\" is certified here; did you mean \"gw-1\"?"), "{said}");
    }
    let nowhere = site.path("no/where.plomb");
    let out = site.ask(&["archive", "export", "--gateway", "gw-1", "-o", nowhere.to_str().unwrap()]);
    assert!(!String::from_utf8_lossy(&out.stderr).contains(".part"), "{out:?}");
    let config = site.config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}lisen = 1\n")).unwrap();
    let out = site.ask(&["status"]);
    assert_eq!(out.status.code(), Some(78));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("unknown key \"lisen\"; did you mean \"listen\"?"), "{said}");
    std::fs::write(&config, text).unwrap();
    let dir = site.certify("subscriber", "bill");
    let again = ["certify", "--role", "subscriber", "--id", "bill", "--out", dir.to_str().unwrap()];
    assert_eq!(site.ask(&again).status.code(), Some(64));
}

#[test]
fn a_request_made_elsewhere_is_certified_without_its_key() {
    let site = Site::new();
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&pair).unwrap().pem().unwrap();
    let csr = site.path("gw.csr");
    std::fs::write(&csr, request).unwrap();
    let out = site.path("gw-7");
    let (csr, dir) = (csr.to_str().unwrap(), out.to_str().unwrap());
    let args = ["certify", "--role", "gateway", "--id", "gw-7", "--csr", csr, "--out", dir, "--json"];
    assert_eq!(site.json(&args)["subject"], "gw-7");
    assert!(!out.join("client.key").exists());
    let credential = Credential::parse(&std::fs::read(out.join("credential.cbor")).unwrap()).unwrap();
    assert_eq!(credential.verify(&site.policy()).unwrap()[0].key, seed_of(&pair).public());
}
