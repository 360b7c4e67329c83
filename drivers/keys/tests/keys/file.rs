//! The key file.

use plomb_keys::{KEYS_MAX, KeyFile, LINE_BYTES_MAX, Problem};
use plomb_mbus::{Identification, Manufacturer, Medium, MeterId};
use plomb_wmbus::Key;
use proptest::prelude::*;

const A: &str = "00112233445566778899AABBCCDDEEFF";
const B: &str = "0123456789abcdef0123456789abcdef";
const C: &str = "FEDCBA9876543210FEDCBA9876543210";
const D: &str = "11111111111111111111111111111111";

fn meter(id: u32, letters: [u8; 3], version: u8, medium: u8) -> MeterId {
    MeterId {
        id: Identification(id),
        manufacturer: Manufacturer::from_letters(letters).unwrap(),
        version,
        medium: Medium(medium),
    }
}

fn error(text: &str) -> String {
    KeyFile::parse("keys", text).unwrap_err().to_string()
}

#[test]
fn the_line_that_names_most_is_taken() {
    let text = format!(
        "# all\n\n12345678 {A}  # hall\n12345678\tKAM {B}\r\n 12345678 KAM 1B {C}\n12345678 KAM 1B 16 {D}\n87654321 8614 {A}"
    );
    let keys = KeyFile::parse("keys", &text).unwrap();
    assert_eq!(keys.len(), 5);
    let tag = |meter: MeterId| keys.find(&meter).map(Key::tag);
    let of = |key: &str| Some(Key::from_hex(key).unwrap().tag());
    assert_eq!(tag(meter(0x1234_5678, *b"TCH", 0, 0)), of(A));
    assert_eq!(tag(meter(0x1234_5678, *b"KAM", 0, 0)), of(B));
    assert_eq!(tag(meter(0x1234_5678, *b"KAM", 0x1B, 4)), of(C));
    assert_eq!(tag(meter(0x1234_5678, *b"KAM", 0x1B, 0x16)), of(D));
    assert_eq!(tag(meter(0x8765_4321, *b"KAM", 0x1B, 0x16)), None);
    assert_eq!(tag(MeterId { manufacturer: Manufacturer(0x8614), ..meter(0x8765_4321, *b"KAM", 1, 1) }), of(A));
}

#[test]
fn errors_name_the_place_and_no_key() {
    let half = &A[..31];
    for (text, message) in [
        ("1234567 x".to_owned(), "keys:1:1: the identification: write the eight digits on the meter"),
        (format!("# x\n{A} 12345678"), "keys:2:1: the identification: write the eight digits on the meter"),
        (
            "12345678".to_owned(),
            "keys:1:9: no key behind the identification: write ID KEY, or ID MANUFACTURER VERSION MEDIUM KEY",
        ),
        (format!("12345678 {half}"), "keys:1:10: the key: write 32 hexadecimal digits"),
        (format!("  12345678  {half}G"), "keys:1:13: the key: write 32 hexadecimal digits"),
        (
            format!("12345678 kam {A}"),
            "keys:1:10: the manufacturer: write its three capital letters, or four hexadecimal digits",
        ),
        (format!("12345678 KAM 1 {A}"), "keys:1:14: the version: write two hexadecimal digits"),
        (format!("12345678 KAM 1B +1 {A}"), "keys:1:17: the medium: write two hexadecimal digits"),
        (
            format!("12345678 KAM 1B 16 {A} {B}"),
            "keys:1:53: a word too many: write ID KEY, or ID MANUFACTURER VERSION MEDIUM KEY; # begins a comment",
        ),
        (
            format!("12345678 {A}\n\n12345678 {B}\n"),
            "keys:3:1: the meter has a key at line 1 already: take one of them out",
        ),
        ("x".repeat(LINE_BYTES_MAX + 1), "keys:1:1: a line has at most 256 bytes"),
    ] {
        assert_eq!(error(&text), message);
    }
}

#[test]
fn nothing_shows_a_key() {
    let keys = KeyFile::parse("keys", &format!("12345678 {A}\n")).unwrap();
    assert!(!format!("{keys:?}").to_uppercase().contains("AABBCCDD"), "{keys:?}");
}

#[test]
fn a_file_is_bounded() {
    let mut text: String = (0..=KEYS_MAX).map(|id| format!("{id:08X} {A}\n")).collect();
    let error = KeyFile::parse("keys", &text).unwrap_err();
    assert_eq!((error.line, error.problem), (KEYS_MAX + 1, Problem::TooManyKeys));
    text.truncate(text.len() - 42);
    assert_eq!(KeyFile::parse("keys", &text).unwrap().len(), KEYS_MAX);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_repeating_it(text in "[0-9A-Fa-f# \t\nKAM\u{e9}]{0,120}") {
        if let Err(error) = KeyFile::parse("keys", &text) {
            prop_assert!(error.line >= 1 && error.column >= 1);
            let shown = error.to_string();
            for word in text.split_whitespace().filter(|word| word.len() >= 8) {
                prop_assert!(!shown.contains(word), "{}", shown);
            }
        }
    }

    #[test]
    fn a_line_comes_back(id: u32, code in 1u16..0x7FFF, version: u8, medium: u8, key: [u8; 16], parts in 0usize..4) {
        let meter = MeterId { id: Identification(id), manufacturer: Manufacturer(code), version, medium: Medium(medium) };
        let selector = plomb_keys::Selector {
            id: meter.id,
            manufacturer: (parts > 0).then_some(meter.manufacturer),
            version: (parts > 1).then_some(version),
            medium: (parts > 2).then_some(meter.medium),
        };
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let keys = KeyFile::parse("keys", &format!("{selector} {digits}")).unwrap();
        prop_assert_eq!(keys.find(&meter).map(Key::tag), Some(Key::new(key).tag()));
        let (found, _, line) = keys.iter().next().unwrap();
        prop_assert_eq!((*found, line), (selector, 1));
    }
}
