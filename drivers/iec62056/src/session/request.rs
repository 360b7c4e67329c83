use crate::message::command;
use alloc::format;
use alloc::vec::Vec;
use thiserror::Error;

/// Requests that one session may have.
pub const REQUEST_COUNT_MAX: usize = 1000;
/// The longest operand. The standard has 32 and 128 characters.
const OPERAND_BYTES_MAX: usize = 256;

/// One request of a programming session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    command: [u8; 2],
    block: Vec<u8>,
}

/// Why a request cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A device address that does not exist.
    #[error("not a device address: letters, digits and spaces, up to 32")]
    Address,
    /// A character that a block cannot hold, or too many of them.
    #[error(
        "byte {byte:02x} at {offset} cannot stand in an operand: printable ASCII but ( ) / !, up to {OPERAND_BYTES_MAX}"
    )]
    Operand {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// More requests than one session may have.
    #[error("{requests} requests in one session: {REQUEST_COUNT_MAX} are allowed")]
    TooMany {
        /// How many.
        requests: usize,
    },
}

impl Request {
    /// R1: reads the register at `address`, as `1.8.0`.
    ///
    /// # Errors
    /// [`RequestError::Operand`].
    pub fn read(address: &str) -> Result<Self, RequestError> {
        Self::new(*b"R1", address, "")
    }

    /// R5: reads what `address` names, as `P.01` for a load profile, with `arguments`, as
    /// `2401010000;2401020000` for its span.
    ///
    /// # Errors
    /// [`RequestError::Operand`].
    pub fn read_formatted(address: &str, arguments: &str) -> Result<Self, RequestError> {
        Self::new(*b"R5", address, arguments)
    }

    /// W1: writes `value` into the register at `address`.
    ///
    /// # Errors
    /// [`RequestError::Operand`].
    pub fn write(address: &str, value: &str) -> Result<Self, RequestError> {
        Self::new(*b"W1", address, value)
    }

    /// Any command, as E2 or W5.
    ///
    /// # Errors
    /// [`RequestError::Operand`].
    pub fn new(command: [u8; 2], address: &str, operand: &str) -> Result<Self, RequestError> {
        check(address)?;
        check(operand)?;
        Ok(Self { command, block: format!("{address}({operand})").into_bytes() })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        command(self.command, &self.block)
    }

    /// Whether it changes nothing in the meter.
    pub(super) const fn only_reads(&self) -> bool {
        matches!(self.command, [b'R', _])
    }
}

/// What stands in a block cannot end it.
pub(super) fn check(operand: &str) -> Result<(), RequestError> {
    let bytes = operand.bytes().enumerate();
    let wrong = |(offset, byte): &(usize, u8)| {
        !matches!(byte, b' '..=b'~') || b"()/!".contains(byte) || *offset >= OPERAND_BYTES_MAX
    };
    match bytes.into_iter().find(wrong) {
        Some((offset, byte)) => Err(RequestError::Operand { offset, byte }),
        None => Ok(()),
    }
}
