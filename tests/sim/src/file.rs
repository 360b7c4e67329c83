//! Buses from files: a TOML description, or a folder of recorded frames.

use crate::bus::{Bus, Calendar};
use crate::live::{Kind, Meter};
use crate::mbus::{ADDRESS_PRIMARY_MAX, Faults, Identity, Slave, manufacturer_code};
use crate::{LineSpeed, SimError};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The largest file of recorded frames, in bytes.
const FRAME_FILE_BYTES_MAX: usize = 1 << 20;

/// A bus as a TOML file describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusFile {
    /// The line's speed in baud.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Whether the line returns the master's bytes.
    #[serde(default)]
    pub echo: bool,
    /// From what the live meters' registers are drawn.
    #[serde(default)]
    pub seed: u64,
    /// The meters' time at the start; without it the system's.
    pub start_unix_s: Option<u64>,
    /// Seconds of the meters in a second.
    #[serde(default = "default_factor")]
    pub factor: u32,
    /// The slaves.
    #[serde(default, rename = "meter")]
    pub meters: Vec<MeterEntry>,
}

/// One `[[meter]]` of a [`BusFile`]: either `kind` or `frames`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterEntry {
    /// The primary address.
    pub address: u8,
    /// A live meter of this kind.
    pub kind: Option<Kind>,
    /// The live meter's number, eight digits; drawn if missing.
    pub id: Option<String>,
    /// The live meter's maker, three letters.
    #[serde(default = "default_manufacturer")]
    pub manufacturer: String,
    /// The live meter's version.
    #[serde(default = "default_version")]
    pub version: u8,
    /// Files with recorded frames, beside the TOML file; a readout gives all.
    #[serde(default)]
    pub frames: Vec<PathBuf>,
    /// Whether the recorded frames keep their own address byte.
    #[serde(default)]
    pub keep_address: bool,
    /// Bit times from a request to its answer.
    pub response_bits: Option<u32>,
    /// What is wrong with it.
    #[serde(default)]
    pub faults: Faults,
}

fn default_baud() -> u32 {
    2400
}

fn default_factor() -> u32 {
    1
}

fn default_manufacturer() -> String {
    "PLA".to_owned()
}

fn default_version() -> u8 {
    1
}

impl BusFile {
    /// Reads a description.
    ///
    /// # Errors
    /// [`SimError::Read`], or [`SimError::Content`] with line and column.
    pub fn read(path: &Path) -> Result<Self, SimError> {
        let text = std::fs::read_to_string(path).map_err(|source| SimError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| SimError::Content { path: path.to_owned(), reason: error.to_string() })
    }

    /// Builds the bus; recorded frames are looked for beside `path`, the file
    /// itself. `now_unix_s` serves where the file names no start.
    ///
    /// # Errors
    /// [`SimError::Read`] or [`SimError::Content`].
    pub fn build(&self, path: &Path, speed: LineSpeed, now_unix_s: u64) -> Result<Bus, SimError> {
        let start_unix_s = self.start_unix_s.unwrap_or(now_unix_s);
        let mut bus = Bus::new(speed, Calendar { start_unix_s, factor: self.factor });
        bus.echo = self.echo;
        for entry in &self.meters {
            let mut slave = entry.slave(path, self.seed)?;
            slave.faults = entry.faults.clone();
            slave.response_bits = entry.response_bits.unwrap_or(slave.response_bits);
            bus.fit(slave);
        }
        Ok(bus)
    }
}

impl MeterEntry {
    fn slave(&self, path: &Path, seed: u64) -> Result<Slave, SimError> {
        let content = |reason: String| SimError::Content {
            path: path.to_owned(),
            reason: format!("meter at address {}: {reason}", self.address),
        };
        if self.address > ADDRESS_PRIMARY_MAX {
            return Err(content(format!("addresses end at {ADDRESS_PRIMARY_MAX}")));
        }
        match (self.kind, self.frames.as_slice()) {
            (Some(kind), []) => {
                let own_seed = seed.wrapping_mul(251).wrapping_add(self.address.into());
                let drawn = format!("{:08}", crate::live::Dice(own_seed).between(0, 100_000_000));
                let digits = self.id.as_ref().unwrap_or(&drawn);
                let identity = Identity {
                    id: Identity::parse_id(digits).map_err(|error| content(error.to_string()))?,
                    manufacturer: manufacturer_code(&self.manufacturer).map_err(|error| content(error.to_string()))?,
                    version: self.version,
                    medium: kind.medium(),
                };
                Ok(Slave::live(self.address, Meter::new(kind, identity, own_seed)))
            }
            (None, [_, ..]) => {
                let folder = path.parent().unwrap_or(Path::new("."));
                let mut frames = Vec::new();
                for file in &self.frames {
                    frames.extend(read_frames(&folder.join(file))?);
                }
                let made = if self.keep_address { Slave::fixed_unchanged } else { Slave::fixed };
                Ok(made(self.address, frames))
            }
            _ => Err(content("either `kind` or `frames` is needed, not both".to_owned())),
        }
    }
}

/// A slave that serves a recorded file.
#[derive(Debug)]
pub struct Recorded {
    /// The file.
    pub file: PathBuf,
    /// Its slave.
    pub slave: Slave,
}

/// Every `.hex` file of a folder as a slave, by name, at primary addresses
/// from 1. Files that hold no whole long frame are left out.
///
/// # Errors
/// [`SimError::Read`]; [`SimError::Content`] when no file is fit, or too many.
pub fn read_folder(folder: &Path) -> Result<Vec<Recorded>, SimError> {
    let failed = |source| SimError::Read { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .collect();
    files.sort();
    let fit = files.into_iter().filter_map(|file| read_frames(&file).ok().map(|frames| (file, frames)));
    let recorded: Vec<Recorded> = (1..=ADDRESS_PRIMARY_MAX)
        .zip(fit)
        .map(|(address, (file, frames))| Recorded { file, slave: Slave::fixed(address, frames) })
        .collect();
    if recorded.is_empty() {
        let reason = "no .hex file here holds a whole long frame".to_owned();
        return Err(SimError::Content { path: folder.to_owned(), reason });
    }
    Ok(recorded)
}

/// The long frames of a hex file, one after the other (the telegrams of one
/// readout). Spaces and line ends don't matter.
///
/// # Errors
/// [`SimError::Read`], or [`SimError::Content`] with the offset in bytes of
/// the first one that is not part of a whole frame.
pub fn read_frames(file: &Path) -> Result<Vec<Vec<u8>>, SimError> {
    let text = std::fs::read_to_string(file).map_err(|source| SimError::Read { path: file.to_owned(), source })?;
    let content = |reason: String| SimError::Content { path: file.to_owned(), reason };
    if text.len() > FRAME_FILE_BYTES_MAX {
        return Err(content(format!("longer than {FRAME_FILE_BYTES_MAX} bytes")));
    }
    let bytes = parse_hex(&text).ok_or_else(|| content("not pairs of hex digits".to_owned()))?;
    let mut rest = bytes.as_slice();
    let mut frames = Vec::new();
    while let Some(length) = rest.get(1) {
        let whole = usize::from(*length) + 6;
        let frame = rest.get(..whole).filter(|frame| frame.starts_with(&[0x68]) && frame.ends_with(&[0x16]));
        let Some(frame) = frame else { break };
        frames.push(frame.to_vec());
        rest = rest.get(whole..).unwrap_or_default();
    }
    if frames.is_empty() || !rest.is_empty() {
        return Err(content(format!("no whole long frame at offset {}", bytes.len() - rest.len())));
    }
    Ok(frames)
}

/// Bytes of hex digits; white space between bytes is skipped.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    Some(pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
