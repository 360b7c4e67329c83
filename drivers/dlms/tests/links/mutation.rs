//! Mutated lines: whatever arrives, each link ends in an answer or a failure, and keeps its bounds.
//!
//! `PLOMB_FUZZ_CASES` sets the number of cases; `PLOMB_CAMPAIGN=1` makes it ten million.

use crate::hdlc::{config, long, server};
use crate::random::Random;
use plomb_dlms::annotate;
use plomb_dlms::hdlc::{Address, ClientLink, Control, Deframer, FRAME_BYTES_MAX, Found, Frame, Parameters};
use plomb_dlms::link::{DataLink, LinkEvent};
use plomb_dlms::push::{PushConfig, PushEvent, PushFraming, PushReceiver, Transported};
use plomb_dlms::wrapper::{self, Transport, Unwrapper, Wrapped, WrapperConfig};
use plomb_session::Instant;
use std::time::Duration;

const CASES_DEFAULT: u32 = 100_000;
const CASES_CAMPAIGN: u32 = 10_000_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

fn cases() -> u32 {
    let usual = if std::env::var_os("PLOMB_CAMPAIGN").is_some() { CASES_CAMPAIGN } else { CASES_DEFAULT };
    std::env::var("PLOMB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const TELLING: [u8; 8] = [0x7E, 0xA0, 0xA8, 0xFF, 0x00, 0x68, 0x16, 0x81];
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        let byte = if random.below(2) == 0 { TELLING[random.below(8)] } else { random.byte() };
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => bytes.insert(at.min(bytes.len()), byte),
        }
    }
}

fn hostile_frame(random: &mut Random) -> Vec<u8> {
    let numbers = [random.byte(), random.byte()];
    frame_with(random, numbers)
}

/// A frame of a meter to this client with any control field: right sums, and seldom a right meaning.
fn frame_with(random: &mut Random, [send, receive]: [u8; 2]) -> Vec<u8> {
    let often = random.below(30) > 0;
    let controls = [
        Control::Ua { last: true },
        if often { Control::Ua { last: true } } else { Control::Dm { last: true } },
        if often { Control::Rr { receive, last: true } } else { Control::Frmr { last: true } },
        Control::Ui { last: random.below(2) == 0 },
        Control::Rr { receive: receive & 7, last: random.below(4) > 0 },
        Control::Rnr { receive: receive & 7, last: random.below(4) > 0 },
        Control::I { send: send & 7, receive: receive & 7, last: random.below(2) == 0 },
        Control::I { send: send & 7, receive: receive & 7, last: true },
        Control::I { send: random.byte() & 7, receive: receive & 7, last: true },
        Control::from_code(random.byte()),
    ];
    let information = match random.below(4) {
        0 => None,
        1 => Some(Parameters::LARGEST.emit()),
        2 => Some(vec![0x81, 0x80, 3, 5, random.byte(), random.byte()]),
        _ => Some(long(random.below(200))),
    };
    let (client, mut source) = (Address::PUBLIC_CLIENT, server());
    if random.below(20) == 0 {
        source = Address::server(1, 18).unwrap();
    }
    Frame {
        destination: client,
        source,
        control: controls[random.below(controls.len())],
        segmented: random.below(2) == 0,
        information: information.as_deref(),
    }
    .emit()
    .unwrap()
}

#[test]
fn mutated_frames_are_judged_in_bounds() {
    let mut random = Random(SEED);
    let (mut read, mut damaged) = (0u32, 0u32);
    let mut deframer = Deframer::default();
    for _ in 0..cases() {
        let mut bytes = match random.below(3) {
            0 => Transported {
                control: 0x53,
                address: 255,
                sequence: 0,
                last: true,
                source: 1,
                destination: 103,
                part: &long(random.below(60)),
            }
            .emit()
            .unwrap(),
            _ => hostile_frame(&mut random),
        };
        mutate(&mut bytes, &mut random);
        deframer.push(&bytes, |found| match found {
            Found::Frame(frame) => {
                read += 1;
                assert!(frame.emit().unwrap().len() <= FRAME_BYTES_MAX);
            }
            Found::Damaged { error, .. } => {
                damaged += 1;
                assert!(error.to_string().len() < 200);
            }
        });
        let covered: usize = annotate::hdlc(&bytes).iter().map(|one| one.length).sum();
        assert_eq!(covered, bytes.len());
        if let Ok(Some((frame, consumed))) = Transported::parse(&bytes) {
            assert_eq!(frame.emit().unwrap(), bytes[..consumed]);
        }
        let _ = Parameters::parse(&bytes);
    }
    eprintln!("{read} frames read, {damaged} damaged");
    assert!(read > cases() / 10 && damaged > cases() / 50, "the mutations are too tame or too wild");
}

/// A meter that says anything. Each conversation ends, and what is sent is bounded.
#[test]
fn a_hostile_meter_ends_every_conversation() {
    let mut random = Random(SEED);
    let (mut answers, mut failures) = (0u32, [0u32; 2]);
    for _ in 0..cases() / 50 {
        let mut link = DataLink::from(ClientLink::new(config()));
        let mut now = Instant::ORIGIN;
        link.connect(now);
        let mut ended = false;
        let (mut steps, mut sent, mut numbers) = (0u32, 0u32, [0, 0]);
        while !ended {
            steps += 1;
            assert!(steps < 20_000, "the conversation does not end");
            while let Some(event) = link.poll_event() {
                match event {
                    // It may be down again: the next event says so.
                    LinkEvent::Connected(_) => drop(link.send(long(300))),
                    LinkEvent::Apdu(apdu) => {
                        answers += 1;
                        assert!(apdu.len() <= config().apdu_bytes_max);
                        if link.send(long(20)).is_err() {
                            link.disconnect(now);
                        }
                    }
                    LinkEvent::Unsolicited(_) => {}
                    LinkEvent::Disconnected => (failures[0], ended) = (failures[0] + 1, true),
                    LinkEvent::Failed(failure) => {
                        (failures[1], ended) = (failures[1] + 1, true);
                        assert!(!failure.to_string().is_empty() && !failure.kind().is_empty());
                    }
                }
            }
            if steps > 5000 && !ended {
                link.disconnect(now);
            }
            if let Some(transmit) = link.poll_transmit() {
                sent += 1;
                link.handle_transmitted(now);
                Deframer::default().push(&transmit.bytes, |found| match found {
                    Found::Frame(Frame { control: Control::I { send, receive, .. }, .. }) => {
                        numbers = [receive, send + 1];
                    }
                    Found::Frame(Frame { control: Control::Rr { receive, .. }, .. }) => numbers[0] = receive,
                    _ => {}
                });
            }
            match random.below(8) {
                0 => {
                    now = link.poll_timeout().unwrap_or(now).max(now);
                    link.handle_timeout(now);
                }
                _ => {
                    let plausible = random.below(2) == 0;
                    let mut bytes =
                        if plausible { frame_with(&mut random, numbers) } else { hostile_frame(&mut random) };
                    if random.below(5) == 0 {
                        mutate(&mut bytes, &mut random);
                    }
                    now += Duration::from_millis(50);
                    link.handle_input(&bytes, now);
                }
            }
        }
        assert!(sent <= steps);
    }
    eprintln!("{answers} answers, {} ended, {} failed", failures[0], failures[1]);
    assert!(answers > cases() / 100, "the meter is too hostile to get far");
}

/// A meter that says something like an answer for ever. The question is given up in bounded time.
#[test]
fn an_endless_line_is_given_up() {
    let mut random = Random(SEED);
    for kind in 0..4 {
        let mut link = ClientLink::new(config());
        let mut now = Instant::ORIGIN;
        link.connect(now);
        let ended = loop {
            if let Some(LinkEvent::Failed(failure)) = link.poll_event() {
                break failure;
            }
            if link.poll_transmit().is_some() {
                link.handle_transmitted(now);
            }
            now += Duration::from_millis(100);
            let line = match kind {
                0 => vec![0x7E, 0xA7, 0xFF, 0x21, 0x02, 0x23],
                1 => vec![0x7E; 50],
                2 => (0..60).map(|_| random.byte()).collect(),
                // A frame that never ends.
                _ => vec![0x55; 3],
            };
            link.handle_input(&line, now);
            if link.poll_timeout().is_some_and(|at| now >= at) {
                link.handle_timeout(now);
            }
            assert!(now.as_micros() < 200_000_000, "kind {kind} goes on for ever");
        };
        eprintln!("kind {kind}: {ended} after {now}");
    }
}

#[test]
fn mutated_streams_of_the_wrapper() {
    let mut random = Random(SEED);
    let (mut told, mut refused) = (0u32, 0u32);
    for _ in 0..cases() {
        let apdu = long(random.below(100));
        let mut bytes = Wrapped { source: 1, destination: 16, apdu: &apdu }.emit().unwrap();
        bytes.extend(bytes.clone());
        mutate(&mut bytes, &mut random);
        let mut unwrapper = Unwrapper::default();
        let outcome = unwrapper.push(&bytes, 100, |wrapped| {
            told += 1;
            assert!(wrapped.apdu.len() <= 100);
        });
        refused += u32::from(outcome.is_err());
        let covered: usize = annotate::wrapper(&bytes).iter().map(|one| one.length).sum();
        assert_eq!(covered, bytes.len());
        let mut link = wrapper::ClientLink::new(WrapperConfig::new(16, 1, Transport::Udp));
        link.connect(Instant::ORIGIN);
        link.send(apdu).unwrap();
        link.handle_input(&bytes, Instant::ORIGIN);
    }
    eprintln!("{told} APDUs, {refused} streams refused");
    assert!(told > cases() / 2 && refused > cases() / 20);
}

#[test]
fn mutated_pushes() {
    let mut random = Random(SEED);
    let (mut told, mut lost) = (0u32, 0u32);
    let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Serial));
    let mut now = Instant::ORIGIN;
    for _ in 0..cases() {
        let mut bytes = if random.below(2) == 0 {
            let (sequence, last) = (random.byte() & 3, random.below(2) == 0);
            let part = long(random.below(60));
            Transported { control: 0x53, address: 255, sequence, last, source: 1, destination: 103, part: &part }
                .emit()
                .unwrap()
        } else {
            hostile_frame(&mut random)
        };
        if random.below(3) == 0 {
            mutate(&mut bytes, &mut random);
        }
        now += Duration::from_millis(u64::from(random.byte()) * 20);
        receiver.handle_timeout(now);
        receiver.handle_input(&bytes, now);
        while let Some(event) = receiver.poll_event() {
            match event {
                PushEvent::Apdu { apdu, .. } => (told, _) = (told + 1, assert!(apdu.len() < 65_537)),
                PushEvent::Lost(loss) => (lost, _) = (lost + 1, assert!(loss.to_string().len() < 200)),
            }
        }
    }
    eprintln!("{told} APDUs, {lost} losses");
    assert!(told > cases() / 20 && lost > cases() / 50);
}
