//! Meters' keys: the key file, and the import of what vendors send.
//!
//! Text in, structure out: nothing here opens a file. No error and no `Debug` shows a key or any part of a
//! line that might be one.
//!
//! # The key file
//!
//! A line a meter: identification and key. Where two meters have one identification, manufacturer, version and
//! medium tell them apart, as many of them as are needed, in this order. `#` begins a comment.
//!
//! ```text
//! # cellar
//! 12345678               00112233445566778899AABBCCDDEEFF
//! 87654321 KAM           0123456789ABCDEF0123456789ABCDEF
//! 87654321 KAM 1B 16     FEDCBA9876543210FEDCBA9876543210
//! ```
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plomb_keys::KeyFile;
//! let keys = KeyFile::parse("keys", "12345678 00112233445566778899AABBCCDDEEFF # hall\n")?;
//! let meter = plomb_mbus::MeterId {
//!     id: "12345678".parse()?,
//!     manufacturer: plomb_mbus::Manufacturer(0x2C2D),
//!     version: 0x1B,
//!     medium: plomb_mbus::Medium(0x16),
//! };
//! assert!(keys.find(&meter).is_some());
//! let error = KeyFile::parse("keys", "12345678 0011223344\n").map(|_| ()).unwrap_err();
//! assert_eq!(error.to_string(), "keys:1:10: the key: write 32 hexadecimal digits");
//! # Ok(())
//! # }
//! ```

mod file;
pub mod import;
mod mode;

pub use file::{FILE_BYTES_MAX, KEYS_MAX, KeyFile, KeyFileError, LINE_BYTES_MAX, Problem, Selector};
pub use mode::{ModeError, check_mode};
