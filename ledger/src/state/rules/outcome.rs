//! Rules of outcomes.

use plomb_seal::{
    KeyId,
    transaction::{Effect, Outcome, Role},
};

use super::{
    super::{CertificateRecord, Order, Refused, Register, State},
    authors,
};

/// `outcome-known-gateway`: the key is in a certificate of that gateway, whether it holds or not.
pub(in crate::state) fn outcome_known_gateway<'a>(
    state: &'a State,
    outcome: &Outcome,
    key: KeyId,
) -> Result<&'a CertificateRecord, Refused> {
    let found = authors::of_role(state, Role::Gateway, Some(&outcome.gateway), key).next();
    found.map(|(_, record)| record).ok_or_else(|| {
        let detail = format!("key {key} is recorded in no certificate of gateway {}", outcome.gateway);
        Refused::new("outcome-known-gateway", detail)
    })
}

/// `outcome-of`: it answers a configuration or command of that gateway.
pub(in crate::state) fn outcome_of(outcome: &Outcome, order: Option<Order>) -> Result<Order, Refused> {
    let wrong = |detail: String| Err(Refused::new("outcome-of", detail));
    match order {
        Some(order) if *order.gateway() == outcome.gateway => Ok(order),
        Some(order) => wrong(format!("{} is for gateway {}", outcome.of, order.gateway())),
        None => wrong(format!("no configuration or command {} is recorded", outcome.of)),
    }
}

/// `outcome-effect`: configurations don't expire, commands are not rolled back.
pub(in crate::state) fn outcome_effect(outcome: &Outcome, order: &Order) -> Result<(), Refused> {
    let what = match (order, outcome.effect) {
        (Order::Config(_), Effect::Expired) => "a configuration has no expiry",
        (Order::Command(_), Effect::RolledBack) => "a command is not rolled back: its effect is answered once",
        _ => return Ok(()),
    };
    Err(Refused::new("outcome-effect", what))
}

/// `outcome-released`: what waits for a second operator can be refused or expire, and nothing else.
pub(in crate::state) fn outcome_released(outcome: &Outcome, order: &Order) -> Result<(), Refused> {
    match order {
        Order::Command(command)
            if !command.is_released() && matches!(outcome.effect, Effect::Applied | Effect::Failed) =>
        {
            let detail = "the command waits for a second operator: the gateway must not have begun it";
            Err(Refused::new("outcome-released", detail))
        }
        _ => Ok(()),
    }
}

/// `outcome-once`: answered once; a configuration in force may be rolled back after that.
pub(in crate::state) fn outcome_once(outcome: &Outcome, order: &Order, register: &Register) -> Result<(), Refused> {
    let Some(answer) = order.answer() else { return Ok(()) };
    let wrong = |detail: String| Err(Refused::new("outcome-once", detail));
    if answer.effect != Effect::Applied || outcome.effect != Effect::RolledBack {
        return wrong(format!("it was answered already: {}", answer.effect.name()));
    }
    match register.applied {
        Some(applied) if applied.transaction == outcome.of => Ok(()),
        _ => wrong("another configuration is in force by now: only that one can be rolled back".into()),
    }
}
