//! The real `plomb-hub` process, and a gateway by hand over mutual TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
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
    Batch, Credential, Hash, Policy, Receipt, Refusal,
    export::Scope,
    topic,
    verify::{Expect, Trust, Verdict, verify},
};
use rcgen::KeyPair;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS,
    TlsConfiguration, Transport,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;

/// How long anything may take before a test gives up. Not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(60);
const PACKET_BYTES_MAX: usize = 2 * 1024 * 1024;

struct Site {
    dir: tempfile::TempDir,
}

/// A hub that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn terminate(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().code().expect("it ends by itself")
    }
}

fn hub() -> Command {
    Command::new(env!("CARGO_BIN_EXE_plomb-hub"))
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Self { dir };
        let out = hub()
            .args(["init", "--origin", "ledger.example/hub-test", "--listen", "127.0.0.1:0"])
            .arg(site.path("hub"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("hub/hub.toml")
    }

    fn ask(&self, args: &[&str]) -> Output {
        hub().args(args).arg("--config").arg(self.config()).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let out = self.ask(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    fn certify(&self, role: &str, id: &str) -> PathBuf {
        let dir = self.path(id);
        let json = self.json(&["certify", "--role", role, "--id", id, "--json", "--out", dir.to_str().unwrap()]);
        assert_eq!(json["schema"], "plomb.hub-certify/1");
        dir
    }

    fn gateway(&self, id: &str) -> Gateway {
        let dir = self.certify("gateway", id);
        let credential = Credential::parse(&std::fs::read(dir.join("credential.cbor")).unwrap()).unwrap();
        let issues = credential.verify(&self.policy()).unwrap();
        let key = seed_of(&KeyPair::from_pem(&std::fs::read_to_string(dir.join("client.key")).unwrap()).unwrap());
        assert_eq!(issues[0].key, key.public(), "what is certified is the key in client.key");
        Gateway::new(id, key, issues[0].fingerprint())
    }

    fn policy(&self) -> Policy {
        Policy::parse(&std::fs::read_to_string(self.path("hub/policy.txt")).unwrap()).unwrap()
    }

    /// Starts the hub; returns when it answers.
    fn start(&self) -> (Running, SocketAddr) {
        let mut child = Running(hub().arg("--config").arg(self.config()).stderr(Stdio::inherit()).spawn().unwrap());
        loop {
            assert_eq!(child.0.try_wait().unwrap(), None, "the hub ended at once");
            let out = self.ask(&["status", "--json"]);
            let json: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
            if let Some(listen) = json["listen"].as_str() {
                return (child, listen.parse().unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn connect(&self, id: &str, client_id: &str, at: SocketAddr) -> Peer {
        Peer::connect(&self.path(id), client_id, at)
    }
}

/// An MQTT client with somebody's certificate.
struct Peer {
    client: AsyncClient,
    events: EventLoop,
}

impl Peer {
    fn connect(dir: &Path, client_id: &str, at: SocketAddr) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(dir.join("ca.crt")).unwrap()).unwrap();
        let chain = CertificateDer::pem_file_iter(dir.join("client.crt")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(dir.join("client.key")).unwrap();
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let mut options = MqttOptions::new(client_id, "localhost", at.port());
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::new(tls))));
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        let (client, events) = AsyncClient::new(options, 64);
        Self { client, events }
    }

    async fn subscribe(&self, topic: impl Into<String>) {
        self.client.subscribe(topic, QoS::AtLeastOnce).await.unwrap();
    }

    async fn send(&self, gateway: &str, payload: Vec<u8>) {
        self.client.publish(topic::batch(&name(gateway)), QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    /// The next message on a topic; others are passed over.
    async fn on(&mut self, topic: &str) -> Publish {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Event::Incoming(Packet::Publish(publish)) = self.events.poll().await.expect("connected")
                    && publish.topic == topic
                {
                    return publish;
                }
            }
        })
        .await
        .expect("a message in time")
    }

    async fn receipt(&mut self, gateway: &str) -> (Receipt, bool) {
        let publish = self.on(&topic::receipt(&name(gateway))).await;
        (Receipt::parse(&publish.payload).unwrap(), publish.retain)
    }

    async fn refusal(&mut self, gateway: &str) -> Refusal {
        Refusal::parse(&self.on(&topic::refusal(&name(gateway))).await.payload).unwrap()
    }

    async fn is_cut_off(&mut self) -> ConnectionError {
        let ended = async {
            loop {
                if let Err(error) = self.events.poll().await {
                    return error;
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("cut off")
    }
}

async fn listen(site: &Site, gateway: &str, client_id: &str, at: SocketAddr) -> Peer {
    let peer = site.connect(gateway, client_id, at);
    peer.subscribe(topic::receipt(&name(gateway))).await;
    peer.subscribe(topic::refusal(&name(gateway))).await;
    peer
}

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

/// The files that `certify` writes serve whoever links OpenSSL 3.0, as they are.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_and_mosquitto_use_the_issued_files_as_they_are() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let billing = site.certify("subscriber", "billing");
    for key in ["hub/ca.key", "hub/server.key", "gw-1/client.key", "billing/client.key"] {
        let Ok(out) = Command::new("openssl").args(["pkey", "-noout", "-in"]).arg(site.path(key)).output() else {
            absent("openssl");
            return;
        };
        assert!(out.status.success(), "{key}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let (_running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    peer.send("gw-1", gateway.batch(1).to_bytes()).await;
    peer.receipt("gw-1").await;
    let file = |name: &str| billing.join(name).display().to_string();
    let out = tokio::process::Command::new("mosquitto_sub")
        .args(["-h", "localhost", "-p", &at.port().to_string(), "-t", topic::CHECKPOINT, "-C", "1", "-W", "60"])
        .args(["--cafile", &file("ca.crt"), "--cert", &file("client.crt"), "--key", &file("client.key")])
        .output()
        .await;
    let Ok(out) = out else {
        absent("mosquitto_sub");
        return;
    };
    assert!(out.stdout.starts_with(b"ledger.example/hub-test"), "{}", String::from_utf8_lossy(&out.stderr));
}

fn absent(program: &str) {
    assert!(std::env::var_os("PLOMB_REQUIRE_PEERS").is_none(), "{program} is missing");
    eprintln!("{program} absent: apt-get install openssl mosquitto-clients");
}

/// A gateway's journal is bound to its key: its certificate is renewed without touching that.
#[test]
fn a_certificate_is_renewed_for_the_key_that_is_there() {
    let site = Site::new();
    let gateway = site.gateway("gw-1");
    let certify = |out: &str, more: &[&str]| {
        let out = site.path(out).display().to_string();
        site.ask(&[&["certify", "--role", "gateway", "--id", "gw-1", "--out", &out][..], more].concat())
    };
    let said = |out: &Output| String::from_utf8_lossy(&out.stderr).into_owned();
    let key = site.path("gw-1/client.key").display().to_string();

    let twice = certify("twice", &[]);
    assert_eq!(twice.status.code(), Some(64));
    assert!(said(&twice).contains("--renew") && !site.path("twice").exists(), "{}", said(&twice));
    for (out, more) in [("renewed", &["--renew", "--days", "900"][..]), ("by-file", &["--key", &key])] {
        let made = certify(out, more);
        assert!(made.status.success(), "{}", said(&made));
        assert!(!site.path(out).join("client.key").exists(), "the key stays where it is");
        let credential = Credential::parse(&std::fs::read(site.path(out).join("credential.cbor")).unwrap()).unwrap();
        let issues = credential.verify(&site.policy()).unwrap();
        assert!(issues.iter().all(|issue| issue.key == gateway.key.public()));
        let newest = CertificateDer::from_pem_file(site.path(out).join("client.crt")).unwrap();
        assert!(issues.iter().any(|issue| issue.x509 == newest.to_vec()), "the newest is proved, too");
    }
    let gateways = site.json(&["status", "--json"])["gateways"].clone();
    assert_eq!(gateways[0]["certificate"]["state"], "valid");
    assert!(certify("anew", &["--new-key"]).status.success());
    let unsure = certify("unsure", &["--renew"]);
    assert!(said(&unsure).contains("gw-1 has 2 keys"), "{}", said(&unsure));
    site.ask(&["revoke", "--id", "gw-1", "--reason", "stolen"]);
    let revoked = certify("revoked", &["--renew"]);
    assert_eq!(revoked.status.code(), Some(64));
    assert!(said(&revoked).contains("no certificate of \"gw-1\" holds"), "{}", said(&revoked));
    // A new box of that name begins with a key of its own.
    assert!(certify("new-box", &[]).status.success());
    // A name that nobody had can't be renewed.
    let dir = site.path("nobody").display().to_string();
    let nobody = site.ask(&["certify", "--role", "subscriber", "--id", "nobody", "--renew", "--out", &dir]);
    assert_eq!(nobody.status.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_boxes_with_one_key_show_in_the_status() {
    let site = Site::new();
    let _gateway = site.gateway("gw-1");
    let (_running, at) = site.start();
    for _ in 0..4 {
        let mut box_ = site.connect("gw-1", "gw-1", at);
        while !matches!(box_.events.poll().await, Ok(Event::Incoming(Packet::ConnAck(_)))) {}
        // Each stays until the next one has its place.
        tokio::spawn(async move { while box_.events.poll().await.is_ok() {} });
    }
    let taken = loop {
        let status = site.json(&["status", "--json"]);
        if status["gateways"][0]["taken_over"]["count"] == 3 {
            break status["gateways"][0]["taken_over"].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(taken["contested"], true);
    let text = String::from_utf8(site.ask(&["status"]).stdout).unwrap();
    assert!(text.contains("taken over 3 times since start") && text.contains("two boxes may hold its key"), "{text}");
}

#[test]
fn a_second_hub_and_a_reader_that_has_enough() {
    let site = Site::new();
    site.certify("gateway", "gw-1");
    let (_running, _) = site.start();
    let second = hub().arg("--config").arg(site.config()).stderr(Stdio::piped()).spawn().unwrap();
    let out = second.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(69));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("another plomb-hub runs with this ledger"), "{said}");
    for args in [&["status"][..], &["status", "--json"], &["status", "--certificates"]] {
        // A pipe that nobody reads from, as after `head`.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = hub().args(args).arg("--config").arg(site.config()).stdout(writer).output().unwrap();
        assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""), "{args:?}");
    }
}

impl Site {
    /// Puts a ledger of the same genesis in the place of this one, dated so many days ago.
    fn founded_days_ago(&self, days: i64) {
        let ledger = open_ledger(&HubConfig::load(&self.config()).unwrap()).unwrap();
        let (genesis, signers) = (ledger.transaction(0).unwrap().unwrap(), ledger.signers().clone());
        drop(ledger);
        std::fs::remove_file(self.path("hub/ledger.redb")).unwrap();
        let ledger = Ledger::open(&self.path("hub/ledger.redb"), signers).unwrap();
        let time_ms = unix_ms() - days * 86_400_000;
        ledger.deliver(&Block { height: 1, time_ms, transactions: vec![genesis] }, &[]).unwrap();
    }

    /// Runs the hub until it ends by itself.
    fn start_fails(&self) -> (i32, String) {
        let out = hub().arg("--config").arg(self.config()).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

#[test]
fn a_clock_that_is_far_ahead_is_accepted_by_a_person_alone() {
    let site = Site::new();
    site.founded_days_ago(300);
    let (code, said) = site.start_fails();
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("300 days after the ledger's newest date") && said.contains("--accept-clock"), "{said}");
    // Nothing else dates a block meanwhile.
    let out = site.path("gw-1").display().to_string();
    let certify = site.ask(&["certify", "--role", "gateway", "--id", "gw-1", "--out", &out]);
    assert_eq!(certify.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&certify.stderr).contains("--accept-clock"), "{certify:?}");
    // The hub did stand still so long. Once is enough.
    let accepted = hub().arg("--config").arg(site.config()).arg("--accept-clock").spawn().unwrap();
    let accepted = Running(accepted);
    let begun = std::time::Instant::now();
    while site.json(&["status", "--json"])["running"] != true {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert_eq!(accepted.terminate(), 0);
    let (running, _) = site.start();
    assert_eq!(site.json(&["status", "--json"])["troubles"], serde_json::json!([]));
    assert_eq!(running.terminate(), 0);
}

#[test]
fn a_hub_that_stood_still_for_weeks_starts_and_says_so() {
    let site = Site::new();
    site.founded_days_ago(20);
    let (_running, _) = site.start();
    let text = String::from_utf8(site.ask(&["status"]).stdout).unwrap();
    assert!(text.contains("Trouble") && text.contains("20 days ahead of the ledger's newest date"), "{text}");
}

#[test]
fn keys_that_others_can_read_and_a_file_in_the_sockets_place_stop_a_start() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for key in ["hub/log.key", "hub/witness.key", "hub/server.key"] {
        mode(key, 0o644);
        let (code, said) = site.start_fails();
        assert_eq!(code, 78, "{key}: {said}");
        assert!(
            said.contains(key.trim_start_matches("hub/")) && said.contains("mode 0644") && said.contains("chmod 600"),
            "{said}"
        );
        mode(key, 0o600);
    }
    for key in ["hub/member.key", "hub/ca.key"] {
        mode(key, 0o640);
        let out = site.ask(&["certify", "--role", "auditor", "--id", "a", "--out", site.path("a").to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(78), "{key}: {out:?}");
        mode(key, 0o600);
    }
    let precious = site.path("hub/control.sock");
    std::fs::write(&precious, "precious").unwrap();
    let (code, said) = site.start_fails();
    assert_eq!((code, std::fs::read_to_string(&precious).unwrap().as_str()), (69, "precious"), "{said}");
    assert!(said.contains("control.sock") && said.contains("no socket"), "{said}");
}

/// Bits turn on a disk. Whatever the ledger then says is true, or it says that its file is damaged: one line,
/// with what to do, and no panic.
#[test]
fn a_damaged_ledger_is_named_and_never_served() {
    let site = Site::new();
    site.gateway("gw-1");
    let file = site.path("hub/ledger.redb");
    let good = std::fs::read(&file).unwrap();
    let truth = site.json(&["status", "--certificates", "--json"]);
    let mut named = 0;
    for n in 0..40 {
        let mut bent = good.clone();
        // Spread over the file, and the first page with its header more densely.
        let at = if n < 10 { n * 29 } else { (n - 10) * good.len() / 30 };
        bent[at] ^= 1 << (n % 8);
        std::fs::write(&file, &bent).unwrap();
        let out = site.ask(&["status", "--certificates", "--json"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() {
            assert_eq!(serde_json::from_slice::<Value>(&out.stdout).unwrap(), truth, "bit at {at}");
            continue;
        }
        named += 1;
        assert_eq!((out.status.code(), said.lines().count()), (Some(74), 1), "bit at {at}: {said}");
        assert!(said.contains("damaged") && said.contains("operations.md"), "bit at {at}: {said}");
    }
    assert!(named > 0, "no bit was of the ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_ledger_that_was_put_back_is_noticed_and_said_so() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let (file, copy) = (site.path("hub/ledger.redb"), site.path("copy.redb"));
    std::fs::copy(&file, &copy).unwrap();
    let (running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    peer.send("gw-1", gateway.batch(1).to_bytes()).await;
    peer.receipt("gw-1").await;
    peer.subscribe(topic::CHECKPOINT).await;
    gateway.place.checkpoint = Some(String::from_utf8(peer.on(topic::CHECKPOINT).await.payload.to_vec()).unwrap());
    assert_eq!(running.terminate(), 0);
    std::fs::copy(&copy, &file).unwrap();
    let (_running, at) = site.start();
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    peer.send("gw-1", gateway.batch(1).to_bytes()).await;
    let refusal = peer.refusal("gw-1").await;
    assert_eq!(refusal.rule, "anchor-checkpoint");
    assert!(refusal.detail.contains("checkpoint of 3 transactions, this ledger has 2"), "{}", refusal.detail);
    let status = site.json(&["status", "--json"]);
    assert_eq!(status["batches"]["lost"]["seen"], 3);
    let trouble = status["troubles"][0].as_str().unwrap();
    assert!(trouble.contains("older ledger.redb was put back"), "{trouble}");
}

/// What is no batch costs its sender the connection, and the hub a few lines.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_floods_the_hub_with_what_is_no_batch_is_sent_away() {
    let site = Site::new();
    let (_bad, mut good) = (site.gateway("gw-bad"), site.gateway("gw-1"));
    let (_running, at) = site.start();
    let mut bystander = listen(&site, "gw-1", "gw-1", at).await;
    let mut peer = listen(&site, "gw-bad", "gw-bad", at).await;
    for _ in 0..60 {
        peer.send("gw-bad", vec![0]).await;
        while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(1), peer.events.poll()).await {}
    }
    peer.is_cut_off().await;
    let mut again = site.connect("gw-bad", "gw-bad", at);
    let told = again.is_cut_off().await;
    assert!(
        matches!(told, ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable)),
        "it is told to come later: {told:?}"
    );
    bystander.send("gw-1", good.batch(1).to_bytes()).await;
    bystander.receipt("gw-1").await;
}
