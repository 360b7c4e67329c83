//! Meters that send by themselves: what a receiver hears, to the journal.
//!
//! A good telegram becomes a record once in its point's interval; what comes between is counted. A point of
//! which nothing good is heard in its interval gets an absence that says why. A frame that fails a check is
//! counted and changes nothing: the meter's next good telegram is taken as if it had never come.

pub mod listener;
pub mod reception;
pub mod strangers;
