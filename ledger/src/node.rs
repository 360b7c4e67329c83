//! A node: an engine's blocks on their way into the ledger, and the answers on their way back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use plomb_seal::{Hash, transaction, transaction::Kind, tree};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    LedgerError,
    archive::Beside,
    block::Block,
    engine::{Engine, EngineError},
    ledger::{Answer, Ledger},
    state::Refused,
};

/// The most submitted transactions that wait for their answer.
pub const WAITING_MAX: usize = 512;

/// Why a transaction got no answer. It may or may not stand in the log: ask again with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The engine takes nothing.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The node stopped before it could answer.
    #[error("the ledger stopped before it could answer; submit the same transaction again")]
    Stopped,
}

/// Who waits for the answer to a transaction, and what is to be archived with it.
struct Waiting {
    beside: Option<Beside>,
    answers: Vec<oneshot::Sender<Answer>>,
}

/// A node of the ledger.
#[derive(Debug)]
pub struct Node<E> {
    ledger: Arc<Ledger>,
    engine: Arc<E>,
    shared: Arc<Shared>,
    follower: tokio::sync::Mutex<Option<JoinHandle<Result<(), LedgerError>>>>,
    finished: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
}

struct Shared {
    waiting: Mutex<HashMap<Hash, Waiting>>,
    room: Semaphore,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("room", &self.room).finish_non_exhaustive()
    }
}

impl<E: Engine> Node<E> {
    /// Follows the engine from the height after the ledger's last.
    pub fn start(ledger: Arc<Ledger>, engine: E) -> Result<Self, EngineError> {
        let engine = Arc::new(engine);
        let mut blocks = engine.subscribe(ledger.height() + 1)?;
        let shared = Arc::new(Shared { waiting: Mutex::new(HashMap::new()), room: Semaphore::new(WAITING_MAX) });
        let (stop, mut stopping) = watch::channel(false);
        let (ended, finished) = watch::channel(false);
        let (at, with) = (ledger.clone(), shared.clone());
        let follower = tokio::spawn(async move {
            let outcome = loop {
                let block = tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => break Ok(()),
                    block = blocks.next() => block,
                };
                let Some(block) = block else { break Ok(()) };
                let (at, with) = (at.clone(), with.clone());
                // A commit that has begun is finished: nothing here can be cancelled in its middle.
                let delivered = tokio::task::spawn_blocking(move || with.deliver(&at, &block)).await;
                if let Err(error) = delivered.unwrap_or(Err(LedgerError::Stopped)) {
                    break Err(error);
                }
            };
            with.close();
            ended.send_replace(true);
            outcome
        });
        Ok(Self { ledger, engine, shared, follower: tokio::sync::Mutex::new(Some(follower)), finished, stop })
    }

    /// Submits a transaction; waits until its block is durable. The same bytes may be submitted by
    /// several at once: all get the answer.
    pub async fn submit(&self, transaction: Vec<u8>, beside: Option<Beside>) -> Result<Answer, NodeError> {
        self.offer(transaction, beside).await?.answer().await
    }

    /// Submits a transaction; returns when the engine has taken it. What is offered first is ordered first.
    pub async fn offer(&self, transaction: Vec<u8>, beside: Option<Beside>) -> Result<Pending, NodeError> {
        if beside.is_none() && transaction::kind(&transaction) == Ok(Kind::Anchor) {
            let detail = "an anchor comes to the hub with its batch, over MQTT";
            return Ok(Pending(Err(Refused::new("batch-present", detail))));
        }
        let room = self.shared.room.acquire().await.map_err(|_| NodeError::Stopped)?;
        room.forget();
        let receiver = self.shared.wait_for(tree::leaf_hash(&transaction), beside);
        if let Err(error) = self.engine.submit(transaction).await {
            self.shared.room.add_permits(1);
            return Err(error.into());
        }
        Ok(Pending(Ok(receiver)))
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Whether the node has stopped following, be it for a failure.
    pub fn is_finished(&self) -> bool {
        *self.finished.borrow()
    }

    /// Resolves when the node has stopped following.
    pub async fn finished(&self) {
        // An error says that the follower is gone, which is the same.
        let _ = self.finished.clone().wait_for(|finished| *finished).await;
    }

    /// Ends after the present block. Gives the failure that ended it before, if there was one.
    pub async fn stop(&self) -> Result<(), LedgerError> {
        self.stop.send_replace(true);
        match self.follower.lock().await.take() {
            Some(follower) => follower.await.unwrap_or(Err(LedgerError::Stopped)),
            None => Ok(()),
        }
    }
}

/// An answer that is still to come.
#[derive(Debug)]
pub struct Pending(Result<oneshot::Receiver<Answer>, Refused>);

impl Pending {
    /// Waits for it.
    pub async fn answer(self) -> Result<Answer, NodeError> {
        match self.0 {
            Ok(receiver) => receiver.await.map_err(|_| NodeError::Stopped),
            Err(refused) => Ok(Answer::Refused(refused)),
        }
    }
}

impl Shared {
    fn wait_for(&self, leaf: Hash, beside: Option<Beside>) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiting.entry(leaf).or_insert(Waiting { beside: None, answers: Vec::new() });
        entry.answers.push(sender);
        if beside.is_some() {
            entry.beside = beside;
        }
        receiver
    }

    /// Nobody waits any longer, and nobody new is let in.
    fn close(&self) {
        self.room.close();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn deliver(&self, ledger: &Ledger, block: &Block) -> Result<(), LedgerError> {
        let leaves: Vec<Hash> = block.transactions.iter().map(|bytes| tree::leaf_hash(bytes)).collect();
        let beside: Vec<Option<Beside>> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            leaves.iter().map(|leaf| waiting.get_mut(leaf).and_then(|waiting| waiting.beside.take())).collect()
        };
        let answers = ledger.deliver(block, &beside)?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (leaf, answer) in leaves.iter().zip(answers) {
            // Twice in one block: the first answer went to all who waited.
            let Some(waiting) = waiting.remove(leaf) else { continue };
            self.room.add_permits(waiting.answers.len());
            for sender in waiting.answers {
                let _ = sender.send(answer.clone());
            }
        }
        Ok(())
    }
}
