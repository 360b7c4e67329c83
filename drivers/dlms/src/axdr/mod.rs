//! A-XDR: the coding of COSEM values (IEC 61334-6 as IEC 62056-6-2 §4.1.5 uses it).
//!
//! A [`Value`] is what a meter sent, exact: [`Value::emit`] gives back the bytes that
//! [`Value::parse`] read. Numbers become a [`Decimal`](plomb_session::Decimal) on demand; dates keep
//! their wildcards. Depth and number of values are bounded, so that no input can use up stack or memory.

mod compact;
mod emit;
mod length;
mod parse;
mod time;
mod value;

pub use compact::{CompactArray, TYPE_COUNT_MAX, TypeDescription};
pub(crate) use emit::emit_octets;
pub use length::{emit_length, parse_length};
pub(crate) use parse::{Budget, octets};
pub use parse::{DEPTH_MAX, VALUE_COUNT_MAX, ValueError};
pub use time::{ClockStatus, Date, DateTime, DayOfWeek, Time};
pub use value::{BitString, Value};
