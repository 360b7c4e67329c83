//! The whole line as real processes: a hub, a gateway, simulated meters on a paced pseudo-terminal, a
//! subscriber. Everything lives in a temporary directory and on loopback, and dies with the [`Site`].
//!
//! Waiting is for events, never for a time: the limits here are guards against hanging.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use plomb_sim::{Bus, Calendar, LineSpeed, PtyLine, mbus::Slave};
use rumqttc::{Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const GATEWAY: &str = "gw-1";
pub const ORIGIN: &str = "ledger.example/test";
/// No step takes this long; whoever waits longer hangs.
const HANG: Duration = Duration::from_secs(120);

/// A utility with a hub, and a building with a gateway.
pub struct Site {
    folder: TempDir,
    pub port: u16,
    runtime: Runtime,
}

impl Site {
    /// Makes keys, ledger and certificates; starts nothing.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let site = Self { folder, port, runtime };
        let listen = format!("127.0.0.1:{port}");
        site.good("plomb-hub", &["init", &site.at("hub"), "--origin", ORIGIN, "--listen", &listen]);
        site.certify("gateway", GATEWAY, GATEWAY);
        site.certify("subscriber", "billing", "billing");
        site
    }

    pub fn certify(&self, role: &str, id: &str, out: &str) {
        let (config, out) = (self.hub_config(), self.at(out));
        self.good("plomb-hub", &["certify", "--config", &config, "--role", role, "--id", id, "--out", &out]);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn hub_config(&self) -> String {
        self.at("hub/hub.toml")
    }

    pub fn gateway_config(&self) -> String {
        self.at("plombd.toml")
    }

    /// Writes a configuration for meters at these primary addresses on one line; `more` goes to the end.
    pub fn configure(&self, port: &str, points: &[(&str, u8)], interval_s: f64, more: &str) {
        let mut text = format!(
            "[gateway]\nid = \"{GATEWAY}\"\nstate_dir = \"{state}\"\nkey = \"{own}/client.key\"\n\
             certificate = \"{own}/client.crt\"\ncredential = \"{own}/credential.cbor\"\n\
             [hub]\naddress = \"127.0.0.1:{port_hub}\"\nca = \"{own}/ca.crt\"\n\
             [journal]\nwindow_s = 0.2\n[batch]\nentries = 64\nage_s = 0.5\n\
             [[bus]]\nname = \"cellar\"\nprotocol = \"mbus\"\nport = \"{port}\"\nbaud = 38400\nretries = 1\n",
            state = self.at("state"),
            own = self.at(GATEWAY),
            port_hub = self.port,
        );
        for (point, address) in points {
            text += &format!(
                "[[meter]]\npoint = \"{point}\"\nbus = \"cellar\"\naddress = {address}\ninterval_s = {interval_s}\n"
            );
        }
        fs::write(self.path("plombd.toml"), text + more).unwrap();
    }

    /// A line with these slaves, at 38,400 baud, at the link `bus` of this site.
    pub fn line(&self, slaves: Vec<Slave>) -> PtyLine {
        let mut bus = Bus::new(LineSpeed(38_400), Calendar { start_unix_s: 1_780_000_000, factor: 0 });
        slaves.into_iter().for_each(|slave| bus.fit(slave));
        let _inside = self.runtime.enter();
        PtyLine::open(Some(&self.path("bus")), bus).unwrap()
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub fn start_hub(&self) -> Process {
        let hub = Process::start(&self.path("hub.log"), "plomb-hub", &["--config", &self.hub_config()]);
        wait_for("the hub to listen", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        hub
    }

    pub fn start_gateway(&self) -> Process {
        Process::start(&self.path("plombd.log"), "plombd", &["--config", &self.gateway_config()])
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(binary(program)).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a program that must succeed; gives its standard output.
    pub fn good(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The state that the gateway tells; `None` while it does not answer.
    pub fn status(&self) -> Option<Value> {
        let output = self.run("plomb", &["status", "--json", "--config", &self.gateway_config()]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        (status["schema"] == "plomb.status/1").then_some(status)
    }

    /// What `plomb status` prints, whatever its verdict.
    pub fn good_or_bad_status(&self) -> String {
        let output = self.run("plomb", &["status", "--config", &self.gateway_config()]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the gateway's state satisfies a condition.
    pub fn wait_status(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.status().unwrap_or_default();
            if condition(&found) {
                return found;
            }
            // What the processes said is gone with the folder: it must be in the test's own words.
            let logs = || [self.log("plombd.log"), self.log("hub.log")].join("\n-- hub --\n");
            assert!(begun.elapsed() < HANG, "waited in vain for {what}\n{found:#}\n-- plombd --\n{}", logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every entry in the archive, in order.
    pub fn archive(&self) -> Vec<Value> {
        let text =
            self.good("plomb-hub", &["archive", "entries", "--config", &self.hub_config(), "--gateway", GATEWAY]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Exports the gateway's journal; gives the file.
    pub fn export(&self, more: &[&str]) -> PathBuf {
        let (file, config) = (self.path("export.plomb"), self.gateway_config());
        let out = file.display().to_string();
        let arguments = [["export", "--config", &config, "-o", &out].as_slice(), more].concat();
        self.good("plomb", &arguments);
        file
    }

    /// What `plomb verify` says, with the utility's policy; with the exit code.
    pub fn verify(&self, file: &Path) -> (Value, i32) {
        let policy = self.at(&format!("{GATEWAY}/policy.txt"));
        let output = self.run("plomb", &["verify", "--json", "--policy", &policy, &file.display().to_string()]);
        (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().unwrap_or(-1))
    }

    /// Reads and forgets nothing: everything published below `plomb/1/+/pub/#`.
    pub fn subscribe(&self) -> Subscriber {
        Subscriber::start(self, "billing")
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// A child process that dies with its handle.
pub struct Process {
    child: Child,
}

impl Process {
    fn start(log: &Path, program: &str, arguments: &[&str]) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(binary(program))
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub fn stop(mut self) -> i32 {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let mut code = None;
        wait_for("a process to stop", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|status| status.code()).unwrap_or(-1)
    }

    /// Waits for it to end by itself; gives the exit code.
    pub fn end(mut self) -> i32 {
        let mut code = None;
        wait_for("a process to end", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|status| status.code()).unwrap_or(-1)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; what counts is that it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Messages by topic, in the order of their arrival.
type Heard = Vec<(String, Vec<u8>)>;

/// An MQTT subscriber with a certificate of its own.
pub struct Subscriber {
    heard: Arc<Mutex<Heard>>,
    connected: Arc<Mutex<bool>>,
}

impl Subscriber {
    fn start(site: &Site, identity: &str) -> Self {
        let read = |file: &str| fs::read(site.path(identity).join(file)).unwrap();
        let tls = client_tls(&read("ca.crt"), &read("client.crt"), &read("client.key"));
        let mut options = MqttOptions::new(identity, "127.0.0.1", site.port);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut event_loop) = rumqttc::AsyncClient::new(options, 16);
        let this = Self { heard: Arc::default(), connected: Arc::default() };
        let (heard, connected) = (this.heard.clone(), this.connected.clone());
        site.runtime.spawn(async move {
            loop {
                match event_loop.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for filter in ["plomb/1/+/pub/#", "plomb/1/+/up/status", "plomb/1/ledger/checkpoint"] {
                            client.try_subscribe(filter, QoS::AtLeastOnce).unwrap();
                        }
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => *connected.lock().unwrap() = true,
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        heard.lock().unwrap().push((publish.topic, publish.payload.to_vec()));
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        wait_for("the subscriber to be welcomed", || *this.connected.lock().unwrap());
        this
    }

    /// The JSON documents on topics that end so.
    pub fn documents(&self, ending: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        let fitting = heard.iter().filter(|(topic, _)| topic.ends_with(ending));
        fitting.map(|(_, payload)| serde_json::from_slice(payload).unwrap()).collect()
    }
}

fn client_tls(ca: &[u8], certificate: &[u8], key: &[u8]) -> Arc<rustls::ClientConfig> {
    use rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        version::TLS13,
    };
    let mut roots = RootCertStore::empty();
    CertificateDer::pem_slice_iter(ca).for_each(|found| roots.add(found.unwrap()).unwrap());
    let chain = CertificateDer::pem_slice_iter(certificate).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Waits for a condition; panics when it never comes.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < HANG, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A program of this workspace, as `tests/run` built it.
pub fn binary(program: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(program);
    assert!(path.exists(), "{} is missing: run  cargo build --workspace --bins  first, or tests/run", path.display());
    path
}

/// Whether a plain decimal is `mantissa × 10^exponent`.
pub fn same_number(decimal: &str, mantissa: i64, exponent: i32) -> bool {
    let (digits, places) = match decimal.split_once('.') {
        Some((whole, fraction)) => (format!("{whole}{fraction}"), i32::try_from(fraction.len()).unwrap()),
        None => (decimal.to_string(), 0),
    };
    let Ok(value) = digits.parse::<i128>() else { return false };
    let least = exponent.min(-places);
    let scale = |value: i128, exponent: i32| value * 10i128.pow(u32::try_from(exponent - least).unwrap());
    scale(value, -places) == scale(mantissa.into(), exponent)
}

/// Whether the long forms of campaigns are asked for.
pub fn campaign() -> bool {
    std::env::var_os("PLOMB_CAMPAIGN").is_some_and(|value| value == "1")
}

/// Numbers for choices that should differ: a generator by Marsaglia (xorshift64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
