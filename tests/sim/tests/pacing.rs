//! The line's timing, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_sim::{Bus, Calendar, Line, LineSpeed, street};
use std::time::Duration;

const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 1 };
const NKE: [u8; 5] = [0x10, 0x40, 0x01, 0x41, 0x16];

fn line(speed: LineSpeed) -> Line {
    let mut street = street(1, 3, speed, NOW);
    street.bus.slave_mut(1).unwrap().response_bits = 11;
    Line::new(street.bus)
}

#[test]
fn an_acknowledgement_takes_request_pause_and_one_byte() {
    for baud in [300, 2400, 9600, 38_400] {
        let speed = LineSpeed(baud);
        let mut line = line(speed);
        line.master_sends(&NKE, Duration::ZERO);
        // 5 bytes to the slave, 11 bits of silence, 1 byte back: 77 bits.
        let due = line.next_deadline().unwrap();
        let bits = due.as_nanos() * u128::from(baud);
        assert!(bits.abs_diff(77_000_000_000) < 4 * u128::from(baud), "{baud}: {due:?}");
        assert!(line.take_due(due - Duration::from_micros(1)).is_empty());
        assert_eq!(line.take_due(due), [0xE5]);
        assert_eq!(line.next_deadline(), None);
    }
}

#[test]
fn each_byte_of_a_telegram_has_its_time() {
    let speed = LineSpeed(2400);
    let mut line = line(speed);
    line.master_sends(&[0x10, 0x7B, 0x01, 0x7C, 0x16], Duration::ZERO);
    let mut times = Vec::new();
    let mut frame = Vec::new();
    while let Some(due) = line.next_deadline() {
        let bytes = line.take_due(due);
        assert_eq!(bytes.len(), 1);
        times.push(due);
        frame.extend(bytes);
    }
    assert_eq!(frame.len(), usize::from(frame[1]) + 6);
    let whole = *times.last().unwrap() - times[0];
    let expected = speed.bytes(frame.len() - 1);
    assert!(whole.abs_diff(expected) < Duration::from_micros(1), "no error adds up: {whole:?} {expected:?}");
}

#[test]
fn a_client_at_another_speed_hears_and_says_rubbish() {
    let mut line = line(LineSpeed(2400));
    line.set_master_speed(LineSpeed(9600));
    line.master_sends(&NKE, Duration::ZERO);
    assert_eq!(line.next_deadline(), None, "the slave did not understand");
    assert_eq!(line.counters().speed_mismatches, 1);
    assert_eq!(line.counters().frames_heard, 0);
    assert!(line.bus.last_refused().is_some());
    // It asked at the right speed, but listens at the wrong one.
    line.set_master_speed(LineSpeed(2400));
    line.master_sends(&NKE, Duration::from_secs(9));
    line.set_master_speed(LineSpeed(4800));
    assert_ne!(line.take_due(Duration::from_secs(20)), [0xE5]);
}

#[test]
fn a_flood_is_bounded() {
    let mut line = Line::new(Bus::new(LineSpeed(300), NOW));
    for _ in 0..100 {
        line.master_sends(&[0x10; 1024], Duration::ZERO);
    }
    let counters = line.counters();
    assert!(counters.lost_bytes > 0);
    assert_eq!(counters.lost_bytes + counters.master_bytes, 100 * 1024);
    assert!(counters.master_bytes <= 8192 + 2 * 1024);
}
