//! A ledger's world for tests: a member with its authority, gateways with their chains.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

use plomb_ledger::{
    block::Block,
    ledger::{Answer, Ledger, Signers},
    pki::{self, SubjectKey, Wish},
};
use plomb_seal::{
    Batch, Chain, Clock, Event, Hash, Name, Signed, SigningKey, Stamp,
    batch::Place,
    entry::Occurrence,
    transaction::{Certificate, Genesis, Issue, Member, Role, ScopedPoint},
};
use rcgen::{Issuer, KeyPair, PKCS_ED25519};

/// A fixed time: nothing here asks a clock.
pub const NOW_MS: i64 = 1_800_000_000_000;
pub const NOW_S: i64 = NOW_MS / 1000;
pub const ORIGIN: &str = "ledger.example/test";

pub struct World {
    pub member: SigningKey,
    pub authority: Vec<u8>,
    pub issuer: Issuer<'static, KeyPair>,
    pub signers: Signers,
}

/// The signing key within a PKCS#8 Ed25519 key: the 32 bytes behind the octet string's head.
pub fn seed_of(pair: &KeyPair) -> SigningKey {
    let der = pair.serialize_der();
    let at = der.windows(4).position(|bytes| bytes == [0x04, 0x22, 0x04, 0x20]).unwrap() + 4;
    SigningKey::from_seed(der[at..at + 32].try_into().unwrap())
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl World {
    pub fn new() -> Self {
        Self::seeded(1)
    }

    pub fn seeded(seed: u8) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = pki::authority(&name("member-a"), &pair, NOW_S).unwrap();
        let key = |n: u8| SigningKey::from_seed(&[seed.wrapping_mul(16).wrapping_add(n); 32]);
        Self {
            member: key(1),
            authority: certificate.der().to_vec(),
            issuer: Issuer::from_ca_cert_der(certificate.der(), pair).unwrap(),
            signers: Signers {
                origin: ORIGIN.into(),
                log: key(2),
                witness_name: "ledger.example/witness".into(),
                witness: key(3),
            },
        }
    }

    pub fn genesis_statement(&self) -> Genesis {
        let member = Member { name: name("member-a"), key: self.member.public(), authority: self.authority.clone() };
        Genesis { origin: ORIGIN.into(), members: vec![member], quorum: 1 }
    }

    pub fn genesis(&self) -> Vec<u8> {
        Signed::sign(self.genesis_statement(), &self.member).into_bytes()
    }

    pub fn issue(&self, id: &str, role: Role, scope: &[&str]) -> (Issue, SigningKey) {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        (self.issue_for(&pair, id, role, scope), seed_of(&pair))
    }

    pub fn issue_for(&self, pair: &KeyPair, id: &str, role: Role, scope: &[&str]) -> Issue {
        let (points, gateways): (Vec<&str>, Vec<&str>) = scope.iter().partition(|one| one.contains('/'));
        let scope = gateways.into_iter().map(name).collect();
        let points = points.into_iter().filter_map(|one| one.split_once('/'));
        let points = points.map(|(gateway, point)| ScopedPoint { gateway: name(gateway), point: name(point) });
        let wish = Wish { origin: ORIGIN.into(), subject: name(id), role, scope, points: points.collect(), days: 30 };
        pki::issue(&wish, &SubjectKey::Pair(pair), &self.issuer, NOW_S).unwrap().0
    }

    pub fn sign(&self, certificate: Certificate) -> Vec<u8> {
        Signed::sign(certificate, &self.member).into_bytes()
    }

    pub fn sign_issue(&self, issue: &Issue) -> Vec<u8> {
        self.sign(Certificate::Issue(Box::new(issue.clone())))
    }

    pub fn revoke(&self, fingerprint: Hash) -> Vec<u8> {
        self.sign(Certificate::Revoke { origin: ORIGIN.into(), fingerprint, reason: "test".into() })
    }

    /// A certified gateway that has anchored nothing.
    pub fn gateway(&self, id: &str) -> (Gateway, Vec<u8>) {
        let (issue, key) = self.issue(id, Role::Gateway, &[]);
        let gateway = Gateway::new(id, key, issue.fingerprint());
        (gateway, self.sign_issue(&issue))
    }
}

/// A gateway by hand: its chain, and where its next batch stands.
#[derive(Clone)]
pub struct Gateway {
    pub key: SigningKey,
    pub fingerprint: Hash,
    pub chain: Chain,
    pub place: Place,
}

impl Gateway {
    pub fn new(id: &str, key: SigningKey, fingerprint: Hash) -> Self {
        let place = Place { batch: 0, previous: Hash::ZERO, closed_ms: NOW_MS, checkpoint: None };
        Self { key, fingerprint, chain: Chain::begin(name(id), 0, Hash::ZERO), place }
    }

    /// The next batch, with this many entries.
    pub fn batch(&mut self, entries: usize) -> Batch {
        let stamp = Stamp { unix_ms: NOW_MS, clock: Clock::Synced { error_ms: 10 } };
        let entries = (0..entries)
            .map(|_| {
                let event = Event { name: "test".into(), details: Vec::new() };
                self.chain.seal(Occurrence::Event(event), stamp, &self.key)
            })
            .collect();
        let batch = Batch::close(entries, self.place.clone(), &self.key).unwrap();
        self.place.batch += 1;
        self.place.previous = batch.anchor().hash();
        batch
    }

    pub fn begin_epoch(&mut self, epoch: u32) {
        self.chain = Chain::begin(self.chain.gateway().clone(), epoch, self.chain.head());
        self.place.batch = 0;
    }
}

/// Delivers one transaction as a block of its own.
pub fn deliver(ledger: &Ledger, transaction: Vec<u8>) -> Answer {
    deliver_at(ledger, transaction, NOW_MS)
}

pub fn deliver_at(ledger: &Ledger, transaction: Vec<u8>, time_ms: i64) -> Answer {
    let block = Block { height: ledger.height() + 1, time_ms, transactions: vec![transaction] };
    ledger.deliver(&block, &[]).unwrap().pop().unwrap()
}

pub fn deliver_batch(ledger: &Ledger, batch: &Batch) -> Answer {
    let beside = plomb_ledger::archive::Beside::new(batch, batch.to_bytes());
    let transactions = vec![batch.anchor().bytes().to_vec()];
    let block = Block { height: ledger.height() + 1, time_ms: NOW_MS, transactions };
    ledger.deliver(&block, &[Some(beside)]).unwrap().pop().unwrap()
}
