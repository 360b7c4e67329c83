//! What lies between the store and the file: a count of what is written, and a way to write nothing.

use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{BackendError, StorageBackend};

/// What this process wrote to the journal's file: the measure of flash wear.
#[derive(Debug, Default)]
pub struct Traffic {
    written_bytes: AtomicU64,
    syncs: AtomicU64,
}

impl Traffic {
    /// Bytes handed to the file.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// How often the file was synced.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

/// A backend whose writes are counted.
#[derive(Debug)]
pub(super) struct Counted<B> {
    backend: B,
    traffic: Arc<Traffic>,
}

impl<B> Counted<B> {
    pub(super) fn new(backend: B, traffic: Arc<Traffic>) -> Self {
        Self { backend, traffic }
    }
}

impl<B: StorageBackend> StorageBackend for Counted<B> {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.traffic.syncs.fetch_add(1, Ordering::Relaxed);
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.traffic.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.backend.write(offset, bytes)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}

/// A file of which only reads are done; what is written stays in memory. For looking at a file that needs
/// repair without touching it.
#[derive(Debug)]
pub(super) struct Overlay<B> {
    backend: B,
    written: RwLock<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// How much of the file below still shows: a shortened file reads as zeroes when it grows again.
    below: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

const OVERLAY_PAGE_BYTES: u64 = 4096;

impl<B: StorageBackend> Overlay<B> {
    pub(super) fn new(backend: B) -> io::Result<Self> {
        let len = backend.len()?;
        Ok(Self { backend, written: RwLock::new(Written { len, below: len, pages: BTreeMap::new() }) })
    }

    fn page_below(&self, page: u64, below: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        let start = page * OVERLAY_PAGE_BYTES;
        let shown = usize::try_from(below.saturating_sub(start).min(OVERLAY_PAGE_BYTES)).unwrap_or(0);
        if let Some(shown) = bytes.get_mut(..shown).filter(|shown| !shown.is_empty()) {
            self.backend.read(start, shown)?;
        }
        Ok(bytes)
    }

    /// Visits the pages that a range touches: page number, offset in the page, offset in the range, length.
    fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
        let mut done = 0_usize;
        std::iter::from_fn(move || {
            let at = offset.saturating_add(done as u64);
            let within = usize::try_from(at % OVERLAY_PAGE_BYTES).unwrap_or(0);
            let piece = len.saturating_sub(done).min(4096 - within);
            let found = (piece > 0).then_some((at / OVERLAY_PAGE_BYTES, within, done, piece));
            done = done.saturating_add(piece);
            found
        })
    }
}

impl<B: StorageBackend> StorageBackend for Overlay<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written.read().unwrap_or_else(PoisonError::into_inner).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written.read().unwrap_or_else(PoisonError::into_inner);
        if offset.saturating_add(out.len() as u64) > written.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (page, within, at, len) in Self::pieces(offset, out.len()) {
            let below;
            let bytes = match written.pages.get(&page) {
                Some(bytes) => bytes,
                None => {
                    below = self.page_below(page, written.below)?;
                    &below
                }
            };
            if let (Some(to), Some(from)) = (out.get_mut(at..at + len), bytes.get(within..within + len)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written.write().unwrap_or_else(PoisonError::into_inner);
        written.below = written.below.min(len);
        written.len = len;
        let _ = written.pages.split_off(&len.div_ceil(OVERLAY_PAGE_BYTES));
        let (last, kept) = (len / OVERLAY_PAGE_BYTES, usize::try_from(len % OVERLAY_PAGE_BYTES).unwrap_or(0));
        if let Some(rest) = written.pages.get_mut(&last).and_then(|bytes| bytes.get_mut(kept..)) {
            rest.fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut written = self.written.write().unwrap_or_else(PoisonError::into_inner);
        for (page, within, at, len) in Self::pieces(offset, bytes.len()) {
            if !written.pages.contains_key(&page) {
                let below = self.page_below(page, written.below)?;
                written.pages.insert(page, below);
            }
            let to = written.pages.get_mut(&page).and_then(|page| page.get_mut(within..within + len));
            if let (Some(to), Some(from)) = (to, bytes.get(at..at + len)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    /// Nothing is written to the file, so sharing it is enough.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }
}
