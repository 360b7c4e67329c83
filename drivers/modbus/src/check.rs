//! A map's own tests: registers as they were read.

use thiserror::Error;

use crate::{Block, Image, RegisterMap, Value, Walk, Wanted, decode, identify, plan, serial};

/// A test of a map does not give what the map says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the test at line {line}: {what}")]
pub struct SampleError {
    /// The line of the test in the map's file.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl RegisterMap {
    /// Reads the map's own tests. Gives how many values were compared.
    ///
    /// # Errors
    /// [`SampleError`], of the first that differs.
    pub fn check(&self) -> Result<usize, SampleError> {
        let mut compared = 0;
        for (sample, image) in self.samples.iter().zip(self.dumps()) {
            let wrong = |what: String| SampleError { line: sample.line, what };
            let located = match &self.chain {
                Some(chain) => {
                    let models = Walk::over(chain, &image).map_err(|error| wrong(error.to_string()))?;
                    &self.located(&models).map_err(|error| wrong(error.to_string()))?
                }
                None => self,
            };
            identify(located, &image).map_err(|error| wrong(error.to_string()))?;
            let found = serial(located, &image);
            if sample.serial.is_some() && found != sample.serial {
                return Err(wrong(format!("the serial number is {found:?}")));
            }
            // As it would be asked: only what the plan's blocks have.
            let mut asked = Image::new();
            for block in plan(located, &Wanted::All) {
                if let Some(words) = image.get(block.table, block.address, block.words) {
                    asked.put(block, &words);
                }
            }
            let found = decode(located, &Wanted::All, &asked);
            for expected in &sample.expect {
                let is = |value: &Value| match (&expected.value, value) {
                    (None, Value::Absent) => true,
                    (Some(text), value) => *text == value.to_string() && *value != Value::Absent,
                    (None, _) => false,
                };
                let of_name = || found.iter().filter(|measured| measured.name == expected.name);
                if !of_name().any(|measured| is(&measured.value)) {
                    let values: Vec<String> = of_name().map(|measured| measured.value.to_string()).collect();
                    let what =
                        format!("expected {expected:?}, found {values:?}; are all registers of its block given?");
                    return Err(wrong(what));
                }
                compared += 1;
            }
        }
        Ok(compared)
    }

    /// The registers of the map's own tests, to serve them.
    #[must_use]
    pub fn dumps(&self) -> Vec<Image> {
        let image = |sample: &crate::map::Sample| {
            let mut image = Image::new();
            for (table, address, words) in &sample.runs {
                let count = u16::try_from(words.len()).unwrap_or(u16::MAX);
                image.put(Block { table: *table, address: *address, words: count }, words);
            }
            image
        };
        self.samples.iter().map(image).collect()
    }
}
