//! The judgement of a transaction, kind by kind: which rules are asked in which order, and what an admitted one
//! writes.
//!
//! The order is the same everywhere: form, ledger, author, signature, then what the statement asks for. So whoever
//! may not speak learns no more than that.

mod orders;
mod parties;

use plomb_seal::{Anchor, Malformed, Statement, Unverified, transaction, transaction::Kind};

use super::{Admission, Change, Context, GatewayRecord, History, Refused, State, Stop, rules};

impl State {
    pub(super) fn judge<H: History>(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        history: &H,
    ) -> Result<Admission, Stop<H::Error>> {
        rules::transaction_size(transaction)?;
        let kind = transaction::kind(transaction).map_err(|error| transaction_form(&error))?;
        rules::genesis_first(self, kind)?;
        match kind {
            Kind::Genesis => Ok(self.judge_genesis(transaction)?),
            Kind::Member => Ok(self.judge_vote(transaction, context)?),
            Kind::Certificate => Ok(self.judge_certificate(transaction, context)?),
            Kind::Anchor => self.judge_anchor(transaction, context, history),
            Kind::SealingKey => Ok(self.judge_sealing_key(transaction, context)?),
            Kind::Config => Ok(self.judge_config(transaction, context, history.size())?),
            Kind::Command => Ok(self.judge_command(transaction, context, history.size())?),
            Kind::Approval => self.judge_approval(transaction, context, history),
            Kind::Outcome => self.judge_outcome(transaction, context, history),
        }
    }

    fn judge_anchor<H: History>(
        &self,
        transaction: &[u8],
        context: Context<'_>,
        history: &H,
    ) -> Result<Admission, Stop<H::Error>> {
        let parsed = read::<Anchor>(transaction)?;
        let certificate = self.gateway_certificate(&parsed.claims().gateway, parsed.key_id(), context.time_ms)?;
        let signed = parsed.verify(&certificate.key).map_err(|error| signature(&error))?;
        let anchor = signed.statement();
        let held = history.anchor(&anchor.gateway, anchor.epoch, anchor.batch).map_err(Stop::History)?;
        rules::anchor_no_fork(anchor, held)?;
        rules::anchor_continuous(self.gateway(&anchor.gateway), anchor)?;
        rules::anchor_epoch(self.gateway(&anchor.gateway), anchor)?;
        if let Some(note) = &anchor.checkpoint {
            let checkpoint = rules::anchor_checkpoint_signed(note, context.log)?;
            rules::anchor_checkpoint_present(&checkpoint, history.size())?;
            rules::anchor_checkpoint_dated(note, context.witness, context.time_ms)?;
            let root = history.root(checkpoint.size).map_err(Stop::History)?;
            rules::anchor_checkpoint_root(&checkpoint, &root)?;
        }
        let record = GatewayRecord {
            epoch: anchor.epoch,
            batch: anchor.batch,
            last_seq: anchor.last_seq(),
            anchor: signed.hash(),
            head: anchor.head,
            closed_ms: anchor.closed_ms,
            anchored_ms: context.time_ms,
        };
        Ok(Admission { changes: vec![Change::Gateway(anchor.gateway.clone(), record)], line: None })
    }
}

fn read<T: Statement>(transaction: &[u8]) -> Result<Unverified<'_, T>, Refused> {
    Unverified::parse(transaction).map_err(|error| transaction_form(&error))
}

/// A statement with something sealed in it: too much of that breaks a rule of its own.
fn read_sealed<'a, T: Statement>(rule: &'static str, transaction: &'a [u8]) -> Result<Unverified<'a, T>, Refused> {
    let parsed = Unverified::parse(transaction);
    parsed.map_err(|error| rules::too_large(rule, &error).unwrap_or_else(|| transaction_form(&error)))
}

/// Rule `transaction-form`: the bytes are a transaction of a known kind and version.
fn transaction_form(error: &Malformed) -> Refused {
    Refused::new("transaction-form", format!("{error}; the sender's program is broken or too new for this ledger"))
}

/// Rule `signature`: the key that the header names made the signature.
fn signature(error: &Malformed) -> Refused {
    Refused::new("signature", error.to_string())
}
