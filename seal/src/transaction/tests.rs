//! Statements that go to the ledger: what is written is read back, and nothing else is read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{Hash, KeyId, Name, SIGNED_BYTES_MAX, Signed, SigningKey, Unverified};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

/// Reads back what was signed; and every byte of it matters.
#[track_caller]
fn holds<T: Statement + Clone + PartialEq + core::fmt::Debug>(statement: &T, expected: Kind) {
    let signed = Signed::sign(statement.clone(), &key(1));
    assert!(signed.bytes().len() <= TRANSACTION_BYTES_MAX);
    assert_eq!(kind(signed.bytes()), Ok(expected));
    let read = Unverified::<T>::parse(signed.bytes()).unwrap().verify(&key(1).public()).unwrap();
    assert_eq!(read.statement(), statement);
    let bytes = signed.bytes();
    for at in (0..bytes.len()).step_by(1 + bytes.len() / 512) {
        let mut bent = bytes.to_vec();
        bent[at] ^= 1;
        let taken = Unverified::<T>::parse(&bent).and_then(|parsed| parsed.verify(&key(1).public()));
        assert!(taken.is_err(), "byte {at}");
        assert!(Unverified::<T>::parse(&bytes[..at]).is_err(), "cut at {at}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{0,60}"
}

fn a_name() -> impl Strategy<Value = Name> {
    "[a-z0-9-]{1,64}".prop_map(|text| name(&text))
}

fn counted() -> impl Strategy<Value = u64> {
    0..=i64::MAX.unsigned_abs()
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Routine), Just(Priority::Urgent), Just(Priority::Immediate)]
}

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::Applied),
        Just(Effect::Refused),
        Just(Effect::RolledBack),
        Just(Effect::Expired),
        Just(Effect::Failed)
    ]
}

fn change() -> impl Strategy<Value = MemberChange> {
    prop_oneof![
        (a_name(), 1u8.., prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(name, n, authority)| {
            MemberChange::Add(Box::new(Member { name, key: key(n).public(), authority }))
        }),
        a_name().prop_map(MemberChange::Remove),
        any::<u32>().prop_map(MemberChange::Quorum),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn votes(origin in text(), base in counted(), change in change()) {
        let vote = Vote { origin, base, change };
        holds(&vote, Kind::Member);
        // Who votes makes no difference to what is voted for.
        let again = Unverified::<Vote>::parse(Signed::sign(vote.clone(), &key(9)).bytes()).unwrap().claims().ballot();
        prop_assert_eq!(again, vote.ballot());
    }

    #[test]
    fn sealing_keys(origin in text(), gateway in a_name(), serial in counted(), key: [u8; 32]) {
        holds(&SealingKey { origin, gateway, serial, key }, Kind::SealingKey);
    }

    #[test]
    fn configurations(
        (origin, gateway, base, priority) in (text(), a_name(), counted(), priority()),
        window in any::<Option<(i64, i64)>>(),
        (commitment, recipient) in any::<([u8; 32], [u8; 8])>(),
        sealed in prop::collection::vec(any::<u8>(), 0..2000),
        reason in text(),
    ) {
        let window = window.map(|(from_ms, until_ms)| Window { from_ms, until_ms });
        let config = Config {
            origin, gateway, base, priority, window, commitment: Hash(commitment), recipient: KeyId(recipient), sealed,
            reason,
        };
        holds(&config, Kind::Config);
        let bound = config.bound_to(key(1).public().id());
        prop_assert_ne!(&bound, &config.bound_to(key(2).public().id()), "another author");
        let other = Config { base: config.base ^ 1, ..config.clone() };
        prop_assert_ne!(&bound, &other.bound_to(key(1).public().id()), "another version");
        let resealed = Config { sealed: vec![1, 2, 3], ..config };
        prop_assert_eq!(bound, resealed.bound_to(key(1).public().id()), "what is sealed is not bound to itself");
    }

    #[test]
    fn commands_and_approvals(
        (origin, gateway, point, verb) in (text(), a_name(), a_name(), a_name()),
        (counter, expires_ms, needs) in (counted(), any::<i64>(), 1u8..=2),
        (commitment, recipient) in any::<([u8; 32], [u8; 8])>(),
        sealed in prop::collection::vec(any::<u8>(), 0..2000),
        reason in text(),
    ) {
        let command = Command {
            origin: origin.clone(), gateway, point, verb, counter, expires_ms, needs, commitment: Hash(commitment),
            recipient: KeyId(recipient), sealed, reason,
        };
        holds(&command, Kind::Command);
        prop_assert_ne!(command.bound_to(key(1).public().id()), command.bound_to(key(2).public().id()));
        holds(&Approval { origin, of: Hash(commitment) }, Kind::Approval);
    }

    #[test]
    fn outcomes(
        (origin, gateway, of, effect) in (text(), a_name(), any::<[u8; 32]>(), effect()),
        (rule, detail) in (text(), text()),
        (epoch, seq, time_ms) in (any::<u32>(), counted(), any::<i64>()),
    ) {
        let outcome = Outcome { origin, gateway, of: Hash(of), effect, rule, detail, epoch, seq, time_ms };
        holds(&outcome, Kind::Outcome);
    }

    #[test]
    fn scopes_of_certificates(
        gateways in prop::collection::vec(a_name(), 0..5),
        points in prop::collection::vec((a_name(), a_name()), 0..5),
    ) {
        let points = points.into_iter().map(|(gateway, point)| ScopedPoint { gateway, point }).collect();
        let issue = issue(gateways, points);
        holds(&Certificate::Issue(Box::new(issue)), Kind::Certificate);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = kind(&bytes);
        let _ = Unverified::<Vote>::parse(&bytes);
        let _ = Unverified::<Config>::parse(&bytes);
    }
}

/// A payload that is read has no second encoding.
fn read_once<T: Statement>(payload: &[u8]) {
    let mut from = crate::cbor::Decoder::new(payload);
    if let Ok(statement) = T::decode(&mut from)
        && from.is_empty()
    {
        assert_eq!(cose::encoded(&statement), payload);
    }
}

fn read_as_each(payload: &[u8]) {
    read_once::<Genesis>(payload);
    read_once::<Vote>(payload);
    read_once::<Certificate>(payload);
    read_once::<SealingKey>(payload);
    read_once::<Config>(payload);
    read_once::<Command>(payload);
    read_once::<Approval>(payload);
    read_once::<Outcome>(payload);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// A byte changed, put in or left out, in a payload of any kind, read as any kind.
    #[test]
    fn bent_payloads_are_read_in_one_form_or_not_at_all(which in 0usize..6, at: u16, bend in 0u8..3, by: u8) {
        let at_point = ScopedPoint { gateway: name("gw-1"), point: name("water") };
        let payloads = [
            cose::encoded(&Vote { origin: "o".into(), base: 300, change: MemberChange::Remove(name("b")) }),
            cose::encoded(&Certificate::Issue(Box::new(issue(vec![name("gw-1")], vec![at_point])))),
            cose::encoded(&SealingKey { origin: "o".into(), gateway: name("gw-1"), serial: 1, key: [9; 32] }),
            cose::encoded(&Approval { origin: "o".into(), of: Hash([3; 32]) }),
            cose::encoded(&Config {
                origin: "o".into(),
                gateway: name("gw-1"),
                base: 1,
                priority: Priority::Urgent,
                window: Some(Window { from_ms: -1, until_ms: 70_000 }),
                commitment: Hash([1; 32]),
                recipient: KeyId([2; 8]),
                sealed: vec![4; 30],
                reason: "why".into(),
            }),
            cose::encoded(&Outcome {
                origin: "o".into(),
                gateway: name("gw-1"),
                of: Hash([1; 32]),
                effect: Effect::Failed,
                rule: "r".into(),
                detail: "d".into(),
                epoch: 256,
                seq: 24,
                time_ms: -25,
            }),
        ];
        let mut payload = payloads[which].clone();
        let at = usize::from(at) % payload.len();
        match bend {
            0 => payload[at] = by,
            1 => payload.insert(at, by),
            _ => {
                payload.remove(at);
            }
        }
        read_as_each(&payload);
    }
}

fn issue(scope: Vec<Name>, points: Vec<ScopedPoint>) -> Issue {
    Issue {
        origin: "ledger.example/test".into(),
        subject: name("ops"),
        role: Role::Operator,
        scope,
        points,
        key: key(3).public(),
        not_before_s: 1,
        not_after_s: 2,
        x509: vec![1, 2, 3],
    }
}

#[test]
fn a_scope_reaches_what_it_lists() {
    let at = |gateway: &str, point: &str| ScopedPoint { gateway: name(gateway), point: name(point) };
    let (gw, other, water, heat) = (name("gw-1"), name("gw-2"), name("water"), name("heat"));
    let everything = issue(vec![], vec![]);
    assert!(everything.reaches(&gw, None) && everything.reaches(&gw, Some(&water)));
    let gateways = issue(vec![gw.clone()], vec![]);
    assert!(gateways.reaches(&gw, None) && gateways.reaches(&gw, Some(&water)));
    assert!(!gateways.reaches(&other, None) && !gateways.reaches(&other, Some(&water)));
    let points = issue(vec![], vec![at("gw-1", "water")]);
    assert!(points.reaches(&gw, Some(&water)));
    assert!(!points.reaches(&gw, Some(&heat)) && !points.reaches(&other, Some(&water)));
    assert!(!points.reaches(&gw, None), "a point is not its gateway");
    let both = issue(vec![other.clone()], vec![at("gw-1", "water")]);
    assert!(both.reaches(&gw, Some(&water)) && both.reaches(&other, Some(&heat)) && !both.reaches(&gw, Some(&heat)));
}

/// The largest of each fits what tlog-tiles can serve, whatever the author writes into it.
#[test]
fn the_largest_configuration_and_command_fit_a_tile() {
    let longest = "x".repeat(512);
    let config = Config {
        origin: longest.clone(),
        gateway: name(&"g".repeat(64)),
        base: i64::MAX.unsigned_abs(),
        priority: Priority::Immediate,
        window: Some(Window { from_ms: i64::MIN, until_ms: i64::MAX }),
        commitment: Hash([1; 32]),
        recipient: KeyId([2; 8]),
        sealed: vec![3; CONFIG_SEALED_BYTES_MAX],
        reason: longest.clone(),
    };
    holds(&config, Kind::Config);
    const { assert!(TRANSACTION_BYTES_MAX < SIGNED_BYTES_MAX) };
    let larger = Config { sealed: vec![3; CONFIG_SEALED_BYTES_MAX + 1], ..config };
    let refused = Unverified::<Config>::parse(Signed::sign(larger, &key(1)).bytes()).unwrap_err();
    assert!(matches!(refused, Malformed::TooLarge { max: CONFIG_SEALED_BYTES_MAX, .. }), "{refused}");
}

#[test]
fn kinds_priorities_and_effects_have_one_name_each() {
    for (kind, name, content_type) in Kind::NAMED {
        assert_eq!((Kind::from_name(name), kind.name()), (Some(kind), name));
        assert!(content_type.starts_with("application/vnd.plomb."), "{content_type}");
        assert_eq!(Kind::NAMED.iter().filter(|(_, _, other)| *other == content_type).count(), 1);
    }
    assert!(Priority::Immediate > Priority::Urgent && Priority::Urgent > Priority::Routine);
    assert_eq!(Priority::from_name("urgent"), Some(Priority::Urgent));
    assert_eq!(Effect::from_name("rolled-back"), Some(Effect::RolledBack));
    let stranger = format!("{:?}", kind(Signed::sign(Other, &key(1)).bytes()));
    assert!(stranger.contains("vnd.plomb.other"), "{stranger}");
}

struct Other;

impl Statement for Other {
    const CONTENT_TYPE: &'static str = "application/vnd.plomb.other+cbor";

    fn encode(&self, out: &mut crate::cbor::Encoder) {
        out.unsigned(1);
    }

    fn decode(_: &mut crate::cbor::Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self)
    }
}

/// What a dishonest member could write: a code, a count or a length that means nothing.
#[test]
fn what_has_no_meaning_is_refused_by_name() {
    let command = Command {
        origin: "o".into(),
        gateway: name("gw-1"),
        point: name("p"),
        verb: name("read"),
        counter: 1,
        expires_ms: 2,
        needs: 3,
        commitment: Hash::ZERO,
        recipient: KeyId([0; 8]),
        sealed: vec![],
        reason: String::new(),
    };
    let refused = Unverified::<Command>::parse(Signed::sign(command, &key(1)).bytes()).unwrap_err();
    assert_eq!(refused, Malformed::UnknownCode { what: "number of operators", code: 3 });
    let over = Vote { origin: "o".into(), base: u64::MAX, change: MemberChange::Quorum(1) };
    assert!(Unverified::<Vote>::parse(Signed::sign(over, &key(1)).bytes()).is_err(), "a count has a next one");
}

#[test]
fn a_commitment_hides_what_can_be_guessed_and_binds_it() {
    let salt = [7; SALT_BYTES];
    assert_eq!(commitment(&salt, b"interval = 900"), commitment(&salt, b"interval = 900"));
    assert_ne!(commitment(&salt, b"interval = 900"), commitment(&[8; SALT_BYTES], b"interval = 900"));
    assert_ne!(commitment(&salt, b"interval = 900"), Hash::of(b"interval = 900"));
}
