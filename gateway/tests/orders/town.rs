//! A ledger in memory, with admins and operators that seal to a gateway.

use plomb_gateway::orders::Who;
use plomb_seal::{
    Answer, Dossier, Hash, LogProof, Logged, Name, Policy, Signed, SigningKey, Statement, Unverified,
    note::{Checkpoint, KeyUse, VerifierKey, cosign},
    sealed::Sealing,
    transaction::{
        Approval, Certificate, Command, Config, Genesis, Issue, Member, Outcome, Priority, Role, SealingKey, Window,
    },
    tree,
};

pub const ORIGIN: &str = "ledger.example/town";
const WITNESS: &str = "ledger.example/town/solo";
/// 2026-06-01, noon.
pub const NOON_MS: i64 = 1_780_315_200_000;

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub struct Town {
    log: SigningKey,
    witness: SigningKey,
    member: SigningKey,
    leaves: Vec<Hash>,
    genesis: Logged,
    parties: Vec<Logged>,
    pub gateway: SigningKey,
    pub policy: Policy,
    /// The gateway's sealing key, once the town has heard of it.
    pub sealing: [u8; 32],
    seals: u8,
    /// Outcomes that came, in their order.
    pub outcomes: Vec<Outcome>,
    pub admin: SigningKey,
    pub operator: SigningKey,
    pub second: SigningKey,
}

/// What a configuration is, unless a test bends it.
pub struct Proposal<'a> {
    pub base: u64,
    pub text: &'a str,
    pub priority: Priority,
    pub window: Option<Window>,
    pub gateway: &'a str,
    pub flip: bool,
}

impl<'a> Proposal<'a> {
    pub fn new(base: u64, text: &'a str) -> Self {
        Self { base, text, priority: Priority::Immediate, window: None, gateway: "gw-1", flip: false }
    }
}

/// What a command is, unless a test bends it.
#[derive(Clone)]
pub struct Wish {
    pub counter: u64,
    pub point: &'static str,
    pub verb: &'static str,
    pub content: &'static str,
    pub expires_ms: i64,
    pub needs: u8,
    pub flip: bool,
}

impl Wish {
    pub fn new(counter: u64) -> Self {
        let expires_ms = NOON_MS + 3_600_000;
        Self { counter, point: "flat-1", verb: "disconnect", content: "", expires_ms, needs: 1, flip: false }
    }
}

impl Town {
    pub fn new() -> Self {
        let [log, witness, member, gateway, admin, operator, second] =
            [11, 12, 13, 14, 15, 16, 17].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let key = VerifierKey { name: ORIGIN.into(), key: log.public(), usage: KeyUse::Log };
        let solo = VerifierKey { name: WITNESS.into(), key: witness.public(), usage: KeyUse::Cosigner };
        let text = format!("log {key}\nwitness solo {solo}\nquorum solo\n");
        let founder = Member { name: name("utility"), key: member.public(), authority: Vec::new() };
        let genesis = Genesis { origin: ORIGIN.into(), members: vec![founder], quorum: 1 };
        let nothing = Logged { transaction: Vec::new(), proof: String::new() };
        let mut this = Self {
            log,
            witness,
            member,
            leaves: Vec::new(),
            genesis: nothing,
            parties: Vec::new(),
            gateway,
            policy: Policy::parse(&text).unwrap(),
            sealing: [0; 32],
            seals: 0,
            outcomes: Vec::new(),
            admin,
            operator,
            second,
        };
        this.genesis = this.logged(Signed::sign(genesis, &this.member.clone()).into_bytes());
        for (key, role, subject) in [
            (this.admin.clone(), Role::Admin, "alice"),
            (this.operator.clone(), Role::Operator, "bob"),
            (this.second.clone(), Role::Operator, "carol"),
        ] {
            this.certify(&key, role, subject, &[]);
        }
        this
    }

    pub fn certify(&mut self, key: &SigningKey, role: Role, subject: &str, scope: &[&str]) {
        let issue = Issue {
            origin: ORIGIN.into(),
            subject: name(subject),
            role,
            scope: scope.iter().map(|one| name(one)).collect(),
            points: Vec::new(),
            key: key.public(),
            not_before_s: 0,
            not_after_s: i64::MAX,
            x509: Vec::new(),
        };
        let signed = Signed::sign(Certificate::Issue(Box::new(issue)), &self.member).into_bytes();
        let logged = self.logged(signed);
        self.parties.push(logged);
    }

    pub fn who(&self) -> Who {
        Who {
            gateway: name("gw-1"),
            origin: ORIGIN.into(),
            key: self.gateway.clone(),
            policy: std::sync::Arc::new(self.policy.clone()),
        }
    }

    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn logged(&mut self, transaction: Vec<u8>) -> Logged {
        self.leaves.push(tree::leaf_hash(&transaction));
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: self.size(), root: tree::root(&self.leaves) };
        let now_s = NOON_MS as u64 / 1000;
        let note = cosign(&checkpoint.sign(&self.log), WITNESS, &self.witness, now_s).unwrap();
        let index = self.leaves.len() - 1;
        let path = tree::inclusion_path(&self.leaves, index).unwrap();
        Logged { transaction, proof: LogProof { index: index as u64, path, note }.to_text() }
    }

    fn randomness(&mut self) -> ([u8; 32], [u8; 32]) {
        self.seals += 1;
        ([self.seals; 32], [self.seals ^ 0x80; 32])
    }

    /// A configuration on the ledger, in its dossier.
    pub fn propose(&mut self, proposal: &Proposal<'_>) -> (Hash, Vec<u8>) {
        let admin = self.admin.clone();
        self.propose_as(&admin, proposal)
    }

    pub fn propose_as(&mut self, author: &SigningKey, proposal: &Proposal<'_>) -> (Hash, Vec<u8>) {
        let (salt, seed) = self.randomness();
        let bare = Config {
            origin: ORIGIN.into(),
            gateway: name(proposal.gateway),
            base: proposal.base,
            priority: proposal.priority,
            window: proposal.window,
            commitment: Hash::ZERO,
            recipient: plomb_seal::KeyId([0; 8]),
            sealed: Vec::new(),
            reason: "a test".into(),
        };
        let sealing = Sealing { recipient: &self.sealing, salt: &salt, seed: &seed };
        let mut config = bare.seal(author.public().id(), &sealing, proposal.text.as_bytes()).unwrap();
        if proposal.flip {
            config.sealed[40] ^= 1;
        }
        self.dossier(config, author, None)
    }

    /// A command on the ledger, in its dossier.
    pub fn send(&mut self, wish: &Wish) -> (Hash, Vec<u8>) {
        let (salt, seed) = self.randomness();
        let author = self.operator.clone();
        let bare = Command {
            origin: ORIGIN.into(),
            gateway: name("gw-1"),
            point: name(wish.point),
            verb: name(wish.verb),
            counter: wish.counter,
            expires_ms: wish.expires_ms,
            needs: wish.needs,
            commitment: Hash::ZERO,
            recipient: plomb_seal::KeyId([0; 8]),
            sealed: Vec::new(),
            reason: "a test".into(),
        };
        let sealing = Sealing { recipient: &self.sealing, salt: &salt, seed: &seed };
        let mut command = bare.seal(author.public().id(), &sealing, wish.content.as_bytes()).unwrap();
        if wish.flip {
            command.sealed[40] ^= 1;
        }
        self.dossier(command, &author, None)
    }

    fn dossier<T: Statement>(
        &mut self,
        statement: T,
        author: &SigningKey,
        approval: Option<Approval>,
    ) -> (Hash, Vec<u8>) {
        let order = self.logged(Signed::sign(statement, author).into_bytes());
        let leaf = tree::leaf_hash(&order.transaction);
        let second = self.second.clone();
        let approval = approval.map(|approval| self.logged(Signed::sign(approval, &second).into_bytes()));
        let dossier = Dossier { genesis: self.genesis.clone(), parties: self.parties.clone(), order, approval };
        (leaf, dossier.to_bytes())
    }

    /// Takes a statement of the gateway, and answers it.
    pub fn answer(&mut self, statement: &[u8]) -> Vec<u8> {
        let key = self.gateway.public();
        if let Ok(outcome) = Unverified::<Outcome>::parse(statement) {
            let outcome = outcome.verify(&key).unwrap().statement().clone();
            assert!(self.outcomes.iter().all(|known| known.of != outcome.of || *known == outcome), "{outcome:?}");
            if !self.outcomes.contains(&outcome) {
                self.outcomes.push(outcome);
            }
        } else {
            let sealing = Unverified::<SealingKey>::parse(statement).unwrap();
            self.sealing = sealing.verify(&key).unwrap().statement().key;
        }
        let logged = self.logged(statement.to_vec());
        let of = tree::leaf_hash(statement);
        Answer { of, logged: Some(logged), rule: String::new(), detail: String::new() }.to_bytes()
    }

    pub fn refusal(&self, statement: &[u8], rule: &str) -> Vec<u8> {
        Answer { of: tree::leaf_hash(statement), logged: None, rule: rule.into(), detail: "no".into() }.to_bytes()
    }

    /// What came of an order: effect and rule.
    pub fn came(&self, leaf: Hash) -> Option<(&'static str, String)> {
        let outcome = self.outcomes.iter().find(|outcome| outcome.of == leaf)?;
        Some((outcome.effect.name(), outcome.rule.clone()))
    }

    pub fn detail(&self, leaf: Hash) -> String {
        self.outcomes.iter().find(|outcome| outcome.of == leaf).unwrap().detail.clone()
    }
}
