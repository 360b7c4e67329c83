//! The transport layer (EN 13757-7, clause 7): CI, header, configuration field, payload.

use core::fmt;
use plomb_mbus::{Configuration, Header, MeterId, ShortHeader, Status};
use plomb_session::{ReadError, Reader};

/// A transport layer, nothing of it decrypted. Borrowed from the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transport<'a> {
    /// Which application layer follows.
    pub ci: u8,
    /// The header.
    pub header: TransportHeader,
    /// The configuration field's extension; zeros where the mode has none.
    pub extension: Extension,
    /// The message counter that the header carries (mode 10).
    pub counter: Option<u32>,
    /// From CI to the end: what a MAC covers.
    pub message: &'a [u8],
    /// What follows the header, encrypted or not.
    pub payload: &'a [u8],
    /// Where the payload begins.
    pub payload_at: usize,
    /// Bytes from CI to the end of the configuration field: what mode 10 authenticates beside the payload.
    pub associated: &'a [u8],
}

/// The header between CI and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportHeader {
    /// None.
    None,
    /// Access number, status, configuration; the meter is the link's sender.
    Short(ShortHeader),
    /// With the meter.
    Long(Header),
}

/// CFGE: one byte in mode 7 (and 13), two in mode 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extension(pub [u8; 2]);

/// A security mode (EN 13757-7, table 20). Modes that are not opened are named, so that they can be
/// refused by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityMode(pub u8);

/// What the application layer is, by its CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Application {
    /// 72, 7A, 78: records.
    Full,
    /// 73, 7B, 79: values without their information blocks (OMS compact frame).
    Compact,
    /// 6B, 6A, 69: information blocks without values (OMS format frame).
    Format,
    /// 80, 8A, 8B: nothing.
    Empty,
    /// A0 to B7: the manufacturer's own.
    Manufacturer,
    /// 6E, 6F, 70: an application error.
    Error,
    /// 71, 74, 75: an alarm.
    Alarm,
    /// Anything else.
    Other,
}

impl<'a> Transport<'a> {
    /// Reads CI and header; `reader` stands at CI.
    ///
    /// `radio` tells a radio frame, where CI 73 is a compact frame, from a wired one, where it is the
    /// fixed structure and never comes here.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, ReadError> {
        let start = *reader;
        let ci = reader.u8()?;
        let header = match header_kind(ci) {
            Kind::None => TransportHeader::None,
            Kind::Short => TransportHeader::Short(ShortHeader::read(reader, false)?),
            Kind::Long => TransportHeader::Long(Header::read(reader, false)?),
        };
        let mut extension = Extension::default();
        let mut counter = None;
        let mut associated = taken(&start, reader);
        match header.mode() {
            SecurityMode::AES_CBC_DERIVED | SecurityMode::TLS => {
                extension = Extension([reader.u8()?, 0]);
                associated = taken(&start, reader);
            }
            SecurityMode::AES_CCM => {
                extension = Extension(reader.array()?);
                associated = taken(&start, reader);
                counter = Some(reader.u32_le()?);
            }
            _ => {}
        }
        Ok(Self {
            ci,
            header,
            extension,
            counter,
            message: start.rest(),
            payload: reader.rest(),
            payload_at: reader.offset(),
            associated,
        })
    }

    /// What the application layer is.
    #[must_use]
    pub const fn application(&self) -> Application {
        match self.ci {
            0x72 | 0x78 | 0x7A => Application::Full,
            0x73 | 0x79 | 0x7B => Application::Compact,
            0x69..=0x6B => Application::Format,
            0x80 | 0x8A | 0x8B => Application::Empty,
            0xA0..=0xB7 => Application::Manufacturer,
            0x6E..=0x70 => Application::Error,
            0x71 | 0x74 | 0x75 => Application::Alarm,
            _ => Application::Other,
        }
    }
}

fn taken<'a>(start: &Reader<'a>, reader: &Reader<'a>) -> &'a [u8] {
    let all = start.rest();
    all.get(..all.len().saturating_sub(reader.left())).unwrap_or_default()
}

enum Kind {
    None,
    Short,
    Long,
}

/// EN 13757-7, table 2.
const fn header_kind(ci: u8) -> Kind {
    match ci {
        0x6A | 0x6E | 0x74 | 0x7A | 0x7B | 0x7D | 0x7F | 0x8A => Kind::Short,
        0x6B | 0x6F | 0x72 | 0x73 | 0x75 | 0x7C | 0x7E | 0x80 | 0x8B => Kind::Long,
        _ => Kind::None,
    }
}

impl TransportHeader {
    /// The configuration word.
    #[must_use]
    pub const fn configuration(&self) -> Option<Configuration> {
        match self {
            Self::None => None,
            Self::Short(short) => Some(short.configuration),
            Self::Long(long) => Some(long.configuration),
        }
    }

    /// The security mode; 0 without a header.
    #[must_use]
    pub const fn mode(&self) -> SecurityMode {
        match self.configuration() {
            Some(configuration) => SecurityMode(configuration.mode()),
            None => SecurityMode::PLAIN,
        }
    }

    /// The meter of a long header.
    #[must_use]
    pub const fn meter(&self) -> Option<MeterId> {
        match self {
            Self::Long(long) => Some(long.meter),
            _ => None,
        }
    }

    /// The access number.
    #[must_use]
    pub const fn access(&self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Short(short) => Some(short.access),
            Self::Long(long) => Some(long.access),
        }
    }

    /// The status byte.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::None => None,
            Self::Short(short) => Some(short.status),
            Self::Long(long) => Some(long.status),
        }
    }
}

impl Extension {
    /// How keys are derived: 1 by CMAC with the message counter.
    #[must_use]
    pub const fn derivation(self) -> u8 {
        self.0[0] >> 4 & 0x03
    }

    /// The number of the key.
    #[must_use]
    pub const fn key_id(self) -> u8 {
        self.0[0] & 0x0F
    }
}

impl SecurityMode {
    /// 0: plain.
    pub const PLAIN: Self = Self(0);
    /// 5: AES-128-CBC, the initialisation vector from meter and access number (OMS profile A).
    pub const AES_CBC: Self = Self(5);
    /// 7: AES-128-CBC with a derived key, beside a MAC in the AFL (OMS profile B).
    pub const AES_CBC_DERIVED: Self = Self(7);
    /// 10: AES-128-CCM with a derived key (OMS profile D).
    pub const AES_CCM: Self = Self(10);
    /// 13: TLS (OMS profile C).
    pub const TLS: Self = Self(13);

    /// No mode of the transport layer: AES-128-CTR of the extended link layer, where an error needs a name.
    pub const LINK: Self = Self(0xFF);

    /// Whether it is opened here.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        matches!(self.0, 0 | 5 | 7 | 10)
    }

    /// The name of the method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "plain",
            1 => "manufacturer's own",
            2 => "DES-CBC, IV 0",
            3 => "DES-CBC",
            4 => "AES-128-CBC, IV 0",
            5 => "AES-128-CBC",
            7 => "AES-128-CBC, derived key",
            8 => "AES-128-CTR and CMAC",
            9 => "AES-128-GCM",
            10 => "AES-128-CCM, derived key",
            13 => "TLS",
            0xFF => "AES-128-CTR of the extended link layer",
            _ => "reserved",
        }
    }
}

impl fmt::Display for SecurityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LINK => f.write_str(self.name()),
            Self(mode) => write!(f, "security mode {mode} ({})", self.name()),
        }
    }
}
