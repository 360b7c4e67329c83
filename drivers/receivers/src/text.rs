//! Lines and hexadecimal, for the receivers that speak text.

use alloc::string::String;
use alloc::vec::Vec;

/// What the pending bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line, without its end, and the bytes that it took with it.
    Whole(&'a [u8], usize),
    /// A line whose end has not come yet.
    Open,
    /// So many bytes too many for a line.
    Overlong(usize),
}

/// The first line of `bytes`. Of one that is too long its last bytes are kept, however it was split.
pub(crate) fn first_line(bytes: &[u8], bytes_max: usize) -> Line<'_> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let length = end.map_or(bytes.len(), |end| end + 1);
    match end.and_then(|end| bytes.get(..end)) {
        _ if length > bytes_max => Line::Overlong(length - bytes_max),
        Some(line) => Line::Whole(line.strip_suffix(b"\r").unwrap_or(line), length),
        None => Line::Open,
    }
}

/// The bytes that hexadecimal digits stand for; `None` for an odd number, or for anything else.
pub(crate) fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

/// What of a line may go into messages for people: printable ASCII, at most `chars_max` of it.
pub(crate) fn printable(line: &[u8], chars_max: usize) -> String {
    line.iter().map(|byte| char::from(*byte)).filter(|c| *c == ' ' || c.is_ascii_graphic()).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_digits() {
        assert_eq!(first_line(b"ab\r\ncd\n", 4), Line::Whole(b"ab", 4));
        assert_eq!(first_line(b"ab\r", 4), Line::Open);
        assert_eq!(first_line(b"abcd\r\n", 4), Line::Overlong(2));
        assert_eq!(first_line(b"abcdef", 4), Line::Overlong(2));
        assert_eq!(unhex(b"0aF0"), Some(alloc::vec![0x0A, 0xF0]));
        assert_eq!((unhex(b"0aF"), unhex(b"0g"), unhex(b"+1")), (None, None, None));
        assert_eq!(printable(b"V 1.67\x1b[31m\xff CUL868", 12), "V 1.67[31m C");
    }
}
