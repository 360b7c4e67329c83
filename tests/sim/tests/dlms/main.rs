//! The simulated DLMS meter: read by foreign clients, and held to its rules byte by byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clients;
mod faults;
mod general;
mod hdlc;
mod objects;
mod program;
mod push;
mod rules;
mod wire;
