/// The sum of P1 (DSMR 5 §6.2): polynomial `x^16 + x^15 + x^2 + 1`, lowest bit first, begun with
/// zeros, over everything from `/` to `!`, both included.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xA001 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_catalogues() {
        assert_eq!(super::crc16(b"123456789"), 0xBB3D);
    }
}
