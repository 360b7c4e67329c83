//! Profile generic (class 7): columns and rows.

use super::attribute::{Call, interface};
use super::read::{FromValue, Mismatch, codes, elements};
use super::unit::ScalerUnit;
use crate::apdu::AttributeDescriptor;
use crate::axdr::{DateTime, Value};
use alloc::vec::Vec;
use plomb_session::Decimal;

interface! {
    /// Profile generic: rows of captured attributes, as a load profile or a log (IEC 62056-6-2 §5.3.6).
    ///
    /// The buffer is asked for in parts: [`SelectiveAccess`](crate::apdu::SelectiveAccess), and read by
    /// [`rows_in_order`].
    ProfileGeneric = 7 "profile generic"
    attributes {
        /// The rows.
        buffer = 2: Value,
        /// The columns.
        capture_objects = 3: Vec<CaptureObject>,
        /// Seconds between two rows; 0 where rows are captured on events.
        capture_period = 4: u32,
        /// How rows are sorted.
        sort_method = 5: SortMethod,
        /// By which column, where they are sorted by one.
        sort_object = 6: CaptureObject,
        /// How many rows there are.
        entries_in_use = 7: u32,
        /// How many rows there can be.
        profile_entries = 8: u32,
    }
    methods { reset = 1, capture = 2, }
}

codes! {
    /// How the rows of a profile are sorted.
    SortMethod {
        /// Oldest first.
        FIFO = 1 "first in, first out",
        /// Newest first.
        LIFO = 2 "last in, first out",
        /// Largest first.
        LARGEST = 3 "largest",
        /// Smallest first.
        SMALLEST = 4 "smallest",
        /// Nearest to zero first.
        NEAREST_TO_ZERO = 5 "nearest to zero",
        /// Farthest from zero first.
        FARTHEST_FROM_ZERO = 6 "farthest from zero",
    }
}

impl SortMethod {
    /// The order in time that this one is, for rows sorted by this column: by the clock, the largest is the newest.
    #[must_use]
    pub fn in_time(self, by: Option<&CaptureObject>) -> Self {
        match self {
            Self::LARGEST if by.is_some_and(CaptureObject::is_clock) => Self::LIFO,
            Self::SMALLEST if by.is_some_and(CaptureObject::is_clock) => Self::FIFO,
            other => other,
        }
    }
}

impl ProfileGeneric {
    /// Forgets all rows.
    #[must_use]
    pub const fn reset(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Integer(0))
    }

    /// Captures a row now.
    #[must_use]
    pub const fn capture(self) -> Call {
        Call::new(Self::CLASS, self.0, 2, Value::Integer(0))
    }
}

/// The most rows that are read of one answer.
pub const ROW_COUNT_MAX: usize = 50_000;

/// A column of a profile: an attribute that is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CaptureObject {
    /// The attribute.
    pub attribute: AttributeDescriptor,
    /// Which element of the attribute, from 1; 0 for all of it.
    pub index: u16,
}

/// A column with what its numbers mean, which the profile itself does not say: scaler and unit are read of the object
/// that is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// What is captured.
    pub object: CaptureObject,
    /// Its scaler and unit; `None` for status words, times and texts.
    pub scaler_unit: Option<ScalerUnit>,
}

impl Column {
    /// The exact number of a row's value in this column. `None` for what has no scaler, or is no number.
    #[must_use]
    pub fn number(&self, value: &Value) -> Option<Decimal> {
        self.scaler_unit?.apply(value)
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it was captured, as far as a column of the clock says; filled in where the meter left it out because it is
    /// one capture period after the row before.
    pub time: Option<DateTime>,
    /// Whether the time was filled in.
    pub time_filled: bool,
    /// The values, a column each. What the meter left out because it is as in the row before is filled in.
    pub values: Vec<Value>,
}

impl CaptureObject {
    /// Whether the column is the clock's time.
    #[must_use]
    pub const fn is_clock(&self) -> bool {
        self.attribute.class == super::class::CLOCK && self.attribute.attribute == 2
    }

    /// Whether the number has a scaler and a unit: it is the value of a register. They are read at this attribute.
    #[must_use]
    pub const fn scaler_unit(&self) -> Option<AttributeDescriptor> {
        let scaler = match (self.attribute.class, self.attribute.attribute) {
            (super::class::REGISTER | super::class::EXTENDED_REGISTER, 2) => 3,
            (super::class::DEMAND_REGISTER, 2 | 3) => 4,
            _ => return None,
        };
        Some(AttributeDescriptor::new(self.attribute.class, self.attribute.instance, scaler))
    }
}

impl FromValue for CaptureObject {
    fn from_value(value: &Value) -> Result<Self, Mismatch> {
        // No more fields than the standard's: a push is told from its columns by this.
        if value.as_structure::<4>().is_none() {
            return Err(Mismatch::new("a structure of four fields", value));
        }
        let mut fields = super::read::Fields::of(value)?;
        let (class, instance) = (fields.next("class_id")?, fields.next("logical_name")?);
        let attribute = AttributeDescriptor::new(class, instance, fields.next("attribute_index")?);
        Ok(Self { attribute, index: fields.next("data_index")? })
    }
}

/// The columns that the attribute `capture_objects` names. `None` where one can't be read: then no row could be.
#[must_use]
pub fn capture_objects(value: &Value) -> Option<Vec<CaptureObject>> {
    Vec::from_value(value).ok()
}

/// The rows of the attribute `buffer`. A row with another number of values than there are columns is left out and
/// counted, as is a buffer that can't be unpacked and each row beyond [`ROW_COUNT_MAX`]. What follows a row that was
/// left out is not filled in from the row before it: it would be another's value, and another's time.
#[must_use]
pub fn rows(buffer: &Value, columns: &[CaptureObject], period_s: u32) -> (Vec<Row>, usize) {
    rows_in_order(buffer, columns, period_s, SortMethod::FIFO)
}

/// As [`rows`], of a profile that is sorted so: where the newest row is the first, a time that was left out is one
/// period before the row before it, and where rows are sorted by a number it is not known.
///
/// A difference (the delta types) is added to the row before it; only where that is the one captured before.
#[must_use]
pub fn rows_in_order(
    buffer: &Value,
    columns: &[CaptureObject],
    period_s: u32,
    sort_method: SortMethod,
) -> (Vec<Row>, usize) {
    let Ok(listed) = elements(buffer) else { return (Vec::new(), 1) };
    let step_s = match sort_method {
        SortMethod::FIFO => Some(i64::from(period_s)),
        SortMethod::LIFO => Some(-i64::from(period_s)),
        _ => None,
    };
    let clock = columns.iter().position(CaptureObject::is_clock);
    let mut rows: Vec<Row> = Vec::with_capacity(listed.len().min(ROW_COUNT_MAX));
    let mut odd = listed.len().saturating_sub(ROW_COUNT_MAX);
    let mut is_chained = false;
    for row in listed.iter().take(ROW_COUNT_MAX) {
        let values = row.as_elements().unwrap_or_default();
        if values.len() != columns.len() {
            odd = odd.saturating_add(1);
            is_chained = false;
            continue;
        }
        let before = rows.last().filter(|_| is_chained);
        is_chained = true;
        let mut values: Vec<Value> = values.to_vec();
        for (place, value) in values.iter_mut().enumerate() {
            let Some(kept) = before.and_then(|row| row.values.get(place)) else { continue };
            if *value == Value::Null && Some(place) != clock {
                *value = kept.clone();
            } else if let Some(sum) = value.added_to(kept).filter(|_| sort_method == SortMethod::FIFO) {
                *value = sum;
            }
        }
        let sent = clock.and_then(|place| values.get(place)).and_then(Value::as_date_time);
        let filled = || before?.time.and_then(|time| later(time, step_s?));
        let is_left_out = clock.and_then(|place| row.as_elements()?.get(place)) == Some(&Value::Null);
        let time = sent.or_else(|| if is_left_out { filled() } else { None });
        rows.push(Row { time, time_filled: sent.is_none() && time.is_some(), values });
    }
    (rows, odd)
}

/// So many seconds later, or earlier, under the same deviation.
fn later(time: DateTime, seconds: i64) -> Option<DateTime> {
    let deviation = time.deviation_minutes().unwrap_or(0);
    let local = time.local_ms()?.div_euclid(1000).checked_add(i64::from(deviation) * 60)?;
    let moved = DateTime::from_unix_s(local.checked_add(seconds)?, deviation)?;
    Some(DateTime { deviation: time.deviation, status: time.status, ..moved })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use plomb_session::Obis;

    #[test]
    fn what_is_left_out_is_filled_in() {
        let clock = CaptureObject { attribute: AttributeDescriptor::new(8, Obis([0, 0, 1, 0, 0, 255]), 2), index: 0 };
        let energy = CaptureObject { attribute: AttributeDescriptor::new(3, Obis([1, 0, 1, 8, 0, 255]), 2), index: 0 };
        let start = DateTime::from_unix_s(1_780_000_200, -60).unwrap();
        let number = Value::DoubleLongUnsigned;
        let buffer = Value::Array(vec![
            Value::Structure(vec![number(10), Value::OctetString(start.to_bytes().to_vec())]),
            Value::Structure(vec![Value::Null, Value::Null]),
            Value::Structure(vec![number(12), Value::Null]),
            Value::Structure(vec![number(13)]),
            Value::Structure(vec![Value::Null, Value::Null]),
            Value::Structure(vec![number(15), Value::OctetString(start.to_bytes().to_vec())]),
        ]);
        let (rows, odd) = rows(&buffer, &[energy, clock], 900);
        assert_eq!(odd, 1);
        let told: Vec<_> = rows.iter().map(|row| (row.values[0].to_string(), row.time_filled)).collect();
        let expected = [("10", false), ("10", true), ("12", true), ("null", false), ("15", false)];
        assert_eq!(told, expected.map(|(value, filled)| (value.into(), filled)));
        let times: Vec<_> =
            rows.iter().map(|row| row.time.map(|time| time.unix_ms().unwrap() / 1000 - 1_780_000_200)).collect();
        assert_eq!(times, [Some(0), Some(900), Some(1800), None, Some(0)]);
    }
}
