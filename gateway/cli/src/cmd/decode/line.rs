//! Lines of hexadecimal digits to bytes, bounded.
//!
//! Telegrams of M-Bus are short: they are read into an array. Only what does not fit there goes into a vector.

use std::io::{self, BufRead};

use plomb_wmbus::FRAME_BYTES_MAX;

use super::told::Wrong;

/// The longest line, in bytes: the digits of the most bytes with room for spaces.
pub(super) const LINE_BYTES_MAX: usize = 3 * LONG_BYTES_MAX;
/// The most bytes of a line: a DLMS APDU of 64 KiB and the frames around it.
pub(super) const LONG_BYTES_MAX: usize = 80 * 1024;
/// A frame, and one byte more, so that what is too long is told as such.
pub(super) type FrameBuffer = [u8; FRAME_BYTES_MAX + 1];
/// An empty buffer.
pub(super) const EMPTY: FrameBuffer = [0; FRAME_BYTES_MAX + 1];

/// The bytes of a line.
#[derive(Debug)]
pub(super) enum Bytes<'f> {
    /// No more than an M-Bus frame may have, or one more.
    Short(&'f [u8]),
    /// More.
    Long(Vec<u8>),
}

/// Reads hexadecimal digits, spaces and colons between them allowed, into `frame`, or into a vector where they do not
/// fit. As other programs print them, they may begin with 0x; of fields between semicolons the last is the telegram
/// (rtl_wmbus); # begins a comment.
pub(super) fn unhex<'f>(line: &[u8], frame: &'f mut FrameBuffer) -> Result<Bytes<'f>, Wrong<'static>> {
    // Without spaces there are as many bytes as pairs.
    if line.len() > 2 * frame.len() {
        let bytes = unhex_long(line)?;
        let short = frame.get_mut(..bytes.len());
        return Ok(match short {
            Some(short) => {
                short.copy_from_slice(&bytes);
                Bytes::Short(short)
            }
            None => Bytes::Long(bytes),
        });
    }
    unhex_short(line, frame).map(Bytes::Short)
}

fn unhex_long(line: &[u8]) -> Result<Vec<u8>, Wrong<'static>> {
    let mut bytes = vec![0; (line.len() / 2).min(LONG_BYTES_MAX)];
    let length = unhex_short(line, &mut bytes)?.len();
    bytes.truncate(length);
    Ok(bytes)
}

fn unhex_short<'f>(line: &[u8], frame: &'f mut [u8]) -> Result<&'f [u8], Wrong<'static>> {
    let mut length = 0;
    let mut high: Option<u8> = None;
    let line = line.split(|character| *character == b'#').next().unwrap_or_default();
    let begin = line.iter().rposition(|character| *character == b';').map_or(0, |at| at + 1);
    let prefixed = line.get(begin..).unwrap_or_default().trim_ascii_start();
    let begin = match prefixed {
        [b'0', b'x' | b'X', digits @ ..] => line.len() - digits.len(),
        _ => begin,
    };
    for (column, &character) in line.iter().enumerate().skip(begin) {
        if character.is_ascii_whitespace() || character == b':' {
            continue;
        }
        let Some(digit) = char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok()) else {
            let shown = char::from(character).escape_default();
            return Err(Wrong::new("hex", format!("'{shown}' in column {column} is no hexadecimal digit"), column));
        };
        let Some(first) = high.take() else {
            high = Some(digit);
            continue;
        };
        let place = frame.get_mut(length).ok_or_else(|| {
            Wrong::new("frame", format!("more than {LONG_BYTES_MAX} bytes in a line"), LONG_BYTES_MAX)
        })?;
        *place = first << 4 | digit;
        length += 1;
    }
    match (high, length) {
        (Some(_), _) => Err(Wrong::new("hex", "the last byte has only one digit", line.len())),
        (None, 0) => Err(Wrong::new("empty", "the line is empty", 0)),
        (None, length) => Ok(frame.get(..length).unwrap_or_default()),
    }
}

/// A frame that is too long for M-Bus, and nothing else.
pub(super) fn frame_too_long() -> Wrong<'static> {
    Wrong::new("frame", format!("more than the {FRAME_BYTES_MAX} bytes of the longest frame"), FRAME_BYTES_MAX)
}

pub(super) fn bounded(line: &[u8]) -> Result<&[u8], Wrong<'static>> {
    if line.len() > LINE_BYTES_MAX { Err(too_long()) } else { Ok(line) }
}

pub(super) fn too_long() -> Wrong<'static> {
    Wrong::new("too long", format!("the line has more than {LINE_BYTES_MAX} bytes"), LINE_BYTES_MAX)
}

pub(super) enum Line {
    Whole,
    TooLong,
    End,
}

/// The next line without its end. Of one that is too long nothing is kept but its being there.
pub(super) fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut seen = false;
    let mut long = false;
    loop {
        let available = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if available.is_empty() {
            return Ok(if !seen {
                Line::End
            } else if long {
                Line::TooLong
            } else {
                Line::Whole
            });
        }
        seen = true;
        let (piece, end) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (available.get(..at).unwrap_or_default(), true),
            None => (available, false),
        };
        if line.len() + piece.len() > LINE_BYTES_MAX {
            long = true;
            line.clear();
        }
        if !long {
            line.extend_from_slice(piece);
        }
        let used = piece.len() + usize::from(end);
        reader.consume(used);
        if end {
            return Ok(if long { Line::TooLong } else { Line::Whole });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn hexadecimal_is_read_with_any_spacing_and_errors_name_the_column() {
        let read = |line: &str| match unhex(line.as_bytes(), &mut EMPTY.clone())? {
            Bytes::Short(bytes) => Ok(bytes.to_vec()),
            Bytes::Long(bytes) => Ok::<_, Wrong<'static>>(bytes),
        };
        assert_eq!(read(" e5\r"), Ok(vec![0xe5]));
        assert_eq!(read("10 5B\t01 5C 16"), read("105b015c16"));
        assert_eq!(read("E5 G").map_err(|wrong| (wrong.kind, wrong.offset)), Err(("hex", 3)));
        assert_eq!(read("E5 1").map_err(|wrong| wrong.kind), Err("hex"));
        assert_eq!(read("0x105b015C16"), read("105b015c16"));
        assert_eq!(read(" 0x10:5B:01:5C:16  # a request"), read("105b015c16"));
        assert_eq!(read("T1;1;1;2026-11-25 09:00:00.000;50;60;12345678;0x2e44\r"), Ok(vec![0x2e, 0x44]));
        assert_eq!(read("a;b;0xE5 G").map_err(|wrong| (wrong.kind, wrong.offset)), Err(("hex", 9)));
        assert_eq!(read("# nothing").map_err(|wrong| wrong.kind), Err("empty"));
        assert_eq!(read(" ").map_err(|wrong| wrong.kind), Err("empty"));
        for bytes in [FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1, FRAME_BYTES_MAX + 2, LONG_BYTES_MAX] {
            assert_eq!(read(&"00".repeat(bytes)).map(|bytes| bytes.len()), Ok(bytes));
            assert_eq!(read(&" 0 0".repeat(bytes)).map(|bytes| bytes.len()), Ok(bytes));
        }
        assert_eq!(read(&"00".repeat(LONG_BYTES_MAX + 1)).map_err(|wrong| wrong.kind), Err("frame"));
    }

    #[test]
    fn lines_are_split_and_bounded_whatever_the_pieces() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let fits = "y".repeat(LINE_BYTES_MAX);
        let text = format!("a\n\n{long}\n{fits}\nlast");
        for capacity in [1, 3, 4096, 100_000] {
            let mut reader = BufReader::with_capacity(capacity, text.as_bytes());
            let mut line = Vec::new();
            let mut found = Vec::new();
            loop {
                match next_line(&mut reader, &mut line).unwrap() {
                    Line::End => break,
                    Line::TooLong => found.push("too long".to_string()),
                    Line::Whole => found.push(String::from_utf8(line.clone()).unwrap()),
                }
            }
            assert_eq!(found, ["a", "", "too long", fits.as_str(), "last"]);
        }
    }
}
