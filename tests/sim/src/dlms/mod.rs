//! A simulated electricity meter that speaks DLMS/COSEM (IEC 62056), server side.
//!
//! [`MeterConfig::new`] orders a meter; [`MeterServer`] puts it on lines: the wrapper on TCP and UDP, HDLC on
//! TCP and on a paced pseudo-terminal. [`Meter`] is what stands behind them, without I/O and without a clock;
//! it says what it holds ([`Meter::held`], [`Meter::held_rows`]), so that a test can compare.
//!
//! All is made by hand from the standards, on RustCrypto's algorithms: simulator and client cannot share a
//! mistake.
//!
//! # Rules that it keeps
//! - The public client is 16, without authentication; it sees the clock, the identification, the counters and
//!   its association. The management client has one mechanism and sees all.
//! - An invocation counter that is not above the last accepted one, on any line, is refused; one whose tag is
//!   wrong doesn't count. Dedicated keys have a counter of their own.
//! - Registers follow the calendar; profiles follow the meter's own clock, and the content of a row follows
//!   its time. Who sets the clock doesn't change the past.
//! - Nothing of the load profile is stored: a row is a function of the seed and its time.
//! - An answer that is longer than the client takes comes in blocks of its service, or in general blocks where
//!   only these were agreed on.
//! - While the supply is disconnected no energy flows: its registers stand, currents and power are zero.
//! - A token counts once; what became of the last is in the token gateway.
//! - A key that was transferred holds from the next request on; the counter begins anew with the unicast key.
//!
//! # Not true to life
//! - One management client; no rights of single attributes but read, write and none.
//! - No general-ciphering with agreed keys, no general-signing, no compression, no short names.
//! - The broadcast key shares the unicast key's counter.
//! - The limiter, schedules and scripts are objects to be read and written; nothing follows from them, nor from the
//!   activity calendar: the registers' tariffs are those of the clock.
//! - Images are counted, not kept; M-Bus slaves are one that never changes.
//! - A pseudo-terminal keeps no parity: the opening's characters have seven bits, or their parity in the eighth.
//! - After the last HDLC connection's end, a line that has to be opened bears another connection for three
//!   seconds, or an opening at once.

mod acse;
mod config;
mod crypt;
mod faults;
mod link;
mod meter;
mod object;
mod opening;
mod pushing;
mod quantities;
mod serial;
mod server;
mod session;
mod time;
mod value;

pub use config::{HdlcLimits, Keys, Mechanism, MeterConfig, PUBLIC_CLIENT, ProfileForm, conformance};
pub use crypt::public_point;
pub use faults::Faults;
pub use meter::Meter;
pub use object::Name;
pub use object::metering::Held;
pub use object::prepayment::TOKENS;
pub use object::profile::HeldRow;
pub use opening::OpeningForm;
pub use pushing::PushRoute;
pub use serial::SerialLine;
pub use server::{Framing, MeterServer};
pub use time::{DEVIATION_UNKNOWN, date_time, instant};
pub use value::Value;
