//! Searches and commands against simulated lines, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod commands;
mod cost;
mod hostile;
mod primary;
mod sets;
mod speeds;
mod trouble;
mod virtual_line;
