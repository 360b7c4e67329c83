//! The newest checkpoint, never much older than the configured interval.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::{Shared, answer::Objection, respond::blocking};

/// The checkpoint that was served last.
#[derive(Debug)]
pub(super) struct Newest {
    interval: Duration,
    last: Mutex<Option<Served>>,
}

#[derive(Debug)]
struct Served {
    note: String,
    size: u64,
    at: Instant,
}

impl Newest {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: Mutex::default() }
    }

    /// The note. A block's own while it is young, else one that is cosigned anew: that costs a commit, so no more
    /// than one for each interval.
    pub(super) async fn note(&self, shared: &Shared) -> Result<String, Objection> {
        let mut last = self.last.lock().await;
        let head = shared.ledger().head().borrow().clone();
        let note = match last.as_ref() {
            Some(served) if served.size == head.size && served.at.elapsed() < self.interval => {
                return Ok(served.note.clone());
            }
            Some(served) if served.size != head.size => head.note,
            _ => {
                let (ledger, now_ms) = (shared.ledger().clone(), (shared.now_ms)());
                let fresh = blocking(move || Ok(ledger.fresh_checkpoint(now_ms)?)).await?;
                fresh.ok_or_else(|| Objection::not_found("the log is empty"))?
            }
        };
        *last = Some(Served { note: note.clone(), size: head.size, at: Instant::now() });
        Ok(note)
    }
}
