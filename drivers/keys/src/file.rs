//! The key file.

use plomb_mbus::{Identification, Manufacturer, Medium, MeterId};
use plomb_wmbus::Key;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use thiserror::Error;

/// The most keys of a file.
pub const KEYS_MAX: usize = 65_536;
/// The longest line, without its end.
pub const LINE_BYTES_MAX: usize = 256;
/// The longest file.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Keys, found by meter.
#[derive(Clone, Debug, Default)]
pub struct KeyFile {
    keys: HashMap<Selector, Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    key: Key,
    line: usize,
}

/// Which meters a key is for. A part that is `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// The identification.
    pub id: Identification,
    /// The manufacturer.
    pub manufacturer: Option<Manufacturer>,
    /// The version; only with a manufacturer.
    pub version: Option<u8>,
    /// The medium; only with a version.
    pub medium: Option<Medium>,
}

/// Why a key file is refused: where, and what would be right. Nothing of the line is shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct KeyFileError {
    /// The name that was given with the text.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The first word is no identification.
    #[error("the identification: write the eight digits on the meter")]
    Identification,
    /// The word is no manufacturer.
    #[error("the manufacturer: write its three capital letters, or four hexadecimal digits")]
    Manufacturer,
    /// The word is no version.
    #[error("the version: write two hexadecimal digits")]
    Version,
    /// The word is no medium.
    #[error("the medium: write two hexadecimal digits")]
    Medium,
    /// The last word is no key.
    #[error("the key: write 32 hexadecimal digits")]
    Key,
    /// There is only an identification.
    #[error("no key behind the identification: write ID KEY, or ID MANUFACTURER VERSION MEDIUM KEY")]
    Missing,
    /// There are more than five words.
    #[error("a word too many: write ID KEY, or ID MANUFACTURER VERSION MEDIUM KEY; # begins a comment")]
    Excess,
    /// The same meter has two keys.
    #[error("the meter has a key at line {first} already: take one of them out")]
    Duplicate {
        /// The line of the other.
        first: usize,
    },
    /// The line is too long.
    #[error("a line has at most {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// The file has too many keys.
    #[error("a file holds at most {KEYS_MAX} keys")]
    TooManyKeys,
    /// The file is too long.
    #[error("a file has at most {FILE_BYTES_MAX} bytes")]
    FileTooLong,
}

impl KeyFile {
    /// Reads a key file. `file` is named in errors, and nothing is opened.
    ///
    /// # Errors
    /// [`KeyFileError`], of the first line that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, KeyFileError> {
        let wrong = |line, column, problem| KeyFileError { file: file.into(), line, column, problem };
        if text.len() > FILE_BYTES_MAX {
            return Err(wrong(1, 1, Problem::FileTooLong));
        }
        let mut keys = HashMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let Some((selector, key)) = entry(text).map_err(|(column, problem)| wrong(line, column, problem))? else {
                continue;
            };
            if keys.len() >= KEYS_MAX {
                return Err(wrong(line, 1, Problem::TooManyKeys));
            }
            match keys.entry(selector) {
                Entry::Vacant(place) => drop(place.insert(Kept { key, line })),
                Entry::Occupied(there) => {
                    return Err(wrong(line, 1, Problem::Duplicate { first: there.get().line }));
                }
            }
        }
        Ok(Self { keys })
    }

    /// The key of a meter: that of the line which names most of it.
    #[must_use]
    pub fn find(&self, meter: &MeterId) -> Option<&Key> {
        let all = Selector {
            id: meter.id,
            manufacturer: Some(meter.manufacturer),
            version: Some(meter.version),
            medium: Some(meter.medium),
        };
        let without_medium = Selector { medium: None, ..all };
        let without_version = Selector { version: None, ..without_medium };
        let id = Selector { manufacturer: None, ..without_version };
        [all, without_medium, without_version, id]
            .iter()
            .find_map(|selector| self.keys.get(selector))
            .map(|kept| &kept.key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every key with its meters and its line, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Selector, &Key, usize)> {
        self.keys.iter().map(|(selector, kept)| (selector, &kept.key, kept.line))
    }
}

/// What a line says; `None` for an empty one. Columns count from 1.
fn entry(line: &str) -> Result<Option<(Selector, Key)>, (usize, Problem)> {
    if line.len() > LINE_BYTES_MAX {
        return Err((1, Problem::LineTooLong));
    }
    let said = line.split_once('#').map_or(line, |(said, _)| said);
    let mut words = Words { line: said, rest: said };
    let Some((at, id)) = words.next() else { return Ok(None) };
    let id = id.parse().map_err(|_| (at, Problem::Identification))?;
    let mut selector = Selector { id, manufacturer: None, version: None, medium: None };
    let mut before = words.next().ok_or((words.column(), Problem::Missing))?;
    for place in 0.. {
        let Some(next) = words.next() else { break };
        let (at, word) = before;
        match place {
            0 => selector.manufacturer = Some(manufacturer(word).ok_or((at, Problem::Manufacturer))?),
            1 => selector.version = Some(byte(word).ok_or((at, Problem::Version))?),
            2 => selector.medium = Some(Medium(byte(word).ok_or((at, Problem::Medium))?)),
            _ => return Err((next.0, Problem::Excess)),
        }
        before = next;
    }
    let (at, key) = before;
    let key = Key::from_hex(key).map_err(|_| (at, Problem::Key))?;
    Ok(Some((selector, key)))
}

/// Words of a line with their columns.
struct Words<'a> {
    line: &'a str,
    rest: &'a str,
}

impl Words<'_> {
    fn column(&self) -> usize {
        let before = self.line.len() - self.rest.len();
        self.line.get(..before).map_or(0, |before| before.chars().count()) + 1
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.rest = self.rest.trim_start();
        let column = self.column();
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some((column, word))
    }
}

pub(crate) fn manufacturer(word: &str) -> Option<Manufacturer> {
    match <[u8; 3]>::try_from(word.as_bytes()) {
        Ok(letters) => Manufacturer::from_letters(letters),
        Err(_) if word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u16::from_str_radix(word, 16).ok().map(Manufacturer)
        }
        Err(_) => None,
    }
}

fn byte(word: &str) -> Option<u8> {
    let hexadecimal = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| u8::from_str_radix(word, 16).ok()).flatten()
}

impl fmt::Display for Selector {
    /// As in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        let Some(manufacturer) = self.manufacturer else { return Ok(()) };
        write!(f, " {manufacturer}")?;
        let Some(version) = self.version else { return Ok(()) };
        write!(f, " {version:02X}")?;
        let Some(medium) = self.medium else { return Ok(()) };
        write!(f, " {:02X}", medium.0)
    }
}
