//! One transaction against each rule of sealing keys, configurations, commands, approvals and outcomes: right, but
//! for that rule.

use plomb_ledger::state::{COMMANDS_OPEN_MAX, Order, Status};
use plomb_seal::{
    Hash, KeyId,
    transaction::{Approval, Command, Config, Effect, Outcome, Priority, Role, SealingKey, Window},
};

use super::stage::Stage;
use crate::{
    cast::{DAY_MS, approval, command, config, outcome, sealing_key, sign},
    common::name,
};

const ELSEWHERE: &str = "other.example/x";
const EVERYWHERE: [&str; 3] = ["op-a", "op-b", "op-c"];

impl Stage {
    pub fn against_orders(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        match rule.split_once('-')?.0 {
            "sealing" => self.against_sealing(rule),
            "config" => self.against_configs(rule),
            "command" => self.against_commands(rule),
            "approval" => self.against_approvals(rule),
            "outcome" => self.against_outcomes(rule),
            _ => None,
        }
    }

    fn against_sealing(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let at = self.holder(Role::Gateway, &[])?;
        let key = Hash::of(&self.fresh().to_be_bytes()).0;
        let right = SealingKey { key, ..sealing_key(&self.ground.state, &self.parties[at].name) };
        let own = self.parties[at].key.clone();
        match rule {
            "sealing-origin" => Some(sign(SealingKey { origin: ELSEWHERE.into(), ..right }, &own)),
            "sealing-known-gateway" => {
                let admin = self.holder(Role::Admin, &[])?;
                let retired = self.parties[at].retired.last().cloned();
                Some(sign(right, &retired.unwrap_or_else(|| self.parties[admin].key.clone())))
            }
            "sealing-serial" => {
                let serial = if self.chance.one_in(2) { right.serial + 1 } else { right.serial - 1 };
                Some(sign(SealingKey { serial, ..right }, &own))
            }
            _ => None,
        }
    }

    fn against_configs(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let (_, gateway) = self.ready()?;
        let boss = self.holder(Role::Admin, &["boss"])?;
        let right = config(&self.ground.state, &gateway);
        let (mut author, now) = (boss, self.time_ms);
        let window = |from_ms, until_ms| Some(Window { from_ms, until_ms });
        let config = match rule {
            "config-origin" => Config { origin: ELSEWHERE.into(), ..right },
            "config-known-admin" => {
                author = self.holder(Role::Operator, &[])?;
                right
            }
            "config-scope" => {
                author = self.holder(Role::Admin, &[if gateway == name("gw-0") { "admin-1" } else { "admin-0" }])?;
                right
            }
            "config-size" => {
                let len = if self.chance.one_in(2) { self.chance.below(80) } else { 60 * 1024 + 1 };
                Config { sealed: vec![0; len], ..right }
            }
            "config-base" => {
                let base = if self.chance.one_in(2) { right.base + 1 } else { right.base.checked_sub(1)? };
                // No configuration that was admitted at that version.
                Config { base, reason: format!("try {}", self.fresh()), ..right }
            }
            "config-recipient" => Config { recipient: KeyId(self.fresh().to_be_bytes()), ..right },
            "config-window" => match self.chance.below(4) {
                0 => Config { window: window(now + 5, now + 5), ..right },
                1 => Config { window: window(now - 10, now), ..right },
                2 => Config { window: window(now, now + 90 * DAY_MS + 1), ..right },
                _ => Config { priority: Priority::Immediate, window: window(now, now + 5), ..right },
            },
            _ => return None,
        };
        Some(sign(config, &self.parties[author].key))
    }

    fn against_commands(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let (_, gateway) = self.ready()?;
        let operator = self.holder(Role::Operator, &EVERYWHERE)?;
        let right = command(&self.ground.state, &gateway, self.time_ms);
        if rule != "command-room" && self.open_commands(&gateway) >= COMMANDS_OPEN_MAX {
            return None;
        }
        let (mut author, now) = (operator, self.time_ms);
        let command = match rule {
            "command-origin" => Command { origin: ELSEWHERE.into(), ..right },
            "command-known-operator" => {
                author = self.holder(Role::Admin, &[])?;
                right
            }
            "command-scope" => {
                let local = if self.chance.one_in(2) { "stoker" } else { "plumber" };
                author = self.holder(Role::Operator, &[local])?;
                let point = if self.parties[author].name == name("plumber") { "heat" } else { "water" };
                Command { point: name(point), ..right }
            }
            "command-size" => {
                let len = if self.chance.one_in(2) { self.chance.below(80) } else { 16 * 1024 + 1 };
                Command { sealed: vec![0; len], ..right }
            }
            "command-counter" => {
                let last = right.counter - 1;
                let counter = if self.chance.one_in(2) { last } else { last + 1001 };
                Command { counter, reason: format!("try {}", self.fresh()), ..right }
            }
            "command-expiry" => {
                let expires_ms = if self.chance.one_in(2) { now } else { now + 7 * DAY_MS + 1 };
                Command { expires_ms, ..right }
            }
            "command-recipient" => Command { recipient: KeyId(self.fresh().to_be_bytes()), ..right },
            "command-room" => {
                while self.open_commands(&gateway) < COMMANDS_OPEN_MAX {
                    let filler = command(&self.ground.state, &gateway, now);
                    self.admits(sign(filler, &self.parties[operator].key));
                }
                command(&self.ground.state, &gateway, now)
            }
            _ => return None,
        };
        Some(sign(command, &self.parties[author].key))
    }

    fn against_approvals(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let needs_two = |order: &Order| matches!(order, Order::Command(command) if command.needs == 2);
        let status = |stage: &Self, of: &Hash, order: &Order| stage.ground.state.status(of, order, stage.time_ms);
        let (of, order) = match rule {
            "approval-known" if self.chance.one_in(3) => (Hash::of(&self.fresh().to_be_bytes()), None),
            "approval-known" => self.order(|_, _, order| !needs_two(order)).map(|(of, order)| (of, Some(order)))?,
            "approval-once" => {
                let found =
                    self.order(|_, _, order| matches!(order, Order::Command(command) if command.approval.is_some()));
                found.map(|(of, order)| (of, Some(order)))?
            }
            "approval-in-time" => {
                let expired = |stage: &Self, _: &Hash, order: &Order| {
                    matches!(order, Order::Command(command)
                        if command.needs == 2 && command.approval.is_none() && command.expires_ms < stage.time_ms)
                };
                self.order(expired).map(|(of, order)| (of, Some(order)))?
            }
            "approval-open" => {
                let closed = |stage: &Self, of: &Hash, order: &Order| {
                    let Order::Command(command) = order else { return false };
                    let shut = command.answer.is_some() || status(stage, of, order) == Status::Withdrawn;
                    command.needs == 2 && command.approval.is_none() && command.expires_ms >= stage.time_ms && shut
                };
                self.order(closed).map(|(of, order)| (of, Some(order)))?
            }
            _ => self.order(Self::awaits).map(|(of, order)| (of, Some(order)))?,
        };
        let others: Vec<&str> = EVERYWHERE
            .into_iter()
            .filter(|id| order.as_ref().is_none_or(|order| order.author().as_str() != *id))
            .collect();
        let author = match rule {
            "approval-known-operator" => self.holder(Role::Admin, &[])?,
            "approval-scope" => self.holder(Role::Operator, &["stoker"])?,
            "approval-other-operator" => self.holder(Role::Operator, &[order.as_ref()?.author().as_str()])?,
            "approval-once" => {
                let Some(Order::Command(command)) = &order else { return None };
                let by = command.approval.as_ref()?.by.to_string();
                let third: Vec<&str> = others.into_iter().filter(|id| *id != by).collect();
                self.holder(Role::Operator, &third)?
            }
            _ => self.holder(Role::Operator, &others)?,
        };
        let origin = if rule == "approval-origin" { ELSEWHERE.into() } else { crate::common::ORIGIN.to_owned() };
        Some(sign(Approval { origin, ..approval(of) }, &self.parties[author].key))
    }

    fn against_outcomes(&mut self, rule: &'static str) -> Option<Vec<u8>> {
        let unanswered = |stage: &Self, _: &Hash, order: &Order| {
            order.answer().is_none() && stage.gateway_key(order.gateway()).is_some()
        };
        let answered = |stage: &Self, _: &Hash, order: &Order| {
            order.answer().is_some() && stage.gateway_key(order.gateway()).is_some()
        };
        let (of, order) = match rule {
            "outcome-once" => self.order(answered)?,
            "outcome-released" => {
                self.order(|stage, of, order| unanswered(stage, of, order) && stage.awaits(of, order))?
            }
            _ => self.order(unanswered)?,
        };
        let gateway = order.gateway().clone();
        let mut key = self.gateway_key(&gateway)?.clone();
        let right = Outcome { seq: self.fresh(), ..outcome(&gateway, of, Effect::Refused) };
        let outcome = match rule {
            "outcome-origin" => Outcome { origin: ELSEWHERE.into(), ..right },
            "outcome-known-gateway" => {
                let other = self.parties.iter().find(|party| party.role == Role::Gateway && party.name != gateway)?;
                key = other.key.clone();
                right
            }
            "outcome-current" => {
                let party = self.parties.iter().find(|party| party.name == gateway)?;
                key = party.retired.last()?.clone();
                // A key may have been made and never certified.
                self.ground.state.certificates_of_key(key.public().id()).next()?;
                right
            }
            "outcome-of" if self.chance.one_in(3) => Outcome { of: Hash::of(&right.seq.to_be_bytes()), ..right },
            "outcome-of" => {
                let at = self.parties.iter().position(|party| party.role == Role::Gateway && party.name != gateway)?;
                if !self.parties[at].holds(&self.ground.state, self.time_ms) {
                    return None;
                }
                key = self.parties[at].key.clone();
                Outcome { gateway: self.parties[at].name.clone(), ..right }
            }
            "outcome-effect" => match &order {
                Order::Config(_) => Outcome { effect: Effect::Expired, ..right },
                Order::Command(_) => Outcome { effect: Effect::RolledBack, ..right },
            },
            "outcome-once" => {
                let effects = [Effect::Applied, Effect::Refused, Effect::Failed];
                Outcome { effect: effects[self.chance.below(3)], ..right }
            }
            "outcome-released" => Outcome { effect: Effect::Applied, ..right },
            _ => return None,
        };
        Some(sign(outcome, &key))
    }
}
