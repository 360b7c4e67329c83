//! Tiles: the log as C2SP tlog-tiles has it. Pure: paths to places, and a log to bytes.

use crate::{LedgerError, ledger::Ledger, log};

/// Hashes, or entries, in a full tile.
pub(super) const TILE_WIDTH: u64 = 256;
/// Levels of the tree in one level of tiles: 2 to this is [`TILE_WIDTH`].
const TILE_HEIGHT: u32 = 8;
/// The highest level that the specification allows.
const LEVEL_MAX: u32 = 63;
/// The most elements of a tile's index: an index of 64 bits has 20 digits, three in each.
const INDEX_ELEMENTS_MAX: usize = 7;

/// One tile of hashes, or one bundle of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    /// The level of its hashes; `None` for entries.
    pub(super) level: Option<u32>,
    /// Its index in the level.
    pub(super) index: u64,
    /// How many of it: 256, or fewer of a partial tile.
    pub(super) width: u64,
}

impl Tile {
    /// From what follows `/tile/`: `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. Only the one way of writing each.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        let (level, rest) = path.split_once('/')?;
        let level = match level {
            "entries" => None,
            digits => Some(number(digits).and_then(|level| u32::try_from(level).ok()).filter(|l| *l <= LEVEL_MAX)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((index, width)) => (index, number(width).filter(|width| (1..TILE_WIDTH).contains(width))?),
        };
        Some(Self { level, index: index_of(index)?, width })
    }

    /// Its bytes, out of a log of this size; `None` if the log has not so much.
    pub(super) fn read(self, ledger: &Ledger, size: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let height = self.level.unwrap_or(0).saturating_mul(TILE_HEIGHT);
        let there = size.checked_shr(height).unwrap_or(0);
        let Some(first) = self.index.checked_mul(TILE_WIDTH) else { return Ok(None) };
        let Some(end) = first.checked_add(self.width).filter(|end| *end <= there) else { return Ok(None) };
        let log = log::Reader::open(&ledger.begin_read()?)?;
        let mut bytes = Vec::new();
        for place in first..end {
            match self.level {
                Some(_) => bytes.extend_from_slice(&log.subtree(height, place)?.0),
                None => bundle(&mut bytes, place, log.leaf(place)?)?,
            }
        }
        Ok(Some(bytes))
    }
}

/// An entry behind its length in 16 bits.
fn bundle(out: &mut Vec<u8>, index: u64, entry: Option<Vec<u8>>) -> Result<(), LedgerError> {
    let entry = entry.ok_or_else(|| LedgerError::Damaged(format!("transaction {index} has no bytes")))?;
    let length = u16::try_from(entry.len());
    let length = length.map_err(|_| LedgerError::Damaged(format!("transaction {index} is longer than 65535 bytes")))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&entry);
    Ok(())
}

/// A decimal number without leading zeros.
fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok()).flatten()
}

/// `x001/x234/067` is 1234067.
fn index_of(path: &str) -> Option<u64> {
    let elements: Vec<&str> = path.split('/').take(INDEX_ELEMENTS_MAX + 1).collect();
    let (last, before) = elements.split_last()?;
    if elements.len() > INDEX_ELEMENTS_MAX || before.first().is_some_and(|first| *first == "x000") {
        return None;
    }
    let before = before.iter().map(|element| element.strip_prefix('x'));
    before.chain([Some(*last)]).try_fold(0u64, |index, digits| {
        let digits = digits.filter(|digits| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        index.checked_mul(1000)?.checked_add(digits.parse().ok()?)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_tile_and_has_one_way_of_writing() {
        let tile = |level, index, width| Some(Tile { level, index, width });
        assert_eq!(Tile::from_path("0/000"), tile(Some(0), 0, 256));
        assert_eq!(Tile::from_path("63/067"), tile(Some(63), 67, 256));
        assert_eq!(Tile::from_path("1/x001/x234/067"), tile(Some(1), 1_234_067, 256));
        assert_eq!(Tile::from_path("entries/x001/234.p/9"), tile(None, 1234, 9));
        assert_eq!(Tile::from_path("0/255.p/255"), tile(Some(0), 255, 255));
        let most = "0/x018/x446/x744/x073/x709/x551/615";
        assert_eq!(Tile::from_path(most), tile(Some(0), u64::MAX, 256));
        for wrong in [
            "",
            "0",
            "0/",
            "00/000",
            "01/000",
            "64/000",
            "-1/000",
            "+1/000",
            "x/000",
            "0/0",
            "0/0000",
            "0/x001",
            "0/001/000",
            "0/x000/001",
            "0/x01/000",
            "0/+01",
            "0/000.p",
            "0/000.p/",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/1/",
            "0/000.p/1.p/1",
            "0/000/",
            "entries",
            "entries/",
            "Entries/000",
            "0//000",
            "0/x018/x446/x744/x073/x709/x551/616",
            "0/x001/x018/x446/x744/x073/x709/x551/615",
            "0/000.q/1",
        ] {
            assert_eq!(Tile::from_path(wrong), None, "{wrong}");
        }
    }
}
