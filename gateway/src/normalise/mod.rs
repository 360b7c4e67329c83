//! From a meter's words to a record: exact, OBIS-coded, with what the meter said of itself.
//!
//! Each protocol has a file here, and only here do its words and ours meet.

pub mod dlms;
pub mod mbus;
pub mod modbus;
pub mod pushed;
pub(crate) mod records;
pub mod wmbus;

pub(crate) use records::cut;
