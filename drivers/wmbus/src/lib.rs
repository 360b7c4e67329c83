//! Wireless M-Bus and OMS (EN 13757-4, EN 13757-7): from received bytes to opened telegrams.
#![no_std]

extern crate alloc;

mod afl;
pub mod chips;
mod cipher;
mod compact;
mod crc;
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
pub use compact::{Compact, CompactError, FORMAT_BYTES_MAX, FORMAT_COUNT_MAX, Formats, RESTORED_BYTES_MAX};
pub use crc::crc;
pub use draft::{Draft, DraftError};
pub use ell::{Ell, SessionNumber};
pub use fragments::{FRAGMENT_COUNT_MAX, FragmentError, MESSAGE_BYTES_MAX, MESSAGE_SECONDS_MAX, Reassembly};
pub use key::{KEY_BYTES, Key, KeyError, KeyTag};
pub use link::{FRAME_BYTES_MAX, Format, Link, LinkControl, LinkError, LinkFrame, PAYLOAD_BYTES_MAX};
pub use open::{Content, MeterState, OpenError, OpenOptions, Opened, Opener};
pub use proprietary::ManufacturerPayload;
pub use security::{COUNTER_COUNT_MAX, Counters, MessageCounter, Protection, Security};
pub use telegram::{Bearer, Telegram, TelegramError, Upper};
pub use transport::{Application, Extension, SecurityMode, Transport, TransportHeader};
