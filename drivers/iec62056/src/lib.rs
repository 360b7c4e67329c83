//! IEC 62056-21 readout (modes A to E) and P1 telegrams.
//!
//! No I/O, no clock, `no_std` with `alloc`. Every byte from a meter is hostile input.
#![no_std]

extern crate alloc;
