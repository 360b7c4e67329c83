//! A frame with the plaintext in the ciphertext's place: for people who look at frames.

use crate::link::{Format, LinkFrame};
use crate::open::{MeterState, Opener};
use crate::telegram::{Telegram, Upper};
use alloc::vec::Vec;
use plomb_mbus::MeterId;

const CRC_BYTES: usize = 2;

/// The bytes of a radio frame, as many as were given, with plaintext where `opener` can decrypt them as the telegram
/// of the meter with `state`. [`annotate`](crate::annotate()) says what each of them is.
///
/// The link layer's CRCs stay those of the ciphertext.
#[must_use]
pub fn deciphered(bytes: &[u8], opener: &mut Opener, state: &MeterState) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut buffer = Vec::new();
    if let Ok(frame) = LinkFrame::parse(bytes, &mut buffer)
        && let Ok(telegram) = Telegram::from_link(&frame)
    {
        replace(&mut out, &telegram, |offset| with_crcs(frame.format, offset), opener, state);
    }
    out
}

/// As [`deciphered`], of a wired frame. `asked` is as in [`Telegram::parse_wired`].
#[must_use]
pub fn deciphered_wired(bytes: &[u8], asked: Option<MeterId>, opener: &mut Opener, state: &MeterState) -> Vec<u8> {
    let mut out = bytes.to_vec();
    if let Ok(telegram) = Telegram::parse_wired(bytes, asked) {
        replace(&mut out, &telegram, |offset| offset, opener, state);
    }
    out
}

fn replace(
    out: &mut [u8],
    telegram: &Telegram<'_>,
    place: impl Fn(usize) -> usize,
    opener: &mut Opener,
    state: &MeterState,
) {
    let mut write = |at: usize, plain: &[u8]| {
        for (offset, byte) in (at..).zip(plain) {
            if let Some(into) = out.get_mut(place(offset)) {
                *into = *byte;
            }
        }
    };
    if let Upper::Sealed { bytes, offset } = telegram.upper {
        let mut inner = Vec::new();
        if opener.unseal(telegram, bytes, state, &mut inner).is_ok() {
            write(offset, &inner);
        }
    }
    if let Ok(opened) = opener.open(telegram, state) {
        write(opened.plain_at, opened.plain);
    }
}

/// Where a byte that was counted without CRCs stands among them.
fn with_crcs(format: Format, offset: usize) -> usize {
    let (first, others) = match format {
        Format::Stripped => return offset,
        Format::A => (10, 16),
        Format::B => (126, 126),
    };
    match offset.checked_sub(first) {
        None => offset,
        Some(behind) => offset.saturating_add((behind / others + 1).saturating_mul(CRC_BYTES)),
    }
}
