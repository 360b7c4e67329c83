//! Vendors' key lists, turned into lines of the key file.

mod kem;
mod table;

pub use kem::{KEM_BYTES_MAX, PASSWORD_BYTES_MAX, kem};
pub use table::{CSV_BYTES_MAX, csv};

use crate::file::{KEYS_MAX, Selector};
use plomb_mbus::Manufacturer;
use std::fmt::Write;
use thiserror::Error;
use zeroize::Zeroizing;

/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 32;
/// Digits of an identification.
const ID_DIGITS: usize = 8;
/// Characters of a number after DIN 43863-5: medium, three letters, block, identification.
const DIN_CHARS: usize = 14;

/// What came of an import.
#[derive(Default)]
pub struct Imported {
    /// Lines for the key file. Wiped when dropped.
    pub lines: Zeroizing<String>,
    /// How many.
    pub count: usize,
    /// Entries that gave none.
    pub skipped: Vec<Skipped>,
}

/// An entry that gave no line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line of the list, or the number of the entry, from 1.
    pub entry: usize,
    /// Why; nothing of a key is shown.
    pub why: &'static str,
}

/// Why a list cannot be imported at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// No column or element that could hold keys or identifications.
    #[error("{file}: no {what} found: name the columns `serial` and `key`")]
    NotFound {
        /// The list's name.
        file: String,
        /// What is missing.
        what: &'static str,
    },
    /// The text is not what it should be.
    #[error("{file}:{line}: {what}")]
    Malformed {
        /// The list's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The list is longer than any that a vendor sends.
    #[error("{file}: more than {bytes_max} bytes")]
    TooLong {
        /// The list's name.
        file: String,
        /// The most that is read.
        bytes_max: usize,
    },
    /// The file is an archive.
    #[error("{file}: an archive: unpack it and import the .kem file inside")]
    Archive {
        /// The file's name.
        file: String,
    },
    /// The password does not open the file.
    #[error("{file}: the password does not fit, or the file is broken")]
    Password {
        /// The file's name.
        file: String,
    },
    /// No such file has so long a password.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    PasswordTooLong,
}

impl Imported {
    /// Adds an entry, or says why not.
    fn add(&mut self, entry: usize, id: &str, key: &str, manufacturer: Option<Manufacturer>) {
        match self.line(id, key, manufacturer) {
            Ok(()) => self.count += 1,
            Err(why) => self.skipped.push(Skipped { entry, why }),
        }
    }

    fn line(&mut self, id: &str, key: &str, manufacturer: Option<Manufacturer>) -> Result<(), &'static str> {
        if self.count >= KEYS_MAX {
            return Err("the key file would be full");
        }
        let (id, from_id) = identification(id).ok_or("not an identification of up to eight digits")?;
        let id = id.parse().map_err(|_| "not an identification of up to eight digits")?;
        let manufacturer = manufacturer.or(from_id);
        let key = Zeroizing::new(digits(key).ok_or("not a key of 32 hexadecimal digits")?);
        let selector = Selector { id, manufacturer, version: None, medium: None };
        // Enough for the line: a string that grows leaves copies of keys behind.
        if self.lines.capacity() - self.lines.len() < KEY_DIGITS * 2 {
            let mut wider = Zeroizing::new(String::with_capacity(self.lines.capacity() * 2 + KEY_DIGITS * 64));
            wider.push_str(&self.lines);
            self.lines = wider;
        }
        writeln!(self.lines, "{selector} {}", key.as_str()).map_err(|_| "no memory")
    }
}

/// The eight digits, and the manufacturer where the number names it.
fn identification(text: &str) -> Option<(String, Option<Manufacturer>)> {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if text.len() == DIN_CHARS
        && let Some(letters) = text.get(1..4).and_then(|letters| <[u8; 3]>::try_from(letters.as_bytes()).ok())
        && let Some(manufacturer) = Manufacturer::from_letters(letters)
    {
        return Some((text.get(DIN_CHARS - ID_DIGITS..)?.into(), Some(manufacturer)));
    }
    let fits = (1..=ID_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| (format!("{text:0>ID_DIGITS$}"), None))
}

/// The key's digits, without what people put between them.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let mut digits = String::with_capacity(KEY_DIGITS);
    for c in text.chars().filter(|c| !matches!(c, ' ' | '-' | ':')) {
        if !c.is_ascii_hexdigit() || digits.len() == KEY_DIGITS {
            return None;
        }
        digits.push(c.to_ascii_uppercase());
    }
    (digits.len() == KEY_DIGITS).then_some(digits)
}
