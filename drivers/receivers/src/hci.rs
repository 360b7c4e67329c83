//! Messages of the Wireless M-Bus Host Controller Interface (IMST document 4100/6404/0050).

use alloc::vec::Vec;

/// Start of frame.
pub(crate) const START: u8 = 0xA5;
/// Endpoint: device management.
pub(crate) const DEVICE_MANAGEMENT: u8 = 1;
/// Endpoint: radio link.
pub(crate) const RADIO_LINK: u8 = 2;
/// Highest endpoint: radio link test is 3, hardware test is 4.
const ENDPOINT_MAX: u8 = 4;

const TIMESTAMP_ATTACHED: u8 = 0x20;
const RSSI_ATTACHED: u8 = 0x40;
const CRC_ATTACHED: u8 = 0x80;
const RESERVED: u8 = 0x10;
const HEADER_BYTES: usize = 4;

/// One message, without its attachments' bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) endpoint: u8,
    pub(crate) id: u8,
    pub(crate) payload: &'a [u8],
    /// Signal strength as sent, if attached.
    pub(crate) rssi: Option<u8>,
    /// Whether a CRC16 was attached, and fitted.
    pub(crate) checked: bool,
}

/// Why no message begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HciError {
    /// The first bytes are no header.
    NoHeader,
    /// The CRC16 does not fit.
    WrongCrc,
}

/// CRC16 of X.25: polynomial 1021 reflected, begun with FFFF, complemented.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    !bytes.iter().fold(0xFFFF, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 })
    })
}

/// The bytes of a request, with CRC16. Of the payload, the length byte has room for 255 bytes.
pub(crate) fn emit(endpoint: u8, id: u8, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..usize::from(u8::MAX)).unwrap_or(payload);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len() + 2);
    bytes.extend([START, CRC_ATTACHED | endpoint, id, u8::try_from(payload.len()).unwrap_or(u8::MAX)]);
    bytes.extend(payload);
    let crc = crc16(bytes.get(1..).unwrap_or_default());
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Reads the message that begins with the first byte, and tells how many it took. `None` when more
/// bytes are needed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, HciError> {
    let header = (bytes.first(), bytes.get(1), bytes.get(2), bytes.get(3));
    if header.0.is_some_and(|start| *start != START) {
        return Err(HciError::NoHeader);
    }
    if let Some(control) = header.1
        && (control & RESERVED != 0 || !(1..=ENDPOINT_MAX).contains(&(control & 0x0F)))
    {
        return Err(HciError::NoHeader);
    }
    let (Some(_), Some(control), Some(id), Some(length)) = header else { return Ok(None) };
    let attached = |flag: u8, count: usize| if control & flag != 0 { count } else { 0 };
    let payload_end = HEADER_BYTES + usize::from(*length);
    let rssi_at = payload_end + attached(TIMESTAMP_ATTACHED, 4);
    let crc_at = rssi_at + attached(RSSI_ATTACHED, 1);
    let end = crc_at + attached(CRC_ATTACHED, 2);
    let (Some(payload), Some(whole)) = (bytes.get(HEADER_BYTES..payload_end), bytes.get(..end)) else {
        return Ok(None);
    };
    let checked = control & CRC_ATTACHED != 0;
    if checked {
        let covered = whole.get(1..crc_at).unwrap_or_default();
        if whole.get(crc_at..) != Some(crc16(covered).to_le_bytes().as_slice()) {
            return Err(HciError::WrongCrc);
        }
    }
    let rssi = if control & RSSI_ATTACHED != 0 { whole.get(rssi_at).copied() } else { None };
    Ok(Some((Message { endpoint: control & 0x0F, id: *id, payload, rssi, checked }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc_is_that_of_x25() {
        assert_eq!(crc16(b"123456789"), 0x906E);
    }

    #[test]
    fn attachments_follow_the_payload() {
        let mut bytes = alloc::vec![0xA5, 0xE2, 0x03, 0x02, 0x44, 0x2D, 1, 2, 3, 4, 0x90];
        bytes.extend(crc16(&bytes[1..]).to_le_bytes());
        let (message, end) = parse(&bytes).unwrap().unwrap();
        assert_eq!((message.endpoint, message.id, message.rssi, end), (2, 3, Some(0x90), bytes.len()));
        assert_eq!(message.payload, [0x44, 0x2D]);
        bytes[4] ^= 1;
        assert_eq!(parse(&bytes), Err(HciError::WrongCrc));
    }

    proptest! {
        #[test]
        fn emit_and_parse(endpoint in 1u8..=4, id: u8, payload in proptest::collection::vec(any::<u8>(), 0..=255), tail: Vec<u8>) {
            let mut bytes = emit(endpoint, id, &payload);
            let length = bytes.len();
            for cut in 0..length {
                prop_assert_eq!(parse(&bytes[..cut]), Ok(None));
            }
            bytes.extend(tail);
            let message = Message { endpoint, id, payload: &payload, rssi: None, checked: true };
            prop_assert_eq!(parse(&bytes), Ok(Some((message, length))));
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            if let Ok(Some((_, taken))) = parse(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
