//! Records: what is written is read back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use plomb_seal::{
    Hash, KeyId, SigningKey,
    transaction::{Effect, Priority, Role, ScopedPoint},
};
use proptest::prelude::*;

use super::*;

fn certificate(revoked: bool, (scope, points): (usize, usize), times: (i64, i64)) -> CertificateRecord {
    let name = |text: &str| text.parse().unwrap();
    CertificateRecord {
        subject: name("bill"),
        role: Role::Subscriber,
        scope: (0..scope).map(|n| name(&format!("gw-{n}"))).collect(),
        points: (0..points)
            .map(|n| ScopedPoint { gateway: name("gw-x"), point: name(&format!("point-{n}")) })
            .collect(),
        key: SigningKey::from_seed(&[3; 32]).public(),
        not_before_s: times.0,
        not_after_s: times.1,
        author: name("member-a"),
        transaction: Hash([4; 32]),
        revoked: revoked.then(|| Revocation { reason: "lost".into(), time_ms: times.0 }),
    }
}

fn consortium(left_ms: i64, changes: u64) -> Consortium {
    let name = |text: &str| text.parse().unwrap();
    let member = Member { name: name("a"), key: SigningKey::from_seed(&[4; 32]).public(), authority: vec![1, 2] };
    let former = Former { name: name("b"), key: SigningKey::from_seed(&[5; 32]).public(), left_ms };
    let ballot = Ballot { statement: Hash([3; 32]), change: "quorum 2".into(), voters: vec![name("a")] };
    Consortium { changes, members: vec![member], quorum: 1, former: vec![former], ballots: vec![ballot] }
}

fn register(some: usize, count: u64, released: bool) -> Register {
    let admitted = (some > 1).then_some(Admitted { version: count, transaction: Hash([1; 32]) });
    let pending = PendingConfig {
        version: count,
        priority: Priority::Urgent,
        transaction: Hash([2; 32]),
        index: count,
        certificate: Hash([3; 32]),
    };
    let open = OpenCommand {
        transaction: Hash([4; 32]),
        index: count,
        counter: 7,
        expires_ms: -1,
        released,
        certificate: Hash([5; 32]),
    };
    let sealing = Sealing { serial: count, key: [6; 32], signer: KeyId([7; 8]), transaction: Hash([8; 32]) };
    Register {
        sealing: (some > 0).then_some(sealing),
        last: admitted,
        pending: vec![pending; some],
        applied: admitted,
        before: admitted,
        counter: count,
        open: vec![open; some * 10],
    }
}

fn answered(time_ms: i64) -> Answered {
    Answered { effect: Effect::RolledBack, transaction: Hash([1; 32]), time_ms }
}

fn config(answers: usize, time_ms: i64) -> ConfigRecord {
    ConfigRecord {
        gateway: "gw-1".parse().unwrap(),
        version: 3,
        priority: Priority::Routine,
        author: "admin".parse().unwrap(),
        certificate: Hash([2; 32]),
        index: 4,
        admitted_ms: time_ms,
        answers: vec![answered(time_ms); answers],
    }
}

fn command(some: bool, times: (i64, i64)) -> CommandRecord {
    let approval = Approved { by: "ops".parse().unwrap(), transaction: Hash([3; 32]), time_ms: times.0 };
    CommandRecord {
        gateway: "gw-1".parse().unwrap(),
        point: "water".parse().unwrap(),
        verb: "read".parse().unwrap(),
        counter: 5,
        expires_ms: times.1,
        needs: 2,
        author: "operator".parse().unwrap(),
        certificate: Hash([2; 32]),
        index: 4,
        admitted_ms: times.0,
        approval: some.then_some(approval),
        answer: some.then(|| answered(times.0)),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(revoked: bool, scope in (0usize..40, 0usize..4), times: (i64, i64), epoch: u32, batch: u64) {
        let record = Box::new(certificate(revoked, scope, times));
        let gateway = GatewayRecord {
            epoch, batch, last_seq: batch, anchor: Hash([1; 32]), head: Hash([2; 32]),
            closed_ms: times.0, anchored_ms: times.1,
        };
        for change in [
            Change::Certificate(Hash([9; 32]), record),
            Change::Gateway("gw-1".parse().unwrap(), gateway),
            Change::Consortium(Box::new(consortium(times.0, batch))),
            Change::Register("gw-1".parse().unwrap(), Box::new(register(scope.0 % 4, batch, revoked))),
            Change::Order(Hash([5; 32]), Box::new(Order::Config(config(scope.1 % 3, times.0)))),
            Change::Order(Hash([6; 32]), Box::new(Order::Command(command(revoked, times)))),
        ] {
            prop_assert_eq!(Change::parse(&change.to_bytes()).unwrap(), change);
        }
    }

    #[test]
    fn arbitrary_and_bent_bytes_never_panic(bytes: Vec<u8>, at in 0usize..300, flip: u8) {
        let _ = Change::parse(&bytes);
        let mut bent = Change::Certificate(Hash([9; 32]), Box::new(certificate(true, (3, 1), (1, 2)))).to_bytes();
        let at = at % bent.len();
        bent[at] ^= flip;
        if let Ok(change) = Change::parse(&bent) {
            prop_assert_eq!(change.to_bytes(), bent, "one meaning has one encoding");
        }
    }
}

/// What ledgers hold from before there were points, votes and orders hashes to the same.
#[test]
fn older_records_are_written_and_hashed_as_they_were() {
    let plain = Change::Certificate(Hash([9; 32]), Box::new(certificate(false, (2, 0), (1, 2))));
    let bytes = plain.to_bytes();
    assert_eq!(bytes[..5], [0x8c, 1, 2, 0x58, 32], "an array of 12, version 1, kind 2, a hash");
    let pointed = Change::Certificate(Hash([9; 32]), Box::new(certificate(false, (2, 1), (1, 2))));
    assert_eq!(pointed.to_bytes()[..3], [0x8d, 1, 2]);
    let (before, leaf) = (Hash([1; 32]), Hash([2; 32]));
    let whole = [before.0.as_slice(), &leaf.0, &bytes].concat();
    assert_eq!(chain(&before, &leaf, &[plain]), Hash::of(&whole));
}
