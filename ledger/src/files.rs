//! Files of the hub's directory: keys that only their owner reads, and others that are made once.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use plomb_seal::SigningKey;
use rcgen::{KeyPair, PKCS_ED25519};

/// The largest file that is read whole, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a file does not serve.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The content is not what belongs there.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no randomness.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl FileError {
    pub(crate) fn content(path: &Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.into(), what: what.into() }
    }
}

/// Writes a new file that others may read. Never overwrites.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_mode(path, bytes, 0o644)
}

/// Writes a new file that only its owner may read. Never overwrites.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_mode(path, bytes, 0o600)
}

fn write_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| FileError::Io { path: path.into(), source })
}

/// Reads a file of bounded size.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let io = |source| FileError::Io { path: path.into(), source };
    if std::fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
        return Err(FileError::content(path, "is larger than 1 MiB"));
    }
    std::fs::read(path).map_err(io)
}

/// Reads a text file of bounded size.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read(path)?).map_err(|_| FileError::content(path, "is not UTF-8"))
}

/// Makes an Ed25519 key and keeps it in a new file: its 32 secret bytes in hexadecimal.
pub fn make_seed(path: &Path) -> Result<SigningKey, FileError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(FileError::Random)?;
    write_secret(path, format!("{}\n", hex::encode(seed)).as_bytes())?;
    Ok(SigningKey::from_seed(&seed))
}

/// Reads a key that [`make_seed`] kept.
pub fn read_seed(path: &Path) -> Result<SigningKey, FileError> {
    let mut seed = [0; 32];
    hex::decode_to_slice(read_text(path)?.trim(), &mut seed)
        .map_err(|_| FileError::content(path, "is not 64 hexadecimal digits"))?;
    Ok(SigningKey::from_seed(&seed))
}

/// Makes an Ed25519 key for X.509; gives it with its PKCS#8 PEM.
pub fn make_pair(path: &Path) -> Result<KeyPair, FileError> {
    let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| FileError::content(path, error.to_string()))?;
    write_secret(path, pair.serialize_pem().as_bytes())?;
    Ok(pair)
}

/// Reads a key that [`make_pair`] kept.
pub fn read_pair(path: &Path) -> Result<KeyPair, FileError> {
    KeyPair::from_pem(&read_text(path)?).map_err(|error| FileError::content(path, error.to_string()))
}
