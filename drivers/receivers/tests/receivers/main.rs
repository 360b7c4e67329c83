//! Sessions with receivers against scripts, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod amber;
mod cul;
mod im871a;
mod line;
mod mutation;
mod probe;
mod rc1180;
mod rtl_wmbus;
mod split;
