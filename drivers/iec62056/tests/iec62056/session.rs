//! Conversations under exact scripts: every byte that is sent, when, and at which speed.

use crate::random::{Random, cases};
use plomb_iec62056::{
    DataSets, DeviceAddress, Opening, OpeningEvent, Parity, Programming, ProgrammingEvent, ReadConfig, ReadEvent,
    ReadFailure, Readout, Request, RequestError, bcc, break_message, command, option_select, request,
};
use plomb_session::script::{Run, Script};
use plomb_session::{Instant, Session};
use std::time::Duration;

const THINK: Duration = Duration::from_millis(250);
const IDENTIFICATION: &[u8] = b"/LGZ5\\2ZMD3104407.B32\r\n";
const LINES: &[u8] =
    b"F.F(00000000)\r\n0.0.0(12345678)\r\n1.8.1(001234.567*kWh)\r\n1.6.1(00.25*kW)(2401151200)\r\n!\r\n";

fn block(lines: &[u8], end: u8) -> Vec<u8> {
    let mut bytes = [&[2], lines, &[end]].concat();
    bytes.push(bcc(&bytes[1..]));
    bytes
}

fn readout() -> Vec<u8> {
    block(LINES, 3)
}

fn select(digits: &[u8; 3]) -> Vec<u8> {
    option_select(digits[0], digits[1], digits[2])
}

fn read(script: Script, config: ReadConfig) -> Run<ReadEvent> {
    script.run(&mut Readout::new(config)).unwrap()
}

fn ends(run: &Run<ReadEvent>) -> &ReadEvent {
    &run.events.last().unwrap().1
}

/// Drives a session by hand, and tells when it asked for which speed.
fn speeds<S: Session>(session: &mut S, answers: &[(&[u8], Duration)]) -> Vec<(u32, Duration)> {
    let (mut now, mut speeds, mut answers) = (Instant::ORIGIN, Vec::new(), answers.iter());
    session.start(now);
    while !session.is_finished() {
        if let Some(speed) = session.poll_speed() {
            speeds.push((speed, now - Instant::ORIGIN));
        }
        if session.poll_transmit().is_some() {
            // An adapter that says at once that everything has left.
            session.handle_transmitted(now);
            continue;
        }
        match session.poll_timeout() {
            Some(at) if answers.clone().next().is_none_or(|(_, after)| at <= Instant::ORIGIN + *after) => {
                now = at;
                session.handle_timeout(now);
            }
            _ => {
                let (bytes, after) = answers.next().unwrap();
                now = Instant::ORIGIN + *after;
                session.handle_input(bytes, now);
            }
        }
    }
    speeds.extend(session.poll_speed().map(|speed| (speed, now - Instant::ORIGIN)));
    speeds
}

#[test]
fn mode_c_with_a_change_of_speed() {
    let script = Script::new(300)
        .expect(&request(""))
        .reply(THINK, IDENTIFICATION)
        .expect(&select(b"050"))
        .reply(THINK, &readout());
    let run = read(script, ReadConfig::new());
    assert!(matches!(&run.events[0].1, ReadEvent::Identified(one) if one.device == "ZMD3104407.B32"));
    assert_eq!(run.events[1].1, ReadEvent::Data(LINES.to_vec()));
    assert_eq!(*ends(&run), ReadEvent::Done { repeats: 0 });
    assert_eq!(DataSets::new(LINES).filter(Result::is_ok).count(), 4);
    // The reader's pause of 200 ms stands before ACK, whose 6 bytes take 200 ms at 300 baud.
    let asked = run.events[0].0;
    assert_eq!(run.sent[1].0 - asked, Duration::from_micros(200_000 + 6 * 11 * 1_000_000 / 300));
}

#[test]
fn the_speed_changes_once_ack_has_left_whatever_the_adapter_says() {
    let session = &mut Readout::new(ReadConfig::new());
    let answers = [(IDENTIFICATION, Duration::from_millis(1000)), (&readout(), Duration::from_millis(2000))];
    let speeds = speeds(session, &answers);
    // 1000 ms, a pause of 200 ms, ACK for 200 ms, and 50 ms more: 250 ms behind its beginning.
    let millis: Vec<_> = speeds.iter().map(|(speed, at)| (*speed, at.as_millis())).collect();
    assert_eq!(millis, [(300, 0), (9600, 1450), (300, 2000)], "and back at the end");
}

#[test]
fn a_speed_that_the_port_cannot_do_is_refused() {
    let script = Script::new(300)
        .expect(&request("0012"))
        .reply(THINK, IDENTIFICATION)
        .expect(&select(b"000"))
        .reply(THINK, &readout());
    let config = ReadConfig { speed_max: 4800, address: "0012".parse().unwrap(), ..ReadConfig::new() };
    assert_eq!(*ends(&read(script, config)), ReadEvent::Done { repeats: 0 });
}

#[test]
fn a_line_with_one_speed_is_left_alone() {
    let config = ReadConfig { opening_speed: 9600, fixed_speed: true, ..ReadConfig::new() };
    let script = Script::new(9600)
        .expect(&request(""))
        .reply(THINK, b"/ABC6xyz\r\n")
        .expect(&select(b"050"))
        .reply(THINK, &readout());
    assert_eq!(*ends(&read(script, config.clone())), ReadEvent::Done { repeats: 0 });
    let answers = [(IDENTIFICATION, Duration::from_millis(1000)), (&readout(), Duration::from_millis(2000))];
    assert_eq!(speeds(&mut Readout::new(config), &answers), []);
}

#[test]
fn modes_a_and_b_send_their_readout_by_themselves() {
    for identification in [&b"/ABC xyz\r\n"[..], b"/ABCDxyz\r\n"] {
        let script = Script::new(300).expect(&request("")).reply(THINK, identification).reply(THINK, &readout());
        assert_eq!(*ends(&read(script, ReadConfig::new())), ReadEvent::Done { repeats: 0 });
    }
    let answers = [(&b"/ABCDxyz\r\n"[..], Duration::from_millis(1000)), (&readout(), Duration::from_millis(2000))];
    let speeds = speeds(&mut Readout::new(ReadConfig::new()), &answers);
    assert_eq!(speeds[1], (4800, Duration::from_millis(1050)));
}

#[test]
fn a_head_that_throws_everything_back() {
    let script = Script::new(300)
        .expect(&request(""))
        .echo(&request(""))
        .reply(THINK, IDENTIFICATION)
        .expect(&select(b"050"))
        .echo(&select(b"050"))
        .reply(THINK, &readout());
    assert_eq!(*ends(&read(script, ReadConfig::new())), ReadEvent::Done { repeats: 0 });
    let mut script = Script::new(300);
    for _ in 0..3 {
        script = script.expect(&request("")).echo(&request(""));
    }
    assert_eq!(*ends(&read(script, ReadConfig::new())), ReadEvent::Failed(ReadFailure::EchoOnly));
}

#[test]
fn a_damaged_readout_begins_anew_at_the_opening_speed() {
    let mut damaged = readout();
    damaged[20] ^= 1;
    let script = Script::new(300)
        .expect(&request(""))
        .reply(THINK, IDENTIFICATION)
        .expect(&select(b"050"))
        .reply(THINK, &damaged)
        .expect(&request(""))
        .reply(THINK, IDENTIFICATION)
        .expect(&select(b"050"))
        .reply(THINK, &readout());
    assert_eq!(*ends(&read(script, ReadConfig::new())), ReadEvent::Done { repeats: 1 });
}

#[test]
fn each_failure_has_its_name() {
    let failure = |replies: &[&[u8]], more: &[&[u8]]| {
        let mut script = Script::new(300);
        for _ in 0..3 {
            script = script.expect(&request(""));
            for bytes in replies {
                script = script.reply(THINK, bytes);
            }
            if replies.contains(&IDENTIFICATION) {
                script = script.expect(&select(b"050"));
                for bytes in more {
                    script = script.reply(THINK, bytes);
                }
            }
        }
        match ends(&read(script, ReadConfig::new())) {
            ReadEvent::Failed(failure) => *failure,
            event => panic!("{event:?}"),
        }
    };
    assert_eq!(failure(&[], &[]), ReadFailure::Silence);
    assert!(matches!(failure(&[&[0xAF, 0xCC, 0x47, 0xDA]], &[]), ReadFailure::Garbage { bytes: 12, .. }));
    assert_eq!(failure(&[IDENTIFICATION], &[]), ReadFailure::NothingBehind { bits_per_second: 9600 });
    assert_eq!(failure(&[IDENTIFICATION], &[&readout()[..40]]), ReadFailure::BrokenOff { bytes: 40 });
    let mut damaged = readout();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(failure(&[IDENTIFICATION], &[&damaged]), ReadFailure::Damaged(_)));
}

#[test]
fn software_parity_on_a_port_with_eight_bits() {
    let wire = |bytes: &[u8]| Parity::Software.on_the_wire(bytes);
    let script = Script::new(300)
        .expect(&wire(&request("")))
        .reply(THINK, &wire(IDENTIFICATION))
        .expect(&wire(&select(b"050")))
        .reply(THINK, &wire(&readout()));
    let config = ReadConfig { parity: Parity::Software, ..ReadConfig::new() };
    assert_eq!(*ends(&read(script, config.clone())), ReadEvent::Done { repeats: 0 });
    // A meter that sends no parity is told from a bad line.
    let mut script = Script::new(300);
    for _ in 0..3 {
        script = script.expect(&wire(&request(""))).reply(THINK, b"\x81\x81\x80\xFE");
    }
    let run = read(script, config);
    assert_eq!(*ends(&run), ReadEvent::Failed(ReadFailure::Garbage { bytes: 12, wrong_parity: 6 }));
}

#[test]
fn a_sleeping_meter_is_woken() {
    // 2.2 s of zeros at 300 baud.
    let script = Script::new(300)
        .expect(&[0; 66])
        .expect(&request(""))
        .reply(THINK, IDENTIFICATION)
        .expect(&select(b"050"))
        .reply(THINK, &readout());
    let run = read(script, ReadConfig { wake_up: true, ..ReadConfig::new() });
    assert_eq!(*ends(&run), ReadEvent::Done { repeats: 0 });
}

fn opened(script: Script, config: ReadConfig) -> OpeningEvent {
    script.run(&mut Opening::new(config)).unwrap().events.pop().unwrap().1
}

#[test]
fn mode_e_hands_over_to_hdlc() {
    let mode_e = select(b"252");
    let begin = || Script::new(300).expect(&request("")).reply(THINK, IDENTIFICATION).expect(&mode_e);
    for (script, confirms) in [(begin().reply(THINK, &mode_e), true), (begin(), false)] {
        match opened(script, ReadConfig::new()) {
            OpeningEvent::Opened(opened) => {
                assert_eq!((opened.bits_per_second, opened.confirmed), (9600, confirms));
                assert!(opened.identification.offers_hdlc());
            }
            OpeningEvent::Failed(failure) => panic!("{failure}"),
        }
    }
    // The same bytes once more: first the head's, then the meter's.
    let script = Script::new(300)
        .expect(&request(""))
        .echo(&request(""))
        .reply(THINK, IDENTIFICATION)
        .expect(&mode_e)
        .echo(&mode_e)
        .reply(THINK, &mode_e);
    let run = script.run(&mut Opening::new(ReadConfig::new())).unwrap();
    assert!(matches!(&run.events[0].1, OpeningEvent::Opened(opened) if opened.confirmed));
    let answers = [(IDENTIFICATION, Duration::from_millis(1000)), (&mode_e[..], Duration::from_millis(2000))];
    let speeds = speeds(&mut Opening::new(ReadConfig::new()), &answers);
    assert_eq!(speeds, [(300, Duration::ZERO), (9600, Duration::from_millis(2050))], "and it stays there");
}

#[test]
fn a_meter_without_mode_e_is_told() {
    let script = Script::new(300).expect(&request("")).reply(THINK, b"/ABCDxyz\r\n");
    assert_eq!(opened(script, ReadConfig::new()), OpeningEvent::Failed(ReadFailure::ReadoutOnly));
}

fn program(script: Script, password: Option<&str>, requests: Vec<Request>) -> Vec<ProgrammingEvent> {
    let mut session = Programming::new(ReadConfig::new(), password, requests).unwrap();
    let run = script.run(&mut session).unwrap();
    assert!(!format!("{session:?}").contains("4711"), "no password in what is logged");
    run.events.into_iter().map(|(_, event)| event).collect()
}

fn admitted() -> Script {
    Script::new(300)
        .expect(&request(""))
        .reply(THINK, IDENTIFICATION)
        .expect(&select(b"051"))
        .reply(THINK, &command(*b"P0", b"(12345678)"))
}

fn answer(index: usize, block: &[u8]) -> ProgrammingEvent {
    ProgrammingEvent::Answer { index, block: block.to_vec() }
}

#[test]
fn registers_are_read_one_by_one() {
    let script = admitted()
        .expect(&command(*b"P1", b"(4711)"))
        .reply(THINK, b"\x06")
        .expect(&command(*b"R1", b"1.8.0()"))
        .reply(THINK, &block(b"1.8.0(0012.5*kWh)", 3))
        .expect(&command(*b"R5", b"P.01(2401010000;2401020000)"))
        .reply(THINK, &block(b"P.01(2401010000)(1)", 4))
        .expect(b"\x06")
        .reply(THINK, &block(b"(2)(3)", 3))
        .expect(&command(*b"R1", b"9.9.9()"))
        .reply(THINK, &block(b"(ERROR)", 3))
        .expect(&command(*b"W1", b"0.9.1(120000)"))
        .reply(THINK, b"\x06")
        .expect(&break_message());
    let requests = vec![
        Request::read("1.8.0").unwrap(),
        Request::read_formatted("P.01", "2401010000;2401020000").unwrap(),
        Request::read("9.9.9").unwrap(),
        Request::write("0.9.1", "120000").unwrap(),
    ];
    let events = program(script, Some("4711"), requests);
    assert_eq!(events[1], answer(0, b"1.8.0(0012.5*kWh)"));
    assert_eq!(events[2], answer(1, b"P.01(2401010000)(1)(2)(3)"));
    assert_eq!(events[3], ProgrammingEvent::Refused { index: 2, block: b"(ERROR)".to_vec() });
    assert_eq!(events[4..], [answer(3, b""), ProgrammingEvent::Done]);
}

#[test]
fn a_damaged_answer_is_asked_for_again_and_nak_is_obeyed() {
    let whole = block(b"1.8.0(1)", 3);
    let mut damaged = whole.clone();
    damaged[3] ^= 1;
    let script = admitted()
        .expect(&command(*b"R1", b"1.8.0()"))
        .reply(THINK, &damaged)
        .expect(b"\x15")
        .reply(THINK, b"\x15")
        .expect(&command(*b"R1", b"1.8.0()"))
        .reply(THINK, &whole)
        .expect(&break_message());
    let events = program(script, None, vec![Request::read("1.8.0").unwrap()]);
    assert_eq!(events[1..], [answer(0, b"1.8.0(1)"), ProgrammingEvent::Done]);
}

#[test]
fn a_wrong_password_is_tried_once() {
    for refusal in [break_message(), block(b"(ERROR)", 3)] {
        let script = admitted().expect(&command(*b"P1", b"(4711)")).reply(THINK, &refusal).expect(&break_message());
        let events = program(script, Some("4711"), vec![Request::read("1.8.0").unwrap()]);
        assert_eq!(events[1..], [ProgrammingEvent::Failed(ReadFailure::WrongPassword)]);
    }
}

#[test]
fn silence_begins_anew_after_a_read_and_never_after_a_write() {
    let read = vec![Request::read("1.8.0").unwrap()];
    let script = admitted().expect(&command(*b"R1", b"1.8.0()")).expect(&break_message());
    let again = [
        (true, request("")),
        (false, IDENTIFICATION.to_vec()),
        (true, select(b"051")),
        (false, command(*b"P0", b"()")),
        (true, command(*b"R1", b"1.8.0()")),
        (false, block(b"1.8.0(1)", 3)),
        (true, break_message()),
    ];
    let script = again.iter().fold(script, |script, (says, bytes)| match says {
        true => script.expect(bytes),
        false => script.reply(THINK, bytes),
    });
    assert_eq!(program(script, None, read).last(), Some(&ProgrammingEvent::Done));
    let script = admitted().expect(&command(*b"W1", b"0.9.1(1)")).expect(&break_message());
    let events = program(script, None, vec![Request::write("0.9.1", "1").unwrap()]);
    assert_eq!(events.last(), Some(&ProgrammingEvent::Failed(ReadFailure::Silence)));
}

#[test]
fn what_would_end_a_block_is_refused() {
    assert_eq!(Request::read("1.8.0)"), Err(RequestError::Operand { offset: 5, byte: b')' }));
    assert_eq!(Request::write("0.9.1", "1\x03"), Err(RequestError::Operand { offset: 1, byte: 3 }));
    assert!(Request::read(&"1".repeat(300)).is_err());
    assert!(Programming::new(ReadConfig::new(), Some("(x)"), vec![]).is_err());
    assert_eq!("1!\r\n".parse::<DeviceAddress>(), Err(RequestError::Address));
    assert_eq!("1".repeat(33).parse::<DeviceAddress>(), Err(RequestError::Address));
}

/// A meter that says anything, or something like an answer. Each conversation ends.
#[test]
fn a_hostile_meter_ends_every_conversation() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut whole, mut failed) = (0u32, 0u32);
    for case in 0..cases(1000) {
        let requests = vec![Request::read("1.8.0").unwrap(), Request::read("2.8.0").unwrap()];
        let mut readout = Readout::new(ReadConfig::new());
        let mut opening = Opening::new(ReadConfig::new());
        let mut programming = Programming::new(ReadConfig::new(), Some("1"), requests).unwrap();
        let ended = match case % 3 {
            0 => drive(&mut readout, &mut random, |event| matches!(event, ReadEvent::Data(_))),
            1 => drive(&mut opening, &mut random, |event| matches!(event, OpeningEvent::Opened(_))),
            _ => drive(&mut programming, &mut random, |event| matches!(event, ProgrammingEvent::Done)),
        };
        (whole, failed) = if ended { (whole + 1, failed) } else { (whole, failed + 1) };
    }
    eprintln!("{whole} conversations succeeded, {failed} failed");
    assert!(whole > 50 && failed > 50, "the meter is too tame or too wild");
}

fn drive<S: Session>(session: &mut S, random: &mut Random, is_good: impl Fn(&S::Event) -> bool) -> bool {
    let (mut now, mut good) = (Instant::ORIGIN, false);
    session.start(now);
    for _ in 0..5000 {
        while let Some(event) = session.poll_event() {
            good |= is_good(&event);
        }
        if session.is_finished() {
            return good;
        }
        let _ = session.poll_speed();
        if let Some(transmit) = session.poll_transmit() {
            let echoes = random.below(4) == 0;
            if echoes {
                session.handle_input(&transmit.bytes, now);
            }
            session.handle_transmitted(now);
        }
        if random.below(3) == 0 {
            now = session.poll_timeout().unwrap_or(now).max(now);
            session.handle_timeout(now);
            continue;
        }
        let messages: [&[u8]; 8] = [
            IDENTIFICATION,
            &readout(),
            &command(*b"P0", b"()"),
            b"\x06",
            b"\x15",
            &select(b"252"),
            &block(b"1.8.0(1)", if random.below(2) == 0 { 4 } else { 3 }),
            &break_message(),
        ];
        // The plausible ones come more often.
        let choice = if random.below(3) == 0 { 8 } else { 4 };
        let mut bytes = messages[random.below(choice)].to_vec();
        if random.below(5) == 0 {
            random.mutate(&mut bytes);
        }
        now += Duration::from_millis(20 * u64::try_from(random.below(20)).unwrap());
        // Deadlines that have passed come first, as in a real loop.
        if session.poll_timeout().is_some_and(|at| now >= at) {
            session.handle_timeout(now);
        }
        session.handle_input(&bytes, now);
    }
    panic!("the conversation does not end");
}

/// A line that is never silent. The conversation is given up in bounded time.
#[test]
fn an_endless_line_is_given_up() {
    for noise in [&b"\x06"[..], b"/", b"\x02", b"U", b"\x01P0", b"/ABC5x\r\n", b"\x15"] {
        let mut session = Readout::new(ReadConfig { opening_speed: 9600, ..ReadConfig::new() });
        let mut now = Instant::ORIGIN;
        session.start(now);
        while !session.is_finished() {
            let _ = session.poll_speed();
            if session.poll_transmit().is_some() {
                session.handle_transmitted(now);
            }
            now += Duration::from_millis(100);
            session.handle_input(noise, now);
            if session.poll_timeout().is_some_and(|at| now >= at) {
                session.handle_timeout(now);
            }
            while session.poll_event().is_some() {}
            assert!(now.as_micros() < 1_000_000_000, "{noise:02x?} goes on for ever");
        }
    }
}
