use crate::line::{Line, TELEGRAM, heard, receiver};
use plomb_receivers::{Failure, Form, Kind, ListenConfig, Modes, Receiver, ReceiverEvent};
use std::time::Duration;

pub(crate) fn message(command: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xFF, command, u8::try_from(payload.len()).unwrap()];
    bytes.extend(payload);
    bytes.push(bytes.iter().fold(0, |sum, byte| sum ^ byte));
    bytes
}

/// A telegram with a signal of -102 dBm.
pub(crate) fn indication(telegram: &[u8]) -> Vec<u8> {
    message(0x03, &[&telegram[1..], &[0xC8]].concat())
}

fn identified(line: &mut Line<Receiver>) {
    line.exchange(&[0xFF, 0x0B, 0x00, 0xF4], &message(0x8B, &[0x22, 0x00, 0x12, 0x34]));
    line.exchange(&[0xFF, 0x0C, 0x00, 0xF3], &message(0x8C, &[2, 7, 0]));
}

fn read(line: &mut Line<Receiver>, position: u8, value: u8) {
    line.exchange(&message(0x0A, &[position, 1]), &message(0x8A, &[position, 1, value]));
}

/// A module whose flash is as it should be.
pub(crate) fn set_up(line: &mut Line<Receiver>, mode: u8) {
    identified(line);
    read(line, 0x05, 1);
    read(line, 0x45, 1);
    line.exchange(&message(0x04, &[mode]), &message(0x84, &[0x00]));
    assert!(line.session.is_listening());
}

#[test]
fn one_that_is_as_it_should_be_is_only_told_its_mode() {
    for (modes, mode) in [(Modes::S, 0x03), (Modes::T, 0x08), (Modes::T_AND_C, 0x09), (Modes::C, 0x0E)] {
        let mut line = receiver(Kind::Amb8465, modes);
        set_up(&mut line, mode);
        let ReceiverEvent::Ready(identity) = &line.events()[0] else { panic!() };
        assert_eq!(identity.to_string(), "amb8465, product 22, serial 22001234, firmware 2.7.0");
        line.hear(&indication(TELEGRAM));
        let events = line.events();
        let heard = heard(&events)[0];
        assert_eq!((&heard.bytes[..], heard.form, heard.rssi_dbm), (TELEGRAM, Form::Stripped, Some(-102)));
        assert_eq!(heard.mode, modes.single());
    }
}

#[test]
fn flash_is_written_once_for_each_that_differs_and_read_back_after_the_reset() {
    let mut line = receiver(Kind::Amb8465, Modes::T);
    identified(&mut line);
    for position in [0x05, 0x45] {
        if position == 0x45 {
            read(&mut line, 0x05, 1);
        }
        read(&mut line, position, 0);
        line.exchange(&message(0x09, &[position, 1, 1]), &message(0x89, &[0]));
        line.exchange(&[0xFF, 0x05, 0x00, 0xFA], &message(0x85, &[0]));
        assert_eq!(line.wait(), Duration::from_secs(1));
    }
    read(&mut line, 0x05, 1);
    read(&mut line, 0x45, 1);
    line.exchange(&message(0x04, &[0x08]), &message(0x84, &[0x08]));
    assert!(line.session.is_listening());
}

#[test]
fn worn_out_flash_is_noticed() {
    let mut line = receiver(Kind::Amb8465, Modes::T);
    identified(&mut line);
    read(&mut line, 0x05, 0);
    line.exchange(&message(0x09, &[0x05, 1, 1]), &message(0x89, &[0]));
    line.exchange(&[0xFF, 0x05, 0x00, 0xFA], &message(0x85, &[0]));
    line.wait();
    read(&mut line, 0x05, 0);
    let failed = Failure::NotKept { kind: Kind::Amb8465, step: "command output", wanted: 1, found: 0 };
    assert_eq!(line.events(), [ReceiverEvent::Failed(failed)]);
}

#[test]
fn without_signal_strength_the_last_byte_is_the_telegrams() {
    let config = ListenConfig { may_write_flash: false, ..ListenConfig::new(Modes::T) };
    let mut line = Line::start(Receiver::new(Kind::Amb8465, config));
    identified(&mut line);
    read(&mut line, 0x05, 1);
    read(&mut line, 0x45, 0);
    line.exchange(&message(0x04, &[0x08]), &message(0x84, &[0x00]));
    line.hear(&message(0x03, &TELEGRAM[1..]));
    let events = line.events();
    let heard = heard(&events)[0];
    assert_eq!((&heard.bytes[..], heard.rssi_dbm), (TELEGRAM, None));
}

#[test]
fn the_narrow_band_module_keeps_its_channel() {
    let mut line = receiver(Kind::Amb3665, Modes::N);
    identified(&mut line);
    read(&mut line, 0x05, 1);
    read(&mut line, 0x45, 1);
    assert!(line.session.is_listening());
    assert_eq!(line.sent(), None);
}

#[test]
fn a_mode_that_the_firmware_lacks_is_refused() {
    let mut line = receiver(Kind::Amb8465, Modes::C);
    identified(&mut line);
    read(&mut line, 0x05, 1);
    read(&mut line, 0x45, 1);
    line.exchange(&message(0x04, &[0x0E]), &message(0x84, &[0x01]));
    assert!(matches!(&line.events()[..], [ReceiverEvent::Failed(Failure::Refused { step: "radio mode", .. })]));
}
