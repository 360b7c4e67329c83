//! The data links in virtual time: HDLC against a meter that follows the standard on a line that
//! does not, the wrapper, and recorded frames.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corpus;
mod errand;
mod faults;
mod hdlc;
mod line;
mod meter;
mod mutation;
mod push;
mod random;
mod script;
mod wrapper;
