//! Profiles, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corpus;
mod errors;
mod hostile;
mod shipped;
mod values;

use plomb_mbus::{Identification, Manufacturer, Medium, MeterId};

/// A file's head, to be gone on with.
const HEAD: &str = r#"format = 1
name = "test"
version = 1
model = "Test"
security = "plain"

[[match]]
manufacturer = "TST"
version = [1]
medium = [7]
"#;

fn meter(letters: [u8; 3], version: u8, medium: u8) -> MeterId {
    MeterId {
        id: Identification(0x1234_5678),
        manufacturer: Manufacturer::from_letters(letters).unwrap(),
        version,
        medium: Medium(medium),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)).unwrap()).collect()
}
