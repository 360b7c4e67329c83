//! How open enrolments outlive the hub's process: one JSON file, written anew at each change.

use plomb_seal::enrol::Request;
use serde::{Deserialize, Serialize};

use super::book::{Book, Enrolment, Step};

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema: String,
    enrolments: Vec<One>,
}

const SCHEMA: &str = "plomb.hub-enrolments/1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    request: String,
    hub_nonce: String,
    gateway_nonce: String,
    peer: String,
    begun_ms: i64,
    claims_wrong: u32,
    step: Step,
}

/// The file's text. Those that have not told their nonce are not kept: they begin again.
pub(super) fn write(book: &Book) -> String {
    let one = |enrolment: &Enrolment| {
        Some(One {
            request: hex::encode(&enrolment.request),
            hub_nonce: hex::encode(enrolment.hub_nonce),
            gateway_nonce: hex::encode(enrolment.gateway_nonce?),
            peer: enrolment.peer.clone(),
            begun_ms: enrolment.begun_ms,
            claims_wrong: enrolment.claims_wrong,
            step: enrolment.step.clone(),
        })
    };
    let kept = Kept { schema: SCHEMA.into(), enrolments: book.all().iter().filter_map(one).collect() };
    // Strings and numbers always have a JSON.
    serde_json::to_string_pretty(&kept).unwrap_or_default()
}

/// From the file's text.
pub(super) fn read(text: &str) -> Result<Book, String> {
    let kept: Kept = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if kept.schema != SCHEMA {
        return Err(format!("its schema is {}, not {SCHEMA}", kept.schema));
    }
    let bytes = |text: &str| hex::decode(text).map_err(|error| error.to_string());
    let nonce = |text: &str| {
        let mut nonce = [0; 32];
        hex::decode_to_slice(text, &mut nonce).map(|()| nonce).map_err(|error| error.to_string())
    };
    let enrolment = |one: One| -> Result<Enrolment, String> {
        let request = bytes(&one.request)?;
        Ok(Enrolment {
            asked: Request::open(&request).map_err(|error| error.to_string())?,
            request,
            hub_nonce: nonce(&one.hub_nonce)?,
            gateway_nonce: Some(nonce(&one.gateway_nonce)?),
            peer: one.peer,
            begun_ms: one.begun_ms,
            claims_wrong: one.claims_wrong,
            step: one.step,
        })
    };
    kept.enrolments.into_iter().map(enrolment).collect::<Result<_, _>>().map(Book::of)
}
