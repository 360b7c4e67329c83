//! Profile generic (class 7): columns and rows.

use crate::apdu::AttributeDescriptor;
use crate::axdr::{DateTime, Value};
use alloc::vec::Vec;
use plomb_session::Obis;

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

    fn from_value(value: &Value) -> Option<Self> {
        let [class, instance, attribute, index] = value.as_structure()?;
        let attribute = i8::try_from(attribute.as_decimal()?.mantissa).ok()?;
        let class = u16::try_from(class.as_unsigned()?).ok()?;
        let instance = Obis(instance.as_octets()?.try_into().ok()?);
        let index = u16::try_from(index.as_unsigned()?).ok()?;
        Some(Self { attribute: AttributeDescriptor::new(class, instance, attribute), index })
    }
}

/// The columns that the attribute `capture_objects` names. `None` where one can't be read: then no row could be.
#[must_use]
pub fn capture_objects(value: &Value) -> Option<Vec<CaptureObject>> {
    value.as_elements()?.iter().map(CaptureObject::from_value).collect()
}

/// The rows of the attribute `buffer`. A row with another number of values than there are columns is left out and
/// counted, as is a buffer that can't be unpacked and each row beyond [`ROW_COUNT_MAX`]. What follows a row that was
/// left out is not filled in from the row before it: it would be another's value, and another's time.
#[must_use]
pub fn rows(buffer: &Value, columns: &[CaptureObject], period_s: u32) -> (Vec<Row>, usize) {
    let unpacked;
    let listed = match buffer {
        Value::CompactArray(array) => {
            let Ok(rows) = array.rows() else { return (Vec::new(), 1) };
            unpacked = rows;
            unpacked.as_slice()
        }
        other => other.as_elements().unwrap_or_default(),
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
            if *value == Value::Null
                && Some(place) != clock
                && let Some(kept) = before.and_then(|row| row.values.get(place))
            {
                *value = kept.clone();
            }
        }
        let sent = clock.and_then(|place| values.get(place)).and_then(Value::as_date_time);
        let filled = || before?.time.and_then(|time| later(time, period_s));
        let time = sent.or_else(|| clock.and_then(|_| filled()));
        rows.push(Row { time, time_filled: sent.is_none() && time.is_some(), values });
    }
    (rows, odd)
}

/// So many seconds later, under the same deviation.
fn later(time: DateTime, seconds: u32) -> Option<DateTime> {
    let deviation = time.deviation_minutes().unwrap_or(0);
    let local = time.local_ms()?.div_euclid(1000).checked_add(i64::from(deviation) * 60)?;
    let moved = DateTime::from_unix_s(local.checked_add(i64::from(seconds))?, deviation)?;
    Some(DateTime { deviation: time.deviation, status: time.status, ..moved })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

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
