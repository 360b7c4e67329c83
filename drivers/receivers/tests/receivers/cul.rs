use crate::line::{Line, hex, receiver};
use plomb_receivers::{Failure, Form, Kind, Modes, NoiseReason, Receiver, ReceiverEvent};

/// A frame of format A; this session does not look at its CRCs.
pub(crate) const FRAME: &[u8] = &[
    0x0F, 0x44, 0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x16, 0xC1, 0xC2, 0x7A, 0x2A, 0x00, 0x00, 0x00, 0xA5, 0xD1,
    0xD2,
];

/// The frame as the stick sends it, with a signal of -102 dBm.
pub(crate) fn indication(frame: &[u8]) -> Vec<u8> {
    format!("b{}31C8\r\n", hex(frame)).into_bytes()
}

pub(crate) fn set_up(line: &mut Line<Receiver>, letter: &str) {
    line.exchange(b"\r\nV\r\n", b"V 1.67 CUL868\r\n");
    let answer = format!("{}MODE\r\n", letter.to_uppercase());
    line.exchange(format!("X21\r\nbr{letter}\r\n").as_bytes(), answer.as_bytes());
    assert!(line.session.is_listening());
}

#[test]
fn set_up_and_hear() {
    for (modes, letter) in [(Modes::S, "s"), (Modes::T, "t"), (Modes::C, "c")] {
        let mut line = receiver(Kind::Cul, modes);
        set_up(&mut line, letter);
        let ReceiverEvent::Ready(identity) = &line.events()[0] else { panic!() };
        assert_eq!(identity.to_string(), "cul, CUL868, firmware 1.67");
        line.hear(&indication(FRAME));
        let events = line.events();
        let [ReceiverEvent::Heard(heard)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((&heard.bytes[..], heard.form, heard.rssi_dbm), (FRAME, Form::CrcA, Some(-102)));
        assert_eq!(heard.mode, modes.single());
    }
}

#[test]
fn a_frame_of_format_b_is_marked() {
    let mut line = receiver(Kind::Cul, Modes::C);
    set_up(&mut line, "c");
    line.events();
    let frame = [&[0x0D, 0x44][..], &[0x11; 12]].concat();
    line.hear(format!("bY{}31C8\n", hex(&frame)).as_bytes());
    let events = line.events();
    let [ReceiverEvent::Heard(heard)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&heard.bytes, heard.form), (&frame, Form::CrcB));
}

#[test]
fn a_firmware_without_the_mode() {
    for answer in [&b"OFF\r\n"[..], b"? (brc is unknown) Use one of B C F\r\n"] {
        let mut line = receiver(Kind::Cul, Modes::C);
        line.exchange(b"\r\nV\r\n", b"V 1.44 CUL868\r\n");
        line.exchange(b"X21\r\nbrc\r\n", answer);
        assert!(matches!(&line.events()[..], [ReceiverEvent::Failed(Failure::Refused { .. })]));
    }
}

#[test]
fn other_lines_are_noise_and_no_answers() {
    let mut line = receiver(Kind::Cul, Modes::T);
    line.exchange(b"\r\nV\r\n", b"F12340011\r\nV 1.67 CUL868\r\n");
    line.exchange(b"X21\r\nbrt\r\n", b"LOVF\r\nTMODE\r\n");
    assert!(line.session.is_listening());
    line.hear(b"b0G\r\nb\r\nT01234567\r\n");
    line.wait();
    let reasons: Vec<_> = line
        .events()
        .into_iter()
        .filter_map(|event| match event {
            ReceiverEvent::Noise(noise) => Some((noise.reason, noise.bytes.len())),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [(NoiseReason::Unasked, 11), (NoiseReason::Unasked, 6), (NoiseReason::Garbage, 19)]);
}

#[test]
fn a_line_without_end_is_bounded() {
    let mut line = receiver(Kind::Cul, Modes::T);
    set_up(&mut line, "t");
    line.events();
    for _ in 0..20 {
        line.hear(&[b'b'; 1000]);
    }
    line.hear(b"\r\n");
    line.hear(&indication(FRAME));
    let events = line.events();
    let noise: usize = events
        .iter()
        .map(|event| match event {
            ReceiverEvent::Noise(noise) => noise.bytes.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(noise, 20_002);
    assert!(matches!(events.last(), Some(ReceiverEvent::Heard(_))));
}
