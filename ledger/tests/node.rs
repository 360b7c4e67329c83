//! The node over the solo engine: many submitters, one order, one answer each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;

use common::{NOW_MS, World, deliver, name};
use plomb_ledger::{
    archive::Beside,
    engine::{Engine, EngineError, Finality, Solo, SoloConfig},
    ledger::{Answer, Ledger},
    node::Node,
};
use plomb_seal::Batch;
use redb::{Database, backends::InMemoryBackend};

fn solo() -> Solo {
    Solo::new(SoloConfig { window_ms: 0, now_ms: || NOW_MS })
}

fn ledger(world: &World) -> Arc<Ledger> {
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let ledger = Arc::new(Ledger::with_database(db, world.signers.clone()).unwrap());
    deliver(&ledger, world.genesis());
    ledger
}

fn submission(batch: &Batch) -> (Vec<u8>, Option<Beside>) {
    (batch.anchor().bytes().to_vec(), Some(Beside::new(batch, batch.to_bytes())))
}

#[tokio::test]
async fn what_is_offered_in_order_is_admitted_in_order() {
    let world = World::new();
    let ledger = ledger(&world);
    let (mut gateway, certificate) = world.gateway("gw-1");
    let node = Node::start(ledger.clone(), solo()).unwrap();
    assert!(matches!(node.submit(certificate, None).await, Ok(Answer::Admitted { index: 1 })));
    let batches: Vec<Batch> = (0..300).map(|_| gateway.batch(1)).collect();
    let mut pending = Vec::new();
    for batch in &batches {
        let (anchor, beside) = submission(batch);
        pending.push(node.offer(anchor, beside).await.unwrap());
    }
    for (index, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.answer().await.unwrap(), Answer::Admitted { index: index as u64 + 2 });
    }
    let blocks = ledger.head().borrow().height;
    assert!(blocks < 100, "{blocks} blocks for 301 transactions: nothing was grouped");
    assert_eq!(node.engine().finality(blocks), Finality::Solo);
    node.stop().await.unwrap();
    assert_eq!(ledger.replay().unwrap(), *ledger.state());
}

#[tokio::test]
async fn the_same_transaction_from_many_gets_one_place_and_everyone_an_answer() {
    let world = World::new();
    let ledger = ledger(&world);
    let (mut gateway, certificate) = world.gateway("gw-1");
    deliver(&ledger, certificate);
    let node = Arc::new(Node::start(ledger.clone(), solo()).unwrap());
    let batch = gateway.batch(2);
    let all: Vec<_> = (0..20)
        .map(|_| {
            let (node, (anchor, beside)) = (node.clone(), submission(&batch));
            tokio::spawn(async move { node.submit(anchor, beside).await })
        })
        .collect();
    for one in all {
        assert!(matches!(one.await.unwrap(), Ok(Answer::Admitted { index: 2 } | Answer::Known { index: 2 })));
    }
    assert_eq!(ledger.head().borrow().size, 3);
    assert_eq!(ledger.archived(&name("gw-1"), (0, 0)).unwrap().unwrap().bytes, Some(batch.to_bytes()));
}

#[tokio::test]
async fn an_anchor_without_its_batch_is_not_taken_here() {
    let world = World::new();
    let ledger = ledger(&world);
    let (mut gateway, certificate) = world.gateway("gw-1");
    deliver(&ledger, certificate);
    let node = Node::start(ledger, solo()).unwrap();
    match node.submit(gateway.batch(1).anchor().bytes().to_vec(), None).await {
        Ok(Answer::Refused(refused)) => assert_eq!(refused.rule, "batch-present"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn solo_is_followed_once() {
    let engine = solo();
    let _first = engine.subscribe(1).unwrap();
    assert_eq!(engine.subscribe(1).unwrap_err(), EngineError::Followed);
}
