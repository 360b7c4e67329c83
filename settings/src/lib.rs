//! Configuration files that refuse what they do not know, and say where.
//!
//! A file is read twice. First its keys are held against a table of the known ones: a misspelt key is
//! named with file, line, column and the nearest known key. So are the overrides from the environment,
//! each by its variable. Then the `config` crate merges both and gives the typed settings; a value of the
//! wrong type is traced back to its line or its variable.

mod survey;

use std::{
    env,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub use survey::{FINDINGS_MAX, Finding, Part, Survey};

/// The largest configuration file, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What may stand under a key.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// A value.
    Value,
    /// A table with these keys.
    Table(&'static [(&'static str, Self)]),
    /// A list of tables with these keys each.
    Tables(&'static [(&'static str, Self)]),
}

/// Why a configuration can't be used. The text names the file, the line and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("{path}: {cause}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{place}: {what}")]
    Wrong {
        /// Where.
        place: Place,
        /// What, and what would be right.
        what: String,
    },
    /// An override in the environment is wrong.
    #[error("{variable} in the environment: {what}")]
    Override {
        /// The variable.
        variable: String,
        /// What, and what would be right.
        what: String,
    },
    /// Something is wrong that has no place in the file, such as a missing key.
    #[error("{path}: {what}", path = path.display())]
    Whole {
        /// The file.
        path: PathBuf,
        /// What, and what would be right.
        what: String,
    },
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Reads a configuration file. `PREFIX__TABLE__KEY` in the environment overrides `table.key`.
pub fn load<T: DeserializeOwned>(
    path: &Path,
    known: &'static [(&'static str, Known)],
    prefix: &str,
) -> Result<T, SettingsError> {
    load_with(path, known, prefix, env::vars_os())
}

/// Reads the text of a configuration that stands in no file; errors call it `name`. The environment overrides it as
/// [`load`] says.
pub fn read<T: DeserializeOwned>(
    name: &Path,
    text: &str,
    known: &'static [(&'static str, Known)],
    prefix: &str,
) -> Result<T, SettingsError> {
    read_with(name, text, known, prefix, env::vars_os())
}

/// What the environment overrides under a prefix: variables and their values, by name. [`load`] has checked them.
pub fn overrides(prefix: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let mut named = Overrides::collect(prefix, env::vars_os())?.named;
    named.sort();
    Ok(named)
}

fn load_with<T: DeserializeOwned>(
    path: &Path,
    known: &'static [(&'static str, Known)],
    prefix: &str,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<T, SettingsError> {
    let cannot = |cause| SettingsError::Read { path: path.into(), cause };
    if fs::metadata(path).map_err(cannot)?.len() > FILE_BYTES_MAX {
        return Err(SettingsError::Whole { path: path.into(), what: "the file is larger than 4 MiB".into() });
    }
    let text = fs::read_to_string(path).map_err(cannot)?;
    read_with(path, &text, known, prefix, variables)
}

fn read_with<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    known: &'static [(&'static str, Known)],
    prefix: &str,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<T, SettingsError> {
    let file = Text { path, text };
    let document = DeTable::parse(text)
        .map_err(|error| file.wrong(error.span().map_or(0, |span| span.start), error.message().to_string()))?;
    file.first(document.get_ref(), known)?;
    let overrides = Overrides::collect(prefix, variables)?;
    overrides.check(known)?;
    let environment = Environment::with_prefix(prefix).prefix_separator(STEP).separator(STEP).try_parsing(true);
    let merged = Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(environment.source(Some(overrides.named.iter().cloned().collect())))
        .build()
        .and_then(Config::try_deserialize);
    merged.map_err(|error| match overrides.explain(&error) {
        Some(explained) => explained,
        None => file.explain(&error, document.get_ref()),
    })
}

/// What stands between the steps of a key path in a variable's name.
const STEP: &str = "__";

/// The variables of the environment that override settings.
struct Overrides {
    prefix: String,
    /// Names and values.
    named: Vec<(String, String)>,
}

impl Overrides {
    fn collect(prefix: &str, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        let prefix = format!("{prefix}{STEP}").to_lowercase();
        let mut named = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.to_lowercase().starts_with(&prefix)) else { continue };
            let wrong = || SettingsError::Override { variable: name.into(), what: "the value is no text".into() };
            named.push((name.to_string(), value.into_string().map_err(|_| wrong())?));
        }
        Ok(Self { prefix, named })
    }

    /// The key path that a variable names, as `config` has it.
    fn key(&self, variable: &str) -> String {
        let lower = variable.to_lowercase();
        lower.strip_prefix(&self.prefix).unwrap_or_default().replace(STEP, ".")
    }

    /// Every variable names a value that is known.
    fn check(&self, known: &[(&str, Known)]) -> Result<(), SettingsError> {
        for (variable, _) in &self.named {
            let key = self.key(variable);
            if let Err(what) = known_value(&key, known) {
                return Err(SettingsError::Override { variable: variable.clone(), what });
            }
        }
        Ok(())
    }

    /// The variable whose value an error of the `config` crate is about.
    fn explain(&self, error: &ConfigError) -> Option<SettingsError> {
        let (key, what) = told(error);
        let key = key?;
        let (variable, _) = self.named.iter().find(|(variable, _)| self.key(variable) == key)?;
        Some(SettingsError::Override { variable: variable.clone(), what })
    }
}

/// Whether a key path leads to a value; what would be right, if not.
fn known_value(key: &str, known: &[(&str, Known)]) -> Result<(), String> {
    let (mut known, mut at) = (known, String::new());
    let mut steps = key.split('.').peekable();
    while let Some(name) = steps.next() {
        let Some((_, inner)) = known.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(name, known, &at));
        };
        at = join(&at, name);
        match (inner, steps.peek()) {
            (Known::Value, None) => return Ok(()),
            (Known::Value, Some(_)) => return Err(format!("`{at}` is a value, nothing is below it")),
            (Known::Tables(_), _) => return Err(format!("`{at}` is a list: it can be set in the file only")),
            (Known::Table(inner), _) => known = inner,
        }
    }
    Err(format!("`{at}` is a table: name a key below it"))
}

/// The key that an error of the `config` crate is about, and what it says.
fn told(error: &ConfigError) -> (Option<String>, String) {
    match error {
        ConfigError::At { key: Some(key), error, .. } => (Some(key.clone()), format!("`{key}`: {error}")),
        ConfigError::Type { key: Some(key), unexpected, expected, .. } => {
            (Some(key.clone()), format!("`{key}`: {unexpected}, where {expected} belongs"))
        }
        other => (None, other.to_string()),
    }
}

#[derive(Debug)]
struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Text<'_> {
    /// The first key that is not known at its place.
    fn first(&self, document: &DeTable<'_>, known: &[(&str, Known)]) -> Result<(), SettingsError> {
        let mut first: Option<(usize, String)> = None;
        self.check(document, known, "", &mut |offset, what| {
            if first.as_ref().is_none_or(|(before, _)| offset < *before) {
                first = Some((offset, what));
            }
        });
        first.map_or(Ok(()), |(offset, what)| Err(self.wrong(offset, what)))
    }

    /// Tells every key of `table` that is not known at this place, and where it stands.
    fn check(&self, table: &DeTable<'_>, known: &[(&str, Known)], at: &str, tell: &mut dyn FnMut(usize, String)) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some((_, inner)) = known.iter().find(|(known, _)| *known == name) else {
                tell(key.span().start, unknown(name, known, at));
                continue;
            };
            let start = value.span().start;
            match (inner, value.get_ref()) {
                (Known::Value, _) => {}
                (Known::Table(inner), DeValue::Table(table)) => self.check(table, inner, &join(at, name), tell),
                (Known::Tables(inner), DeValue::Array(items)) => self.check_items(items, inner, &join(at, name), tell),
                (Known::Table(_), _) => tell(start, format!("`{name}` is a table: write [{}]", join(at, name))),
                (Known::Tables(_), _) => tell(start, format!("`{name}` is a list: write [[{}]]", join(at, name))),
            }
        }
    }

    fn check_items(
        &self,
        items: &[Spanned<DeValue<'_>>],
        known: &[(&str, Known)],
        at: &str,
        tell: &mut dyn FnMut(usize, String),
    ) {
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => self.check(table, known, at, tell),
                _ => tell(item.span().start, format!("`{at}` is a list of tables: write [[{at}]]")),
            }
        }
    }

    /// Finds the line for an error of the `config` crate.
    fn explain(&self, error: &ConfigError, document: &DeTable<'_>) -> SettingsError {
        let (key, what) = told(error);
        match key.and_then(|key| find(document, &key)) {
            Some(offset) => self.wrong(offset, what),
            None => SettingsError::Whole { path: self.path.into(), what },
        }
    }

    fn wrong(&self, offset: usize, what: String) -> SettingsError {
        SettingsError::Wrong { place: self.place(offset), what }
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Place { path: self.path.into(), line, column }
    }
}

/// Where the value of a key path begins. The `config` crate writes `bus[0].baud` as `bus[0]baud`.
fn find(document: &DeTable<'_>, path: &str) -> Option<usize> {
    let mut table = document;
    let mut found = None;
    let path = path.replace(']', "].").replace("..", ".");
    let path = path.trim_end_matches('.');
    for step in path.split('.') {
        let (name, index) = match step.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let (_, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == name)?;
        let value = match (value.get_ref(), index) {
            (DeValue::Array(items), Some(index)) => items.get(index)?,
            _ => value,
        };
        found = Some(value.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return found,
        }
    }
    found
}

/// The word that somebody may have meant who wrote `written`, if one is near enough.
pub fn nearest<'a>(written: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = words.map(|word| (strsim::damerau_levenshtein(written, word), word)).min();
    near.filter(|(distance, word)| *distance <= 1 + word.len() / 3).map(|(_, word)| word)
}

fn unknown(name: &str, known: &[(&str, Known)], at: &str) -> String {
    let place = if at.is_empty() { String::new() } else { format!(" in [{at}]") };
    let nearest = nearest(name, known.iter().map(|(known, _)| *known));
    match nearest {
        Some(nearest) => format!("unknown key `{name}`{place}; did you mean `{nearest}`?"),
        None => {
            let all: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
            format!("unknown key `{name}`{place}; known here: {}", all.join(", "))
        }
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_string() } else { format!("{at}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Example {
        hub: Hub,
        bus: Vec<Bus>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Hub {
        address: String,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Bus {
        name: String,
        baud: u32,
    }

    const KNOWN: &[(&str, Known)] = &[
        ("hub", Known::Table(&[("address", Known::Value)])),
        ("bus", Known::Tables(&[("name", Known::Value), ("baud", Known::Value)])),
    ];

    fn read(text: &str) -> Result<Example, String> {
        read_with(text, &[])
    }

    fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Example, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plombd.toml");
        fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        load_with(&path, KNOWN, "PLOMB_TEST", variables)
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn a_good_file_is_read() {
        let example = read("[hub]\naddress = \"h:1\"\n[[bus]]\nname = \"cellar\"\nbaud = 2400\n").unwrap();
        assert_eq!(example.bus, [Bus { name: "cellar".into(), baud: 2400 }]);
    }

    #[test]
    fn errors_name_the_line_and_what_would_be_right() {
        for (text, error) in [
            ("[hub]\nadress = \"h\"\n", "plombd.toml:2:1: unknown key `adress` in [hub]; did you mean `address`?"),
            (
                "[[bus]]\nname = \"a\"\n  bauds = 1\n",
                "plombd.toml:3:3: unknown key `bauds` in [bus]; did you mean `baud`?",
            ),
            ("[zoo]\n", "plombd.toml:1:2: unknown key `zoo`; known here: hub, bus"),
            ("hub = 3\n", "plombd.toml:1:7: `hub` is a table: write [hub]"),
            ("bus = 3\n", "plombd.toml:1:7: `bus` is a list: write [[bus]]"),
        ] {
            assert_eq!(read(text).unwrap_err(), error);
        }
        let error = read("[hub]\naddress = \"h\"\n[[bus]]\nname = \"a\"\nbaud = \"fast\"\n").unwrap_err();
        assert!(error.starts_with("plombd.toml:5:8: ") && error.contains("fast"), "{error}");
        let error = read("[hub]\n[[bus]]\nname = \"a\"\nbaud = 1\n").unwrap_err();
        assert!(error.contains("address"), "{error}");
        let error = read("[hub\n").unwrap_err();
        assert!(error.starts_with("plombd.toml:1:"), "{error}");
    }

    #[test]
    fn overrides_are_as_strict_as_the_file_and_named_by_their_variable() {
        const GOOD: &str = "[hub]\naddress = \"h:1\"\n[[bus]]\nname = \"a\"\nbaud = 1\n";
        let other = [("PLOMB_TEST_CONFIG", "x"), ("PLOMB_TEST2__HUB__X", "x"), ("PATH", "/bin")];
        assert_eq!(read_with(GOOD, &other).unwrap().hub.address, "h:1");
        assert_eq!(read_with(GOOD, &[("PLOMB_TEST__HUB__ADDRESS", "h:2")]).unwrap().hub.address, "h:2");
        for (variable, what) in [
            ("PLOMB_TEST__HUB__ADRESS", "unknown key `adress` in [hub]; did you mean `address`?"),
            ("PLOMB_TEST__HUBB__X", "unknown key `hubb`; did you mean `hub`?"),
            ("PLOMB_TEST__HUB", "`hub` is a table: name a key below it"),
            ("PLOMB_TEST__HUB__ADDRESS__X", "`hub.address` is a value, nothing is below it"),
            ("PLOMB_TEST__BUS__BAUD", "`bus` is a list: it can be set in the file only"),
        ] {
            let error = read_with(GOOD, &[(variable, "1")]).unwrap_err();
            assert_eq!(error, format!("{variable} in the environment: {what}"));
        }
    }
}
