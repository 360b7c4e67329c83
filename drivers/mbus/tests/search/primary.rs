//! The search by primary address.

use crate::cost::{end, found};
use crate::sets::{Set, identities, line};
use crate::virtual_line::drive;
use plomb_mbus::{Address, Place, Scan, ScanConfig, ScanEnd, ScanEvent};
use plomb_sim::live::{Kind, Meter};
use plomb_sim::mbus::{Identity, Slave};
use std::time::Duration;

const SPEED: u32 = 2400;

fn collisions(events: &[ScanEvent]) -> Vec<Place> {
    let places = events.iter().filter_map(|event| match event {
        ScanEvent::Collision { place } => Some(*place),
        _ => None,
    });
    places.collect()
}

#[test]
fn each_address_is_told_with_its_identity() {
    let meters = identities(Set::Mixed, 10, 1);
    let run = drive(&mut Scan::primary(0..=250, ScanConfig::new(SPEED)), &mut line(&meters, SPEED));
    let fitted: Vec<[u8; 8]> = meters.iter().map(|(identity, _)| identity.bytes()).collect();
    assert_eq!((found(&run), end(&run)), (fitted, ScanEnd::Complete));
    // 251 calls, and one request for each that answers.
    assert_eq!(run.sent.len(), 251 + 10);
    println!(
        "primary: {} frames, {:.1} s, needed {:.1} s",
        run.sent.len(),
        run.took.as_secs_f64(),
        run.needed.as_secs_f64()
    );
    assert!(run.took < Duration::from_secs(60) && run.took.as_secs_f64() < 1.3 * run.needed.as_secs_f64());
}

#[test]
fn two_meters_at_one_address_are_a_collision() {
    let mut line = line(&identities(Set::Random, 3, 5), SPEED);
    let twin = Identity { id: 0x4711_0815, manufacturer: 0x2C2D, version: 1, medium: 7 };
    line.bus.fit(Slave::live(2, Meter::new(Kind::Water, twin, 9)));
    let run = drive(&mut Scan::primary(1..=5, ScanConfig::new(SPEED)), &mut line);
    assert_eq!(found(&run).len(), 2);
    assert_eq!(collisions(&run.events), [Place::Primary(Address(2))]);
}

#[test]
fn an_empty_line_and_an_empty_range() {
    let run = drive(&mut Scan::primary(1..=3, ScanConfig::new(SPEED)), &mut line(&[], SPEED));
    assert_eq!((end(&run), run.sent.len()), (ScanEnd::NobodyAnswers, 3));
    let run = drive(&mut Scan::primary(251..=255, ScanConfig::new(SPEED)), &mut line(&[], SPEED));
    assert_eq!((end(&run), run.sent.len()), (ScanEnd::Complete, 0));
}

#[test]
fn reversed_wires_are_noise_at_once() {
    let mut line = line(&identities(Set::Random, 3, 5), SPEED);
    line.bus.reversed = true;
    let run = drive(&mut Scan::primary(0..=250, ScanConfig::new(SPEED)), &mut line);
    assert!(matches!(end(&run), ScanEnd::Noise { .. }));
    assert!(run.sent.len() < 10 && found(&run).is_empty());
}

#[test]
fn cancelled_between_two_addresses() {
    let meters = identities(Set::Random, 3, 5);
    let mut scan = Scan::primary(0..=250, ScanConfig::new(SPEED));
    let run = crate::virtual_line::drive_until(&mut scan, &mut line(&meters, SPEED), |scan, event| {
        if matches!(event, ScanEvent::Found(_)) {
            scan.cancel();
        }
    });
    assert_eq!((found(&run).len(), end(&run)), (1, ScanEnd::Cancelled));
}
