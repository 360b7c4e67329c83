//! The epoch, kept in a small file beside the journal: what is left to know when the journal is not.
//!
//! A damaged journal is never opened again to look into it. The file is written before the first entry of an
//! epoch is, and never goes back, so it names the latest epoch that the journal can have begun.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::open::{FILE_MODE, sync_folder};

/// The longest file that is read, in bytes.
const MARK_BYTES_MAX: u64 = 64;
/// What stands before the number.
const MARK: &str = "plomb journal epoch ";

/// The mark of a journal.
#[derive(Debug, Clone)]
pub(super) struct Mark(PathBuf);

impl Mark {
    /// Of the journal at `journal`: `journal.redb` has `journal.epoch`.
    pub(super) fn of(journal: &Path) -> Self {
        Self(journal.with_extension("epoch"))
    }

    /// The latest epoch, if the file is there and makes sense. One that does not is as good as none: the ledger
    /// knows the epochs that matter.
    pub(super) fn read(&self) -> Option<u32> {
        if fs::metadata(&self.0).ok()?.len() > MARK_BYTES_MAX {
            return None;
        }
        fs::read_to_string(&self.0).ok()?.strip_prefix(MARK)?.strip_suffix('\n')?.parse().ok()
    }

    /// Makes an epoch known. Durable when this returns.
    pub(super) fn raise(&self, epoch: u32) -> io::Result<()> {
        if self.read().is_some_and(|known| known >= epoch) {
            return Ok(());
        }
        let new = self.0.with_extension("epoch-new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
        file.write_all(format!("{MARK}{epoch}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        sync_folder(&self.0)
    }
}

/// The newest file beside a journal to which a damaged one was moved: its name.
pub(super) fn newest_damaged(journal: &Path) -> Option<String> {
    let name = journal.file_name()?.to_str()?;
    let folder = journal.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = format!("{name}{DAMAGED}");
    let found = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let moved_at = |name: &String| name.strip_prefix(&prefix).and_then(|time| time.parse::<i64>().ok());
    found.filter_map(|name| Some((moved_at(&name)?, name))).max().map(|(_, name)| name)
}

/// What a damaged journal's name ends with, before the time.
pub(super) const DAMAGED: &str = ".damaged-";
