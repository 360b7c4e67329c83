//! The power fails at every sync in turn, and a part of what was not synced is lost. After each failure:
//! log, state, history and archive agree, and whatever was answered is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)] // the disk of this test is small

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
};

use common::{NOW_MS, World, deliver, name};
use plomb_ledger::{
    LedgerError,
    archive::Beside,
    block::Block,
    ledger::{Answer, Ledger},
};
use plomb_seal::{
    Batch, Hash, Name, Policy, Receipt, Signed,
    transaction::{Config, Effect, Outcome, Priority, Role, SealingKey},
};
use redb::{Database, StorageBackend};

/// A disk whose power can fail.
#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    /// What a reader sees now.
    cached: Vec<u8>,
    /// What survives.
    durable: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<Write>,
    syncs: usize,
    /// The sync at which the power fails.
    fails_at: usize,
    /// Chooses which of the pending writes survive.
    luck: u64,
}

#[derive(Debug)]
enum Write {
    Length(u64),
    Bytes(u64, Vec<u8>),
}

fn write_to(image: &mut Vec<u8>, write: &Write) {
    match write {
        Write::Length(len) => image.resize(*len as usize, 0),
        Write::Bytes(offset, bytes) => {
            let (from, to) = (*offset as usize, *offset as usize + bytes.len());
            if image.len() < to {
                image.resize(to, 0);
            }
            image[from..to].copy_from_slice(bytes);
        }
    }
}

impl Disk {
    fn new(image: Vec<u8>, fails_at: usize, luck: u64) -> Self {
        let durable = image.clone();
        Self(Arc::new(Mutex::new(Platter { cached: image, durable, pending: Vec::new(), syncs: 0, fails_at, luck })))
    }

    fn survives(&self) -> Vec<u8> {
        self.0.lock().unwrap().durable.clone()
    }

    fn syncs(&self) -> usize {
        self.0.lock().unwrap().syncs
    }
}

impl Platter {
    fn alive(&self) -> io::Result<()> {
        if self.syncs < self.fails_at { Ok(()) } else { Err(io::Error::other("the power is gone")) }
    }

    fn chance(&mut self) -> bool {
        self.luck = self.luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.luck >> 63 == 1
    }

    fn write(&mut self, write: Write) -> io::Result<()> {
        self.alive()?;
        write_to(&mut self.cached, &write);
        self.pending.push(write);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.alive()?;
        self.syncs += 1;
        let fails = self.syncs >= self.fails_at;
        for write in std::mem::take(&mut self.pending) {
            // A length always arrives here: what a file system does with both torn is beyond this test.
            if !fails || matches!(write, Write::Length(_)) || self.chance() {
                write_to(&mut self.durable, &write);
            }
        }
        self.alive()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock().unwrap();
        platter.alive()?;
        let from = offset as usize;
        let bytes = platter.cached.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().write(Write::Length(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().unwrap().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().write(Write::Bytes(offset, data.to_vec()))
    }
}

fn open(disk: &Disk, world: &World) -> Result<Ledger, LedgerError> {
    Ledger::with_database(Database::builder().create_with_backend(disk.clone())?, world.signers.clone())
}

/// What the world was told before the power failed.
#[derive(Default)]
struct Told {
    receipts: Vec<(Batch, Receipt)>,
    head: u64,
}

/// Founds the ledger, certifies two gateways, and archives their batches, several to a block.
fn work(ledger: &Ledger, world: &World, script: &Script, told: &mut Told) -> Result<(), LedgerError> {
    let mut step = |transactions: Vec<Vec<u8>>, batches: Vec<&Batch>| -> Result<(), LedgerError> {
        let beside: Vec<_> = batches.iter().map(|batch| Some(Beside::new(batch, batch.to_bytes()))).collect();
        let block = Block { height: ledger.height() + 1, time_ms: NOW_MS, transactions };
        let answers = ledger.deliver(&block, &beside)?;
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Admitted { .. })), "{answers:?}");
        told.head = ledger.head().borrow().size;
        for batch in batches {
            let receipt = ledger.receipt(&batch.anchor().hash())?.expect("an admitted anchor has a receipt");
            told.receipts.push((batch.clone(), receipt));
        }
        Ok(())
    };
    step(vec![world.genesis()], vec![])?;
    step(script.certificates.clone(), vec![])?;
    step(script.orders.clone(), vec![])?;
    for batches in &script.blocks {
        let anchors = batches.iter().map(|batch| batch.anchor().bytes().to_vec()).collect();
        step(anchors, batches.iter().collect())?;
    }
    Ok(())
}

struct Script {
    certificates: Vec<Vec<u8>>,
    /// A sealing key, a configuration sealed to it, and what became of that: all in one block.
    orders: Vec<Vec<u8>>,
    blocks: Vec<Vec<Batch>>,
    gateways: Vec<Name>,
}

fn script(world: &World) -> Script {
    let (mut a, of_a) = world.gateway("gw-a");
    let (mut b, of_b) = world.gateway("gw-b");
    let (issue, admin) = world.issue("boss", Role::Admin, &[]);
    let key = [5; 32];
    let stated = SealingKey { origin: common::ORIGIN.into(), gateway: name("gw-a"), serial: 1, key };
    let config = Config {
        origin: common::ORIGIN.into(),
        gateway: name("gw-a"),
        base: 0,
        priority: Priority::Routine,
        window: None,
        commitment: Hash([1; 32]),
        recipient: stated.key_id(),
        sealed: vec![1; 500],
        reason: String::new(),
    };
    let (stated, config) = (Signed::sign(stated, &a.key), Signed::sign(config, &admin));
    let outcome = Outcome {
        origin: common::ORIGIN.into(),
        gateway: name("gw-a"),
        of: config.hash(),
        effect: Effect::Applied,
        rule: String::new(),
        detail: String::new(),
        epoch: 0,
        seq: 1,
        time_ms: NOW_MS,
    };
    let outcome = Signed::sign(outcome, &a.key);
    let orders = vec![stated.into_bytes(), config.into_bytes(), outcome.into_bytes()];
    let blocks = (0..4).map(|round| vec![a.batch(1 + round), b.batch(2), a.batch(1)]).collect();
    Script {
        certificates: vec![of_a, of_b, world.sign_issue(&issue)],
        orders,
        blocks,
        gateways: vec![name("gw-a"), name("gw-b")],
    }
}

/// Opens what survived, and holds it against what was told.
fn check(image: Vec<u8>, world: &World, script: &Script, told: &Told, policy: &Policy) {
    let ledger = open(&Disk::new(image, usize::MAX, 0), world).expect("what survives opens");
    let head = ledger.head().borrow().clone();
    assert!(head.size >= told.head, "the log lost a transaction that was answered");
    let replayed = ledger.replay().expect("the log replays");
    assert_eq!(replayed, *ledger.state(), "log and state disagree");
    for (batch, receipt) in &told.receipts {
        receipt.verify(batch.anchor(), policy).unwrap();
        let again = ledger.receipt(&batch.anchor().hash()).unwrap();
        assert_eq!(again.as_ref(), Some(receipt), "a receipt that was handed out is gone or another");
    }
    for gateway in &script.gateways {
        let last = ledger.state().gateway(gateway).cloned();
        let mut from = (0, 0);
        let mut reached = None;
        let mut previous = Hash::ZERO;
        while let Some(archived) = ledger.archived(gateway, from).unwrap() {
            let bytes = archived.bytes.expect("the batch stands beside its anchor");
            let (anchor, entries) = Batch::split(&bytes).unwrap();
            let anchor = plomb_ledger::ledger::claimed_anchor(anchor).unwrap();
            assert_eq!((anchor.batch, anchor.count as usize), (from.1, entries.len()));
            assert_eq!(anchor.previous, previous, "entries come once, in order");
            previous = archived.anchor;
            reached = Some((archived.epoch, archived.batch, archived.anchor));
            from = (archived.epoch, archived.batch + 1);
        }
        assert_eq!(reached, last.map(|last| (last.epoch, last.batch, last.anchor)), "archive and state disagree");
    }
}

#[test]
fn nothing_that_was_answered_is_lost_whenever_the_power_fails() {
    let world = World::new();
    let script = script(&world);
    let policy = Policy::parse(&world.signers.policy()).unwrap();
    let mut cuts = 0;
    for fails_at in 1.. {
        let mut finished = false;
        for luck in 0..4 {
            let disk = Disk::new(Vec::new(), fails_at, luck);
            let mut told = Told::default();
            let outcome = open(&disk, &world).and_then(|ledger| work(&ledger, &world, &script, &mut told));
            let survived = disk.survives();
            // Before the file was made there is nothing to open; and nothing was told.
            if outcome.is_err() && told.head == 0 && open(&Disk::new(survived.clone(), usize::MAX, 0), &world).is_err()
            {
                continue;
            }
            check(survived.clone(), &world, &script, &told, &policy);
            finished = outcome.is_ok() && disk.syncs() < fails_at;
            if outcome.is_err() {
                cuts += 1;
                resumes(survived, &world, &script, &policy);
            }
        }
        if finished {
            break;
        }
    }
    assert!(cuts > 40, "the power failed only {cuts} times");
}

/// The gateways send everything again, as they do after a failure: all is there, once.
fn resumes(image: Vec<u8>, world: &World, script: &Script, policy: &Policy) {
    let disk = Disk::new(image, usize::MAX, 0);
    let ledger = open(&disk, world).unwrap();
    deliver(&ledger, world.genesis());
    for transaction in script.certificates.iter().chain(&script.orders) {
        deliver(&ledger, transaction.clone());
    }
    let mut told = Told::default();
    for batch in script.blocks.iter().flatten() {
        let answer = common::deliver_batch(&ledger, batch);
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
        told.receipts.push((batch.clone(), ledger.receipt(&batch.anchor().hash()).unwrap().unwrap()));
    }
    told.head = ledger.head().borrow().size;
    let orders = script.certificates.len() + script.orders.len();
    assert_eq!(told.head as usize, 1 + orders + script.blocks.iter().flatten().count());
    drop(ledger);
    check(disk.survives(), world, script, &told, policy);
}

#[test]
fn after_a_failed_write_the_ledger_takes_nothing_more() {
    let world = World::new();
    let script = script(&world);
    // Enough syncs to open, then the power fails within the first blocks.
    for fails_at in 1..40 {
        let disk = Disk::new(Vec::new(), fails_at, 1);
        let Ok(ledger) = open(&disk, &world) else { continue };
        let mut told = Told::default();
        if work(&ledger, &world, &script, &mut told).is_err() {
            let block = Block { height: ledger.height() + 1, time_ms: NOW_MS, transactions: vec![] };
            assert!(matches!(ledger.deliver(&block, &[]), Err(LedgerError::Stopped)));
            assert_eq!(ledger.head().borrow().size, told.head, "an uncommitted head was published");
            return;
        }
    }
    panic!("the power never failed");
}
