//! What was read after a command: the first record of its point behind the entry that the outcome names. It joins a
//! command, its outcome and the reading taken after it in one look-up.

use plomb_seal::{Batch, Body, Entry, Name, Signed, Unverified};

use crate::{LedgerError, ledger::Ledger};

/// How many batches are looked through from the one with the entry on: the reading is in the same, or in the next.
const BATCHES_LOOKED_AT_MAX: usize = 16;

impl Ledger {
    /// The first record of a point behind an entry of its gateway (epoch, number), if a batch with it is in the archive.
    /// What is archived was verified before it was admitted.
    pub fn reading_after(
        &self,
        gateway: &Name,
        point: &Name,
        (epoch, seq): (u32, u64),
    ) -> Result<Option<Signed<Entry>>, LedgerError> {
        let mut number = self.batch_with(gateway, (epoch, seq))?;
        for _ in 0..BATCHES_LOOKED_AT_MAX {
            let Some(found) = self.archived(gateway, (epoch, number))?.filter(|found| found.epoch == epoch) else {
                return Ok(None);
            };
            let bytes = found.bytes.unwrap_or_default();
            let entries = Batch::split(&bytes).map(|(_, entries)| entries).unwrap_or_default();
            for entry in entries {
                let Ok(entry) = Unverified::<Entry>::parse(entry) else { continue };
                let is_of_point = matches!(&entry.claims().body, Body::Record(link, _) if link.point == *point);
                if entry.claims().seq > seq && is_of_point {
                    return Ok(Some(entry.trust_own()));
                }
            }
            number = found.batch.saturating_add(1);
        }
        Ok(None)
    }

    /// The number of the last batch that begins at an entry or before it.
    fn batch_with(&self, gateway: &Name, (epoch, seq): (u32, u64)) -> Result<u64, LedgerError> {
        let begins_before = |number: u64| -> Result<bool, LedgerError> {
            let found = self.archived(gateway, (epoch, number))?.filter(|found| found.epoch == epoch);
            let bytes = found.and_then(|found| found.bytes).unwrap_or_default();
            let anchor = Batch::split(&bytes).ok().and_then(|(anchor, _)| crate::ledger::claimed_anchor(anchor));
            Ok(anchor.is_some_and(|anchor| anchor.first_seq <= seq))
        };
        // Doubled until it lies behind, then halved: batches of an epoch are numbered without a hole.
        let (mut low, mut high) = (0u64, 1u64);
        while high < u64::MAX / 2 && begins_before(high)? {
            (low, high) = (high, high.saturating_mul(2));
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if begins_before(middle)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
