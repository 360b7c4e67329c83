//! What honest parties do.

use plomb_ledger::state::{Order, Status};
use plomb_seal::{
    Anchor, Hash,
    transaction::{
        Certificate, Command, Config, Effect, MemberChange, Outcome, Priority, Role, SealingKey, Vote, Window,
    },
};

use super::stage::Stage;
use crate::{
    cast::{DAY_MS, Founder, approval, certificate, command, config, outcome, sealing_key, sign},
    common::{ORIGIN, name},
};

/// So many members, and no more, so that quorums are reached.
const MEMBERS: std::ops::RangeInclusive<usize> = 2..=5;

impl Stage {
    pub fn do_right(&mut self) {
        // Whoever has no certificate that holds gets one first.
        let lapsed = |at: &usize| !self.parties[*at].holds(&self.ground.state, self.time_ms);
        let lapsed: Vec<usize> = (0..self.parties.len()).filter(lapsed).collect();
        if let Some(at) = self.chance.of(&lapsed).copied().filter(|_| !self.chance.one_in(4)) {
            return self.certify(at);
        }
        match self.chance.below(100) {
            0..8 => self.vote(),
            8..12 => self.revoke(),
            12..18 => self.state_sealing_key(),
            18..36 => self.propose(),
            36..54 => self.send(),
            54..64 => self.approve(),
            64..90 => self.answer(),
            90..97 => self.anchor(),
            _ => self.send_twice(),
        }
    }

    fn certify(&mut self, at: usize) {
        let member = self.member();
        let issue = self.founders[member].issue(&self.parties[at], self.time_ms / 1000);
        self.parties[at].fingerprint = issue.fingerprint();
        self.admits(sign(certificate(&issue), &self.founders[member].key));
    }

    fn revoke(&mut self) {
        let at = self.chance.below(self.parties.len());
        let fingerprint = self.parties[at].fingerprint;
        let Some(record) = self.ground.state.certificate(&fingerprint).filter(|record| record.revoked.is_none()) else {
            return;
        };
        let present = self.present();
        let Some(issuer) = present.into_iter().find(|at| self.founders[*at].name == record.author) else { return };
        let revoke = Certificate::Revoke { origin: ORIGIN.into(), fingerprint, reason: "stolen".into() };
        self.admits(sign(revoke, &self.founders[issuer].key));
        if self.chance.one_in(2) {
            self.parties[at].new_key();
        }
    }

    /// A new founder who is no member yet.
    pub fn candidate(&mut self) -> usize {
        let id = format!("member-{}", self.fresh());
        self.founders.push(Founder::new(&id, self.time_ms / 1000));
        self.founders.len() - 1
    }

    pub fn vote_for(&self, change: MemberChange) -> Vote {
        let base = self.ground.state.consortium().map_or(0, |consortium| consortium.changes);
        Vote { origin: ORIGIN.into(), base, change }
    }

    /// How many undecided votes a member has.
    pub fn votes_of(&self, member: usize) -> usize {
        let (consortium, name) = (self.ground.state.consortium().unwrap(), &self.founders[member].name);
        consortium.ballots.iter().filter(|ballot| ballot.voters.contains(name)).count()
    }

    fn vote(&mut self) {
        let (members, present) = (self.ground.state.members().len(), self.present());
        let quorum = self.ground.state.consortium().unwrap().quorum as usize;
        let change = match self.chance.below(10) {
            0..4 if members < *MEMBERS.end() => {
                let at = self.candidate();
                MemberChange::Add(Box::new(self.founders[at].member()))
            }
            4..6 if members > *MEMBERS.start() && members > quorum => {
                let at = self.member();
                MemberChange::Remove(self.founders[at].name.clone())
            }
            _ => {
                let wanted = 1 + self.chance.below(members.min(3));
                if wanted == quorum {
                    return;
                }
                MemberChange::Quorum(u32::try_from(wanted).unwrap())
            }
        };
        // All who must agree do so, or some but not enough.
        let voters = if self.chance.one_in(3) { quorum - 1 } else { quorum };
        let vote = self.vote_for(change);
        for at in present.into_iter().take(voters) {
            // Some of them may have voted for it before, so that fewer are enough.
            let decided = self.ground.state.consortium().unwrap().changes != vote.base;
            if decided || self.votes_of(at) >= plomb_ledger::state::VOTES_OPEN_MAX || self.voted(at, &vote) {
                return;
            }
            self.admits(sign(vote.clone(), &self.founders[at].key));
        }
    }

    pub fn voted(&self, member: usize, vote: &Vote) -> bool {
        let (consortium, name) = (self.ground.state.consortium().unwrap(), &self.founders[member].name);
        consortium.ballots.iter().any(|ballot| ballot.statement == vote.ballot() && ballot.voters.contains(name))
    }

    fn state_sealing_key(&mut self) {
        let Some(at) = self.holder(Role::Gateway, &[]) else { return };
        let key = Hash::of(&self.fresh().to_be_bytes()).0;
        let party = &self.parties[at];
        let statement = SealingKey { key, ..sealing_key(&self.ground.state, &party.name) };
        self.admits(sign(statement, &party.key));
    }

    fn propose(&mut self) {
        let Some((_, gateway)) = self.ready() else { return self.state_sealing_key() };
        let local = if gateway == name("gw-0") { "admin-0" } else { "admin-1" };
        let Some(admin) = self.holder(Role::Admin, &["boss", local]) else { return };
        let priority = [Priority::Routine, Priority::Urgent, Priority::Immediate][self.chance.below(3)];
        let window = Window { from_ms: self.time_ms, until_ms: self.time_ms + DAY_MS };
        let window = Some(window).filter(|_| priority != Priority::Immediate && self.chance.one_in(2));
        let config = Config { priority, window, ..config(&self.ground.state, &gateway) };
        self.admits(sign(config, &self.parties[admin].key));
    }

    /// Commands of a gateway that have not expired and are not answered.
    pub fn open_commands(&self, gateway: &plomb_seal::Name) -> usize {
        self.register(gateway).open.iter().filter(|one| one.expires_ms >= self.time_ms).count()
    }

    fn send(&mut self) {
        let Some((_, gateway)) = self.ready() else { return self.state_sealing_key() };
        if self.open_commands(&gateway) >= plomb_ledger::state::COMMANDS_OPEN_MAX {
            return self.answer();
        }
        let Some(operator) = self.holder(Role::Operator, &["op-a", "op-b", "op-c", "plumber"]) else { return };
        let needs = if self.chance.one_in(2) { 2 } else { 1 };
        let step = 1 + self.chance.next() % 1000;
        let template = command(&self.ground.state, &gateway, self.time_ms);
        let expires_ms = self.time_ms + 1 + i64::try_from(self.chance.next() % DAY_MS.unsigned_abs()).unwrap();
        let command = Command { needs, expires_ms, counter: template.counter - 1 + step, ..template };
        self.admits(sign(command, &self.parties[operator].key));
    }

    pub fn awaits(&self, leaf: &Hash, order: &Order) -> bool {
        self.ground.state.status(leaf, order, self.time_ms) == Status::AwaitsApproval
    }

    fn approve(&mut self) {
        let Some((of, order)) = self.order(Self::awaits) else { return };
        let Some(other) = self.holder(Role::Operator, &["op-a", "op-b", "op-c", "plumber"]) else { return };
        if self.parties[other].name != *order.author() {
            self.admits(sign(approval(of), &self.parties[other].key));
        }
    }

    fn answer(&mut self) {
        let of = self.order(|stage, _, order| order.answer().is_none() && stage.gateway_key(order.gateway()).is_some());
        let Some((of, order)) = of else { return };
        let effects: &[Effect] = match &order {
            Order::Config(_) => {
                &[Effect::Applied, Effect::Applied, Effect::Refused, Effect::RolledBack, Effect::Failed]
            }
            Order::Command(command) if command.is_released() => {
                &[Effect::Applied, Effect::Refused, Effect::Expired, Effect::Failed]
            }
            Order::Command(_) => &[Effect::Refused, Effect::Expired],
        };
        let effect = *self.chance.of(effects).unwrap();
        self.conclude(of, &order, effect);
        // Not every configuration is good for long.
        let in_force = self.register(order.gateway()).applied.is_some_and(|applied| applied.transaction == of);
        if in_force && self.chance.one_in(4) {
            self.conclude(of, &order, Effect::RolledBack);
        }
    }

    fn conclude(&mut self, of: Hash, order: &Order, effect: Effect) {
        let outcome = Outcome { time_ms: self.time_ms, ..outcome(order.gateway(), of, effect) };
        let key = self.gateway_key(order.gateway()).unwrap();
        let transaction = sign(outcome, key);
        self.admits(transaction);
    }

    /// The next anchor of a gateway.
    pub fn next_anchor(&mut self, gateway: &plomb_seal::Name) -> Anchor {
        let last = self.ground.state.gateway(gateway);
        Anchor {
            gateway: gateway.clone(),
            epoch: last.map_or(0, |last| last.epoch),
            batch: last.map_or(0, |last| last.batch + 1),
            first_seq: last.map_or(0, |last| last.last_seq + 1),
            count: 3,
            previous: last.map_or(Hash::ZERO, |last| last.anchor),
            head: Hash([1; 32]),
            root: Hash([2; 32]),
            opened_ms: self.time_ms,
            closed_ms: self.time_ms,
            checkpoint: None,
        }
    }

    fn anchor(&mut self) {
        let Some(at) = self.holder(Role::Gateway, &[]) else { return };
        let gateway = self.parties[at].name.clone();
        let mut anchor = self.next_anchor(&gateway);
        if self.chance.one_in(10) {
            anchor = Anchor { epoch: anchor.epoch + 1, batch: 0, first_seq: 0, ..anchor };
        }
        self.admits(sign(anchor, &self.parties[at].key));
    }

    /// The same bytes again: the same answer, and nothing happens.
    fn send_twice(&mut self) {
        let at = self.chance.below(self.ground.log.len());
        let before = self.ground.state.hash();
        let again = self.ground.deliver(self.ground.log[at].0.clone(), self.time_ms);
        assert_eq!(again, plomb_ledger::ledger::Answer::Known { index: at as u64 });
        assert_eq!(self.ground.state.hash(), before);
        self.known += 1;
    }
}
