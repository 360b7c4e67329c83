//! Wireless M-Bus receivers on a serial port: sessions that set them up, listen, and watch for silence.
//!
//! No I/O, no clock, `no_std` with `alloc`. What a receiver hands over was sent by anyone who has a
//! radio: nothing here panics on any bytes, and every buffer is bounded.
//!
//! [`Receiver`] is a [`Session`](plomb_session::Session) for each [`Kind`]; [`Probe`] asks which is on a
//! port. Telegrams come as [`Heard`]: bytes from the L-field on, with a word on the [`Form`] in which
//! this receiver hands them over. Decoding them is another crate's work.
//!
//! | kind | speed | modes at once | form | signal strength |
//! |---|---|---|---|---|
//! | iM871A | 57600 | one of S, T, C | stripped | in the message |
//! | AMB8465, Metis-II | 9600 | S, T, C or T+C | stripped | a byte behind; in flash |
//! | AMB3665 | 9600 | N, as preselected in it | stripped | a byte behind; in flash |
//! | CUL (culfw) | 38400 | one of S, T, C | with CRCs, format A or B | a byte behind |
//! | RC1180 | 19200 | S, T, C or T+C | stripped | a byte behind; in flash |
//! | rtl_wmbus | pipe | as started | stripped | none in dBm |
//!
//! Each receiver's module says which manual it was written from, and what could not be verified; the
//! latter can be configured ([`Assumptions`]).
#![no_std]

extern crate alloc;

mod amber;
mod config;
mod cul;
mod dialect;
mod failure;
mod hci;
mod heard;
mod im871a;
mod kind;
mod probe;
mod rc1180;
mod receiver;
mod rtl_wmbus;
mod text;

pub use config::{Assumptions, CFormat, ListenConfig, RETRY_COUNT_DEFAULT, SILENCE_FACTOR_MAX};
pub use failure::Failure;
pub use heard::{
    Form, Heard, Identity, NOISE_BYTES_MAX, Noise, NoiseReason, ReceiverEvent, TELEGRAM_BYTES_MAX, TELEGRAM_BYTES_MIN,
};
pub use kind::{Kind, Mode, Modes, NameError};
pub use probe::{PROBE_ORDER, PROBE_PAUSE, Probe, ProbeEvent};
pub use receiver::{EVENT_COUNT_MAX, PENDING_BYTES_MAX, Receiver};
