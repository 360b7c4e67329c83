//! What was heard: the layers of a telegram down to where encryption begins.

use crate::afl::{Afl, AflError};
use crate::crc::crc;
use crate::ell::Ell;
use crate::link::{Format, HEAD_BYTES, Link, LinkError, LinkFrame};
use crate::transport::{Transport, TransportHeader};
use alloc::vec::Vec;
use plomb_mbus::{Address, Control, Frame, FrameError, MeterId};
use plomb_session::{ReadError, Reader};
use thiserror::Error;

const CI_NETWORK: u8 = 0x81;
const CI_ELL_VARIABLE: u8 = 0x86;
const CI_AFL: u8 = 0x90;
/// `68 L L 68 C A` come before CI in a wired frame.
const WIRED_CI_AT: usize = 6;
/// Sum and `16` end it.
const WIRED_END_BYTES: usize = 2;

/// A telegram, nothing of it decrypted. Borrowed from the received bytes.
///
/// Offsets count from the first byte of the frame without its CRCs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Telegram<'a> {
    /// What brought it.
    pub bearer: Bearer,
    /// The extended link layer.
    pub ell: Option<Ell>,
    /// What follows.
    pub upper: Upper<'a>,
}

/// What brought a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// A radio frame.
    Radio {
        /// How it came.
        format: Format,
        /// Its head.
        link: Link,
    },
    /// A frame of a wired bus.
    Wired {
        /// The control field.
        control: Control,
        /// The address field.
        address: Address,
        /// The meter that was asked; needed where the telegram does not name it (CI 7A).
        asked: Option<MeterId>,
    },
}

/// The layers above the link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Upper<'a> {
    /// Encrypted by the extended link layer: its CRC and everything above.
    Sealed {
        /// The ciphertext.
        bytes: &'a [u8],
        /// Where it begins.
        offset: usize,
    },
    /// A piece of a message. [`Reassembly`](crate::Reassembly) puts pieces together.
    Fragment {
        /// The fragmentation layer.
        afl: Afl<'a>,
        /// The piece.
        bytes: &'a [u8],
    },
    /// A whole message.
    Message {
        /// The authentication layer.
        afl: Option<Afl<'a>>,
        /// The transport layer.
        transport: Transport<'a>,
    },
}

/// Why bytes give no telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TelegramError {
    /// The bytes are not a radio frame.
    #[error("not a frame: {0}")]
    Link(#[from] LinkError),
    /// The bytes are not a wired frame.
    #[error("not a wired frame: {0}")]
    Wired(#[from] FrameError),
    /// The frame ends inside a layer.
    #[error("the telegram ends inside its {layer}: {source}")]
    Truncated {
        /// The layer's name.
        layer: &'static str,
        /// Where.
        source: ReadError,
    },
    /// The authentication and fragmentation layer contradicts itself.
    #[error("authentication and fragmentation layer: {0}")]
    Afl(AflError),
    /// The CRC of an unencrypted extended link layer is wrong.
    #[error("payload CRC {received:04x} at {offset}, the bytes give {computed:04x}")]
    PayloadCrc {
        /// Where the CRC is.
        offset: usize,
        /// The CRC that came.
        received: u16,
        /// The CRC of the bytes that came.
        computed: u16,
    },
    /// A layer whose length nobody here knows.
    #[error("{name} (CI {ci:02x}) at {offset} is not read: what follows cannot be found")]
    Layer {
        /// The layer's CI.
        ci: u8,
        /// Its name.
        name: &'static str,
        /// Where it begins.
        offset: usize,
    },
    /// The wired frame has no transport layer that could be encrypted.
    #[error("the wired frame has no header that could announce encryption: read it as a plain one")]
    NotWired,
}

impl<'a> Telegram<'a> {
    /// Reads a radio frame of any format; see [`LinkFrame::parse`].
    ///
    /// # Errors
    /// [`TelegramError`].
    pub fn parse(bytes: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<Self, TelegramError> {
        Self::from_link(&LinkFrame::parse(bytes, buffer)?)
    }

    /// The telegram of a radio frame already read.
    ///
    /// # Errors
    /// [`TelegramError`].
    pub fn from_link(frame: &LinkFrame<'a>) -> Result<Self, TelegramError> {
        let bearer = Bearer::Radio { format: frame.format, link: frame.link };
        let mut reader = Reader::with_base(frame.payload, HEAD_BYTES);
        let truncated = |source| TelegramError::Truncated { layer: "extended link layer", source };
        let ell = match reader.peek() {
            Some(ci) if Ell::is_known(ci) => {
                reader.u8().map_err(truncated)?;
                Some(Ell::read(ci, &mut reader).map_err(truncated)?)
            }
            _ => None,
        };
        let upper = match ell {
            Some(ell) if ell.is_encrypted() => Upper::Sealed { bytes: reader.rest(), offset: reader.offset() },
            Some(Ell { session: Some(_), .. }) => {
                payload_crc(&mut reader).map_err(truncated)??;
                Upper::read(&mut reader)?
            }
            _ => Upper::read(&mut reader)?,
        };
        Ok(Self { bearer, ell, upper })
    }

    /// Reads `bytes` as one wired long frame with CI 72, 78, 79, 7A or 7B, the only ones that could be
    /// encrypted. `asked` is the meter that was selected or is configured: a short header names none.
    /// A long header may name another than was asked: compare [`meter`](Self::meter).
    ///
    /// # Errors
    /// [`TelegramError::NotWired`] for other CIs, which `plomb_mbus` reads.
    pub fn parse_wired(bytes: &'a [u8], asked: Option<MeterId>) -> Result<Self, TelegramError> {
        let Frame::Long { control, address, ci: 0x72 | 0x78 | 0x79 | 0x7A | 0x7B | CI_AFL, .. } =
            Frame::parse_whole(bytes)?
        else {
            return Err(TelegramError::NotWired);
        };
        let bearer = Bearer::Wired { control, address, asked };
        let end = bytes.len().saturating_sub(WIRED_END_BYTES);
        let mut reader = Reader::with_base(bytes.get(WIRED_CI_AT..end).unwrap_or_default(), WIRED_CI_AT);
        Ok(Self { bearer, ell: None, upper: Upper::read(&mut reader)? })
    }

    /// The meter whose telegram this is, as far as can be told before it is opened: the long
    /// header's, else the sender's. Keys and expectations are found by it.
    #[must_use]
    pub fn meter(&self) -> Option<MeterId> {
        let named = match self.upper {
            Upper::Message { transport: Transport { header: TransportHeader::Long(long), .. }, .. } => Some(long.meter),
            _ => None,
        };
        named.or_else(|| self.bearer.meter())
    }
}

impl Bearer {
    /// The meter as the link knows it: the sender, or the one that was asked.
    #[must_use]
    pub const fn meter(&self) -> Option<MeterId> {
        match *self {
            Self::Radio { link, .. } => Some(link.sender),
            Self::Wired { asked, .. } => asked,
        }
    }
}

impl<'a> Upper<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, TelegramError> {
        let offset = reader.offset();
        let transport_error = |source| TelegramError::Truncated { layer: "transport layer", source };
        let afl = match reader.peek() {
            Some(ci @ CI_NETWORK) => return Err(TelegramError::Layer { ci, name: "network layer", offset }),
            Some(ci @ (CI_ELL_VARIABLE | 0x8C..=0x8F)) => {
                return Err(TelegramError::Layer { ci, name: "extended link layer in this place", offset });
            }
            Some(CI_AFL) => {
                reader.u8().map_err(transport_error)?;
                Some(Afl::read(reader).map_err(TelegramError::Afl)?)
            }
            _ => None,
        };
        match afl {
            Some(afl) if afl.control.is_fragment() => Ok(Self::Fragment { afl, bytes: reader.rest() }),
            afl => Ok(Self::Message { afl, transport: Transport::read(reader).map_err(transport_error)? }),
        }
    }
}

/// Reads the two bytes of CRC and checks what follows.
pub(crate) fn payload_crc(reader: &mut Reader<'_>) -> Result<Result<(), TelegramError>, ReadError> {
    let offset = reader.offset();
    let received = reader.u16_le()?;
    let computed = crc(reader.rest());
    Ok(if received == computed { Ok(()) } else { Err(TelegramError::PayloadCrc { offset, received, computed }) })
}
