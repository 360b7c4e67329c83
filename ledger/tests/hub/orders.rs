//! What gateways have to do, over MQTT: dossiers down, outcomes up, answers down. The gateway is played by hand, with
//! the checks that a gateway makes.

use plomb_ledger::state::SEALED_BYTES_MIN;
use plomb_seal::{
    Answer, Dossier, Ordered, Signed, SigningKey, Statement,
    sealed::{Sealing, SealingSecret},
    transaction::{Approval, Command as Order, Config, Effect, Outcome, Priority, SealingKey},
};

use super::*;
use crate::site::{ORIGIN, Peer};

/// A gateway with its keys, connected.
struct Box_ {
    id: &'static str,
    key: SigningKey,
    secret: SealingSecret,
    peer: Peer,
}

impl Box_ {
    /// Connects, listens, and has its sealing key logged if `serial` is given.
    async fn connect(site: &Site, id: &'static str, at: std::net::SocketAddr, serial: Option<u64>) -> Self {
        let peer = site.connect(id, id, at);
        for topic in [topic::config(&name(id)), topic::command(&name(id)), topic::answer(&name(id))] {
            peer.subscribe(topic).await;
        }
        let secret = SealingSecret::from_bytes(&Hash::of(id.as_bytes()).0).unwrap();
        let mut this = Self { id, key: site.key_of(id), secret, peer };
        if let Some(serial) = serial {
            let key = this.secret.public();
            let stated = SealingKey { origin: ORIGIN.into(), gateway: name(id), serial, key };
            let signed = this.send(stated).await;
            assert!(this.answered(site, &signed).await.is_ok());
        }
        this
    }

    async fn say(&self, topic: String, payload: Vec<u8>) {
        self.peer.client.publish(topic, rumqttc::QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    async fn say_online(&self) {
        self.say(topic::status(&name(self.id)), br#"{"state":"online","more":1}"#.to_vec()).await;
    }

    async fn send<T: Statement>(&self, statement: T) -> Signed<T> {
        let signed = Signed::sign(statement, &self.key);
        self.say(topic::outcome(&name(self.id)), signed.bytes().to_vec()).await;
        signed
    }

    /// The answer to what was sent last: its index, proved under the policy, or the rule that it broke.
    async fn answered<T: Statement>(&mut self, site: &Site, signed: &Signed<T>) -> Result<u64, String> {
        let answer = self.answer().await;
        match answer.verify(signed.bytes(), ORIGIN, &site.policy()).unwrap() {
            Some(index) => Ok(index),
            None => Err(answer.rule),
        }
    }

    async fn answer(&mut self) -> Answer {
        Answer::parse(&self.peer.on(&topic::answer(&name(self.id))).await.payload).unwrap()
    }

    /// The next order on a topic, verified as a gateway does: its leaf hash and what was sealed.
    async fn order(&mut self, site: &Site, topic: String) -> (Hash, Vec<u8>) {
        let publish = self.peer.on(&topic).await;
        assert!(!publish.retain, "the broker keeps no orders");
        let dossier = Dossier::parse(&publish.payload).unwrap();
        let warrant = dossier.verify(ORIGIN, &name(self.id), &site.policy()).unwrap();
        match warrant.order {
            Ordered::Config(config) => {
                (config.hash(), config.statement().open(warrant.author.key.id(), &self.secret).unwrap())
            }
            Ordered::Command(command) => {
                (command.hash(), command.statement().open(warrant.author.key.id(), &self.secret).unwrap())
            }
        }
    }

    async fn config(&mut self, site: &Site) -> (Hash, Vec<u8>) {
        self.order(site, topic::config(&name(self.id))).await
    }

    async fn command(&mut self, site: &Site) -> (Hash, Vec<u8>) {
        self.order(site, topic::command(&name(self.id))).await
    }

    fn outcome(&self, of: Hash, effect: Effect) -> Outcome {
        Outcome {
            origin: ORIGIN.into(),
            gateway: name(self.id),
            of,
            effect,
            rule: String::new(),
            detail: String::new(),
            epoch: 0,
            seq: 3,
            time_ms: unix_ms(),
        }
    }

    fn sealing(&self) -> [u8; 32] {
        self.secret.public()
    }
}

/// A configuration of a gateway, sealed by an admin.
fn config(gateway: &Box_, base: u64, author: &SigningKey, content: &[u8]) -> Config {
    let config = Config {
        origin: ORIGIN.into(),
        gateway: name(gateway.id),
        base,
        priority: Priority::Urgent,
        window: None,
        commitment: Hash::ZERO,
        recipient: gateway.secret.key_id(),
        sealed: vec![0; SEALED_BYTES_MIN],
        reason: "read more often".into(),
    };
    let sealing = &Sealing { recipient: &gateway.sealing(), salt: &[7; 32], seed: &Hash::of(content).0 };
    config.seal(author.public().id(), sealing, content).unwrap()
}

fn command(gateway: &Box_, counter: u64, needs: u8, author: &SigningKey) -> Order {
    let command = Order {
        origin: ORIGIN.into(),
        gateway: name(gateway.id),
        point: name("water"),
        verb: name("read"),
        counter,
        expires_ms: unix_ms() + 600_000,
        needs,
        commitment: Hash::ZERO,
        recipient: gateway.secret.key_id(),
        sealed: vec![0; SEALED_BYTES_MIN],
        reason: String::new(),
    };
    let sealing = &Sealing { recipient: &gateway.sealing(), salt: &[8; 32], seed: &Hash::of(&counter.to_be_bytes()).0 };
    command.seal(author.public().id(), sealing, b"").unwrap()
}

fn due(site: &Site, gateway: &str) -> Vec<String> {
    let due = site.json(&["ledger", "due", "--gateway", gateway, "--json"]);
    due["due"].as_array().unwrap().iter().map(|one| one["transaction"].as_str().unwrap().to_owned()).collect()
}

/// From the admin's word to the gateway's, with the hub killed in between; then the same word again, and another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_delivered_until_it_is_answered_and_answered_once() {
    let site = Site::new();
    for (role, id) in [("gateway", "gw-1"), ("admin", "boss")] {
        site.certify(role, id);
    }
    let boss = site.key_of("boss");
    let (running, at) = site.start();
    let mut gateway = Box_::connect(&site, "gw-1", at, Some(1)).await;
    let (_, of) = site.submit(config(&gateway, 0, &boss, b"interval = 60"), &boss).unwrap();
    assert_eq!(gateway.config(&site).await, (of, b"interval = 60".to_vec()), "as soon as it is admitted");
    // Dropping the hub kills it.
    drop(running);

    let (_running, at) = site.start();
    let mut gateway = Box_::connect(&site, "gw-1", at, None).await;
    gateway.say_online().await;
    assert_eq!(gateway.config(&site).await.0, of, "and when the gateway comes online");
    assert_eq!(due(&site, "gw-1"), [of.to_string()]);
    let applied = gateway.send(gateway.outcome(of, Effect::Applied)).await;
    let index = gateway.answered(&site, &applied).await.unwrap();
    assert_eq!(due(&site, "gw-1"), Vec::<String>::new());

    gateway.say(topic::outcome(&name("gw-1")), applied.bytes().to_vec()).await;
    assert_eq!(gateway.answered(&site, &applied).await, Ok(index), "the same word has its one place");
    let other = gateway.send(gateway.outcome(of, Effect::Refused)).await;
    assert_eq!(gateway.answered(&site, &other).await, Err("outcome-once".into()));
    // What is answered is not sent again; what comes next is the next one.
    gateway.say_online().await;
    let (_, next) = site.submit(config(&gateway, 1, &boss, b"interval = 30"), &boss).unwrap();
    assert_eq!(gateway.config(&site).await.0, next);
    let back = gateway.send(gateway.outcome(next, Effect::RolledBack)).await;
    gateway.answered(&site, &back).await.unwrap();
    let outcomes = site.json(&["status", "--json"])["transactions"].clone();
    assert_eq!((&outcomes["admitted"], &outcomes["known"]), (&2.into(), &1.into()), "{outcomes}");
    assert_eq!(outcomes["refused"]["outcome-once"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_needs_two_is_sent_when_the_second_has_signed_and_not_once_its_author_is_revoked() {
    let site = Site::new();
    for (role, id) in [("gateway", "gw-1"), ("operator", "op-a"), ("operator", "op-b")] {
        site.certify(role, id);
    }
    let (first, second) = (site.key_of("op-a"), site.key_of("op-b"));
    let (_running, at) = site.start();
    let mut gateway = Box_::connect(&site, "gw-1", at, Some(1)).await;
    let (_, waits) = site.submit(command(&gateway, 1, 2, &first), &first).unwrap();
    let (_, goes) = site.submit(command(&gateway, 2, 1, &second), &second).unwrap();
    assert_eq!(gateway.command(&site).await.0, goes, "the first waits for its second operator");
    site.submit(Approval { origin: ORIGIN.into(), of: waits }, &second).unwrap();
    assert_eq!(gateway.command(&site).await.0, waits);
    // What a revoked operator had sent is sent no more.
    assert!(site.ask(&["revoke", "--id", "op-a", "--reason", "left"]).status.success());
    let done = gateway.send(gateway.outcome(goes, Effect::Applied)).await;
    gateway.answered(&site, &done).await.unwrap();
    gateway.say_online().await;
    let (_, next) = site.submit(command(&gateway, 3, 1, &second), &second).unwrap();
    assert_eq!(gateway.command(&site).await.0, next);
    assert_eq!(due(&site, "gw-1"), [next.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_outcome_of_the_gateway_that_sends_it_is_refused_by_rule() {
    let site = Site::new();
    for (role, id) in [("gateway", "gw-1"), ("gateway", "gw-2"), ("admin", "boss")] {
        site.certify(role, id);
    }
    let boss = site.key_of("boss");
    let (_running, at) = site.start();
    let mut first = Box_::connect(&site, "gw-1", at, Some(1)).await;
    let mut second = Box_::connect(&site, "gw-2", at, Some(1)).await;
    let (_, of) = site.submit(config(&first, 0, &boss, b"x"), &boss).unwrap();

    let foreign = Signed::sign(first.outcome(of, Effect::Refused), &first.key);
    second.say(topic::outcome(&name("gw-2")), foreign.bytes().to_vec()).await;
    assert_eq!(second.answered(&site, &foreign).await, Err("outcome-gateway".into()), "held back and sent by another");
    let usurped = second.send(second.outcome(of, Effect::Refused)).await;
    assert_eq!(second.answered(&site, &usurped).await, Err("outcome-of".into()));
    let forged = Signed::sign(first.outcome(of, Effect::Refused), &second.key);
    first.say(topic::outcome(&name("gw-1")), forged.bytes().to_vec()).await;
    assert_eq!(first.answered(&site, &forged).await, Err("outcome-known-gateway".into()));
    let order = Signed::sign(config(&first, 1, &boss, b"y"), &boss);
    first.say(topic::outcome(&name("gw-1")), order.bytes().to_vec()).await;
    assert_eq!(first.answered(&site, &order).await, Err("outcome-kind".into()), "orders do not come this way");
    first.say(topic::outcome(&name("gw-1")), b"noise".to_vec()).await;
    assert_eq!(first.answer().await.rule, "transaction-form");
    assert_eq!(due(&site, "gw-1"), [of.to_string()], "nothing of this counted");

    // On another's topic it is not even heard, and what is too large ends the connection.
    second.say(topic::outcome(&name("gw-1")), foreign.bytes().to_vec()).await;
    second.peer.is_cut_off().await;
    first.say(topic::outcome(&name("gw-1")), vec![0; 65_536]).await;
    first.peer.is_cut_off().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_noise_is_answered_counted_and_sent_away() {
    let site = Site::new();
    site.certify("gateway", "gw-1");
    let (_running, at) = site.start();
    let mut gateway = Box_::connect(&site, "gw-1", at, None).await;
    for n in 0..40u8 {
        gateway.say(topic::outcome(&name("gw-1")), vec![n; 100]).await;
    }
    gateway.peer.is_cut_off().await;
    let refused = site.json(&["status", "--json"])["transactions"]["refused"]["transaction-form"].clone();
    assert!(refused.as_u64() > Some(30), "{refused}");
}

/// A stolen gateway: what it says after its revocation is refused, over MQTT and by file; what it said stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_gateway_answers_nothing_more() {
    let site = Site::new();
    for (role, id) in [("gateway", "gw-1"), ("admin", "boss")] {
        site.certify(role, id);
    }
    let boss = site.key_of("boss");
    let (_running, at) = site.start();
    let mut gateway = Box_::connect(&site, "gw-1", at, Some(1)).await;
    let (index, of) = site.submit(config(&gateway, 0, &boss, b"x"), &boss).unwrap();
    gateway.config(&site).await;
    assert!(site.ask(&["revoke", "--id", "gw-1", "--reason", "stolen"]).status.success());
    gateway.peer.is_cut_off().await;
    assert!(matches!(gateway.peer.is_cut_off().await, ConnectionError::ConnectionRefused(_)));
    let refused = site.submit(gateway.outcome(of, Effect::Applied), &gateway.key).unwrap_err();
    assert!(refused.contains("outcome-current"), "{refused}");
    let sealed = site.submit(config(&gateway, 1, &boss, b"y"), &boss).unwrap_err();
    assert!(sealed.contains("config-recipient"), "nothing is sealed to a stolen box: {sealed}");
    assert_eq!(site.json(&["ledger", "show", &index.to_string(), "--json"])["line"]["status"], "pending");
}
