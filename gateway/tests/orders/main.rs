//! Orders of the ledger at a gateway: a scripted world, in which every rule is broken and the power goes at every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, reason = "modules of one test program")]

mod commands;
mod configs;
mod cuts;
mod letters;
mod script;
mod town;
