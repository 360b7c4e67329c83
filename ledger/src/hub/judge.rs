//! A batch as it comes from the broker: read, compared with its topic, and checked signature by signature.

use plomb_seal::{Anchor, Batch, BatchError, Hash, Name, Refusal, Unverified, note::Note, topic};

use crate::{LedgerError, archive::Beside, ledger::Ledger, state::Refused};

/// What a batch turned out to be.
#[derive(Debug)]
pub(crate) enum Judged {
    /// Its anchor stands in the log already.
    Known { gateway: Name, anchor: Hash },
    /// All fits; the ledger decides.
    Fit { about: About, anchor: Vec<u8>, beside: Beside },
    /// It is not what it should be.
    Refused(Refusal),
    /// It names a checkpoint of this very log that the log has not come to.
    Ahead { refusal: Refusal, seen: u64, size: u64 },
    /// Its topic names no gateway: nobody to answer to.
    Nameless,
}

/// Which anchor is spoken of.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) gateway: Name,
    pub(crate) epoch: u32,
    pub(crate) batch: u64,
    pub(crate) anchor: Hash,
}

impl About {
    pub(crate) fn refusal(&self, refused: Refused) -> Refusal {
        let Self { gateway, epoch, batch, anchor } = self.clone();
        Refusal { gateway, epoch, batch, anchor, rule: refused.rule.into(), detail: refused.detail }
    }
}

/// Judges a batch. Takes a signature check for each entry: not for the runtime's own threads.
pub(crate) fn judge(ledger: &Ledger, topic: &str, payload: Vec<u8>, now_ms: i64) -> Result<Judged, LedgerError> {
    let Some(gateway) = topic::gateway_of(topic) else {
        return Ok(Judged::Nameless);
    };
    let nothing = About { gateway: gateway.clone(), epoch: 0, batch: 0, anchor: Hash::ZERO };
    let (anchor, about, key_id) = match read_anchor(&payload) {
        Ok((anchor, parsed)) => {
            let claims = parsed.claims();
            let about =
                About { gateway: gateway.clone(), epoch: claims.epoch, batch: claims.batch, anchor: parsed.hash() };
            if claims.gateway != gateway {
                let detail = format!("the anchor is of {}; each gateway sends its own batches", claims.gateway);
                return Ok(Judged::Refused(about.refusal(Refused::new("batch-gateway", detail))));
            }
            (anchor.to_vec(), about, parsed.key_id())
        }
        Err(error) => return Ok(Judged::Refused(nothing.refusal(batch_verifies(&error)))),
    };
    // A receipt speaks of the anchor alone, and the archive keeps the entries that came first.
    if ledger.index_of(&about.anchor)?.is_some() {
        return Ok(Judged::Known { gateway, anchor: about.anchor });
    }
    let found = ledger.state().gateway_certificate(&gateway, key_id, now_ms).map(|record| record.key);
    let key = match found {
        Ok(key) => key,
        Err(refused) => return Ok(Judged::Refused(about.refusal(refused))),
    };
    let batch = match Batch::verify(&payload, &key) {
        Ok(batch) => batch,
        Err(error) => return Ok(Judged::Refused(about.refusal(batch_verifies(&error)))),
    };
    if let Some((seen, size)) = beyond_the_log(ledger, &batch) {
        let detail = format!(
            "the gateway holds a checkpoint of {seen} transactions, this ledger has {size}: an older copy of the \
             ledger was put back; nothing can be anchored until its operator mends that"
        );
        return Ok(Judged::Ahead { refusal: about.refusal(Refused::new("anchor-checkpoint", detail)), seen, size });
    }
    Ok(Judged::Fit { beside: Beside::new(&batch, payload), anchor, about })
}

/// The size of the checkpoint that a verified batch names, and of the log, if the log is smaller and yet signed
/// it. Asked before the rules: they would find a chain that does not follow, and not say why.
fn beyond_the_log(ledger: &Ledger, batch: &Batch) -> Option<(u64, u64)> {
    let note = Note::parse(batch.anchor().statement().checkpoint.as_deref()?).ok()?;
    let (seen, size) = (note.checkpoint().ok()?.size, ledger.head().borrow().size);
    let signed = ledger.signers().log_key().check(&note).is_ok_and(|signed| signed.is_some());
    (signed && seen > size).then_some((seen, size))
}

fn read_anchor(payload: &[u8]) -> Result<(&[u8], Unverified<'_, Anchor>), BatchError> {
    let (anchor, _) = Batch::split(payload)?;
    Ok((anchor, Unverified::parse(anchor).map_err(BatchError::Anchor)?))
}

/// Rule `batch-verifies`: every signature, the chain within, the root and the head.
fn batch_verifies(error: &BatchError) -> Refused {
    Refused::new("batch-verifies", format!("{error}; rebuild the batch from the journal and send it again"))
}
