//! xDLMS and ACSE APDUs (IEC 62056-5-3 §8 and §9).
//!
//! [`Apdu::parse`] reads one whole APDU, [`Apdu::emit`] writes it. Ciphered APDUs stay as they are:
//! [`security`](crate::security) opens them.

mod acse;
mod action;
mod block;
mod ciphered;
mod codes;
mod descriptor;
mod exception;
mod get;
mod initiate;
mod notification;
mod set;

pub use acse::{
    Aare, Aarq, AssociateDiagnostic, AssociateResult, AuthenticationValue, ContextName, Mechanism, Release, ReleaseKind,
};
pub use action::{ActionRequest, ActionResponse, ActionReturn};
pub use block::{DataBlock, GeneralBlock};
pub use ciphered::{Ciphered, GeneralSigning};
pub use codes::{ActionResult, DataAccessResult};
pub use descriptor::{AttributeDescriptor, InvokeId, MethodDescriptor, SelectiveAccess};
pub use exception::{ConfirmedServiceError, ExceptionResponse, ServiceException, StateError};
pub use get::{GetRequest, GetResponse};
pub use initiate::{Conformance, InitiateRequest, InitiateResponse};
pub use notification::{DataNotification, EventNotification};
pub use set::{SetRequest, SetResponse};

use crate::axdr::ValueError;
use alloc::boxed::Box;
use alloc::vec::Vec;
use plomb_session::{ReadError, Reader};
use thiserror::Error;

/// The most items of a list in one APDU.
pub const LIST_COUNT_MAX: usize = 256;

/// One APDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apdu {
    /// `01`.
    InitiateRequest(InitiateRequest),
    /// `08`.
    InitiateResponse(InitiateResponse),
    /// `0E`.
    ConfirmedServiceError(ConfirmedServiceError),
    /// `0F`.
    DataNotification(DataNotification),
    /// `60`.
    Aarq(Box<Aarq>),
    /// `61`.
    Aare(Box<Aare>),
    /// `62` and `63`.
    Release(Release),
    /// `C0`.
    GetRequest(GetRequest),
    /// `C1`.
    SetRequest(SetRequest),
    /// `C2`.
    EventNotification(EventNotification),
    /// `C3`.
    ActionRequest(ActionRequest),
    /// `C4`.
    GetResponse(GetResponse),
    /// `C5`.
    SetResponse(SetResponse),
    /// `C7`.
    ActionResponse(ActionResponse),
    /// `D8`.
    ExceptionResponse(ExceptionResponse),
    /// `E0`.
    GeneralBlock(GeneralBlock),
    /// Ciphered, of any kind.
    Ciphered(Ciphered),
    /// `DF`.
    GeneralSigning(Box<GeneralSigning>),
}

/// The bytes are no APDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ApduError {
    /// The bytes end inside a field, or go on behind the end.
    #[error("{0}")]
    Length(#[from] ReadError),
    /// A value in it is none.
    #[error("{0}")]
    Value(#[from] ValueError),
    /// No APDU begins so.
    #[error("no APDU begins with {tag:02x}")]
    UnknownTag {
        /// The first byte.
        tag: u8,
    },
    /// A choice that the standard does not have.
    #[error("{what} has no choice {choice} (at {offset})")]
    UnknownChoice {
        /// Of what.
        what: &'static str,
        /// Which.
        choice: u8,
        /// Where it stands.
        offset: usize,
    },
    /// A field is not what the standard says.
    #[error("{what} at {offset} is not what the standard says")]
    Field {
        /// Which field.
        what: &'static str,
        /// Where it stands.
        offset: usize,
    },
    /// A list is too long.
    #[error("a list of {count} at {offset}: at most {LIST_COUNT_MAX}")]
    LongList {
        /// How many items it announces.
        count: usize,
        /// Where it stands.
        offset: usize,
    },
}

impl ApduError {
    /// Where it is wrong.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match *self {
            Self::Length(ReadError::Truncated { offset, .. } | ReadError::Trailing { offset, .. })
            | Self::UnknownChoice { offset, .. }
            | Self::Field { offset, .. }
            | Self::LongList { offset, .. } => offset,
            Self::Value(error) => error.offset(),
            Self::UnknownTag { .. } => 0,
        }
    }
}

impl Apdu {
    /// Reads `bytes` as one APDU and nothing else.
    ///
    /// # Errors
    /// [`ApduError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ApduError> {
        let mut reader = Reader::new(bytes);
        let apdu = match reader.u8()? {
            0x01 => Self::InitiateRequest(InitiateRequest::read(&mut reader)?),
            0x08 => Self::InitiateResponse(InitiateResponse::read(&mut reader)?),
            0x0E => Self::ConfirmedServiceError(ConfirmedServiceError::read(&mut reader)?),
            0x0F => Self::DataNotification(DataNotification::read(&mut reader)?),
            0x60 => Self::Aarq(Box::new(Aarq::read(&mut reader)?)),
            0x61 => Self::Aare(Box::new(Aare::read(&mut reader)?)),
            0x62 => Self::Release(Release::read(ReleaseKind::Request, &mut reader)?),
            0x63 => Self::Release(Release::read(ReleaseKind::Response, &mut reader)?),
            0xC0 => Self::GetRequest(GetRequest::read(&mut reader)?),
            0xC1 => Self::SetRequest(SetRequest::read(&mut reader)?),
            0xC2 => Self::EventNotification(EventNotification::read(&mut reader)?),
            0xC3 => Self::ActionRequest(ActionRequest::read(&mut reader)?),
            0xC4 => Self::GetResponse(GetResponse::read(&mut reader)?),
            0xC5 => Self::SetResponse(SetResponse::read(&mut reader)?),
            0xC7 => Self::ActionResponse(ActionResponse::read(&mut reader)?),
            0xD8 => Self::ExceptionResponse(ExceptionResponse::read(&mut reader)?),
            0xE0 => Self::GeneralBlock(GeneralBlock::read(&mut reader)?),
            0xDF => Self::GeneralSigning(Box::new(GeneralSigning::read(&mut reader)?)),
            tag if Ciphered::is_ciphered(tag) => Self::Ciphered(Ciphered { bytes: bytes.to_vec() }).seen(&mut reader),
            tag => return Err(ApduError::UnknownTag { tag }),
        };
        reader.finish()?;
        Ok(apdu)
    }

    /// Nothing more is read: the security room does.
    fn seen(self, reader: &mut Reader<'_>) -> Self {
        *reader = Reader::new(&[]);
        self
    }

    /// Writes the APDU.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::InitiateRequest(apdu) => apdu.write(&mut out),
            Self::InitiateResponse(apdu) => apdu.write(&mut out),
            Self::ConfirmedServiceError(apdu) => apdu.write(&mut out),
            Self::DataNotification(apdu) => apdu.write(&mut out),
            Self::Aarq(apdu) => apdu.write(&mut out),
            Self::Aare(apdu) => apdu.write(&mut out),
            Self::Release(apdu) => apdu.write(&mut out),
            Self::GetRequest(apdu) => apdu.write(&mut out),
            Self::SetRequest(apdu) => apdu.write(&mut out),
            Self::EventNotification(apdu) => apdu.write(&mut out),
            Self::ActionRequest(apdu) => apdu.write(&mut out),
            Self::GetResponse(apdu) => apdu.write(&mut out),
            Self::SetResponse(apdu) => apdu.write(&mut out),
            Self::ActionResponse(apdu) => apdu.write(&mut out),
            Self::ExceptionResponse(apdu) => apdu.write(&mut out),
            Self::GeneralBlock(apdu) => apdu.write(&mut out),
            Self::Ciphered(apdu) => out.extend(&apdu.bytes),
            Self::GeneralSigning(apdu) => apdu.write(&mut out),
        }
        out
    }

    /// The APDU's name, as the standard writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InitiateRequest(_) => "initiateRequest",
            Self::InitiateResponse(_) => "initiateResponse",
            Self::ConfirmedServiceError(_) => "confirmedServiceError",
            Self::DataNotification(_) => "data-notification",
            Self::Aarq(_) => "AARQ",
            Self::Aare(_) => "AARE",
            Self::Release(Release { kind: ReleaseKind::Request, .. }) => "RLRQ",
            Self::Release(_) => "RLRE",
            Self::GetRequest(_) => "get-request",
            Self::SetRequest(_) => "set-request",
            Self::EventNotification(_) => "event-notification-request",
            Self::ActionRequest(_) => "action-request",
            Self::GetResponse(_) => "get-response",
            Self::SetResponse(_) => "set-response",
            Self::ActionResponse(_) => "action-response",
            Self::ExceptionResponse(_) => "exception-response",
            Self::GeneralBlock(_) => "general-block-transfer",
            Self::Ciphered(ciphered) => ciphered.name(),
            Self::GeneralSigning(_) => "general-signing",
        }
    }
}

/// How many items a list has.
pub(crate) fn list_count(reader: &mut Reader<'_>) -> Result<usize, ApduError> {
    let offset = reader.offset();
    match crate::axdr::parse_length(reader)? {
        count if count > LIST_COUNT_MAX => Err(ApduError::LongList { count, offset }),
        count => Ok(count),
    }
}

/// A list, with its count before it.
pub(crate) fn read_list<T>(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, ApduError>,
) -> Result<Vec<T>, ApduError> {
    let count = list_count(reader)?;
    (0..count).map(|_| item(reader)).collect()
}

/// An optional field: a byte that is not zero, then the field.
pub(crate) fn read_optional<T>(
    reader: &mut Reader<'_>,
    field: impl FnOnce(&mut Reader<'_>) -> Result<T, ApduError>,
) -> Result<Option<T>, ApduError> {
    match reader.u8()? {
        0 => Ok(None),
        _ => field(reader).map(Some),
    }
}

/// What the blocks of an answer hold, joined.
pub(crate) mod read_answer {
    use super::action::{ActionReturn, read_return};
    use super::get::read_result;
    use super::{ApduError, DataAccessResult, read_list};
    use crate::axdr::{Budget, Value};
    use alloc::vec::Vec;
    use plomb_session::Reader;

    /// The results of a question with a list.
    pub(crate) fn list(bytes: &[u8]) -> Result<Vec<Result<Value, DataAccessResult>>, ApduError> {
        let (mut reader, mut budget) = (Reader::new(bytes), Budget::new());
        let list = read_list(&mut reader, |reader| read_result(reader, &mut budget))?;
        reader.finish()?;
        Ok(list)
    }

    /// The result of a method.
    pub(crate) fn action(bytes: &[u8]) -> Result<ActionReturn, ApduError> {
        let mut reader = Reader::new(bytes);
        let returned = read_return(&mut reader, &mut Budget::new())?;
        reader.finish()?;
        Ok(returned)
    }
}
