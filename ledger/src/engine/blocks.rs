//! The stream of blocks from an engine to who follows it, with word of when the follower is ready.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::block::Block;

/// Blocks that are ordered but not taken.
const BLOCKS_AHEAD_MAX: usize = 1;

/// What a follower takes blocks from.
#[derive(Debug)]
pub struct Blocks {
    blocks: mpsc::Receiver<Block>,
    wanted: Arc<Notify>,
}

/// What an engine gives blocks to.
#[derive(Debug)]
pub struct Cutter {
    blocks: mpsc::Sender<Block>,
    wanted: Arc<Notify>,
}

impl Blocks {
    /// Both ends.
    pub fn channel() -> (Cutter, Self) {
        let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD_MAX);
        let wanted = Arc::new(Notify::new());
        (Cutter { blocks: sender, wanted: wanted.clone() }, Self { blocks: receiver, wanted })
    }

    /// The next block; `None` when there will be none. Says that the follower is done with the one before.
    pub async fn next(&mut self) -> Option<Block> {
        self.wanted.notify_one();
        self.blocks.recv().await
    }
}

impl Cutter {
    /// Resolves when the follower waits for a block: one that is cut earlier would only be smaller. False when the
    /// follower is gone.
    pub async fn wanted(&self) -> bool {
        tokio::select! {
            () = self.wanted.notified() => true,
            () = self.blocks.closed() => false,
        }
    }

    /// Gives a block. False when the follower is gone.
    pub async fn give(&self, block: Block) -> bool {
        self.blocks.send(block).await.is_ok()
    }
}
