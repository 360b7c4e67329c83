//! The HDLC data link (IEC 62056-46, ISO/IEC 13239 frame type 3).
//!
//! | item | what it is |
//! |---|---|
//! | [`Frame`], [`Address`], [`Control`] | one frame, read and written |
//! | [`Deframer`] | frames in a stream, whatever stands between them |
//! | [`Parameters`] | what SNRM and UA negotiate |

mod address;
mod control;
mod deframer;
mod fcs;
mod frame;
mod parameters;

pub use address::{ADDRESS_LONG_MAX, ADDRESS_SHORT_MAX, Address, AddressError};
pub use control::Control;
pub use deframer::{Deframer, Found};
pub use fcs::fcs;
pub use frame::{
    FLAG, FRAME_BYTES_MAX, Frame, FrameError, INFORMATION_BYTES_MAX, LLC_COMMAND, LLC_RESPONSE, without_llc,
};
pub use parameters::{
    INFORMATION_BYTES_DEFAULT, INFORMATION_BYTES_PROPOSED, Parameters, WINDOW_FRAMES_DEFAULT, WINDOW_FRAMES_MAX,
};
