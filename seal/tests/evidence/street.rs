//! A small deterministic world for the tests: one ledger, one member, one gateway.

use plomb_seal::{
    Absent, Anchor, Batch, Body, Chain, Clock, Credential, Decimal, Entry, Event, Function, Hash, LogProof, Logged,
    Meter, Name, Obis, Policy, Reading, Reason, Receipt, Record, Signed, SigningKey, Stamp, Value,
    batch::Place,
    entry::Occurrence,
    export::{Anchored, Scope, Writer},
    note::{Checkpoint, KeyUse, VerifierKey, cosign},
    transaction::{Certificate, Genesis, Issue, Member, MemberChange, Role, Vote},
    tree,
};

pub const ORIGIN: &str = "ledger.example/street";
pub const WITNESS: &str = "ledger.example/street/solo";
pub const NOW_S: u64 = 1_780_000_000;

pub struct Street {
    pub log: SigningKey,
    pub witness: SigningKey,
    pub gateway: SigningKey,
    pub leaves: Vec<Vec<u8>>,
    pub credential: Credential,
    pub batches: Vec<(Batch, Option<Receipt>)>,
    pub frames: Vec<Vec<u8>>,
    pub chain: Chain,
    pub clock_s: u64,
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl Street {
    pub fn new() -> Self {
        let [log, witness, gateway, member] = [1, 2, 3, 4].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let empty = Logged { transaction: Vec::new(), proof: String::new() };
        let mut this = Self {
            credential: Credential { policy: String::new(), genesis: empty.clone(), certificates: Vec::new() },
            log,
            witness,
            chain: Chain::begin(name("gw-1"), 0, Hash::ZERO),
            gateway,
            leaves: Vec::new(),
            batches: Vec::new(),
            frames: Vec::new(),
            clock_s: NOW_S,
        };
        this.credential.policy = this.policy_text();
        let founder =
            Member { name: name("utility"), key: member.public(), authority: b"an X.509 authority, DER".to_vec() };
        let genesis = Genesis { origin: ORIGIN.into(), members: vec![founder], quorum: 1 };
        this.credential.genesis = this.logged(Signed::sign(genesis, &member).into_bytes());
        let certificate = this.issue(NOW_S as i64 - 86_400, NOW_S as i64 + 365 * 86_400);
        this.credential.certificates = vec![certificate];
        this
    }

    /// A certificate for the gateway's key, on the ledger.
    pub fn issue(&mut self, not_before_s: i64, not_after_s: i64) -> Logged {
        self.issue_by(&SigningKey::from_seed(&[4; 32]), not_before_s, not_after_s)
    }

    pub fn issue_by(&mut self, member: &SigningKey, not_before_s: i64, not_after_s: i64) -> Logged {
        let issue = Issue {
            origin: ORIGIN.into(),
            subject: name("gw-1"),
            role: Role::Gateway,
            scope: Vec::new(),
            points: Vec::new(),
            key: self.gateway.public(),
            not_before_s,
            not_after_s,
            x509: b"an X.509 certificate, DER".to_vec(),
        };
        self.logged(Signed::sign(Certificate::Issue(Box::new(issue)), member).into_bytes())
    }

    /// Another member joins, the founder leaves, and the newcomer certifies the gateway: from now on only that
    /// certificate and the votes behind it are in the credential.
    pub fn hand_over(&mut self) {
        let [founder, newcomer] = [4, 8].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let retailer =
            Member { name: name("retailer"), key: newcomer.public(), authority: b"another authority, DER".to_vec() };
        let votes = [
            (0, MemberChange::Add(Box::new(retailer)), &founder),
            (1, MemberChange::Quorum(2), &founder),
            (2, MemberChange::Quorum(1), &founder),
            (2, MemberChange::Quorum(1), &newcomer),
            (3, MemberChange::Remove(name("utility")), &newcomer),
        ];
        self.credential.certificates.clear();
        for (base, change, voter) in votes {
            let vote = Vote { origin: ORIGIN.into(), base, change };
            let logged = self.logged(Signed::sign(vote, voter).into_bytes());
            self.credential.certificates.push(logged);
        }
        let issued = self.issue_by(&newcomer, NOW_S as i64 - 86_400, NOW_S as i64 + 365 * 86_400);
        self.credential.certificates.push(issued);
    }

    pub fn policy_text(&self) -> String {
        let log = VerifierKey { name: ORIGIN.into(), key: self.log.public(), usage: KeyUse::Log };
        let witness = VerifierKey { name: WITNESS.into(), key: self.witness.public(), usage: KeyUse::Cosigner };
        format!("log {log}\nwitness solo {witness}\nquorum solo\n")
    }

    pub fn policy(&self) -> Policy {
        Policy::parse(&self.policy_text()).unwrap()
    }

    pub fn log_transaction(&mut self, bytes: Vec<u8>) -> LogProof {
        self.leaves.push(bytes);
        self.clock_s += 1;
        let hashes: Vec<Hash> = self.leaves.iter().map(|leaf| tree::leaf_hash(leaf)).collect();
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: hashes.len() as u64, root: tree::root(&hashes) };
        let note = cosign(&checkpoint.sign(&self.log), WITNESS, &self.witness, self.clock_s).unwrap();
        let index = hashes.len() - 1;
        LogProof { index: index as u64, path: tree::inclusion_path(&hashes, index).unwrap(), note }
    }

    pub fn logged(&mut self, transaction: Vec<u8>) -> Logged {
        let proof = self.log_transaction(transaction.clone()).to_text();
        Logged { transaction, proof }
    }

    pub fn stamp(&self) -> Stamp {
        Stamp { unix_ms: self.clock_s as i64 * 1000, clock: Clock::Synced { error_ms: 20 } }
    }

    /// Entries for one round: two meters answer, one is silent.
    pub fn round(&mut self, n: i64) -> Vec<Signed<Entry>> {
        let stamp = self.stamp();
        let mut happened = Vec::new();
        if self.chain.next_seq() == 0 {
            happened.push(Occurrence::Event(Event {
                name: "start".into(),
                details: vec![("version".into(), "0.1.0".into())],
            }));
        }
        for point in ["flat-1-heat", "flat-2-heat"] {
            let frame = format!("telegram {n} of {point}").into_bytes();
            happened.push(Occurrence::Record(name(point), record(n, &frame)));
            self.frames.push(frame);
        }
        let absent =
            Absent { due_ms: stamp.unix_ms - 900, reason: Reason::Timeout, detail: "no answer in 3 tries".into() };
        happened.push(Occurrence::Absent(name("cellar-water"), absent));
        happened.into_iter().map(|one| self.chain.seal(one, stamp, &self.gateway)).collect()
    }

    /// Closes a batch over entries; the ledger answers if `anchored`.
    pub fn batch(&mut self, entries: Vec<Signed<Entry>>, anchored: bool) {
        let before = self.batches.last().map(|(batch, _)| batch.anchor());
        let epoch = self.chain.epoch();
        let number = before.filter(|a| a.statement().epoch == epoch).map_or(0, |a| a.statement().batch + 1);
        let checkpoint = self
            .batches
            .iter()
            .rev()
            .find_map(|(_, receipt)| receipt.as_ref())
            .map(|receipt| LogProof::parse(&receipt.proof).unwrap().note);
        let place = Place {
            batch: number,
            previous: before.map_or(Hash::ZERO, Signed::<Anchor>::hash),
            closed_ms: self.stamp().unix_ms + 500,
            checkpoint,
        };
        let batch = Batch::close(entries, place, &self.gateway).unwrap();
        let receipt = anchored.then(|| {
            let anchor = batch.anchor().bytes().to_vec();
            Receipt { proof: self.log_transaction(anchor.clone()).to_text(), anchor }
        });
        self.batches.push((batch, receipt));
    }

    pub fn rounds(mut self, count: i64) -> Self {
        for n in 0..count {
            let entries = self.round(n);
            self.batch(entries, true);
        }
        self
    }

    pub fn export_all(&self) -> Vec<u8> {
        let (mut writer, mut file) = Writer::begin(&name("gw-1"), &Scope::All, &self.credential);
        for (batch, receipt) in &self.batches {
            let entries: Vec<&[u8]> = batch.entries().iter().map(Signed::bytes).collect();
            file.extend(writer.whole(&self.anchored(batch, receipt.as_ref()), &entries));
        }
        file.extend(writer.end());
        file
    }

    pub fn export_some(&self, scope: &Scope, keep: impl Fn(&Entry) -> bool) -> Vec<u8> {
        let (mut writer, mut file) = Writer::begin(&name("gw-1"), scope, &self.credential);
        for (batch, receipt) in &self.batches {
            let hashes: Vec<Hash> = batch.entries().iter().map(Signed::hash).collect();
            let kept: Vec<(&[u8], Vec<Hash>)> = batch
                .entries()
                .iter()
                .enumerate()
                .filter(|(_, entry)| keep(entry.statement()))
                .map(|(index, entry)| (entry.bytes(), tree::inclusion_path(&hashes, index).unwrap()))
                .collect();
            if !kept.is_empty() {
                let part = Anchored { frames: Vec::new(), ..self.anchored(batch, receipt.as_ref()) };
                file.extend(writer.parts(&part, &kept));
            }
        }
        file.extend(writer.end());
        file
    }

    pub fn anchored<'a>(&'a self, batch: &'a Batch, receipt: Option<&'a Receipt>) -> Anchored<'a> {
        let named: Vec<Hash> = batch
            .entries()
            .iter()
            .filter_map(|entry| match &entry.statement().body {
                Body::Record(_, record) => Some(record.frames.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let frames = self.frames.iter().filter(|frame| named.contains(&Hash::of(frame))).map(Vec::as_slice).collect();
        Anchored { anchor: batch.anchor().bytes(), proof: receipt.map(|receipt| receipt.proof.as_str()), frames }
    }
}

pub fn record(n: i64, frame: &[u8]) -> Record {
    let energy = Reading {
        obis: Some(Obis([6, 0, 1, 0, 0, 255])),
        value: Value::Number(Decimal { mantissa: 12_345 + n, exponent: 3 }),
        unit: "Wh".into(),
        quantity: "energy".into(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: Vec::new(),
    };
    let flow = Reading {
        obis: None,
        value: Value::Number(Decimal { mantissa: -5, exponent: -3 }),
        unit: "m3/h".into(),
        quantity: "volume flow".into(),
        function: Function::Maximum,
        storage: 1,
        tariff: 2,
        subunit: 3,
        time: Some("2026-05-28T10:15".into()),
        flags: vec!["lower limit exceeded".into()],
    };
    let others = [
        Value::Text("FW 1.2".into()),
        Value::Civil("2026-05-31".into()),
        Value::Bytes(vec![1, 2, 3]),
        Value::Invalid(vec![0xff, 0xff]),
    ]
    .map(|value| Reading { value, obis: None, quantity: "manufacturer specific".into(), ..flow.clone() });
    Record {
        meter: Meter {
            protocol: "mbus".into(),
            id: "12345678".into(),
            manufacturer: "PLB".into(),
            version: 1,
            medium: 4,
        },
        readings: [energy, flow].into_iter().chain(others).collect(),
        meter_time: Some("2026-05-28T22:40".into()),
        status: vec!["power low".into()],
        frames: vec![Hash::of(frame)],
        driver: "mbus 0.1.0".into(),
        profile: None,
    }
}
