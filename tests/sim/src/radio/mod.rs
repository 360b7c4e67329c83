//! Radio meters on the air, and the receivers that hear them, without I/O.
//!
//! An [`Air`] holds [`RadioMeter`]s that send at their intervals. A [`Twin`] is a receiver on a serial
//! port as a gateway would find one: it answers its maker's commands, hears what it was set to hear, and
//! has the faults it is given. A [`Station`] is a twin in an air. [`PtyReceiver`] serves a station on a
//! pseudo-terminal.
//!
//! Everything is written from the standards and the makers' manuals by hand, and knows none of the
//! project's drivers.
//!
//! # Not true to life
//! - Telegrams never collide and are never lost; a receiver hears one while it answers a command.
//! - A telegram has no length in time, and goes out over the serial port in one piece unless a fault
//!   splits it.
//! - At another speed than the receiver's each byte is changed in the same way. A real port would also
//!   lose and gain some.
//! - What a receiver keeps in flash it keeps for as long as the twin lives.

mod air;
mod frame;
mod meter;
mod oms;
mod pty;
mod station;
mod twin;

pub use air::{Air, Radiated, RadioMode, demo_air, demo_key};
pub use frame::{crc16, with_crcs_a, with_crcs_b};
pub use meter::{Protection, RadioMeter, Trick};
pub use oms::{Key, TelegramHead, mode_5, mode_7, plain};
pub use pty::PtyReceiver;
pub use station::Station;
pub use twin::{Make, Twin, TwinCounters, TwinFaults};
