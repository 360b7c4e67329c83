use crate::message::MessageError;
use thiserror::Error;

/// Why a conversation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadFailure {
    /// Nothing came back.
    #[error(
        "no answer to the request: check the head's position, the device address, and that the meter opens at this speed"
    )]
    Silence,
    /// Only the own bytes came back.
    #[error(
        "only the own bytes come back: the head works and the meter does not answer; check its position, and the device address"
    )]
    EchoOnly,
    /// What came back is no message.
    #[error(
        "{bytes} bytes that are no message came back, {wrong_parity} of them with wrong parity: check speed and parity (7E1)"
    )]
    Garbage {
        /// How many.
        bytes: u32,
        /// Of these, with wrong parity.
        wrong_parity: u32,
    },
    /// The meter named itself, and then nothing came.
    #[error(
        "the meter named itself and then sent nothing at {bits_per_second} baud: port or head may not follow the speed; set a lower highest speed, or another switch margin"
    )]
    NothingBehind {
        /// The speed then.
        bits_per_second: u32,
    },
    /// Messages came, and all were damaged.
    #[error("{0}: check the head's position")]
    Damaged(MessageError),
    /// A message began and broke off.
    #[error("the meter's answer breaks off after {bytes} bytes: check the head's position, or raise the gap timeout")]
    BrokenOff {
        /// How many bytes came.
        bytes: usize,
    },
    /// The meter does not speak the mode that is needed.
    #[error("the meter offers a readout only (mode A or B): it has neither programming mode nor HDLC")]
    ReadoutOnly,
    /// The meter refused the password.
    #[error(
        "the meter refuses the password: check it, and the level that it belongs to; too many tries may lock the meter"
    )]
    WrongPassword,
    /// The meter ended the conversation.
    #[error("the meter ends the conversation (B0): a password may be needed, or another reader is connected")]
    Ended,
    /// The meter asked for a repetition each time (NAK).
    #[error("the meter asks again and again to repeat a message (NAK): check the head's position, speed and parity")]
    NotUnderstood,
}

impl ReadFailure {
    /// A short word for the kind of failure, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::EchoOnly => "echo only",
            Self::Garbage { .. } => "garbage",
            Self::NothingBehind { .. } => "nothing behind identification",
            Self::Damaged(_) => "damaged",
            Self::BrokenOff { .. } => "broken off",
            Self::ReadoutOnly => "readout only",
            Self::WrongPassword => "wrong password",
            Self::Ended => "ended by meter",
            Self::NotUnderstood => "not understood",
        }
    }
}
