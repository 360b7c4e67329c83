//! A meter's valve: what is sent to move it, and which record shows where it stands.

use crate::error::{ProfileError, Source};
use crate::file::ValveEntry;
use plomb_mbus::Record;
use toml::Spanned;

/// The longest telegram to a valve, in bytes of records.
pub const VALVE_RECORDS_BYTES_MAX: usize = 64;

/// A valve, as the model's public documentation has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valve {
    /// The document that says so.
    pub source: String,
    /// The records that open it, sent with CI 51.
    pub open: Vec<u8>,
    /// The records that close it.
    pub close: Vec<u8>,
    /// Which record of a readout shows where it stands; `None` where none does.
    pub state: Option<ValveState>,
}

/// The record that shows where a valve stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValveState {
    /// Its value information.
    pub vib: Vec<u8>,
    /// Its value while the valve is open.
    pub open: Vec<i64>,
    /// Its value while the valve is closed.
    pub closed: Vec<i64>,
}

impl Valve {
    /// What is sent to have it open or closed.
    #[must_use]
    pub fn records(&self, open: bool) -> &[u8] {
        if open { &self.open } else { &self.close }
    }
}

impl ValveState {
    /// Whether a record says that the valve is open, or that it is not; `None` for any other record, and for a valve
    /// that is on its way.
    #[must_use]
    pub fn of(&self, record: &Record<'_>) -> Option<bool> {
        let number = record.number().filter(|number| record.vib == self.vib && number.exponent == 0)?;
        let told = number.mantissa;
        self.open.contains(&told).then_some(true).or(self.closed.contains(&told).then_some(false))
    }
}

pub(crate) fn valve(source: Source<'_>, entry: &Spanned<ValveEntry>) -> Result<Valve, ProfileError> {
    let ValveEntry { source: document, open, close, state } = entry.get_ref();
    if document.get_ref().trim().is_empty() {
        return Err(source.wrong(document.span().start, "name the public document that says how the valve is moved"));
    }
    for records in [open, close] {
        if records.get_ref().0.len() > VALVE_RECORDS_BYTES_MAX {
            let what = format!("a telegram to a valve has at most {VALVE_RECORDS_BYTES_MAX} bytes of records");
            return Err(source.wrong(records.span().start, what));
        }
    }
    if open.get_ref() == close.get_ref() {
        return Err(source.wrong(close.span().start, "what closes the valve must differ from what opens it"));
    }
    if let Some(state) = state {
        let words = state.get_ref();
        let both = words.open.iter().any(|value| words.closed.contains(value));
        if both || words.open.is_empty() || words.closed.is_empty() {
            let what = "`open` and `closed` are lists of values that have none in common";
            return Err(source.wrong(state.span().start, what));
        }
    }
    let state = state.as_ref().map(|state| {
        let words = state.get_ref();
        ValveState { vib: words.vib.0.clone(), open: words.open.clone(), closed: words.closed.clone() }
    });
    let bytes = |records: &Spanned<crate::words::Hex>| records.get_ref().0.clone();
    Ok(Valve { source: document.get_ref().clone(), open: bytes(open), close: bytes(close), state })
}

#[cfg(test)]
mod tests {
    use crate::Profile;

    fn profile(valve: &str) -> Result<Profile, String> {
        let text = format!(
            "format = 1\nname = \"w\"\nversion = 1\nmodel = \"W\"\nsecurity = \"plain\"\n\
             [[match]]\nmanufacturer = \"TWN\"\n[valve]\n{valve}\n"
        );
        Profile::parse("w.toml", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_valve_says_who_documents_it_and_what_is_wrong_says_where() {
        let good = "source = \"manual\"\nopen = \"01 FD1F 01\"\nclose = \"01 FD1F 00\"";
        let valve = profile(good).unwrap().valve.unwrap();
        assert_eq!((valve.records(true), valve.records(false)), (&[1, 0xFD, 0x1F, 1][..], &[1, 0xFD, 0x1F, 0][..]));
        let state = "state = { vib = \"FD1F\", open = [1], closed = [0, 1] }";
        let long = format!("close = \"{}\"", "00".repeat(65));
        for (wrong, told) in [
            (good.replace("\"manual\"", "\" \""), "w.toml:9:10: name the public document"),
            (good.replace("1F 00", "1F 01"), "w.toml:11:9: what closes the valve must differ"),
            (format!("{good}\n{state}"), "w.toml:12:9: `open` and `closed`"),
            (good.replace("close = \"01 FD1F 00\"", &long), "at most 64 bytes"),
            (good.replace("source", "sauce"), "did you mean `source`"),
        ] {
            let error = profile(&wrong).unwrap_err();
            assert!(error.contains(told), "{error} / {told}");
        }
    }
}
