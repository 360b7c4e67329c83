//! How long a hub takes from a transaction to its answer: a real process, real sockets, every check on.
//!
//! `cargo bench -p plomb-ledger --bench answers`. Beside each figure stands what the disk alone takes for as many
//! commits, in the same run: a commit is two phases, so two `fdatasync`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // figures for people

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/hub/site.rs"]
mod site;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use common::{Gateway, name, seed_of};
use plomb_seal::{
    Answer, Dossier, Hash, Signed, SigningKey, topic,
    transaction::{Config, Effect, Outcome, Priority, SealingKey, sealing_key_id},
};
use rcgen::KeyPair;
use rumqttc::QoS;
use site::{Peer, Site, listen};

/// Transactions of each measurement.
const ROUNDS: usize = 500;
/// Gateways that send at once in the measurement under load.
const CROWD: usize = 16;
/// Batches that each of them keeps on its way.
const AHEAD: usize = 4;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let site = Site::new();
    let mut gateway = site.gateway("gw-1");
    let crowd: Vec<Gateway> = (0..CROWD).map(|n| site.gateway(&format!("crowd-{n}"))).collect();
    tell("two fdatasync of 4 KiB, the disk alone", &mut disk(&site));
    site.certify("admin", "boss");
    let (_running, at) = site.start();

    tell("submitted through the control socket", &mut control(&site));
    let mut peer = listen(&site, "gw-1", "gw-1", at).await;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let batch = gateway.batch(1);
        let began = Instant::now();
        peer.send("gw-1", batch.to_bytes()).await;
        peer.receipt("gw-1").await;
        took.push(began.elapsed());
    }
    tell("batch of one entry to receipt, MQTT over TLS", &mut took);

    peer.subscribe(topic::answer(&name("gw-1"))).await;
    let key = client_key(&site, "gw-1");
    let mut took = Vec::new();
    for serial in 1..=ROUNDS as u64 {
        let transaction = sealing(ROUNDS as u64 + serial, &key);
        let began = Instant::now();
        peer.client
            .publish(topic::outcome(&name("gw-1")), QoS::AtLeastOnce, false, transaction.as_slice())
            .await
            .unwrap();
        let answer = Answer::parse(&peer.on(&topic::answer(&name("gw-1"))).await.payload).unwrap();
        took.push(began.elapsed());
        assert!(answer.logged.is_some(), "{answer:?}");
    }
    tell("transaction on up/outcome to its proof on down/answer", &mut took);

    peer.subscribe(topic::config(&name("gw-1"))).await;
    let (boss, mut took, mut whole) = (client_key(&site, "boss"), Vec::new(), Vec::new());
    let mut desk = Desk::open(&site);
    for base in 0..ROUNDS as u64 {
        let signed = Signed::sign(config(base), &boss);
        let began = Instant::now();
        desk.submit(signed.bytes());
        let dossier = peer.on(&topic::config(&name("gw-1"))).await;
        took.push(began.elapsed());
        let warrant = Dossier::parse(&dossier.payload).unwrap().verify(site::ORIGIN, &name("gw-1"), &site.policy());
        assert_eq!(warrant.unwrap().order, plomb_seal::Ordered::Config(signed.clone()));
        let outcome = Signed::sign(applied(signed.hash()), &key).into_bytes();
        peer.client.publish(topic::outcome(&name("gw-1")), QoS::AtLeastOnce, false, outcome).await.unwrap();
        peer.on(&topic::answer(&name("gw-1"))).await;
        whole.push(began.elapsed());
    }
    tell("configuration submitted to dossier at the gateway", &mut took);
    tell("the same, verified there, to the proof of its outcome", &mut whole);

    let began = Instant::now();
    let mut all = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for gateway in crowd {
        let peer = listen(&site, gateway.chain.gateway().as_str(), "crowd", at).await;
        tasks.spawn(pour(peer, gateway));
    }
    while let Some(took) = tasks.join_next().await {
        all.extend(took.unwrap());
    }
    let rate = all.len() as f64 / began.elapsed().as_secs_f64();
    tell(&format!("the same, {CROWD} gateways with {AHEAD} on their way each: {rate:.0} receipts/s"), &mut all);
}

/// Sends batches of one entry, so many on their way at once; how long each took.
async fn pour(mut peer: Peer, mut gateway: Gateway) -> Vec<Duration> {
    let (own, client) = (gateway.chain.gateway().clone(), peer.client.clone());
    let (mut sent, mut took) = (std::collections::VecDeque::new(), Vec::new());
    while took.len() < ROUNDS / 4 {
        while sent.len() < AHEAD {
            let bytes = gateway.batch(1).to_bytes();
            sent.push_back(Instant::now());
            client.publish(topic::batch(&own), QoS::AtLeastOnce, false, bytes).await.unwrap();
        }
        peer.receipt(own.as_str()).await;
        took.push(sent.pop_front().unwrap().elapsed());
    }
    took
}

/// Sealing keys through the control socket, one after the other.
fn control(site: &Site) -> Vec<Duration> {
    let (key, mut desk) = (client_key(site, "gw-1"), Desk::open(site));
    (1..=ROUNDS as u64)
        .map(|serial| {
            let transaction = sealing(serial, &key);
            let began = Instant::now();
            desk.submit(&transaction);
            began.elapsed()
        })
        .collect()
}

/// The hub's control socket.
struct Desk {
    write: UnixStream,
    read: BufReader<UnixStream>,
}

impl Desk {
    fn open(site: &Site) -> Self {
        let stream = UnixStream::connect(site.path("hub/control.sock")).unwrap();
        Self { write: stream.try_clone().unwrap(), read: BufReader::new(stream) }
    }

    fn submit(&mut self, transaction: &[u8]) {
        let request = serde_json::json!({ "op": "submit", "transaction": hex::encode(transaction) });
        writeln!(self.write, "{request}").unwrap();
        let mut answer = String::new();
        self.read.read_line(&mut answer).unwrap();
        assert!(answer.contains("index"), "{answer}");
    }
}

/// A configuration of 4 KiB. What is sealed makes no difference to the hub.
fn config(base: u64) -> Config {
    Config {
        origin: site::ORIGIN.into(),
        gateway: name("gw-1"),
        base,
        priority: Priority::Immediate,
        window: None,
        commitment: Hash([1; 32]),
        recipient: sealing_key_id(&[(ROUNDS * 2) as u8; 32]),
        sealed: vec![7; 4096],
        reason: "measured".into(),
    }
}

fn applied(of: Hash) -> Outcome {
    Outcome {
        origin: site::ORIGIN.into(),
        gateway: name("gw-1"),
        of,
        effect: Effect::Applied,
        rule: String::new(),
        detail: String::new(),
        epoch: 0,
        seq: 1,
        time_ms: plomb_ledger::hub::unix_ms(),
    }
}

fn client_key(site: &Site, id: &str) -> SigningKey {
    seed_of(&KeyPair::from_pem(&std::fs::read_to_string(site.path(id).join("client.key")).unwrap()).unwrap())
}

fn sealing(serial: u64, key: &SigningKey) -> Vec<u8> {
    let statement = SealingKey { origin: site::ORIGIN.into(), gateway: name("gw-1"), serial, key: [serial as u8; 32] };
    Signed::sign(statement, key).into_bytes()
}

/// What the disk takes for two writes of a page, each made durable.
fn disk(site: &Site) -> Vec<Duration> {
    let mut file = std::fs::File::create(site.path("disk")).unwrap();
    (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..2 {
                file.write_all(&[7; 4096]).unwrap();
                file.sync_data().unwrap();
            }
            began.elapsed()
        })
        .collect()
}

fn tell(what: &str, took: &mut [Duration]) {
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.2} ms, p99 {:.2} ms, of {}", at(0.5), at(0.99), took.len());
}
