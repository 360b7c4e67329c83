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
        let room = |transactions: &Vec<Vec<u8>>| transactions.len() < BLOCK_TRANSACTIONS_MAX;
        while room(&transactions)
            && let Ok(next) = queue.try_recv()
        {
            transactions.push(next);
        }
        // A timer rounds up to a millisecond, even one of none.
        let closes = Instant::now() + Duration::from_millis(config.window_ms);
        while config.window_ms > 0 && room(&transactions) {
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn offer(solo: &Solo, many: usize) {
        for n in 0..many {
            solo.submit(n.to_be_bytes().to_vec()).await.unwrap();
        }
    }

    /// Without a window: what came while the follower was busy makes one block, and who comes alone does not wait.
    #[tokio::test(start_paused = true)]
    async fn a_block_is_what_came_while_the_one_before_was_committed() {
        let solo = Solo::new(SoloConfig { window_ms: 0, now_ms: || 7 });
        let mut blocks = solo.subscribe(1).unwrap();
        let began = Instant::now();
        let mut sizes = Vec::new();
        for many in [10, 1, 5, 1] {
            offer(&solo, many).await;
            let block = blocks.next().await.unwrap();
            assert_eq!(block.height, sizes.len() as u64 + 1);
            sizes.push(block.transactions.len());
        }
        assert_eq!((sizes, began.elapsed()), (vec![10, 1, 5, 1], Duration::ZERO), "no timer ran");
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_is_bounded_and_a_window_gathers() {
        let solo = Solo::new(SoloConfig { window_ms: 50, now_ms: || 7 });
        let mut blocks = solo.subscribe(1).unwrap();
        offer(&solo, QUEUE_TRANSACTIONS_MAX).await;
        assert_eq!(blocks.next().await.unwrap().transactions.len(), BLOCK_TRANSACTIONS_MAX);
        offer(&solo, 1).await;
        let late = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            offer(&solo, 1).await;
        };
        let (block, ()) = tokio::join!(blocks.next(), late);
        assert_eq!(block.unwrap().transactions.len(), 2);
    }
}
