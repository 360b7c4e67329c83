//! Every rule of the ledger, broken once; and what a refusal leaves behind: nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{NOW_MS, NOW_S, World, deliver, deliver_at, deliver_batch, name};
use plomb_ledger::{
    LedgerError,
    block::Block,
    ledger::{Answer, Ledger},
};
use plomb_seal::{
    Anchor, Batch, Hash, LogProof, Policy, Signed, SigningKey,
    note::{Checkpoint, cosign},
    transaction::{Certificate, Role},
};
use rcgen::{KeyPair, PKCS_ED25519};
use redb::{Database, backends::InMemoryBackend};

fn ledger(world: &World) -> Ledger {
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    Ledger::with_database(db, world.signers.clone()).unwrap()
}

fn founded() -> (World, Ledger) {
    let world = World::new();
    let ledger = ledger(&world);
    assert_eq!(deliver(&ledger, world.genesis()), Answer::Admitted { index: 0 });
    (world, ledger)
}

/// Asserts that the rule refuses, and that nothing of the transaction stays.
#[track_caller]
fn refuses(rule: &str, ledger: &Ledger, transaction: Vec<u8>) {
    refuses_at(rule, ledger, transaction, NOW_MS);
}

#[track_caller]
fn refuses_at(rule: &str, ledger: &Ledger, transaction: Vec<u8>, time_ms: i64) {
    let before = (ledger.state().clone(), ledger.head().borrow().clone());
    match deliver_at(ledger, transaction, time_ms) {
        Answer::Refused(refused) => assert_eq!(refused.rule, rule, "{}", refused.detail),
        other => panic!("{rule} let it pass: {other:?}"),
    }
    assert_eq!((ledger.state().clone(), ledger.head().borrow().clone()), before, "{rule} left a trace");
}

fn bytes(batch: &Batch) -> Vec<u8> {
    batch.anchor().bytes().to_vec()
}

#[test]
fn genesis_first_and_once_and_its_members() {
    let world = World::new();
    let ledger = ledger(&world);
    let (mut gateway, certificate) = world.gateway("gw-1");
    refuses("genesis-first", &ledger, certificate);
    refuses("genesis-first", &ledger, bytes(&gateway.batch(1)));
    refuses("transaction-form", &ledger, b"no transaction".to_vec());
    let with = |change: &dyn Fn(&mut plomb_seal::transaction::Genesis)| {
        let mut genesis = world.genesis_statement();
        change(&mut genesis);
        Signed::sign(genesis, &world.member).into_bytes()
    };
    refuses("genesis-members", &ledger, with(&|genesis| genesis.quorum = 2));
    refuses("genesis-members", &ledger, with(&|genesis| genesis.quorum = 0));
    refuses("genesis-members", &ledger, with(&|genesis| genesis.members.clear()));
    refuses("genesis-members", &ledger, with(&|genesis| genesis.members.push(genesis.members[0].clone())));
    refuses("genesis-members", &ledger, with(&|genesis| genesis.origin = "two words".into()));
    refuses("genesis-members", &ledger, with(&|genesis| genesis.members[0].authority = vec![1, 2, 3]));
    let leaf = world.issue("gw-1", Role::Gateway, &[]).0.x509;
    refuses("genesis-members", &ledger, with(&|genesis| genesis.members[0].authority = leaf.clone()));
    let stranger = SigningKey::from_seed(&[99; 32]);
    refuses("signature", &ledger, Signed::sign(world.genesis_statement(), &stranger).into_bytes());
    assert_eq!(deliver(&ledger, world.genesis()), Answer::Admitted { index: 0 });
    refuses("genesis-once", &ledger, World::seeded(2).genesis());
}

#[test]
fn certificates_are_issued_by_members_and_say_what_their_x509_says() {
    let (world, ledger) = founded();
    let (issue, _) = world.issue("gw-1", Role::Gateway, &[]);
    let stranger = SigningKey::from_seed(&[99; 32]);
    let foreign = Signed::sign(Certificate::Issue(Box::new(issue.clone())), &stranger);
    refuses("known-author", &ledger, foreign.into_bytes());
    let mut bent = world.sign_issue(&issue);
    *bent.last_mut().unwrap() ^= 1;
    refuses("signature", &ledger, bent);

    let with = |change: &dyn Fn(&mut plomb_seal::transaction::Issue)| {
        let mut issue = issue.clone();
        change(&mut issue);
        world.sign_issue(&issue)
    };
    refuses("certificate-origin", &ledger, with(&|issue| issue.origin = "other.example/x".into()));
    for transaction in [
        with(&|issue| issue.subject = name("gw-2")),
        with(&|issue| issue.key = stranger.public()),
        with(&|issue| issue.not_after_s += 1),
        with(&|issue| issue.not_before_s -= 1),
        with(&|issue| issue.x509.push(0)),
        with(&|issue| issue.x509 = vec![0x30, 0]),
        with(&|issue| *issue.x509.last_mut().unwrap() ^= 1),
        with(&|issue| issue.x509 = world.authority.clone()),
        // Another member's authority, of the same name.
        world.sign_issue(&World::seeded(2).issue("gw-1", Role::Gateway, &[]).0),
    ] {
        refuses("certificate-fields-match-x509", &ledger, transaction);
    }
    refuses("certificate-validity", &ledger, with(&|issue| issue.not_after_s = issue.not_before_s));
    refuses("certificate-validity", &ledger, with(&|issue| issue.not_after_s = issue.not_before_s + 30 * 366 * 86_400));
    refuses("certificate-role", &ledger, with(&|issue| issue.scope = vec![name("gw-2")]));
    // Last, as block times never go back.
    refuses_at("certificate-validity", &ledger, world.sign_issue(&issue), (NOW_S + 31 * 86_400) * 1000);
}

#[test]
fn a_certificate_is_recorded_once_and_a_key_and_a_name_serve_one_party() {
    let (world, ledger) = founded();
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let issue = world.issue_for(&pair, "gw-1", Role::Gateway, &[]);
    assert_eq!(deliver(&ledger, world.sign_issue(&issue)), Answer::Admitted { index: 1 });
    assert_eq!(deliver(&ledger, world.sign_issue(&issue)), Answer::Known { index: 1 });
    let mut again = issue.clone();
    again.role = Role::Auditor;
    refuses("certificate-unique", &ledger, world.sign_issue(&again));
    refuses("certificate-unique", &ledger, world.sign_issue(&world.issue_for(&pair, "gw-2", Role::Gateway, &[])));
    refuses("certificate-role", &ledger, world.sign_issue(&world.issue("gw-1", Role::Subscriber, &[]).0));
    // A new key, and the old key anew, for the same gateway are fine.
    assert_eq!(
        deliver(&ledger, world.sign_issue(&world.issue("gw-1", Role::Gateway, &[]).0)),
        Answer::Admitted { index: 2 }
    );
    assert_eq!(
        deliver(&ledger, world.sign_issue(&world.issue_for(&pair, "gw-1", Role::Gateway, &[]))),
        Answer::Admitted { index: 3 }
    );
    assert_eq!(ledger.credential(&name("gw-1")).unwrap().unwrap().certificates.len(), 3);
    let policy = Policy::parse(&world.signers.policy()).unwrap();
    assert_eq!(ledger.credential(&name("gw-1")).unwrap().unwrap().verify(&policy).unwrap().len(), 3);
    assert_eq!(ledger.credential(&name("gw-2")).unwrap(), None);
}

#[test]
fn only_what_was_issued_is_revoked_and_only_once() {
    let (world, ledger) = founded();
    let (issue, _) = world.issue("bill", Role::Subscriber, &["gw-1"]);
    refuses("revoke-known", &ledger, world.revoke(issue.fingerprint()));
    deliver(&ledger, world.sign_issue(&issue));
    assert_eq!(deliver(&ledger, world.revoke(issue.fingerprint())), Answer::Admitted { index: 2 });
    let again = Certificate::Revoke {
        origin: common::ORIGIN.into(),
        fingerprint: issue.fingerprint(),
        reason: "other words".into(),
    };
    refuses("revoke-known", &ledger, world.sign(again));
    let state = ledger.state();
    assert_eq!(state.certificate(&issue.fingerprint()).unwrap().revoked.as_ref().unwrap().reason, "test");
}

#[test]
fn one_member_cannot_revoke_anothers_certificates() {
    let (world, other) = (World::new(), World::seeded(2));
    let ledger = ledger(&world);
    let mut genesis = world.genesis_statement();
    let mut second = other.genesis_statement().members.remove(0);
    second.name = name("member-b");
    genesis.members.push(second);
    deliver(&ledger, Signed::sign(genesis, &world.member).into_bytes());
    let (issue, _) = world.issue("gw-1", Role::Gateway, &[]);
    assert!(matches!(deliver(&ledger, world.sign_issue(&issue)), Answer::Admitted { .. }));
    refuses("revoke-author", &ledger, other.revoke(issue.fingerprint()));
}

#[test]
fn anchors_need_a_current_certificate_of_their_own_gateway() {
    let (world, ledger) = founded();
    let (mut gateway, certificate) = world.gateway("gw-1");
    let first = gateway.batch(2);
    refuses("anchor-known-certificate", &ledger, bytes(&first));
    deliver(&ledger, certificate);
    let (other, certificate) = world.gateway("gw-2");
    deliver(&ledger, certificate);
    // The right name, another gateway's key.
    let forged = Signed::sign(first.anchor().statement().clone(), &other.key).into_bytes();
    refuses("anchor-known-certificate", &ledger, forged);
    let mut bent = bytes(&first);
    *bent.last_mut().unwrap() ^= 1;
    refuses("signature", &ledger, bent);
    // A subscriber's key signs nothing.
    let (issue, key) = world.issue("bill", Role::Subscriber, &[]);
    deliver(&ledger, world.sign_issue(&issue));
    let mut anchor = first.anchor().statement().clone();
    anchor.gateway = name("bill");
    refuses("anchor-known-certificate", &ledger, Signed::sign(anchor, &key).into_bytes());

    assert!(matches!(deliver_batch(&ledger, &first), Answer::Admitted { .. }));
    let second = gateway.batch(1);
    deliver(&ledger, world.revoke(gateway.fingerprint));
    refuses("anchor-known-certificate", &ledger, bytes(&second));
    let mut late = other;
    let expired = (NOW_S + 31 * 86_400) * 1000;
    refuses_at("anchor-known-certificate", &ledger, bytes(&late.batch(1)), expired);
    // What stands in the log keeps its receipt.
    assert!(matches!(deliver_batch(&ledger, &first), Answer::Known { .. }));
}

#[test]
fn anchors_follow_one_another_without_gap_or_fork() {
    let (world, ledger) = founded();
    let (mut gateway, certificate) = world.gateway("gw-1");
    deliver(&ledger, certificate);
    let mut fork = gateway.clone();
    let (first, second, third) = (gateway.batch(2), gateway.batch(3), gateway.batch(1));
    refuses("anchor-continuous", &ledger, bytes(&second));
    assert_eq!(deliver_batch(&ledger, &first), Answer::Admitted { index: 2 });
    refuses("anchor-continuous", &ledger, bytes(&third));
    refuses("anchor-no-fork", &ledger, bytes(&fork.batch(5)));
    assert_eq!(deliver_batch(&ledger, &second), Answer::Admitted { index: 3 });
    refuses("anchor-no-fork", &ledger, bytes(&fork.batch(1)));
    assert_eq!(deliver_batch(&ledger, &third), Answer::Admitted { index: 4 });
    // Old and new ones again: the same answer, no trace.
    let before = ledger.head().borrow().clone();
    assert_eq!(deliver_batch(&ledger, &first), Answer::Known { index: 2 });
    assert_eq!(deliver_batch(&ledger, &third), Answer::Known { index: 4 });
    assert_eq!(*ledger.head().borrow(), before);

    // A hole in the numbers, or another anchor before.
    let next = |change: &dyn Fn(&mut Anchor)| {
        let mut anchor = gateway.clone().batch(1).anchor().statement().clone();
        change(&mut anchor);
        Signed::sign(anchor, &gateway.key).into_bytes()
    };
    refuses("anchor-continuous", &ledger, next(&|anchor| anchor.first_seq += 1));
    refuses("anchor-continuous", &ledger, next(&|anchor| anchor.batch += 1));
    refuses("anchor-continuous", &ledger, next(&|anchor| anchor.previous = Hash::ZERO));
    refuses("anchor-continuous", &ledger, next(&|anchor| anchor.epoch = 1));

    // A new epoch names the last anchor; the old one is closed for good.
    let mut old = gateway.clone();
    gateway.begin_epoch(2);
    let reborn = gateway.batch(1);
    assert!(matches!(deliver_batch(&ledger, &reborn), Answer::Admitted { .. }));
    refuses("anchor-continuous", &ledger, bytes(&old.batch(1)));
    assert!(matches!(deliver_batch(&ledger, &first), Answer::Known { index: 2 }));
}

#[test]
fn an_anchors_checkpoint_must_be_this_logs_own() {
    let (world, ledger) = founded();
    let (gateway, certificate) = world.gateway("gw-1");
    deliver(&ledger, certificate);
    let own = ledger.head().borrow().note.clone();
    let with = |note: String| {
        let mut gateway = gateway.clone();
        gateway.place.checkpoint = Some(note);
        gateway.batch(1)
    };
    let root = Hash([7; 32]);
    let sign = |origin: &str, size, root, key: &SigningKey| Checkpoint { origin: origin.into(), size, root }.sign(key);
    let (log, stranger) = (&world.signers.log, SigningKey::from_seed(&[99; 32]));
    for note in [
        "no note".to_owned(),
        sign(common::ORIGIN, 2, root, log),
        sign(common::ORIGIN, 9, root, log),
        sign(common::ORIGIN, 2, root, &stranger),
        sign("other.example/x", 2, root, log),
        own.replacen("\n2\n", "\n1\n", 1),
    ] {
        refuses("anchor-checkpoint", &ledger, bytes(&with(note)));
    }
    assert!(matches!(deliver_batch(&ledger, &with(own)), Answer::Admitted { .. }));
}

/// A checkpoint from the future, honestly embedded, would make the evidence contradict itself for ever.
#[test]
fn an_anchors_checkpoint_is_not_dated_after_its_block() {
    let (world, ledger) = founded();
    let (mut gateway, certificate) = world.gateway("gw-1");
    deliver(&ledger, certificate);
    let note = ledger.head().borrow().note.clone();
    let bare = Checkpoint { origin: common::ORIGIN.into(), ..policy(&world).check(&note).unwrap().checkpoint };
    let dated = |at_s: i64| {
        let signers = &world.signers;
        cosign(&bare.sign(&signers.log), &signers.witness_name, &signers.witness, u64::try_from(at_s).unwrap()).unwrap()
    };
    gateway.place.checkpoint = Some(dated(NOW_S + 3600));
    let batch = gateway.batch(1);
    refuses("anchor-checkpoint", &ledger, bytes(&batch));
    refuses_at("anchor-checkpoint", &ledger, bytes(&batch), NOW_MS + 3_599_999);
    // The same bytes, when the time has come.
    assert!(matches!(deliver_at(&ledger, bytes(&batch), NOW_MS + 3_600_000), Answer::Admitted { .. }));
    assert_eq!(ledger.replay().unwrap(), *ledger.state());
}

fn policy(world: &World) -> Policy {
    Policy::parse(&world.signers.policy()).unwrap()
}

/// The hub's clock was an hour ahead, and is set right: with or without a restart, what gateways saw meanwhile
/// stays in the past of whatever is dated after it.
#[test]
fn no_date_is_before_one_that_was_given_out_not_even_after_a_restart() {
    const HOUR_MS: i64 = 3_600_000;
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let open = || Ledger::open(&dir.path().join("ledger.redb"), world.signers.clone()).unwrap();
    let dated_s = |note: &str| i64::try_from(policy(&world).check(note).unwrap().witnessed_s.unwrap()).unwrap();
    let (mut gateway, certificate) = world.gateway("gw-1");
    let ledger = open();
    assert_eq!((ledger.newest_ms(), ledger.fresh_checkpoint(NOW_MS).unwrap()), (None, None));
    deliver(&ledger, world.genesis());
    deliver(&ledger, certificate);
    let ahead = ledger.fresh_checkpoint(NOW_MS + HOUR_MS).unwrap().unwrap();
    assert_eq!(dated_s(&ahead), NOW_S + 3600);
    assert_eq!(dated_s(&ledger.fresh_checkpoint(NOW_MS).unwrap().unwrap()), NOW_S + 3600);
    drop(ledger);
    let ledger = open();
    assert_eq!(ledger.newest_ms(), Some(NOW_MS + HOUR_MS));
    assert_eq!(dated_s(&ledger.fresh_checkpoint(NOW_MS + 5).unwrap().unwrap()), NOW_S + 3600);
    gateway.place.checkpoint = Some(ahead);
    let batch = gateway.batch(1);
    assert!(matches!(deliver_batch(&ledger, &batch), Answer::Admitted { .. }));
    let receipt = ledger.receipt(&batch.anchor().hash()).unwrap().unwrap();
    let received = receipt.verify(batch.anchor(), &policy(&world)).unwrap();
    assert_eq!(received, Some(u64::try_from(NOW_S + 3600).unwrap()), "not before the checkpoint that it names");
    assert_eq!(ledger.replay().unwrap(), *ledger.state());
}

/// Whoever holds a stolen key for a moment must not use up the numbers of the box that it was stolen from.
#[test]
fn an_epoch_is_not_far_beyond_the_last() {
    let (world, ledger) = founded();
    let (mut gateway, certificate) = world.gateway("gw-1");
    deliver(&ledger, certificate);
    let reaching = |gateway: &common::Gateway, epoch| {
        let mut gateway = gateway.clone();
        gateway.begin_epoch(epoch);
        bytes(&gateway.batch(1))
    };
    refuses("anchor-epoch", &ledger, reaching(&gateway, u32::MAX));
    deliver_batch(&ledger, &gateway.batch(1));
    refuses("anchor-epoch", &ledger, reaching(&gateway, u32::MAX));
    refuses("anchor-epoch", &ledger, reaching(&gateway, 1001));
    assert!(matches!(deliver(&ledger, reaching(&gateway, 1000)), Answer::Admitted { .. }));
}

#[test]
fn a_batch_continues_the_entries_before_it() {
    let (world, ledger) = founded();
    let (mut gateway, certificate) = world.gateway("gw-1");
    deliver(&ledger, certificate);
    let first = gateway.batch(2);
    deliver_batch(&ledger, &first);
    // The anchors fit together, the entries don't.
    let mut torn = gateway.clone();
    torn.chain = plomb_seal::Chain::resume(name("gw-1"), 0, 2, Hash([9; 32]), Default::default());
    let before = ledger.head().borrow().clone();
    match deliver_batch(&ledger, &torn.batch(1)) {
        Answer::Refused(refused) => assert_eq!(refused.rule, "batch-continues"),
        other => panic!("{other:?}"),
    }
    assert_eq!(*ledger.head().borrow(), before);
    assert!(matches!(deliver_batch(&ledger, &gateway.batch(1)), Answer::Admitted { .. }));
    let archived = ledger.archived(&name("gw-1"), (0, 0)).unwrap().unwrap();
    assert_eq!(archived.bytes.unwrap(), first.to_bytes());
}

#[test]
fn blocks_come_in_order_and_old_ones_are_dropped() {
    let (world, ledger) = founded();
    let block = |height, transactions| Block { height, time_ms: NOW_MS, transactions };
    assert_eq!(ledger.deliver(&block(1, vec![world.genesis()]), &[]).unwrap(), Vec::new());
    let skipped = ledger.deliver(&block(3, vec![]), &[]);
    assert!(matches!(skipped, Err(LedgerError::Skipped { expected: 2, found: 3 })));
    assert_eq!(ledger.deliver(&block(2, vec![]), &[]).unwrap(), Vec::new());
}

#[test]
fn replay_leads_to_the_same_state_and_receipts_hold_for_ever() {
    let (world, ledger) = founded();
    let policy = Policy::parse(&world.signers.policy()).unwrap();
    let mut gateways = Vec::new();
    for n in 0..3 {
        let (gateway, certificate) = world.gateway(&format!("gw-{n}"));
        deliver(&ledger, certificate);
        gateways.push(gateway);
    }
    let mut given = Vec::new();
    for round in 0..5 {
        for gateway in &mut gateways {
            gateway.place.checkpoint = (round > 1).then(|| ledger.head().borrow().note.clone());
            let batch = gateway.batch(1 + round);
            deliver_batch(&ledger, &batch);
            given.push((batch.anchor().clone(), ledger.receipt(&batch.anchor().hash()).unwrap().unwrap()));
        }
    }
    deliver_at(&ledger, world.revoke(gateways[0].fingerprint), NOW_MS + 5000);
    for (anchor, receipt) in &given {
        assert_eq!(receipt.verify(anchor, &policy), Ok(Some(u64::try_from(NOW_S).unwrap())));
        assert_eq!(ledger.receipt(&anchor.hash()).unwrap().as_ref(), Some(receipt), "the same bytes at any time");
    }
    let replayed = ledger.replay().unwrap();
    assert_eq!(replayed, *ledger.state());
    assert_eq!(replayed.hash(), ledger.head().borrow().state);
    // Every checkpoint extends every earlier one.
    let size = ledger.head().borrow().size;
    let (_, receipt) = &given[0];
    let old = policy.check(&LogProof::parse(&receipt.proof).unwrap().note).unwrap().checkpoint;
    let new = policy.check(&ledger.fresh_checkpoint(NOW_MS + 9000).unwrap().unwrap()).unwrap();
    assert_eq!((new.checkpoint.size, new.witnessed_s), (size, Some(u64::try_from(NOW_S).unwrap() + 9)));
    let path = ledger.consistency(old.size, size).unwrap();
    assert!(plomb_seal::tree::is_consistent(old.size, &old.root, size, &new.checkpoint.root, &path));
}
