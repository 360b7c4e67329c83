//! P1 telegrams: text of several lines, or the same in hexadecimal digits.

use plomb_gateway::normalise::pushed::p1_record;
use plomb_iec62056::p1::{TELEGRAM_BYTES_MAX, Telegram, TelegramError};

use crate::args::Protocol;

use super::told::{Told, Wrong};

/// Whether a line begins a telegram: a slash, and the letters of a maker.
pub(super) fn begins(line: &[u8]) -> bool {
    matches!(line, [b'/', letters @ ..] if letters.get(..3).is_some_and(|letters| letters.iter().all(u8::is_ascii_alphabetic)))
}

/// Whether bytes are the text of a telegram.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    begins(bytes) && bytes.contains(&b'!') && bytes.iter().all(|byte| byte.is_ascii() && *byte != 0)
}

/// Lines of a telegram that is not complete.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: Vec<u8>,
}

/// What a line did to the telegram.
pub(super) enum Step {
    /// More lines are awaited.
    More,
    /// It is complete, or will never be: here it is.
    Done(Vec<u8>),
    /// It was cut off: here it is, and the line is something else.
    CutOff(Vec<u8>),
}

impl Lines {
    pub(super) fn is_open(&self) -> bool {
        !self.text.is_empty()
    }

    /// Takes a line without its end.
    pub(super) fn add(&mut self, line: &[u8]) -> Step {
        if self.is_open() && (begins(line) || is_hex(line)) {
            return Step::CutOff(self.finish());
        }
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        if line.first() == Some(&b'!') || self.text.len() > TELEGRAM_BYTES_MAX {
            return Step::Done(self.finish());
        }
        Step::More
    }

    /// What there is.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }
}

/// Whether a line can only be a frame: digits and no more.
fn is_hex(line: &[u8]) -> bool {
    line.len() >= 10 && line.iter().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace())
}

/// The text as the meter sent it: each line ends with CR LF, the last one, too.
pub(super) fn restored(text: &[u8]) -> Vec<u8> {
    let text = text.trim_ascii_end();
    let mut restored = Vec::with_capacity(text.len().saturating_add(2));
    for line in text.split(|byte| *byte == b'\n') {
        restored.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        restored.extend_from_slice(b"\r\n");
    }
    restored
}

/// What a telegram says. Of several the first.
pub(super) fn tell(text: &[u8]) -> Told {
    let told = Told { protocol: Protocol::P1, ..Told::default() };
    match Telegram::parse_leniently(text) {
        Ok(Some((telegram, consumed, error))) => {
            let frame = text.get(..consumed).unwrap_or(text);
            let mut record = p1_record(&telegram, frame);
            if error.is_some() {
                record.status.retain(|word| word != "without a checksum");
                record.status.push("the checksum is wrong".into());
            }
            let left = text.len().saturating_sub(consumed);
            let trailing = (left > 0)
                .then(|| Wrong::new("trailing", format!("{left} bytes follow the telegram at {consumed}"), consumed));
            Told { record: Some(record), wrong: error.as_ref().map(wrong).or(trailing), ..told }
        }
        Ok(None) => {
            let what = "the telegram ends before its line with !";
            Told { wrong: Some(Wrong::new("truncated", what, text.len())), ..told }
        }
        Err(error) => Told { wrong: Some(wrong(&error)), ..told },
    }
}

fn wrong(error: &TelegramError) -> Wrong<'static> {
    let (kind, offset) = match *error {
        TelegramError::Crc { offset, .. } => ("checksum", offset),
        TelegramError::Start { offset, .. }
        | TelegramError::Restart { offset }
        | TelegramError::Control { offset, .. }
        | TelegramError::Digits { offset, .. } => ("telegram", offset),
        TelegramError::Header => ("telegram", 0),
        TelegramError::TooLong => ("too long", TELEGRAM_BYTES_MAX),
    };
    Wrong::new(kind, error.to_string(), offset)
}
