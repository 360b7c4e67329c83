//! Rules of anchors.

use plomb_seal::{
    Anchor, Hash,
    note::{Checkpoint, Note, VerifierKey},
};

use super::super::{GatewayRecord, Refused};

/// The most epochs that a gateway passes at once: each was one restart on a lost or restored journal, of which
/// nothing was ever anchored.
const EPOCHS_AT_ONCE_MAX: u32 = 1_000;

/// `anchor-no-fork`: no other anchor holds this number.
pub(in crate::state) fn anchor_no_fork(anchor: &Anchor, held: Option<Hash>) -> Result<(), Refused> {
    match held {
        None => Ok(()),
        Some(other) => Err(Refused::new(
            "anchor-no-fork",
            format!(
                "epoch {} batch {} of {} is anchored as {other}: the chain was forked; begin a new epoch",
                anchor.epoch, anchor.batch, anchor.gateway
            ),
        )),
    }
}

/// `anchor-continuous`: the next number, from the next entry, after the last anchor; or the first of a
/// later epoch.
pub(in crate::state) fn anchor_continuous(last: Option<&GatewayRecord>, anchor: &Anchor) -> Result<(), Refused> {
    let wrong = |detail: String| Err(Refused::new("anchor-continuous", detail));
    let same_epoch = last.filter(|last| last.epoch == anchor.epoch);
    if let Some(last) = last.filter(|last| anchor.epoch < last.epoch) {
        return wrong(format!("epoch {} is closed: epoch {} has begun; begin a new one", anchor.epoch, last.epoch));
    }
    // A new epoch may skip numbers: epochs can pass of which nothing was ever anchored.
    let (batch, first_seq) = match same_epoch {
        Some(last) => (last.batch.checked_add(1), last.last_seq.checked_add(1)),
        None => (Some(0), Some(0)),
    };
    let previous = last.map_or(Hash::ZERO, |last| last.anchor);
    if Some(anchor.batch) != batch || Some(anchor.first_seq) != first_seq {
        let (batch, first_seq) = (batch.unwrap_or(u64::MAX), first_seq.unwrap_or(u64::MAX));
        return wrong(format!(
            "batch {} from entry {} does not follow; epoch {} goes on with batch {batch} from entry {first_seq}",
            anchor.batch, anchor.first_seq, anchor.epoch
        ));
    }
    if anchor.previous != previous {
        return wrong(format!("the anchor before is {previous}, not {}", anchor.previous));
    }
    Ok(())
}

/// `anchor-epoch`: a new epoch is not far beyond the last. Whoever holds a stolen key for a moment can't use up
/// the numbers, and with them the gateway's name for ever.
pub(in crate::state) fn anchor_epoch(last: Option<&GatewayRecord>, anchor: &Anchor) -> Result<(), Refused> {
    let highest = last.map_or(0, |last| last.epoch).saturating_add(EPOCHS_AT_ONCE_MAX);
    if anchor.epoch <= highest {
        return Ok(());
    }
    let detail = format!(
        "epoch {} is more than {EPOCHS_AT_ONCE_MAX} beyond the last; if nobody else holds this gateway's key, \
         its journal is damaged",
        anchor.epoch
    );
    Err(Refused::new("anchor-epoch", detail))
}

/// `anchor-checkpoint`: the checkpoint that the anchor names is signed by this log.
pub(in crate::state) fn anchor_checkpoint_signed(note: &str, log: &VerifierKey) -> Result<Checkpoint, Refused> {
    let wrong = |detail: String| Refused::new("anchor-checkpoint", detail);
    let note = Note::parse(note).map_err(|error| wrong(error.to_string()))?;
    let checkpoint = note.checkpoint().map_err(|error| wrong(error.to_string()))?;
    match log.check(&note) {
        Ok(Some(_)) if checkpoint.origin == log.name => Ok(checkpoint),
        Ok(_) => Err(wrong(format!("the checkpoint of \"{}\" is not signed by this ledger's log", checkpoint.origin))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// `anchor-checkpoint`: it is no larger than the log.
pub(in crate::state) fn anchor_checkpoint_present(checkpoint: &Checkpoint, size: u64) -> Result<(), Refused> {
    if checkpoint.size <= size {
        return Ok(());
    }
    Err(Refused::new(
        "anchor-checkpoint",
        format!(
            "the checkpoint speaks of {} transactions, the log has {size}: this ledger lost some. Was an older \
             ledger.redb put back?",
            checkpoint.size
        ),
    ))
}

/// `anchor-checkpoint`: it is not dated after the block. Else the receipt would say that the anchor was on the
/// ledger before the gateway could have made it, and every verifier would find the evidence at odds with itself.
pub(in crate::state) fn anchor_checkpoint_dated(
    note: &str,
    witness: &VerifierKey,
    time_ms: i64,
) -> Result<(), Refused> {
    let wrong = |detail: String| Refused::new("anchor-checkpoint", detail);
    let note = Note::parse(note).map_err(|error| wrong(error.to_string()))?;
    let dated_s = witness.check(&note).map_err(|error| wrong(error.to_string()))?;
    let block_s = u64::try_from(time_ms.div_euclid(1000)).unwrap_or(0);
    match dated_s.map(|dated_s| dated_s.saturating_sub(block_s)) {
        None | Some(0) => Ok(()),
        Some(ahead_s) => Err(wrong(format!(
            "the checkpoint is dated {ahead_s} s after this block: the hub's clock was wrong when it gave that out; \
             the batch is taken when the ledger's time has come so far"
        ))),
    }
}

/// `anchor-checkpoint`: its root is the log's at that size.
pub(in crate::state) fn anchor_checkpoint_root(checkpoint: &Checkpoint, root: &Hash) -> Result<(), Refused> {
    if checkpoint.root == *root {
        return Ok(());
    }
    let detail =
        format!("the log's root at size {} is {root}, the checkpoint says {}", checkpoint.size, checkpoint.root);
    Err(Refused::new("anchor-checkpoint", detail))
}
