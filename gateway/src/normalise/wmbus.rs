//! Wireless M-Bus telegrams, opened, to records.

use plomb_mbus::{Medium, MeterId, RecordError};
use plomb_seal::{
    Decimal, Function, Hash, Meter, Reading, Record, Value,
    reading::{READINGS_MAX, TEXT_BYTES_MAX},
};
use plomb_wmbus::{CompactError, Content, Opened};

use super::records::{add, readings, words};

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
            Self::Compact(_) => "format unknown",
            Self::NoValues(_) => "no values",
        }
    }
}

/// What an opened telegram says, and why its records end early if they do.
///
/// `frame` is the telegram as it was received; `rssi_dbm` how strong it was.
pub fn record(
    opened: &Opened<'_>,
    frame: &[u8],
    rssi_dbm: Option<i16>,
) -> Result<(Record, Option<RecordError>), NormaliseError> {
    let said = match opened.content {
        Content::Records(records) => records,
        Content::Manufacturer(payload) => return Err(unsupported(opened.meter, payload.ci)),
        Content::Compact(_, error) => return Err(NormaliseError::Compact(error)),
        Content::Format(_) => return Err(NormaliseError::NoValues("a format frame")),
        Content::Empty => return Err(NormaliseError::NoValues("the meter only shows that it is there")),
        Content::Other { .. } => return Err(NormaliseError::NoValues("an error, an alarm or an unknown application")),
    };
    let (mut good, mut error) = (Vec::new(), None);
    for one in said {
        match one {
            Ok(one) => good.push(one),
            Err(why) => error = Some(why),
        }
    }
    let (mut readings, meter_time) = readings(&good, opened.meter.medium);
    let mut status = words(opened.status);
    if let Some(error) = error {
        add(&mut status, format!("telegram incomplete: {error}"));
    }
    if readings.len() >= READINGS_MAX {
        readings.truncate(READINGS_MAX - 1);
        add(&mut status, format!("cut to {READINGS_MAX} readings"));
    }
    readings.extend(rssi_dbm.map(signal_strength));
    let record = Record {
        meter: meter(opened.meter),
        readings,
        meter_time,
        status,
        frames: vec![Hash::of(frame)],
        driver: DRIVER.into(),
        profile: None,
    };
    Ok((record, error))
}

fn unsupported(meter: MeterId, ci: u8) -> NormaliseError {
    let Medium(medium) = meter.medium;
    NormaliseError::Unsupported { manufacturer: meter.manufacturer.to_string(), version: meter.version, medium, ci }
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
