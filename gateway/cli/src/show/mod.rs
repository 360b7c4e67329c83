//! Output: where it goes, how times and texts look.

mod record;
mod table;
mod when;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Stdout, Write},
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    args::{Args, Color},
    exit::Failure,
};

pub(crate) use plomb_gateway::plain::{escaped, one_line};
pub(crate) use record::{line as entry_line, record};
pub(crate) use table::Table;
pub(crate) use when::{Zone, duration, instant, moment, rounded};

/// How output looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    /// JSON instead of text.
    pub(crate) json: bool,
    /// The zone of times in texts.
    pub(crate) zone: Zone,
    colors: bool,
}

/// What a word means, as its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// Look at this.
    Doubt,
    /// Something is wrong.
    Bad,
}

impl Show {
    /// From the command line, the environment and the terminal. To be made before any thread starts.
    pub(crate) fn new(args: &Args) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colors = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
        };
        Self { json: args.json, zone: Zone::local(), colors: colors && !args.json }
    }

    /// A word in its colour.
    pub(crate) fn tone(&self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Doubt => "33",
            Tone::Bad => "31",
        };
        if self.colors { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Standard output, written in pieces. Nobody listening any more is [`Failure::Closed`].
pub(crate) struct Out(io::BufWriter<Stdout>);

/// How much is written at once, in bytes.
const OUT_BUFFER_BYTES: usize = 64 * 1024;

impl Out {
    pub(crate) fn new() -> Self {
        Self(io::BufWriter::with_capacity(OUT_BUFFER_BYTES, io::stdout()))
    }

    /// A line of text.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(Failure::stdout)
    }

    /// A JSON document on a line.
    pub(crate) fn json(&mut self, document: &Value) -> Result<(), Failure> {
        self.line(document)
    }

    /// The same of anything that can be one, written as it is made.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.0, document).map_err(|error| Failure::stdout(error.into()))?;
        self.0.write_all(b"\n").map_err(Failure::stdout)
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(Failure::stdout)
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::stdout)
    }
}

/// A document or a text, and nothing after it.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = Out::new();
    out.line(text)?;
    out.flush()
}

/// A line for people, on standard error. When nobody listens there, the exit code still tells.
pub(crate) fn tell(line: impl Display) {
    tell_part(format_args!("{line}\n"));
}

/// The same without an end: a line that is replaced on a terminal.
pub(crate) fn tell_part(text: impl Display) {
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// A count with its noun: `1 entry`, `2 entries`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A noun with its article: `a command`, `an approval`.
pub(crate) fn one(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A size with its unit.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    for unit in UNITS {
        if tenths < 10_000 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        tenths /= 1000;
    }
    format!("{} PB", tenths / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_049), "1.0 kB");
        assert_eq!(size(1_500_000), "1.5 MB");
        assert_eq!(size(2_147_483_648), "2.1 GB");
        assert_eq!((one("approval"), one("command")), ("an approval".into(), "a command".into()));
        assert_eq!(count(1, "entry", "entries"), "1 entry");
        assert_eq!(count(0, "entry", "entries"), "0 entries");
    }
}
