use crate::line::{Line, SOON, TELEGRAM, heard, receiver};
use plomb_receivers::{CFormat, Failure, Form, Kind, ListenConfig, Mode, Modes, NoiseReason, Receiver, ReceiverEvent};
use std::time::Duration;

/// CRC-16 of X.25, worked bit by bit from its definition.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut register = 0xFFFFu16;
    for byte in bytes {
        for bit in 0..8 {
            let feedback = (register ^ u16::from(byte >> bit)) & 1;
            register = (register >> 1) ^ if feedback == 1 { 0x8408 } else { 0 };
        }
    }
    (register ^ 0xFFFF).to_le_bytes()
}

pub(crate) fn hci(control_and_endpoint: u8, id: u8, payload: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut message = vec![0xA5, control_and_endpoint, id, u8::try_from(payload.len()).unwrap()];
    message.extend(payload);
    message.extend(behind);
    if control_and_endpoint & 0x80 != 0 {
        let sum = crc(&message[1..]);
        message.extend(sum);
    }
    message
}

/// The telegram as the stick sends it, with a signal of -79 dBm.
pub(crate) fn indication(telegram: &[u8]) -> Vec<u8> {
    hci(0xC2, 0x03, &telegram[1..], &[90])
}

fn device_info(module: u8) -> Vec<u8> {
    hci(0x81, 0x10, &[module, 0x00, 0x13, 0x17, 0x78, 0x56, 0x34, 0x12], &[])
}

fn configure(link: u8) -> Vec<u8> {
    hci(0x81, 0x03, &[0x00, 0x03, 0x00, link, 0x18, 0x00, 0x01], &[])
}

/// Answers everything with yes until it listens.
pub(crate) fn set_up(line: &mut Line<Receiver>, link: u8) {
    line.exchange(&hci(0x81, 0x01, &[], &[]), &hci(0x81, 0x02, &[], &[]));
    line.exchange(&hci(0x81, 0x0F, &[], &[]), &device_info(0x33));
    line.exchange(&configure(link), &hci(0x81, 0x04, &[], &[]));
    line.exchange(&hci(0x81, 0x05, &[], &[]), &hci(0x81, 0x06, &[0x03, 0x00, link, 0x10, 0x01], &[]));
    assert!(line.session.is_listening());
}

#[test]
fn set_up_and_hear() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    set_up(&mut line, 0x03);
    let ReceiverEvent::Ready(identity) = &line.events()[0] else { panic!() };
    assert_eq!(identity.to_string(), "im871a, iM871A, serial 12345678, firmware 1.3");
    line.hear(&indication(TELEGRAM));
    let events = line.events();
    let heard = heard(&events)[0];
    assert_eq!(heard.bytes, TELEGRAM);
    assert_eq!(
        (heard.form, heard.mode, heard.rssi_dbm, heard.at),
        (Form::Stripped, Some(Mode::T), Some(-79), line.now)
    );
}

#[test]
fn the_published_request_for_device_information() {
    // As seen on the wire in a program that is not ours.
    assert_eq!(hci(0x81, 0x0F, &[], &[]), [0xA5, 0x81, 0x0F, 0x00, 0x34, 0x13]);
}

#[test]
fn mode_c_listens_for_the_configured_format() {
    for (format, link) in [(CFormat::A, 0x06), (CFormat::B, 0x07)] {
        let config = ListenConfig { c_format: format, ..ListenConfig::new(Modes::C) };
        set_up(&mut Line::start(Receiver::new(Kind::Im871a, config)), link);
    }
}

#[test]
fn what_it_cannot_do_is_said_before_anything_is_sent() {
    let mut line = receiver(Kind::Im871a, Modes::T_AND_C);
    assert_eq!(line.sent(), None);
    let failed = ReceiverEvent::Failed(Failure::CannotHear { kind: Kind::Im871a, asked: Modes::T_AND_C });
    assert_eq!(line.events(), [failed]);
}

#[test]
fn nothing_answers() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    for _ in 0..3 {
        assert!(line.sent().is_some());
        assert_eq!(line.wait(), Duration::from_millis(700));
    }
    assert_eq!(line.events(), [ReceiverEvent::Failed(Failure::NoAnswer { kind: Kind::Im871a })]);
}

#[test]
fn it_falls_silent_while_being_set_up() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    line.exchange(&hci(0x81, 0x01, &[], &[]), &hci(0x81, 0x02, &[], &[]));
    for _ in 0..3 {
        line.expect(&hci(0x81, 0x0F, &[], &[]));
        line.wait();
    }
    let failed = ReceiverEvent::Failed(Failure::Mute { kind: Kind::Im871a, step: "device information" });
    assert_eq!(line.events(), [failed]);
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    line.expect(&hci(0x81, 0x01, &[], &[]));
    line.wait();
    set_up(&mut line, 0x03);
}

#[test]
fn the_narrow_band_module_is_another_device() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    line.exchange(&hci(0x81, 0x01, &[], &[]), &hci(0x81, 0x02, &[], &[]));
    line.exchange(&hci(0x81, 0x0F, &[], &[]), &device_info(0x36));
    assert!(matches!(&line.events()[..], [ReceiverEvent::Failed(Failure::WrongDevice { .. })]));
}

#[test]
fn a_setting_that_is_not_kept_is_noticed() {
    let mut line = receiver(Kind::Im871a, Modes::S);
    line.exchange(&hci(0x81, 0x01, &[], &[]), &hci(0x81, 0x02, &[], &[]));
    line.exchange(&hci(0x81, 0x0F, &[], &[]), &device_info(0x33));
    line.exchange(&configure(0x00), &hci(0x81, 0x04, &[0x01], &[]));
    line.exchange(&hci(0x81, 0x05, &[], &[]), &hci(0x81, 0x06, &[0x03, 0x00, 0x03, 0x00], &[]));
    let failed = Failure::NotKept { kind: Kind::Im871a, step: "link mode", wanted: 0, found: 3 };
    assert_eq!(line.events(), [ReceiverEvent::Failed(failed)]);
}

#[test]
fn silence_is_answered_with_a_reset_and_ever_more_patience() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    set_up(&mut line, 0x03);
    line.events();
    for (resets, minutes) in [(1, 10), (2, 20), (3, 40)] {
        let since = Duration::from_secs(60 * minutes);
        assert_eq!(line.wait(), since);
        assert_eq!(line.events(), [ReceiverEvent::Silent { since, resets }]);
        line.exchange(&hci(0x81, 0x07, &[], &[]), &hci(0x81, 0x08, &[], &[]));
        assert_eq!(line.wait(), Duration::from_secs(1), "it is left alone while it starts");
        set_up(&mut line, 0x03);
        assert!(matches!(line.events()[..], [ReceiverEvent::Ready(_)]));
    }
    line.hear(&indication(TELEGRAM));
    line.events();
    assert_eq!(line.wait(), Duration::from_secs(600), "a telegram restores the patience");
}

#[test]
fn one_that_does_not_answer_its_reset_is_probed_all_the_same() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    set_up(&mut line, 0x03);
    line.wait();
    for _ in 0..3 {
        line.expect(&hci(0x81, 0x07, &[], &[]));
        line.wait();
    }
    line.wait();
    set_up(&mut line, 0x03);
}

#[test]
fn after_a_wrong_checksum_the_next_telegram_is_found() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    set_up(&mut line, 0x03);
    line.events();
    let mut broken = indication(TELEGRAM);
    broken[7] ^= 0x40;
    line.hear(&[broken.clone(), indication(TELEGRAM)].concat());
    let events = line.events();
    let [ReceiverEvent::Noise(noise), ReceiverEvent::Heard(heard)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((noise.reason, &noise.bytes), (NoiseReason::WrongChecksum, &broken));
    assert_eq!(heard.bytes, TELEGRAM);
}

#[test]
fn a_message_cut_short_ends_with_the_quiet() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    set_up(&mut line, 0x03);
    line.events();
    let whole = indication(TELEGRAM);
    line.hear(&whole[..12]);
    assert_eq!(line.events(), []);
    assert_eq!(line.wait(), Duration::from_millis(150));
    let events = line.events();
    let [ReceiverEvent::Noise(noise)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((noise.reason, &noise.bytes[..]), (NoiseReason::CutShort, &whole[..12]));
    assert_eq!(noise.at + Duration::from_millis(150), line.now);
}

#[test]
fn telegrams_before_it_is_set_up_are_not_handed_on() {
    let mut line = receiver(Kind::Im871a, Modes::T);
    line.expect(&hci(0x81, 0x01, &[], &[]));
    line.hear(&indication(TELEGRAM));
    line.now += SOON;
    line.hear(&hci(0x81, 0x02, &[], &[]));
    let events = line.events();
    let [ReceiverEvent::Noise(noise)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(noise.reason, NoiseReason::TooEarly);
    line.expect(&hci(0x81, 0x0F, &[], &[]));
}

#[test]
fn messages_without_crc_can_be_refused() {
    let bare = hci(0x42, 0x03, &TELEGRAM[1..], &[90]);
    for required in [false, true] {
        let mut config = ListenConfig::new(Modes::T);
        config.assumptions.im871a_requires_crc = required;
        let mut line = Line::start(Receiver::new(Kind::Im871a, config));
        set_up(&mut line, 0x03);
        line.events();
        line.hear(&bare);
        line.wait();
        assert_eq!(heard(&line.events()).len(), usize::from(!required));
    }
}

#[test]
fn a_timestamp_is_passed_over() {
    let mut line = receiver(Kind::Im871a, Modes::S);
    set_up(&mut line, 0x00);
    line.events();
    line.hear(&hci(0xE2, 0x03, &TELEGRAM[1..], &[1, 2, 3, 4, 0]));
    assert_eq!(heard(&line.events())[0].rssi_dbm, Some(-127));
}
