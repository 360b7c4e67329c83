//! Searches against simulated lines, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod cost;
mod sets;
mod virtual_line;
