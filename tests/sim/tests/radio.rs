//! The project's sessions against the simulated receivers, through every fault, in virtual time; and one
//! of them through a real pseudo-terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_receivers::{
    Failure, Form, Heard, Kind, ListenConfig, Modes, NoiseReason, PROBE_ORDER, PROBE_PAUSE, Probe, ProbeEvent,
    Receiver, ReceiverEvent,
};
use plomb_session::{Instant, Session};
use plomb_sim::radio::{Air, Make, PtyReceiver, Radiated, RadioMode, Station, Twin, demo_air};
use plomb_sim::{Calendar, LineSpeed};
use std::time::Duration;

const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 1 };
const INTERVAL: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

const PAIRS: [(Kind, Make); 5] = [
    (Kind::Im871a, Make::Im871a),
    (Kind::Amb8465, Make::Amb8465),
    (Kind::Cul, Make::Cul),
    (Kind::Rc1180, Make::Rc1180),
    (Kind::RtlWmbus, Make::RtlWmbus),
];

fn station(make: Make) -> Station {
    Station::new(Twin::new(make), demo_air(7, INTERVAL, NOW))
}

/// Drives `session` on `station` from `from` to `until`, or until it is finished.
fn drive<S: Session>(session: &mut S, station: &mut Station, from: Duration, until: Duration) -> Vec<S::Event> {
    let instant = Instant::from_duration;
    let mut events = Vec::new();
    let mut now = from;
    session.start(instant(now));
    loop {
        events.extend(std::iter::from_fn(|| session.poll_event()));
        if session.is_finished() {
            return events;
        }
        if let Some(transmit) = session.poll_transmit() {
            station.host_sends(&transmit.bytes, now);
            session.handle_transmitted(instant(now));
            continue;
        }
        let timeout = session.poll_timeout().map(|at| Duration::from_micros(at.as_micros()));
        let next = [timeout, station.next_deadline()].into_iter().flatten().min().unwrap_or(until);
        if next > until {
            return events;
        }
        now = now.max(next);
        let due = station.take_due(now);
        if !due.is_empty() {
            session.handle_input(&due, instant(now));
        } else if timeout.is_some_and(|timeout| timeout <= now) {
            session.handle_timeout(instant(now));
        }
    }
}

fn config(modes: Modes) -> ListenConfig {
    ListenConfig { silence: Some(5 * MINUTE), ..ListenConfig::new(modes) }
}

fn listen(kind: Kind, modes: Modes, station: &mut Station, until: Duration) -> Vec<ReceiverEvent> {
    drive(&mut Receiver::new(kind, config(modes)), station, Duration::ZERO, until)
}

fn heard(events: &[ReceiverEvent]) -> Vec<&Heard> {
    let heard = events.iter().filter_map(|event| match event {
        ReceiverEvent::Heard(heard) => Some(heard),
        _ => None,
    });
    heard.collect()
}

fn noises(events: &[ReceiverEvent]) -> Vec<NoiseReason> {
    let noises = events.iter().filter_map(|event| match event {
        ReceiverEvent::Noise(noise) => Some(noise.reason),
        _ => None,
    });
    noises.collect()
}

/// What is sent in mode T between the first second, when every receiver listens, and `until`.
fn sent(modes: &[RadioMode], until: Duration) -> Vec<Radiated> {
    let due = demo_air(7, INTERVAL, NOW).take_due(until);
    due.into_iter().map(|(_, sent)| sent).filter(|sent| modes.contains(&sent.mode)).collect()
}

/// Every telegram of mode T arrives whole, in the receiver's form, with its signal.
#[track_caller]
fn all_arrive(kind: Kind, heard: &[&Heard], expected: &[Radiated]) {
    assert_eq!(heard.len(), expected.len(), "{kind}");
    for (heard, sent) in heard.iter().zip(expected) {
        let (form, bytes) = match kind {
            Kind::Cul => (Form::CrcA, sent.frame()),
            _ => (Form::Stripped, sent.stripped.clone()),
        };
        assert_eq!((heard.form, &heard.bytes), (form, &bytes), "{kind}");
        match heard.rssi_dbm {
            Some(rssi) => assert!((rssi - sent.rssi_dbm).abs() <= 1, "{kind}: {rssi} {}", sent.rssi_dbm),
            None => assert_eq!(kind, Kind::RtlWmbus),
        }
    }
}

#[test]
fn every_receiver_hears_what_it_was_set_to_hear() {
    for (kind, make) in PAIRS {
        let mut station = station(make);
        let events = listen(kind, Modes::T, &mut station, 2 * MINUTE);
        assert!(matches!(events[0], ReceiverEvent::Ready(_)), "{events:?}");
        // The program hears the meters of mode C too.
        let modes: &[RadioMode] = if kind == Kind::RtlWmbus { &[RadioMode::T, RadioMode::CA] } else { &[RadioMode::T] };
        all_arrive(kind, &heard(&events), &sent(modes, 2 * MINUTE));
        assert!(noises(&events).is_empty());
    }
}

#[test]
fn two_modes_at_once_where_the_hardware_can() {
    for (kind, make) in [(Kind::Amb8465, Make::Amb8465), (Kind::Rc1180, Make::Rc1180)] {
        let events = listen(kind, Modes::T_AND_C, &mut station(make), 2 * MINUTE);
        let heard = heard(&events);
        all_arrive(kind, &heard, &sent(&[RadioMode::T, RadioMode::CA], 2 * MINUTE));
        assert!(heard.iter().all(|heard| heard.mode.is_none()), "it does not tell which");
    }
}

#[test]
fn frames_of_format_b() {
    for (kind, make, form) in [
        (Kind::Cul, Make::Cul, Form::CrcB),
        (Kind::Im871a, Make::Im871a, Form::Stripped),
        (Kind::RtlWmbus, Make::RtlWmbus, Form::Stripped),
    ] {
        let mut station = station(make);
        station.air.meters_mut().for_each(|meter| meter.mode = RadioMode::CB);
        let config = ListenConfig { c_format: plomb_receivers::CFormat::B, ..config(Modes::C) };
        let events = drive(&mut Receiver::new(kind, config), &mut station, Duration::ZERO, MINUTE);
        let expected = sent(&[RadioMode::T, RadioMode::CA], MINUTE);
        let heard = heard(&events);
        assert_eq!(heard.len(), expected.len(), "{kind}");
        for (heard, sent) in heard.iter().zip(expected) {
            let sent = Radiated { mode: RadioMode::CB, ..sent };
            let bytes = if form == Form::CrcB { sent.frame() } else { sent.stripped };
            assert_eq!((heard.form, &heard.bytes), (form, &bytes));
        }
    }
}

#[test]
fn setting_up_again_writes_no_flash() {
    for (kind, make) in PAIRS {
        let mut station = station(make);
        listen(kind, Modes::T, &mut station, MINUTE);
        let first = station.twin.counters().flash_writes;
        let wanted = match kind {
            Kind::Amb8465 => 2,
            Kind::Rc1180 => 1,
            _ => 0,
        };
        assert_eq!(first, wanted, "{kind}: only what has no volatile setting");
        station.twin.power_cycle();
        let events = drive(&mut Receiver::new(kind, config(Modes::T)), &mut station, MINUTE, 2 * MINUTE);
        assert!(heard(&events).len() > 15, "{kind}");
        assert_eq!(station.twin.counters().flash_writes, first, "{kind}");
    }
}

#[test]
fn without_the_right_to_write_flash() {
    let config = ListenConfig { may_write_flash: false, ..config(Modes::T) };
    let mut amber = station(Make::Amb8465);
    let events = drive(&mut Receiver::new(Kind::Amb8465, config), &mut amber, Duration::ZERO, MINUTE);
    let failed = Failure::NeedsFlash { kind: Kind::Amb8465, step: "command output" };
    assert_eq!(events.last(), Some(&ReceiverEvent::Failed(failed)));
    let mut radiocrafts = station(Make::Rc1180);
    let events = drive(&mut Receiver::new(Kind::Rc1180, config), &mut radiocrafts, Duration::ZERO, MINUTE);
    let heard = heard(&events);
    assert_eq!(heard.len(), sent(&[RadioMode::T], MINUTE).len());
    assert!(heard.iter().all(|heard| heard.rssi_dbm.is_none()));
    assert_eq!(amber.twin.counters().flash_writes + radiocrafts.twin.counters().flash_writes, 0);
}

#[test]
fn a_dead_receiver_is_no_answer_and_lives_after_a_power_cut() {
    for (kind, make) in PAIRS.into_iter().filter(|(kind, _)| *kind != Kind::RtlWmbus) {
        let mut station = station(make);
        station.twin.faults.dead = true;
        let events = listen(kind, Modes::T, &mut station, MINUTE);
        assert_eq!(events, [ReceiverEvent::Failed(Failure::NoAnswer { kind })], "{kind}");
        station.twin.power_cycle();
        let events = drive(&mut Receiver::new(kind, config(Modes::T)), &mut station, MINUTE, 2 * MINUTE);
        assert!(events.iter().any(|event| matches!(event, ReceiverEvent::Ready(_))), "{kind}");
    }
}

#[test]
fn a_deaf_receiver_is_reset_and_hears_again() {
    for (kind, make) in PAIRS {
        let mut station = station(make);
        let mut session = Receiver::new(kind, config(Modes::T));
        let events = drive(&mut session, &mut station, Duration::ZERO, MINUTE);
        assert!(heard(&events).len() > 15);
        station.twin.faults.deaf_until_reset = true;
        let events = drive(&mut session, &mut station, MINUTE, 8 * MINUTE);
        let ReceiverEvent::Silent { since, resets: 1 } = events[0] else { panic!("{kind}: {events:?}") };
        assert!(since >= 5 * MINUTE && since < 5 * MINUTE + INTERVAL);
        if kind == Kind::RtlWmbus {
            assert_eq!(events[1..], [ReceiverEvent::Failed(Failure::CannotReset { kind })]);
        } else {
            assert!(matches!(events[1], ReceiverEvent::Ready(_)), "{kind}: {events:?}");
            assert!(heard(&events).len() > 30, "{kind}");
        }
    }
}

#[test]
fn nobody_on_the_air_is_no_reason_to_reset_for_ever() {
    let mut station = Station::new(Twin::new(Make::Im871a), Air::new(NOW));
    let events = listen(Kind::Im871a, Modes::T, &mut station, 24 * 60 * MINUTE);
    let resets = events.iter().filter(|event| matches!(event, ReceiverEvent::Silent { .. })).count();
    // 5, 10, 20, 40 minutes, and then every 80.
    assert_eq!(resets, 4 + (24 * 60 - 75) / 80);
    assert!(!matches!(events.last(), Some(ReceiverEvent::Failed(_))));
}

#[test]
fn garbage_before_each_message() {
    for (kind, make) in PAIRS {
        let mut station = station(make);
        // Text receivers end it with a line's end; the others must find the start again.
        let garbage: &[u8] = match kind {
            Kind::Cul | Kind::RtlWmbus => b"\x00\xFFgarbage\r\n",
            // It has no start byte: what could be a telegram's begin would swallow what follows.
            Kind::Rc1180 => &[0x00, 0xFE, 0x03],
            _ => &[0x00, 0xFE, 0xA5, 0x1F, 0x5A],
        };
        station.twin.faults.garbage_before = garbage.to_vec();
        let config = ListenConfig { silence: None, ..config(Modes::T) };
        let events = drive(&mut Receiver::new(kind, config), &mut station, Duration::ZERO, 2 * MINUTE);
        let expected: &[RadioMode] =
            if kind == Kind::RtlWmbus { &[RadioMode::T, RadioMode::CA] } else { &[RadioMode::T] };
        all_arrive(kind, &heard(&events), &sent(expected, 2 * MINUTE));
        assert!(noises(&events).contains(&NoiseReason::Garbage) || kind == Kind::Cul);
        assert!(!noises(&events).is_empty());
    }
}

#[test]
fn bytes_that_come_one_by_one() {
    for (kind, make) in PAIRS {
        let mut station = station(make);
        station.twin.faults.split_ms = Some(1);
        let events = listen(kind, Modes::T, &mut station, 2 * MINUTE);
        let modes: &[RadioMode] = if kind == Kind::RtlWmbus { &[RadioMode::T, RadioMode::CA] } else { &[RadioMode::T] };
        let expected = sent(modes, 2 * MINUTE);
        let heard = heard(&events);
        // The last may still be on its way.
        assert!(heard.len() + 1 >= expected.len(), "{kind}");
        all_arrive(kind, &heard, &expected[..heard.len()]);
    }
}

#[test]
fn damaged_telegrams_are_noise_and_cost_no_other() {
    for (kind, make) in PAIRS {
        let mut station = station(make);
        station.twin.faults.damage_every = 3;
        let events = listen(kind, Modes::T, &mut station, 2 * MINUTE);
        let modes: &[RadioMode] = if kind == Kind::RtlWmbus { &[RadioMode::T, RadioMode::CA] } else { &[RadioMode::T] };
        let expected: Vec<Radiated> = sent(modes, 2 * MINUTE);
        let intact: Vec<Radiated> =
            (1..).zip(&expected).filter(|(nth, _)| nth % 3 != 0).map(|(_, sent)| sent.clone()).collect();
        all_arrive(kind, &heard(&events), &intact);
        assert!(noises(&events).len() >= expected.len() / 3 - 1, "{kind}: {:?}", noises(&events));
    }
}

#[test]
fn lost_and_late_answers() {
    for (kind, make) in PAIRS {
        for (lost, late_ms) in [(1, 0), (2, 0), (0, 500)] {
            let mut station = station(make);
            (station.twin.faults.answers_lost, station.twin.faults.late_ms) = (lost, late_ms);
            let events = listen(kind, Modes::T, &mut station, 2 * MINUTE);
            assert!(
                events.iter().any(|event| matches!(event, ReceiverEvent::Ready(_))),
                "{kind} {lost} {late_ms}: {events:?}"
            );
            assert!(heard(&events).len() > 15, "{kind} {lost} {late_ms}");
        }
    }
}

#[test]
fn refused_settings_have_their_own_failures() {
    for (kind, make) in PAIRS.into_iter().filter(|(kind, _)| *kind != Kind::RtlWmbus) {
        let mut station = station(make);
        station.twin.faults.refuses_settings = true;
        let events = listen(kind, Modes::T, &mut station, MINUTE);
        let Some(ReceiverEvent::Failed(failure)) = events.last() else { panic!("{kind}") };
        match (kind, failure) {
            (Kind::Amb8465 | Kind::Cul, Failure::Refused { .. }) => {}
            (Kind::Im871a | Kind::Rc1180, Failure::NotKept { .. }) => {}
            (_, other) => panic!("{kind}: {other}"),
        }
        assert!(failure.to_string().contains(kind.name()));
    }
}

#[test]
fn another_speed_is_no_answer() {
    for (kind, make) in PAIRS {
        let mut station = station(make);
        if station.twin.speed().is_some() {
            station.set_host_speed(LineSpeed(4800));
            let events = listen(kind, Modes::T, &mut station, MINUTE);
            let failed = ReceiverEvent::Failed(Failure::NoAnswer { kind });
            assert_eq!(events.last(), Some(&failed), "{kind}");
        }
    }
}

#[test]
fn probes_find_the_receiver_that_is_there_and_leave_it_as_it_was() {
    for (kind, make) in PAIRS.into_iter().filter(|(kind, _)| *kind != Kind::RtlWmbus) {
        // Another program may have had it, and it may be talking.
        for used_before in [false, true] {
            let mut station = station(make);
            let mut now = Duration::ZERO;
            if used_before {
                station.set_host_speed(LineSpeed(kind.bits_per_second().unwrap()));
                listen(kind, Modes::T, &mut station, MINUTE);
                now = MINUTE;
            }
            let before = station.twin.counters().flash_writes;
            let mut found = Vec::new();
            for probed in PROBE_ORDER {
                station.set_host_speed(LineSpeed(probed.bits_per_second().unwrap()));
                let events = drive(&mut Probe::new(probed), &mut station, now, now + MINUTE);
                assert_eq!(events.len(), 1, "{kind} {probed}: {events:?}");
                found.extend(events.into_iter().filter_map(|event| match event {
                    ProbeEvent::Found(identity) => Some(identity.kind),
                    ProbeEvent::NotFound(_) => None,
                }));
                now += MINUTE + PROBE_PAUSE;
            }
            assert_eq!(found, [kind]);
            assert_eq!(station.twin.counters().flash_writes, before);
            // A receiver that was set up goes on to hear.
            if used_before {
                let telegrams = station.twin.counters().telegrams;
                station.take_due(now + MINUTE);
                assert!(station.twin.counters().telegrams > telegrams + 10, "{kind}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_hears_through_the_pseudo_terminal_and_after_a_replug() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_serial::SerialPortBuilderExt;
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("radio");
    let air = demo_air(7, Duration::from_millis(600), NOW);
    let mut line = PtyReceiver::open(Some(&link), Station::new(Twin::new(Make::Im871a), air)).unwrap();
    for round in 0..2 {
        let mut port = tokio_serial::new(link.to_str().unwrap(), 57_600).open_native_async().unwrap();
        let start = std::time::Instant::now();
        let now = || Instant::from_duration(start.elapsed());
        let mut session = Receiver::new(Kind::Im871a, config(Modes::T));
        session.start(now());
        let mut heard = Vec::new();
        while heard.len() < 5 {
            while let Some(transmit) = session.poll_transmit() {
                port.write_all(&transmit.bytes).await.unwrap();
                session.handle_transmitted(now());
            }
            while let Some(event) = session.poll_event() {
                match event {
                    ReceiverEvent::Heard(telegram) => heard.push(telegram),
                    ReceiverEvent::Failed(failure) => panic!("{failure}"),
                    _ => {}
                }
            }
            let wait = session.poll_timeout().map_or(MINUTE, |at| at - now());
            let mut bytes = [0; 256];
            match tokio::time::timeout(wait, port.read(&mut bytes)).await {
                Ok(count) => session.handle_input(&bytes[..count.unwrap()], now()),
                Err(_) => session.handle_timeout(now()),
            }
        }
        assert!(heard.iter().all(|heard| usize::from(heard.bytes[0]) + 1 == heard.bytes.len()));
        if round == 0 {
            drop(port);
            line.unplug().await;
            assert!(!link.exists());
            line.replug().unwrap();
        }
    }
    assert_eq!(line.with_station(|station| station.twin.counters().flash_writes), 0);
}
