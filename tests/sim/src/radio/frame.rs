//! The link layer's frames (EN 13757-4, 12.4).

/// CRC-16 of EN 13757: polynomial 3D65, begun with 0, complemented; most significant byte first.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    let mut register = 0u16;
    for byte in bytes {
        for bit in (0..8).rev() {
            let feedback = (register >> 15) ^ u16::from(byte >> bit & 1);
            register = (register << 1) ^ if feedback == 1 { 0x3D65 } else { 0 };
        }
    }
    !register
}

/// A telegram without CRCs in frame format A: a CRC behind the first 10 bytes, and behind every 16 after
/// them. The L-field stays.
#[must_use]
pub fn with_crcs_a(stripped: &[u8]) -> Vec<u8> {
    let (first, rest) = stripped.split_at_checked(10).unwrap_or((stripped, &[]));
    let mut frame = Vec::new();
    for block in std::iter::once(first).chain(rest.chunks(16)) {
        frame.extend_from_slice(block);
        frame.extend(crc16(block).to_be_bytes());
    }
    frame
}

/// A telegram without CRCs in frame format B: a CRC behind each 126 bytes, the first with the L-field,
/// which counts the CRCs. `None` when the frame would be over 256 bytes.
#[must_use]
pub fn with_crcs_b(stripped: &[u8]) -> Option<Vec<u8>> {
    let crcs = stripped.len().div_ceil(126).max(1);
    let l = u8::try_from(stripped.len() - 1 + 2 * crcs).ok()?;
    let mut counted = stripped.to_vec();
    *counted.first_mut()? = l;
    let mut frame = Vec::new();
    for block in counted.chunks(126) {
        frame.extend_from_slice(block);
        frame.extend(crc16(block).to_be_bytes());
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radio::oms::tests::bytes;

    #[test]
    fn the_printed_frame_of_oms_annex_n() {
        // OMS Vol. 2, Annex N.2.1.
        let stripped =
            bytes("2E4493157856341233037A2A0020255923C95AAA26D1B2E7493B013EC4A6F6D3529B520EDFF0EA6DEFC99D6D69EBF3");
        let frame = bytes(
            "2E44931578563412330333637A2A0020255923C95AAA26D1B2E7493BC2AD013EC4A6F6D3529B520EDFF0EA6DEFC955B29D6D69EBF3EC8A",
        );
        assert_eq!(with_crcs_a(&stripped), frame);
    }

    #[test]
    fn format_b_counts_its_crcs() {
        let stripped: Vec<u8> = std::iter::once(139).chain(1..140).collect();
        let frame = with_crcs_b(&stripped).unwrap();
        assert_eq!((frame.len(), frame[0]), (144, 143));
        assert_eq!(frame[126..128], crc16(&frame[..126]).to_be_bytes());
        assert_eq!(frame[142..], crc16(&frame[128..142]).to_be_bytes());
        assert_eq!(with_crcs_b(&[255; 256]), None);
    }
}
