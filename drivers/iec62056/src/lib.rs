//! IEC 62056-21 readout (modes A to E) and P1 telegrams.
//!
//! No I/O, no clock, `no_std` with `alloc`. Every byte from a meter is hostile input: nothing here
//! panics on any of them, and every buffer has its bound.
//!
//! | item | what it is |
//! |---|---|
//! | [`DataSets`], [`DataSet`], [`Group`] | `1-0:1.8.0(001234.5*kWh)` with exact decimals and OBIS codes |
//! | [`Message`], [`Identification`] | what goes over the line: `/…`, STX … ETX BCC, ACK, … |
//! | [`Readout`] | a session: asks a meter for its readout (modes A, B and C) |
//! | [`Programming`] | a session: reads and writes single registers (mode C) |
//! | [`Opening`] | a session: opens mode E, after which the meter speaks HDLC |
//! | [`p1`] | telegrams that meters push (P1, DSMR, and mode D), and frames in a stream of them |
//! | [`annotate`] | what each byte of a message or a telegram is |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let block = b"0.0.0(12345678)\r\n1.8.0(001234.5*kWh)\r\n!\r\n";
//! let sets: Vec<_> = plomb_iec62056::DataSets::new(block).collect::<Result<_, _>>()?;
//! let energy = sets[1].groups().next().ok_or("no value")?;
//! assert_eq!(sets[1].obis().map(|code| code.to_string()).as_deref(), Some("1-0:1.8.0*255"));
//! assert_eq!(energy.decimal().map(|value| value.to_string()).as_deref(), Some("1234.5"));
//! assert_eq!(energy.unit, Some("kWh"));
//! # Ok(())
//! # }
//! ```
#![no_std]

extern crate alloc;

mod annotate;
mod dataset;
mod identification;
mod message;
mod obis;
pub mod p1;
mod parity;
mod session;
mod timestamp;

pub use annotate::{Annotation, annotate};
pub use dataset::{DataError, DataSet, DataSets, Group, Groups};
pub use identification::{IDENTIFICATION_BYTES_MAX, Identification, IdentificationError, Proposal};
pub use message::{BLOCK_BYTES_MAX, Message, MessageError, bcc, break_message, command, option_select, request};
pub use obis::obis_of;
pub use parity::{Parity, ParityError};
pub use session::{
    DEVICE_ADDRESS_BYTES_MAX, DeviceAddress, Opened, Opening, OpeningEvent, Programming, ProgrammingEvent,
    REQUEST_COUNT_MAX, ReadConfig, ReadEvent, ReadFailure, Readout, Request, RequestError, SPEEDS,
};
pub use timestamp::{Season, Timestamp, TimestampError};
