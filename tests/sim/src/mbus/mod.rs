//! The slave's side of wired M-Bus (EN 13757-2, EN 13757-3), without I/O.

mod faults;
mod frame;
mod identity;
mod slave;

pub use faults::Faults;
pub use frame::{IDLE_GRACE_MS, MasterFrame, Receiver, Refused, checksum, long_frame, short_frame};
pub use identity::{Identity, IdentityError, manufacturer_code, manufacturer_letters};
pub use slave::{SERVED_FRAMES_MAX, Slave, Source, Valve};

/// The single acknowledgement character.
pub const ACK: u8 = 0xE5;
/// An unconfigured slave's address.
pub const ADDRESS_UNCONFIGURED: u8 = 0;
/// The highest primary address of a slave.
pub const ADDRESS_PRIMARY_MAX: u8 = 250;
/// The address of the selected slave.
pub const ADDRESS_SELECTED: u8 = 253;
/// The address to which every slave answers.
pub const ADDRESS_TEST: u8 = 254;
/// The address to which every slave listens and none answers.
pub const ADDRESS_BROADCAST: u8 = 255;
