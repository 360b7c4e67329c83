//! A profile's own test telegrams.

use crate::apply::Memory;
use crate::named::{Named, NamedValue};
use crate::profile::{Expected, Profile, Sample};
use plomb_mbus::Records;
use plomb_session::Decimal;
use plomb_wmbus::{Content, Key, MeterState, Opener, Security, Telegram};
use thiserror::Error;

/// A test telegram of a profile does not give what the profile says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the test at line {line}: {what}")]
pub struct SampleError {
    /// The line of the test in the profile's file.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Profile {
    /// Reads the profile's own test telegrams. Gives how many values were compared.
    ///
    /// # Errors
    /// [`SampleError`], of the first that differs.
    pub fn check(&self) -> Result<usize, SampleError> {
        let mut compared = 0;
        for sample in &self.samples {
            let found = self.read_sample(sample).map_err(|what| SampleError { line: sample.line, what })?;
            for expected in &sample.expect {
                if !found.iter().any(|found| found.is(expected)) {
                    let alike: Vec<_> = found.iter().filter(|found| found.name == expected.name).collect();
                    let what = format!("expected {expected:?}, found {alike:?}");
                    return Err(SampleError { line: sample.line, what });
                }
                compared += 1;
            }
        }
        Ok(compared)
    }

    fn read_sample(&self, sample: &Sample) -> Result<Vec<Found>, String> {
        let bytes = &sample.telegram;
        let mut found = Vec::new();
        let mut memory = Memory::default();
        let each = |named: &Named<'_>| found.push(Found::of(named));
        let key = sample.key.map(Key::new);
        if let [0x68, _, _, 0x68, ..] = bytes[..] {
            let telegram = plomb_mbus::decode(bytes).map_err(|error| error.to_string())?;
            let meter = telegram.telegram.meter().ok_or("the telegram names no meter")?;
            self.owns(meter)?;
            let records: Records<'_> = telegram.telegram.records();
            self.apply_records(meter, records, &mut memory, each).map_err(|error| error.to_string())?;
            return Ok(found);
        }
        let mut buffer = Vec::new();
        let telegram = Telegram::parse(bytes, &mut buffer).map_err(|error| error.to_string())?;
        let security = Security { key: key.clone(), minimum: self.security };
        let mut opener = Opener::new();
        let opened = opener.open(&telegram, &MeterState::new(security)).map_err(|error| error.to_string())?;
        self.owns(opened.meter)?;
        if let Content::Other { ci, .. } = opened.content {
            return Err(format!("CI {ci:02X} has no records"));
        }
        self.apply(opened.meter, &opened.content, key.as_ref(), &mut memory, each)
            .map_err(|error| error.to_string())?;
        Ok(found)
    }

    /// The test's meter is one of the profile's.
    fn owns(&self, meter: plomb_mbus::MeterId) -> Result<(), String> {
        let fits = self.matches.iter().any(|of| of.takes(meter));
        if fits { Ok(()) } else { Err(format!("no [[match]] fits {meter:?}")) }
    }
}

/// A value, kept.
#[derive(Debug)]
struct Found {
    name: String,
    value: String,
    number: Option<Decimal>,
    unit: String,
    storage: u64,
    tariff: u32,
}

impl Found {
    fn of(named: &Named<'_>) -> Self {
        Self {
            name: named.name.into(),
            value: named.value.to_string(),
            number: if let NamedValue::Number(number) = named.value { Some(number.normalized()) } else { None },
            unit: named.unit.into(),
            storage: named.storage,
            tariff: named.tariff,
        }
    }

    fn is(&self, expected: &Expected) -> bool {
        let number = expected.value.parse().ok().map(Decimal::normalized);
        let same = self.value == expected.value || (number.is_some() && number == self.number);
        let place = self.storage == expected.storage && self.tariff == expected.tariff;
        self.name == expected.name && same && self.unit == expected.unit && place
    }
}
