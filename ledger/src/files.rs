//! Files of the hub's directory: keys that only their owner reads, and others that are made once.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64ct::Encoding;
use plomb_seal::SigningKey;
use rcgen::KeyPair;

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

/// Puts a file that only its owner may read in the place of another, whole or not at all.
pub fn replace_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let fresh = path.with_extension("new");
    let io = |source| FileError::Io { path: path.into(), source };
    match std::fs::remove_file(&fresh) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io(source)),
        _ => write_secret(&fresh, bytes)?,
    }
    std::fs::rename(&fresh, path).map_err(io)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

/// A certificate as PEM.
pub(crate) fn certificate_pem(der: &[u8]) -> String {
    let base64 = base64ct::Base64::encode_string(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
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

/// Reads a file with a key in it. One that others than its owner can read is refused: it is no secret any more.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, FileError> {
    let found = std::fs::metadata(path).map_err(|source| FileError::Io { path: path.into(), source })?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!("holds a key and has mode {mode:04o}, so that others can read it: `chmod 600` it");
        return Err(FileError::content(path, what));
    }
    read(path)
}

fn read_secret_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read_secret(path)?).map_err(|_| FileError::content(path, "is not UTF-8"))
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
    hex::decode_to_slice(read_secret_text(path)?.trim(), &mut seed)
        .map_err(|_| FileError::content(path, "is not 64 hexadecimal digits"))?;
    Ok(SigningKey::from_seed(&seed))
}

/// Makes an Ed25519 key for X.509 and keeps it in a new file, as PKCS#8 PEM.
pub fn make_pair(path: &Path) -> Result<KeyPair, FileError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(FileError::Random)?;
    let der = pkcs8(&seed);
    let pair = KeyPair::try_from(der.as_slice()).map_err(|error| FileError::content(path, error.to_string()))?;
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64ct::Base64::encode_string(&der));
    write_secret(path, pem.as_bytes())?;
    Ok(pair)
}

/// Reads a PKCS#8 PEM: from [`make_pair`], or with the public key attached, as other programs write it.
pub fn read_pair(path: &Path) -> Result<KeyPair, FileError> {
    KeyPair::from_pem(&read_secret_text(path)?)
        .map_err(|error| FileError::content(path, format!("is no private key in PKCS#8 PEM ({error})")))
}

/// An Ed25519 key as PKCS#8 of version 1 (RFC 8410 §7): the secret alone. Version 2, which attaches the
/// public key, is what OpenSSL 3.0 and all that is built on it refuse.
fn pkcs8(seed: &[u8; 32]) -> [u8; 48] {
    let mut der = [0; 48];
    let (head, secret) = der.split_at_mut(PKCS8_HEAD.len());
    head.copy_from_slice(&PKCS8_HEAD);
    secret.copy_from_slice(seed);
    der
}

/// Sequence; version 0; the algorithm, 1.3.101.112; the secret as an octet string in an octet string.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// The key of RFC 8410 §10.3, without and with its public key.
    const V1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
    const V2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";

    #[test]
    fn a_key_is_written_as_the_standard_prints_it() {
        let seed = hex::decode("d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842").unwrap();
        let printed: String = V1.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(base64ct::Base64::encode_string(&pkcs8(&seed.try_into().unwrap())), printed);
    }

    #[test]
    fn a_key_is_read_in_both_versions_and_written_in_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str, pem: &str| {
            let path = dir.path().join(name);
            write_secret(&path, pem.as_bytes()).unwrap();
            read_pair(&path).unwrap().public_key_raw().to_vec()
        };
        let public = hex::decode("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1").unwrap();
        assert_eq!(read("v1", V1), public);
        assert_eq!(read("v2", V2), public);
        let path = dir.path().join("made");
        let made = make_pair(&path).unwrap();
        assert_eq!(read_pair(&path).unwrap().public_key_raw(), made.public_key_raw());
        let text = read_text(&path).unwrap();
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [27, 64, 25], "48 bytes and no more");
    }
}
