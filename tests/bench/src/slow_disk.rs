//! A file whose sync takes longer, as on a memory card.

use std::{fs::File, io, ops::Bound, thread, time::Duration};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// A store's file, every sync of which takes `extra` longer than the disk's own.
#[derive(Debug)]
pub struct SlowFile {
    file: FileBackend,
    extra: Duration,
}

impl SlowFile {
    /// Takes a file for itself.
    ///
    /// # Errors
    /// The file can't be locked.
    pub fn new(file: File, extra: Duration) -> io::Result<Self> {
        Ok(Self { file: FileBackend::new(file).map_err(io::Error::other)?, extra })
    }
}

impl StorageBackend for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()?;
        pause(self.extra);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write(offset, bytes)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

/// Waits, if there is anything to wait for.
pub fn pause(extra: Duration) {
    if !extra.is_zero() {
        thread::sleep(extra);
    }
}
