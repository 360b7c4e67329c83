//! A link and a meter on a good line: what is negotiated, segments, windows, and the line's use.

use crate::line::Line;
use crate::meter::Meter;
use plomb_dlms::hdlc::{Address, ClientLink, HdlcConfig, Parameters};
use plomb_dlms::link::LinkFailure;
use std::time::Duration;

pub(crate) fn server() -> Address {
    Address::server(1, 17).unwrap()
}

pub(crate) fn config() -> HdlcConfig {
    HdlcConfig::new(Address::PUBLIC_CLIENT, server(), 9600)
}

pub(crate) fn long(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
}

#[test]
fn questions_and_answers_of_any_length_in_any_window() {
    for window in 1..=7 {
        for bytes in [16, 128, 1000] {
            let parameters = Parameters {
                transmit_bytes: bytes,
                receive_bytes: bytes,
                transmit_window: window,
                receive_window: window,
            };
            let answers = vec![long(1), long(4000), long(128), long(125)];
            let questions = [long(4000), long(2), long(125), long(126)];
            let mut meter = Meter::new(server(), answers.clone());
            meter.grants = Some(parameters);
            let mut line = Line::new(9600, meter);
            let outcome = line.converse(&mut ClientLink::new(config()), &questions);
            assert_eq!(outcome.failure, None);
            assert_eq!(outcome.answers, answers);
            assert_eq!(line.meter.taken, questions);
        }
    }
}

#[test]
fn a_meter_that_negotiates_nothing_has_the_defaults() {
    let mut meter = Meter::new(server(), vec![long(500)]);
    meter.grants = None;
    let mut line = Line::new(9600, meter);
    let outcome = line.converse(&mut ClientLink::new(config()), &[long(500)]);
    assert_eq!((outcome.failure, outcome.answers), (None, vec![long(500)]));
    // 503 bytes are four frames of 128 each way; SNRM, DISC, and one RR per frame but the last.
    assert_eq!(outcome.client_frames, 2 + 4 + 3);
}

#[test]
fn a_meter_that_knows_no_parameters_is_asked_without() {
    let mut meter = Meter::new(server(), vec![long(5)]);
    meter.rejects_parameters = true;
    let mut line = Line::new(9600, meter);
    let outcome = line.converse(&mut ClientLink::new(config()), &[long(5)]);
    assert_eq!((outcome.failure, outcome.answers), (None, vec![long(5)]));
}

#[test]
fn a_meter_with_another_clients_connection_is_disconnected_first() {
    let mut meter = Meter::new(server(), vec![long(5)]);
    meter.refuses = 1;
    let outcome = Line::new(9600, meter.clone()).converse(&mut ClientLink::new(config()), &[long(5)]);
    assert_eq!((outcome.failure, outcome.answers.len()), (None, 1));
    meter.refuses = 100;
    let outcome = Line::new(9600, meter).converse(&mut ClientLink::new(config()), &[long(5)]);
    assert_eq!(outcome.failure, Some(LinkFailure::Refused));
    assert!(outcome.client_frames < 10);
}

#[test]
fn a_meter_that_is_not_ready_is_asked_again() {
    let mut meter = Meter::new(server(), vec![long(300)]);
    (meter.not_ready, meter.thinks) = (3, 4);
    let mut line = Line::new(9600, meter.clone());
    let outcome = line.converse(&mut ClientLink::new(config()), &[long(300)]);
    assert_eq!((outcome.failure, outcome.answers), (None, vec![long(300)]));
    meter.not_ready = 10_000;
    let outcome = Line::new(9600, meter.clone()).converse(&mut ClientLink::new(config()), &[long(300)]);
    assert!(matches!(outcome.failure, Some(LinkFailure::Busy { seconds: 30..=31 })), "{:?}", outcome.failure);
    (meter.not_ready, meter.thinks) = (0, 10_000);
    let outcome = Line::new(9600, meter).converse(&mut ClientLink::new(config()), &[long(300)]);
    assert!(matches!(outcome.failure, Some(LinkFailure::NoAnswer { seconds: 30..=31 })), "{:?}", outcome.failure);
}

#[test]
fn a_meter_that_never_says_final_costs_no_wait_with_a_window_of_one() {
    let mut meter = Meter::new(server(), vec![long(1000)]);
    (meter.never_final, meter.grants) = (true, None);
    let outcome = Line::new(9600, meter).converse(&mut ClientLink::new(config()), &[long(10)]);
    assert_eq!((outcome.failure, outcome.answers), (None, vec![long(1000)]));
    assert!(outcome.ended.as_micros() < 3_000_000, "{}", outcome.ended);
}

#[test]
fn a_meter_that_acknowledges_each_frame_of_a_window_is_not_sent_everything_twice() {
    let mut meter = Meter::new(server(), vec![long(10)]);
    meter.acknowledges_each = true;
    let parameters = Parameters { transmit_bytes: 128, receive_bytes: 128, transmit_window: 7, receive_window: 7 };
    meter.grants = Some(parameters);
    let outcome = Line::new(9600, meter).converse(&mut ClientLink::new(config()), &[long(2000)]);
    assert_eq!((outcome.failure, outcome.answers.len()), (None, 1));
    // 2003 bytes are 16 frames; SNRM and DISC.
    assert_eq!(outcome.client_frames, 18);
}

#[test]
fn a_dropped_connection_is_told() {
    let mut meter = Meter::new(server(), vec![long(10); 3]);
    meter.drops_at = Some(2);
    let outcome = Line::new(9600, meter).converse(&mut ClientLink::new(config()), &[long(10), long(10), long(10)]);
    assert_eq!((outcome.failure, outcome.answers.len()), (Some(LinkFailure::Lost), 1));
}

/// The line is in use for at least 90 % of the time that the meter does not need to think.
#[test]
fn no_time_is_wasted_on_the_line() {
    for (window, bytes) in [(1, 128), (1, 2030), (7, 128), (7, 512)] {
        let parameters =
            Parameters { transmit_bytes: bytes, receive_bytes: bytes, transmit_window: window, receive_window: window };
        let mut meter = Meter::new(server(), vec![long(60_000), long(100), long(60_000)]);
        meter.grants = Some(parameters);
        let mut line = Line::new(9600, meter);
        line.think = Duration::from_millis(2);
        let outcome = line.converse(&mut ClientLink::new(config()), &[long(60), long(4000), long(60)]);
        assert_eq!((outcome.failure, outcome.answers.len()), (None, 3));
        let used = outcome.wire.as_secs_f64() / Duration::from_micros(outcome.ended.as_micros()).as_secs_f64();
        let net = 124_160.0 * 10.0 / 9600.0 / Duration::from_micros(outcome.ended.as_micros()).as_secs_f64();
        eprintln!("window {window}, {bytes} bytes: line in use {used:.3}, APDUs alone {net:.3}");
        assert!(used > 0.9, "{used}");
    }
}
