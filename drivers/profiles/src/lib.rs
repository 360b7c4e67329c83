//! Meter models as data: the names, units and layouts of what the standards leave to the maker.
//!
//! No I/O: profiles come as text, the shipped ones inside the program. Telegrams are hostile input; nothing here
//! panics on any of them, and applying a profile allocates nothing once its [`Memory`] is warm.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plomb_profiles::{Library, Memory};
//! use plomb_wmbus::{MeterState, Opener, Security, Telegram};
//!
//! let library = Library::shipped()?;
//! // A Techem water meter, all of it in the maker's own coding (CI A2).
//! let bytes = [
//!     0x1B, 0x44, 0x68, 0x50, 0x75, 0x83, 0x92, 0x41, 0x62, 0x72, 0xA2, // L C, TCH, 41928375, 62, 72
//!     0x06, 0x7F, 0x2C, 0x14, 0x00, 0xB0, 0x09, 0x07, 0x00, 0, 0, 0, 0, 0, 0, 0, 0,
//! ];
//! let mut buffer = Vec::new();
//! let telegram = Telegram::parse(&bytes, &mut buffer)?;
//! let mut opener = Opener::new();
//! let opened = opener.open(&telegram, &MeterState::new(Security::plain()))?;
//! let mut found = Vec::new();
//! let mut memory = Memory::default();
//! library.apply(opened.meter, &opened.content, None, &mut memory, |named| {
//!     found.push(format!("{} {} {}", named.name, named.value, named.unit));
//! })?;
//! assert_eq!(found[0], "volume at due date 2.0 m3");
//! assert_eq!(found[2], "date 2022-04-27 ");
//! assert_eq!(found[4], "volume 2.7 m3");
//! # Ok(())
//! # }
//! ```
//!
//! # What is absent
//!
//! Makers' codings that nobody has made public: [`ReadError::Unsupported`] names maker and CI.
#![doc = ""]
#![doc = include_str!("../../../docs/profiles.md")]

mod apply;
mod check;
mod compile;
mod error;
mod file;
mod library;
mod named;
mod profile;
mod reading;
mod shipped;
mod transform;
mod valve;
mod words;

pub use apply::{Memory, ReadError};
pub use check::SampleError;
pub use error::{Place, ProfileError};
pub use library::{Library, LibraryError, PROFILE_COUNT_MAX};
pub use named::{Flags, Named, NamedValue};
pub use profile::{FIELD_COUNT_MAX, MODEL_COUNT_MAX, Match, PROFILE_BYTES_MAX, Profile, RULE_COUNT_MAX};
pub use valve::{VALVE_RECORDS_BYTES_MAX, Valve, ValveState};
