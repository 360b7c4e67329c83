use super::crc::crc16;
use super::reading::{Device, Log, Reading};
use crate::dataset::{DataSet, DataSets, Group};
use crate::timestamp::Timestamp;
use alloc::string::String;
use alloc::vec::Vec;
use plomb_session::Obis;
use thiserror::Error;

/// The longest telegram. A text message alone may have 2048 digits.
pub const TELEGRAM_BYTES_MAX: usize = 16 * 1024;

/// The longest first line.
const HEADER_BYTES_MAX: usize = 256;
const CRC_DIGITS_MAX: usize = 4;

/// One telegram, borrowed from the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telegram<'a> {
    /// The first line without its `/`: three letters of the maker, and what the meter is.
    pub header: &'a [u8],
    /// What stands between the first line and `!`.
    pub body: &'a [u8],
    /// Where the body begins in the telegram.
    pub body_at: usize,
    /// Its sum.
    pub checksum: Checksum,
}

/// The sum of a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// None, as before version 4 and in mode D.
    Absent,
    /// The one that its bytes give.
    Right(u16),
}

/// Why bytes are not a telegram. Offsets count from the first byte given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TelegramError {
    /// The first byte is not `/`.
    #[error("byte {byte:02x} at {offset} where a telegram begins with /")]
    Start {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The first line does not end.
    #[error("the first line is longer than {HEADER_BYTES_MAX} bytes")]
    Header,
    /// Another telegram begins before this one ends.
    #[error("another telegram begins at {offset}, before this one ends: bytes were lost")]
    Restart {
        /// Where.
        offset: usize,
    },
    /// A control character among the data.
    #[error("control character {byte:02x} at {offset}: disturbance, or no pushed telegram")]
    Control {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The telegram does not end.
    #[error("the telegram is longer than {TELEGRAM_BYTES_MAX} bytes")]
    TooLong,
    /// What follows `!` is neither a sum nor the end of the line.
    #[error("byte {byte:02x} at {offset} where the hexadecimal CRC or the end of the line belongs")]
    Digits {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// The sum is wrong.
    #[error("CRC {received:04X} at {offset}, the telegram gives {computed:04X}: disturbance, or a changed recording")]
    Crc {
        /// Where.
        offset: usize,
        /// What was there.
        received: u16,
        /// What the telegram gives.
        computed: u16,
    },
}

impl<'a> Telegram<'a> {
    /// Reads the telegram at the front of `bytes`, and how many bytes it takes with its last line.
    /// `Ok(None)` asks for more.
    ///
    /// # Errors
    /// [`TelegramError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, TelegramError> {
        match Self::parse_leniently(bytes)? {
            Some((_, _, Some(error))) => Err(error),
            Some((telegram, consumed, None)) => Ok(Some((telegram, consumed))),
            None => Ok(None),
        }
    }

    /// Reads a telegram as [`parse`](Self::parse) does, and one whose sum is wrong, too, with what is
    /// wrong. For people who look at recordings, in which numbers have often been replaced; never for
    /// values.
    ///
    /// # Errors
    /// [`TelegramError`], but never [`TelegramError::Crc`].
    pub fn parse_leniently(bytes: &'a [u8]) -> Result<Option<(Self, usize, Option<TelegramError>)>, TelegramError> {
        match bytes.first() {
            Some(&byte) if byte != b'/' => return Err(TelegramError::Start { offset: 0, byte }),
            _ => {}
        }
        let Some(header_end) = bytes.iter().take(HEADER_BYTES_MAX).position(|byte| *byte == b'\n') else {
            return if bytes.len() >= HEADER_BYTES_MAX { Err(TelegramError::Header) } else { Ok(None) };
        };
        let body_at = header_end.saturating_add(1);
        let Some(mark) = end_mark(bytes, body_at)? else { return Ok(None) };
        let behind_at = mark.saturating_add(1);
        let behind = bytes.get(behind_at..).unwrap_or_default();
        let digits = behind.iter().take(CRC_DIGITS_MAX).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let digits_end = behind_at.saturating_add(digits);
        let last = match (bytes.get(digits_end), bytes.get(digits_end.saturating_add(1))) {
            (Some(b'\n'), _) => digits_end,
            (Some(b'\r'), Some(b'\n')) => digits_end.saturating_add(1),
            (None, _) | (Some(b'\r'), None) => return Ok(None),
            (Some(b'\r'), Some(&byte)) => {
                return Err(TelegramError::Digits { offset: digits_end.saturating_add(1), byte });
            }
            (Some(&byte), _) => return Err(TelegramError::Digits { offset: digits_end, byte }),
        };
        let digits = bytes.get(behind_at..digits_end).unwrap_or_default();
        // Some meters leave out leading zeros.
        let received = core::str::from_utf8(digits).ok().and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let computed = crc16(bytes.get(..behind_at).unwrap_or_default());
        let (checksum, error) = match received {
            None => (Checksum::Absent, None),
            Some(sum) if sum == computed => (Checksum::Right(sum), None),
            Some(received) => {
                let wrong = TelegramError::Crc { offset: behind_at, received, computed };
                (Checksum::Absent, Some(wrong))
            }
        };
        let header = bytes.get(1..header_end).unwrap_or_default();
        let header = header.strip_suffix(b"\r").unwrap_or(header);
        let body = bytes.get(body_at..mark).unwrap_or_default();
        Ok(Some((Self { header, body, body_at, checksum }, last.saturating_add(1), error)))
    }

    /// The first line as text, without its `/`.
    #[must_use]
    pub fn identification(&self) -> String {
        self.header
            .iter()
            .map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '\u{FFFD}' })
            .collect()
    }

    /// Its data sets, in the order of the telegram. Offsets count from the body.
    #[must_use]
    pub const fn data_sets(&self) -> DataSets<'a> {
        DataSets::new(self.body)
    }

    /// The set with this code.
    #[must_use]
    pub fn get(&self, code: Obis) -> Option<DataSet<'a>> {
        self.data_sets().flatten().find(|set| set.obis() == Some(code))
    }

    fn first(&self, code: [u8; 5]) -> Option<Group<'a>> {
        let [a, b, c, d, e] = code;
        self.get(Obis([a, b, c, d, e, 255]))?.groups().next()
    }

    /// The version of the telegram as the meter writes it: `50` for DSMR 5.0, `50217` for Belgium.
    #[must_use]
    pub fn version(&self) -> Option<&'a str> {
        let version = self.first([1, 3, 0, 2, 8]).or_else(|| self.first([0, 0, 96, 1, 4]));
        version.map(|group| group.value)
    }

    /// When the telegram was made, by the meter's clock.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.first([0, 0, 1, 0, 0])?.timestamp()
    }

    /// The meter's own number. What it writes in hexadecimal digits is given as the text behind them.
    #[must_use]
    pub fn equipment(&self) -> Option<String> {
        let codes = [[0, 0, 96, 1, 1], [0, 0, 96, 1, 0], [0, 0, 42, 0, 0], [1, 0, 0, 0, 0], [1, 0, 96, 1, 0]];
        let groups = codes.into_iter().filter_map(|code| self.first(code));
        groups.filter(|group| !group.value.is_empty()).map(|group| text_of(&group)).next()
    }

    /// Values with their units, and times where they have some. Of a set that is no such value
    /// nothing is given: see [`data_sets`](Self::data_sets) and [`Log`].
    pub fn readings(&self) -> impl Iterator<Item = Reading<'a>> {
        self.data_sets().flatten().filter_map(|set| Reading::of(&set))
    }

    /// Lists: power failures, monthly peaks, and the like.
    pub fn logs(&self) -> impl Iterator<Item = Log<'a>> {
        self.data_sets().flatten().filter_map(|set| Log::of(&set))
    }

    /// What is connected to the M-Bus channels, by channel.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        Device::all(self)
    }
}

/// Hexadecimal digits that stand for printable text, as that text; else the value as it stands.
pub(super) fn text_of(group: &Group<'_>) -> String {
    let printable = |octets: &Vec<u8>| octets.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = group.octets().filter(printable).and_then(|octets| String::from_utf8(octets).ok());
    text.unwrap_or_else(|| String::from(group.value))
}

/// Whether a first line begins here: a slash in a unit, as in `m3/h`, is no such place.
fn begins_header(bytes: &[u8], offset: usize) -> bool {
    let header = bytes.get(offset.saturating_add(1)..).and_then(<[u8]>::first_chunk);
    header.is_some_and(|[letters @ .., speed]: &[u8; 4]| {
        letters.iter().all(u8::is_ascii_alphabetic) && speed.is_ascii_digit()
    })
}

/// Where the `!` is that ends a telegram: the first of a line, for texts may have one.
fn end_mark(bytes: &[u8], body_at: usize) -> Result<Option<usize>, TelegramError> {
    let mut begins_line = true;
    for (offset, byte) in bytes.iter().copied().enumerate().skip(body_at) {
        if offset >= TELEGRAM_BYTES_MAX {
            return Err(TelegramError::TooLong);
        }
        match byte {
            b'!' if begins_line => return Ok(Some(offset)),
            b'/' if begins_line || begins_header(bytes, offset) => return Err(TelegramError::Restart { offset }),
            // SOH to ACK: a conversation of IEC 62056-21 with its framed blocks.
            0x01..=0x06 => return Err(TelegramError::Control { offset, byte }),
            _ => begins_line = byte == b'\n',
        }
    }
    Ok(None)
}
