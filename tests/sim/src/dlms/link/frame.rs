//! Frames of HDLC, format type 3 (IEC 62056-46, 6.4.2).

/// Begins and ends every frame.
pub(in crate::dlms) const FLAG: u8 = 0x7E;
/// Bytes between the flags, at most: the length field has eleven bits.
const FRAME_BYTES_MAX: usize = 0x7FF;
const SEGMENTED: u8 = 0x08;

/// A frame between its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dlms) struct Frame {
    pub(in crate::dlms) segmented: bool,
    /// As on the wire, with the bit that ends an address.
    pub(in crate::dlms) destination: Vec<u8>,
    pub(in crate::dlms) source: Vec<u8>,
    pub(in crate::dlms) control: u8,
    pub(in crate::dlms) info: Vec<u8>,
}

impl Frame {
    /// The frame with its flags and check sequences.
    pub(in crate::dlms) fn bytes(&self) -> Vec<u8> {
        let header = 2 + self.destination.len() + self.source.len() + 1 + 2;
        let length = if self.info.is_empty() { header } else { header + self.info.len() + 2 };
        let [.., high, low] = length.to_be_bytes();
        let format = 0xA0 | if self.segmented { SEGMENTED } else { 0 } | high & 0x07;
        let mut inner = vec![format, low];
        inner.extend(&self.destination);
        inner.extend(&self.source);
        inner.push(self.control);
        inner.extend(check_sequence(&inner));
        if !self.info.is_empty() {
            inner.extend(&self.info);
            inner.extend(check_sequence(&inner));
        }
        [&[FLAG], &inner[..], &[FLAG]].concat()
    }

    /// Reads what is between two flags.
    fn read(inner: &[u8]) -> Option<Self> {
        let (text, check) = inner.split_at_checked(inner.len().checked_sub(2)?)?;
        if check != check_sequence(text) {
            return None;
        }
        let (format, rest) = (text.first()?, text.get(2..)?);
        let (destination, rest) = address(rest)?;
        let (source, rest) = address(rest)?;
        let (control, rest) = rest.split_first()?;
        // The header's own check sequence stands before the information.
        let info = match rest.split_at_checked(2) {
            Some((header_check, info)) if !info.is_empty() => {
                let header = text.get(..text.len() - rest.len())?;
                if header_check != check_sequence(header) {
                    return None;
                }
                info.to_vec()
            }
            _ => Vec::new(),
        };
        let (destination, source) = (destination.to_vec(), source.to_vec());
        Some(Self { segmented: format & SEGMENTED != 0, destination, source, control: *control, info })
    }
}

/// An address: its last byte has the lowest bit set; one, two or four bytes.
fn address(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = rest.iter().take(4).position(|byte| byte & 1 == 1)? + 1;
    if length == 3 { None } else { rest.split_at_checked(length) }
}

/// The upper and the lower part of a server's address.
pub(in crate::dlms) fn parts(address: &[u8]) -> Option<(u16, Option<u16>)> {
    let seven = |byte: &u8| u16::from(byte >> 1);
    match address {
        [upper] => Some((seven(upper), None)),
        [upper, lower] => Some((seven(upper), Some(seven(lower)))),
        [u1, u2, l1, l2] => Some((seven(u1) << 7 | seven(u2), Some(seven(l1) << 7 | seven(l2)))),
        _ => None,
    }
}

/// Finds frames in a stream of bytes.
#[derive(Debug, Default)]
pub(in crate::dlms) struct Receiver {
    buffer: Vec<u8>,
}

impl Receiver {
    /// Takes bytes; gives the whole frames among them. Broken ones are not there.
    pub(in crate::dlms) fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.buffer.extend(bytes);
        let mut frames = Vec::new();
        loop {
            let Some(flag) = self.buffer.iter().position(|byte| *byte == FLAG) else {
                self.buffer.clear();
                return frames;
            };
            self.buffer.drain(..flag);
            let [_, format, low, ..] = self.buffer.as_slice() else { return frames };
            let length = usize::from(format & 0x07) << 8 | usize::from(*low);
            if format & 0xF0 != 0xA0 || length > FRAME_BYTES_MAX {
                self.buffer.remove(0);
                continue;
            }
            let Some(inner) = self.buffer.get(1..1 + length) else { return frames };
            let Some(closing) = self.buffer.get(1 + length) else { return frames };
            match Frame::read(inner).filter(|_| *closing == FLAG) {
                Some(frame) => {
                    frames.push(frame);
                    // The closing flag may open the next frame.
                    self.buffer.drain(..=length);
                }
                None => {
                    self.buffer.remove(0);
                }
            }
        }
    }

    pub(in crate::dlms) fn clear(&mut self) {
        self.buffer.clear();
    }
}

/// The check sequence (ISO/IEC 13239, CRC of sixteen bits), low byte first.
fn check_sequence(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xFFFFu16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 };
        }
    }
    (!crc).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_known_frame_is_as_it_should_be() {
        // SNRM of client 16 to server 1, without parameters: as any client sends it.
        let snrm =
            Frame { segmented: false, destination: vec![3], source: vec![0x21], control: 0x93, info: Vec::new() };
        assert_eq!(snrm.bytes(), [0x7E, 0xA0, 0x07, 0x03, 0x21, 0x93, 0x0F, 0x01, 0x7E]);
        assert_eq!(parts(&[0x00, 0x02, 0x04, 0x01]), Some((1, Some(2 << 7))));
    }

    proptest! {
        #[test]
        fn frames_are_found_among_noise(info in proptest::collection::vec(any::<u8>(), 0..200), noise in proptest::collection::vec(any::<u8>(), 0..20), cut in 1usize..9) {
            let frame = Frame { segmented: true, destination: vec![2, 35], source: vec![3], control: 0x10, info };
            let stream = [noise, vec![FLAG], frame.bytes(), frame.bytes()].concat();
            let mut receiver = Receiver::default();
            let frames: Vec<Frame> = stream.chunks(cut).flat_map(|part| receiver.push(part)).collect();
            // Noise may look like the begin of a longer frame; it cannot make one.
            prop_assert!(frames.len() <= 2 && frames.iter().all(|found| *found == frame));
        }
    }
}
