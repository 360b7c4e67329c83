//! Telegrams that meters push on a customer port: P1 of DSMR 2.2 to 5 and its relatives (Belgium,
//! Luxembourg, Hungary, Sweden, Ireland, …), and mode D of IEC 62056-21, which has the same form.
//!
//! ```text
//! /XXX5identification CRLF CRLF data lines ! CRC CRLF
//! ```
//! The CRC is absent before version 4. Where it stands, it must be right.
//!
//! | item | what it is |
//! |---|---|
//! | [`Deframer`] | telegrams in a stream |
//! | [`Telegram`] | one telegram: header, version, time, sets of data |
//! | [`Reading`] | a value with unit, and its time where it has one |
//! | [`Device`] | what is connected to one of the M-Bus channels |
//! | [`Log`] | a list with a head: power failures, monthly peaks |

mod crc;
mod deframer;
mod reading;
mod telegram;

pub use crc::crc16;
pub use deframer::{CIPHERED_BYTES_MAX, Deframer, Found};
pub use reading::{Device, Log, Reading};
pub use telegram::{Checksum, TELEGRAM_BYTES_MAX, Telegram, TelegramError};
