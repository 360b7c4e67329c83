//! What was sealed, kept beside the key: only so can its author show later what it was.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use plomb_seal::{
    Hash,
    transaction::{CONFIG_SEALED_BYTES_MAX, SALT_BYTES, commitment},
};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// The folder of what was sealed, in a party's.
const FOLDER: &str = "sealed";
/// The largest such file, in bytes: escaped, a content takes at most six times its size.
const FILE_BYTES_MAX: u64 = 6 * CONFIG_SEALED_BYTES_MAX as u64 + 4096;
const SCHEMA: &str = "plomb.sealed/1";

/// The content of one configuration or command, with the salt of its commitment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    schema: String,
    /// The leaf hash of the transaction.
    pub(crate) transaction: String,
    /// The gateway that it is for.
    pub(crate) gateway: String,
    salt: String,
    /// What was sealed.
    pub(crate) content: String,
}

impl Kept {
    pub(crate) fn new(transaction: Hash, gateway: &str, salt: &[u8; SALT_BYTES], content: &str) -> Self {
        Self {
            schema: SCHEMA.into(),
            transaction: transaction.to_string(),
            gateway: gateway.into(),
            salt: hex::encode(salt),
            content: content.into(),
        }
    }

    /// Writes it, for the owner alone.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let path = place(folder, &self.transaction);
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::file(&path, error.into()))?;
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(folder.join(FOLDER))?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|error| Failure::file(&path, error))?;
        Ok(path)
    }

    /// Takes it away again: the ledger has not taken what it belongs to.
    pub(crate) fn remove(&self, folder: &Path) {
        // What is left over opens nothing.
        let _ = fs::remove_file(place(folder, &self.transaction));
    }

    /// What was sealed in a transaction; `None` if it was not from here.
    pub(crate) fn read(folder: &Path, transaction: &Hash) -> Result<Option<Self>, Failure> {
        let path = place(folder, &transaction.to_string());
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(&path, error)),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| Failure::file(&path, error))?;
        let wrong = |what: String| Failure::Config(format!("{}: {what}", path.display()));
        let kept: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if kept.schema != SCHEMA {
            return Err(wrong(format!("its schema is not {SCHEMA}")));
        }
        Ok(Some(kept))
    }

    /// The salt.
    pub(crate) fn salt(&self) -> Option<[u8; SALT_BYTES]> {
        hex::decode(&self.salt).ok()?.try_into().ok()
    }

    /// Whether it is what a transaction commits to.
    pub(crate) fn fits(&self, committed: &Hash) -> bool {
        self.salt().is_some_and(|salt| commitment(&salt, self.content.as_bytes()) == *committed)
    }
}

fn place(folder: &Path, transaction: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{transaction}.json"))
}
