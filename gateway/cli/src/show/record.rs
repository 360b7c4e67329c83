//! Records and entries as text, from their JSON.

use serde_json::Value;

use super::{Table, Zone, one_line};

/// The most readings of a record on one line.
const TELLING_MAX: usize = 3;

/// A record as a text: the meter, its status, and a table of its readings.
pub(crate) fn record(document: &Value) -> Vec<String> {
    let mut lines = vec![heading(document)];
    let mut table = Table::new(&[
        "OBIS", ">value", "unit", "quantity", "function", ">storage", ">tariff", ">subunit", "time", "notes",
    ]);
    for reading in list(document, "records") {
        let some = |key: &str| Some(number(reading, key)).filter(|text| text != "0").unwrap_or_default();
        let function = Some(text(reading, "function")).filter(|name| *name != "instantaneous").unwrap_or_default();
        table.row([
            text(reading, "obis").to_string(),
            value(reading),
            text(reading, "unit").to_string(),
            text(reading, "quantity").to_string(),
            function.to_string(),
            some("storage"),
            some("tariff"),
            some("subunit"),
            text(reading, "time").to_string(),
            words(reading, "flags"),
        ]);
    }
    lines.extend(table.lines().into_iter().map(|line| format!("  {line}")));
    lines
}

fn heading(document: &Value) -> String {
    let meter = document.get("meter").unwrap_or(&Value::Null);
    let mut heading = vec![text(meter, "protocol").to_string()];
    heading.extend(["id", "manufacturer"].map(|key| text(meter, key).to_string()));
    heading.push(format!("version {}", number(meter, "version")));
    heading.push(text(meter, "medium").to_string());
    heading.retain(|word| !word.is_empty());
    let mut heading = heading.join("  ");
    for (title, words) in [("time", text(document, "meter_time").to_string()), ("status", words(document, "status"))] {
        if !words.is_empty() {
            heading.push_str(&format!("  {title}: {words}"));
        }
    }
    one_line(&heading)
}

/// The readings of a record that tell most: those with an OBIS code, or else the first.
fn telling(document: &Value) -> Vec<String> {
    let readings = list(document, "records");
    let coded =
        readings.iter().filter(|reading| !text(reading, "obis").is_empty() && !text(reading, "unit").is_empty());
    let mut told: Vec<&Value> = coded.take(TELLING_MAX).collect();
    if told.is_empty() {
        told.extend(readings.iter().take(TELLING_MAX));
    }
    let one = |reading: &&Value| {
        let name = Some(text(reading, "obis")).filter(|obis| !obis.is_empty()).unwrap_or(text(reading, "quantity"));
        one_line(format!("{name} {} {}", value(reading), text(reading, "unit")).trim_end())
    };
    told.iter().map(one).collect()
}

/// An entry on one line: when, where, and what.
pub(crate) fn line(document: &Value, zone: Zone) -> String {
    let point = Some(text(document, "point")).filter(|point| !point.is_empty()).unwrap_or("(gateway)");
    let what = match text(document, "event") {
        "" => telling(document).join(", "),
        "absent" => format!("ABSENT {}: {}", text(document, "reason"), text(document, "detail")),
        event => {
            let details = document.get("details").and_then(Value::as_object).into_iter().flatten();
            let details: Vec<String> =
                details.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
            format!("{event} {}", details.join(" "))
        }
    };
    let time = zone.text(text(document, "time"));
    one_line(format!("{time}  #{:<6} {point:<20} {what}", number(document, "seq")).trim_end())
}

fn value(reading: &Value) -> String {
    match reading.get("value").and_then(Value::as_str) {
        Some(value) => value.to_string(),
        None => format!("invalid ({})", text(reading, "raw")),
    }
}

fn text<'a>(document: &'a Value, key: &str) -> &'a str {
    document.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(document: &Value, key: &str) -> String {
    document.get(key).map(ToString::to_string).unwrap_or_default()
}

fn list<'a>(document: &'a Value, key: &str) -> &'a [Value] {
    document.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn words(document: &Value, key: &str) -> String {
    list(document, key).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_a_heading_and_a_table() {
        let document = json!({
            "meter": { "protocol": "mbus", "id": "12345678", "manufacturer": "ACW", "version": 14, "medium": "cold water" },
            "meter_time": null, "status": ["power low"],
            "records": [
                { "obis": "8-0:1.0.0*255", "value": "54.321", "unit": "m3", "quantity": "volume",
                  "function": "instantaneous", "storage": 0, "tariff": 0, "subunit": 0, "time": null },
                { "obis": null, "value": null, "raw": "ff", "unit": "m3/h", "quantity": "flow\u{1b}",
                  "function": "maximum", "storage": 2, "tariff": 0, "subunit": 0, "time": null, "flags": ["no number"] },
            ],
        });
        assert_eq!(
            record(&document),
            [
                "mbus  12345678  ACW  version 14  cold water  status: power low",
                "  OBIS                  value  unit  quantity    function  storage  notes",
                "  8-0:1.0.0*255        54.321  m3    volume",
                "                 invalid (ff)  m3/h  flow\\u{1b}  maximum         2  no number",
            ]
        );
        assert_eq!(telling(&document), ["8-0:1.0.0*255 54.321 m3"]);
    }

    #[test]
    fn an_entry_is_a_line() {
        let absent = json!({
            "time": "2026-11-23T08:42:05.000Z", "seq": 7, "point": "cellar", "event": "absent",
            "reason": "timeout", "detail": "no answer\n",
        });
        assert!(line(&absent, Zone::local()).ends_with("#7      cellar               ABSENT timeout: no answer"));
        let event = json!({ "time": "x", "seq": 0, "event": "start", "details": { "version": "1" } });
        assert_eq!(line(&event, Zone::local()), "x  #0      (gateway)            start version=1");
    }
}
