//! From a meter's words to a record: exact, OBIS-coded, with what the meter said of itself.
//!
//! Each protocol has a file here, and only here do its words and ours meet.

pub mod dlms;
pub mod mbus;
pub mod modbus;
pub mod pushed;
mod records;
pub mod wmbus;

pub(crate) use records::{add, cut};

/// The status word of a record whose meter did not say who it is, though it had before.
pub const NOT_TOLD: &str = "identity not told";
