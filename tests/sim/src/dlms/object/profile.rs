//! Profiles (class 7): rows by the clock, made when they are asked for.

use super::{Name, Object, capture, metering, name, octets, refusal};
use crate::dlms::config::{MeterConfig, ProfileForm};
use crate::dlms::quantities::{Quantities, quantity_of};
use crate::dlms::time::month_start;
use crate::dlms::value::Value;
use crate::live::Dice;

pub(in crate::dlms) const LOAD: Name = [1, 0, 99, 1, 0, 255];
pub(in crate::dlms) const DAILY: Name = [1, 0, 99, 2, 0, 255];
pub(in crate::dlms) const BILLING: Name = [0, 0, 98, 1, 0, 255];
pub(in crate::dlms) const EVENTS: Name = [0, 0, 99, 98, 0, 255];
const EVENT_CODE: Name = [0, 0, 96, 11, 0, 255];

const DAY_S: u64 = 86_400;
const DAILY_ROWS_MAX: u64 = 365;
const BILLING_ROWS_MAX: usize = 12;
/// Of so many days, one has a gap.
const GAP_EVERY_DAYS: u64 = 5;
const GAP_S: u64 = 3 * 3600;
/// Status: the meter had no power before this row.
const STATUS_POWER_DOWN: u8 = 0x80;

/// A captured attribute.
type Column = (u16, Name, i8);

/// A profile at an instant of the meter's clock.
pub(in crate::dlms) struct Profile<'a> {
    pub(in crate::dlms) name: Name,
    pub(in crate::dlms) config: &'a MeterConfig,
    pub(in crate::dlms) quantities: &'a Quantities,
    pub(in crate::dlms) clock_s: u64,
    /// Rows up to this instant were cleared.
    pub(in crate::dlms) cleared_s: u64,
    /// When something happened, and what.
    pub(in crate::dlms) events: &'a [(u64, u8)],
}

/// A row, told by the simulator's own hand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HeldRow {
    /// The instant of its clock column, in seconds since 1970.
    pub unix_s: u64,
    /// Its other columns in order, whole numbers.
    pub numbers: Vec<i64>,
}

pub(in crate::dlms) fn objects(form: &ProfileForm) -> Vec<Object> {
    let profile = |at: Name, period_s: u32, rows: u32| {
        Object::new(7, 1, at)
            .fixed(Value::Array(Vec::new()))
            .fixed(Value::Array(Vec::new()))
            .fixed(Value::U32(period_s))
            .fixed(Value::Enum(1))
            .fixed(capture(0, [0; 6], 0))
            .fixed(Value::U32(0))
            .fixed(Value::U32(rows))
            .methods(2)
    };
    vec![
        profile(LOAD, form.period_s, form.rows),
        profile(DAILY, 86_400, 365),
        profile(BILLING, 0, 12),
        profile(EVENTS, 0, 100),
    ]
}

impl Profile<'_> {
    /// What it captures, column by column.
    fn columns(&self) -> Vec<Column> {
        let clock = (8, metering::CLOCK, 2);
        let import = (3, name(1, 0, 1, 8, 0), 2);
        match self.name {
            DAILY => vec![clock, import],
            BILLING => vec![
                clock,
                import,
                (3, name(1, 0, 1, 8, 1), 2),
                (3, name(1, 0, 1, 8, 2), 2),
                (4, name(1, 0, 1, 6, 0), 2),
                (4, name(1, 0, 1, 6, 0), 5),
            ],
            EVENTS => vec![clock, (1, EVENT_CODE, 2)],
            _ => {
                let form = &self.config.profile;
                let mut columns = vec![(1, metering::PROFILE_STATUS, 2), import, (3, name(1, 0, 2, 8, 0), 2)];
                if form.wide {
                    columns.extend([(3, name(1, 0, 3, 8, 0), 2), (3, name(1, 0, 32, 7, 0), 2)]);
                }
                columns.insert(form.clock_column.min(columns.len()), clock);
                columns
            }
        }
    }

    /// Attributes 3, 5, 6, 7: what is captured, how it is sorted and by what, how many rows there are.
    pub(in crate::dlms) fn attribute(&self, index: i8) -> Option<Value> {
        let definition = |column: &Column| capture(column.0, column.1, column.2);
        match index {
            3 => Some(Value::Array(self.columns().iter().map(definition).collect())),
            5 => Some(Value::Enum(if self.newest_first() { 2 } else { 1 })),
            6 => Some(definition(&(8, metering::CLOCK, 2))),
            7 => Some(Value::U32(u32::try_from(self.times().len()).unwrap_or(u32::MAX))),
            _ => None,
        }
    }

    fn newest_first(&self) -> bool {
        self.name == LOAD && self.config.profile.newest_first
    }

    /// The rows' instants, oldest first.
    pub(in crate::dlms) fn times(&self) -> Vec<u64> {
        let form = &self.config.profile;
        let times: Vec<u64> = match self.name {
            DAILY => {
                let today = self.clock_s / DAY_S;
                (today.saturating_sub(DAILY_ROWS_MAX - 1)..=today).map(|day| day * DAY_S).collect()
            }
            BILLING => {
                let this_month = month_start(self.clock_s);
                let before = |start: &u64| Some(month_start(start.saturating_sub(1)));
                let mut months: Vec<u64> =
                    std::iter::successors(Some(this_month), before).take(BILLING_ROWS_MAX).collect();
                months.reverse();
                months
            }
            EVENTS => self.events.iter().map(|(unix_s, _)| *unix_s).collect(),
            _ => {
                let period = u64::from(form.period_s.max(1));
                let newest = self.clock_s / period;
                let oldest = (newest + 1).saturating_sub(form.rows.into());
                (oldest..=newest).map(|row| row * period).filter(|row| !self.in_gap(*row)).collect()
            }
        };
        times.into_iter().filter(|row| *row > self.cleared_s).collect()
    }

    fn in_gap(&self, row_s: u64) -> bool {
        if !self.config.profile.gaps {
            return false;
        }
        let block = row_s / (GAP_EVERY_DAYS * DAY_S);
        // The whole gap lies within its block.
        let start = Dice(self.config.seed ^ block).roll() % (GAP_EVERY_DAYS * DAY_S - GAP_S);
        (start..start + GAP_S).contains(&(row_s % (GAP_EVERY_DAYS * DAY_S)))
    }

    fn content(&self, column: &Column, row_s: u64) -> Value {
        match (column.1, column.2) {
            (metering::CLOCK, _) => octets(&self.config.stamp(row_s)),
            (metering::PROFILE_STATUS, _) => {
                let period = u64::from(self.config.profile.period_s);
                Value::U8(if self.in_gap(row_s.saturating_sub(period)) { STATUS_POWER_DOWN } else { 0 })
            }
            (EVENT_CODE, _) => {
                let event = self.events.iter().find(|(unix_s, _)| *unix_s == row_s);
                Value::U8(event.map_or(0, |(_, code)| *code))
            }
            // A month's largest demand is that of the month which ended then.
            (_, 5) => {
                let peak = self.quantities.demand_max(row_s.saturating_sub(1)).1;
                octets(&self.config.stamp(peak))
            }
            (at, _) => {
                let ended = if column.0 == 4 { row_s.saturating_sub(1) } else { row_s };
                quantity_of(at).map_or(Value::Null, |quantity| self.quantities.value(quantity, ended))
            }
        }
    }

    /// The rows of these instants, as the simulator holds them.
    pub(in crate::dlms) fn held(&self, times: &[u64]) -> Vec<HeldRow> {
        let columns = self.columns();
        let numbers = |row_s: u64| {
            let others = columns.iter().filter(|column| column.0 != 8);
            let number = |column| self.content(column, row_s).number().and_then(|number| i64::try_from(number).ok());
            others.filter_map(number).collect()
        };
        times.iter().map(|row_s| HeldRow { unix_s: *row_s, numbers: numbers(*row_s) }).collect()
    }

    /// The buffer (attribute 2), or what a selector leaves of it.
    pub(in crate::dlms) fn buffer(&self, selection: Option<&(u8, Value)>) -> Result<Value, u8> {
        let columns = self.columns();
        let mut times = self.times();
        if self.newest_first() {
            times.reverse();
        }
        match selection {
            None => Ok(self.rows(&times, &columns)),
            Some((1, _)) if self.config.profile.no_range => Err(refusal::OTHER),
            Some((1, range)) => self.range(range, &times, &columns),
            Some((2, entries)) => self.entries(entries, &times, &columns),
            Some(_) => Err(refusal::OTHER),
        }
    }

    /// Selective access by range (IEC 62056-6-2, 4.3.6.2.2): both ends belong to it.
    fn range(&self, range: &Value, times: &[u64], columns: &[Column]) -> Result<Value, u8> {
        let [restricting, from, to, selected] = range.elements() else { return Err(refusal::TYPE_UNMATCHED) };
        if defined(restricting).is_none_or(|column| column.1 != metering::CLOCK) {
            return Err(refusal::OTHER);
        }
        let instant = |value: &Value| {
            let octets = value.octets().ok_or(refusal::TYPE_UNMATCHED)?;
            self.config.instant(octets).ok_or(refusal::OTHER)
        };
        let (from, to) = (instant(from)?, instant(to)?);
        let wanted: Vec<Column> = selected.elements().iter().filter_map(defined).collect();
        if wanted.len() != selected.elements().len() || wanted.iter().any(|column| !columns.contains(column)) {
            return Err(refusal::OTHER);
        }
        let kept: Vec<Column> =
            columns.iter().filter(|column| wanted.is_empty() || wanted.contains(column)).copied().collect();
        let times: Vec<u64> = times.iter().filter(|row| (from..=to).contains(*row)).copied().collect();
        Ok(self.rows(&times, &kept))
    }

    /// Selective access by entry (IEC 62056-6-2, 4.3.6.2.3): numbers from 1; 0 as an end is the last.
    fn entries(&self, entries: &Value, times: &[u64], columns: &[Column]) -> Result<Value, u8> {
        let [from_row, to_row, from_column, to_column] = entries.elements() else {
            return Err(refusal::TYPE_UNMATCHED);
        };
        let place = |value: &Value| {
            value.number().and_then(|number| usize::try_from(number).ok()).ok_or(refusal::TYPE_UNMATCHED)
        };
        let times = between(times, place(from_row)?, place(to_row)?);
        let columns = between(columns, place(from_column)?, place(to_column)?);
        Ok(self.rows(times, columns))
    }

    fn rows(&self, times: &[u64], columns: &[Column]) -> Value {
        let mut before: Option<(u64, Vec<Value>)> = None;
        let mut rows = Vec::with_capacity(times.len());
        for row_s in times {
            let whole: Vec<Value> = columns.iter().map(|column| self.content(column, *row_s)).collect();
            if !self.config.profile.null_compression {
                rows.push(Value::Structure(whole));
                continue;
            }
            let shown = match &before {
                Some((before_s, values)) => {
                    let period_s = u64::from(self.config.profile.period_s);
                    let (earlier, later) = if self.newest_first() { (row_s, before_s) } else { (before_s, row_s) };
                    let follows = earlier + period_s == *later;
                    let same = |(column, (value, old)): (&Column, (&Value, &Value))| {
                        let known = if column.0 == 8 { follows } else { value == old };
                        if known { Value::Null } else { value.clone() }
                    };
                    columns.iter().zip(whole.iter().zip(values)).map(same).collect()
                }
                None => whole.clone(),
            };
            rows.push(Value::Structure(shown));
            before = Some((*row_s, whole));
        }
        Value::Array(rows)
    }
}

/// The elements from one number, counted from 1, to another; 0 as the end is the last.
fn between<T>(all: &[T], from: usize, to: usize) -> &[T] {
    let end = if to == 0 { all.len() } else { to.min(all.len()) };
    all.get(from.saturating_sub(1)..end).unwrap_or_default()
}

fn defined(value: &Value) -> Option<Column> {
    let [class, at, attribute, _] = value.elements() else { return None };
    let class = u16::try_from(class.number()?).ok()?;
    Some((class, at.octets()?.try_into().ok()?, i8::try_from(attribute.number()?).ok()?))
}
