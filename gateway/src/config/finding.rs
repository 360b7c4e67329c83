//! What is wrong with a configuration whose every value could be read.

use std::{fmt::Display, ops::RangeInclusive};

/// A table of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// No table in particular.
    Whole,
    /// One that stands once, by its name.
    Named(&'static str),
    /// A line, by its place in the list.
    Bus(usize),
    /// A meter, by its place in the list.
    Meter(usize),
}

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) table: Table,
    /// The key whose value is wrong, or that is missing.
    pub(super) key: Option<&'static str>,
    pub(super) what: String,
}

/// Where everything that is wrong is told.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Wrong>);

impl Findings {
    /// Whatever is told of one table begins with its name.
    pub(super) fn of(&mut self, table: Table, name: String) -> Told<'_> {
        Told { findings: self, table, name }
    }

    /// A table by its header.
    pub(super) fn named(&mut self, name: &'static str) -> Told<'_> {
        self.of(Table::Named(name), format!("[{name}]"))
    }
}

/// What is told of one table.
pub(super) struct Told<'a> {
    findings: &'a mut Findings,
    table: Table,
    name: String,
}

impl Told<'_> {
    /// Something is wrong with the value of a key.
    pub(super) fn key(&mut self, key: &'static str, what: impl Display) {
        self.tell(Some(key), what);
    }

    /// Something is wrong with the whole.
    pub(super) fn whole(&mut self, what: impl Display) {
        self.tell(None, what);
    }

    fn tell(&mut self, key: Option<&'static str>, what: impl Display) {
        self.findings.0.push(Wrong { table: self.table, key, what: format!("{} {what}", self.name) });
    }

    /// A number keeps its bounds, if it is given.
    pub(super) fn within<T: PartialOrd + Display>(
        &mut self,
        key: &'static str,
        value: Option<T>,
        range: RangeInclusive<T>,
    ) {
        if let Some(value) = value.filter(|value| !range.contains(value)) {
            self.key(key, format_args!("{key} is {} to {}, not {value}", range.start(), range.end()));
        }
    }
}
