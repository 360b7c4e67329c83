//! Where a campaign takes place: the parties, the state machine, the time, and a source of chance.

use std::collections::BTreeMap;

use plomb_ledger::{
    ledger::Answer,
    state::{Order, Register},
};
use plomb_seal::{Hash, Name, transaction, transaction::Role, tree};

use crate::{
    cast::{DAY_MS, Founder, Party, genesis, sign, signers},
    common::NOW_MS,
    ground::Ground,
};

/// Every rule of the state machine.
pub const RULES: [&str; 58] = [
    "transaction-size",
    "transaction-form",
    "signature",
    "genesis-first",
    "genesis-once",
    "genesis-members",
    "member-origin",
    "member-known-author",
    "member-base",
    "member-change",
    "member-vote-once",
    "member-votes-max",
    "known-author",
    "certificate-origin",
    "certificate-unique",
    "certificate-role",
    "certificate-validity",
    "certificate-fields-match-x509",
    "revoke-known",
    "revoke-author",
    "anchor-known-certificate",
    "anchor-no-fork",
    "anchor-continuous",
    "anchor-epoch",
    "anchor-checkpoint",
    "sealing-origin",
    "sealing-known-gateway",
    "sealing-serial",
    "config-origin",
    "config-known-admin",
    "config-scope",
    "config-size",
    "config-base",
    "config-recipient",
    "config-window",
    "command-origin",
    "command-known-operator",
    "command-scope",
    "command-size",
    "command-counter",
    "command-expiry",
    "command-recipient",
    "command-room",
    "approval-origin",
    "approval-known-operator",
    "approval-known",
    "approval-scope",
    "approval-other-operator",
    "approval-once",
    "approval-in-time",
    "approval-open",
    "outcome-origin",
    "outcome-known-gateway",
    "outcome-current",
    "outcome-of",
    "outcome-effect",
    "outcome-once",
    "outcome-released",
];

/// SplitMix64: chance that a seed repeats.
pub struct Chance(u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { all.get(self.below(all.len())) }
    }
}

/// The most recent orders that are remembered for being answered once more.
const REMEMBERED_MAX: usize = 400;

pub struct Stage {
    pub ground: Ground,
    pub chance: Chance,
    pub time_ms: i64,
    /// All who ever were members, and some who were proposed.
    pub founders: Vec<Founder>,
    pub parties: Vec<Party>,
    /// Leaf hashes of configurations and commands, the oldest first.
    pub orders: Vec<Hash>,
    pub made: u64,
    pub refused: BTreeMap<&'static str, u64>,
    pub admitted: BTreeMap<&'static str, u64>,
    pub known: u64,
}

impl Stage {
    pub fn new(seed: u64, with_ledger: bool) -> Self {
        let founders: Vec<Founder> =
            ["member-a", "member-b", "member-c"].iter().map(|id| Founder::new(id, NOW_MS / 1000)).collect();
        let parties = vec![
            Party::new("gw-0", Role::Gateway, &[]),
            Party::new("gw-1", Role::Gateway, &[]),
            Party::new("boss", Role::Admin, &[]),
            Party::new("admin-0", Role::Admin, &["gw-0"]),
            Party::new("admin-1", Role::Admin, &["gw-1", "gw-9"]),
            Party::new("op-a", Role::Operator, &[]),
            Party::new("op-b", Role::Operator, &[]),
            Party::new("op-c", Role::Operator, &[]),
            Party::new("plumber", Role::Operator, &["gw-0/water", "gw-1/water"]),
            Party::new("stoker", Role::Operator, &["gw-0/heat", "gw-9"]),
            Party::new("auditor", Role::Auditor, &[]),
        ];
        let mut stage = Self {
            ground: Ground::new(&signers(), with_ledger),
            chance: Chance(seed),
            time_ms: NOW_MS,
            founders,
            parties,
            orders: Vec::new(),
            made: 0,
            refused: BTreeMap::new(),
            admitted: BTreeMap::new(),
            known: 0,
        };
        let members: Vec<&Founder> = stage.founders.iter().collect();
        let first = sign(genesis(&members, 2), &stage.founders[0].key);
        stage.admits(first);
        stage
    }

    pub fn step(&mut self, seed: u64) {
        self.chance = Chance(seed);
        let pause = match self.chance.below(100) {
            0 => 2 * DAY_MS,
            1..20 => 600_000,
            _ => 1_000,
        };
        self.time_ms += i64::try_from(self.chance.next() % pause.unsigned_abs()).unwrap();
        if self.chance.below(100) < 45 || !self.break_one() {
            self.do_right();
        }
    }

    /// Breaks some rule, if the state of things allows.
    fn break_one(&mut self) -> bool {
        let rule = RULES[self.chance.below(RULES.len())];
        let made = self.against_parties(rule).or_else(|| self.against_orders(rule));
        let Some(transaction) = made else { return false };
        self.refuses(rule, transaction);
        true
    }

    #[track_caller]
    pub fn refuses(&mut self, rule: &'static str, transaction: Vec<u8>) {
        match self.ground.deliver(transaction, self.time_ms) {
            Answer::Refused(refused) => assert_eq!(refused.rule, rule, "{}", refused.detail),
            other => panic!("{rule} let it pass: {other:?}"),
        }
        *self.refused.entry(rule).or_insert(0) += 1;
    }

    #[track_caller]
    pub fn admits(&mut self, transaction: Vec<u8>) {
        let kind = transaction::kind(&transaction).unwrap();
        let leaf = tree::leaf_hash(&transaction);
        match self.ground.deliver(transaction, self.time_ms) {
            Answer::Admitted { .. } => {}
            other => panic!("a right {} is not taken: {other:?}", kind.name()),
        }
        if matches!(kind, transaction::Kind::Config | transaction::Kind::Command) {
            self.orders.push(leaf);
            if self.orders.len() > REMEMBERED_MAX {
                self.orders.remove(0);
            }
        }
        *self.admitted.entry(kind.name()).or_insert(0) += 1;
    }

    pub fn replay(&self) {
        self.ground.replay(&signers());
    }

    /// A number that was never used before.
    pub fn fresh(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// A present member.
    pub fn member(&mut self) -> usize {
        let present = self.present();
        *self.chance.of(&present).unwrap()
    }

    pub fn present(&self) -> Vec<usize> {
        let members = self.ground.state.members();
        let is_member = |founder: &Founder| members.iter().any(|member| member.key == founder.key.public());
        (0..self.founders.len()).filter(|at| is_member(&self.founders[*at])).collect()
    }

    /// Some party of this role whose certificate holds, among these names if there are any.
    pub fn holder(&mut self, role: Role, among: &[&str]) -> Option<usize> {
        let fits = |party: &Party| {
            party.role == role
                && (among.is_empty() || among.contains(&party.name.as_str()))
                && party.holds(&self.ground.state, self.time_ms)
        };
        let found: Vec<usize> = (0..self.parties.len()).filter(|at| fits(&self.parties[*at])).collect();
        self.chance.of(&found).copied()
    }

    /// A gateway to which something can be sealed: its certificate holds, and the key that vouched is the present one.
    pub fn ready(&mut self) -> Option<(usize, Name)> {
        let at = self.holder(Role::Gateway, &[])?;
        let party = &self.parties[at];
        let sealing = self.register(&party.name).sealing?;
        (sealing.signer == party.key.public().id()).then(|| (at, party.name.clone()))
    }

    pub fn register(&self, gateway: &Name) -> Register {
        self.ground.state.register(gateway).cloned().unwrap_or_default()
    }

    /// Some remembered order that is as wanted.
    pub fn order(&mut self, wanted: impl Fn(&Self, &Hash, &Order) -> bool) -> Option<(Hash, Order)> {
        let begin = self.chance.below(self.orders.len().max(1));
        let around = self.orders[begin..].iter().chain(&self.orders[..begin]);
        let known = around.filter_map(|leaf| {
            let Ok(order) = plomb_ledger::state::History::order(&self.ground.memory, leaf);
            order.map(|order| (*leaf, order))
        });
        let mut known = known;
        known.find(|(leaf, order)| wanted(self, leaf, order))
    }

    pub fn gateway_key(&self, gateway: &Name) -> Option<&plomb_seal::SigningKey> {
        let party = self.parties.iter().find(|party| party.name == *gateway)?;
        party.holds(&self.ground.state, self.time_ms).then_some(&party.key)
    }
}
