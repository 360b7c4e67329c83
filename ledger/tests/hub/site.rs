//! A hub's folder, its process, and MQTT clients with somebody's certificate.
#![allow(dead_code, unreachable_pub)] // tests and benchmarks use their parts

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use plomb_seal::{Credential, Hash, Policy, Receipt, Refusal, Signed, SigningKey, Statement, topic};
use rcgen::KeyPair;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS, TlsConfiguration, Transport,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;

use crate::common::{Gateway, name, seed_of};

/// The ledger's name.
pub const ORIGIN: &str = "ledger.example/hub-test";
/// How long anything may take before a test gives up. Not a measure of anything.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PACKET_BYTES_MAX: usize = 2 * 1024 * 1024;

pub struct Site {
    pub dir: tempfile::TempDir,
}

/// A hub that ends with its test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn terminate(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().code().expect("it ends by itself")
    }
}

pub fn hub() -> Command {
    Command::new(env!("CARGO_BIN_EXE_plomb-hub"))
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Self { dir };
        let out =
            hub().args(["init", "--origin", ORIGIN, "--listen", "127.0.0.1:0"]).arg(site.path("hub")).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("hub/hub.toml")
    }

    pub fn ask(&self, args: &[&str]) -> Output {
        hub().args(args).arg("--config").arg(self.config()).output().unwrap()
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.ask(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    pub fn certify(&self, role: &str, id: &str) -> PathBuf {
        let dir = self.path(id);
        let json = self.json(&["certify", "--role", role, "--id", id, "--json", "--out", dir.to_str().unwrap()]);
        assert_eq!(json["schema"], "plomb.hub-certify/1");
        dir
    }

    pub fn gateway(&self, id: &str) -> Gateway {
        let dir = self.certify("gateway", id);
        let credential = Credential::parse(&std::fs::read(dir.join("credential.cbor")).unwrap()).unwrap();
        let issues = credential.verify(&self.policy()).unwrap();
        let key = seed_of(&KeyPair::from_pem(&std::fs::read_to_string(dir.join("client.key")).unwrap()).unwrap());
        assert_eq!(issues[0].key, key.public(), "what is certified is the key in client.key");
        Gateway::new(id, key, issues[0].fingerprint())
    }

    pub fn key_of(&self, id: &str) -> SigningKey {
        seed_of(&KeyPair::from_pem(&std::fs::read_to_string(self.path(id).join("client.key")).unwrap()).unwrap())
    }

    pub fn submit<T: Statement>(&self, statement: T, key: &SigningKey) -> Result<(u64, Hash), String> {
        let signed = Signed::sign(statement, key);
        let file = self.path("transaction.cose");
        std::fs::write(&file, signed.bytes()).unwrap();
        let out = self.ask(&["submit", "--json", file.to_str().unwrap()]);
        if !out.status.success() {
            return Err(format!("{:?} {}", out.status.code(), String::from_utf8_lossy(&out.stderr)));
        }
        let json: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(json["transaction"].as_str(), Some(signed.hash().to_string().as_str()));
        Ok((json["index"].as_u64().unwrap(), signed.hash()))
    }

    pub fn policy(&self) -> Policy {
        Policy::parse(&std::fs::read_to_string(self.path("hub/policy.txt")).unwrap()).unwrap()
    }

    /// Starts the hub; returns when it answers.
    pub fn start(&self) -> (Running, SocketAddr) {
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

    pub fn connect(&self, id: &str, client_id: &str, at: SocketAddr) -> Peer {
        Peer::connect(&self.path(id), client_id, at)
    }
}

/// An MQTT client with somebody's certificate.
pub struct Peer {
    pub client: AsyncClient,
    pub events: EventLoop,
}

impl Peer {
    pub fn connect(dir: &Path, client_id: &str, at: SocketAddr) -> Self {
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
        let (client, mut events) = AsyncClient::new(options, 64);
        events.network_options.set_tcp_nodelay(true); // as a gateway's uplink does
        Self { client, events }
    }

    pub async fn subscribe(&self, topic: impl Into<String>) {
        self.client.subscribe(topic, QoS::AtLeastOnce).await.unwrap();
    }

    pub async fn send(&self, gateway: &str, payload: Vec<u8>) {
        self.client.publish(topic::batch(&name(gateway)), QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    /// The next message on a topic; others are passed over.
    pub async fn on(&mut self, topic: &str) -> Publish {
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

    pub async fn receipt(&mut self, gateway: &str) -> (Receipt, bool) {
        let publish = self.on(&topic::receipt(&name(gateway))).await;
        (Receipt::parse(&publish.payload).unwrap(), publish.retain)
    }

    pub async fn refusal(&mut self, gateway: &str) -> Refusal {
        Refusal::parse(&self.on(&topic::refusal(&name(gateway))).await.payload).unwrap()
    }

    pub async fn is_cut_off(&mut self) -> ConnectionError {
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

pub async fn listen(site: &Site, gateway: &str, client_id: &str, at: SocketAddr) -> Peer {
    let peer = site.connect(gateway, client_id, at);
    peer.subscribe(topic::receipt(&name(gateway))).await;
    peer.subscribe(topic::refusal(&name(gateway))).await;
    peer
}

pub fn absent(program: &str) {
    assert!(std::env::var_os("PLOMB_REQUIRE_PEERS").is_none(), "{program} is missing");
    eprintln!("{program} absent: apt-get install openssl mosquitto-clients");
}
