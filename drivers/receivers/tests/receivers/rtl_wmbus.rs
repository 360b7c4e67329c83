use crate::line::{TELEGRAM, hex, receiver};
use plomb_receivers::{Failure, Form, Kind, Mode, Modes, NoiseReason, ReceiverEvent};

pub(crate) fn line_of(head: &str, telegram: &[u8]) -> Vec<u8> {
    format!("{head};2026-01-25 10:11:12.000;97;148;12345678;0x{}\n", hex(telegram).to_lowercase()).into_bytes()
}

#[test]
fn it_is_ready_at_once_and_its_lines_are_telegrams() {
    let mut line = receiver(Kind::RtlWmbus, Modes::T_AND_C | Modes::S);
    assert!(matches!(line.events()[..], [ReceiverEvent::Ready(_)]));
    assert_eq!(line.sent(), None);
    for (head, mode) in [
        ("T1;1;1", Mode::T),
        ("C1;1;1", Mode::C),
        ("S1;1;1", Mode::S),
        ("rla;T1;1;1", Mode::T),
        ("t2a;C1;1;1", Mode::C),
    ] {
        line.hear(&line_of(head, TELEGRAM));
        let events = line.events();
        let [ReceiverEvent::Heard(heard)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((&heard.bytes[..], heard.form, heard.mode), (TELEGRAM, Form::Stripped, Some(mode)));
        assert_eq!(heard.rssi_dbm, None);
    }
}

#[test]
fn what_it_marks_as_damaged_is_noise() {
    let mut line = receiver(Kind::RtlWmbus, Modes::T);
    line.events();
    for (bytes, reason) in [
        (line_of("T1;0;1", TELEGRAM), NoiseReason::WrongChecksum),
        (line_of("T1;1;0", TELEGRAM), NoiseReason::WrongChecksum),
        (line_of("T1;1;1", &TELEGRAM[..15]), NoiseReason::WrongLength),
        (line_of("T9;1;1", TELEGRAM), NoiseReason::Garbage),
        (b"usage: rtl_wmbus\n".to_vec(), NoiseReason::Garbage),
        (b"T1;1;1;x;y;z;0x00\n".to_vec(), NoiseReason::Garbage),
    ] {
        line.hear(&bytes);
        line.wait();
        let events = line.events();
        let [ReceiverEvent::Noise(noise)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((noise.reason, &noise.bytes), (reason, &bytes));
    }
}

#[test]
fn its_silence_is_for_the_one_who_started_it() {
    let mut line = receiver(Kind::RtlWmbus, Modes::T);
    line.events();
    line.wait();
    let events = line.events();
    assert!(matches!(events[0], ReceiverEvent::Silent { resets: 1, .. }));
    assert_eq!(events[1], ReceiverEvent::Failed(Failure::CannotReset { kind: Kind::RtlWmbus }));
}
