//! The ciphers against a peer in another language, over another library, both ways.

use plomb_dlms::security::agreement::{AgreementKey, AgreementPublicKey, Purpose, ephemeral_unified};
use plomb_dlms::security::general::{Envelope, KeyChoice, open, protect};
use plomb_dlms::security::signing::{SigningKey, VerifyingKey, proof_text};
use plomb_dlms::security::{
    CounterRange, Form, GeneralKeys, Key, Keys, Protection, SecurityContext, SecurityControl, Suite, SystemTitle, hls,
    transfer,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::{hex, hex_of};

/// Rounds over all suites, forms and protections.
const ROUNDS: u64 = 6;

struct Peer {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// The peer, where there is a Python that has its library; `None` after saying that it is missing, which is a
    /// failure where peers are required.
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let own = root.join("tests/.venv/bin/python3");
        let fallback = if own.exists() { own } else { PathBuf::from("python3") };
        let python = std::env::var_os("PLOMB_PYTHON").map_or(fallback, PathBuf::from);
        let import = Command::new(&python).args(["-c", "import cryptography"]).output();
        if !import.is_ok_and(|import| import.status.success()) {
            assert!(
                std::env::var_os("PLOMB_REQUIRE_PEERS").is_none(),
                "{python:?} has no cryptography: install tests/peers/requirements.txt"
            );
            eprintln!("cryptography absent in {python:?}: install tests/peers/requirements.txt");
            return None;
        }
        let script = root.join("tests/peers/dlms_security.py");
        let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (asks, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, asks, answers })
    }

    fn ask(&mut self, op: &str, mut arguments: Value) -> Result<Vec<u8>, String> {
        arguments["op"] = op.into();
        writeln!(self.asks, "{arguments}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        answer["ok"].as_str().map(hex).ok_or_else(|| answer["error"].as_str().unwrap().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A generator that gives the same numbers each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    pub(crate) fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).unwrap()
    }
}

/// Everything that both sides of one round need, as bytes.
struct Round {
    suite: Suite,
    encryption: Vec<u8>,
    authentication: Vec<u8>,
    kek: Vec<u8>,
    session: Vec<u8>,
    /// Private keys on the suite's curve: ours, the other's, a fresh one.
    own: Vec<u8>,
    theirs: Vec<u8>,
    fresh: Vec<u8>,
    title: SystemTitle,
    recipient: SystemTitle,
    counter: u32,
    transaction: Vec<u8>,
    plain: Vec<u8>,
}

impl Round {
    fn new(suite: Suite, random: &mut Random) -> Self {
        let (key, curve) = (suite.key_bytes(), if suite == Suite::Two { 48 } else { 32 });
        // No private key is above the order.
        let mut private = || [vec![1], random.bytes(curve - 1)].concat();
        let (own, theirs, fresh) = (private(), private(), private());
        let tag = [0xC0, 0xC1, 0xC3, 0xC4, 0xC5, 0xC7, 0x01, 0x08, 0x0E][random.below(9)];
        let length = random.below(400);
        Self {
            suite,
            encryption: random.bytes(key),
            authentication: random.bytes(key),
            kek: random.bytes(key),
            session: random.bytes(key),
            own,
            theirs,
            fresh,
            title: SystemTitle::from_slice(&random.bytes(8)).unwrap(),
            recipient: SystemTitle::from_slice(&random.bytes(8)).unwrap(),
            counter: u32::try_from(random.next() >> 33).unwrap(),
            transaction: random.bytes(8),
            plain: [vec![tag], random.bytes(length)].concat(),
        }
    }

    fn key(bytes: &[u8]) -> Key {
        Key::new(bytes).unwrap()
    }

    fn keys(&self) -> Keys {
        let authentication = Some(Self::key(&self.authentication));
        Keys { encryption: Self::key(&self.encryption), authentication, broadcast: None }
    }

    fn has_curve(&self) -> bool {
        self.suite != Suite::Zero
    }

    fn control(&self, protection: Protection) -> SecurityControl {
        SecurityControl::new(self.suite.number(), protection)
    }

    /// What the peer needs to open what we protect.
    fn for_peer(&self, apdu: &[u8], dedicated: bool) -> Value {
        let key = if dedicated { &self.session } else { &self.encryption };
        let mut arguments = json!({
            "suite": self.suite.number(), "apdu": hex_of(apdu), "title": hex_of(&self.title.0), "ek": hex_of(key),
            "ak": hex_of(&self.authentication), "kek": hex_of(&self.kek),
        });
        if self.has_curve() {
            let own = AgreementKey::new(&self.own).unwrap().public().bytes();
            arguments["private"] = hex_of(&self.theirs).into();
            arguments["public"] = hex_of(&own).into();
            arguments["signer"] = hex_of(&own).into();
        }
        arguments
    }
}

const PROTECTIONS: [Protection; 3] = [
    Protection::FULL,
    Protection { authenticated: true, encrypted: false },
    Protection { authenticated: false, encrypted: true },
];

fn each_round(mut each: impl FnMut(&Round, Protection, &mut Random)) {
    let mut random = Random(0x504C_4F4D_4200_0009);
    for _ in 0..ROUNDS {
        for suite in [Suite::Zero, Suite::One, Suite::Two] {
            for protection in PROTECTIONS {
                each(&Round::new(suite, &mut random), protection, &mut random);
            }
        }
    }
}

/// What we protect, in every form; whether under the dedicated key.
fn protected(round: &Round, protection: Protection) -> Vec<(Vec<u8>, bool)> {
    let mut all = Vec::new();
    let range = CounterRange { next: round.counter, end: round.counter + 1 };
    for (form, dedicated) in
        [(Form::Service, false), (Form::Service, true), (Form::General, false), (Form::General, true)]
    {
        let mut context = SecurityContext::new(round.suite, round.title, round.keys(), range).unwrap();
        context.set_form(form);
        context.set_protection(protection);
        // An association is asked for under the global key.
        let dedicated = dedicated && round.plain[0] != 1;
        if dedicated {
            context.set_dedicated(Round::key(&round.session));
        }
        all.push((context.protect(&round.plain).unwrap(), dedicated));
    }
    let Round { title, recipient, counter, ref transaction, .. } = *round;
    let envelope = Envelope { originator: title, recipient, transaction, counter };
    let mut general = |choice: KeyChoice<'_>| {
        all.push((protect(round.suite, &round.keys(), choice, &envelope, protection, &round.plain).unwrap(), false));
    };
    general(KeyChoice::Global);
    general(KeyChoice::Wrapped { kek: &Round::key(&round.kek), key: &Round::key(&round.session) });
    if round.has_curve() {
        let private = |bytes: &[u8]| AgreementKey::new(bytes).unwrap();
        let theirs = private(&round.theirs).public();
        let signer = SigningKey::new(&round.own).unwrap();
        general(KeyChoice::OnePass { fresh: &private(&round.fresh), signer: &signer, theirs: &theirs });
        general(KeyChoice::StaticUnified { own: &private(&round.own), theirs: &theirs });
    }
    all
}

#[test]
fn the_peer_opens_what_we_protect() {
    let Some(mut peer) = Peer::start() else { return };
    let mut opened = 0;
    each_round(|round, protection, random| {
        for (apdu, dedicated) in protected(round, protection) {
            let answer = peer.ask("open", round.for_peer(&apdu, dedicated));
            assert_eq!(answer.as_ref(), Ok(&round.plain), "{:?} {protection} {}", round.suite, hex_of(&apdu));
            opened += 1;
            if protection.authenticated {
                let mut wrong = apdu.clone();
                let at = wrong.len() - 1 - random.below(12);
                wrong[at] ^= 1;
                assert_eq!(peer.ask("open", round.for_peer(&wrong, dedicated)), Err("InvalidTag".into()));
            }
        }
    });
    eprintln!("{opened} APDUs opened by the peer");
}

#[test]
fn we_open_what_the_peer_protects() {
    let Some(mut peer) = Peer::start() else { return };
    let mut opened = 0;
    each_round(|round, protection, random| {
        let forms = [
            "service",
            "general",
            "identified",
            "none",
            "wrapped",
            "one-pass",
            "static",
            "dedicated-service",
            "dedicated",
        ];
        // Nothing but an APDU is taken without a tag.
        let plain = if protection.authenticated { round.plain.clone() } else { hex("C401C1000600000001") };
        for form in forms {
            if !round.has_curve() && matches!(form, "one-pass" | "static") {
                continue;
            }
            let dedicated = form.starts_with("dedicated");
            let key = if dedicated { &round.session } else { &round.encryption };
            let mut arguments = json!({
                "form": form, "suite": round.suite.number(), "control": round.control(protection).0,
                "plain": hex_of(&plain), "title": hex_of(&round.title.0), "recipient": hex_of(&round.recipient.0),
                "counter": round.counter, "ek": hex_of(key), "ak": hex_of(&round.authentication),
                "kek": hex_of(&round.kek), "key": hex_of(&round.session), "transaction": hex_of(&round.transaction),
                "time": hex_of(&hex("07EA0B1903080000FF800000")), "other": "",
            });
            let length = random.below(200);
            arguments["other"] = hex_of(&random.bytes(length)).into();
            let mut general = GeneralKeys { wrapping: Some(Round::key(&round.kek)), ..GeneralKeys::default() };
            if round.has_curve() {
                let private = |bytes: &[u8]| AgreementKey::new(bytes).unwrap();
                // The peer is the originator: its fresh key agrees with our own one.
                let from = if form == "one-pass" { &round.fresh } else { &round.theirs };
                arguments["private"] = hex_of(from).into();
                arguments["signer"] = hex_of(&round.theirs).into();
                arguments["public"] = hex_of(&private(&round.own).public().bytes()).into();
                general.agreement = Some(private(&round.own));
                general.their_agreement = Some(private(&round.theirs).public());
                general.their_signing = Some(SigningKey::new(&round.theirs).unwrap().public());
            }
            let apdu = peer.ask("protect", arguments).unwrap();
            let got = if dedicated {
                let range = CounterRange { next: 0, end: 0 };
                let mut context = SecurityContext::new(round.suite, round.recipient, round.keys(), range).unwrap();
                context.set_meter(round.title);
                context.set_protection(protection);
                context.set_dedicated(Round::key(&round.session));
                context.open(&apdu)
            } else {
                let keys = round.keys();
                open(&apdu, round.suite, &keys, &general, Some(round.title), Some(round.recipient), protection)
            };
            let got = got.map(|opened| opened.apdu);
            assert_eq!(got.as_ref(), Ok(&plain), "{:?} {form} {protection} {}", round.suite, hex_of(&apdu));
            opened += 1;
        }
    });
    eprintln!("{opened} APDUs of the peer opened");
}

#[test]
fn keys_and_signatures_are_the_peer_s() {
    let Some(mut peer) = Peer::start() else { return };
    each_round(|round, _, _| {
        let (kek, key) = (Round::key(&round.kek), Round::key(&round.session));
        let wrapped = transfer::wrap(&kek, &key).unwrap();
        let arguments = json!({"kek": hex_of(&round.kek), "key": hex_of(&round.session), "wrapped": hex_of(&wrapped)});
        assert_eq!(peer.ask("wrap", arguments.clone()), Ok(wrapped));
        assert_eq!(peer.ask("unwrap", arguments), Ok(round.session.clone()));
        if !round.has_curve() {
            return;
        }
        let (own, theirs) = (AgreementKey::new(&round.own).unwrap(), AgreementKey::new(&round.theirs).unwrap());
        let suite = round.suite.number();
        let public = peer.ask("public", json!({"suite": suite, "private": hex_of(&round.own)})).unwrap();
        assert_eq!(AgreementPublicKey::new(&public).unwrap(), own.public());
        for (purpose, algorithm) in [(Purpose::Ciphering, suite - 1), (Purpose::Wrapping, suite + 1)] {
            let agreed = ephemeral_unified(&own, &theirs.public(), purpose, round.title, round.recipient).unwrap();
            let arguments = json!({
                "suite": suite, "private": hex_of(&round.theirs), "public": hex_of(&public), "algorithm": algorithm,
                "title": hex_of(&round.title.0), "recipient": hex_of(&round.recipient.0),
            });
            let of_peer = Round::key(&peer.ask("agree", arguments).unwrap());
            assert_eq!(transfer::wrap(&agreed, &key).unwrap(), transfer::wrap(&of_peer, &key).unwrap());
        }
        let signing = SigningKey::new(&round.own).unwrap();
        let text = json!({"suite": suite, "private": hex_of(&round.own), "text": hex_of(&round.plain)});
        let signature = peer.ask("sign", text).unwrap();
        assert_eq!(VerifyingKey::new(&public).unwrap().verify(&round.plain, &signature), Ok(()));
        let verify = |signature: &[u8]| {
            json!({
                "suite": suite, "public": hex_of(&public), "text": hex_of(&round.plain), "signature": hex_of(signature),
            })
        };
        let mut signature = signing.sign(&round.plain);
        assert_eq!(peer.ask("verify", verify(&signature)), Ok(vec![]));
        signature[5] ^= 1;
        assert_eq!(peer.ask("verify", verify(&signature)), Err("InvalidSignature".into()));
    });
}

#[test]
fn the_peer_proves_as_we_do() {
    let Some(mut peer) = Peer::start() else { return };
    each_round(|round, _, random| {
        let [theirs, own] = [0, 1].map(|_| {
            let length = 8 + random.below(57);
            random.bytes(length)
        });
        let mut arguments = json!({
            "suite": round.suite.number(), "title": hex_of(&round.title.0), "recipient": hex_of(&round.recipient.0),
            "challenge": hex_of(&theirs), "own": hex_of(&own), "kek": hex_of(&round.kek), "counter": round.counter,
            "ek": hex_of(&round.encryption), "ak": hex_of(&round.authentication), "private": hex_of(&round.theirs),
        });
        let mut proof = |mechanism: u8| {
            arguments["mechanism"] = mechanism.into();
            peer.ask("proof", arguments.clone()).unwrap()
        };
        let Round { suite, title, recipient, counter, .. } = *round;
        assert_eq!(proof(3), hls::md5(&theirs, &round.kek));
        assert_eq!(proof(4), hls::sha1(&theirs, &round.kek));
        assert_eq!(proof(6), hls::sha256(&round.kek, title, recipient, &theirs, &own));
        let keys = round.keys();
        let (key, authentication) = (&keys.encryption, keys.authentication.as_ref());
        let of_peer = proof(5);
        assert_eq!(Ok(&of_peer), hls::gmac(suite, key, authentication, title, counter, &theirs).as_ref());
        assert_eq!(hls::check_gmac(suite, key, authentication, title, &of_peer, &theirs), Ok(counter));
        if round.has_curve() {
            let public = SigningKey::new(&round.theirs).unwrap().public();
            assert_eq!(public.verify(&proof_text(title, recipient, &theirs, &own), &proof(7)), Ok(()));
        }
    });
}
