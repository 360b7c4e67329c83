//! What gateways are told, and what they answer: sealing keys, configurations, commands, approvals, outcomes.

use plomb_seal::{
    Hash, Name, Signed,
    transaction::{Approval, Command, Config, Effect, Kind, Outcome, Role, SealingKey},
};

use super::{
    super::{
        Admission, Admitted, Answered, Approved, Change, CommandRecord, ConfigRecord, Context, History, Line,
        OpenCommand, Order, PendingConfig, Refused, Register, Sealing, State, Stop, rules,
    },
    read, read_sealed, signature,
};

impl State {
    pub(super) fn judge_sealing_key(&self, transaction: &[u8], context: Context<'_>) -> Result<Admission, Refused> {
        let parsed = read::<SealingKey>(transaction)?;
        rules::origin("sealing-origin", self, &parsed.claims().origin)?;
        let gateway = (Role::Gateway, Some(&parsed.claims().gateway));
        let certificate = rules::holder("sealing-known-gateway", self, gateway, parsed.key_id(), context.time_ms)?;
        let signed = parsed.verify(&certificate.key).map_err(|error| signature(&error))?;
        let statement = signed.statement();
        let register = self.register_of(&statement.gateway);
        rules::sealing_serial(&register, statement)?;
        let line = Line {
            gateway: Some(statement.gateway.clone()),
            version: Some(statement.serial),
            of: register.sealing.map(|sealing| sealing.transaction),
            text: format!("key {}", statement.key_id()),
            ..Line::new(Kind::SealingKey, &statement.gateway, "state")
        };
        let sealing = Sealing {
            serial: statement.serial,
            key: statement.key,
            signer: signed.key_id(),
            transaction: signed.hash(),
        };
        let register = Register { sealing: Some(sealing), ..register };
        Ok(Admission { changes: vec![entered(&statement.gateway, register)], line: Some(line) })
    }

    pub(super) fn judge_config(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        index: u64,
    ) -> Result<Admission, Refused> {
        let parsed = read_sealed::<Config>("config-size", transaction)?;
        rules::origin("config-origin", self, &parsed.claims().origin)?;
        let key = parsed.key_id();
        let admin = rules::holder("config-known-admin", self, (Role::Admin, None), key, context.time_ms)?;
        let signed = parsed.verify(&admin.key).map_err(|error| signature(&error))?;
        let config = signed.statement();
        let gateway = &config.gateway;
        let author = (Role::Admin, key);
        let (fingerprint, admin) = rules::in_scope("config-scope", self, author, (gateway, None), context.time_ms)?;
        let mut register = self.register_of(gateway);
        rules::size("config-size", &config.sealed)?;
        rules::config_base(&register, config)?;
        rules::recipient("config-recipient", self, (gateway, &register), config.recipient, context.time_ms)?;
        rules::config_window(config, context.time_ms)?;

        let line = Line {
            gateway: Some(gateway.clone()),
            version: Some(config.version()),
            of: register.last.map(|last| last.transaction),
            text: config.reason.clone(),
            ..Line::new(Kind::Config, &admin.subject, config.priority.name())
        };
        let transaction = signed.hash();
        let (version, priority, certificate) = (config.version(), config.priority, *fingerprint);
        // What is more urgent stays in front: the newer one was made from it, but comes later.
        register.pending.retain(|one| one.priority > priority);
        register.pending.push(PendingConfig { version, priority, transaction, index, certificate });
        register.last = Some(Admitted { version, transaction });
        let record = ConfigRecord {
            gateway: gateway.clone(),
            version,
            priority,
            author: admin.subject.clone(),
            certificate,
            index,
            admitted_ms: context.time_ms,
            answers: Vec::new(),
        };
        Ok(admission(transaction, Order::Config(record), register, line))
    }

    pub(super) fn judge_command(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        index: u64,
    ) -> Result<Admission, Refused> {
        let parsed = read_sealed::<Command>("command-size", transaction)?;
        rules::origin("command-origin", self, &parsed.claims().origin)?;
        let key = parsed.key_id();
        let operator = rules::holder("command-known-operator", self, (Role::Operator, None), key, context.time_ms)?;
        let signed = parsed.verify(&operator.key).map_err(|error| signature(&error))?;
        let command = signed.statement();
        let (gateway, author) = (&command.gateway, (Role::Operator, key));
        let at = (gateway, Some(&command.point));
        let (fingerprint, operator) = rules::in_scope("command-scope", self, author, at, context.time_ms)?;
        let mut register = self.register_of(gateway);
        rules::size("command-size", &command.sealed)?;
        rules::command_counter(&register, command)?;
        rules::command_expiry(command, context.time_ms)?;
        rules::recipient("command-recipient", self, (gateway, &register), command.recipient, context.time_ms)?;
        rules::command_room(&register, gateway, context.time_ms)?;

        let line = Line {
            gateway: Some(gateway.clone()),
            point: Some(command.point.clone()),
            text: command.reason.clone(),
            ..Line::new(Kind::Command, &operator.subject, command.verb.as_str())
        };
        let transaction = signed.hash();
        let record = CommandRecord {
            gateway: gateway.clone(),
            point: command.point.clone(),
            verb: command.verb.clone(),
            counter: command.counter,
            expires_ms: command.expires_ms,
            needs: command.needs,
            author: operator.subject.clone(),
            certificate: *fingerprint,
            index,
            admitted_ms: context.time_ms,
            approval: None,
            answer: None,
        };
        register.counter = command.counter;
        register.open.retain(|one| one.expires_ms >= context.time_ms);
        register.open.push(OpenCommand {
            transaction,
            index,
            counter: command.counter,
            expires_ms: command.expires_ms,
            released: record.is_released(),
            certificate: *fingerprint,
        });
        Ok(admission(transaction, Order::Command(record), register, line))
    }

    pub(super) fn judge_approval<H: History>(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        history: &H,
    ) -> Result<Admission, Stop<H::Error>> {
        let parsed = read::<Approval>(transaction)?;
        rules::origin("approval-origin", self, &parsed.claims().origin)?;
        let key = parsed.key_id();
        let operator = rules::holder("approval-known-operator", self, (Role::Operator, None), key, context.time_ms)?;
        let signed = parsed.verify(&operator.key).map_err(|error| signature(&error))?;
        let of = signed.statement().of;
        let found = history.order(&of).map_err(Stop::History)?;
        let command = rules::approval_known(signed.statement(), found)?;
        let at = (&command.gateway, Some(&command.point));
        let (_, operator) = rules::in_scope("approval-scope", self, (Role::Operator, key), at, context.time_ms)?;
        rules::approval_other_operator(&command, &operator.subject)?;
        rules::approval_once(&command)?;
        rules::approval_in_time(&command, context.time_ms)?;
        rules::approval_open(self, &of, &command)?;

        let line = Line {
            gateway: Some(command.gateway.clone()),
            point: Some(command.point.clone()),
            of: Some(of),
            text: command.verb.to_string(),
            ..Line::new(Kind::Approval, &operator.subject, "approve")
        };
        let mut register = self.register_of(&command.gateway);
        register.open.iter_mut().filter(|one| one.transaction == of).for_each(|one| one.released = true);
        let approval = Approved { by: operator.subject.clone(), transaction: signed.hash(), time_ms: context.time_ms };
        let record = CommandRecord { approval: Some(approval), ..command };
        Ok(admission(of, Order::Command(record), register, line))
    }

    pub(super) fn judge_outcome<H: History>(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        history: &H,
    ) -> Result<Admission, Stop<H::Error>> {
        let parsed = read::<Outcome>(transaction)?;
        rules::origin("outcome-origin", self, &parsed.claims().origin)?;
        let key = parsed.key_id();
        let certificate = rules::outcome_known_gateway(self, parsed.claims(), key)?.key;
        let signed = parsed.verify(&certificate).map_err(|error| signature(&error))?;
        let outcome = signed.statement();
        let gateway = (Role::Gateway, Some(&outcome.gateway));
        rules::holder("outcome-current", self, gateway, key, context.time_ms)?;
        let found = history.order(&outcome.of).map_err(Stop::History)?;
        let mut order = rules::outcome_of(outcome, found)?;
        let mut register = self.register_of(&outcome.gateway);
        rules::outcome_effect(outcome, &order)?;
        rules::outcome_once(outcome, &order, &register)?;
        rules::outcome_released(outcome, &order)?;

        let line = Line {
            gateway: Some(outcome.gateway.clone()),
            point: match &order {
                Order::Config(_) => None,
                Order::Command(command) => Some(command.point.clone()),
            },
            version: match &order {
                Order::Config(config) => Some(config.version),
                Order::Command(_) => None,
            },
            of: Some(outcome.of),
            text: told(outcome),
            ..Line::new(Kind::Outcome, &outcome.gateway, outcome.effect.name())
        };
        answer(&mut order, &mut register, &signed, context.time_ms);
        Ok(admission(outcome.of, order, register, line))
    }

    fn register_of(&self, gateway: &Name) -> Register {
        self.register(gateway).cloned().unwrap_or_default()
    }
}

fn admission(leaf: Hash, order: Order, register: Register, line: Line) -> Admission {
    let gateway = order.gateway().clone();
    let changes = vec![Change::Order(leaf, Box::new(order)), entered(&gateway, register)];
    Admission { changes, line: Some(line) }
}

fn entered(gateway: &Name, register: Register) -> Change {
    Change::Register(gateway.clone(), Box::new(register))
}

/// Rule and detail of an outcome, as far as there is room for them in one text.
fn told(outcome: &Outcome) -> String {
    let both = !outcome.rule.is_empty() && !outcome.detail.is_empty();
    let mut text = format!("{}{}{}", outcome.rule, if both { ": " } else { "" }, outcome.detail);
    while text.len() > plomb_seal::reading::TEXT_BYTES_MAX {
        text.pop();
    }
    text
}

/// Enters an answer: in what was answered, and in what the gateway has yet to do.
fn answer(order: &mut Order, register: &mut Register, outcome: &Signed<Outcome>, time_ms: i64) {
    let Outcome { of, effect, .. } = *outcome.statement();
    let answered = Answered { effect, transaction: outcome.hash(), time_ms };
    match order {
        Order::Command(command) => {
            command.answer = Some(answered);
            register.open.retain(|one| one.transaction != of);
        }
        Order::Config(config) => {
            config.answers.push(answered);
            register.pending.retain(|one| one.transaction != of);
            conclude(register, Admitted { version: config.version, transaction: of }, effect);
        }
    }
}

/// What is in force after a configuration was answered.
fn conclude(register: &mut Register, config: Admitted, effect: Effect) {
    let in_force = register.applied.is_some_and(|applied| applied.transaction == config.transaction);
    let newest = register.applied.is_none_or(|applied| applied.version < config.version);
    match effect {
        Effect::Applied if newest => {
            register.before = register.applied.replace(config);
            // It was made from what was admitted before it: older ones are in it.
            register.pending.retain(|one| one.version > config.version);
        }
        Effect::RolledBack if in_force => register.applied = register.before.take(),
        _ => {}
    }
}
