//! The rows of a load profile: by time, else by number, else all of them; told oldest first, however the meter sorts.

use super::{By, Round, Step};
use crate::apdu::{AttributeDescriptor, DataAccessResult, SelectiveAccess};
use crate::axdr::{DateTime, Value};
use crate::client::conversation::Request;
use crate::object::{CaptureObject, Row, SortMethod, class, rows_in_order};
use alloc::vec::Vec;

/// Rows that are asked for in one question.
const ROWS_AT_ONCE: u32 = 2_880;
/// Rows that are fetched in one round; the next round goes on.
const ROWS_PER_ROUND_MAX: usize = 12_000;
/// Rows that are asked for by number, or in one piece: a year of quarter hours.
const ROWS_BY_NUMBER_MAX: u32 = 36_000;

impl Round {
    /// The next question for rows, if there is one.
    pub(super) fn rows_request(&mut self) -> Option<Request> {
        let profile = self.wish.profile.filter(|_| !self.model.columns.is_empty() && !self.ended)?;
        let buffer = AttributeDescriptor::new(class::PROFILE, profile.instance, 2);
        let period = i64::from(self.model.period_s.max(1));
        match self.by {
            By::All => return Some(Request::Get(buffer, None)),
            By::Number => {
                let rows = profile.until_unix_s.saturating_sub(self.from_unix_s) / period + 2;
                let rows = u32::try_from(rows).unwrap_or(u32::MAX).min(ROWS_BY_NUMBER_MAX);
                let entries = Some(self.entries).filter(|entries| *entries > 0)?;
                let (first, last) = match self.sort_method() {
                    SortMethod::FIFO => (entries.saturating_sub(rows).saturating_add(1).max(1), entries),
                    SortMethod::LIFO => (1, rows.min(entries)),
                    // Sorted by a number, the new ones may be anywhere.
                    _ => (1, entries.min(ROWS_BY_NUMBER_MAX)),
                };
                return Some(Request::Get(buffer, Some(SelectiveAccess::entries(first, last, 1, 0))));
            }
            By::Time => {}
        }
        if self.from_unix_s > profile.until_unix_s || self.report.rows.len() >= ROWS_PER_ROUND_MAX {
            return None;
        }
        let chunk = period.saturating_mul(ROWS_AT_ONCE.into());
        self.to_unix_s = self.from_unix_s.saturating_add(chunk).saturating_sub(1).min(profile.until_unix_s);
        let clock = self.model.columns.iter().map(|column| column.object).find(CaptureObject::is_clock);
        // A profile without a column of the clock is sorted by it all the same.
        let clock = clock.map_or(AttributeDescriptor::new(class::CLOCK, super::CLOCK, 2), |column| column.attribute);
        let deviation = self.report.clock.and_then(DateTime::deviation_minutes).unwrap_or(0);
        let octets = |unix_s| {
            let time = DateTime::from_unix_s(unix_s, deviation)?;
            Some(Value::OctetString(time.to_bytes().to_vec()))
        };
        let (from, to) = (octets(self.from_unix_s)?, octets(self.to_unix_s)?);
        Some(Request::Get(buffer, Some(SelectiveAccess::range(clock, from, to, &[]))))
    }

    pub(super) fn take_rows(&mut self, result: Result<Value, DataAccessResult>) {
        match result {
            Ok(buffer) => {
                let columns: Vec<CaptureObject> = self.model.columns.iter().map(|column| column.object).collect();
                let (mut rows, odd) = rows_in_order(&buffer, &columns, self.model.period_s, self.sort_method());
                match self.sort_method() {
                    SortMethod::FIFO => {}
                    SortMethod::LIFO => rows.reverse(),
                    _ => rows.sort_by_key(row_time_ms),
                }
                self.report.odd_rows = self.report.odd_rows.saturating_add(odd);
                self.keep_new(rows);
                let until = self.wish.profile.map_or(self.to_unix_s, |profile| profile.until_unix_s);
                let reached = if self.by == By::Time { self.to_unix_s } else { until };
                self.report.complete_until_unix_s = Some(reached);
                self.from_unix_s = reached.saturating_add(1);
                self.ended = self.by != By::Time;
                self.steps.push_front(Step::Rows);
            }
            // No selection by range: by number, then.
            Err(_) if self.by == By::Time && self.report.rows.is_empty() => self.steps.push_front(Step::Entries),
            // Not even by number: all of it, where that is not too much.
            Err(_) if self.by == By::Number && self.entries <= ROWS_BY_NUMBER_MAX => {
                self.by = By::All;
                self.steps.push_front(Step::Rows);
            }
            Err(error) => self.report.profile_error = Some(error),
        }
    }

    /// Keeps the rows that were asked for. A meter may give more: what is known already is not told twice, what has no
    /// time has no place in a profile, and what lies in the future was not asked for, whoever dated it.
    fn keep_new(&mut self, rows: Vec<Row>) {
        let wish = self.wish.profile;
        let after_ms = wish.map_or(i64::MIN, |profile| profile.after_unix_s.saturating_mul(1000));
        let until_ms = wish.map_or(i64::MAX, |profile| profile.until_unix_s.saturating_mul(1000).saturating_add(999));
        for row in rows {
            match row_time_ms(&row) {
                Some(time) if time <= after_ms => {}
                Some(time) if time <= until_ms && self.report.rows.len() < ROWS_PER_ROUND_MAX => {
                    // A time may come twice, at the end of summer; a row may not.
                    let places = self.seen.entry(time).or_default();
                    if places.iter().any(|place| self.report.rows.get(*place) == Some(&row)) {
                        self.report.refused_rows = self.report.refused_rows.saturating_add(1);
                        continue;
                    }
                    places.push(self.report.rows.len());
                    self.report.rows.push(row);
                }
                _ => self.report.refused_rows = self.report.refused_rows.saturating_add(1),
            }
        }
    }

    fn sort_method(&self) -> SortMethod {
        self.model.sort_method.unwrap_or(SortMethod::FIFO)
    }
}

/// When a row was captured, Unix milliseconds; by the meter's local time where its deviation is not known.
fn row_time_ms(row: &Row) -> Option<i64> {
    row.time.and_then(|time| time.unix_ms().or_else(|| time.local_ms()))
}
