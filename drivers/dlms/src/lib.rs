//! DLMS/COSEM (IEC 62056): A-XDR, APDUs, associations, HDLC, security and the client.
//!
//! No I/O, no clock, `no_std` with `alloc`. Every byte from a meter is hostile input.
#![no_std]

extern crate alloc;

pub mod annotate;
pub mod apdu;
pub mod axdr;
pub mod client;
pub mod hdlc;
pub mod link;
pub mod object;
pub mod push;
pub mod security;
pub mod wrapper;
