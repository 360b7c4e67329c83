//! The master's conversation with one meter (EN 13757-2 and -7), sans I/O.

mod answer;
mod command;
mod config;
mod exchange;
mod failure;
mod machine;

pub(crate) use answer::Damage;
pub use command::{ClockType, Command, CommandError, CommandEvent};
pub use config::{
    IDLE_BITS_MIN, RETRY_COUNT_DEFAULT, ReadConfig, TELEGRAM_COUNT_MAX, Target, reply_timeout_of_standard,
};
pub(crate) use exchange::{Ask, Conversation, Heard, Plan, Wants, session_of_conversation};
pub use failure::ReadFailure;
pub use machine::{End, ReadEvent, ReadMeter, ReceivedTelegram};
