//! What is wrong with a profile's file, and where.

use core::fmt;
use std::string::String;
use thiserror::Error;

/// Why a profile cannot be used. The text names the file, the line and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {what}")]
pub struct ProfileError {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A place in a profile's text.
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

/// A profile's text, to make errors with.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// An error at a byte of the text.
    pub(crate) fn wrong(&self, at: usize, what: impl Into<String>) -> ProfileError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        ProfileError { place: Place { file: self.file.into(), line, column }, what: what.into() }
    }

    /// An error of the TOML reader, its message in this project's words.
    pub(crate) fn explain(&self, error: &toml::de::Error) -> ProfileError {
        let at = error.span().map_or(0, |span| span.start);
        self.wrong(at, unknown_key(error.message()).unwrap_or_else(|| error.message().replace('\n', " ")))
    }
}

/// Turns serde's message about an unknown key or word into one that names the nearest known.
fn unknown_key(message: &str) -> Option<String> {
    let (kind, rest) = match message.strip_prefix("unknown field `") {
        Some(rest) => ("key", rest),
        None => ("word", message.strip_prefix("unknown variant `")?),
    };
    let (name, rest) = rest.split_once('`')?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3);
    Some(match nearest {
        Some((_, nearest)) => format!("unknown {kind} `{name}`; did you mean `{nearest}`?"),
        None => format!("unknown {kind} `{name}`; known here: {}", known.join(", ")),
    })
}
