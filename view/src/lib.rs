//! Entries as JSON for people and programs that only want the numbers. Unsigned; each names the signed
//! original by sequence number and hash.
//!
//! The one dialect: what the gateway publishes and shows, and what the hub shows of its archive. Decimals
//! are strings, times RFC 3339 in UTC with milliseconds, media have their name and their code.

mod transaction;

use std::fmt::Display;

use plomb_seal::{Body, Clock, Entry, Meter, Name, Obis, Reading, Record, Signed, Value, topic};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

pub use transaction::statement;

/// The schema of a reading.
pub const READING_SCHEMA: &str = "plomb.reading/1";
/// The schema of an absence or an event.
pub const EVENT_SCHEMA: &str = "plomb.event/1";
/// The schema of a point's description.
pub const INFO_SCHEMA: &str = "plomb.info/1";

/// What subscribers get for an entry: topic and document. Events of the gateway itself have no point.
pub fn publication(signed: &Signed<Entry>, historical: bool) -> Option<(String, Json)> {
    let entry = signed.statement();
    let link = entry.body.link()?;
    let topic = match &entry.body {
        Body::Record(..) => topic::reading(&entry.gateway, &link.point),
        _ => topic::event(&entry.gateway, &link.point),
    };
    let mut document = document(signed);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("historical".into(), historical.into());
    }
    Some((topic, document))
}

/// An entry as a JSON document.
pub fn document(signed: &Signed<Entry>) -> Json {
    let entry = signed.statement();
    let head = json!({
        "gateway": entry.gateway.as_str(),
        "epoch": entry.epoch,
        "seq": entry.seq,
        "hash": signed.hash().to_string(),
        "time": rfc3339(entry.stamp.unix_ms),
        "clock": state_name(entry.stamp.clock),
    });
    let body = match &entry.body {
        Body::Record(link, record) => {
            let head = json!({ "schema": READING_SCHEMA, "point": link.point.as_str(), "point_seq": link.seq });
            joined(head, record_fields(record))
        }
        Body::Absent(link, absent) => json!({
            "schema": EVENT_SCHEMA,
            "event": "absent",
            "point": link.point.as_str(),
            "point_seq": link.seq,
            "due": rfc3339(absent.due_ms),
            "reason": absent.reason.name(),
            "detail": absent.detail,
        }),
        Body::Event(event) => {
            let details: serde_json::Map<String, Json> =
                event.details.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            json!({ "schema": EVENT_SCHEMA, "event": event.name, "details": details })
        }
    };
    joined(head, body)
}

/// Two objects as one.
pub fn joined(head: Json, body: Json) -> Json {
    match (head, body) {
        (Json::Object(mut fields), Json::Object(more)) => {
            fields.extend(more);
            Json::Object(fields)
        }
        (head, _) => head,
    }
}

/// Which meter stands at a point: retained for subscribers.
pub fn info(gateway: &Name, point: &Name, record: &Record) -> (String, Json) {
    let document = json!({
        "schema": INFO_SCHEMA,
        "gateway": gateway.as_str(),
        "point": point.as_str(),
        "meter": MeterView::of(&record.meter),
    });
    (topic::info(gateway, point), document)
}

/// The fields of a record: meter, status and readings in the meter's order. Decimals are strings.
pub fn record_fields(record: &Record) -> Json {
    serde_json::to_value(RecordView::of(record)).unwrap_or_default()
}

/// A record as it is shown. The same for everybody who shows one; made without copying the readings.
#[derive(Serialize)]
pub struct RecordView<'a> {
    meter: MeterView<'a>,
    meter_time: Option<&'a str>,
    status: &'a [String],
    #[serde(serialize_with = "each_reading")]
    records: &'a [Reading],
}

#[derive(Serialize)]
struct MeterView<'a> {
    protocol: &'a str,
    id: &'a str,
    manufacturer: &'a str,
    version: u8,
    medium: &'static str,
    medium_code: u8,
}

#[derive(Serialize)]
struct ReadingView<'a> {
    obis: Option<Shown<Obis>>,
    value: Option<Shown<&'a Value>>,
    r#type: &'static str,
    unit: &'a str,
    quantity: &'a str,
    function: &'static str,
    storage: u64,
    tariff: u32,
    subunit: u32,
    time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    flags: &'a [String],
}

/// Serialised as the text that it is displayed as.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'a> RecordView<'a> {
    /// The view of a record.
    pub fn of(record: &'a Record) -> Self {
        Self {
            meter: MeterView::of(&record.meter),
            meter_time: record.meter_time.as_deref(),
            status: &record.status,
            records: &record.readings,
        }
    }
}

impl<'a> MeterView<'a> {
    fn of(meter: &'a Meter) -> Self {
        Self {
            protocol: &meter.protocol,
            id: &meter.id,
            manufacturer: &meter.manufacturer,
            version: meter.version,
            medium: plomb_mbus::Medium(meter.medium).name(),
            medium_code: meter.medium,
        }
    }
}

impl<'a> ReadingView<'a> {
    fn of(reading: &'a Reading) -> Self {
        let (kind, value, raw) = match &reading.value {
            Value::Invalid(bytes) => ("invalid", None, Some(hex::encode(bytes))),
            value @ Value::Number(_) => ("number", Some(Shown(value)), None),
            value @ Value::Text(_) => ("text", Some(Shown(value)), None),
            value @ Value::Civil(_) => ("time", Some(Shown(value)), None),
            value @ Value::Bytes(_) => ("bytes", Some(Shown(value)), None),
        };
        Self {
            obis: reading.obis.map(Shown),
            value,
            r#type: kind,
            unit: &reading.unit,
            quantity: &reading.quantity,
            function: reading.function.name(),
            storage: reading.storage,
            tariff: reading.tariff,
            subunit: reading.subunit,
            time: reading.time.as_deref(),
            raw,
            flags: &reading.flags,
        }
    }
}

fn each_reading<S: Serializer>(readings: &&[Reading], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(readings.iter().map(ReadingView::of))
}

/// How a clock state reads.
pub fn state_name(state: Clock) -> &'static str {
    match state {
        Clock::Unset => "unset",
        Clock::Synced { .. } => "synced",
        Clock::Holdover { .. } => "holdover",
    }
}

/// RFC 3339 in UTC with three fractional digits, from Unix milliseconds.
pub fn rfc3339(unix_ms: i64) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| format!("{unix_ms} ms"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_fractional_digits_whatever_they_are() {
        assert_eq!(rfc3339(1_780_000_000_000), "2026-05-28T20:26:40.000Z");
        assert_eq!(rfc3339(1_780_000_000_120), "2026-05-28T20:26:40.120Z");
        assert_eq!(rfc3339(i64::MAX), format!("{} ms", i64::MAX), "no time is no error");
    }
}
