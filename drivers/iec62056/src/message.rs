//! The messages of IEC 62056-21 (§6.3).
//!
//! ```text
//! request         /?address!CRLF
//! identification  /XXXZ…CRLF
//! acknowledgement ACK            option select: ACK V Z Y CRLF
//! repeat request  NAK
//! data            STX … ETX BCC  with EOT for ETX where more blocks follow
//! command         SOH C D STX … ETX BCC, and SOH B 0 ETX BCC
//! ```
//! The BCC is the exclusive or of everything behind the first SOH or STX up to and with ETX.

use crate::identification::{IDENTIFICATION_BYTES_MAX, Identification, IdentificationError};
use alloc::vec::Vec;
use thiserror::Error;

/// The longest block: a readout, or one answer.
pub const BLOCK_BYTES_MAX: usize = 64 * 1024;

pub(crate) const SOH: u8 = 0x01;
pub(crate) const STX: u8 = 0x02;
pub(crate) const ETX: u8 = 0x03;
pub(crate) const EOT: u8 = 0x04;
pub(crate) const ACK: u8 = 0x06;
pub(crate) const NAK: u8 = 0x15;

/// One message of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// What the meter is, and what it proposes.
    Identification(Identification),
    /// ACK.
    Acknowledgement,
    /// NAK.
    RepeatRequest,
    /// STX … ETX BCC.
    Data {
        /// What stands between.
        block: &'a [u8],
        /// EOT instead of ETX: after an acknowledgement the next block follows.
        more: bool,
    },
    /// SOH C D STX … ETX BCC, as the P0 that asks for a password.
    Command {
        /// C and D.
        command: [u8; 2],
        /// What stands between STX and ETX.
        block: &'a [u8],
    },
    /// SOH B 0 ETX BCC: the meter ends the conversation.
    Break,
}

/// Why bytes are no message. Offsets count from the first byte given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The first byte begins no message.
    #[error("byte {byte:02x} at {offset} begins no message")]
    Start {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
    /// A line behind `/` that is no identification.
    #[error("{0}")]
    Identification(IdentificationError),
    /// The block check character is wrong.
    #[error("BCC {received:02x} at {offset}, the block gives {computed:02x}: disturbance, or a wrong parity setting")]
    Bcc {
        /// Where.
        offset: usize,
        /// What was there.
        received: u8,
        /// What the block gives.
        computed: u8,
    },
    /// A block without end.
    #[error("the block at {offset} is longer than {BLOCK_BYTES_MAX} bytes")]
    TooLong {
        /// Where it begins.
        offset: usize,
    },
    /// SOH is followed by something else than a command.
    #[error("byte {byte:02x} at {offset} belongs to no command")]
    Command {
        /// Where.
        offset: usize,
        /// What was there.
        byte: u8,
    },
}

impl<'a> Message<'a> {
    /// Reads the message at the front of `bytes` (parity bits removed), and how many bytes it takes.
    /// `Ok(None)` asks for more.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, MessageError> {
        match bytes.first() {
            None => Ok(None),
            Some(b'/') => parse_identification(bytes),
            Some(&ACK) => Ok(Some((Self::Acknowledgement, 1))),
            Some(&NAK) => Ok(Some((Self::RepeatRequest, 1))),
            Some(&STX) => parse_block(bytes, 1, |block, more| Self::Data { block, more }),
            Some(&SOH) => parse_command(bytes),
            Some(&byte) => Err(MessageError::Start { offset: 0, byte }),
        }
    }
}

fn parse_identification(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, MessageError> {
    let line_bytes_max = IDENTIFICATION_BYTES_MAX.saturating_add(2);
    let Some(end) = bytes.iter().take(line_bytes_max).position(|byte| *byte == b'\n') else {
        let too_long = MessageError::Identification(IdentificationError::TooLong);
        return if bytes.len() >= line_bytes_max { Err(too_long) } else { Ok(None) };
    };
    let line = bytes.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let identification = Identification::parse(line).map_err(MessageError::Identification)?;
    Ok(Some((Message::Identification(identification), end.saturating_add(1))))
}

fn parse_command(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, MessageError> {
    let Some(&[_, letter, digit, next]) = bytes.first_chunk() else { return Ok(None) };
    for (offset, byte, right) in [
        (1, letter, letter.is_ascii_uppercase()),
        (2, digit, digit.is_ascii_digit()),
        (3, next, matches!(next, STX | ETX)),
    ] {
        if !right {
            return Err(MessageError::Command { offset, byte });
        }
    }
    let command = [letter, digit];
    let block_at = if next == STX { 4 } else { 3 };
    parse_block(bytes, block_at, |block, _| match command {
        [b'B', _] => Message::Break,
        _ => Message::Command { command, block },
    })
}

/// Reads what stands from `start` up to ETX or EOT, and the BCC of all behind the first byte.
fn parse_block<'a>(
    bytes: &'a [u8],
    start: usize,
    make: impl FnOnce(&'a [u8], bool) -> Message<'a>,
) -> Result<Option<(Message<'a>, usize)>, MessageError> {
    let behind = bytes.get(start..).unwrap_or_default();
    let Some(length) = behind.iter().position(|byte| matches!(*byte, ETX | EOT)) else {
        return if behind.len() > BLOCK_BYTES_MAX { Err(MessageError::TooLong { offset: start }) } else { Ok(None) };
    };
    let end = start.saturating_add(length);
    let bcc_at = end.saturating_add(1);
    let Some(&received) = bytes.get(bcc_at) else { return Ok(None) };
    let computed = bcc(bytes.get(1..bcc_at).unwrap_or_default());
    if received != computed {
        return Err(MessageError::Bcc { offset: bcc_at, received, computed });
    }
    let more = bytes.get(end) == Some(&EOT);
    let block = bytes.get(start..end).unwrap_or_default();
    Ok(Some((make(block, more), bcc_at.saturating_add(1))))
}

/// The block check character: the exclusive or of `bytes` (IEC 1155).
#[must_use]
pub fn bcc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// `/?address!`: asks the meter with this address for its identification; any meter, when empty.
#[must_use]
pub fn request(address: &str) -> Vec<u8> {
    [b"/?", address.as_bytes(), b"!\r\n"].concat()
}

/// `ACK V Z Y`: accepts a speed and chooses what follows. V is 0 (normal) or 2 (HDLC); Z the speed's
/// character; Y is 0 (readout), 1 (programming) or 2 (binary, with HDLC).
#[must_use]
pub fn option_select(protocol: u8, speed_code: u8, mode: u8) -> Vec<u8> {
    [ACK, protocol, speed_code, mode, b'\r', b'\n'].into()
}

/// `SOH C D STX block ETX BCC`.
#[must_use]
pub fn command(command: [u8; 2], block: &[u8]) -> Vec<u8> {
    let mut bytes = [&[SOH], &command[..], &[STX], block, &[ETX]].concat();
    bytes.push(bcc(bytes.get(1..).unwrap_or_default()));
    bytes
}

/// `SOH B 0 ETX BCC`: ends the conversation.
#[must_use]
pub fn break_message() -> Vec<u8> {
    let mut bytes = Vec::from([SOH, b'B', b'0', ETX]);
    bytes.push(bcc(bytes.get(1..).unwrap_or_default()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_by_hand() {
        assert_eq!(request("123"), b"/?123!\r\n");
        assert_eq!(option_select(b'0', b'5', b'0'), b"\x06050\r\n");
        // B0 ends in 71 in each description of the protocol.
        assert_eq!(break_message(), b"\x01B0\x03\x71");
        let bytes = command(*b"P1", b"(00000000)");
        assert_eq!(bytes, b"\x01P1\x02(00000000)\x03\x61");
        let password = Message::Command { command: *b"P1", block: b"(00000000)" };
        assert_eq!(Message::parse(&bytes), Ok(Some((password, bytes.len()))));
        assert_eq!(Message::parse(&break_message()), Ok(Some((Message::Break, 5))));
        assert_eq!(Message::parse(b"\x06"), Ok(Some((Message::Acknowledgement, 1))));
        assert_eq!(Message::parse(b"\x15"), Ok(Some((Message::RepeatRequest, 1))));
        for end in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..end]), Ok(None));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut bytes = command(*b"R1", b"1.8.0()");
        bytes[6] ^= 1;
        assert!(matches!(Message::parse(&bytes), Err(MessageError::Bcc { offset: 12, .. })));
        assert_eq!(Message::parse(b"x"), Err(MessageError::Start { offset: 0, byte: b'x' }));
        assert_eq!(Message::parse(b"\x01R?\x02"), Err(MessageError::Command { offset: 2, byte: b'?' }));
        let endless = [&[STX][..], &[b'1'; BLOCK_BYTES_MAX + 1]].concat();
        assert_eq!(Message::parse(&endless), Err(MessageError::TooLong { offset: 1 }));
        assert!(matches!(Message::parse(&[b'/'; 200]), Err(MessageError::Identification(_))));
    }

    proptest! {
        #[test]
        fn blocks_read_back(block in "[ -~\r\n]{0,200}", more: bool) {
            let mut bytes = [&[STX], block.as_bytes(), &[if more { EOT } else { ETX }]].concat();
            bytes.push(bcc(&bytes[1..]));
            let message = Message::Data { block: block.as_bytes(), more };
            prop_assert_eq!(Message::parse(&bytes), Ok(Some((message, bytes.len()))));
        }

        #[test]
        fn any_bytes_are_judged(mut bytes: Vec<u8>, first in prop::sample::select(&[SOH, STX, b'/', ACK, NAK][..])) {
            bytes.insert(0, first);
            if let Ok(Some((_, consumed))) = Message::parse(&bytes) {
                prop_assert!(consumed <= bytes.len());
            }
        }
    }
}
