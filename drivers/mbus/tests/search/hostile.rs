//! Any line against each search, in short form: it ends, tells its end once and last, and sends no
//! more than it may. The long form is a fuzz target.

use crate::sets::Dice;
use plomb_mbus::{Address, Control, Frame, SPEEDS, Scan, ScanConfig, ScanEvent};
use plomb_session::{Instant, Session};
use std::time::Duration;

const CASES: u64 = 1500;
const FRAME_COUNT_MAX: u32 = 300;
/// Deadlines after which any search of so many frames must have ended.
const DEADLINES_MAX: usize = 4000;

#[test]
fn any_line_ends_every_search() {
    let mut dice = Dice(7);
    for _ in 0..CASES {
        let length = dice.below(600);
        let line: Vec<u8> = (0..length).map(|_| dice.byte()).collect();
        judge(&line);
    }
}

fn judge(line: &[u8]) {
    let Some((choice, mut rest)) = line.split_first() else { return };
    let mut config = ScanConfig::new(2400);
    config.frames_max = FRAME_COUNT_MAX;
    let mut scan = match choice % 4 {
        0 => Scan::primary(0..=255, config),
        1 => Scan::speeds(&SPEEDS, config),
        _ => Scan::secondary(config),
    };
    let mut now = Instant::ORIGIN;
    let (mut frames, mut ends, mut progress) = (0, 0, 0);
    scan.start(now);
    for _ in 0..DEADLINES_MAX + line.len() {
        if scan.poll_transmit().is_some() {
            frames += 1;
            now += Duration::from_millis(50);
            scan.handle_transmitted(now);
        }
        match rest.split_first() {
            Some((&count @ 0..=0x3F, after)) => {
                let (bytes, after) = after.split_at(after.len().min(usize::from(count)));
                scan.handle_input(bytes, now);
                rest = after;
            }
            Some((0x40..=0x5F, after)) => {
                scan.handle_input(&[0xE5], now);
                rest = after;
            }
            Some((&address @ 0x60..=0x7F, after)) => {
                let (digits, after) = after.split_at(after.len().min(4));
                let mut payload = digits.to_vec();
                payload.resize(12, 1);
                let control = Control::RspUd { acd: false, dfc: false };
                let frame = Frame::Long { control, address: Address(address - 0x60), ci: 0x72, payload: &payload };
                scan.handle_input(&frame.emit().unwrap(), now);
                rest = after;
            }
            Some((&millis @ 0x80..=0xBF, after)) => {
                now += Duration::from_millis(u64::from(millis - 0x80));
                scan.handle_timeout(now);
                rest = after;
            }
            other => {
                now = scan.poll_timeout().map_or(now, |deadline| now.max(deadline));
                scan.handle_timeout(now);
                rest = other.map_or(rest, |(_, after)| after);
            }
        }
        let _ = scan.poll_speed();
        while let Some(event) = scan.poll_event() {
            assert_eq!(ends, 0, "told after the end");
            match event {
                ScanEvent::Found(meter) => assert!(Frame::parse_whole(&meter.telegram).is_ok()),
                ScanEvent::Progress(told) => {
                    assert!(told.done_per_mille >= progress && told.done_per_mille <= 1000);
                    progress = told.done_per_mille;
                }
                ScanEvent::Done { .. } => ends += 1,
                _ => {}
            }
        }
    }
    assert!(scan.is_finished());
    assert_eq!(ends, 1);
    // One more to leave the line clean.
    assert!(frames <= FRAME_COUNT_MAX + 1);
}
