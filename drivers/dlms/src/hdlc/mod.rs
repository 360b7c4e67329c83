//! The HDLC data link (IEC 62056-46, ISO/IEC 13239 frame type 3).
//!
//! | item | what it is |
//! |---|---|
//! | [`Frame`], [`Address`], [`Control`] | one frame, read and written |
//! | [`Deframer`] | frames in a stream, whatever stands between them |
//! | [`Parameters`] | what SNRM and UA negotiate |
//! | [`ClientLink`], [`HdlcConfig`] | a client's connection with one meter |

mod address;
mod client;
mod config;
mod control;
mod deframer;
mod fcs;
mod frame;
mod heard;
mod parameters;
pub(crate) mod pieces;

pub use address::{ADDRESS_LONG_MAX, ADDRESS_SHORT_MAX, Address, AddressError};
pub use client::{
    BUSY_PAUSE_MAX, BUSY_PAUSE_MIN, CONNECT_BACKOFF_MAX, CONNECT_BACKOFF_MIN, ClientLink, REFUSAL_COUNT_MAX,
};
pub use config::{HdlcConfig, RETRY_COUNT_DEFAULT};
pub use control::Control;
pub use deframer::{Deframer, Found};
pub use fcs::fcs;
pub use frame::{
    FLAG, FRAME_BYTES_MAX, Frame, FrameError, INFORMATION_BYTES_MAX, LLC_COMMAND, LLC_RESPONSE, without_llc,
};
pub use parameters::{
    INFORMATION_BYTES_DEFAULT, INFORMATION_BYTES_PROPOSED, Parameters, WINDOW_FRAMES_DEFAULT, WINDOW_FRAMES_MAX,
};
