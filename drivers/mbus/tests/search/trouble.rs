//! Lines on which a search must not be led astray.

use crate::cost::{end, found};
use crate::sets::{Set, identities, line};
use crate::virtual_line::{Run, drive, drive_until};
use plomb_mbus::{Place, Scan, ScanConfig, ScanEnd, ScanEvent, snd_nke};
use plomb_sim::live::{Kind, Meter};
use plomb_sim::mbus::{Identity, Slave, manufacturer_code};
use plomb_sim::{Line, Noise};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SPEED: u32 = 2400;

fn search(line: &mut Line) -> Run<ScanEvent> {
    drive(&mut Scan::secondary(ScanConfig::new(SPEED)), line)
}

fn slave(address: u8, id: u32) -> Slave {
    let identity = Identity { id, manufacturer: 0x2C2D, version: 1, medium: 7 };
    Slave::live(address, Meter::new(Kind::Water, identity, u64::from(address)))
}

fn line_of(slaves: Vec<Slave>) -> Line {
    let mut line = line(&[], SPEED);
    slaves.into_iter().for_each(|slave| line.bus.fit(slave));
    line
}

fn others(run: &Run<ScanEvent>) -> Vec<&ScanEvent> {
    let quiet =
        |event: &&ScanEvent| !matches!(event, ScanEvent::Found(_) | ScanEvent::Progress(_) | ScanEvent::Done { .. });
    run.events.iter().filter(quiet).collect()
}

#[test]
fn nobody_is_told_after_both_selections() {
    let run = search(&mut line_of(vec![]));
    assert_eq!(end(&run), ScanEnd::NobodyAnswers);
    let controls: BTreeSet<u8> = run.sent.iter().filter(|frame| frame[0] == 0x68).map(|frame| frame[4]).collect();
    assert_eq!(controls, BTreeSet::from([0x53, 0x73]));
    assert_eq!(run.sent.last(), Some(&snd_nke(plomb_mbus::Address::SELECTED)));
}

#[test]
fn an_echo_changes_nothing() {
    let meters = identities(Set::Mixed, 10, 3);
    let plain = search(&mut line(&meters, SPEED));
    let mut echoing = line(&meters, SPEED);
    echoing.bus.echo = true;
    let echoed = search(&mut echoing);
    assert_eq!((found(&echoed), echoed.sent.len()), (found(&plain), plain.sent.len()));
}

#[test]
fn reversed_wires_end_the_search_with_few_frames() {
    let mut line = line(&identities(Set::Random, 10, 3), SPEED);
    line.bus.reversed = true;
    let run = search(&mut line);
    assert!(matches!(end(&run), ScanEnd::Noise { bytes: 1.. }), "{:?}", run.events);
    assert!(run.sent.len() <= 8 && found(&run).is_empty(), "{} frames", run.sent.len());
}

#[test]
fn noise_after_every_write_is_told_not_followed() {
    let mut line = line(&identities(Set::Random, 10, 3), SPEED);
    line.bus.noise = Some(Noise { every: 1, byte: 0xFC });
    let run = search(&mut line);
    assert!(matches!(end(&run), ScanEnd::Noise { bytes: 1.. }), "{:?}", run.events);
    assert!(run.sent.len() <= 16, "{} frames", run.sent.len());
}

#[test]
fn noise_now_and_then_hides_no_meter() {
    for every in [7, 13, 29] {
        let meters = identities(Set::Random, 10, 3);
        let mut line = line(&meters, SPEED);
        line.bus.noise = Some(Noise { every, byte: 0x5A });
        let run = search(&mut line);
        assert_eq!((found(&run).len(), end(&run)), (10, ScanEnd::Complete), "every {every}: {:?}", others(&run));
        assert!(run.sent.len() < 400, "every {every}: {} frames", run.sent.len());
    }
}

#[test]
fn a_glitch_before_each_answer_is_passed_over() {
    let mut one = slave(1, 0x1234_5678);
    one.faults.noise_before = vec![0xFC];
    let run = search(&mut line_of(vec![one, slave(2, 0x8765_4321)]));
    assert_eq!((found(&run).len(), others(&run).len()), (2, 0));
}

#[test]
fn meters_with_one_identity_are_a_collision_not_a_meter() {
    let run = search(&mut line_of(vec![slave(1, 0x1234_5678), slave(2, 0x1234_5678), slave(3, 0x1234_5679)]));
    assert_eq!(found(&run).len(), 1);
    let [ScanEvent::Collision { place: Place::Selection(selection) }] = others(&run)[..] else {
        panic!("{:?}", others(&run));
    };
    assert_eq!(selection.to_string(), "12345678.KAM.01.07");
}

/// Two of them differ in nothing but the manufacturer, and so does a third.
fn of_makers(makers: &[&str], change: impl Fn(&mut Slave)) -> Line {
    let slave = |(address, maker): (u8, &&str)| {
        let manufacturer = manufacturer_code(maker).unwrap();
        let identity = Identity { id: 0x1234_5678, manufacturer, version: 3, medium: 7 };
        let mut slave = Slave::live(address, Meter::new(Kind::Water, identity, u64::from(address)));
        change(&mut slave);
        slave
    };
    line_of((1..).zip(makers).map(slave).collect())
}

#[test]
fn equal_numbers_part_by_manufacturers_that_nobody_expects() {
    let known_and_not: &[&str] = &["ACW", "KAM", "PLA"];
    for makers in [&["PLA", "PLB"], &["KAM", "PLB"], known_and_not] {
        let run = search(&mut of_makers(makers, |_| {}));
        assert_eq!((found(&run).len(), end(&run)), (makers.len(), ScanEnd::Complete), "{makers:?}: {:?}", others(&run));
        assert!(others(&run).is_empty() && run.sent.len() < 600, "{makers:?}: {} frames", run.sent.len());
        // None of them answers in step with another.
        let run = search(&mut of_makers(makers, |slave| slave.response_bits = 20 + 31 * u32::from(slave.address())));
        assert_eq!(found(&run).len(), makers.len(), "{makers:?} apart: {:?}", others(&run));
        assert!(others(&run).is_empty() && run.sent.len() < 900, "{makers:?} apart: {} frames", run.sent.len());
    }
}

#[test]
fn equal_numbers_part_by_manufacturers_also_where_half_of_them_is_no_question() {
    let run = search(&mut of_makers(&["PLA", "PLB"], |slave| slave.knows_half_manufacturers = false));
    assert_eq!((found(&run).len(), others(&run).len()), (2, 0), "{:?}", others(&run));
    assert!(run.sent.len() < 2500, "{} frames", run.sent.len());
}

#[test]
fn twins_are_told_soon_and_hide_nobody() {
    let run = search(&mut of_makers(&["PLA", "PLA"], |_| {}));
    let [ScanEvent::Collision { place: Place::Selection(selection) }] = others(&run)[..] else {
        panic!("{:?}", others(&run));
    };
    assert!(selection.is_whole() && run.sent.len() < 250, "{selection}: {} frames", run.sent.len());
    assert_eq!((found(&run).len(), end(&run)), (0, ScanEnd::Complete));
    let run = search(&mut of_makers(&["PLA", "PLA", "PLB", "KAM"], |_| {}));
    assert_eq!((found(&run).len(), others(&run).len()), (2, 1), "{:?}", others(&run));
}

#[test]
fn meters_with_one_identity_part_by_their_fabrication_numbers() {
    let fabricated = |address, number| {
        let mut slave = slave(address, 0x1234_5678);
        slave.fabrication = Some(number);
        slave
    };
    let slaves = vec![fabricated(1, 0x0000_1111), fabricated(2, 0x0000_2111), slave(3, 0x1234_5679)];
    let run = search(&mut line_of(slaves));
    assert!(others(&run).is_empty(), "{:?}", others(&run));
    let names: BTreeSet<String> = run
        .events
        .iter()
        .filter_map(|event| match event {
            ScanEvent::Found(meter) => meter.identity.map(|identity| identity.to_string()),
            _ => None,
        })
        .collect();
    let expected = ["12345678.KAM.01.07.00001111", "12345678.KAM.01.07.00002111", "12345679.KAM.01.07"];
    assert_eq!(names, expected.map(String::from).into());
    println!("fabrication: {} frames", run.sent.len());
}

#[test]
fn a_meter_that_is_too_slow_is_told_not_passed_over() {
    // The standard allows 187.5 ms at this speed; the simulated meter takes 9 ms and more by itself.
    for (late_ms, in_time) in [(0, true), (160, true), (185, false), (200, false), (230, false), (250, false)] {
        let mut slow = slave(1, 0x1234_5671);
        slow.faults.late_ms = late_ms;
        let run = search(&mut line_of(vec![slow, slave(2, 0x1234_5678), slave(3, 0x1234_5679)]));
        let mute = others(&run).iter().any(|event| matches!(event, ScanEvent::Mute { .. }));
        let all = found(&run).len() == 3;
        assert!(if in_time { all && !mute } else { all || mute }, "{late_ms} ms: {:?}", others(&run));
        assert!(run.sent.len() < 250, "{late_ms} ms: {} frames", run.sent.len());
    }
}

#[test]
fn hexadecimal_digits_are_found_when_collisions_remain() {
    let run = search(&mut line_of(vec![slave(1, 0x1234_567A), slave(2, 0x1234_567B)]));
    assert_eq!((found(&run).len(), others(&run).len()), (2, 0));
    let mut config = ScanConfig::new(SPEED);
    config.hex_digits = true;
    let fitted = vec![slave(1, 0x1234_5671), slave(2, 0x1234_5672), slave(3, 0x1234_567A), slave(4, 0x1234_5A7A)];
    let run = drive(&mut Scan::secondary(config), &mut line_of(fitted));
    assert_eq!((found(&run).len(), others(&run).len()), (4, 0));
}

#[test]
fn a_meter_that_tells_another_identity_is_not_told_as_found() {
    let mut liar = slave(1, 0x1234_5678);
    liar.faults.wrong_identity = true;
    let run = search(&mut line_of(vec![liar, slave(2, 0x8765_4321)]));
    assert_eq!(found(&run).len(), 1);
    assert!(
        others(&run)
            .iter()
            .any(|event| matches!(event, ScanEvent::Unfit { got: Some(got), .. } if got.id.0 == 0x1234_5679))
    );
}

#[test]
fn a_meter_that_only_acknowledges_is_told_with_its_digits() {
    // Its answers come in pairs of one acknowledgement and one telegram; each second is swallowed.
    let mut mute = slave(1, 0x1234_5678);
    mute.faults.busy = true;
    let run = search(&mut line_of(vec![mute]));
    assert!(found(&run).is_empty());
    assert!(matches!(others(&run)[..], [ScanEvent::Unfit { got: None, .. }]), "{:?}", others(&run));
}

#[test]
fn a_limit_and_a_cancel_leave_the_line_clean() {
    let meters = identities(Set::Consecutive, 40, 2);
    let mut config = ScanConfig::new(SPEED);
    config.frames_max = 50;
    let mut limited = line(&meters, SPEED);
    let run = drive(&mut Scan::secondary(config), &mut limited);
    assert_eq!((end(&run), run.sent.len()), (ScanEnd::FrameLimit, 51));
    assert!(limited.bus.slaves().all(|slave| !slave.is_selected()));

    let mut cancelled = line(&meters, SPEED);
    let mut scan = Scan::secondary(ScanConfig::new(SPEED));
    let run = drive_until(&mut scan, &mut cancelled, |scan, event| {
        if matches!(event, ScanEvent::Found(_)) {
            scan.cancel();
        }
    });
    assert_eq!((end(&run), found(&run).len()), (ScanEnd::Cancelled, 1));
    assert!(cancelled.bus.slaves().all(|slave| !slave.is_selected()));
}

#[test]
fn progress_only_grows_and_ends_at_the_whole() {
    let run = search(&mut line(&identities(Set::Mixed, 40, 4), SPEED));
    let shares: Vec<u16> = run
        .events
        .iter()
        .filter_map(|event| match event {
            ScanEvent::Progress(progress) => Some(progress.done_per_mille),
            _ => None,
        })
        .collect();
    assert!(shares.is_sorted(), "{shares:?}");
    assert_eq!(shares.last(), Some(&1000));
    assert!(shares.len() > 20);
}

#[test]
fn a_search_within_a_selection_finds_its_meters_only() {
    let mut within = plomb_mbus::SecondaryAddress::ANY;
    within.id.0 = 0x1234_FFFF;
    let mut line = line_of(vec![slave(1, 0x1234_5678), slave(2, 0x1234_5679), slave(3, 0x9934_5678)]);
    let run = drive(&mut Scan::within(within, ScanConfig::new(SPEED)), &mut line);
    assert_eq!(found(&run).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_line_is_found_whole(
        digits in prop::collection::btree_set(prop_oneof![0u32..100_000_000, 12_345_600u32..12_345_700, (0u32..1000).prop_map(|n| n * 100_000)], 1..12),
        delays in prop::collection::vec(11u32..60, 12),
        fast: bool,
    ) {
        let speed = if fast { 9600 } else { 2400 };
        let mut line = line(&[], speed);
        for (address, (digits, delay)) in (1u8..).zip(digits.iter().zip(delays)) {
            let id = Identity::parse_id(&format!("{digits:08}")).unwrap();
            let mut slave = slave(address, id);
            slave.response_bits = delay;
            line.bus.fit(slave);
        }
        let run = drive(&mut Scan::secondary(ScanConfig::new(speed)), &mut line);
        let told: BTreeSet<String> = run.events.iter().filter_map(|event| match event {
            ScanEvent::Found(meter) => Some(meter.identity.unwrap().id.to_string()),
            _ => None,
        }).collect();
        let fitted: BTreeSet<String> = digits.iter().map(|digits| format!("{digits:08}")).collect();
        prop_assert_eq!(told, fitted);
        prop_assert!(others(&run).is_empty(), "{:?}", others(&run));
    }
}
