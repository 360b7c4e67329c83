//! HTTPS by hand: a client that knows nothing of the server's library; and what the hub serves to whom.

#![allow(unreachable_pub)] // as in site.rs: one test binary, several files

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use plomb_seal::{
    LogProof, Recipient,
    transaction::{Config, Priority, SealingKey, sealing_key_id},
    tree,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use plomb_seal::Signed;
use rustls_pki_types::PrivateKeyDer;
use std::{net::SocketAddr, sync::Arc};

use super::*;
use crate::site::ORIGIN;

/// An answer.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn rule(&self) -> String {
        let json = self.json();
        json["error"].as_str().or(json["rule"].as_str()).unwrap_or_default().to_owned()
    }
}

/// A connection that is kept.
pub struct Line(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Line {
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answered> {
        self.say(method, path, (body.len(), body))?;
        self.hear(method)
    }

    /// A request whose head may promise more than follows.
    fn say(&mut self, method: &str, path: &str, (promised, body): (usize, &[u8])) -> std::io::Result<()> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {promised}\r\n\r\n");
        let stream = self.0.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()
    }

    fn hear(&mut self, method: &str) -> std::io::Result<Answered> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head[9..12].parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; if method == "HEAD" { 0 } else { length.trim().parse().unwrap() }];
        self.0.read_exact(&mut body)?;
        Ok(Answered { status, head, body })
    }

    /// Waits until the other side closes it.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.0.read(&mut byte), Ok(0) | Err(_))
    }

    /// The certificate that the hub showed.
    pub fn hub_certificate(&mut self) -> CertificateDer<'static> {
        let stream = self.0.get_mut();
        if stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        self.0.get_ref().conn.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

impl Site {
    /// A site whose hub serves HTTPS on some port; `lines` go into its configuration's `[http]`.
    pub fn with_https(lines: &str) -> Self {
        let site = Self::new();
        let text = std::fs::read_to_string(site.config()).unwrap();
        std::fs::write(site.config(), format!("{text}\n[http]\nlisten = \"127.0.0.1:0\"\n{lines}\n")).unwrap();
        site
    }

    pub fn https_port(&self) -> u16 {
        let https: SocketAddr = self.json(&["status", "--json"])["https"].as_str().unwrap().parse().unwrap();
        https.port()
    }

    /// A connection with the certificate of a party, or with none.
    pub fn line(&self, port: u16, party: Option<&str>) -> Line {
        self.line_over(TcpStream::connect(("127.0.0.1", port)).unwrap(), party)
    }

    fn line_over(&self, tcp: TcpStream, party: Option<&str>) -> Line {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("hub/ca.crt")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let config = match party {
            None => config.with_no_client_auth(),
            Some(party) => {
                let file = |name: &str| self.path(party).join(name);
                let chain = CertificateDer::pem_file_iter(file("client.crt")).unwrap().map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_file(file("client.key")).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        Line(BufReader::new(StreamOwned::new(connection, tcp)))
    }
}

/// A socket that comes from another address of this host.
fn from(peer: [u8; 4], port: u16) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((peer, 0).into()).unwrap();
        socket.connect(([127, 0, 0, 1], port).into()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

fn get(line: &mut Line, path: &str) -> Answered {
    line.ask("GET", path, &[]).unwrap()
}

fn config(base: u64, recipient: &[u8; 32]) -> Config {
    Config {
        origin: ORIGIN.into(),
        gateway: name("gw-1"),
        base,
        priority: Priority::Routine,
        window: None,
        commitment: Hash([1; 32]),
        recipient: sealing_key_id(recipient),
        sealed: vec![1; plomb_ledger::state::SEALED_BYTES_MIN],
        reason: "by https".into(),
    }
}

#[test]
fn what_is_served_depends_on_the_certificate_and_a_revocation_closes_the_connection() {
    let site = Site::with_https("");
    site.certify("auditor", "aud");
    let (_running, _) = site.start();
    let port = site.https_port();
    let mut stranger = site.line(port, None);
    for path in ["/checkpoint", "/tile/0/000.p/1", "/ledger/history", "/ledger/transactions/0", "/enrol/renew"] {
        let method = if path == "/enrol/renew" { "POST" } else { "GET" };
        let answered = stranger.ask(method, path, &[]).unwrap();
        assert_eq!((answered.status, answered.rule().as_str()), (403, "no-certificate"), "{path}");
    }
    assert_eq!(stranger.ask("POST", "/ledger/transactions", b"x").unwrap().status, 403);
    // A body that nobody reads ends the connection.
    let mut stranger = site.line(port, None);
    assert_eq!(get(&mut stranger, "/enrol").json()["origin"], ORIGIN);
    assert_eq!(get(&mut stranger, "/nowhere").status, 404);
    assert_eq!(stranger.ask("DELETE", "/checkpoint", &[]).unwrap().status, 405);

    let mut auditor = site.line(port, Some("aud"));
    let checkpoint = get(&mut auditor, "/checkpoint");
    assert_eq!(checkpoint.status, 200);
    assert!(checkpoint.head.contains("text/plain; charset=utf-8") && checkpoint.head.contains("no-cache"));
    site.policy().check(std::str::from_utf8(&checkpoint.body).unwrap()).unwrap();
    let mut idle = site.line(port, Some("aud"));
    assert_eq!(get(&mut idle, "/checkpoint").status, 200);
    site.json(&["revoke", "--id", "aud", "--reason", "left", "--json"]);
    assert!(idle.is_closed(), "an open connection ends");
    assert!(auditor.is_closed());
    let mut again = site.line(port, Some("aud"));
    let answered = get(&mut again, "/checkpoint");
    assert_eq!((answered.status, answered.rule().as_str()), (403, "certificate"));
    assert!(answered.json()["detail"].as_str().unwrap().contains("left"), "it is told why");
}

#[test]
fn transactions_are_brought_looked_up_and_proved() {
    let site = Site::with_https("");
    for (role, id) in [("gateway", "gw-1"), ("admin", "boss")] {
        site.certify(role, id);
    }
    let (_running, _) = site.start();
    let port = site.https_port();
    let mut boss = site.line(port, Some("boss"));
    let none = get(&mut boss, "/ledger/gateways/gw-1/recipient");
    assert_eq!(none.status, 404, "it has said no key");
    let key = [5; 32];
    let stated = SealingKey { origin: ORIGIN.into(), gateway: name("gw-1"), serial: 1, key };
    let stated = Signed::sign(stated, &site.key_of("gw-1"));
    let submit = |line: &mut Line, query: &str, bytes: &[u8]| {
        line.ask("POST", &format!("/ledger/transactions{query}"), bytes).unwrap()
    };
    assert_eq!(submit(&mut boss, "", stated.bytes()).json()["admitted"], true);
    let recipient = get(&mut boss, "/ledger/gateways/gw-1/recipient");
    let recipient = Recipient::parse(&recipient.body).unwrap().verify(None, &name("gw-1"), &site.policy()).unwrap();
    assert_eq!((recipient.key, recipient.serial), (key, 1), "an author believes its policy, not the hub");

    let signed = Signed::sign(config(0, &key), &site.key_of("boss"));
    let told = submit(&mut boss, "", signed.bytes()).json();
    let index = told["index"].as_u64().unwrap();
    assert_eq!((&told["known"], told["leaf"].as_str().unwrap()), (&false.into(), signed.hash().to_string().as_str()));
    assert_eq!(submit(&mut boss, "", signed.bytes()).json()["known"], true, "the same bytes once more");
    let stale = Signed::sign(config(7, &key), &site.key_of("boss"));
    let refused = submit(&mut boss, "", stale.bytes());
    assert_eq!((refused.status, refused.rule().as_str()), (422, "config-base"));
    assert_eq!(refused.json()["admitted"], false);
    for (bytes, rule) in [(&b"noise"[..], "transaction-form"), (&[0; 65_536], "transaction-size")] {
        assert_eq!(submit(&mut boss, "", bytes).rule(), rule);
    }
    for promised in [70_000, usize::MAX >> 1] {
        let mut large = site.line(port, Some("boss"));
        large.say("POST", "/ledger/transactions", (promised, &[])).unwrap();
        assert_eq!(large.hear("POST").unwrap().status, 413, "before a byte of its body");
    }

    let path = format!("/ledger/transactions/{}", signed.hash());
    let shown = get(&mut boss, &path).json();
    assert_eq!((&shown["statement"]["reason"], shown["index"].as_u64()), (&"by https".into(), Some(index)));
    assert_eq!(get(&mut boss, &format!("{path}/bytes")).body, signed.bytes());
    let proof = String::from_utf8(get(&mut boss, &format!("/ledger/transactions/{index}/proof")).body).unwrap();
    LogProof::parse(&proof).unwrap().verify(signed.hash(), &site.policy()).unwrap();
    assert_eq!(get(&mut boss, "/ledger/transactions/999").status, 404);
    let about = get(&mut boss, "/ledger/gateways/gw-1").json();
    assert_eq!(
        (&about["last"], &about["applied"], &about["pending"][0]["version"]),
        (&1.into(), &Value::Null, &1.into())
    );
    assert_eq!(about["sealing"]["serial"], 1);
    assert_eq!(get(&mut boss, "/ledger/gateways/boss").status, 404, "that is no gateway");
    let lines = |line: &mut Line, query: &str| get(line, &format!("/ledger/history?{query}")).json();
    assert_eq!(lines(&mut boss, "gateway=gw-1&kind=config")["lines"].as_array().unwrap().len(), 1);
    let page = lines(&mut boss, "limit=2");
    assert_eq!((page["lines"].as_array().unwrap().len(), &page["next"]), (2, &2.into()));
    assert_eq!(lines(&mut boss, "after=1&limit=1")["lines"][0]["index"], 2);
    assert_eq!(get(&mut boss, "/ledger/history?versoin=1").status, 400);
}

/// Waits for the gateway's answer in the same request; one that never comes ends in time.
#[test]
fn who_brings_an_order_may_wait_for_its_outcome() {
    let site = Site::with_https("");
    for (role, id) in [("gateway", "gw-1"), ("admin", "boss")] {
        site.certify(role, id);
    }
    let (_running, _) = site.start();
    let port = site.https_port();
    let key = [5; 32];
    let stated = SealingKey { origin: ORIGIN.into(), gateway: name("gw-1"), serial: 1, key };
    let mut gateway = site.line(port, Some("gw-1"));
    let stated = Signed::sign(stated, &site.key_of("gw-1"));
    assert_eq!(gateway.ask("POST", "/ledger/transactions", stated.bytes()).unwrap().status, 200);
    let signed = Signed::sign(config(0, &key), &site.key_of("boss"));
    let mut boss = site.line(port, Some("boss"));
    let late = boss.ask("POST", "/ledger/transactions?wait=outcome&timeout_s=0", signed.bytes()).unwrap().json();
    assert_eq!((&late["admitted"], &late["outcome"], &late["status"]), (&true.into(), &Value::Null, &"pending".into()));
    let height = || site.json(&["status", "--json"])["height"].as_u64().unwrap();
    let before = height();
    for _ in 0..20 {
        let again = boss.ask("POST", "/ledger/transactions?wait=outcome&timeout_s=0", signed.bytes()).unwrap().json();
        assert_eq!((&again["known"], &again["status"]), (&true.into(), &"pending".into()));
    }
    let waiting = {
        let bytes = signed.bytes().to_vec();
        std::thread::spawn(move || boss.ask("POST", "/ledger/transactions?wait=outcome&timeout_s=60", &bytes).unwrap())
    };
    let outcome = plomb_seal::transaction::Outcome {
        origin: ORIGIN.into(),
        gateway: name("gw-1"),
        of: signed.hash(),
        effect: plomb_seal::transaction::Effect::Applied,
        rule: String::new(),
        detail: String::new(),
        epoch: 0,
        seq: 3,
        time_ms: unix_ms(),
    };
    let outcome = Signed::sign(outcome, &site.key_of("gw-1"));
    assert_eq!(gateway.ask("POST", "/ledger/transactions", outcome.bytes()).unwrap().status, 200);
    let told = waiting.join().unwrap().json();
    assert_eq!(told["known"], true);
    assert_eq!(told["outcome"]["transaction"].as_str().unwrap(), outcome.hash().to_string());
    assert_eq!((&told["outcome"]["kind"], &told["status"]), (&"outcome".into(), &"applied".into()));
    assert_eq!(height(), before + 1, "the outcome's block: who asks again costs none");
}

/// More than one full tile: the tree is rebuilt from what is served, and has the root of the checkpoint.
#[test]
fn tiles_rebuild_the_tree_that_the_checkpoint_speaks_of() {
    const GATEWAYS: usize = 300;
    let site = Site::with_https("open_log = true");
    fill(&site, GATEWAYS);
    let (_running, _) = site.start();
    // Anybody may read the log where the configuration says so.
    let mut monitor = site.line(site.https_port(), None);
    let note = String::from_utf8(get(&mut monitor, "/checkpoint").body).unwrap();
    let checkpoint = site.policy().check(&note).unwrap().checkpoint;
    let size = checkpoint.size;
    assert!(size > 256 && size < 512, "one full tile and a part: {size}");
    let mut entries = Vec::new();
    for path in ["/tile/entries/000".to_owned(), format!("/tile/entries/001.p/{}", size - 256)] {
        let bundle = get(&mut monitor, &path);
        assert_eq!(bundle.status, 200, "{path}");
        assert!(bundle.head.contains("application/octet-stream") && bundle.head.contains("immutable"), "{path}");
        let mut rest = bundle.body.as_slice();
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            entries.push(rest[2..2 + length].to_vec());
            rest = &rest[2 + length..];
        }
    }
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(entry)).collect();
    assert_eq!((leaves.len() as u64, tree::root(&leaves)), (size, checkpoint.root));
    let hashes = |hashes: &[Hash]| hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>();
    assert_eq!(get(&mut monitor, "/tile/0/000").body, hashes(&leaves[..256]));
    assert_eq!(get(&mut monitor, &format!("/tile/0/001.p/{}", size - 256)).body, hashes(&leaves[256..]));
    assert_eq!(get(&mut monitor, "/tile/0/001.p/3").body, hashes(&leaves[256..259]), "an earlier size's tile");
    assert_eq!(get(&mut monitor, "/tile/1/000.p/1").body, hashes(&[tree::root(&leaves[..256])]));
    for beyond in [
        "/tile/0/001".to_owned(),
        "/tile/0/002.p/1".into(),
        format!("/tile/0/001.p/{}", size - 255),
        "/tile/1/000.p/2".into(),
        "/tile/2/000.p/1".into(),
        "/tile/63/000.p/1".into(),
        "/tile/entries/001".into(),
        "/tile/0/x018/x446/x744/x073/x709/x551/615".into(),
    ] {
        assert_eq!(get(&mut monitor, &beyond).status, 404, "{beyond}");
    }
    let head = monitor.ask("HEAD", "/tile/0/000", &[]).unwrap();
    assert!(head.status == 200 && head.head.contains("content-length: 8192"), "{head:?}");
    assert_eq!(get(&mut monitor, "/ledger/history").status, 403, "the register is not the log");
    // Somebody else's reading of the specifications.
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/monitor_tiles.py");
    let python = std::env::var("PLOMB_PYTHON").unwrap_or_else(|_| "python3".into());
    let hub = format!("https://localhost:{}", site.https_port());
    let file = |name: &str| site.path("hub").join(name);
    let monitored = Command::new(&python)
        .arg(script)
        .arg(&hub)
        .arg("--ca")
        .arg(file("ca.crt"))
        .arg("--policy")
        .arg(file("policy.txt"))
        .output();
    let Ok(monitored) = monitored else { return absent("python3") };
    let errors = String::from_utf8_lossy(&monitored.stderr);
    if errors.contains("No module named 'cryptography'") {
        return absent("python3 with cryptography");
    }
    assert!(monitored.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&monitored.stdout).unwrap();
    assert_eq!((told["size"].as_u64(), &told["agrees"], &told["levels"]), (Some(size), &true.into(), &2.into()));
    assert_eq!(told["root"], checkpoint.root.to_string());
}

/// Certificates by the member's own key, straight into the file.
fn fill(site: &Site, gateways: usize) {
    let config = HubConfig::load(&site.config()).unwrap();
    let ledger = open_ledger(&config).unwrap();
    let file = |name: &str| config.file(name);
    let member = plomb_ledger::files::read_seed(&file("member.key")).unwrap();
    let authority = std::fs::read_to_string(file("ca.crt")).unwrap();
    let pair = plomb_ledger::files::read_pair(&file("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&authority, pair).unwrap();
    let transactions: Vec<Vec<u8>> = (0..gateways)
        .map(|n| {
            let wish = plomb_ledger::pki::Wish {
                origin: ORIGIN.into(),
                subject: name(&format!("gw-{n}")),
                role: plomb_seal::transaction::Role::Gateway,
                scope: Vec::new(),
                points: Vec::new(),
                days: 30,
            };
            let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            let key = plomb_ledger::pki::SubjectKey::Pair(&pair);
            let (issue, _) = plomb_ledger::pki::issue(&wish, &key, &issuer, unix_ms().div_euclid(1000)).unwrap();
            Signed::sign(plomb_seal::transaction::Certificate::Issue(Box::new(issue)), &member).into_bytes()
        })
        .collect();
    let block = Block { height: ledger.height() + 1, time_ms: unix_ms(), transactions };
    ledger.deliver(&block, &[]).unwrap();
}

#[test]
fn silence_slowness_and_haste_cost_the_hub_nothing() {
    let site = Site::with_https("");
    site.certify("auditor", "aud");
    let (_running, _) = site.start();
    let port = site.https_port();
    // More silent sockets than one address may have: the oldest give way.
    let silent: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for mut socket in &silent[..64] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let ended = socket.read(&mut [0]);
        assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{ended:?}");
    }
    assert_eq!(get(&mut site.line(port, Some("aud")), "/checkpoint").status, 200, "from that address");
    drop(silent);
    // A stranger that asks and asks is told to wait; one with a certificate is not.
    let patient = |line: &mut Line| (0..400).map(|_| get(line, "/enrol").status).collect::<Vec<_>>();
    let mut stranger = site.line(port, None);
    let statuses = patient(&mut stranger);
    assert!(statuses.contains(&429) && statuses[0] == 200, "{statuses:?}");
    let late = get(&mut stranger, "/enrol");
    assert!(late.status == 200 || late.head.contains("retry-after"), "{late:?}");
    assert!(patient(&mut site.line(port, Some("aud"))).iter().all(|status| *status == 200));
    // Heads without an end, and nonsense.
    let mut endless = site.line(port, Some("aud"));
    let stream = endless.0.get_mut();
    let _ = stream.write_all(format!("GET /checkpoint HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000)).as_bytes());
    let mut answer = Vec::new();
    let _ = endless.0.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(get(&mut site.line(port, Some("aud")), "/checkpoint").status, 200);
}

/// Bodies that never end, of more certificates than there are places for work: they take up none, and each certificate
/// has few at a time.
#[test]
fn slow_bodies_of_certified_parties_shut_nobody_out() {
    const PARTIES: usize = 9;
    const EACH: usize = 8;
    let site = Site::with_https("");
    let parties: Vec<String> = (0..PARTIES).map(|n| format!("aud-{n}")).collect();
    for id in &parties {
        site.certify("auditor", id);
    }
    site.certify("admin", "boss");
    let (_running, _) = site.start();
    let port = site.https_port();
    let (sender, busy) = std::sync::mpsc::channel();
    let slow = || parties.iter().flat_map(|id| std::iter::repeat_n(id, EACH + 1));
    for id in slow() {
        let mut line = site.line(port, Some(id));
        assert_eq!(get(&mut line, "/checkpoint").status, 200);
        line.say("POST", "/ledger/transactions", (60_000, b"x")).unwrap();
        let sender = sender.clone();
        // Those whose body is waited for stay here until the hub ends.
        std::thread::spawn(move || line.hear("POST").map(|answered| sender.send(answered.status)));
    }
    // One too many of each: by then all others are being read.
    for _ in 0..PARTIES {
        assert_eq!(busy.recv_timeout(PATIENCE).unwrap(), 503);
    }
    let mut boss = site.line(port, Some("boss"));
    for path in ["/checkpoint", "/ledger/history", "/enrol"] {
        assert_eq!(get(&mut boss, path).status, 200, "{path}");
    }
    let brought = boss.ask("POST", "/ledger/transactions?wait=outcome&timeout_s=5", b"noise").unwrap();
    assert_eq!((brought.status, brought.rule().as_str()), (422, "transaction-form"));
    assert_eq!(get(&mut site.line(port, Some("aud-0")), "/checkpoint").status, 200, "nor itself");
}

/// As many strangers as there are seats, from many addresses: without a word, with a handshake, with half a body.
#[test]
fn strangers_who_are_quiet_give_way_to_whoever_comes() {
    const PEERS: u8 = 36;
    let site = Site::with_https("");
    site.certify("admin", "boss");
    let (_running, _) = site.start();
    let port = site.https_port();
    let served = |what: &str| {
        let mut boss = site.line(port, Some("boss"));
        let brought = boss.ask("POST", "/ledger/transactions?wait=outcome&timeout_s=5", b"noise").unwrap();
        assert_eq!(brought.rule(), "transaction-form", "{what}");
        assert_eq!(get(&mut site.line(port, None), "/enrol").status, 200, "{what}");
    };
    let peers = || (0..PEERS).map(|n| [127, 0, 1, n + 1]);
    let silent: Vec<TcpStream> = peers().flat_map(|peer| (0..16).map(move |_| from(peer, port))).collect();
    served("silent sockets");
    drop(silent);
    let mut held = Vec::new();
    for peer in peers() {
        for n in 0..8 {
            let mut line = site.line_over(from(peer, port), None);
            if n % 4 == 0 {
                line.hub_certificate();
            } else {
                // One that had to give way already is as good.
                let _ = line.say("POST", "/enrol/requests", (4_000, b"x"));
            }
            held.push(line);
        }
    }
    served("handshakes and slow bodies");
}
