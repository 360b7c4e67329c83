//! A hub that is not: the HTTPS paths that the command line asks for, over a log in memory that admits almost all.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use plomb_seal::{
    Hash, KeyId, LogProof, Logged, Name, Recipient, Signed, SigningKey, Statement, Unverified,
    note::{Checkpoint, KeyUse, VerifierKey, cosign},
    sealed::SealingSecret,
    transaction::{
        self, Approval, Certificate, Command, Config, Effect, Genesis, Issue, Kind, Member, Outcome, Role, SealingKey,
    },
    tree,
};
use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ED25519};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) const ORIGIN: &str = "ledger.example/town";
const NOW_S: u64 = 1_780_000_000;

/// How a hub may lie, or refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Honest,
    /// Shows a sealing key of its own.
    ForeignKey,
    /// Says other words in its lines.
    OtherWords,
    /// Answers with a proof of another log.
    OtherLog,
    /// The caller's certificate was revoked.
    Revoked,
    /// The gateway rolls every configuration back.
    RollsBack,
    /// Others ask at the same time: the next question finds no place.
    Busy,
    /// Others command at the same time: the next command finds its number taken.
    Crowded,
}

/// What the hub has.
pub(crate) struct Town {
    pub(crate) mood: Mood,
    log: SigningKey,
    witness: SigningKey,
    gateway: SigningKey,
    secret: SealingSecret,
    leaves: Vec<(Vec<u8>, String)>,
    last: u64,
    counter: u64,
    /// What was sealed to the gateway, as it opened.
    pub(crate) opened: Vec<String>,
    authors: Vec<(KeyId, String)>,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl Town {
    fn logged(&self, index: usize) -> Logged {
        let hashes: Vec<Hash> = self.leaves.iter().map(|(bytes, _)| tree::leaf_hash(bytes)).collect();
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: hashes.len() as u64, root: tree::root(&hashes) };
        let log = if self.mood == Mood::OtherLog { &self.witness } else { &self.log };
        let note = cosign(&checkpoint.sign(log), "w", &self.witness, NOW_S + 100).unwrap();
        let path = tree::inclusion_path(&hashes, index).unwrap();
        let proof = LogProof { index: index as u64, path, note }.to_text();
        Logged { transaction: self.leaves[index].0.clone(), proof }
    }

    fn append(&mut self, bytes: Vec<u8>, author: &str) -> usize {
        self.leaves.push((bytes, author.into()));
        self.leaves.len() - 1
    }

    fn sign<T: Statement>(&mut self, statement: T, key: &SigningKey, author: &str) -> usize {
        self.append(Signed::sign(statement, key).into_bytes(), author)
    }

    pub(crate) fn policy(&self) -> String {
        let log = VerifierKey { name: ORIGIN.into(), key: self.log.public(), usage: KeyUse::Log };
        let witness = VerifierKey { name: "w".into(), key: self.witness.public(), usage: KeyUse::Cosigner };
        format!("log {log}\nwitness w {witness}\nquorum w\n")
    }

    /// Where the last transaction stands.
    pub(crate) fn last_index(&self) -> usize {
        self.leaves.len() - 1
    }

    fn index_of(&self, which: &str) -> Option<usize> {
        let leaf = hex::decode(which).ok().and_then(|bytes| Hash::from_slice(&bytes));
        match leaf {
            Some(leaf) => self.leaves.iter().position(|(bytes, _)| tree::leaf_hash(bytes) == leaf),
            None => which.parse().ok().filter(|index| *index < self.leaves.len()),
        }
    }

    /// A line as a hub tells it.
    fn line(&self, index: usize) -> Value {
        let (bytes, author) = &self.leaves[index];
        let statement = plomb_view::statement(bytes).unwrap();
        let kind = transaction::kind(bytes).unwrap();
        let of = |key: &str| statement.get(key).cloned().unwrap_or_default();
        let gateway = match of("role").as_str() {
            Some("gateway") => of("subject"),
            _ => of("gateway"),
        };
        let (action, text) = match kind {
            Kind::Config => (of("priority"), of("reason")),
            Kind::Command => (of("verb"), of("reason")),
            Kind::Outcome => (of("effect"), of("detail")),
            Kind::Certificate => (json!("issue"), json!("")),
            Kind::Approval => (json!("approve"), json!("")),
            _ => (json!(""), json!("")),
        };
        let text = if self.mood == Mood::OtherWords { json!("all is well") } else { text };
        json!({
            "schema": "plomb.ledger-line/1", "index": index, "time": "2026-05-28T20:26:40.000Z",
            "transaction": tree::leaf_hash(bytes).to_string(), "kind": kind.name(), "action": action, "author": author,
            "gateway": gateway, "point": of("point"), "subject": of("subject"), "version": of("version"),
            "of": of("of"), "text": text, "status": self.outcome_of(index).map(|_| "applied"),
        })
    }

    fn outcome_of(&self, index: usize) -> Option<usize> {
        let leaf = tree::leaf_hash(&self.leaves[index].0);
        self.answering(leaf, |bytes| Unverified::<Outcome>::parse(bytes).ok().map(|parsed| parsed.claims().of))
    }

    fn answering(&self, leaf: Hash, of: impl Fn(&[u8]) -> Option<Hash>) -> Option<usize> {
        self.leaves.iter().position(|(bytes, _)| of(bytes) == Some(leaf))
    }

    fn order(&self, index: usize) -> Value {
        let leaf = tree::leaf_hash(&self.leaves[index].0);
        let named = |index: usize| {
            let (bytes, author) = &self.leaves[index];
            json!({
                "transaction": tree::leaf_hash(bytes).to_string(), "effect": "applied", "by": author,
                "time": "2026-05-28T20:26:40.000Z",
            })
        };
        let approval =
            self.answering(leaf, |bytes| Unverified::<Approval>::parse(bytes).ok().map(|parsed| parsed.claims().of));
        json!({ "answers": self.outcome_of(index).map(named).into_iter().collect::<Vec<_>>(), "approval": approval.map(named) })
    }

    fn history(&self, query: &str) -> Value {
        let fits = |line: &Value| {
            query.split('&').filter_map(|pair| pair.split_once('=')).all(|(key, value)| match key {
                "from" => line["index"].as_u64() >= value.parse().ok(),
                "version" => line["version"].as_u64() == value.parse().ok(),
                _ => line[key].as_str() == Some(value),
            })
        };
        let lines: Vec<Value> = (0..self.leaves.len()).map(|index| self.line(index)).filter(fits).collect();
        // One line a page: whoever asks goes on.
        let next = lines.get(1).map(|line| line["index"].clone());
        json!({ "lines": lines.first().into_iter().collect::<Vec<_>>(), "next": next })
    }

    fn recipient(&self) -> Vec<u8> {
        let certificate = self.index_where(|bytes| {
            matches!(Unverified::<Certificate>::parse(bytes).map(|parsed| parsed.claims().clone()),
                Ok(Certificate::Issue(issue)) if issue.role == Role::Gateway)
        });
        let sealing = self.index_where(|bytes| transaction::kind(bytes) == Ok(Kind::SealingKey));
        let mut recipient = Recipient {
            genesis: self.logged(0),
            parties: vec![self.logged(certificate)],
            sealing: self.logged(sealing),
        };
        if self.mood == Mood::ForeignKey {
            let own = SealingKey { origin: ORIGIN.into(), gateway: name("gw-1"), serial: 2, key: [9; 32] };
            recipient.sealing.transaction = Signed::sign(own, &self.gateway).into_bytes();
        }
        recipient.to_bytes()
    }

    fn index_where(&self, fits: impl Fn(&[u8]) -> bool) -> usize {
        self.leaves.iter().position(|(bytes, _)| fits(bytes)).unwrap()
    }

    /// Takes a transaction. The gateway answers at once, unless another operator is needed.
    fn submit(&mut self, bytes: &[u8]) -> (StatusCode, Value) {
        let leaf = tree::leaf_hash(bytes);
        let known = self.index_of(&leaf.to_string());
        let index = match known {
            Some(index) => index,
            None => match self.admit(bytes) {
                Ok(index) => index,
                Err((rule, detail)) => {
                    let refused = json!({ "admitted": false, "rule": rule, "detail": detail });
                    return (StatusCode::UNPROCESSABLE_ENTITY, refused);
                }
            },
        };
        let outcome = self.outcome_of(index).map(|index| self.line(index));
        let status = if outcome.is_some() { "applied" } else { "awaits-approval" };
        let told = json!({
            "admitted": true, "known": known.is_some(), "index": index, "leaf": leaf.to_string(), "outcome": outcome,
            "status": status,
        });
        (StatusCode::OK, told)
    }

    fn admit(&mut self, bytes: &[u8]) -> Result<usize, (&'static str, String)> {
        let author = |key: KeyId| {
            let found = self.authors.iter().find(|(id, _)| *id == key);
            found.map(|(_, name)| name.clone()).ok_or(("author-known", "nobody has that key".to_string()))
        };
        match transaction::kind(bytes).unwrap() {
            Kind::Config => {
                let parsed = Unverified::<Config>::parse(bytes).unwrap();
                let (config, author) = (parsed.claims().clone(), author(parsed.key_id())?);
                if config.base != self.last {
                    return Err(("config-base", format!("the last version is {}", self.last)));
                }
                self.opened.push(String::from_utf8(config.open(parsed.key_id(), &self.secret).unwrap()).unwrap());
                self.last += 1;
                let index = self.append(bytes.to_vec(), &author);
                self.answer(tree::leaf_hash(bytes));
                Ok(index)
            }
            Kind::Command => {
                let parsed = Unverified::<Command>::parse(bytes).unwrap();
                let (command, author) = (parsed.claims().clone(), author(parsed.key_id())?);
                if self.mood == Mood::Crowded {
                    (self.mood, self.counter) = (Mood::Honest, self.counter + 1);
                }
                if command.counter != self.counter + 1 {
                    return Err(("command-counter", format!("the next is {}", self.counter + 1)));
                }
                self.opened.push(String::from_utf8(command.open(parsed.key_id(), &self.secret).unwrap()).unwrap());
                self.counter += 1;
                let index = self.append(bytes.to_vec(), &author);
                if command.needs < 2 {
                    self.answer(tree::leaf_hash(bytes));
                }
                Ok(index)
            }
            Kind::Approval => {
                let parsed = Unverified::<Approval>::parse(bytes).unwrap();
                let (of, author) = (parsed.claims().of, author(parsed.key_id())?);
                let index = self.append(bytes.to_vec(), &author);
                self.answer(of);
                Ok(index)
            }
            kind => Err(("kind", kind.name().into())),
        }
    }

    fn answer(&mut self, of: Hash) {
        let (effect, rule, detail) = match self.mood {
            Mood::RollsBack => (Effect::RolledBack, "confirm-hub", "the hub was out of reach for 300 s"),
            _ => (Effect::Applied, "", "done"),
        };
        let outcome = Outcome {
            origin: ORIGIN.into(),
            gateway: name("gw-1"),
            of,
            effect,
            rule: rule.into(),
            detail: detail.into(),
            epoch: 0,
            seq: 12,
            time_ms: 1_780_000_000_000,
        };
        let gateway = self.gateway.clone();
        self.sign(outcome, &gateway, "gw-1");
    }

    fn respond(&mut self, method: &Method, path: &str, query: &str, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let json = |status, value: &Value| (status, value.to_string().into_bytes());
        if self.mood == Mood::Busy {
            self.mood = Mood::Crowded;
            let busy = json!({ "error": "busy", "detail": "too many requests at once; try again" });
            return json(StatusCode::SERVICE_UNAVAILABLE, &busy);
        }
        if self.mood == Mood::Revoked {
            let refused = json!({ "error": "certificate", "detail": "the certificate was revoked" });
            return json(StatusCode::FORBIDDEN, &refused);
        }
        let none = json(StatusCode::NOT_FOUND, &json!({ "error": "not-found", "detail": "there is none" }));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["ledger", "transactions"]) => {
                let (status, told) = self.submit(body);
                json(status, &told)
            }
            (_, ["ledger", "history"]) => json(StatusCode::OK, &self.history(query)),
            (_, ["ledger", "gateways", "gw-1"]) => {
                let told = json!({
                    "gateway": "gw-1", "last": self.last, "applied": null, "pending": [], "counter": self.counter,
                    "sealing": { "serial": 1, "key_id": self.secret.key_id().to_string() },
                });
                json(StatusCode::OK, &told)
            }
            (_, ["ledger", "gateways", "gw-1", "recipient"]) => (StatusCode::OK, self.recipient()),
            (_, ["ledger", "transactions", which, form @ ..]) => match (self.index_of(which), form) {
                (Some(index), ["bytes"]) => (StatusCode::OK, self.leaves[index].0.clone()),
                (Some(index), ["proof"]) => (StatusCode::OK, self.logged(index).proof.into_bytes()),
                (Some(index), []) => json(
                    StatusCode::OK,
                    &json!({ "line": self.line(index), "order": self.order(index), "index": index }),
                ),
                _ => none,
            },
            _ => none,
        }
    }
}

/// A running hub, and the folders of its parties.
pub(crate) struct FakeHub {
    pub(crate) folder: TempDir,
    pub(crate) town: Arc<Mutex<Town>>,
    pub(crate) url: String,
}

impl FakeHub {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&authority).unwrap();
        let issuer = Issuer::new(params, authority);
        let [log, witness, member] = [1, 2, 4].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let mut town = Town {
            mood: Mood::Honest,
            log,
            witness,
            gateway: SigningKey::from_seed(&[3; 32]),
            secret: SealingSecret::from_bytes(&[9; 32]).unwrap(),
            leaves: Vec::new(),
            last: 0,
            counter: 0,
            opened: Vec::new(),
            authors: Vec::new(),
        };
        let founder = Member { name: name("utility"), key: member.public(), authority: root.der().to_vec() };
        let genesis = Genesis { origin: ORIGIN.into(), members: vec![founder], quorum: 1 };
        town.sign(genesis, &member, "utility");
        let parties =
            [("alice", Role::Admin), ("otto", Role::Operator), ("olga", Role::Operator), ("gw-1", Role::Gateway)];
        for (id, role) in parties {
            let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
            let certificate = CertificateParams::new(vec![id.into()]).unwrap().signed_by(&pair, &issuer).unwrap();
            let own = folder.path().join(id);
            fs::create_dir(&own).unwrap();
            let pieces = [
                ("client.key", pair.serialize_pem()),
                ("client.crt", certificate.pem()),
                ("ca.crt", root.pem()),
                ("policy.txt", town.policy()),
            ];
            for (file, text) in pieces {
                fs::write(own.join(file), text).unwrap();
                fs::set_permissions(own.join(file), fs::Permissions::from_mode(0o600)).unwrap();
            }
            let key = plomb_gateway::identity::key_in(&own.join("client.key")).unwrap();
            if role == Role::Gateway {
                town.gateway = key.clone();
            }
            town.authors.push((key.public().id(), id.into()));
            let issue = Issue {
                origin: ORIGIN.into(),
                subject: name(id),
                role,
                scope: Vec::new(),
                points: Vec::new(),
                key: key.public(),
                not_before_s: 0,
                not_after_s: i64::MAX,
                x509: certificate.der().to_vec(),
            };
            town.sign(Certificate::Issue(Box::new(issue)), &member, "utility");
        }
        let sealing = SealingKey { origin: ORIGIN.into(), gateway: name("gw-1"), serial: 1, key: town.secret.public() };
        let gateway = town.gateway.clone();
        town.sign(sealing, &gateway, "gw-1");
        let town = Arc::new(Mutex::new(town));
        let port = serve(town.clone(), &issuer, root.der().clone());
        Self { folder, town, url: format!("https://127.0.0.1:{port}") }
    }

    pub(crate) fn party(&self, id: &str) -> PathBuf {
        self.folder.path().join(id)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.town.lock().unwrap().mood = mood;
    }

    /// The arguments by which a party asks this hub.
    pub(crate) fn as_party(&self, id: &str, arguments: &[&str]) -> Vec<String> {
        let own = ["--as".to_string(), text(&self.party(id)), "--hub".into(), self.url.clone()];
        arguments.iter().map(ToString::to_string).chain(own).collect()
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}

fn serve(town: Arc<Mutex<Town>>, issuer: &Issuer<'_, KeyPair>, root: CertificateDer<'static>) -> u16 {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&pair, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (port_to, port) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_to.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, town) = (acceptor.clone(), town.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: Request<Incoming>| answer(town.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
    });
    port.recv().unwrap()
}

async fn answer(town: Arc<Mutex<Town>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let query = head.uri.query().unwrap_or_default().to_string();
    let (status, body) = town.lock().unwrap().respond(&head.method, head.uri.path(), &query, &body);
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    Ok(response)
}
