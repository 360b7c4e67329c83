//! The journal under power cuts, kills, full disks, restored cards, and arbitrary orders of calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod basics;
mod crash;
mod disk;
mod epochs;
mod exports;
mod keys;
mod kill;
mod ledger;
mod lost;
mod model;
mod quota;
mod told;
mod world;
