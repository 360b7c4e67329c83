//! Engines: what puts transactions in order.
//!
//! An engine orders bytes and knows no rules. The [`Node`](crate::node::Node) takes its blocks, applies
//! them, and tells submitters what became of theirs. Log, checkpoints and receipts look the same whatever
//! the engine is.
//!
//! The contract that an engine fills:
//! - blocks come in order of height, from the height asked for, each at least once;
//! - a block of a height, once delivered, is the same for ever and at every node;
//! - a transaction that was taken comes in some block, unless the engine stops before;
//! - block times never go back.
//!
//! The ledger's own file is what remembers which block was applied: after a start it asks for the
//! height after the last one that it holds. Blocks that admit nothing leave no trace there, so they may be
//! asked for again.

mod blocks;
mod solo;

use std::future::Future;

pub use blocks::{Blocks, Cutter};
pub use solo::{BLOCK_WINDOW_MS, Solo, SoloConfig};

/// Why an engine does not take a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It has stopped.
    #[error("the engine has stopped")]
    Stopped,
    /// Its one stream of blocks was taken already.
    #[error("the engine's blocks are followed already")]
    Followed,
}

/// What makes an ordered block final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finality {
    /// The word of one process. Nobody else can check it.
    Solo,
    /// The validators' signatures, in the engine's own encoding.
    Quorum(Vec<u8>),
}

/// Puts transactions in order.
pub trait Engine: Send + Sync + 'static {
    /// Offers a transaction. Returns when the engine has taken it, not when it is ordered; waits while the
    /// engine's queue is full.
    fn submit(&self, transaction: Vec<u8>) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// The blocks from this height on.
    fn subscribe(&self, from: u64) -> Result<Blocks, EngineError>;

    /// What makes the block of this height final.
    fn finality(&self, height: u64) -> Finality;
}
