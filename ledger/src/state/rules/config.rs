//! Rules of sealing keys and configurations.

use plomb_seal::{
    KeyId, Malformed, Name,
    transaction::{Config, Priority, Role, SealingKey},
};

use super::{
    super::{Refused, Register, State},
    authors,
};

/// The least that a sealed content can have, in bytes: HPKE's encapsulated X25519 key, the salt, and the tag.
pub const SEALED_BYTES_MIN: usize = 32 + 32 + 16;
/// How far ahead a configuration's window may end, in days.
pub const WINDOW_AHEAD_DAYS_MAX: i64 = 90;
pub(super) const DAY_MS: i64 = 86_400_000;

/// `sealing-serial`: the statement is the next of the gateway, and not an older one brought back.
pub(in crate::state) fn sealing_serial(register: &Register, sealing: &SealingKey) -> Result<(), Refused> {
    let next = register.sealing.map_or(0, |sealing| sealing.serial).saturating_add(1);
    if sealing.serial == next {
        return Ok(());
    }
    let detail = format!("the gateway's next sealing key has number {next}, not {}", sealing.serial);
    Err(Refused::new("sealing-serial", detail))
}

/// `config-size`, `command-size`: no more sealed bytes than fit, and not so few that nothing can be in them.
pub(in crate::state) fn size(rule: &'static str, sealed: &[u8]) -> Result<(), Refused> {
    if sealed.len() >= SEALED_BYTES_MIN {
        return Ok(());
    }
    let detail = format!("{} sealed bytes: no sealed content has fewer than {SEALED_BYTES_MIN}", sealed.len());
    Err(Refused::new(rule, detail))
}

/// A statement that can't be read for the size of what is sealed in it breaks the rule of its size.
pub(in crate::state) fn too_large(rule: &'static str, error: &Malformed) -> Option<Refused> {
    match error {
        Malformed::TooLarge { what: "a sealed configuration" | "a sealed command", .. } => {
            Some(Refused::new(rule, error.to_string()))
        }
        _ => None,
    }
}

/// `config-base`: it was made from the last version that was admitted.
pub(in crate::state) fn config_base(register: &Register, config: &Config) -> Result<(), Refused> {
    let version = register.version();
    if config.base == version {
        return Ok(());
    }
    let detail = format!(
        "it was made from version {}, but {} has version {version} by now: look at what changed, and propose anew",
        config.base, config.gateway
    );
    Err(Refused::new("config-base", detail))
}

/// `config-recipient`, `command-recipient`: it is sealed to the gateway's present sealing key, and the gateway's key
/// that vouched for that still holds. Else what is sealed could be read by whoever has a box that was stolen.
pub(in crate::state) fn recipient(
    rule: &'static str,
    state: &State,
    (gateway, register): (&Name, &Register),
    recipient: KeyId,
    time_ms: i64,
) -> Result<(), Refused> {
    let Some(sealing) = &register.sealing else {
        return Err(Refused::new(
            rule,
            format!("{gateway} has stated no sealing key: start it once with the hub in reach"),
        ));
    };
    let present = plomb_seal::transaction::sealing_key_id(&sealing.key);
    if recipient != present {
        return Err(Refused::new(
            rule,
            format!("it is sealed to key {recipient}, {gateway} has {present}: seal it anew"),
        ));
    }
    authors::holder(rule, state, (Role::Gateway, Some(gateway)), sealing.signer, time_ms).map(|_| ())
}

/// `config-window`: a window begins before it ends, and is ahead, but not too far; what is done at once has none.
pub(in crate::state) fn config_window(config: &Config, time_ms: i64) -> Result<(), Refused> {
    let Some(window) = config.window else { return Ok(()) };
    let wrong = |detail: &str| Err(Refused::new("config-window", detail));
    if config.priority == Priority::Immediate {
        return wrong("what is immediate waits for no window: leave it out, or take another priority");
    }
    if window.from_ms >= window.until_ms {
        return wrong("the window ends before it begins");
    }
    if window.until_ms <= time_ms {
        return wrong("the window has passed; check the clocks of the author and of the hub");
    }
    if window.until_ms.saturating_sub(time_ms) > WINDOW_AHEAD_DAYS_MAX * DAY_MS {
        return wrong("the window ends more than 90 days ahead");
    }
    Ok(())
}
