use super::telegram::{TELEGRAM_BYTES_MAX, Telegram, TelegramError};
use alloc::vec::Vec;

/// The longest ciphered telegram.
pub const CIPHERED_BYTES_MAX: usize = 16 * 1024;

/// General-glo-ciphering (IEC 62056-5-3), in which Luxembourg and Austria wrap their telegrams: the
/// tag, a system title of eight bytes, and a length of two bytes.
const CIPHERED_TAG: u8 = 0xDB;
const TITLE_BYTES: u8 = 8;
const LENGTH_OF_TWO_BYTES: u8 = 0x82;
const CIPHERED_HEAD_BYTES: usize = 13;
/// Pieces of this size are scanned one by one, so that a long input is kept in bounds.
const PIECE_BYTES: usize = 1024;

/// Finds telegrams in a stream, whatever stands between them. It holds one at most.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    bytes: Vec<u8>,
    noise_bytes: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A telegram, and its bytes from `/` to the end of its last line.
    Telegram(Telegram<'a>, &'a [u8]),
    /// A ciphered telegram: the whole general-glo-ciphering APDU. What is inside is text or an APDU.
    Ciphered(&'a [u8]),
    /// What must have been a telegram.
    Damaged(TelegramError),
}

impl Deframer {
    /// Takes what arrived, and tells what it completes, in the line's order.
    pub fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(Found<'_>)) {
        for piece in bytes.chunks(PIECE_BYTES) {
            let in_text = self.bytes.first() == Some(&b'/');
            self.bytes.extend_from_slice(piece);
            // A telegram ends with a line: nothing is looked at twice for the sake of single bytes.
            if !in_text || piece.contains(&b'\n') || self.bytes.len() > TELEGRAM_BYTES_MAX {
                self.scan(&mut tell);
            }
        }
    }

    /// Forgets an unfinished telegram: after a second of silence it will not go on.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Whether a telegram has begun.
    #[must_use]
    pub fn is_inside_telegram(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Bytes so far that belonged to no telegram.
    #[must_use]
    pub const fn noise_bytes(&self) -> u64 {
        self.noise_bytes
    }

    fn scan(&mut self, tell: &mut impl FnMut(Found<'_>)) {
        let mut at = 0usize;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let outcome = match rest.first() {
                Some(&CIPHERED_TAG) => ciphered(rest),
                _ => text(rest),
            };
            match outcome {
                Outcome::More => break,
                Outcome::Found(found, consumed) => {
                    tell(found);
                    at = at.saturating_add(consumed);
                }
                Outcome::Noise(bytes) => {
                    at = at.saturating_add(bytes);
                    self.noise_bytes = self.noise_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
                }
            }
        }
        self.bytes.drain(..at.min(self.bytes.len()));
    }
}

enum Outcome<'a> {
    More,
    Found(Found<'a>, usize),
    Noise(usize),
}

fn text(rest: &[u8]) -> Outcome<'_> {
    match Telegram::parse(rest) {
        Ok(Some((telegram, consumed))) => {
            Outcome::Found(Found::Telegram(telegram, rest.get(..consumed).unwrap_or_default()), consumed)
        }
        Ok(None) => Outcome::More,
        Err(TelegramError::Start { .. }) => Outcome::Noise(next_start(rest)),
        // Where the next begins is known, or is looked for behind the first byte.
        Err(error @ TelegramError::Restart { offset }) => Outcome::Found(Found::Damaged(error), offset),
        Err(error) => Outcome::Found(Found::Damaged(error), next_start(rest)),
    }
}

fn ciphered(rest: &[u8]) -> Outcome<'_> {
    for (at, right) in [(1, TITLE_BYTES), (10, LENGTH_OF_TWO_BYTES)] {
        match rest.get(at) {
            Some(byte) if *byte != right => return Outcome::Noise(next_start(rest)),
            Some(_) => {}
            None => return Outcome::More,
        }
    }
    let Some(&[high, low]) = rest.get(11..CIPHERED_HEAD_BYTES).and_then(<[u8]>::first_chunk) else {
        return Outcome::More;
    };
    let end = CIPHERED_HEAD_BYTES.saturating_add(u16::from_be_bytes([high, low]).into());
    if end > CIPHERED_BYTES_MAX {
        return Outcome::Noise(next_start(rest));
    }
    match rest.get(..end) {
        Some(apdu) => Outcome::Found(Found::Ciphered(apdu), end),
        None => Outcome::More,
    }
}

/// Where the next telegram may begin, behind the first byte.
fn next_start(rest: &[u8]) -> usize {
    let start = rest.iter().skip(1).position(|byte| matches!(*byte, b'/' | CIPHERED_TAG));
    start.map_or(rest.len(), |at| at.saturating_add(1))
}
