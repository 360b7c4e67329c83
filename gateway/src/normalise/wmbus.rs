//! Wireless M-Bus telegrams, opened, to records.

use plomb_mbus::{Medium, MeterId, RecordError, Records};
use plomb_profiles::{Library, Memory, ReadError};
use plomb_seal::{
    Decimal, Function, Hash, Meter, Reading, Record, Value,
    reading::{READINGS_MAX, TEXT_BYTES_MAX},
};
use plomb_wmbus::{Application, CompactError, Content, Key, Opened, Telegram, Upper};

use super::records::{Told, add, readings, words};

/// The driver's name and version, as records state it.
pub const DRIVER: &str = concat!("wmbus ", env!("CARGO_PKG_VERSION"));

/// Why an opened telegram gives no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NormaliseError {
    /// The meter's own coding, of which no profile is known.
    #[error(
        "{manufacturer} sends values of its own coding (CI {ci:02x}); no profile reads meter {manufacturer} version {version:02x}, medium {medium:02x}"
    )]
    Unsupported {
        /// The manufacturer's three letters.
        manufacturer: String,
        /// The meter's version.
        version: u8,
        /// Its medium's code.
        medium: u8,
        /// The telegram's CI field.
        ci: u8,
    },
    /// The model encrypts in its own way and no key is at hand.
    #[error("{0}")]
    KeyMissing(String),
    /// The profile does not fit the telegram.
    #[error("{0}")]
    Model(String),
    /// A compact frame whose format was not heard yet.
    #[error("a compact frame: {0}")]
    Compact(CompactError),
    /// The telegram holds no values at all.
    #[error("the telegram holds no values ({0})")]
    NoValues(&'static str),
}

impl NormaliseError {
    /// A short word for the kind of error, stable for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } => "unsupported",
            Self::KeyMissing(_) => "key missing",
            Self::Model(_) => "model",
            Self::Compact(_) => "format unknown",
            Self::NoValues(_) => "no values",
        }
    }
}

/// What helps to read a telegram: the model's profile, the meter's key, and memory that is used again.
#[derive(Debug)]
pub struct Aids<'a> {
    /// The models that are known.
    pub library: &'a Library,
    /// The meter's key, for models that encrypt in their own way.
    pub key: Option<&'a Key>,
    /// Used again from telegram to telegram.
    pub memory: &'a mut Memory,
}

/// What an opened telegram says, and why its records end early if they do.
///
/// `frame` is the telegram as it was received; `rssi_dbm` how strong it was.
pub fn record(
    opened: &Opened<'_>,
    frame: &[u8],
    rssi_dbm: Option<i16>,
    aids: Aids<'_>,
) -> Result<(Record, Option<RecordError>), NormaliseError> {
    let (mut told, error) = match opened.content {
        Content::Records(records) if replaced(aids.library, opened.meter, records) => {
            (Told::nothing(opened.clear_at), None)
        }
        Content::Records(records) => {
            let (mut good, mut error) = (Vec::new(), None);
            for one in records {
                match one {
                    Ok(one) => good.push(one),
                    Err(why) => error = Some(why),
                }
            }
            (readings(&good, opened.meter.medium, opened.clear_at).with_places(&good), error)
        }
        Content::Manufacturer(_) => (Told::nothing(opened.clear_at), None),
        Content::Compact(_, error) => return Err(NormaliseError::Compact(error)),
        Content::Format(_) => return Err(NormaliseError::NoValues("a format frame")),
        Content::Empty => return Err(NormaliseError::NoValues("the meter only shows that it is there")),
        Content::Other { .. } => return Err(NormaliseError::NoValues("an error, an alarm or an unknown application")),
    };
    let own = if let Content::Manufacturer(payload) = opened.content { Some(payload.ci) } else { None };
    let mut status = words(opened.status);
    if opened.clear_at.is_some() {
        add(&mut status, "partly in clear".into());
    }
    let Aids { library, key, memory } = aids;
    let profile = match library.apply(opened.meter, &opened.content, key, memory, |named| told.name(named)) {
        Ok(profile) => profile.map(|profile| format!("{} {}", profile.name, profile.version)),
        Err(error) if matches!(opened.content, Content::Manufacturer(_)) => {
            return Err(own_coding(opened.meter, &error));
        }
        Err(error) => {
            // The standard's records are good all the same.
            add(&mut status, format!("manufacturer's part: {error}"));
            None
        }
    };
    if let Some(error) = error {
        add(&mut status, format!("telegram incomplete: {error}"));
    }
    let Told { mut readings, meter_time, .. } = told;
    if readings.len() >= READINGS_MAX {
        readings.truncate(READINGS_MAX - 1);
        add(&mut status, format!("cut to {READINGS_MAX} readings"));
    }
    readings.extend(rssi_dbm.map(signal_strength));
    let record = Record {
        meter: meter(library.identity(opened.meter, own)),
        readings,
        meter_time,
        status,
        frames: vec![Hash::of(frame)],
        driver: DRIVER.into(),
        profile,
    };
    Ok((record, error))
}

fn replaced(library: &Library, meter: MeterId, records: Records<'_>) -> bool {
    library.find(meter, None).is_some_and(|profile| profile.replaces_records(meter.version, records.rest()))
}

/// The CI of a payload in the maker's own coding, as profiles are found by; `None` where there are records.
pub fn own_ci(telegram: &Telegram<'_>) -> Option<u8> {
    match telegram.upper {
        Upper::Message { transport, .. } if transport.application() == Application::Manufacturer => Some(transport.ci),
        _ => None,
    }
}

fn own_coding(meter: MeterId, error: &ReadError) -> NormaliseError {
    let Medium(medium) = meter.medium;
    match error {
        ReadError::Unsupported { manufacturer, ci } => NormaliseError::Unsupported {
            manufacturer: manufacturer.to_string(),
            version: meter.version,
            medium,
            ci: *ci,
        },
        ReadError::KeyMissing { .. } => NormaliseError::KeyMissing(error.to_string()),
        _ => NormaliseError::Model(error.to_string()),
    }
}

/// The meter as records name it.
pub fn meter(meter: MeterId) -> Meter {
    Meter {
        protocol: "wmbus".into(),
        id: meter.id.to_string(),
        manufacturer: meter.manufacturer.to_string(),
        version: meter.version,
        medium: meter.medium.0,
    }
}

/// What the receiver adds: it says so, as the meter did not.
fn signal_strength(dbm: i16) -> Reading {
    Reading {
        obis: None,
        value: Value::Number(Decimal { mantissa: dbm.into(), exponent: 0 }),
        unit: "dBm".into(),
        quantity: "received signal strength".into(),
        function: Function::Instantaneous,
        storage: 0,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: vec!["by the receiver".into()],
    }
}

const _: () = assert!(READINGS_MAX > 1 && TEXT_BYTES_MAX >= 128);
