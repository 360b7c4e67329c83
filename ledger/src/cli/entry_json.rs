//! An archived entry as JSON, for people and programs that only want to look.

use plomb_seal::{
    Body, Clock, Entry, Hash, Meter, Reading, Record, Value as Measured,
    entry::{Absent, Event, Link},
};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const SCHEMA: &str = "plomb-entry/1";

/// One entry.
pub(super) fn entry(entry: &Entry, hash: Hash) -> Value {
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    set("schema", SCHEMA.into());
    set("gateway", entry.gateway.as_str().into());
    set("epoch", entry.epoch.into());
    set("seq", entry.seq.into());
    set("hash", hash.to_string().into());
    set("time", rfc3339(entry.stamp.unix_ms).into());
    set("clock", clock(entry.stamp.clock));
    match &entry.body {
        Body::Record(link, record) => {
            set("kind", "record".into());
            point(link, &mut out);
            self::record(record, &mut out);
        }
        Body::Absent(link, absent) => {
            set("kind", "absent".into());
            point(link, &mut out);
            self::absent(absent, &mut out);
        }
        Body::Event(event) => {
            set("kind", "event".into());
            set("point", Value::Null);
            self::event(event, &mut out);
        }
    }
    Value::Object(out)
}

/// A time as RFC 3339, UTC, with milliseconds as far as there are any.
pub(super) fn rfc3339(unix_ms: i64) -> String {
    let nanos = i128::from(unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| format!("{unix_ms} ms"))
}

fn clock(clock: Clock) -> Value {
    match clock {
        Clock::Unset => json!({ "state": "unset" }),
        Clock::Synced { error_ms } => json!({ "state": "synced", "error_ms": error_ms }),
        Clock::Holdover { since_ms } => json!({ "state": "holdover", "since": rfc3339(since_ms) }),
    }
}

fn point(link: &Link, out: &mut Map<String, Value>) {
    out.insert("point".into(), link.point.as_str().into());
    out.insert("point_seq".into(), link.seq.into());
}

fn record(record: &Record, out: &mut Map<String, Value>) {
    let Meter { protocol, id, manufacturer, version, medium } = &record.meter;
    out.insert(
        "meter".into(),
        json!({
            "protocol": protocol, "id": id, "manufacturer": manufacturer, "version": version, "medium": medium,
        }),
    );
    out.insert("meter_time".into(), json!(record.meter_time));
    out.insert("status".into(), json!(record.status));
    out.insert("readings".into(), record.readings.iter().map(reading).collect());
    out.insert("frames".into(), record.frames.iter().map(ToString::to_string).collect());
    out.insert("driver".into(), json!(record.driver));
    out.insert("profile".into(), json!(record.profile));
}

fn reading(reading: &Reading) -> Value {
    let kind = match &reading.value {
        Measured::Number(_) => "number",
        Measured::Text(_) => "text",
        Measured::Civil(_) => "civil",
        Measured::Bytes(_) => "bytes",
        Measured::Invalid(_) => "invalid",
    };
    json!({
        "obis": reading.obis.map(|obis| obis.to_string()),
        "value": reading.value.to_string(), "type": kind,
        "unit": reading.unit, "quantity": reading.quantity, "function": reading.function.name(),
        "storage": reading.storage, "tariff": reading.tariff, "subunit": reading.subunit,
        "time": reading.time, "flags": reading.flags,
    })
}

fn absent(absent: &Absent, out: &mut Map<String, Value>) {
    out.insert("due".into(), rfc3339(absent.due_ms).into());
    out.insert("reason".into(), absent.reason.name().into());
    out.insert("detail".into(), json!(absent.detail));
}

fn event(event: &Event, out: &mut Map<String, Value>) {
    out.insert("event".into(), json!(event.name));
    let details: Vec<Value> =
        event.details.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    out.insert("details".into(), details.into());
}
