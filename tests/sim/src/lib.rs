//! Simulated meters on lines with true timing; wired M-Bus first.
//!
//! A [`Bus`] holds [`mbus::Slave`]s. [`Line`] puts the bus behind a wire of a
//! given speed, without I/O and without a clock. [`PtyLine`] serves a line on
//! a pseudo-terminal, so that any serial program can read the meters; [`tcp`]
//! serves one on a socket. [`street()`] builds a bus of live meters. [`radio`] has
//! wireless meters and the receivers that hear them. [`dlms`] has an electricity
//! meter that speaks DLMS/COSEM.
//!
//! This crate shares no code with the project's drivers. Every frame and
//! record is made by hand, so that simulator and client cannot agree on the
//! same mistake.
//!
//! # True to life
//! - Framing, checksums, addressing (primary, 253, 254, 255), selection with
//!   wildcards, the FCB and multi-telegram readout (EN 13757-2, EN 13757-3).
//! - Each byte takes 11 bit times in either direction (start, eight bits, even
//!   parity, stop). Replies begin after the slave's response time.
//! - Collisions and speed mismatches are computed from the bits on the wire: a
//!   space of any slave pulls the line down, and the receiver samples what is
//!   left at its own speed.
//! - A slave that has begun to answer, or is about to, does not listen.
//! - A slave that met a broken frame waits for the line to go idle.
//!
//! # Not true to life
//! - Parity: a pseudo-terminal keeps no parity bit. The simulated wire carries
//!   even parity; what the client set is not checked, and a byte that collided
//!   is delivered as it was sampled instead of being flagged.
//! - A frame that the client writes in one go is on the wire in one go; the
//!   delays of USB adapters (latency timer, packets) are not simulated.
//! - Idle detection is lenient by [`mbus::IDLE_GRACE_MS`], because a client's
//!   process can be held up between two writes.
//! - The wire follows tokio's timer, which ticks in milliseconds: at 9600 baud
//!   and above bytes come in small groups, right on average.
//! - Exclusive mode (`TIOCEXCL`) is undone when bytes arrive: the simulator
//!   holds the line open and could not see its owner leave.
//! - The local mode ECHONL, without effect in raw mode, is set on the port after
//!   each write, so that the C library lets the next client ask for parity.
//! - A slave that was told to change its speed (CI B8..BF) stays there; it does
//!   not fall back by itself.
//! - After an application reset with subcode 2x (simple billing) a live meter
//!   sends its first telegram only; other subcodes change nothing. Selections
//!   for readout know a DIF and a VIF each, no extensions.
//! - Slaves of different speeds never talk at the same moment: those hear the
//!   master whose speed it has.
//! - Encryption is absent.
//! - Voltages, loads, wire lengths and repeaters do not exist.

pub mod dlms;
pub mod file;
pub mod live;
pub mod mbus;
pub mod radio;
pub mod tcp;

mod bus;
mod line;
mod pty;
mod serve;
mod street;
mod uart;

use std::path::PathBuf;
use std::time::Duration;

pub use bus::{Bus, Calendar, Noise};
pub use line::{Counters, Line, Transmission};
pub use pty::PtyLine;
pub use street::{Street, StreetMeter, street};

/// Why a simulator could not be set up or kept up.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The operating system refused a pseudo-terminal.
    #[error(
        "no pseudo-terminal ({step}): {source}; check that devpts is mounted and /proc/sys/kernel/pty/max is not used up"
    )]
    Pty {
        /// The call that failed.
        step: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The public path of the line could not be made.
    #[error(
        "cannot link {path} to the pseudo-terminal: {source}; check its folder's rights, and that no other file has this name"
    )]
    Link {
        /// The path that the caller chose.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The socket of the TCP mode failed.
    #[error("cannot serve on TCP {address}: {source}; check that the port is free")]
    Tcp {
        /// The address that the caller chose.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is there but does not say what it should.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place in the file.
        reason: String,
    },
}

/// The speed of a line, in bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LineSpeed(pub u32);

impl LineSpeed {
    /// How long `bits` bit times last. A speed of 0 counts as 1 bit a second.
    #[must_use]
    pub fn bits(self, bits: u64) -> Duration {
        Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(self.0.max(1)))
    }

    /// How long `bytes` bytes last on the wire, 11 bits each.
    #[must_use]
    pub fn bytes(self, bytes: usize) -> Duration {
        self.bits(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(uart::BITS_PER_BYTE))
    }
}

impl std::fmt::Display for LineSpeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} baud", self.0)
    }
}
