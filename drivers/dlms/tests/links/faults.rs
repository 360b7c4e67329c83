//! A link and a meter on a bad line: everything arrives in the end, once, or the failure says why.

use crate::hdlc::{config, long, server};
use crate::line::{Fault, Line, Of};
use crate::meter::Meter;
use crate::random::Random;
use plomb_dlms::hdlc::{Address, ClientLink, HdlcConfig, Parameters};
use plomb_dlms::link::{LinkFailure, Stage};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn meter(window: u8, bytes: u16) -> Meter {
    let parameters =
        Parameters { transmit_bytes: bytes, receive_bytes: bytes, transmit_window: window, receive_window: window };
    let mut meter = Meter::new(server(), vec![long(1000), long(30), long(1000)]);
    meter.grants = Some(parameters);
    meter
}

const QUESTIONS: [usize; 3] = [400, 900, 20];

/// Every frame of a conversation in turn is treated badly. It all arrives nevertheless, once.
#[test]
fn each_frame_in_turn_is_treated_badly() {
    let questions = QUESTIONS.map(long);
    for (window, bytes) in [(1, 128), (3, 64), (7, 128)] {
        let whole = Line::new(9600, meter(window, bytes)).converse(&mut ClientLink::new(config()), &questions);
        let mut slowest = Duration::ZERO;
        for fault in [
            Fault::Drop,
            Fault::Corrupt(1),
            Fault::Corrupt(12),
            Fault::Lose(9),
            Fault::Cut(11),
            Fault::Delay(3 * SECOND),
            Fault::Delay(7 * SECOND),
            Fault::Double,
            Fault::Trickle(Duration::from_millis(100)),
        ] {
            let client = (0..whole.client_frames).map(Of::Client);
            for of in client.chain((0..whole.meter_frames).map(Of::Meter)) {
                let mut line = Line::new(9600, meter(window, bytes)).fault(of, fault);
                let outcome = line.converse(&mut ClientLink::new(config()), &questions);
                assert_eq!(outcome.failure, None, "{of:?} {fault:?} window {window}");
                assert_eq!(outcome.answers, [long(1000), long(30), long(1000)], "{of:?} {fault:?}");
                assert_eq!(line.meter.taken, questions, "{of:?} {fault:?}");
                slowest = slowest.max(outcome.ended - whole.ended);
            }
        }
        eprintln!("window {window}: the worst frame costs {slowest:?}");
        // One response timeout with the time that a late frame needs, and no more.
        assert!(slowest < 21 * SECOND, "{slowest:?}");
    }
}

/// A damaged frame is asked after when the line is quiet, not when the response timeout is over.
#[test]
fn a_damaged_frame_costs_little_time() {
    let whole =
        Line::new(9600, meter(1, 128)).converse(&mut ClientLink::new(config()), &[long(10), long(10), long(10)]);
    let mut line = Line::new(9600, meter(1, 128)).fault(Of::Meter(2), Fault::Corrupt(20));
    let outcome = line.converse(&mut ClientLink::new(config()), &[long(10), long(10), long(10)]);
    assert!(outcome.ended - whole.ended < Duration::from_millis(1300), "{:?}", outcome.ended - whole.ended);
}

#[test]
fn a_meter_that_keeps_no_frames_is_asked_again() {
    for lost in 1..5 {
        let mut meter = meter(1, 2030);
        meter.forgetful = true;
        let mut line = Line::new(9600, meter).fault(Of::Meter(lost), Fault::Corrupt(20));
        let outcome = line.converse(&mut ClientLink::new(config()), &[long(10), long(10), long(10)]);
        assert_eq!((outcome.failure, outcome.answers.len()), (None, 3), "{lost}");
        assert_eq!(line.meter.taken.len(), 3);
    }
}

#[test]
fn a_line_that_loses_one_frame_in_ten_delivers_all_once() {
    let mut random = Random(0x5EED);
    let (mut failed, mut runs) = (0, 0);
    for _ in 0..60 {
        let mut line = Line::new(9600, meter(7, 64));
        for at in 0..400 {
            for of in [Of::Client(at), Of::Meter(at)] {
                let fault =
                    [Fault::Drop, Fault::Corrupt(random.below(80)), Fault::Lose(random.below(80)), Fault::Double];
                if random.below(10) == 0 {
                    line = line.fault(of, fault[random.below(4)]);
                }
            }
        }
        let questions = QUESTIONS.map(long);
        let outcome = line.converse(&mut ClientLink::new(config()), &questions);
        runs += 1;
        failed += u32::from(outcome.failure.is_some());
        let answers = [long(1000), long(30), long(1000)];
        assert_eq!(outcome.answers, answers[..outcome.answers.len()], "what arrives is right");
        assert_eq!(line.meter.taken, questions[..line.meter.taken.len()], "what is taken is taken once");
    }
    eprintln!("{failed} of {runs} conversations failed");
    assert!(failed <= 3, "{failed} of {runs}");
}

#[test]
fn silence_is_told_and_bounded_in_time() {
    let mut line = Line::new(9600, meter(1, 128)).fault(Of::EveryOfClient, Fault::Drop);
    let outcome = line.converse(&mut ClientLink::new(config()), &[[0u8; 0]; 0]);
    assert_eq!(outcome.failure, Some(LinkFailure::Silence { stage: Stage::Connect, echo: false }));
    assert_eq!(outcome.client_frames, 4);
    assert!(outcome.ended.as_micros() < 30_000_000);
    line = Line::new(9600, meter(1, 128)).fault(Of::EveryOfClient, Fault::Drop);
    line.echo = true;
    let outcome = line.converse(&mut ClientLink::new(config()), &[[0u8; 0]; 0]);
    assert_eq!(outcome.failure, Some(LinkFailure::Silence { stage: Stage::Connect, echo: true }));
}

#[test]
fn a_head_that_throws_everything_back_disturbs_nothing() {
    let mut line = Line::new(9600, meter(7, 128));
    line.echo = true;
    let mut link = ClientLink::new(config());
    let outcome = line.converse(&mut link, &[long(400), long(900), long(20)]);
    assert_eq!((outcome.failure, outcome.answers.len()), (None, 3));
    assert_eq!(link.counts().echoes, u64::try_from(outcome.client_frames).unwrap());
}

#[test]
fn noise_before_each_frame_disturbs_nothing() {
    for noise in
        [&[0xFF, 0x00, 0x55][..], &[0x7E], &[0x7E; 9], &[0x7E, 0xA7, 0xFF], &[0x7E, 0xA0, 0x20, 0x21, 0x02, 0x23]]
    {
        let mut line = Line::new(9600, meter(1, 128));
        line.noise = noise.to_vec();
        let outcome = line.converse(&mut ClientLink::new(config()), &[long(10), long(10), long(10)]);
        assert_eq!((outcome.failure, outcome.answers.len()), (None, 3), "{noise:02x?}");
    }
}

#[test]
fn a_line_that_damages_everything_is_told_from_silence() {
    let mut line = Line::new(9600, meter(1, 128)).fault(Of::EveryOfMeter, Fault::Corrupt(6));
    let outcome = line.converse(&mut ClientLink::new(config()), &[[0u8; 0]; 0]);
    assert!(matches!(outcome.failure, Some(LinkFailure::Damaged { frames: 4, .. })), "{:?}", outcome.failure);
    // Nothing but noise: another speed, or a meter that speaks IEC 62056-21 first.
    let mut line = Line::new(9600, meter(1, 128)).fault(Of::EveryOfMeter, Fault::Cut(20));
    line.noise = vec![0x81; 20];
    let outcome = line.converse(&mut ClientLink::new(config()), &[[0u8; 0]; 0]);
    assert_eq!(outcome.failure, Some(LinkFailure::Garbage { bytes: 80 }));
}

#[test]
fn another_station_that_answers_is_named() {
    let other = Address::server(1, 18).unwrap();
    let mut link = ClientLink::new(config());
    link.connect(plomb_session::Instant::ORIGIN);
    let failure = answer_with(&mut link, Address::PUBLIC_CLIENT, other);
    assert_eq!(failure, LinkFailure::WrongAddress { expected: server(), got: other });
    let failure = answer_with(&mut link, server(), Address::PUBLIC_CLIENT);
    assert_eq!(failure, LinkFailure::SwappedAddresses);
    // Other clients' conversations explain nothing.
    let failure = answer_with(&mut link, Address::short(40).unwrap(), other);
    assert_eq!(failure, LinkFailure::Silence { stage: Stage::Connect, echo: false });
}

/// Connects, and answers each SNRM with a UA that carries these addresses.
fn answer_with(link: &mut ClientLink, destination: Address, source: Address) -> LinkFailure {
    use plomb_dlms::hdlc::{Control, Frame};
    use plomb_dlms::link::LinkEvent;
    let answer = Frame::bare(destination, source, Control::Ua { last: true }).emit().unwrap();
    let mut now = plomb_session::Instant::ORIGIN;
    link.connect(now);
    loop {
        if link.poll_transmit().is_some() {
            link.handle_transmitted(now);
            link.handle_input(&answer, now + SECOND);
        }
        if let Some(LinkEvent::Failed(failure)) = link.poll_event() {
            return failure;
        }
        now = link.poll_timeout().unwrap_or(now);
        link.handle_timeout(now);
    }
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let mut config = HdlcConfig { apdu_bytes_max: 999, ..config() };
    let outcome = Line::new(9600, meter(7, 128)).converse(&mut ClientLink::new(config), &[long(10)]);
    assert_eq!(outcome.failure, Some(LinkFailure::TooLong { bytes_max: 999 }));
    config.apdu_bytes_max = 1000;
    let outcome = Line::new(9600, meter(7, 128)).converse(&mut ClientLink::new(config), &[long(10)]);
    assert_eq!((outcome.failure, outcome.answers), (None, vec![long(1000)]));
}
