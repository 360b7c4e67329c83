//! Evidence as a whole: what is proved, what is noticed, and the vectors beside the format's document.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, missing_docs, unreachable_pub)]

mod dossier;
mod story;
mod street;
mod vectors;

use plomb_seal::{
    Absent, Body, Chain, Entry, Event, Hash, Policy, Reason, SigningKey, Unverified,
    cbor::{Decoder, Encoder},
    entry::Occurrence,
    export::{Item, Scope},
    verify::{Expect, Report, Rollback, Trust, Verdict, verify},
};
use street::{NOW_S, Street, name};

fn check(file: &[u8]) -> Report {
    verify(file, Trust::File, Expect::default())
}

/// Appends the last item that fits these bytes and this many items, as a forger would.
fn end_with(body: &[u8], items: u64) -> Vec<u8> {
    let mut end = Encoder::new();
    end.array(3).unsigned(5).unsigned(items).hash(&Hash::of(body));
    [body, &end.finish()].concat()
}

/// Puts a last item behind readable items, in place of the last item that may be there.
fn reseal(file: &[u8]) -> Vec<u8> {
    let ranges = items(file);
    let body: Vec<_> = ranges.iter().filter(|range| file[range.start + 1] != 5).collect();
    end_with(&file[..body.last().map_or(0, |range| range.end)], body.len() as u64)
}

/// The byte ranges of the items of a file.
fn items(file: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut from = Decoder::new(file);
    let mut ranges = Vec::new();
    while !from.is_empty() {
        let start = from.offset();
        Item::decode(&mut from).unwrap();
        ranges.push(start..from.offset());
    }
    ranges
}

#[test]
fn an_honest_export_is_proved_and_dated_from_both_sides() {
    let street = Street::new().rounds(3);
    let file = street.export_all();
    for trust in [Trust::File, Trust::Own(&street.policy())] {
        let report = verify(&file, trust, Expect::default());
        assert_eq!(report.first_bad, None);
        assert_eq!(report.verdict, Verdict::Proved, "{report:?}");
        assert_eq!((report.entries, report.records, report.absent, report.events), (10, 6, 3, 1));
        assert_eq!((report.batches, report.anchored, report.gaps, report.frames), (3, 10, 0, 6));
        assert_eq!(report.span, Some(((0, 0), (0, 9))));
        assert_eq!((report.not_before_s, report.not_after_s), (None, Some(NOW_S + 5)));
    }
}

#[test]
fn every_flipped_bit_is_tampering_even_when_the_digest_is_mended() {
    let file = Street::new().rounds(2).export_all();
    let ranges = items(&file);
    let body = ranges.last().unwrap().start;
    for at in 0..file.len() {
        let bit = 1 << (at % 8);
        let mut bent = file.clone();
        bent[at] ^= bit;
        assert_eq!(check(&bent).verdict, Verdict::Tampered, "byte {at}");
        if at < body {
            let report = check(&end_with(&bent[..body], ranges.len() as u64 - 1));
            assert_eq!(report.verdict, Verdict::Tampered, "byte {at} of {body}, digest mended: {report:?}");
        }
    }
}

#[test]
fn every_cut_is_tampering() {
    let file = Street::new().rounds(2).export_all();
    for len in 0..file.len() {
        assert_eq!(check(&file[..len]).verdict, Verdict::Tampered, "cut to {len} bytes");
    }
    let mut longer = file;
    longer.push(0);
    assert_eq!(check(&longer).first_bad.unwrap().check, "end");
}

#[test]
fn batches_left_out_doubled_or_moved_are_noticed() {
    let file = Street::new().rounds(4).export_all();
    let parts: Vec<Vec<u8>> = items(&file).into_iter().map(|range| file[range].to_vec()).collect();
    let [header, ledger, b0, b1, b2, b3, end] = <[_; 7]>::try_from(parts).unwrap();
    let build = |middle: &[&Vec<u8>]| {
        let all: Vec<u8> =
            [&header, &ledger].into_iter().chain(middle.iter().copied()).chain([&end]).flatten().copied().collect();
        check(&reseal(&all))
    };
    assert_eq!(build(&[&b0, &b1, &b2, &b3]).verdict, Verdict::Proved);
    for middle in [vec![&b0, &b2, &b3], vec![&b0, &b1, &b1, &b2], vec![&b1, &b0], vec![&b0, &b3]] {
        assert_eq!(build(&middle).first_bad.unwrap().check, "anchor-chain");
    }
    // Cut at either end it is a shorter export: only who knows from outside how long it must be can tell.
    assert_eq!(build(&[&b0, &b1]).verdict, Verdict::Proved);
    let short: Vec<u8> = [&header, &ledger, &b0, &end].into_iter().flatten().copied().collect();
    let report = verify(&reseal(&short), Trust::File, Expect { reaches: Some((0, 12)) });
    assert_eq!((report.verdict, report.gaps), (Verdict::Incomplete, 1));
    let swapped: Vec<u8> = [&ledger, &header, &b0, &end].into_iter().flatten().copied().collect();
    assert_eq!(check(&reseal(&swapped)).first_bad.unwrap().check, "order");
}

#[test]
fn another_partys_policy_refuses_a_file_that_agrees_with_itself() {
    let file = Street::new().rounds(1).export_all();
    let mut other = Street::new();
    other.log = SigningKey::from_seed(&[99; 32]);
    let policy: Policy = other.policy();
    let report = verify(&file, Trust::Own(&policy), Expect::default());
    assert_eq!(report.first_bad.unwrap().check, "credential");
}

#[test]
fn what_the_ledger_has_not_answered_is_incomplete() {
    let mut street = Street::new().rounds(1);
    let entries = street.round(1);
    street.batch(entries, false);
    let report = check(&street.export_all());
    assert_eq!(report.first_bad, None);
    assert_eq!((report.verdict, report.entries, report.anchored), (Verdict::Incomplete, 7, 4));
}

#[test]
fn one_point_is_shown_without_its_neighbours_and_a_hole_in_it_is_noticed() {
    let street = Street::new().rounds(3);
    let scope = Scope::Point(name("flat-2-heat"));
    let of_point = |entry: &Entry| entry.body.link().is_some_and(|link| link.point == name("flat-2-heat"));
    let file = street.export_some(&scope, of_point);
    let report = check(&file);
    assert_eq!((report.verdict, report.entries, report.batches), (Verdict::Proved, 3, 3), "{report:?}");
    assert!(!file.windows(6).any(|window| window == b"flat-1"), "the neighbour is not in the file");

    let holed = street.export_some(&scope, |entry| of_point(entry) && entry.body.link().unwrap().seq != 1);
    assert_eq!(check(&holed).first_bad.unwrap().check, "point-chain");
    let strange = street.export_some(&scope, |_| true);
    assert_eq!(check(&strange).first_bad.unwrap().check, "scope");
}

#[test]
fn one_entry_is_shown_with_its_proof_and_nothing_else() {
    let street = Street::new().rounds(3);
    let file = street.export_some(&Scope::Entry { epoch: 0, seq: 5 }, |entry| entry.seq == 5);
    let report = check(&file);
    assert_eq!((report.verdict, report.entries), (Verdict::Proved, 1), "{report:?}");
    let other = street.export_some(&Scope::Entry { epoch: 0, seq: 5 }, |entry| entry.seq == 6);
    assert_eq!(check(&other).first_bad.unwrap().check, "scope");
}

#[test]
fn a_new_epoch_is_accepted_and_what_it_lost_is_told() {
    let mut street = Street::new().rounds(3);
    // The card is put back to the state after the first batch; the ledger knows three.
    let lost: Vec<_> = street.batches.drain(1..).collect();
    let head = street.batches[0].0.anchor().statement().head;
    street.chain = Chain::begin(name("gw-1"), 1, head);
    let last_on_ledger = lost.last().unwrap();
    street.batches.push((last_on_ledger.0.clone(), last_on_ledger.1.clone()));
    let entries = street.round(9);
    street.batch(entries, true);
    street.batches.remove(1);
    let report = check(&street.export_all());
    assert_eq!(report.first_bad, None);
    assert_eq!((report.verdict, report.gaps, report.span), (Verdict::Incomplete, 1, Some(((0, 0), (1, 3)))));
}

#[test]
fn a_rollback_that_was_entered_is_told_and_so_are_epochs_that_are_not_there() {
    let mut street = Street::new().rounds(1);
    street.batches.clear();
    street.chain = Chain::begin(name("gw-1"), 2, Hash::ZERO);
    let stamp = street.stamp();
    let noticed = Event { name: "rollback-noticed".into(), details: Vec::new() };
    let entry = street.chain.seal(Occurrence::Event(noticed), stamp, &street.gateway);
    street.batch(vec![entry], true);
    let report = check(&street.export_all());
    assert_eq!(report.verdict, Verdict::Proved, "{report:?}");
    assert_eq!(report.rollbacks, [Rollback { epoch: 2, seq: 0, unix_ms: stamp.unix_ms }]);
    assert_eq!(report.epochs_before(), 2);
    let honest = check(&Street::new().rounds(1).export_all());
    assert_eq!((honest.rollbacks.len(), honest.epochs_before()), (0, 0));
}

/// A due time that nobody used has a reason of its own; a code of a later version stays what it is.
#[test]
fn reasons_keep_their_codes() {
    let street = Street::new();
    let stamp = street.stamp();
    for (reason, named) in [(Reason::NotAsked, "not-asked"), (Reason::Other(13), "other")] {
        let absent = Absent { due_ms: 0, reason, detail: String::new() };
        let mut chain = Chain::begin(name("gw-1"), 0, Hash::ZERO);
        let entry = chain.seal(Occurrence::Absent(name("flat"), absent), stamp, &street.gateway);
        let parsed = Unverified::<Entry>::parse(entry.bytes()).unwrap();
        let Body::Absent(_, absent) = &parsed.claims().body else { panic!("it is an absence") };
        assert_eq!((absent.reason, absent.reason.name()), (reason, named));
    }
}

#[test]
fn a_raw_frame_that_no_record_names_is_refused() {
    let mut street = Street::new().rounds(1);
    street.frames[0].push(0);
    let file = street.export_all();
    assert_eq!(check(&file).verdict, Verdict::Proved, "a frame that fits no record is left out by an honest exporter");
    let (batch, receipt) = &street.batches[0];
    let part =
        plomb_seal::export::Anchored { frames: vec![&street.frames[0]], ..street.anchored(batch, receipt.as_ref()) };
    let entries: Vec<&[u8]> = batch.entries().iter().map(plomb_seal::Signed::bytes).collect();
    let (mut writer, mut file) = plomb_seal::export::Writer::begin(&name("gw-1"), &Scope::All, &street.credential);
    file.extend(writer.whole(&part, &entries));
    file.extend(writer.end());
    assert_eq!(check(&file).first_bad.unwrap().check, "frame");
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_never_prove(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(check(&bytes).verdict, Verdict::Tampered);
        }

        #[test]
        fn pieces_put_together_at_will_never_panic(order in prop::collection::vec(0usize..5, 0..8)) {
            let file = Street::new().rounds(3).export_all();
            let ranges = items(&file);
            let mixed: Vec<u8> = order.iter().flat_map(|n| file[ranges[*n].clone()].iter().copied()).collect();
            let report = check(&reseal(&mixed));
            // Only header, ledger and a run of batches without a hole may pass.
            if report.verdict == Verdict::Proved {
                let batches = &order[2..];
                prop_assert!(order[..2] == [0, 1] && batches.windows(2).all(|pair| pair[1] == pair[0] + 1));
            }
        }
    }
}

#[test]
fn one_entry_shown_twice_is_refused() {
    let street = Street::new().rounds(1);
    let entries = &street.batches[0].0.entries()[0];
    let (batch, receipt) = &street.batches[0];
    let hashes: Vec<Hash> = batch.entries().iter().map(plomb_seal::Signed::hash).collect();
    let part = plomb_seal::export::Anchored { frames: Vec::new(), ..street.anchored(batch, receipt.as_ref()) };
    let path = plomb_seal::tree::inclusion_path(&hashes, 0).unwrap();
    let scope = Scope::Entry { epoch: 0, seq: 0 };
    for times in [vec![1, 1], vec![2]] {
        let (mut writer, mut file) = plomb_seal::export::Writer::begin(&name("gw-1"), &scope, &street.credential);
        for count in times {
            file.extend(writer.parts(&part, &vec![(entries.bytes(), path.clone()); count]));
        }
        file.extend(writer.end());
        assert_eq!(check(&file).verdict, Verdict::Tampered);
    }
}

#[test]
fn a_renewed_certificate_for_the_same_key_serves_the_later_anchors() {
    let mut street = Street::new();
    let first = street.credential.certificates[0].clone();
    let short = street.issue(NOW_S as i64 - 86_400, NOW_S as i64 + 1);
    let long = street.issue(NOW_S as i64, NOW_S as i64 + 1000);
    let street = street.rounds(2);
    let with = |certificates: Vec<plomb_seal::Logged>| {
        let mut credential = street.credential.clone();
        credential.certificates = certificates;
        let (mut writer, mut file) = plomb_seal::export::Writer::begin(&name("gw-1"), &Scope::All, &credential);
        for (batch, receipt) in &street.batches {
            let entries: Vec<&[u8]> = batch.entries().iter().map(plomb_seal::Signed::bytes).collect();
            file.extend(writer.whole(&street.anchored(batch, receipt.as_ref()), &entries));
        }
        file.extend(writer.end());
        check(&file)
    };
    assert_eq!(with(vec![first]).verdict, Verdict::Proved);
    assert_eq!(with(vec![short.clone()]).first_bad.unwrap().check, "certificate-validity");
    assert_eq!(with(vec![short, long]).verdict, Verdict::Proved);
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    let mut file = Street::new().rounds(1).export_all();
    let at = file.windows(12).position(|window| window == b"plomb-export").unwrap() + 12;
    assert_eq!(file[at], 1);
    file[at] = 2;
    let bad = check(&file).first_bad.unwrap();
    assert!(bad.detail.contains("version 2"), "{bad:?}");
}

/// A gateway that signs eight entries, anchors three, and begins an epoch: the later epoch does not make up for the
/// end of the earlier one.
#[test]
fn a_later_epoch_does_not_reach_the_end_of_an_earlier_one() {
    let mut street = Street::new().rounds(1);
    let _never_anchored = street.round(1);
    let head = street.batches[0].0.anchor().statement().head;
    street.chain = Chain::begin(name("gw-1"), 1, head);
    let entries = street.round(2);
    street.batch(entries, true);
    let file = street.export_all();
    let reaching = |epoch, seq| verify(&file, Trust::File, Expect { reaches: Some((epoch, seq)) });
    for (epoch, seq) in [(0, 0), (0, 3), (1, 0), (1, 3)] {
        assert_eq!(reaching(epoch, seq).verdict, Verdict::Proved, "{epoch}:{seq}");
    }
    for (epoch, seq) in [(0, 4), (0, 6), (1, 4), (2, 0)] {
        let report = reaching(epoch, seq);
        assert_eq!((report.verdict, report.gaps), (Verdict::Incomplete, 1), "{epoch}:{seq}");
    }
    let run = |epoch| plomb_seal::verify::Run { epoch, first: 0, last: 3 };
    assert_eq!(check(&file).runs, [run(0), run(1)]);
}

/// The hub's clock was an hour ahead and is set right: the anchor names a checkpoint that is dated after its own
/// receipt. Nothing was changed, so nothing is tampered with; but the file has no dates.
#[test]
fn dates_that_contradict_are_no_tampering_and_no_dates() {
    let mut street = Street::new().rounds(2);
    assert!(check(&street.export_all()).not_before_s.is_none(), "the first batch names no checkpoint");
    street.clock_s += 3600;
    let entries = street.round(2);
    street.batch(entries, true);
    street.clock_s -= 3600;
    for n in 3..5 {
        let entries = street.round(n);
        street.batch(entries, true);
    }
    let report = check(&street.export_all());
    assert_eq!(report.first_bad, None);
    assert_eq!((report.verdict, report.gaps), (Verdict::Incomplete, 0));
    assert_eq!((report.not_before_s, report.not_after_s), (None, None));
    assert_eq!(report.shortfalls.len(), 1, "told once: {:?}", report.shortfalls);
    assert!(report.shortfalls[0].starts_with("dates contradict"), "{:?}", report.shortfalls);
}
