//! The gateway's sealing keys: one file each, `sealing-N.key`, 32 bytes, readable by nobody else.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use plomb_seal::{
    KeyId,
    sealed::{SealError, SealingSecret},
};
use zeroize::Zeroizing;

/// The most keys that are kept: a new one comes seldom.
pub const SEALING_KEYS_MAX: usize = 16;
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The keys of a folder, by their numbers.
#[derive(Debug)]
pub struct SealingKeys {
    folder: PathBuf,
    /// The latest last.
    keys: Vec<(u64, SealingSecret)>,
}

impl SealingKeys {
    /// Reads the keys of a folder, and makes the folder.
    ///
    /// # Errors
    /// A key can't be read, is damaged, or can be read by others.
    pub fn load(folder: &Path) -> Result<Self, String> {
        let wrong = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
        made.map_err(|error| wrong(folder, &error))?;
        let mut keys = Vec::new();
        for found in fs::read_dir(folder).map_err(|error| wrong(folder, &error))? {
            let found = found.map_err(|error| wrong(folder, &error))?;
            let name = found.file_name();
            let Some(serial) = name.to_str().and_then(serial_of) else { continue };
            let path = found.path();
            keys.push((serial, read(&path).map_err(|error| wrong(&path, &error))?));
        }
        keys.sort_by_key(|(serial, _)| *serial);
        Ok(Self { folder: folder.into(), keys })
    }

    /// No keys: of a gateway without a ledger.
    pub fn none(folder: &Path) -> Self {
        Self { folder: folder.into(), keys: Vec::new() }
    }

    /// The latest key.
    pub fn latest(&self) -> Option<(u64, &SealingSecret)> {
        self.keys.last().map(|(serial, secret)| (*serial, secret))
    }

    /// The key with this id: what was sealed to an older one than the latest may still be due.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn find(&self, id: KeyId) -> Result<&SealingSecret, SealError> {
        let own = self.latest().map_or(KeyId([0; 8]), |(_, secret)| secret.key_id());
        let found = self.keys.iter().find(|(_, secret)| secret.key_id() == id);
        found.map(|(_, secret)| secret).ok_or(SealError::OtherKey { found: id, own })
    }

    /// Makes a key with a number above all others; it is durable when this returns.
    ///
    /// # Errors
    /// It can't be written.
    pub fn make(&mut self, serial: u64, bytes: &Zeroizing<[u8; 32]>) -> Result<(), String> {
        let path = self.folder.join(format!("sealing-{serial}.key"));
        let secret = SealingSecret::from_bytes(bytes).map_err(|error| error.to_string())?;
        write_durably(&path, bytes.as_slice(), FILE_MODE).map_err(|error| format!("{}: {error}", path.display()))?;
        self.keys.push((serial, secret));
        self.keys.sort_by_key(|(serial, _)| *serial);
        while self.keys.len() > SEALING_KEYS_MAX {
            let (old, _) = self.keys.remove(0);
            // It opens nothing that is due; if it stays, it stays as unreadable as it was.
            let _ = fs::remove_file(self.folder.join(format!("sealing-{old}.key")));
        }
        Ok(())
    }
}

fn serial_of(name: &str) -> Option<u64> {
    name.strip_prefix("sealing-")?.strip_suffix(".key")?.parse().ok()
}

fn read(path: &Path) -> Result<SealingSecret, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("others can read this key (mode {:03o}); run: chmod 600 {}", mode & 0o777, path.display()));
    }
    let mut bytes = Zeroizing::new([0; 33]);
    let length = file.read(bytes.as_mut_slice()).map_err(|error| error.to_string())?;
    let secret: Option<&[u8; 32]> = bytes.get(..length).and_then(|bytes| bytes.try_into().ok());
    let secret = secret.ok_or("this is no sealing key: 32 bytes are expected")?;
    SealingSecret::from_bytes(secret).map_err(|error| error.to_string())
}

/// Writes a file so that after a power cut it is there whole, or as it was before.
pub(super) fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Writes a copy for people to read; nothing depends on it.
pub(super) fn write_copy(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&aside)?;
    file.write_all(bytes)?;
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_outlive_a_restart_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("orders");
        let mut keys = SealingKeys::load(&folder).unwrap();
        assert!(keys.latest().is_none());
        keys.make(1, &Zeroizing::new([7; 32])).unwrap();
        keys.make(2, &Zeroizing::new([8; 32])).unwrap();
        let mode = fs::metadata(folder.join("sealing-1.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);
        let again = SealingKeys::load(&folder).unwrap();
        for bytes in [7, 8] {
            let id = SealingSecret::from_bytes(&[bytes; 32]).unwrap().key_id();
            assert_eq!(again.find(id).unwrap().key_id(), id, "an older key still opens");
        }
        assert!(matches!(again.find(KeyId([0; 8])), Err(SealError::OtherKey { .. })));
        assert_eq!(again.latest().unwrap().0, 2);
        fs::set_permissions(folder.join("sealing-1.key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(SealingKeys::load(&folder).unwrap_err().contains("chmod 600"));
    }

    #[test]
    fn a_damaged_key_is_told_and_others_names_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("applied.toml"), "x").unwrap();
        assert!(SealingKeys::load(folder.path()).unwrap().latest().is_none());
        let path = folder.path().join("sealing-3.key");
        for length in [0, 31, 33] {
            fs::write(&path, vec![1; length]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(SealingKeys::load(folder.path()).unwrap_err().contains("32 bytes"), "{length}");
        }
    }
}
