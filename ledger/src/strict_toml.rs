//! Refuses keys that a configuration file should not have, with file, line, column and the nearest key.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What a table of the file may hold.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// A key with a value.
    Value(&'static str),
    /// A table, or an array of tables, with keys of its own.
    Table(&'static str, &'static [Self]),
    /// A table whose keys are free; each of its values is a table with these keys.
    Named(&'static str, &'static [Self]),
}

impl Known {
    fn name(&self) -> &'static str {
        match self {
            Self::Value(name) | Self::Table(name, _) | Self::Named(name, _) => name,
        }
    }
}

/// The most wrong keys that one report lists.
const REPORTED_MAX: usize = 20;
/// How alike two keys must be for one to be offered for the other (Jaro-Winkler).
const ALIKE: f64 = 0.75;

/// Checks the text of a file. Each line of the error names one fault:
/// `file:line:column: unknown key "x"; did you mean "y"?`
pub fn check(file: &str, text: &str, schema: &[Known]) -> Result<(), String> {
    let mut faults = Vec::new();
    match DeTable::parse(text) {
        Ok(table) => walk(table.get_ref(), schema, "", &mut faults),
        Err(error) => faults.push((error.span().unwrap_or_default(), error.message().to_owned())),
    }
    if faults.is_empty() {
        return Ok(());
    }
    faults.sort_by_key(|(span, _)| span.start);
    faults.truncate(REPORTED_MAX);
    let lines: Vec<String> = faults
        .into_iter()
        .map(|(span, what)| {
            let (line, column) = position(text, &span);
            format!("{file}:{line}:{column}: {what}")
        })
        .collect();
    Err(lines.join("\n"))
}

fn walk(table: &DeTable<'_>, schema: &[Known], path: &str, faults: &mut Vec<(Range<usize>, String)>) {
    for (key, value) in table {
        let name: &str = key.get_ref();
        let Some(known) = schema.iter().find(|known| known.name() == name) else {
            faults.push((key.span(), unknown(name, schema, path)));
            continue;
        };
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match known {
            Known::Value(_) => {}
            Known::Table(_, keys) => tables(value, keys, &path, faults),
            Known::Named(_, keys) => {
                for (name, value) in value.get_ref().as_table().into_iter().flatten() {
                    tables(value, keys, &format!("{path}.{}", name.get_ref()), faults);
                }
            }
        }
    }
}

fn tables(value: &Spanned<DeValue<'_>>, keys: &[Known], path: &str, faults: &mut Vec<(Range<usize>, String)>) {
    match value.get_ref() {
        DeValue::Table(table) => walk(table, keys, path, faults),
        DeValue::Array(array) => array.iter().for_each(|value| tables(value, keys, path, faults)),
        _ => faults.push((value.span(), format!("\"{path}\" is a table: write [{path}]"))),
    }
}

fn unknown(name: &str, schema: &[Known], path: &str) -> String {
    let place = if path.is_empty() { String::new() } else { format!(" in [{path}]") };
    let nearest = schema
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known.name()), known.name()))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((alike, nearest)) if alike >= ALIKE => {
            format!("unknown key \"{name}\"{place}; did you mean \"{nearest}\"?")
        }
        _ => {
            let known: Vec<&str> = schema.iter().map(Known::name).collect();
            format!("unknown key \"{name}\"{place}; known are {}", known.join(", "))
        }
    }
}

/// Line and column, both counted from 1, columns in characters.
fn position(text: &str, span: &Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[Known] = &[
        Known::Value("listen"),
        Known::Table("limits", &[Known::Value("connections_max"), Known::Value("topics_max")]),
        Known::Table("meter", &[Known::Value("address")]),
        Known::Named("bus", &[Known::Value("device")]),
    ];

    #[test]
    fn known_keys_pass() {
        let text = "listen = 'x'\n[limits]\nconnections_max = 1\n[[meter]]\naddress = 1\n[[meter]]\naddress = 2\n[bus.cellar]\ndevice = 'x'\n";
        assert_eq!(check("f", text, SCHEMA), Ok(()));
    }

    #[test]
    fn a_typo_is_named_with_its_place_and_neighbour() {
        let text = "listen = 'x'\n[limits]\n  conections_max = 1\n[[meter]]\nadress = 1\n[bus.cellar]\nzzz = 1\n";
        let report = check("hub.toml", text, SCHEMA).unwrap_err();
        assert_eq!(
            report.lines().collect::<Vec<_>>(),
            [
                "hub.toml:3:3: unknown key \"conections_max\" in [limits]; did you mean \"connections_max\"?",
                "hub.toml:5:1: unknown key \"adress\" in [meter]; did you mean \"address\"?",
                "hub.toml:7:1: unknown key \"zzz\" in [bus.cellar]; known are device",
            ]
        );
    }

    #[test]
    fn broken_toml_and_a_value_for_a_table_are_named_too() {
        assert!(check("f", "listen = \n", SCHEMA).unwrap_err().starts_with("f:1:"));
        let report = check("f", "limits = 3\n", SCHEMA).unwrap_err();
        assert_eq!(report, "f:1:10: \"limits\" is a table: write [limits]");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(\\[?\\[?[a-z.é\"]{0,9}\\]?\\]?[ =1'{},]{0,6}\n?){0,8}") {
            let _ = check("f", &text, SCHEMA);
        }
    }
}
