//! Wireless M-Bus and OMS (EN 13757-4, EN 13757-7, OMS Volume 2): from received bytes to opened
//! telegrams. Wired telegrams that are encrypted are opened here too.
//!
//! No I/O, no clock, `no_std` with `alloc`. What the radio brings is hostile: nothing here panics on any
//! of it, and nothing that fails a check changes what is kept of a meter.
//!
//! # From bytes to values
//!
//! ```text
//! chips ─ chips::receive ─► bytes ─ Telegram::parse ─► Telegram ─ Opener::open ─► Opened ─► Records
//!         modes S, T, C             formats A, B,                 MAC, counter,
//!                                   without CRCs                  decryption, checks
//! ```
//!
//! ```
//! use plomb_wmbus::{Content, Key, MeterState, Opener, Security, Telegram};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = Key::from_hex("000102030405060708090A0B0C0D0E0F")?;
//! # let header = plomb_mbus::ShortHeader {
//! #     access: 7,
//! #     status: plomb_mbus::Status(0),
//! #     configuration: plomb_mbus::Configuration(0x0700),
//! # };
//! # let sender = plomb_mbus::MeterId {
//! #     id: plomb_mbus::Identification(0x12345678),
//! #     manufacturer: plomb_mbus::Manufacturer(0x0477),
//! #     version: 1,
//! #     medium: plomb_mbus::Medium(7),
//! # };
//! # let draft = plomb_wmbus::Draft {
//! #     link: plomb_wmbus::Link { control: plomb_wmbus::LinkControl::SND_NR, sender },
//! #     ell: None,
//! #     ci: 0x7A,
//! #     header: plomb_wmbus::TransportHeader::Short(header),
//! #     payload: &[0x0C, 0x13, 0x21, 0x43, 0x05, 0x00],
//! #     counter: 1,
//! #     authentication: plomb_wmbus::Authentication::Cmac(8),
//! # };
//! # let received = draft.emit(plomb_wmbus::Format::A, Some(&key))?;
//! let mut meter = MeterState::new(Security::authenticated(key)); // of telegram.meter(), from a map
//! let mut buffer = Vec::new();
//! let mut opener = Opener::new();
//!
//! let telegram = Telegram::parse(&received, &mut buffer)?;
//! let opened = opener.open(&telegram, &meter)?;
//! let Content::Records(mut records) = opened.content else { return Err("no records".into()) };
//! let record = records.next().ok_or("no record")??;
//! assert_eq!(format!("{} {} {}", record.value, record.unit, record.quantity), "54.321 m3 volume");
//! meter.accept(&opened); // once the reading is safe: this counter will not be taken again
//! assert!(opener.open(&telegram, &meter).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # What is checked
//!
//! CRCs of the link; the payload's CRC of the extended link layer; the check bytes 2F2F of modes 5 and
//! 7; the MAC of the authentication layer (mode 7) and the tag of mode 10; and, where a MAC or tag
//! covers one, that the message counter is above the last that was accepted under the same key. What
//! is protected less than the meter's [`Security`] says is refused, as are payloads in clear under a
//! header that says encrypted. [`OpenError`] tells these apart.
//!
//! Mode 5 and the extended link layer's encryption have no authenticated counter. Their access and
//! session numbers are told and decide nothing: who recorded such a telegram can send it again, and
//! who guesses sixteen bits can forge one. [`Protection`] says which is which.
//!
//! # What is kept for a meter
//!
//! [`MeterState`]: its key and expectations, its message counters (to be stored; see
//! [`Counters::iter`]), and the formats of its compact frames. [`Opener::open`] reads it and
//! [`MeterState::accept`] writes it, so that a counter moves only when the reading is safe.
//! [`Reassembly`] holds a message that comes in fragments.
//!
//! # What is absent
//!
//! Modes 1 to 4, 8, 9 and 13, refused by name; the network layer (CI 81) and the extended link layer of
//! variable length (CI 86), likewise; commands to meters; and manufacturers' own codings but for what
//! [`proprietary`] reads.
#![no_std]

extern crate alloc;

mod afl;
mod annotate;
pub mod chips;
mod cipher;
mod compact;
mod crc;
mod deciphered;
mod draft;
mod ell;
mod fragments;
mod key;
mod link;
mod open;
pub mod proprietary;
mod security;
mod telegram;
mod transport;

pub use afl::{Afl, AflError, Authentication, FragmentControl, KeyInformation, MAC_BYTES_MAX, MessageControl};
pub use annotate::{annotate, annotate_wired};
pub use compact::{Compact, CompactError, FORMAT_BYTES_MAX, FORMAT_COUNT_MAX, Formats, RESTORED_BYTES_MAX};
pub use crc::crc;
pub use deciphered::{deciphered, deciphered_wired};
pub use draft::{Draft, DraftError};
pub use ell::{Ell, SessionNumber};
pub use fragments::{
    BEGINNING_COUNT_MAX, FRAGMENT_COUNT_MAX, FragmentError, MESSAGE_BYTES_MAX, MESSAGE_SECONDS_MAX, Reassembly,
};
pub use key::{KEY_BYTES, Key, KeyError, KeyTag};
pub use link::{FRAME_BYTES_MAX, Format, Link, LinkControl, LinkError, LinkFrame, PAYLOAD_BYTES_MAX};
pub use open::{Content, MeterState, OpenError, OpenOptions, Opened, Opener};
pub use proprietary::ManufacturerPayload;
pub use security::{COUNTER_COUNT_MAX, Counters, MAC_BYTES_MIN, MessageCounter, Protection, Security};
pub use telegram::{Bearer, Telegram, TelegramError, Upper};
pub use transport::{Application, Extension, SecurityMode, Transport, TransportHeader};
