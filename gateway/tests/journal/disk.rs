//! A disk that loses power, and one that fills up.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;

const SECTOR_BYTES: usize = 512;

/// What a power cut leaves of the writes since the last sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    None,
    /// All: the sync failed, and the bytes are there.
    All,
    /// Some writes, in whole.
    Some(u64),
    /// Some sectors.
    Torn(u64),
}

#[derive(Debug, Clone)]
enum Write {
    Len(usize),
    Bytes(usize, Vec<u8>),
}

#[derive(Debug, Default)]
struct State {
    durable: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<Write>,
    syncs: u64,
    cut_at_sync: Option<u64>,
    len_max: Option<u64>,
    dead: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { durable: bytes.clone(), seen: bytes, ..State::default() })))
    }

    pub fn cut_at_sync(&self, number: u64) {
        self.0.lock().unwrap().cut_at_sync = Some(number);
    }

    pub fn set_len_max(&self, len: Option<u64>) {
        self.0.lock().unwrap().len_max = len;
    }

    pub fn len_now(&self) -> u64 {
        self.0.lock().unwrap().seen.len() as u64
    }

    pub fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    pub fn is_dead(&self) -> bool {
        self.0.lock().unwrap().dead
    }

    /// What stands on the disk after the power is back.
    pub fn after(&self, cut: Cut) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut image = state.durable.clone();
        let mut random = match cut {
            Cut::Some(seed) | Cut::Torn(seed) => seed | 1,
            Cut::None | Cut::All => 1,
        };
        for write in &state.unsynced {
            match (cut, write) {
                (Cut::None, _) => {}
                (Cut::All, write) => apply(&mut image, write),
                (Cut::Some(_), write) => {
                    if chance(&mut random) {
                        apply(&mut image, write);
                    }
                }
                (Cut::Torn(_), Write::Len(_)) => apply(&mut image, write),
                (Cut::Torn(_), Write::Bytes(offset, bytes)) => {
                    for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if chance(&mut random) {
                            apply(&mut image, &Write::Bytes(offset + index * SECTOR_BYTES, sector.to_vec()));
                        }
                    }
                }
            }
        }
        image
    }

    fn alive(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let state = self.0.lock().unwrap();
        if state.dead { Err(io::Error::other("the power is gone")) } else { Ok(state) }
    }
}

/// xorshift64: half of the time.
fn chance(random: &mut u64) -> bool {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random & 0x10 != 0
}

fn apply(image: &mut Vec<u8>, write: &Write) {
    match write {
        Write::Len(len) => image.resize(*len, 0),
        Write::Bytes(offset, bytes) => {
            let end = offset + bytes.len();
            if image.len() < end {
                image.resize(end, 0);
            }
            image[*offset..end].copy_from_slice(bytes);
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.alive()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.alive()?;
        let start = offset as usize;
        let from = state.seen.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.alive()?;
        if state.len_max.is_some_and(|max| len > max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let write = Write::Len(len as usize);
        apply(&mut state.seen, &write);
        state.unsynced.push(write);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.alive()?;
        state.syncs += 1;
        if state.cut_at_sync == Some(state.syncs) {
            state.dead = true;
            return Err(io::Error::other("the power fails"));
        }
        state.unsynced.clear();
        state.durable = state.seen.clone();
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.alive()?;
        let write = Write::Bytes(offset as usize, bytes.to_vec());
        apply(&mut state.seen, &write);
        state.unsynced.push(write);
        Ok(())
    }
}
