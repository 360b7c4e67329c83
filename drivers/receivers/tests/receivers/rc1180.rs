use crate::line::{Line, TELEGRAM, heard, receiver};
use plomb_receivers::{Failure, Kind, ListenConfig, Modes, NoiseReason, Receiver, ReceiverEvent};
use std::time::Duration;

/// A telegram as the module sends it, with a signal of -80 dBm: the length counts the signal's byte.
pub(crate) fn indication(telegram: &[u8]) -> Vec<u8> {
    let mut bytes = telegram.to_vec();
    bytes[0] += 1;
    bytes.push(160);
    bytes
}

/// The prompt is taken when the line is quiet behind it.
fn entered(line: &mut Line<Receiver>) {
    line.exchange(&[0x00], b">");
    assert_eq!(line.wait(), Duration::from_millis(150));
    for (position, byte) in (0x19..=0x20).zip([0x0C, 0xAE, 0x12, 0x34, 0x56, 0x78, 0x01, 0x3E]) {
        line.exchange(&[b'Y', position], &[byte, b'>']);
    }
}

fn left(line: &mut Line<Receiver>, mode: u8) {
    line.exchange(&[b'G', mode], b">");
    line.exchange(&[b'I', 0x02], b">");
    line.expect(b"X");
    line.wait();
    assert!(line.session.is_listening());
}

/// A module whose flash is as it should be.
pub(crate) fn set_up(line: &mut Line<Receiver>, mode: u8) {
    entered(line);
    for (position, value) in [(0x36, 0), (0x12, 1), (0x05, 1)] {
        line.exchange(&[b'Y', position], &[value, b'>']);
    }
    left(line, mode);
}

#[test]
fn set_up_and_hear() {
    for (modes, mode) in [(Modes::S, 3), (Modes::T, 1), (Modes::C, 9), (Modes::T_AND_C, 10)] {
        let mut line = receiver(Kind::Rc1180, modes);
        set_up(&mut line, mode);
        let ReceiverEvent::Ready(identity) = &line.events()[0] else { panic!() };
        assert_eq!(identity.to_string(), "rc1180, serial 0CAE12345678013E");
        line.hear(&[indication(TELEGRAM), indication(TELEGRAM)].concat());
        let events = line.events();
        let heard = heard(&events);
        assert_eq!(heard.len(), 2);
        assert_eq!((&heard[1].bytes[..], heard[1].rssi_dbm, heard[1].mode), (TELEGRAM, Some(-80), modes.single()));
    }
}

#[test]
fn a_length_that_does_not_count_the_signal_can_be_configured() {
    let mut config = ListenConfig::new(Modes::T);
    config.assumptions.rc1180_length_counts_rssi = false;
    let mut line = Line::start(Receiver::new(Kind::Rc1180, config));
    set_up(&mut line, 1);
    line.hear(&[TELEGRAM, &[160], TELEGRAM, &[160]].concat());
    let events = line.events();
    let heard = heard(&events);
    assert_eq!((heard.len(), &heard[0].bytes[..], heard[0].rssi_dbm), (2, TELEGRAM, Some(-80)));
}

#[test]
fn a_parameter_is_written_once_and_in_one_piece() {
    let mut line = receiver(Kind::Rc1180, Modes::T);
    entered(&mut line);
    line.exchange(&[b'Y', 0x36], &[0, b'>']);
    line.exchange(&[b'Y', 0x12], &[1, b'>']);
    line.exchange(&[b'Y', 0x05], &[0, b'>']);
    line.exchange(b"M", b">");
    line.exchange(&[0x05, 0x01, 0xFF], b">");
    line.exchange(&[b'Y', 0x05], &[1, b'>']);
    left(&mut line, 1);
}

#[test]
fn a_write_whose_prompt_is_lost_is_not_repeated_blindly() {
    let mut line = receiver(Kind::Rc1180, Modes::T);
    entered(&mut line);
    for (position, value) in [(0x36, 0), (0x12, 1), (0x05, 0)] {
        line.exchange(&[b'Y', position], &[value, b'>']);
    }
    line.expect(b"M");
    line.wait();
    // A second M would be taken for a position in flash; FF leaves the memory.
    line.expect(&[0xFF, b'X']);
    assert!(line.wait() >= Duration::from_secs(2));
    set_up(&mut line, 1);
}

#[test]
fn a_module_that_was_left_in_its_configuration_mode() {
    let mut line = receiver(Kind::Rc1180, Modes::T);
    for _ in 0..3 {
        line.expect(&[0x00]);
        line.wait();
    }
    line.expect(b"X");
    // If it was not, it now waits for a packet; that it forgets.
    assert!(line.wait() >= Duration::from_secs(2));
    set_up(&mut line, 1);
}

#[test]
fn a_telegram_on_its_way_is_not_taken_for_the_prompt() {
    let mut line = receiver(Kind::Rc1180, Modes::T);
    let mut telegram = indication(TELEGRAM);
    telegram[12] = b'>';
    line.expect(&[0x00]);
    line.hear(&telegram[..13]);
    assert_eq!(line.sent(), None);
    line.hear(&telegram[13..]);
    line.hear(b">");
    line.wait();
    line.expect(&[b'Y', 0x19]);
    let events = line.events();
    assert!(
        matches!(&events[..], [ReceiverEvent::Noise(noise)] if noise.reason == NoiseReason::TooEarly && noise.bytes == telegram)
    );
}

#[test]
fn what_looks_like_a_telegram_inside_a_cut_one_is_none() {
    let mut line = receiver(Kind::Rc1180, Modes::T);
    set_up(&mut line, 1);
    line.events();
    let inner = indication(TELEGRAM);
    let outer = [&[60, 0x44, 1, 2][..], &inner, &[9; 20]].concat();
    line.hear(&outer);
    line.wait();
    let events = line.events();
    let [ReceiverEvent::Noise(noise)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((noise.reason, &noise.bytes), (NoiseReason::CutShort, &outer));
    // But the last telegram before the quiet is one.
    line.hear(&[&[60, 0x44, 1, 2][..], &inner].concat());
    line.wait();
    assert_eq!(heard(&line.events()).len(), 1);
}

#[test]
fn a_role_that_may_not_be_written() {
    let config = ListenConfig { may_write_flash: false, ..ListenConfig::new(Modes::T) };
    let mut line = Line::start(Receiver::new(Kind::Rc1180, config));
    entered(&mut line);
    line.exchange(&[b'Y', 0x36], &[0, b'>']);
    line.exchange(&[b'Y', 0x12], &[0, b'>']);
    let failed = Failure::NeedsFlash { kind: Kind::Rc1180, step: "network role" };
    assert_eq!(line.events(), [ReceiverEvent::Failed(failed)]);
}
