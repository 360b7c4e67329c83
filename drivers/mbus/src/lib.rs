//! Wired M-Bus (EN 13757-2 and -3): frames, records, OBIS codes and the master's session.
//!
//! No I/O, no clock, `no_std` with `alloc`. Bytes of the wire are hostile input: nothing here panics
//! on any of them, and nothing allocates more than a small multiple of the frame.
//!
//! # From bytes to values
//!
//! ```text
//! bytes ─ Frame::parse ─► Frame ─ Telegram::from_frame ─► Telegram ─ records() ─► Record …
//!         E5, 10, 68              CI: header, structure             DIB, VIB, value
//! ```
//!
//! [`decode`] does all of it for one frame and keeps the good records before an error;
//! [`decode_strict`] refuses the telegram instead. [`Telegram::records`] borrows and allocates
//! nothing: that is the fast way.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let frame = [
//!     0x68, 0x15, 0x15, 0x68, 0x08, 0x01, 0x72, // RSP_UD from address 1, long header
//!     0x78, 0x56, 0x34, 0x12, 0x77, 0x04, 0x0E, 0x16, // 12345678, ACW, version 14, cold water
//!     0x0A, 0x00, 0x00, 0x00, // access number 10, status ok, plain
//!     0x0C, 0x13, 0x21, 0x43, 0x05, 0x00, // 8 digits, litres
//!     0xC0, 0x16,
//! ];
//! let decoded = plomb_mbus::decode(&frame)?;
//! let meter = decoded.telegram.meter().ok_or("no meter")?;
//! let record = &decoded.records[0];
//! assert_eq!(format!("{} {}", meter.manufacturer, meter.id), "ACW 12345678");
//! assert_eq!(format!("{} {} {}", record.value, record.unit, record.quantity), "54.321 m3 volume");
//! assert_eq!(record.obis(meter.medium).map(|code| code.to_string()).as_deref(), Some("8-0:1.0.0*255"));
//! # Ok(())
//! # }
//! ```
//!
//! # What a value is
//!
//! A [`Value`] is what the meter sent, exact: numbers are [`Decimal`](plomb_session::Decimal)s whose
//! exponent holds the VIF's multiplier, reals become their shortest decimal, dates keep wildcards and
//! the meter's own "invalid" mark. What a coding does not allow, as a hexadecimal digit in BCD, is
//! [`Value::Invalid`] with its bytes and its reason. An unknown VIF is [`Quantity::Unknown`]; the
//! record still has its value and its raw blocks. [`Record::modifiers`] tells what extensions add,
//! as "per hour" or "phase L2": a program that bills must look at them, or at [`Record::obis`], which
//! is `None` where an extension changes the meaning in a way that no code covers.
//!
//! A manufacturer's tail (DIF 0F or 1F) is the last record, its value [`Value::Bytes`].
//!
//! # Reading a meter
//!
//! [`ReadMeter`] is a [`Session`](plomb_session::Session): it is given bytes and times, and gives
//! bytes, deadlines and [`ReadEvent`]s. [`ReadConfig`] holds what differs from bus to bus; the limits
//! of the standard are its defaults. [`ReadFailure`] says whose fault a failed readout is.
//! [`snd_nke`], [`req_ud2`], [`req_ud1`] and [`select`] make the frames for anyone else.
//!
//! # Looking at a frame
//!
//! [`annotate`] tells of every byte of a frame what it is.
//!
//! # What is absent
//!
//! Decryption and wireless M-Bus (an encrypted telegram is [`TelegramError::Encrypted`]; the crate
//! `plomb-wmbus` opens it), searching a bus, and everything a profile of one meter model would
//! know. A compact profile is [`Record::profile`]; its differences are not summed up.
#![no_std]

extern crate alloc;

mod annotate;
mod block;
mod coding;
mod date;
mod fixed;
mod frame;
mod header;
mod modifier;
mod obis;
mod profile;
mod quantity;
mod record;
mod secondary;
mod session;
mod telegram;
mod value;
mod vif;

pub use annotate::{Annotation, Annotations, annotate, ci_name};
pub use date::{DateTime, DaylightSaving, Precision};
pub use fixed::{Fixed, FixedMedium, FixedStatus};
pub use frame::{
    Address, Control, FRAME_BYTES_MAX, Frame, FrameError, PAYLOAD_BYTES_MAX, checksum, req_ud1, req_ud2, snd_nke,
};
pub use header::{
    ApplicationStatus, Configuration, Header, Identification, IdentificationError, Manufacturer, Medium, MeterId,
    Status,
};
pub use modifier::{Modifier, Modifiers, RecordStatus};
pub use profile::{Increment, Profile, Spacing};
pub use quantity::Quantity;
pub use record::{DIFE_COUNT_MAX, DataField, Function, Record, RecordError, VIFE_COUNT_MAX};
pub use secondary::{SecondaryAddress, select};
pub use session::{
    End, IDLE_BITS_MIN, RETRY_COUNT_DEFAULT, ReadConfig, ReadEvent, ReadFailure, ReadMeter, ReceivedTelegram,
    TELEGRAM_COUNT_MAX, Target, reply_timeout_of_standard,
};
pub use telegram::{
    ApplicationError, Body, DecodeError, Decoded, Records, ShortHeader, Telegram, TelegramError, decode, decode_strict,
};
pub use value::{Bytes, InvalidValue, Text, Value};
