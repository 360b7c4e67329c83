//! The vectors in `docs/vectors`: made by this program, kept as files, so that a change of format shows.

use std::{fs, path::PathBuf};

use plomb_seal::{
    Sealing, SealingSecret, Signed, SigningKey,
    export::Scope,
    transaction::{
        Approval, Certificate, Command, Config, Effect, Issue, MemberChange, Outcome, Priority, Role, SALT_BYTES,
        ScopedPoint, SealingKey, Vote, Window, commitment,
    },
    verify::{Expect, Trust, Verdict, verify},
};

use super::{
    story::Town,
    street::{Street, name},
};

/// Three batches; the witness's clock was an hour ahead for the second.
fn dates_that_contradict() -> Vec<u8> {
    let mut street = Street::new().rounds(1);
    for (n, by_s) in [(1, 3600), (2, -3600)] {
        street.clock_s = street.clock_s.saturating_add_signed(by_s);
        let entries = street.round(n);
        street.batch(entries, true);
    }
    street.export_all()
}

#[test]
fn the_vectors_beside_the_document_are_what_this_program_makes() {
    let mut street = Street::new().rounds(2);
    let whole = street.export_all();
    let of_point = |entry: &plomb_seal::Entry| entry.body.link().is_some_and(|link| link.point == name("cellar-water"));
    let point = street.export_some(&Scope::Point(name("cellar-water")), of_point);
    let single = street.export_some(&Scope::Entry { epoch: 0, seq: 5 }, |entry| entry.seq == 5);
    let (batch, receipt) = &street.batches[0];
    let absent = batch.entries().last().unwrap();
    let mut files = vec![
        ("entry-event.cose", batch.entries()[0].bytes().to_vec()),
        ("entry-record.cose", batch.entries()[1].bytes().to_vec()),
        ("entry-absent.cose", absent.bytes().to_vec()),
        ("anchor.cose", batch.anchor().bytes().to_vec()),
        ("batch.cbor", batch.to_bytes()),
        ("receipt.cbor", receipt.as_ref().unwrap().to_bytes()),
        ("anchor.tlog-proof", receipt.as_ref().unwrap().proof.clone().into_bytes()),
        ("credential.cbor", street.credential.to_bytes()),
        ("policy.txt", street.policy_text().into_bytes()),
        ("proved.plomb", whole.clone()),
        ("proved-point.plomb", point),
        ("proved-entry.plomb", single),
    ];
    let mut bent = whole;
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    files.push(("tampered-byte.plomb", bent));
    let removed = street.batches.remove(0);
    street.batches.insert(0, removed.clone());
    let entries = street.round(2);
    street.batch(entries, false);
    files.push(("incomplete-unanchored.plomb", street.export_all()));
    street.batches.remove(1);
    files.push(("tampered-batch-removed.plomb", street.export_all()));
    files.push(("incomplete-dates.plomb", dates_that_contradict()));
    assert_eq!(removed.0.entries().iter().map(Signed::bytes).count(), 4);

    keep(files);
}

/// A ledger whose members changed before the gateway was certified.
#[test]
fn the_exports_with_votes_beside_the_document_are_what_this_program_makes() {
    let mut street = Street::new();
    street.hand_over();
    let mut street = street.rounds(2);
    let proved = street.export_all();
    let policy = street.policy();
    let judged = |bytes: &[u8]| verify(bytes, Trust::Own(&policy), Expect::default());
    assert_eq!(judged(&proved).verdict, Verdict::Proved, "{:?}", judged(&proved).first_bad);
    let without = |street: &mut Street, left_out: usize| {
        let logged = street.credential.certificates.remove(left_out);
        let export = street.export_all();
        street.credential.certificates.insert(left_out, logged);
        export
    };
    // Nothing shows that a last vote was left out: as with revocations, the ledger took what it took.
    assert_eq!(judged(&without(&mut street, 4)).verdict, Verdict::Proved);
    for left_out in 0..4 {
        let fault = judged(&without(&mut street, left_out)).first_bad.unwrap();
        assert_eq!((fault.check, fault.item), ("credential", 1), "{left_out}: {}", fault.detail);
    }
    // What the founder certified before it left holds; what it certifies after that does not, though it is logged.
    let late = street.issue(0, i64::MAX);
    let mut forged = street.credential.clone();
    forged.certificates.push(late);
    std::mem::swap(&mut street.credential, &mut forged);
    let left = street.export_all();
    assert!(judged(&left).first_bad.unwrap().detail.contains("no member of the ledger then"));
    std::mem::swap(&mut street.credential, &mut forged);
    keep(vec![
        ("proved-joined.plomb", proved),
        ("tampered-joined-vote.plomb", without(&mut street, 3)),
        ("tampered-joined-left.plomb", left),
    ]);
}

/// One transaction of each kind that a ledger takes beside anchors; `docs/ledger.md` has them byte by byte.
#[test]
fn the_transactions_beside_the_document_are_what_this_program_makes() {
    let key = |n: u8| SigningKey::from_seed(&[n; 32]);
    let (gateway, member, admin, operator, second) = (key(3), key(4), key(5), key(6), key(7));
    let origin = || "ledger.example/street".to_owned();
    let (secret, salt) = (SealingSecret::from_bytes(&[9; 32]).unwrap(), [8; SALT_BYTES]);
    let sealing = secret.public();
    let seal = |seed| Sealing { recipient: &sealing, salt: &salt, seed };
    let vote = Vote { origin: origin(), base: 0, change: MemberChange::Quorum(1) };
    let issue = Issue {
        origin: origin(),
        subject: name("plumber"),
        role: Role::Operator,
        scope: vec![name("gw-2")],
        points: vec![ScopedPoint { gateway: name("gw-1"), point: name("cellar-water") }],
        key: operator.public(),
        not_before_s: 1_779_913_600,
        not_after_s: 1_811_536_000,
        x509: b"an X.509 certificate, DER".to_vec(),
    };
    let stated = SealingKey { origin: origin(), gateway: name("gw-1"), serial: 1, key: secret.public() };
    let config = Config {
        origin: origin(),
        gateway: name("gw-1"),
        base: 0,
        priority: Priority::Urgent,
        window: Some(Window { from_ms: 1_780_012_800_000, until_ms: 1_780_016_400_000 }),
        commitment: commitment(&salt, b"[gateway]\n"),
        recipient: stated.key_id(),
        sealed: vec![],
        reason: "first configuration".into(),
    };
    let command = Command {
        origin: origin(),
        gateway: name("gw-1"),
        point: name("cellar-water"),
        verb: name("valve"),
        counter: 1,
        expires_ms: 1_780_099_200_000,
        needs: 2,
        commitment: commitment(&salt, b"close"),
        recipient: stated.key_id(),
        sealed: vec![],
        reason: "burst pipe".into(),
    };
    let config = config.seal(admin.public().id(), &seal(&[10; 32]), b"[gateway]\n").unwrap();
    let command = command.seal(operator.public().id(), &seal(&[11; 32]), b"close").unwrap();
    assert_eq!(config.open(admin.public().id(), &secret).unwrap(), b"[gateway]\n");
    let (config, command) = (Signed::sign(config, &admin), Signed::sign(command, &operator));
    let approval = Approval { origin: origin(), of: command.hash() };
    let outcome = Outcome {
        origin: origin(),
        gateway: name("gw-1"),
        of: config.hash(),
        effect: Effect::RolledBack,
        rule: "confirm-hub".into(),
        detail: "the hub was out of reach for 300 s".into(),
        epoch: 0,
        seq: 12,
        time_ms: 1_780_013_160_000,
    };
    keep(vec![
        ("transaction-vote.cose", Signed::sign(vote, &member).into_bytes()),
        (
            "transaction-certificate-points.cose",
            Signed::sign(Certificate::Issue(Box::new(issue)), &member).into_bytes(),
        ),
        ("transaction-sealing-key.cose", Signed::sign(stated, &gateway).into_bytes()),
        ("transaction-config.cose", config.into_bytes()),
        ("transaction-command.cose", command.into_bytes()),
        ("transaction-approval.cose", Signed::sign(approval, &second).into_bytes()),
        ("transaction-outcome.cose", Signed::sign(outcome, &gateway).into_bytes()),
    ]);
}

/// Stories of a configuration and of a command, and one that was bent.
#[test]
fn the_stories_beside_the_document_are_what_this_program_makes() {
    let mut town = Town::new();
    let (configured, commanded) = (town.configured(), town.commanded());
    let mut bent = configured.clone();
    bent.outcomes.truncate(1);
    bent.outcomes.extend(commanded.outcomes.clone());
    keep(vec![
        ("proved-config.story", configured.to_bytes()),
        ("proved-command.story", commanded.to_bytes()),
        ("tampered-outcome.story", bent.to_bytes()),
    ]);
}

/// With `PLOMB_WRITE_VECTORS=1` the files are written anew; else they must be as they are made.
fn keep(files: Vec<(&str, Vec<u8>)>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors");
    for (file, bytes) in files {
        let path = folder.join(file);
        if std::env::var_os("PLOMB_WRITE_VECTORS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(kept == bytes, "{} is not what this program makes: the format changed", path.display());
    }
}
