//! Bounds and expiry of enrolments.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use plomb_seal::{Signed, SigningKey};

use super::*;
use crate::enrol::kept;

const NOW_MS: i64 = 1_800_000_000_000;
const HUB: Hub<'static> = Hub { origin: "ledger.example/x", key: Hash([3; 32]) };

/// A request of one of many devices, and its nonce.
fn asks(id: &str, device: u16) -> (Vec<u8>, [u8; NONCE_BYTES]) {
    let mut seed = [1; 32];
    let [high, low] = device.to_be_bytes();
    (seed[0], seed[1]) = (high, low);
    let key = SigningKey::from_seed(&seed);
    let request =
        Request { gateway: id.parse().unwrap(), key: key.public(), commitment: enrol::commitment(&seed), time_s: 0 };
    (Signed::sign(request, &key).into_bytes(), seed)
}

fn begin(book: &mut Book, id: &str, device: u16, peer: &str, now_ms: i64) -> Result<Hash, &'static str> {
    let (request, _) = asks(id, device);
    let opening = book.begin(&request, (peer, [9; NONCE_BYTES]), (HUB.origin, |_: &Name| false), now_ms);
    opening.map(|opening| opening.ticket).map_err(|denied| denied.rule)
}

fn open(book: &mut Book, id: &str, device: u16, peer: &str, now_ms: i64) -> Result<Hash, &'static str> {
    let ticket = begin(book, id, device, peer, now_ms)?;
    book.reveal(&ticket, &asks(id, device).1, now_ms).map(|()| ticket).map_err(|denied| denied.rule)
}

#[test]
fn open_begun_and_ended_enrolments_are_bounded() {
    let mut book = Book::default();
    for device in 0..200u16 {
        let opened = open(&mut book, &format!("gw-{device}"), device, &format!("10.0.0.{device}"), NOW_MS);
        let most = u16::try_from(ENROLMENTS_OPEN_MAX).unwrap();
        assert_eq!(opened.err(), (device >= most).then_some("enrolments-open-max"), "{device}");
    }
    let mut book = Book::default();
    let one = (0..100).filter_map(|device| open(&mut book, &format!("gw-{device}"), device, "10.0.0.1", NOW_MS).err());
    let refused: Vec<_> = one.collect();
    assert_eq!(refused.len(), 100 - ENROLMENTS_PER_PEER_MAX);
    assert!(refused.iter().all(|rule| *rule == "enrolments-per-peer-max"));
    // Those that only began give way: of one address to its next, and in all to whoever comes.
    for (peers, most) in [(1, ENROLMENTS_PER_PEER_MAX), (400, ENROLMENTS_BEGUN_MAX)] {
        let mut book = Book::default();
        for device in 0..400u16 {
            begin(&mut book, &format!("gw-{device}"), device, &format!("peer-{}", device % peers), NOW_MS).unwrap();
        }
        assert_eq!(book.all().len(), most);
        assert_eq!(book.all()[0].asked.gateway.to_string(), format!("gw-{}", 400 - most), "the oldest went");
    }
    // Those that ended take no room from those that wait; the oldest are forgotten, but no grant for refusals.
    let mut book = Book::default();
    let granted = open(&mut book, "gw-900", 900, "10.0.0.9", NOW_MS).unwrap();
    book.approve(&granted, "operator", b"transaction").unwrap();
    book.settle(&granted, Ok(17)).unwrap();
    for device in 0..400u16 {
        let id = format!("gw-{device}");
        open(&mut book, &id, device, "10.0.0.1", NOW_MS).unwrap();
        book.refuse(&id.parse().unwrap(), "no", NOW_MS).unwrap();
    }
    book.tidy(NOW_MS);
    assert_eq!((book.all().len(), book.find(&granted).is_ok()), (ENROLMENTS_ENDED_MAX, true));
    assert_eq!(book.all().last().map(|one| one.asked.gateway.to_string()).as_deref(), Some("gw-399"));
}

/// A few addresses hold every place. Who comes from elsewhere gets one, and neither the approved nor those of addresses
/// that have few lose theirs.
#[test]
fn a_flood_of_open_enrolments_shuts_nobody_out() {
    let mut book = Book::default();
    let honest = open(&mut book, "honest-1", 900, "10.9.0.1", NOW_MS).unwrap();
    let approved = open(&mut book, "gw-999", 999, "10.0.0.0", NOW_MS).unwrap();
    book.approve(&approved, "operator", b"transaction").unwrap();
    let mut flood = Vec::new();
    for device in 0..200u16 {
        flood.extend(open(&mut book, &format!("gw-{device}"), device, &format!("10.0.0.{}", device / 8), NOW_MS));
    }
    let late = open(&mut book, "honest-2", 901, "10.9.0.2", NOW_MS).unwrap();
    let open_now = |book: &Book| book.all().iter().filter(|one| one.step.waits_for_people()).count();
    assert_eq!(open_now(&book), ENROLMENTS_OPEN_MAX);
    assert_eq!((&book.find(&honest).unwrap().step, &book.find(&late).unwrap().step), (&Step::Open, &Step::Open));
    assert_eq!(book.find(&approved).unwrap().step.name(), "approved");
    let told = |one: &Enrolment| matches!(&one.step, Step::Refused { rule, .. } if rule == "enrolments-open-max");
    assert!(book.all().iter().any(told), "those that gave way are told so");
    assert_eq!(book.refuse_open("a flood", NOW_MS), ENROLMENTS_OPEN_MAX - 1);
    assert_eq!((open_now(&book), book.find(&approved).unwrap().step.name()), (1, "approved"));
}

#[test]
fn an_enrolment_ends_after_a_day_and_a_begun_one_after_minutes_also_when_the_clock_jumps() {
    for end_ms in [ENROLMENT_LIFE_MS, -ENROLMENT_LIFE_MS] {
        let mut book = Book::default();
        let opened = open(&mut book, "gw-1", 1, "a", NOW_MS).unwrap();
        let begun = begin(&mut book, "gw-2", 2, "a", NOW_MS).unwrap();
        let early_ms = NOW_MS + end_ms.signum() * BEGUN_LIFE_MS;
        book.tidy(early_ms);
        assert!(book.find(&opened).is_ok() && book.find(&begun).is_err());
        let claimed = book.claim(&"gw-1".parse().unwrap(), "0000-0000", HUB, NOW_MS + end_ms);
        assert_eq!(claimed.unwrap_err().rule, "enrolment-unknown", "too late, and no try is counted");
        assert!(book.all().is_empty());
    }
}

#[test]
fn the_same_device_begins_anew_and_another_waits_for_the_operator_s_no() {
    let mut book = Book::default();
    let first = open(&mut book, "gw-1", 1, "a", NOW_MS).unwrap();
    assert_eq!(begin(&mut book, "gw-1", 2, "a", NOW_MS), Err("enrolment-taken"));
    // It lost what it had written down: another request, by the same key.
    let key = SigningKey::from_seed(&asks("gw-1", 1).1);
    let request = Request {
        gateway: "gw-1".parse().unwrap(),
        key: key.public(),
        commitment: enrol::commitment(&[5; 32]),
        time_s: 7,
    };
    let bytes = Signed::sign(request, &key).into_bytes();
    let again = book.begin(&bytes, ("a", [8; 32]), (HUB.origin, |_: &Name| false), NOW_MS).unwrap();
    assert!(book.find(&first).is_ok(), "until the nonce is told the old one stands");
    book.reveal(&again.ticket, &[5; 32], NOW_MS).unwrap();
    assert_eq!(book.find(&first).unwrap_err().rule, "enrolment-unknown");
    let certified = book.begin(&asks("gw-9", 3).0, ("a", [8; 32]), (HUB.origin, |_: &Name| true), NOW_MS);
    assert_eq!(certified.unwrap_err().rule, "enrolment-certified");
}

#[test]
fn what_is_kept_in_the_file_is_what_was_known_but_for_those_that_only_began() {
    let mut book = Book::default();
    let opened = open(&mut book, "gw-1", 1, "a", NOW_MS).unwrap();
    let approved = open(&mut book, "gw-2", 2, "a", NOW_MS).unwrap();
    book.approve(&approved, "operator", b"transaction").unwrap();
    let granted = open(&mut book, "gw-3", 3, "a", NOW_MS).unwrap();
    book.approve(&granted, "operator", b"transaction").unwrap();
    book.settle(&granted, Ok(17)).unwrap();
    let refused = open(&mut book, "gw-4", 4, "a", NOW_MS).unwrap();
    book.approve(&refused, "operator", b"transaction").unwrap();
    book.settle(&refused, Err(("certificate-unique".into(), "no".into()))).unwrap();
    let begun = begin(&mut book, "gw-5", 5, "a", NOW_MS).unwrap();
    let read = kept::read(&kept::write(&book)).unwrap();
    for ticket in [opened, approved, granted, refused] {
        assert_eq!(read.find(&ticket), book.find(&ticket));
    }
    assert!(read.find(&begun).is_err());
    assert!(
        kept::read("{}").is_err() && kept::read(&kept::write(&book).replace("enrolments/1", "enrolments/2")).is_err()
    );
}
