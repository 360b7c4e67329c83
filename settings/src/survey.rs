//! A file read without stopping at the first mistake.
//!
//! [`load`](crate::load) gives settings or the first error. A survey gives every finding, and settings as far as they
//! can be told: each value of a table is tried by itself, beside values that are right, so one that is wrong hides no
//! other. It takes what [`load`](crate::load) takes and refuses what it refuses, but for overrides in the environment:
//! those are another machine's; and it finds numbers in quotes, which [`load`](crate::load) takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use config::{ConfigError, Map, Value, ValueKind};
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Known, Place, Text, nearest, told};

/// The most findings that are told. Whoever has so many has another kind of file.
pub const FINDINGS_MAX: usize = 1_000;

/// Something that is wrong in a file, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What, and what would be right.
    pub what: String,
}

/// A file under survey.
#[derive(Debug)]
pub struct Survey<'a> {
    file: Text<'a>,
    document: Spanned<DeTable<'a>>,
    known: &'static [(&'static str, Known)],
    /// By where in the text.
    found: Vec<(usize, String)>,
    readable: bool,
}

/// One table of a file, as far as it can be told.
#[derive(Debug)]
pub struct Part<T> {
    /// Its settings. Where a value is wrong or missing there stands another.
    pub settings: T,
    header: usize,
    values: BTreeMap<String, usize>,
    doubtful: BTreeSet<String>,
}

impl<T> Part<T> {
    /// Whether what `settings` has for a key is not what the file says: nothing is to be concluded from it.
    pub fn is_doubtful(&self, key: &str) -> bool {
        self.doubtful.contains(key)
    }

    /// Where a key's value begins; the table's own beginning, if it has no such key.
    pub fn offset(&self, key: Option<&str>) -> usize {
        key.and_then(|key| self.values.get(key)).copied().unwrap_or(self.header)
    }
}

impl<'a> Survey<'a> {
    /// Begins with the text: its syntax and its keys.
    pub fn of(path: &'a Path, text: &'a str, known: &'static [(&'static str, Known)]) -> Self {
        let file = Text { path, text };
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut found: Vec<(usize, String)> = errors
            .iter()
            .map(|error| (error.span().map_or(0, |span| span.start), error.message().to_string()))
            .collect();
        let readable = found.is_empty();
        // Where the syntax is wrong, what stands below belongs to another table than it seems.
        if readable {
            file.check(document.get_ref(), known, "", &mut |offset, what| found.push((offset, what)));
        }
        Self { file, document, known, found, readable }
    }

    /// Whether the syntax is right. What a file means of which a part can't be read nobody can say.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// A finding at a place in the text.
    pub fn find(&mut self, offset: usize, what: impl Into<String>) {
        self.found.push((offset, what.into()));
    }

    /// A table that the file may have once. `required` are the keys that it must have, each with a value that would do.
    pub fn table<T: DeserializeOwned>(&mut self, name: &str, required: &[(&str, &str)]) -> Option<Part<T>> {
        let document = self.document.get_ref().clone();
        let value = document.get(name)?;
        let DeValue::Table(table) = value.get_ref() else { return None };
        let header = value.span().start;
        self.part(&format!("[{name}]"), self.keys(name), (header, table), required)
    }

    /// The tables of a list, in the order of the file. What is no table was found already, and is left out.
    pub fn tables<T: DeserializeOwned>(&mut self, name: &str, required: &[(&str, &str)]) -> Vec<Part<T>> {
        let document = self.document.get_ref().clone();
        let Some(DeValue::Array(items)) = document.get(name).map(Spanned::get_ref) else { return Vec::new() };
        let (known, shown) = (self.keys(name), format!("[[{name}]]"));
        let mut parts = Vec::new();
        for item in items {
            if let DeValue::Table(table) = item.get_ref() {
                parts.extend(self.part(&shown, known, (item.span().start, table), required));
            }
        }
        parts
    }

    /// Everything that was found, in the order of the file.
    pub fn finish(mut self) -> Vec<Finding> {
        self.found.sort();
        self.found.dedup();
        self.found.truncate(FINDINGS_MAX);
        let Self { file, found, .. } = self;
        found.into_iter().map(|(offset, what)| Finding { place: file.place(offset), what }).collect()
    }

    fn keys(&self, name: &str) -> &'static [(&'static str, Known)] {
        match self.known.iter().find(|(known, _)| *known == name) {
            Some((_, Known::Table(keys) | Known::Tables(keys))) => keys,
            _ => &[],
        }
    }

    /// Tries each value by itself, then all that are right together.
    fn part<T: DeserializeOwned>(
        &mut self,
        shown: &str,
        known: &[(&str, Known)],
        (header, table): (usize, &DeTable<'_>),
        required: &[(&str, &str)],
    ) -> Option<Part<T>> {
        let base: Map<String, Value> =
            required.iter().map(|(key, value)| ((*key).to_string(), Value::new(None, *value))).collect();
        let (mut whole, mut values, mut doubtful) = (base.clone(), BTreeMap::new(), BTreeSet::new());
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !known.iter().any(|(known, _)| *known == name) {
                continue;
            }
            values.insert(name.to_string(), value.span().start);
            let (mut probe, tried) = (base.clone(), plain(value.get_ref()));
            probe.insert(name.to_string(), tried.clone());
            match read::<T>(probe) {
                Ok(_) => {
                    if let DeValue::String(text) = value.get_ref()
                        && is_in_quotes_by_mistake::<T>(base.clone(), name, text)
                    {
                        self.find(value.span().start, format!("`{name}`: write {text} without quotes"));
                    }
                    whole.insert(name.to_string(), tried);
                }
                Err(error) => {
                    let (_, what) = told(&error);
                    self.find(value.span().start, what);
                    doubtful.insert(name.to_string());
                }
            }
        }
        for (key, _) in required.iter().filter(|(key, _)| !values.contains_key(*key)) {
            doubtful.insert((*key).to_string());
            // One that is misspelt was found already.
            let misspelt = |written: &str| {
                let is_known = known.iter().any(|(known, _)| *known == written);
                !is_known && nearest(written, known.iter().map(|(known, _)| *known)) == Some(*key)
            };
            if !table.keys().any(|key| misspelt(key.get_ref())) {
                self.find(header, format!("`{key}` is missing in this {shown}"));
            }
        }
        match read(whole) {
            Ok(settings) => Some(Part { settings, header, values, doubtful }),
            Err(error) => {
                // Values that are right one by one, but not together.
                self.find(header, told(&error).1);
                None
            }
        }
    }
}

fn read<T: DeserializeOwned>(table: Map<String, Value>) -> Result<T, ConfigError> {
    Value::new(None, ValueKind::Table(table)).try_deserialize()
}

/// Whether a text stands where a number or a truth value is meant. The `config` crate takes `"2400"` for 2400, as it must
/// for what comes from the environment; in a file it is a slip.
fn is_in_quotes_by_mistake<T: DeserializeOwned>(mut base: Map<String, Value>, name: &str, text: &str) -> bool {
    let bare = text.trim().to_ascii_lowercase();
    let is_word = ["true", "false", "yes", "no", "on", "off"].contains(&bare.as_str());
    if bare.parse::<f64>().is_err() && !is_word {
        return false;
    }
    // What is a text may be any other, or one of a few words; a number can't.
    base.insert(name.to_string(), Value::new(None, format!("{text}x")));
    let Err(mut error) = read::<T>(base) else { return false };
    while let ConfigError::At { error: inner, .. } = error {
        error = *inner;
    }
    matches!(error, ConfigError::Type { .. })
}

/// A value as the `config` crate has it.
fn plain(value: &DeValue<'_>) -> Value {
    let kind = match value {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Integer(integer) => {
            let read = i64::from_str_radix(integer.as_str(), integer.radix());
            read.map_or_else(|_| ValueKind::String(integer.to_string()), ValueKind::I64)
        }
        DeValue::Float(float) => {
            float.as_str().parse().map_or_else(|_| ValueKind::String(float.to_string()), ValueKind::Float)
        }
        DeValue::Boolean(is) => ValueKind::Boolean(*is),
        DeValue::Datetime(time) => ValueKind::String(time.to_string()),
        DeValue::Array(items) => ValueKind::Array(items.iter().map(|item| plain(item.get_ref())).collect()),
        DeValue::Table(table) => ValueKind::Table(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), plain(value.get_ref()))).collect(),
        ),
    };
    Value::new(None, kind)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Bus {
        name: String,
        #[serde(default)]
        baud: u32,
        #[serde(default)]
        retries: u8,
    }

    const KEYS: &[(&str, Known)] = &[("name", Known::Value), ("baud", Known::Value), ("retries", Known::Value)];
    const KNOWN: &[(&str, Known)] =
        &[("hub", Known::Table(&[("address", Known::Value)])), ("bus", Known::Tables(KEYS))];

    fn survey(text: &str) -> (Vec<Part<Bus>>, Vec<String>) {
        let mut survey = Survey::of(Path::new("f"), text, KNOWN);
        let buses = survey.tables("bus", &[("name", "a")]);
        (buses, survey.finish().iter().map(|one| format!("{}: {}", one.place, one.what)).collect())
    }

    #[test]
    fn every_mistake_is_found_and_none_hides_another() {
        let text = "[hup]\n[[bus]]\nname = \"a\"\nbaud = \"fast\"\nretries = 300\n[[bus]]\nbauds = 1\n\
                    [[bus]]\nname = \"c\"\nbaud = 9600\n";
        let (buses, found) = survey(text);
        let starts = ["f:1:2: unknown key `hup`; did you mean `hub`?", "f:4:8: `baud`: ", "f:5:11: `retries`: "];
        for (line, start) in found.iter().zip(starts) {
            assert!(line.starts_with(start), "{line} / {start}");
        }
        let rest =
            ["f:6:1: `name` is missing in this [[bus]]", "f:7:1: unknown key `bauds` in [bus]; did you mean `baud`?"];
        assert_eq!(found[3..], rest, "{found:?}");
        assert!(buses[0].is_doubtful("baud") && !buses[0].is_doubtful("name") && buses[1].is_doubtful("name"));
        let last = &buses[2].settings;
        assert_eq!((last.name.as_str(), last.baud, last.retries), ("c", 9600, 0));
        assert_eq!(buses[2].offset(Some("baud")), text.rfind("9600").unwrap());
    }

    #[test]
    fn a_number_in_quotes_is_found_and_a_word_of_digits_is_none() {
        let (buses, found) = survey("[[bus]]\nname = \"12\"\nbaud = \"2400\"\nretries = 2\n");
        assert_eq!(found, ["f:3:8: `baud`: write 2400 without quotes"]);
        assert_eq!((buses[0].settings.name.as_str(), buses[0].settings.baud), ("12", 2400));
    }

    #[test]
    fn a_misspelt_key_is_not_missing_too() {
        let (_, found) = survey("[[bus]]\nnam = \"a\"\n");
        assert_eq!(found, ["f:2:1: unknown key `nam` in [bus]; did you mean `name`?"]);
    }

    #[test]
    fn every_syntax_error_is_told() {
        let (_, found) = survey("[[bus]]\nname = \nbaud = 1\nretries = = 2\n");
        assert!(
            found.len() >= 2 && found[0].starts_with("f:2:") && found.last().unwrap().starts_with("f:4:"),
            "{found:?}"
        );
        assert!(!Survey::of(Path::new("f"), "a = ", KNOWN).is_readable());
        assert!(Survey::of(Path::new("f"), "[hub]\n", KNOWN).is_readable());
    }

    #[test]
    fn a_flood_of_findings_ends() {
        let (_, found) = survey(&(0..2 * FINDINGS_MAX).map(|n| format!("x{n} = 1\n")).collect::<String>());
        assert_eq!(found.len(), FINDINGS_MAX);
    }
}
