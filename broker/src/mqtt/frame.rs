//! The bytes' own structure: fixed header and body (§2.2).

use super::{Fault, Invalid};

/// Largest remaining length that four bytes can say (§2.2.3).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// Bytes of a remaining length.
const LENGTH_BYTES_MAX: usize = 4;

/// Control packet types (§2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // named as in the standard
pub enum Kind {
    Connect,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
    ];

    /// The type's number, 1 to 14.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::ConnAck => 2,
            Self::Publish => 3,
            Self::PubAck => 4,
            Self::PubRec => 5,
            Self::PubRel => 6,
            Self::PubComp => 7,
            Self::Subscribe => 8,
            Self::SubAck => 9,
            Self::Unsubscribe => 10,
            Self::UnsubAck => 11,
            Self::PingReq => 12,
            Self::PingResp => 13,
            Self::Disconnect => 14,
        }
    }

    /// The type of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The only flags that the type may carry; `None` for PUBLISH, whose flags mean something (§2.2.2).
    #[must_use]
    pub fn fixed_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }
}

/// One packet's bytes, cut out of the stream and not yet understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: Kind,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// Bytes before the body: 2 to 5.
    pub header_bytes: usize,
    /// Variable header and payload.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Header and body.
    #[must_use]
    pub fn packet_bytes(&self) -> usize {
        self.header_bytes + self.body.len()
    }
}

/// Cuts the first packet out of `bytes`. A packet of more than
/// `packet_bytes_max` bytes is refused as soon as its header is there.
pub fn parse_frame(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<Frame<'_>>, Invalid> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let number = first >> 4;
    let flags = first & 0x0f;
    let invalid = |reason| Invalid { offset: 0, reason };
    let kind = Kind::from_number(number).ok_or(invalid(Fault::Kind(number)))?;
    if kind.fixed_flags().is_some_and(|fixed| fixed != flags) {
        return Err(invalid(Fault::Flags(flags)));
    }
    let Some((remaining, length_bytes)) = remaining_length(rest)? else {
        return Ok(None);
    };
    let header_bytes = 1 + length_bytes;
    let packet_bytes = header_bytes + remaining;
    if packet_bytes > packet_bytes_max {
        let reason = Fault::TooLarge { bytes: packet_bytes, bytes_max: packet_bytes_max };
        return Err(Invalid { offset: 1, reason });
    }
    Ok(bytes.get(header_bytes..packet_bytes).map(|body| Frame { kind, flags, header_bytes, body }))
}

/// The value, and how many bytes said it. A value said in more bytes than it
/// needs is refused: one meaning, one encoding.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Invalid> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if index > 0 && *byte == 0 {
                break;
            }
            return Ok(Some((value, index + 1)));
        }
        if bytes.len() == index + 1 && index + 1 < LENGTH_BYTES_MAX {
            return Ok(None);
        }
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    Err(Invalid { offset: 1, reason: Fault::RemainingLength })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_the_standards_table() {
        // §2.2.3, table 2.4: the least and greatest value of each size.
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x7f], 127),
            (&[0x80, 0x01], 128),
            (&[0xff, 0x7f], 16_383),
            (&[0x80, 0x80, 0x01], 16_384),
            (&[0xff, 0xff, 0x7f], 2_097_151),
            (&[0x80, 0x80, 0x80, 0x01], 2_097_152),
            (&[0xff, 0xff, 0xff, 0x7f], REMAINING_LENGTH_MAX),
        ] {
            assert_eq!(remaining_length(bytes), Ok(Some((value, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(remaining_length(&bytes[..cut]), Ok(None), "{bytes:?} cut to {cut}");
            }
        }
    }

    #[test]
    fn a_length_has_one_encoding_and_at_most_four_bytes() {
        for bytes in [&[0x80, 0x00][..], &[0xff, 0x80, 0x00], &[0x80, 0x80, 0x80, 0x80], &[0xff; 5]] {
            assert!(remaining_length(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn an_oversized_packet_is_refused_at_its_header() {
        // PUBLISH of 268,435,455 bytes: nothing of the body is there yet.
        let header = [0x30, 0xff, 0xff, 0xff, 0x7f];
        let refused = parse_frame(&header, 1024).unwrap_err();
        assert!(matches!(refused.reason, Fault::TooLarge { bytes_max: 1024, .. }));
    }

    #[test]
    fn reserved_types_and_flags_are_refused_at_once() {
        assert_eq!(parse_frame(&[0x00], 10).unwrap_err().reason, Fault::Kind(0));
        assert_eq!(parse_frame(&[0xf0], 10).unwrap_err().reason, Fault::Kind(15));
        assert_eq!(parse_frame(&[0x80, 0], 10).unwrap_err().reason, Fault::Flags(0));
        assert_eq!(parse_frame(&[0xc1, 0], 10).unwrap_err().reason, Fault::Flags(1));
    }
}
