//! The application layer of a slave's answer (EN 13757-3 and -7): what the CI field announces.

use crate::date::{DateTime, Precision};
use crate::fixed::{FIXED_BYTES, Fixed};
use crate::frame::{Address, Control, Frame, FrameError};
use crate::header::{Configuration, Header, Identification, Manufacturer, Medium, MeterId, Status};
use crate::quantity::Quantity;
use crate::record::{Function, Record, RecordError};
use alloc::vec::Vec;
use core::fmt;
use plomb_session::{ReadError, Reader};
use thiserror::Error;

/// `68 L L 68 C A CI` come before the payload; all offsets of a telegram count from the first 68.
const PAYLOAD_AT: usize = 7;

/// The least that a usual record takes: so many are made room for at once.
const RECORD_BYTES_USUAL: usize = 5;

/// What a long frame says. Borrowed from the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Telegram<'a> {
    /// The control field.
    pub control: Control,
    /// The address field.
    pub address: Address,
    /// The control information field.
    pub ci: u8,
    /// The application layer.
    pub body: Body<'a>,
}

/// The application layer of a telegram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// CI 72, 76, 7A, 78: records of the variable structure. From a master (`SND_UD`) CI 51 and 55: what it
    /// writes to the slave.
    Variable {
        /// The long header (72, 76).
        header: Option<Header>,
        /// The short header (7A): as the long one, without the meter.
        short: Option<ShortHeader>,
        /// The records' bytes.
        records: Records<'a>,
    },
    /// CI 73, 77: two counters.
    Fixed(Fixed<'a>),
    /// CI 6E, 6F, 70: the slave cannot do what was asked.
    ApplicationError(ApplicationError),
    /// CI 71, 74, 75: the slave's alarm byte.
    Alarm(u8),
    /// Any other CI, with what follows it.
    Unknown(&'a [u8]),
}

/// The header without the meter (CI 7A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHeader {
    /// Counts the meter's answers, modulo 256.
    pub access: u8,
    /// How the meter is.
    pub status: Status,
    /// How the records are protected.
    pub configuration: Configuration,
}

/// Why the slave refuses (CI 70; EN 13757-3, table 20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApplicationError {
    /// 0, or no code at all.
    Unspecified,
    /// 1.
    UnimplementedCi,
    /// 2.
    BufferTooLong,
    /// 3.
    TooManyRecords,
    /// 4.
    PrematureEnd,
    /// 5.
    TooManyDifes,
    /// 6.
    TooManyVifes,
    /// 8: busy with too many readouts, or the application itself.
    Busy,
    /// 9: too many readouts for the meter's battery.
    TooManyReadouts,
    /// Any other code.
    Other(u8),
}

/// The records of a telegram, in its order. Cheap to clone and to iterate again.
///
/// After an error the iterator ends: where a record of unknown length ends, nobody knows.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Variable { reader: Reader<'a>, msb_first: bool },
    Fixed { fixed: Fixed<'a>, next: usize },
    End,
}

/// Why a frame gives no telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TelegramError {
    /// The bytes are not a frame.
    #[error("not a frame: {0}")]
    Frame(#[from] FrameError),
    /// The frame is whole and carries no application layer.
    #[error("the frame carries no application layer")]
    NoTelegram,
    /// The telegram ends inside its header.
    #[error("the telegram ends inside its header: {0}")]
    Header(ReadError),
    /// Bytes follow the two counters of the fixed structure.
    #[error("the fixed structure is longer than its {FIXED_BYTES} bytes: {0}")]
    Fixed(ReadError),
    /// The records are encrypted and no key is at hand.
    #[error("the records are encrypted (security mode {mode}) from offset {offset} on: give the meter's key")]
    Encrypted {
        /// The security mode.
        mode: u8,
        /// Where the encrypted bytes begin.
        offset: usize,
    },
}

impl TelegramError {
    /// A short word for the kind of error, stable for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Frame(FrameError::Truncated { .. }) | Self::Header(_) => "truncated",
            Self::Frame(FrameError::Checksum { .. }) => "checksum",
            Self::Frame(_) => "frame",
            Self::NoTelegram => "no telegram",
            Self::Fixed(_) => "trailing",
            Self::Encrypted { .. } => "encrypted",
        }
    }

    /// The offset, in the frame, of the byte where reading failed.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match *self {
            Self::Frame(
                FrameError::Start { offset, .. }
                | FrameError::LengthsDiffer { offset, .. }
                | FrameError::LengthTooShort { offset, .. }
                | FrameError::SecondStart { offset, .. }
                | FrameError::Checksum { offset, .. }
                | FrameError::Stop { offset, .. }
                | FrameError::Truncated { offset, .. }
                | FrameError::Trailing { offset, .. },
            )
            | Self::Encrypted { offset, .. }
            | Self::Header(ReadError::Truncated { offset, .. } | ReadError::Trailing { offset, .. })
            | Self::Fixed(ReadError::Truncated { offset, .. } | ReadError::Trailing { offset, .. }) => offset,
            Self::Frame(FrameError::PayloadTooLong { .. }) | Self::NoTelegram => 0,
        }
    }
}

/// A telegram with its records read, and why they end early if they do.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// The telegram.
    pub telegram: Telegram<'a>,
    /// The good records, in the telegram's order.
    pub records: Vec<Record<'a>>,
    /// Why the records end before the telegram does.
    pub error: Option<RecordError>,
}

/// Why [`decode_strict`] gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes give no telegram.
    #[error(transparent)]
    Telegram(#[from] TelegramError),
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Reads `frame`, which must be exactly one long frame, and all its records.
///
/// A record that cannot be read ends the list; the records before it are good and are kept, with
/// the reason in [`Decoded::error`].
///
/// # Errors
/// [`TelegramError`] when there is no telegram at all.
pub fn decode(frame: &[u8]) -> Result<Decoded<'_>, TelegramError> {
    let telegram = Telegram::parse(frame)?;
    let records = telegram.records();
    let expected = records.rest().len() / RECORD_BYTES_USUAL;
    let mut decoded = Decoded { telegram, records: Vec::with_capacity(expected), error: None };
    for record in records {
        match record {
            Ok(record) => decoded.records.push(record),
            Err(error) => decoded.error = Some(error),
        }
    }
    Ok(decoded)
}

/// As [`decode`], but a record that cannot be read refuses the whole telegram.
///
/// # Errors
/// [`DecodeError`] for the first thing that is wrong.
pub fn decode_strict(frame: &[u8]) -> Result<Decoded<'_>, DecodeError> {
    let decoded = decode(frame)?;
    match decoded.error {
        Some(error) => Err(error.into()),
        None => Ok(decoded),
    }
}

impl Decoded<'_> {
    /// The meter's own time of `record`: the time point that the telegram gives for the same storage
    /// number and function, if it is exact. A date with a time of day goes before a date alone.
    #[must_use]
    pub fn time_of(&self, record: &Record<'_>) -> Option<DateTime> {
        let points = self.records.iter().filter(|point| {
            matches!(point.quantity, Quantity::Date | Quantity::DateTime)
                && point.storage == record.storage
                && point.function == record.function
                && (point.tariff, point.subunit) == (0, 0)
                && point.modifiers.is_empty()
        });
        let dates = points.filter_map(|point| point.value.date_time()).filter(DateTime::is_exact);
        dates.filter(|date| date.precision != Precision::TimeOfDay).max_by_key(|date| date.precision != Precision::Day)
    }
}

impl<'a> Telegram<'a> {
    /// Reads `frame`, which must be exactly one long frame. Records are read on demand.
    ///
    /// # Errors
    /// [`TelegramError`].
    pub fn parse(frame: &'a [u8]) -> Result<Self, TelegramError> {
        Self::from_frame(&Frame::parse_whole(frame)?)
    }

    /// The telegram of a frame already read.
    ///
    /// # Errors
    /// [`TelegramError`]; [`TelegramError::NoTelegram`] for a short frame.
    pub fn from_frame(frame: &Frame<'a>) -> Result<Self, TelegramError> {
        let Frame::Long { control, address, ci, payload } = *frame else {
            return Err(TelegramError::NoTelegram);
        };
        let mut reader = Reader::with_base(payload, PAYLOAD_AT);
        let body = match (control, ci) {
            // EN 13757-3: data to the slave; 55 is 51 in mode 2.
            (Control::SndUd { .. }, 0x51 | 0x55) => {
                Body::Variable { header: None, short: None, records: Records::new(reader, ci == 0x55) }
            }
            _ => Body::read(ci, &mut reader)?,
        };
        Ok(Self { control, address, ci, body })
    }

    /// The records, in the telegram's order; none when the body carries none.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        match self.body {
            Body::Variable { records, .. } => records,
            Body::Fixed(fixed) => Records { source: Source::Fixed { fixed, next: 0 } },
            _ => Records { source: Source::End },
        }
    }

    /// Whether the slave says that more records follow in its next telegram (DIF 1F).
    #[must_use]
    pub fn more_follows(&self) -> bool {
        self.records().flatten().any(|record| record.function == Function::MoreRecordsFollow)
    }

    /// The meter of the long header.
    #[must_use]
    pub const fn meter(&self) -> Option<MeterId> {
        match self.body {
            Body::Variable { header: Some(header), .. } => Some(header.meter),
            _ => None,
        }
    }

    /// The meter's eight digits, of the long header or the fixed structure.
    #[must_use]
    pub const fn id(&self) -> Option<Identification> {
        match self.body {
            Body::Variable { header: Some(header), .. } => Some(header.meter.id),
            Body::Fixed(fixed) => Some(fixed.id),
            _ => None,
        }
    }

    /// What is metered, of the long header or the fixed structure.
    #[must_use]
    pub const fn medium(&self) -> Option<Medium> {
        match self.body {
            Body::Variable { header: Some(header), .. } => Some(header.meter.medium),
            Body::Fixed(fixed) => Some(fixed.medium.medium()),
            _ => None,
        }
    }

    /// The meter's status, where the telegram has one.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self.body {
            Body::Variable { header: Some(header), .. } => Some(header.status),
            Body::Variable { short: Some(short), .. } => Some(short.status),
            Body::Fixed(fixed) => Some(fixed.status.condition()),
            _ => None,
        }
    }

    /// The meter's access number, where the telegram has one.
    #[must_use]
    pub const fn access(&self) -> Option<u8> {
        match self.body {
            Body::Variable { header: Some(header), .. } => Some(header.access),
            Body::Variable { short: Some(short), .. } => Some(short.access),
            Body::Fixed(fixed) => Some(fixed.access),
            _ => None,
        }
    }
}

impl<'a> Body<'a> {
    fn read(ci: u8, reader: &mut Reader<'a>) -> Result<Self, TelegramError> {
        // CI 76 and 77 are 72 and 73 in mode 2: every field of several bytes comes turned round.
        let msb_first = matches!(ci, 0x76 | 0x77);
        match ci {
            0x72 | 0x76 => {
                let header = Header::read(reader, msb_first).map_err(TelegramError::Header)?;
                plain(header.configuration, reader)?;
                Ok(Self::Variable { header: Some(header), short: None, records: Records::new(*reader, msb_first) })
            }
            0x7A => {
                let short = ShortHeader::read(reader, false).map_err(TelegramError::Header)?;
                plain(short.configuration, reader)?;
                Ok(Self::Variable { header: None, short: Some(short), records: Records::new(*reader, false) })
            }
            0x78 => Ok(Self::Variable { header: None, short: None, records: Records::new(*reader, false) }),
            0x73 | 0x77 => {
                let fixed = Fixed::read(reader, msb_first).map_err(TelegramError::Header)?;
                reader.finish().map_err(TelegramError::Fixed)?;
                Ok(Self::Fixed(fixed))
            }
            0x6E..=0x70 => Ok(Self::ApplicationError(ApplicationError::from_code(reader.rest().last().copied()))),
            0x71 | 0x74 | 0x75 => match reader.rest().last() {
                Some(alarm) => Ok(Self::Alarm(*alarm)),
                None => Ok(Self::Unknown(reader.rest())),
            },
            _ => Ok(Self::Unknown(reader.rest())),
        }
    }
}

/// Refuses encrypted records.
fn plain(configuration: Configuration, reader: &Reader<'_>) -> Result<(), TelegramError> {
    match configuration.encrypted_bytes(reader.left()) {
        0 => Ok(()),
        _ => Err(TelegramError::Encrypted { mode: configuration.mode(), offset: reader.offset() }),
    }
}

impl Header {
    /// Reads the long header; `msb_first` for CI 76.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when the bytes end inside it.
    pub fn read(reader: &mut Reader<'_>, msb_first: bool) -> Result<Self, ReadError> {
        let id = if msb_first { reader.u32_be()? } else { reader.u32_le()? };
        let manufacturer = if msb_first { reader.u16_be()? } else { reader.u16_le()? };
        let meter = MeterId {
            id: Identification(id),
            manufacturer: Manufacturer(manufacturer),
            version: reader.u8()?,
            medium: Medium(reader.u8()?),
        };
        let ShortHeader { access, status, configuration } = ShortHeader::read(reader, msb_first)?;
        Ok(Self { meter, access, status, configuration })
    }
}

impl ShortHeader {
    /// Reads access number, status and configuration word; `msb_first` for CI 76.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when the bytes end inside it.
    pub fn read(reader: &mut Reader<'_>, msb_first: bool) -> Result<Self, ReadError> {
        Ok(Self {
            access: reader.u8()?,
            status: Status(reader.u8()?),
            configuration: Configuration(if msb_first { reader.u16_be()? } else { reader.u16_le()? }),
        })
    }
}

impl<'a> Records<'a> {
    /// The records in `bytes`, least significant byte first; their offsets count from `offset`.
    ///
    /// For whoever has the bytes from elsewhere than a wired frame: a radio telegram, or a decrypted one.
    #[must_use]
    pub const fn from_bytes(bytes: &'a [u8], offset: usize) -> Self {
        Self::new(Reader::with_base(bytes, offset), false)
    }

    const fn new(reader: Reader<'a>, msb_first: bool) -> Self {
        Self { source: Source::Variable { reader, msb_first } }
    }

    /// The bytes that are not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        match &self.source {
            Source::Variable { reader, .. } => reader.rest(),
            _ => &[],
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Variable { reader, msb_first } => match Record::read(reader, *msb_first) {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(error) => {
                    self.source = Source::End;
                    return Some(Err(error));
                }
            },
            Source::Fixed { fixed, next } => {
                let record = fixed.record(*next);
                *next = next.saturating_add(1);
                return record.map(Ok);
            }
            Source::End => {}
        }
        None
    }
}

impl PartialEq for Records<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rest() == other.rest()
    }
}

impl ApplicationError {
    const fn from_code(code: Option<u8>) -> Self {
        match code {
            None | Some(0) => Self::Unspecified,
            Some(1) => Self::UnimplementedCi,
            Some(2) => Self::BufferTooLong,
            Some(3) => Self::TooManyRecords,
            Some(4) => Self::PrematureEnd,
            Some(5) => Self::TooManyDifes,
            Some(6) => Self::TooManyVifes,
            Some(8) => Self::Busy,
            Some(9) => Self::TooManyReadouts,
            Some(code) => Self::Other(code),
        }
    }
}

impl fmt::Display for ApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified error",
            Self::UnimplementedCi => "CI field not implemented",
            Self::BufferTooLong => "buffer too long, truncated",
            Self::TooManyRecords => "too many records",
            Self::PrematureEnd => "premature end of record",
            Self::TooManyDifes => "more than ten DIFEs",
            Self::TooManyVifes => "more than ten VIFEs",
            Self::Busy => "application busy",
            Self::TooManyReadouts => "too many readouts",
            Self::Other(code) => return write!(f, "application error {code:02x}"),
        })
    }
}
