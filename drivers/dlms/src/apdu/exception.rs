//! What a meter says when it serves no answer (IEC 62056-5-3 §9.3.12).

use super::ApduError;
use alloc::vec::Vec;
use core::fmt;
use plomb_session::Reader;

/// The meter can't or won't serve (`D8`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionResponse {
    /// In which state it is.
    pub state: StateError,
    /// Why.
    pub service: ServiceException,
}

/// In which state the meter is: 1 service not allowed, 2 service unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateError(pub u8);

/// Why the meter does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceException {
    /// A reason without further words: 1 operation not possible, 2 not supported, 3 other, 4 APDU too
    /// long, 5 it could not be deciphered; others are unknown.
    Reason(u8),
    /// The invocation counter is out of step; the meter expects this one or a higher.
    InvocationCounter(u32),
}

/// A service failed (`0E`); most often the initiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmedServiceError {
    /// Which: 1 initiation, 5 read, 6 write.
    pub service: u8,
    /// The kind of error: 0 application reference, 1 hardware, 2 VDE state, 3 service, 4 definition,
    /// 5 access, 6 initiation, 7 load, 9 task, 10 other.
    pub kind: u8,
    /// Which error of the kind.
    pub value: u8,
}

const INVOCATION_COUNTER: u8 = 6;

impl ExceptionResponse {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let state = StateError(reader.u8()?);
        let service = match reader.u8()? {
            INVOCATION_COUNTER if reader.left() >= 4 => ServiceException::InvocationCounter(reader.u32_be()?),
            reason => ServiceException::Reason(reason),
        };
        Ok(Self { state, service })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend([0xD8, self.state.0]);
        match self.service {
            ServiceException::Reason(reason) => out.push(reason),
            ServiceException::InvocationCounter(counter) => {
                out.push(INVOCATION_COUNTER);
                out.extend(counter.to_be_bytes());
            }
        }
    }
}

impl ConfirmedServiceError {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ApduError> {
        let [service, kind, value] = reader.array()?;
        Ok(Self { service, kind, value })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend([0x0E, self.service, self.kind, self.value]);
    }
}

impl fmt::Display for ServiceException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason(1) => f.write_str("operation not possible"),
            Self::Reason(2) => f.write_str("service not supported"),
            Self::Reason(3) => f.write_str("other reason"),
            Self::Reason(4) => f.write_str("APDU too long"),
            Self::Reason(5) => f.write_str("the meter could not decipher it"),
            Self::Reason(INVOCATION_COUNTER) => f.write_str("invocation counter out of step"),
            Self::Reason(reason) => write!(f, "reason {reason}"),
            Self::InvocationCounter(counter) => {
                write!(f, "invocation counter out of step, the meter expects {counter} or more")
            }
        }
    }
}

impl fmt::Display for ExceptionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state.0 {
            1 => write!(f, "service not allowed, {}", self.service),
            2 => write!(f, "service unknown, {}", self.service),
            state => write!(f, "state {state}, {}", self.service),
        }
    }
}

impl fmt::Display for ConfirmedServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.kind, self.value) {
            (6, 1) => "DLMS version too low",
            (6, 2) => "proposed conformance does not suffice",
            (6, 3) => "proposed PDU size too short",
            (6, 4) => "refused by the application",
            (0, 2) => "application unreachable",
            (0, 5) => "deciphering error",
            (5, 1) => "scope of access violated",
            (5, 2) => "object access violated",
            (1, _) => "hardware",
            (kind, value) => return write!(f, "service {}, error {kind}.{value}", self.service),
        };
        f.write_str(text)
    }
}
