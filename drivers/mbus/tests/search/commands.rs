//! Commands to one meter, and readouts with options.

use crate::sets::line;
use crate::virtual_line::drive;
use plomb_mbus::{
    Address, ClockType, Command, CommandError, CommandEvent, DateTime, Identification, Precision, ReadConfig,
    ReadEvent, ReadMeter, SecondaryAddress, Target, decode,
};
use plomb_session::script::Script;
use plomb_sim::live::{Kind, Meter};
use plomb_sim::mbus::{Identity, Slave};
use plomb_sim::{Line, LineSpeed};
use std::time::Duration;

const SPEED: u32 = 2400;
const ONE: Target = Target::Primary(Address(1));
const BY_IDENTITY: Target = Target::Secondary(SecondaryAddress::from_id(Identification(0x1234_5678)));
const ACK: &[u8] = &[0xE5];
const SOON: Duration = Duration::from_millis(20);

fn heat() -> Slave {
    let identity = Identity { id: 0x1234_5678, manufacturer: 0x2C2D, version: 1, medium: 4 };
    Slave::live(1, Meter::new(Kind::Heat, identity, 7))
}

fn with(slave: Slave) -> Line {
    let mut line = line(&[], SPEED);
    line.bus.fit(slave);
    line
}

fn only(mut command: Command, line: &mut Line) -> CommandEvent {
    let mut events = drive(&mut command, line).events;
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn telegrams(session: &mut ReadMeter, line: &mut Line) -> Vec<Vec<u8>> {
    let run = drive(session, line);
    assert!(matches!(run.events.last(), Some(ReadEvent::Done { .. })), "{:?}", run.events);
    run.events
        .into_iter()
        .filter_map(|event| match event {
            ReadEvent::Telegram(telegram) => Some(telegram.bytes),
            _ => None,
        })
        .collect()
}

#[test]
fn an_alarm_is_told_and_its_absence_too() {
    for target in [ONE, BY_IDENTITY] {
        let mut line = with(heat());
        assert_eq!(only(Command::poll_alarm(target, ReadConfig::new(SPEED)), &mut line), CommandEvent::NoAlarm);
        line.bus.slaves_mut().next().unwrap().alarm = Some(0x42);
        assert_eq!(only(Command::poll_alarm(target, ReadConfig::new(SPEED)), &mut line), CommandEvent::Alarm(0x42));
    }
}

#[test]
fn the_clock_is_set_with_the_bytes_of_the_standard() {
    let time = DateTime {
        precision: Precision::Second,
        year: Some(2026),
        month: 11,
        day: 25,
        hour: 14,
        minute: 7,
        second: 9,
        invalid: false,
        daylight_saving: false,
    };
    // 2026: bits 010 into the day, 0011 into the month; century 1 into the hour of type F.
    let minutes = [0x04, 0x6D, 0x07, 0x2E, 0x59, 0x3B];
    let seconds = [0x06, 0x6D, 0x09, 0x07, 0x0E, 0x59, 0x3B, 0x00];
    assert_eq!(DateTime::from_type_f([0x07, 0x2E, 0x59, 0x3B]).to_string(), "2026-11-25T14:07");
    assert_eq!(DateTime::from_type_i([0x09, 0x07, 0x0E, 0x59, 0x3B, 0x00]), time);
    for (kind, record) in [(ClockType::Minutes, &minutes[..]), (ClockType::Seconds, &seconds[..])] {
        let length = 3 + u8::try_from(record.len()).unwrap();
        let mut frame = vec![0x68, length, length, 0x68, 0x73, 0x01, 0x51];
        frame.extend(record);
        frame.push(frame[4..].iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
        frame.push(0x16);
        let mut command = Command::set_clock(ONE, &time, kind, ReadConfig::new(SPEED)).unwrap();
        // The first one is lost; the repetition has the same frame count bit.
        let script = Script::new(SPEED).expect(&[0x10, 0x40, 0x01, 0x41, 0x16]).reply(SOON, ACK);
        let run = script.expect(&frame).expect(&frame).reply(SOON, ACK).run(&mut command).unwrap();
        assert_eq!(run.events.last().unwrap().1, CommandEvent::Accepted);
    }
    let never = DateTime { month: 15, ..time };
    let refused = Command::set_clock(ONE, &never, ClockType::Minutes, ReadConfig::new(SPEED));
    assert_eq!(refused.err(), Some(CommandError::Time));
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let mut command = Command::application_reset(ONE, Some(0x20), ReadConfig::new(SPEED));
    let script = Script::new(SPEED).expect(&[0x10, 0x40, 0x01, 0x41, 0x16]).reply(SOON, ACK);
    let script = script.expect(&[0x68, 4, 4, 0x68, 0x73, 0x01, 0x50, 0x20, 0xE4, 0x16]);
    let script = script.reply(SOON, &[0x68, 4, 4, 0x68, 0x08, 0x01, 0x70, 0x01, 0x7A, 0x16]);
    let run = script.run(&mut command).unwrap();
    let CommandEvent::Failed(failure) = run.events[0].1 else { panic!("{:?}", run.events) };
    assert_eq!(failure.kind(), "refused");
}

#[test]
fn a_meter_follows_to_another_speed_or_is_found_at_its_own() {
    for target in [ONE, BY_IDENTITY] {
        let mut line = with(heat());
        let switch = || Command::switch_speed(target, 9600, ReadConfig::new(SPEED)).unwrap();
        assert_eq!(only(switch(), &mut line), CommandEvent::Switched { bits_per_second: 9600 });
        assert_eq!(line.bus.speed(), LineSpeed(9600));

        let mut line = with(heat());
        line.bus.slaves_mut().next().unwrap().obeys_speeds = false;
        assert_eq!(only(switch(), &mut line), CommandEvent::FellBack { bits_per_second: SPEED });

        let mut line = with(heat());
        line.bus.slaves_mut().next().unwrap().knows_speeds = false;
        assert_eq!(only(switch(), &mut line), CommandEvent::FellBack { bits_per_second: SPEED });

        let mut line = with(heat());
        line.bus.slaves_mut().next().unwrap().faults.silent = true;
        assert!(matches!(only(switch(), &mut line), CommandEvent::Failed(_)));
    }
    let odd = Command::switch_speed(ONE, 1234, ReadConfig::new(SPEED));
    assert_eq!(odd.err(), Some(CommandError::Speed(1234)));
}

#[test]
fn an_application_reset_chooses_the_telegrams() {
    for target in [ONE, BY_IDENTITY] {
        let mut line = with(heat());
        let read = || ReadMeter::new(target, ReadConfig::new(SPEED));
        assert_eq!(telegrams(&mut read(), &mut line).len(), 2);
        assert_eq!(telegrams(&mut read().with_application_reset(Some(0x20)), &mut line).len(), 1);
        assert_eq!(telegrams(&mut read().with_application_reset(None), &mut line).len(), 2);
    }
}

#[test]
fn selected_records_come_alone() {
    for target in [ONE, BY_IDENTITY] {
        let mut line = with(heat());
        let all = telegrams(&mut ReadMeter::new(target, ReadConfig::new(SPEED)), &mut line);
        let whole = decode(&all[0]).unwrap();
        let vif = 0x5A; // flow temperature, tenths of a degree
        let mut read = ReadMeter::new(target, ReadConfig::new(SPEED)).with_selected_records(&[0x08, vif]);
        let some = telegrams(&mut read, &mut line);
        let chosen = decode(&some[0]).unwrap();
        assert!(!chosen.records.is_empty() && chosen.records.len() < whole.records.len());
        let units: Vec<String> =
            chosen.records.iter().map(|record| format!("{} {}", record.quantity, record.unit)).collect();
        assert!(units.iter().all(|unit| *unit == units[0]), "{units:?}");
    }
}
