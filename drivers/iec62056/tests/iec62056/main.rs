//! Telegrams and sessions of IEC 62056-21 in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corpus;
mod p1;
mod random;
mod session;
