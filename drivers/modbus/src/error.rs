//! What is wrong with a map's file, and where.

use std::fmt;

use thiserror::Error;

/// Why a map cannot be used. The text names the file, the line and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {what}")]
pub struct MapError {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A place in a map's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name that was given with the text.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A map's text, to make errors with.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// An error at a byte of the text.
    pub(crate) fn wrong(&self, at: usize, what: impl Into<String>) -> MapError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let place = Place { file: self.file.into(), line: self.line(at), column };
        MapError { place, what: what.into() }
    }

    /// The line of a byte.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// An error of the TOML reader.
    pub(crate) fn explain(&self, error: &toml::de::Error) -> MapError {
        self.wrong(error.span().map_or(0, |span| span.start), error.message().replace('\n', " "))
    }
}
