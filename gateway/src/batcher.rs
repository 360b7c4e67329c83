//! Closes batches: at a number of entries, or at an age of the oldest.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Notify, watch},
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use crate::{
    config,
    journal::{Checkpoint, Journal, JournalError, Limits},
};

/// What the batcher and the uplink share.
#[derive(Debug, Default)]
pub struct Anchoring {
    /// The newest checkpoint of the ledger that was verified.
    pub checkpoint: Mutex<Option<Checkpoint>>,
    /// Rung when a batch was closed.
    pub closed: Notify,
    /// Rung when a batch is to be closed at once.
    pub now: Notify,
}

/// Closes batches until told to stop; then closes the last one.
pub async fn run(
    journal: Journal,
    config: config::Batch,
    anchoring: Arc<Anchoring>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), JournalError> {
    let age = Duration::from_secs_f64(config.age_s);
    let mut head = journal.head();
    let mut oldest: Option<Instant> = None;
    loop {
        let waiting = waiting_entries(&journal, &head)?;
        if waiting == 0 {
            oldest = None;
        } else if waiting >= config.entries as u64 || oldest.is_some_and(|since| since.elapsed() >= age) {
            close(&journal, &config, &anchoring).await?;
            continue;
        } else if oldest.is_none() {
            oldest = Some(Instant::now());
        }
        let deadline = oldest.map_or_else(|| Instant::now() + Duration::from_secs(3600), |since| since + age);
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return Ok(()) },
            () = sleep_until(deadline) => {}
            () = anchoring.now.notified() => drop(close(&journal, &config, &anchoring).await?),
            _ = stop.changed() => return Ok(()),
        }
    }
}

/// Closes one batch now, if there is anything to close.
pub async fn close(journal: &Journal, config: &config::Batch, anchoring: &Anchoring) -> Result<bool, JournalError> {
    let checkpoint = anchoring.checkpoint.lock().await.clone();
    let limits = Limits { entries_max: config.entries, checkpoint: checkpoint.clone(), ..Limits::default() };
    let Some(anchor) = journal.close_batch(limits).await? else { return Ok(false) };
    let stated = anchor.statement();
    if let Some(Checkpoint { witnessed_s, .. }) = checkpoint.filter(|_| stated.checkpoint.is_none()) {
        warn!(
            witnessed_s,
            "the hub's newest checkpoint is dated after this gateway's clock: the anchor does not name it"
        );
    }
    info!(epoch = stated.epoch, batch = stated.batch, first = stated.first_seq, count = stated.count, "batch closed");
    anchoring.closed.notify_waiters();
    Ok(true)
}

fn waiting_entries(journal: &Journal, head: &watch::Receiver<crate::journal::Head>) -> Result<u64, JournalError> {
    let next_seq = head.borrow().next_seq;
    let anchored = journal.stats()?.anchored_seq;
    Ok(next_seq.saturating_sub(anchored))
}
