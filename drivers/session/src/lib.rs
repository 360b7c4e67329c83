//! The conversation trait that every meter protocol implements, with exact decimals and bounded readers.
//!
//! A driver of Plomb holds a protocol's rules and nothing else: no socket, no clock, no runtime.
//! It is told what happened and says what to do next. [`Session`] is that contract; one loop,
//! written once elsewhere, drives any session over any link.
//!
//! | item | what it is |
//! |---|---|
//! | [`Session`] | a conversation with a meter: bytes, deadlines and events |
//! | [`Instant`] | a point in time, in microseconds since an origin of the caller's choosing |
//! | [`Decimal`] | an exact decimal: integer mantissa, power-of-ten exponent, never a float |
//! | [`Obis`] | a six-part OBIS code |
//! | [`Reader`] | a cursor over received bytes that never panics |
//! | [`script`] | drives a session in virtual time from a script, for tests |
#![no_std]

extern crate alloc;

mod decimal;
mod instant;
mod obis;
mod reader;
pub mod script;
mod session;

pub use decimal::{Decimal, DecimalError};
pub use instant::Instant;
pub use obis::{Obis, ObisError};
pub use reader::{ReadError, Reader};
pub use session::{Session, Transmit};
