//! What a meter said, normalised: readings and the record that holds those of one answer.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use crate::{
    Decimal, Hash, Malformed,
    cbor::{Decoder, Encoder},
};

/// The most readings in one record.
pub const READINGS_MAX: usize = 512;
/// The most raw frames that one record may be made from.
pub const FRAMES_MAX: usize = 32;
/// The most status words of a meter in one record.
pub const STATUS_WORDS_MAX: usize = 32;
/// The most flags of one reading.
pub const FLAGS_MAX: usize = 32;
/// The longest text in a record, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

/// An OBIS code (IEC 62056-61): value groups A to F.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Obis(pub [u8; 6]);

/// `A-B:C.D.E*F`
impl fmt::Display for Obis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        f.pad(&alloc::format!("{a}-{b}:{c}.{d}.{e}*{last}"))
    }
}

impl FromStr for Obis {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut groups = [0; 6];
        let mut parts = text.split(['-', ':', '.', '*']);
        for group in &mut groups {
            *group = parts.next().and_then(|part| part.parse().ok()).ok_or(())?;
        }
        let code = Self(groups);
        if parts.next().is_none() && alloc::format!("{code}") == text { Ok(code) } else { Err(()) }
    }
}

/// Which meter gave a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// The protocol it was read by: `mbus`, `wmbus`, `dlms`, `modbus`.
    pub protocol: String,
    /// Its identification, as it names itself.
    pub id: String,
    /// Its manufacturer, three letters (FLAG id), or empty.
    pub manufacturer: String,
    /// Its version (generation).
    pub version: u8,
    /// Its medium, by the code of EN 13757-7 table 13.
    pub medium: u8,
}

/// What stands behind a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The value at the moment of reading.
    Instantaneous,
    /// The largest of a period.
    Maximum,
    /// The smallest of a period.
    Minimum,
    /// The value while the meter was in an error state.
    Error,
}

/// A value, exactly as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(Decimal),
    /// A text.
    Text(String),
    /// A date or time in the meter's own calendar, ISO 8601 without a zone.
    Civil(String),
    /// Bytes that carry no meaning known here.
    Bytes(Vec<u8>),
    /// The meter says that it has no valid value; what it sent instead.
    Invalid(Vec<u8>),
}

/// One value of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What is measured; `None` where the standard has no code for it.
    pub obis: Option<Obis>,
    /// The value.
    pub value: Value,
    /// The unit as the meter sent it, its power of ten folded into the value's exponent; empty if it has none.
    pub unit: String,
    /// The kind of quantity in words: `energy`, `volume`, …
    pub quantity: String,
    /// Momentary, maximum, minimum or in error.
    pub function: Function,
    /// The storage number: 0 is now, higher are earlier fixings.
    pub storage: u64,
    /// The tariff: 0 is the total.
    pub tariff: u32,
    /// The subunit (device within the meter).
    pub subunit: u32,
    /// When the meter says the value held, ISO 8601 without a zone.
    pub time: Option<String>,
    /// What else the meter said of this value: limits, directions, record errors.
    pub flags: Vec<String>,
}

/// One answer of one meter, normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which meter.
    pub meter: Meter,
    /// Its readings, in the order in which it sent them.
    pub readings: Vec<Reading>,
    /// The meter's own clock at the reading, ISO 8601 without a zone.
    pub meter_time: Option<String>,
    /// The meter's status in words; empty if all is well.
    pub status: Vec<String>,
    /// SHA-256 of each raw frame that the record was made from.
    pub frames: Vec<Hash>,
    /// The driver and its version: `mbus 0.1.0`.
    pub driver: String,
    /// The profile and its version, if one was used.
    pub profile: Option<String>,
}

impl Record {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.array(7);
        self.meter.encode(out);
        out.array(self.readings.len());
        self.readings.iter().for_each(|reading| reading.encode(out));
        out.optional(self.meter_time.as_deref(), |out, time| {
            out.text(time);
        });
        encode_texts(&self.status, out);
        out.array(self.frames.len());
        self.frames.iter().for_each(|hash| {
            out.hash(hash);
        });
        out.text(&self.driver);
        out.optional(self.profile.as_deref(), |out, profile| {
            out.text(profile);
        });
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(7)?;
        let meter = Meter::decode(from)?;
        let count = from.array("a record's list of readings", READINGS_MAX)?;
        let readings = (0..count).map(|_| Reading::decode(from)).collect::<Result<_, _>>()?;
        let meter_time = from.optional(text)?;
        let status = decode_texts("a meter's list of status words", STATUS_WORDS_MAX, from)?;
        let count = from.array("a record's list of frames", FRAMES_MAX)?;
        let frames = (0..count).map(|_| from.hash()).collect::<Result<_, _>>()?;
        Ok(Self { meter, readings, meter_time, status, frames, driver: text(from)?, profile: from.optional(text)? })
    }
}

impl Meter {
    fn encode(&self, out: &mut Encoder) {
        out.array(5).text(&self.protocol).text(&self.id).text(&self.manufacturer);
        out.unsigned(self.version.into()).unsigned(self.medium.into());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(5)?;
        Ok(Self {
            protocol: text(from)?,
            id: text(from)?,
            manufacturer: text(from)?,
            version: from.unsigned8()?,
            medium: from.unsigned8()?,
        })
    }
}

impl Reading {
    fn encode(&self, out: &mut Encoder) {
        out.array(10);
        out.optional(self.obis, |out, obis| {
            out.bytes(&obis.0);
        });
        self.value.encode(out);
        out.text(&self.unit).text(&self.quantity).unsigned(self.function.code());
        out.unsigned(self.storage).unsigned(self.tariff.into()).unsigned(self.subunit.into());
        out.optional(self.time.as_deref(), |out, time| {
            out.text(time);
        });
        encode_texts(&self.flags, out);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(10)?;
        Ok(Self {
            obis: from.optional(|from| from.bytes_exact().map(Obis))?,
            value: Value::decode(from)?,
            unit: text(from)?,
            quantity: text(from)?,
            function: Function::from_code(from.unsigned()?)?,
            storage: from.unsigned()?,
            tariff: from.unsigned32()?,
            subunit: from.unsigned32()?,
            time: from.optional(text)?,
            flags: decode_texts("a reading's list of flags", FLAGS_MAX, from)?,
        })
    }
}

impl Value {
    fn encode(&self, out: &mut Encoder) {
        out.array(2);
        match self {
            Self::Number(decimal) => decimal.encode(out.unsigned(1)),
            Self::Text(text) => {
                out.unsigned(2).text(text);
            }
            Self::Civil(text) => {
                out.unsigned(3).text(text);
            }
            Self::Bytes(bytes) => {
                out.unsigned(4).bytes(bytes);
            }
            Self::Invalid(bytes) => {
                out.unsigned(5).bytes(bytes);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        from.array_exact(2)?;
        match from.unsigned()? {
            1 => Decimal::decode(from).map(Self::Number),
            2 => text(from).map(Self::Text),
            3 => text(from).map(Self::Civil),
            4 => from.bytes_max("a value", TEXT_BYTES_MAX).map(|bytes| Self::Bytes(bytes.into())),
            5 => from.bytes_max("a value", TEXT_BYTES_MAX).map(|bytes| Self::Invalid(bytes.into())),
            code => Err(Malformed::UnknownCode { what: "value kind", code }),
        }
    }
}

impl Function {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instantaneous => "instantaneous",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Error => "error",
        }
    }

    fn code(self) -> u64 {
        match self {
            Self::Instantaneous => 0,
            Self::Maximum => 1,
            Self::Minimum => 2,
            Self::Error => 3,
        }
    }

    fn from_code(code: u64) -> Result<Self, Malformed> {
        match code {
            0 => Ok(Self::Instantaneous),
            1 => Ok(Self::Maximum),
            2 => Ok(Self::Minimum),
            3 => Ok(Self::Error),
            code => Err(Malformed::UnknownCode { what: "function", code }),
        }
    }
}

/// The value in plain text: decimals without an exponent, bytes in hexadecimal.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(decimal) => fmt::Display::fmt(decimal, f),
            Self::Text(text) | Self::Civil(text) => f.pad(text),
            Self::Bytes(bytes) | Self::Invalid(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// A text without control characters, so that showing it can't do more than show it.
pub(crate) fn text(from: &mut Decoder<'_>) -> Result<String, Malformed> {
    let start = from.clone();
    let text = from.text("a text", TEXT_BYTES_MAX)?;
    if text.chars().any(char::is_control) {
        return Err(start.wrong("a text has control characters"));
    }
    Ok(text.into())
}

fn encode_texts(texts: &[String], out: &mut Encoder) {
    out.array(texts.len());
    for text in texts {
        out.text(text);
    }
}

fn decode_texts(what: &'static str, max: usize, from: &mut Decoder<'_>) -> Result<Vec<String>, Malformed> {
    let count = from.array(what, max)?;
    (0..count).map(|_| text(from)).collect()
}
