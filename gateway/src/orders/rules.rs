//! The gateway's own rules. Each is a function of what is known here, and has a name; `docs/ledger.md` lists them.
//! Those of a dossier are in [`plomb_seal::dossier`].

use plomb_seal::{
    Clock, KeyId, Stamp,
    sealed::SealError,
    transaction::{self, Effect, Priority, Window},
};

use super::{sealing::SealingKeys, state::State};
use crate::{
    ask::deed::Instruction,
    config::{Config, Orders},
};

/// What configurations are called in errors about their text.
pub const TEXT_NAME: &str = "configuration";

/// The verbs that this version knows.
pub const VERBS: [&str; 7] = ["disconnect", "reconnect", "read", "sync-clock", "credit", "set-tariff", "valve"];

/// An order that is not followed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What became of it.
    pub effect: Effect,
    /// The rule.
    pub rule: &'static str,
    /// In words.
    pub detail: String,
}

impl Refused {
    pub(super) fn by(rule: &'static str, detail: impl Into<String>) -> Self {
        Self { effect: Effect::Refused, rule, detail: detail.into() }
    }
}

/// `config-version`: only forward. What was tried here, and what is older, is not tried again, whatever the hub sends.
pub fn version(state: &State, version: u64) -> Result<(), Refused> {
    if version <= state.tried {
        let tried = state.tried;
        return Err(Refused::by("config-version", format!("it is version {version}; {tried} was tried here already")));
    }
    Ok(())
}

/// `config-sealed`, `config-commitment`: it opens with a key of this gateway, and is what it commits to.
pub fn open_config(config: &transaction::Config, author: KeyId, keys: &SealingKeys) -> Result<Vec<u8>, Refused> {
    let opened = keys.find(config.recipient).and_then(|secret| config.open(author, secret));
    opened.map_err(|error| match error {
        SealError::Commitment => Refused::by("config-commitment", error.to_string()),
        error => Refused::by("config-sealed", error.to_string()),
    })
}

/// `command-sealed`: as for configurations.
pub fn open_command(command: &transaction::Command, author: KeyId, keys: &SealingKeys) -> Result<Vec<u8>, Refused> {
    let opened = keys.find(command.recipient).and_then(|secret| command.open(author, secret));
    opened.map_err(|error| Refused::by("command-sealed", error.to_string()))
}

/// `config-syntax`, `config-identity`, `config-no-hub`, `config-meaning`, `config-needs-restart`: the text is a configuration, of this
/// gateway, that means something and can be applied to a running daemon.
pub fn read(content: &[u8], running: &Config) -> Result<Config, Refused> {
    let syntax = |what: String| Refused::by("config-syntax", what);
    let text = std::str::from_utf8(content).map_err(|error| syntax(format!("{TEXT_NAME}: it is no UTF-8: {error}")))?;
    let config = Config::read(TEXT_NAME, text).map_err(|error| syntax(error.to_string()))?;
    let (own, new) = (&running.gateway, &config.gateway);
    let identity = [
        ("id", own.id == new.id),
        ("state_dir", own.state_dir == new.state_dir),
        ("key", own.key == new.key),
        ("certificate", own.certificate == new.certificate),
        ("credential", own.credential == new.credential),
    ];
    if let Some((key, _)) = identity.iter().find(|(_, same)| !same) {
        return Err(Refused::by("config-identity", format!("[gateway] {key} must stay as it is")));
    }
    if running.hub.is_some() && config.hub.is_none() {
        let what = "it has no [hub]: nobody could change this gateway over the ledger any more; take [hub] out on site";
        return Err(Refused::by("config-no-hub", what));
    }
    let config = config.settled().map_err(|what| Refused::by("config-meaning", what))?;
    if config.control != running.control {
        let what = "[control] can't change while the daemon runs: change the founding file, on site";
        return Err(Refused::by("config-needs-restart", what));
    }
    Ok(config)
}

/// When a configuration is to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Now.
    Now,
    /// In so many milliseconds at the earliest.
    Later(i64),
}

/// `config-window`: its window has not passed. Gives when it is to be applied.
pub fn when(priority: Priority, window: Option<Window>, orders: &Orders, now: Stamp) -> Result<When, Refused> {
    let later = |wait_ms: i64| if wait_ms <= 0 { When::Now } else { When::Later(wait_ms) };
    match window {
        Some(Window { until_ms, .. }) if is_set(now) && now.unix_ms > until_ms => {
            Err(Refused::by("config-window", "the time at which it was to be applied has passed"))
        }
        Some(Window { from_ms, .. }) => Ok(later(from_ms.saturating_sub(now.unix_ms))),
        None if priority == Priority::Routine => Ok(later(orders.maintenance.wait_ms(now.unix_ms))),
        None => Ok(When::Now),
    }
}

/// `command-before-return`, `command-counter`, `command-expired`: it is a new one, and still in time.
pub fn command(state: &State, command: &transaction::Command, index: u64, now: Stamp) -> Result<(), Refused> {
    if index < state.returned_at {
        let what = "it was on the ledger before this gateway's card was put back: it may have been done already";
        return Err(Refused::by("command-before-return", what));
    }
    let (counter, seen) = (command.counter, state.counter);
    if counter <= seen {
        return Err(Refused::by("command-counter", format!("its number is {counter}; {seen} was seen already")));
    }
    if !is_set(now) {
        return Err(Refused::by("command-expired", "this gateway's clock is not set: nobody can say if it is in time"));
    }
    if now.unix_ms > command.expires_ms {
        let detail = format!("it expired {} s ago", now.unix_ms.saturating_sub(command.expires_ms) / 1000);
        return Err(Refused { effect: Effect::Expired, ..Refused::by("command-expired", detail) });
    }
    Ok(())
}

/// `command-unknown-verb`, `command-content`: verb and content say something that this version can do.
pub fn instruction(verb: &str, content: &[u8]) -> Result<Instruction, Refused> {
    let rule = if VERBS.contains(&verb) { "command-content" } else { "command-unknown-verb" };
    Instruction::parse(verb, content).map_err(|what| Refused::by(rule, what))
}

fn is_set(now: Stamp) -> bool {
    now.clock != Clock::Unset
}
