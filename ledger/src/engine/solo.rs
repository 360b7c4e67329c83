//! The engine of one process: what arrives first stands first.
//!
//! Solo is tamper-evident, not Byzantine-tolerant. Whoever runs it can refuse to order, or run two ledgers
//! of one name; the signed checkpoints then prove it, to those who compare theirs. It keeps nothing on
//! disk: a block that the ledger has not committed never existed.
//!
//! Blocks group themselves: one is cut when the ledger is ready for it, of all that came while the one before was
//! committed. Who comes alone waits for nobody; under load a commit serves many.

use std::sync::Mutex;

use tokio::{
    sync::mpsc,
    time::{Duration, Instant, timeout_at},
};

use crate::block::{BLOCK_TRANSACTIONS_MAX, Block};

use super::{Blocks, Cutter, Engine, EngineError, Finality};

/// How long a block waits for more transactions than have come, in milliseconds.
pub const BLOCK_WINDOW_MS: u64 = 0;
/// The most transactions that wait for a block.
const QUEUE_TRANSACTIONS_MAX: usize = 256;

/// How blocks are cut, and by whose clock they are dated.
#[derive(Debug, Clone, Copy)]
pub struct SoloConfig {
    /// How long a block waits for more transactions than have come, in milliseconds. 0 for not at all.
    pub window_ms: u64,
    /// The clock: Unix milliseconds.
    pub now_ms: fn() -> i64,
}

/// The engine of one process.
#[derive(Debug)]
pub struct Solo {
    submit: mpsc::Sender<Vec<u8>>,
    queue: Mutex<Option<mpsc::Receiver<Vec<u8>>>>,
    config: SoloConfig,
}

impl Solo {
    /// An engine that orders nothing until somebody follows it.
    pub fn new(config: SoloConfig) -> Self {
        let (submit, queue) = mpsc::channel(QUEUE_TRANSACTIONS_MAX);
        Self { submit, queue: Mutex::new(Some(queue)), config }
    }
}

impl Engine for Solo {
    async fn submit(&self, transaction: Vec<u8>) -> Result<(), EngineError> {
        self.submit.send(transaction).await.map_err(|_| EngineError::Stopped)
    }

    /// Starts the ordering; must be called within a tokio runtime.
    fn subscribe(&self, from: u64) -> Result<Blocks, EngineError> {
        let mut queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let queue = queue.take().ok_or(EngineError::Followed)?;
        let (blocks, follower) = Blocks::channel();
        tokio::spawn(order(queue, blocks, from, self.config));
        Ok(follower)
    }

    fn finality(&self, _height: u64) -> Finality {
        Finality::Solo
    }
}

async fn order(mut queue: mpsc::Receiver<Vec<u8>>, blocks: Cutter, from: u64, config: SoloConfig) {
    let mut height = from;
    let mut time_ms = i64::MIN;
    while blocks.wanted().await {
        let Some(first) = queue.recv().await else { return };
        let mut transactions = vec![first];
        let closes = Instant::now() + Duration::from_millis(config.window_ms);
        while transactions.len() < BLOCK_TRANSACTIONS_MAX {
            // Takes what is there before it looks at the time.
            match timeout_at(closes, queue.recv()).await {
                Ok(Some(next)) => transactions.push(next),
                Ok(None) | Err(_) => break,
            }
        }
        time_ms = time_ms.max((config.now_ms)());
        if !blocks.give(Block { height, time_ms, transactions }).await {
            return;
        }
        height += 1;
    }
}
