//! Parties of a consortium, with their keys, and statements that are right unless a test bends them.

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use plomb_ledger::{
    ledger::Signers,
    pki::{self, SubjectKey, Wish},
    state::{SEALED_BYTES_MIN, Standing, State},
};
use plomb_seal::{
    Hash, KeyId, Name, Signed, SigningKey, Statement,
    cbor::{Decoder, Encoder},
    transaction::{
        Approval, Certificate, Command, Config, Effect, Genesis, Issue, Member, Outcome, Priority, Role, ScopedPoint,
        SealingKey, sealing_key_id,
    },
};
use rcgen::{Issuer, KeyPair, PKCS_ED25519};

use crate::common::{NOW_MS, NOW_S, ORIGIN, name, seed_of};

pub const DAY_MS: i64 = 86_400_000;

/// A member, with its secrets.
pub struct Founder {
    pub name: Name,
    pub key: SigningKey,
    pub authority: Vec<u8>,
    seed: [u8; 32],
    issuer: Issuer<'static, KeyPair>,
}

impl Founder {
    pub fn new(id: &str, now_s: i64) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let seed = Hash::of(&pair.serialize_der()).0;
        let authority = pki::authority(&name(id), &pair, now_s).unwrap();
        Self {
            name: name(id),
            key: SigningKey::from_seed(&seed),
            authority: authority.der().to_vec(),
            seed,
            issuer: Issuer::from_ca_cert_der(authority.der(), pair).unwrap(),
        }
    }

    pub fn member(&self) -> Member {
        Member { name: self.name.clone(), key: self.key.public(), authority: self.authority.clone() }
    }

    /// The same statement with another signature that fits: only who holds the key can make one, and no honest
    /// program does (RFC 8032 derives the nonce).
    pub fn sign_anew<T: Statement>(&self, statement: T) -> Vec<u8> {
        let bytes = sign(statement, &self.key);
        let mut from = Decoder::new(&bytes);
        from.tag_exact(18).unwrap();
        from.array_exact(4).unwrap();
        let protected = from.bytes().unwrap();
        from.map_exact(0).unwrap();
        let payload = from.bytes().unwrap();
        let mut out = Encoder::new();
        out.array(4).text("Signature1").bytes(protected).bytes(&[]).bytes(payload);
        let mut secret = ExpandedSecretKey::from(&self.seed);
        secret.hash_prefix[0] ^= 1;
        let public = ed25519_dalek::SigningKey::from_bytes(&self.seed).verifying_key();
        let signature = raw_sign::<sha2::Sha512>(&secret, &out.finish(), &public);
        [&bytes[..bytes.len() - 64], &signature.to_bytes()].concat()
    }

    pub fn issue(&self, party: &Party, now_s: i64) -> Issue {
        let (points, gateways): (Vec<&str>, Vec<&str>) = party.scope.iter().partition(|one| one.contains('/'));
        let points = points.into_iter().filter_map(|one| one.split_once('/'));
        let wish = Wish {
            origin: ORIGIN.into(),
            subject: party.name.clone(),
            role: party.role,
            scope: gateways.into_iter().map(name).collect(),
            points: points.map(|(gateway, point)| ScopedPoint { gateway: name(gateway), point: name(point) }).collect(),
            days: 30,
        };
        pki::issue(&wish, &SubjectKey::Pair(&party.pair), &self.issuer, now_s).unwrap().0
    }
}

/// Somebody who is certified, with the key.
pub struct Party {
    pub name: Name,
    pub role: Role,
    pub scope: &'static [&'static str],
    pub key: SigningKey,
    pub pair: KeyPair,
    /// The last certificate that was issued.
    pub fingerprint: Hash,
    /// The keys before this one.
    pub retired: Vec<SigningKey>,
}

impl Party {
    pub fn new(id: &str, role: Role, scope: &'static [&'static str]) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let key = seed_of(&pair);
        Self { name: name(id), role, scope, key, pair, fingerprint: Hash::ZERO, retired: Vec::new() }
    }

    pub fn new_key(&mut self) {
        self.pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        self.retired.push(std::mem::replace(&mut self.key, seed_of(&self.pair)));
    }

    pub fn holds(&self, state: &State, time_ms: i64) -> bool {
        state.certificate(&self.fingerprint).is_some_and(|record| record.standing(state, time_ms) == Standing::Holds)
    }
}

pub fn sign<T: Statement>(statement: T, key: &SigningKey) -> Vec<u8> {
    Signed::sign(statement, key).into_bytes()
}

pub fn signers() -> Signers {
    Signers {
        origin: ORIGIN.into(),
        log: SigningKey::from_seed(&[2; 32]),
        witness_name: "ledger.example/witness".into(),
        witness: SigningKey::from_seed(&[3; 32]),
    }
}

pub fn genesis(founders: &[&Founder], quorum: u32) -> Genesis {
    Genesis { origin: ORIGIN.into(), members: founders.iter().map(|founder| founder.member()).collect(), quorum }
}

pub fn certificate(issue: &Issue) -> Certificate {
    Certificate::Issue(Box::new(issue.clone()))
}

/// The next sealing key of a gateway.
pub fn sealing_key(state: &State, gateway: &Name) -> SealingKey {
    let serial = state.register(gateway).and_then(|register| register.sealing).map_or(0, |sealing| sealing.serial) + 1;
    SealingKey { origin: ORIGIN.into(), gateway: gateway.clone(), serial, key: Hash::of(gateway.as_str().as_bytes()).0 }
}

fn recipient(state: &State, gateway: &Name) -> KeyId {
    let sealing = state.register(gateway).and_then(|register| register.sealing);
    sealing.map_or(KeyId([0; 8]), |sealing| sealing_key_id(&sealing.key))
}

/// The next configuration of a gateway.
pub fn config(state: &State, gateway: &Name) -> Config {
    Config {
        origin: ORIGIN.into(),
        gateway: gateway.clone(),
        base: state.register(gateway).map_or(0, plomb_ledger::state::Register::version),
        priority: Priority::Routine,
        window: None,
        commitment: Hash([1; 32]),
        recipient: recipient(state, gateway),
        sealed: vec![7; SEALED_BYTES_MIN],
        reason: "new interval".into(),
    }
}

/// The next command to a gateway.
pub fn command(state: &State, gateway: &Name, time_ms: i64) -> Command {
    Command {
        origin: ORIGIN.into(),
        gateway: gateway.clone(),
        point: name("water"),
        verb: name("read"),
        counter: state.register(gateway).map_or(0, |register| register.counter) + 1,
        expires_ms: time_ms + DAY_MS,
        needs: 1,
        commitment: Hash([2; 32]),
        recipient: recipient(state, gateway),
        sealed: vec![8; SEALED_BYTES_MIN],
        reason: "asked for".into(),
    }
}

pub fn approval(of: Hash) -> Approval {
    Approval { origin: ORIGIN.into(), of }
}

pub fn outcome(gateway: &Name, of: Hash, effect: Effect) -> Outcome {
    Outcome {
        origin: ORIGIN.into(),
        gateway: gateway.clone(),
        of,
        effect,
        rule: if effect == Effect::Applied { String::new() } else { "some-rule".into() },
        detail: "in words".into(),
        epoch: 0,
        seq: 17,
        time_ms: NOW_MS,
    }
}

/// A consortium of two, a gateway with its sealing key, an admin and two operators.
pub struct Town {
    pub ground: crate::ground::Ground,
    pub a: Founder,
    pub b: Founder,
    pub gateway: Party,
    pub admin: Party,
    pub operators: [Party; 2],
}

impl Town {
    pub fn new() -> Self {
        let (a, b) = (Founder::new("member-a", NOW_S), Founder::new("member-b", NOW_S));
        let ground = crate::ground::Ground::new(&signers(), true);
        let mut town = Self {
            ground,
            gateway: Party::new("gw-1", Role::Gateway, &[]),
            admin: Party::new("boss", Role::Admin, &[]),
            operators: [Party::new("op-a", Role::Operator, &[]), Party::new("op-b", Role::Operator, &[])],
            a,
            b,
        };
        town.admit(sign(genesis(&[&town.a, &town.b], 2), &town.a.key));
        for n in 0..4 {
            town.certify(n);
        }
        town.admit(sign(sealing_key(&town.ground.state, &name("gw-1")), &town.gateway.key));
        town
    }

    fn party(&mut self, n: usize) -> &mut Party {
        match n {
            0 => &mut self.gateway,
            1 => &mut self.admin,
            n => &mut self.operators[n - 2],
        }
    }

    fn certify(&mut self, n: usize) {
        let founder = std::mem::replace(&mut self.a, Founder::new("member-x", NOW_S));
        let party = self.party(n);
        let issue = founder.issue(party, NOW_S);
        party.fingerprint = issue.fingerprint();
        self.admit(sign(certificate(&issue), &founder.key));
        self.a = founder;
    }

    #[track_caller]
    pub fn admit(&mut self, transaction: Vec<u8>) -> Hash {
        self.admit_at(transaction, NOW_MS)
    }

    #[track_caller]
    pub fn admit_at(&mut self, transaction: Vec<u8>, time_ms: i64) -> Hash {
        let leaf = plomb_seal::tree::leaf_hash(&transaction);
        let answer = self.ground.deliver(transaction, time_ms);
        assert!(matches!(answer, plomb_ledger::ledger::Answer::Admitted { .. }), "{answer:?}");
        leaf
    }

    #[track_caller]
    pub fn refuse(&mut self, rule: &str, transaction: Vec<u8>) {
        self.refuse_at(rule, transaction, NOW_MS);
    }

    #[track_caller]
    pub fn refuse_at(&mut self, rule: &str, transaction: Vec<u8>, time_ms: i64) {
        match self.ground.deliver(transaction, time_ms) {
            plomb_ledger::ledger::Answer::Refused(refused) => assert_eq!(refused.rule, rule, "{}", refused.detail),
            other => panic!("{rule} let it pass: {other:?}"),
        }
    }

    /// Proposes a configuration.
    #[track_caller]
    pub fn propose(&mut self, priority: Priority) -> Hash {
        let config = Config { priority, ..config(&self.ground.state, &name("gw-1")) };
        self.admit(sign(config, &self.admin.key))
    }

    /// Sends a command that needs so many operators.
    #[track_caller]
    pub fn send(&mut self, needs: u8) -> Hash {
        let command = Command { needs, ..command(&self.ground.state, &name("gw-1"), NOW_MS) };
        self.admit(sign(command, &self.operators[0].key))
    }

    #[track_caller]
    pub fn answer(&mut self, of: Hash, effect: Effect) -> Hash {
        self.admit(sign(outcome(&name("gw-1"), of, effect), &self.gateway.key))
    }

    #[track_caller]
    pub fn status(&self, of: &Hash) -> &'static str {
        self.status_at(of, NOW_MS)
    }

    #[track_caller]
    pub fn status_at(&self, of: &Hash, time_ms: i64) -> &'static str {
        let order = self.ground.ledger.as_ref().unwrap().order(of).unwrap().unwrap();
        self.ground.state.status(of, &order, time_ms).name()
    }

    pub fn due(&self, time_ms: i64) -> Vec<Hash> {
        self.ground.state.due(&name("gw-1"), time_ms).into_iter().map(|due| due.transaction).collect()
    }

    pub fn revoke(&mut self, fingerprint: Hash) {
        let revoke = Certificate::Revoke { origin: ORIGIN.into(), fingerprint, reason: "gone".into() };
        self.admit(sign(revoke, &self.a.key));
    }
}
