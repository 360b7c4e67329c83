//! The keys of meters, from a file that nobody else can read.

use std::{
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use plomb_keys::{FILE_BYTES_MAX, KeyFile, Selector, check_mode};
use plomb_mbus::{Identification, MeterId, SecondaryAddress};
use plomb_wmbus::Key;
use zeroize::Zeroizing;

/// Keys by meter.
#[derive(Debug, Default)]
pub struct Keys {
    file: KeyFile,
}

impl Keys {
    /// Reads a key file. One that others can read is refused.
    pub fn load(path: &Path) -> Result<Self, String> {
        Self::parse(&path.display().to_string(), &read_secret_file(path)?)
    }

    /// Reads the text of a key file; `name` is what errors call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        KeyFile::parse(name, text).map(|file| Self { file }).map_err(|error| error.to_string())
    }

    /// The key of a meter.
    pub fn find(&self, meter: &MeterId) -> Option<&Key> {
        self.file.find(meter)
    }

    /// For which meters there are keys, as the file names them.
    pub fn meters(&self) -> Vec<String> {
        let name = |selector: &Selector| {
            let Selector { id, manufacturer, version, medium } = *selector;
            SecondaryAddress { id, manufacturer, version, medium, fabrication: None }.to_string()
        };
        let mut meters: Vec<String> = self.file.iter().map(|(selector, _, _)| name(selector)).collect();
        meters.sort();
        meters
    }

    /// Whether there is a key for a meter with these eight digits.
    pub fn has(&self, id: Identification) -> bool {
        self.file.iter().any(|(selector, _, _)| selector.id == id)
    }

    /// Whether there is a key for a meter that this address could mean. Where it leaves parts open, as digits
    /// alone do, the key's line may name them: then whoever sends these digits must show that key.
    pub fn has_for(&self, address: &SecondaryAddress) -> bool {
        fn agree<T: PartialEq + Copy>(wanted: Option<T>, named: Option<T>) -> bool {
            wanted.is_none() || named.is_none() || wanted == named
        }
        self.file.iter().any(|(selector, _, _)| {
            selector.id == address.id
                && agree(address.manufacturer, selector.manufacturer)
                && agree(address.version, selector.version)
                && agree(address.medium, selector.medium)
        })
    }
}

/// Opens a file for reading that is no pipe and no device: those never end, or keep whoever opens them waiting.
///
/// # Errors
/// Why it can't be used, with what to do.
pub(crate) fn open_regular(path: &Path) -> Result<(File, Metadata), String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let no_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(no_waiting).open(path);
    let file = file.map_err(|error| wrong(error.to_string()))?;
    // Of the open file, so that nobody can put another in its place meanwhile.
    let found = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if found.is_file() {
        Ok((file, found))
    } else {
        Err(wrong("no file but a folder, pipe or device: give a file".into()))
    }
}

/// The largest certificate, key or credential file, in bytes.
pub(crate) const IDENTITY_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The bytes of a regular file of bounded size. A pipe would keep whoever reads it waiting for ever, a device would never
/// end; a configuration from afar may name either.
///
/// # Errors
/// Why it can't be used, with what to do.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let (file, _) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(IDENTITY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= IDENTITY_FILE_BYTES_MAX => Ok(bytes),
        _ => Err(wrong(format!("more than {IDENTITY_FILE_BYTES_MAX} bytes: this is no file of that kind"))),
    }
}

/// The text of a file that must be its owner's alone.
///
/// # Errors
/// Why it can't be used, with what to do.
pub(crate) fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let (file, found) = open_regular(path)?;
    check_mode(found.mode(), found.uid(), rustix::process::geteuid().as_raw())
        .map_err(|error| wrong(error.to_string()))?;
    let mut text = Zeroizing::new(String::new());
    let limit = FILE_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A certificate's file is named by configurations from afar, too.
    #[test]
    fn a_pipe_a_device_and_a_huge_file_are_no_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, huge) = (folder.path().join("pipe"), folder.path().join("huge"));
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        File::create(&huge).unwrap().set_len(8 << 30).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            assert!(read_file(path).unwrap_err().contains("no file but"), "{}", path.display());
        }
        assert!(read_file(&huge).unwrap_err().contains("more than"));
    }

    /// A pipe would keep the daemon waiting for ever, without a word.
    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("keys");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &link, &folder.path().to_path_buf()] {
            assert!(read_secret_file(path).unwrap_err().contains("pipe or device"), "{}", path.display());
        }
    }
}
