//! The keys of meters, from a file that nobody else can read.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt, path::Path};

use plomb_mbus::{Identification, MeterId};
use plomb_wmbus::Key;

/// Keys by meter.
#[derive(Debug, Default)]
pub struct Keys {
    by_id: HashMap<Identification, Key>,
}

impl Keys {
    /// Reads a key file. One that others can read is refused.
    pub fn load(path: &Path) -> Result<Self, String> {
        let wrong = |what: String| format!("{}: {what}", path.display());
        let file = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
        if file.mode() & 0o077 != 0 {
            return Err(wrong(format!("others can read it (mode {:o}): chmod 600", file.mode() & 0o777)));
        }
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let mut keys = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default().trim();
            let Some((id, key)) = line.split_once(char::is_whitespace) else { continue };
            let id = id.parse().map_err(|error| wrong(format!("line {number}: {error}")))?;
            let key = Key::from_hex(key.trim()).map_err(|error| wrong(format!("line {number}: {error}")))?;
            keys.by_id.insert(id, key);
        }
        Ok(keys)
    }

    /// The key of a meter.
    pub fn find(&self, meter: &MeterId) -> Option<&Key> {
        self.by_id.get(&meter.id)
    }

    /// Whether there is a key for a meter with these eight digits.
    pub fn has(&self, id: Identification) -> bool {
        self.by_id.contains_key(&id)
    }
}
