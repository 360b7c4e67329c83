use crate::{Kind, Modes};
use alloc::string::String;
use thiserror::Error;

/// Why a receiver's session gave up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The hardware cannot hear these modes at once. Nothing was sent.
    #[error("{kind} cannot hear the modes {asked} at once: configure one of its combinations, or another receiver")]
    CannotHear {
        /// The receiver.
        kind: Kind,
        /// The modes asked for.
        asked: Modes,
    },
    /// Nothing answers to the probe.
    #[error(
        "no answer to the probe for {kind}: check that it is plugged in, the port and its speed, and that no other program has it open"
    )]
    NoAnswer {
        /// The receiver that was expected.
        kind: Kind,
    },
    /// It answered first and fell silent in the middle of being set up.
    #[error("{kind} stopped answering at step \"{step}\": plug it out and in again")]
    Mute {
        /// The receiver.
        kind: Kind,
        /// What it was asked.
        step: &'static str,
    },
    /// Something answers, and it is not the expected device.
    #[error("expected {kind}, found {found}: correct the receiver's kind in the configuration")]
    WrongDevice {
        /// The receiver that was expected.
        kind: Kind,
        /// What answered, as it calls itself.
        found: String,
    },
    /// It says no to a setting.
    #[error(
        "{kind} refuses step \"{step}\" with {answer}: its firmware may lack this; update it or configure other modes"
    )]
    Refused {
        /// The receiver.
        kind: Kind,
        /// What it was asked.
        step: &'static str,
        /// Its answer.
        answer: String,
    },
    /// It acknowledged a setting and reads back another.
    #[error(
        "{kind} was told {wanted:02X} at step \"{step}\" and reads back {found:02X}: its memory may be worn out or locked"
    )]
    NotKept {
        /// The receiver.
        kind: Kind,
        /// Which setting.
        step: &'static str,
        /// What it was told.
        wanted: u8,
        /// What it has.
        found: u8,
    },
    /// A setting that reception needs exists in flash only, and writing flash is not allowed.
    #[error(
        "{kind} needs \"{step}\" changed in its flash, once: allow it (may_write_flash) or set it with the maker's tool"
    )]
    NeedsFlash {
        /// The receiver.
        kind: Kind,
        /// Which setting.
        step: &'static str,
    },
    /// It fell silent, and there is no way to reset it from here.
    #[error("{kind} is silent and cannot be reset from here: start it again")]
    CannotReset {
        /// The receiver.
        kind: Kind,
    },
}
