//! Which codes to try where only manufacturer, version or medium tell meters apart.

use crate::header::Manufacturer;
use alloc::vec::Vec;

/// Makers of meters and modules for wired lines; codes assigned by the FLAG association.
const LETTERS: [[u8; 3]; 78] = [
    *b"ABB", *b"ACE", *b"ACW", *b"AMT", *b"APA", *b"APT", *b"AQM", *b"ARF", *b"AXI", *b"BAR", *b"BER", *b"BMT",
    *b"BSC", *b"BTR", *b"CAR", *b"CLO", *b"DEV", *b"DME", *b"DZG", *b"EAA", *b"EDC", *b"EFE", *b"ELR", *b"ELS",
    *b"ELV", *b"EMH", *b"EMU", *b"ENO", *b"ESY", *b"EBZ", *b"FFD", *b"FIN", *b"GAV", *b"GMC", *b"GWF", *b"HAG",
    *b"HYD", *b"IME", *b"INV", *b"ISK", *b"IST", *b"ITR", *b"ITW", *b"JAN", *b"KAM", *b"LAN", *b"LGB", *b"LGZ",
    *b"LSE", *b"LUG", *b"MAD", *b"MET", *b"MTI", *b"NES", *b"NZR", *b"PAD", *b"PII", *b"QDS", *b"RAM", *b"REL",
    *b"RKE", *b"SAP", *b"SBC", *b"SEN", *b"SIE", *b"SLB", *b"SON", *b"SPX", *b"SVM", *b"TCH", *b"TEC", *b"TIP",
    *b"WEH", *b"WEP", *b"WZG", *b"YTE", *b"ZEN", *b"ZRI",
];

/// The media that meters have, the usual ones first (EN 13757-7, table 13).
pub(super) const MEDIA: [u8; 49] = [
    0x07, 0x06, 0x04, 0x02, 0x16, 0x15, 0x03, 0x0C, 0x0D, 0x0A, 0x0B, 0x08, 0x00, 0x01, 0x05, 0x09, 0x0E, 0x0F, 0x17,
    0x18, 0x19, 0x1A, 0x1B, 0x20, 0x21, 0x28, 0x31, 0x10, 0x11, 0x12, 0x13, 0x14, 0x1C, 0x1D, 0x1E, 0x1F, 0x22, 0x23,
    0x24, 0x25, 0x29, 0x2A, 0x30, 0x32, 0x33, 0x36, 0x37, 0x38, 0x39,
];

pub(super) fn manufacturers() -> Vec<u16> {
    LETTERS.iter().filter_map(|letters| Manufacturer::from_letters(*letters)).map(|code| code.0).collect()
}

/// The letter A as a part of a code.
const LETTER_FIRST: u16 = 1;
const LETTER_LAST: u16 = 26;

/// The codes of three letters.
pub(super) fn codes() -> impl Iterator<Item = u16> {
    let letters = || LETTER_FIRST..=LETTER_LAST;
    letters().flat_map(move |a| letters().flat_map(move |b| letters().map(move |c| a << 10 | b << 5 | c)))
}

/// The lower bytes that codes have, each with any upper one: the last letter, and what reaches into this byte of
/// the second one.
pub(super) fn halves() -> impl Iterator<Item = u16> {
    (0..8u16).flat_map(|middle| (LETTER_FIRST..=LETTER_LAST).map(move |last| 0xFF00 | middle << 5 | last))
}
