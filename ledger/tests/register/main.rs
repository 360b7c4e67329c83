//! The ledger as a register: members, sealing keys, configurations, commands, outcomes, and their history.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub)] // a test's parts are nobody else's

#[path = "../common/mod.rs"]
mod common;

mod campaign;
mod cast;
mod consortium;
mod dossier;
mod ground;
mod history;
mod orders;
