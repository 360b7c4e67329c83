//! Rules of commands and approvals.

use plomb_seal::{
    Hash, Name,
    transaction::{Approval, Command},
};

use super::{
    super::{COMMANDS_OPEN_MAX, CommandRecord, Order, Refused, Register, State},
    config::DAY_MS,
};

/// The longest life of a command, in days.
pub const COMMAND_LIFE_DAYS_MAX: i64 = 7;
/// How far a command's counter may be above the last: whoever holds a stolen key for a moment can't use up the
/// numbers.
pub const COUNTER_STEP_MAX: u64 = 1_000;

/// `command-counter`: above that of every command before, but not far.
pub(in crate::state) fn command_counter(register: &Register, command: &Command) -> Result<(), Refused> {
    let (last, highest) = (register.counter, register.counter.saturating_add(COUNTER_STEP_MAX));
    if command.counter > last && command.counter <= highest {
        return Ok(());
    }
    let detail = format!(
        "counter {} is not above {last}, that of the last command to {}, or more than {COUNTER_STEP_MAX} above it",
        command.counter, command.gateway
    );
    Err(Refused::new("command-counter", detail))
}

/// `command-expiry`: it expires after the block, and not much later.
pub(in crate::state) fn command_expiry(command: &Command, time_ms: i64) -> Result<(), Refused> {
    let wrong = |detail: String| Err(Refused::new("command-expiry", detail));
    if command.expires_ms <= time_ms {
        return wrong("it has expired already; check the clocks of the author and of the hub".into());
    }
    if command.expires_ms.saturating_sub(time_ms) > COMMAND_LIFE_DAYS_MAX * DAY_MS {
        return wrong(format!("it would live for more than {COMMAND_LIFE_DAYS_MAX} days"));
    }
    Ok(())
}

/// `command-room`: the gateway has few commands to answer.
pub(in crate::state) fn command_room(register: &Register, gateway: &Name, time_ms: i64) -> Result<(), Refused> {
    let open = register.open.iter().filter(|one| one.expires_ms >= time_ms).count();
    if open < COMMANDS_OPEN_MAX {
        return Ok(());
    }
    let detail = format!("{gateway} has {COMMANDS_OPEN_MAX} commands to answer, the most; wait until some are");
    Err(Refused::new("command-room", detail))
}

/// `approval-known`: what is approved is a command that needs two operators.
pub(in crate::state) fn approval_known(approval: &Approval, order: Option<Order>) -> Result<CommandRecord, Refused> {
    let wrong = |detail: String| Err(Refused::new("approval-known", detail));
    match order {
        Some(Order::Command(command)) if command.needs >= 2 => Ok(command),
        Some(Order::Command(_)) => wrong(format!("the command {} needs one operator alone", approval.of)),
        Some(Order::Config(_)) => wrong(format!("{} is a configuration", approval.of)),
        None => wrong(format!("no command {} is recorded", approval.of)),
    }
}

/// `approval-other-operator`: not who sent it.
pub(in crate::state) fn approval_other_operator(command: &CommandRecord, operator: &Name) -> Result<(), Refused> {
    if command.author != *operator {
        return Ok(());
    }
    Err(Refused::new("approval-other-operator", format!("{operator} sent the command: somebody else must approve it")))
}

/// `approval-once`: nobody approved it before.
pub(in crate::state) fn approval_once(command: &CommandRecord) -> Result<(), Refused> {
    match &command.approval {
        None => Ok(()),
        Some(approval) => Err(Refused::new("approval-once", format!("{} approved it already", approval.by))),
    }
}

/// `approval-in-time`: it has not expired.
pub(in crate::state) fn approval_in_time(command: &CommandRecord, time_ms: i64) -> Result<(), Refused> {
    if command.expires_ms >= time_ms {
        return Ok(());
    }
    Err(Refused::new("approval-in-time", "the command has expired: send it again"))
}

/// `approval-open`: the gateway has not answered it, and who sent it may still send.
pub(in crate::state) fn approval_open(state: &State, of: &Hash, command: &CommandRecord) -> Result<(), Refused> {
    let wrong = |detail: String| Err(Refused::new("approval-open", detail));
    if let Some(answer) = &command.answer {
        return wrong(format!("the gateway answered the command {of} already: {}", answer.effect.name()));
    }
    if state.is_withdrawn(&command.certificate) {
        return wrong(format!("the certificate of {}, who sent the command, is revoked", command.author));
    }
    Ok(())
}
