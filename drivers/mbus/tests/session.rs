//! The master's session against scripted slaves, in virtual time: the readout as it should go, and
//! every trouble that the field has shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use plomb_mbus::{
    Address, ApplicationError, Control, End, Frame, Identification, Manufacturer, Medium, MeterId, ReadConfig,
    ReadEvent, ReadFailure, ReadMeter, SecondaryAddress, TELEGRAM_COUNT_MAX, Target, req_ud2, select, snd_nke,
};
use plomb_session::script::{Run, Script, ScriptError};
use plomb_session::{Instant, Session};
use proptest::prelude::*;
use std::time::Duration;

const SPEED: u32 = 2400;
const METER: MeterId =
    MeterId { id: Identification(0x1234_5678), manufacturer: Manufacturer(0x0477), version: 14, medium: Medium(0x07) };
const ACK: &[u8] = &[0xE5];
/// What a slave takes to think.
const SOON: Duration = Duration::from_millis(20);

/// A telegram with one volume record; `more` ends it with DIF 1F.
fn telegram(address: u8, meter: MeterId, litres: u8, access: u8, more: bool) -> Vec<u8> {
    let mut payload = SecondaryAddress::from(meter).to_bytes().to_vec();
    payload.extend([access, 0, 0, 0]);
    payload.extend([0x0C, 0x13, litres, 0, 0, 0]);
    if more {
        payload.push(0x1F);
    }
    let control = Control::RspUd { acd: false, dfc: false };
    Frame::Long { control, address: Address(address), ci: 0x72, payload: &payload }.emit().unwrap()
}

fn primary(address: u8) -> ReadMeter {
    ReadMeter::new(Target::Primary(Address(address)), ReadConfig::new(SPEED))
}

fn secondary() -> ReadMeter {
    ReadMeter::new(Target::Secondary(SecondaryAddress::from(METER)), ReadConfig::new(SPEED))
}

/// A script in which the link of `address` has been initialised.
fn initialised(address: u8) -> Script {
    Script::new(SPEED).expect(&snd_nke(Address(address))).reply(SOON, ACK)
}

fn request(fcb: bool) -> Vec<u8> {
    req_ud2(Address(5), fcb)
}

fn telegrams(run: &Run<ReadEvent>) -> Vec<Vec<u8>> {
    run.events
        .iter()
        .filter_map(|(_, event)| match event {
            ReadEvent::Telegram(telegram) => Some(telegram.bytes.clone()),
            _ => None,
        })
        .collect()
}

fn last(run: &Run<ReadEvent>) -> &ReadEvent {
    &run.events.last().unwrap().1
}

fn failure(run: Result<Run<ReadEvent>, ScriptError>) -> ReadFailure {
    match last(&run.unwrap()) {
        ReadEvent::Failed(failure) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_telegram_by_primary_address() {
    let answer = telegram(5, METER, 1, 1, false);
    let run = initialised(5).expect(&request(true)).reply(SOON, &answer).run(&mut primary(5)).unwrap();
    assert_eq!(telegrams(&run), [answer]);
    assert_eq!(*last(&run), ReadEvent::Done { telegrams: 1, end: End::Complete, retries: 0, noise_bytes: 0 });
}

#[test]
fn the_reply_timer_begins_with_the_last_bit() {
    // 330 bit times and 50 ms are 187.5 ms at 2400 baud; an answer at 185 ms is in time.
    let answer = telegram(5, METER, 1, 1, false);
    let late = Duration::from_millis(185);
    let run = initialised(5).expect(&request(true)).reply(late, &answer).run(&mut primary(5)).unwrap();
    assert_eq!(telegrams(&run).len(), 1);
    let (sent, _) = &run.sent[1];
    let ReadEvent::Telegram(telegram) = &run.events[0].1 else { panic!() };
    assert_eq!((telegram.requested_at, telegram.received_at), (*sent, *sent + late));
}

#[test]
fn extra_latency_is_granted() {
    let answer = telegram(5, METER, 1, 1, false);
    let mut config = ReadConfig::new(SPEED);
    config.extra_latency = Duration::from_secs(1);
    let mut session = ReadMeter::new(Target::Primary(Address(5)), config);
    let late = Duration::from_millis(1100);
    let run = initialised(5).expect(&request(true)).reply(late, &answer).run(&mut session).unwrap();
    assert_eq!(telegrams(&run).len(), 1);
}

#[test]
fn a_meter_that_ignores_snd_nke_is_read() {
    let answer = telegram(5, METER, 1, 1, false);
    let script = Script::new(SPEED).expect(&snd_nke(Address(5))).expect(&request(true)).reply(SOON, &answer);
    assert_eq!(telegrams(&script.run(&mut primary(5)).unwrap()).len(), 1);
}

#[test]
fn a_selected_meter_is_read_at_253() {
    let answer = telegram(9, METER, 1, 1, false);
    let script = Script::new(SPEED)
        .expect(&snd_nke(Address::SELECTED))
        .expect(&select(&SecondaryAddress::from(METER), false))
        .reply(SOON, ACK)
        .expect(&req_ud2(Address::SELECTED, true))
        .reply(SOON, &answer);
    assert_eq!(telegrams(&script.run(&mut secondary()).unwrap()), [answer]);
}

#[test]
fn the_select_byte_is_configured() {
    let mut config = ReadConfig::new(SPEED);
    config.select_with_fcb = true;
    config.retries = 0;
    let address = SecondaryAddress::from(METER);
    let mut session = ReadMeter::new(Target::Secondary(address), config);
    let script = Script::new(SPEED).expect(&snd_nke(Address::SELECTED)).expect(&select(&address, true));
    assert_eq!(failure(script.run(&mut session)).kind(), "no reply");
}

#[test]
fn more_telegrams_toggle_the_frame_count_bit() {
    let [a, b, c] = [telegram(5, METER, 1, 1, true), telegram(5, METER, 2, 2, true), telegram(5, METER, 3, 3, false)];
    let run = initialised(5)
        .expect(&request(true))
        .reply(SOON, &a)
        .expect(&request(false))
        .reply(SOON, &b)
        .expect(&request(true))
        .reply(SOON, &c)
        .run(&mut primary(5))
        .unwrap();
    assert_eq!(telegrams(&run), [a, b, c]);
    assert!(matches!(last(&run), ReadEvent::Done { telegrams: 3, end: End::Complete, .. }));
}

#[test]
fn a_retry_keeps_the_frame_count_bit() {
    let [a, b] = [telegram(5, METER, 1, 1, true), telegram(5, METER, 2, 2, false)];
    let mut bad = b.clone();
    bad[20] ^= 1;
    let run = initialised(5)
        .expect(&request(true))
        .reply(SOON, &a)
        .expect(&request(false))
        .reply(SOON, &bad)
        .expect(&request(false))
        .expect(&request(false))
        .reply(SOON, &b)
        .run(&mut primary(5))
        .unwrap();
    assert_eq!(telegrams(&run), [a, b]);
    assert!(matches!(last(&run), ReadEvent::Done { retries: 2, .. }));
}

#[test]
fn silence_is_no_reply() {
    let script = Script::new(SPEED)
        .expect(&snd_nke(Address(5)))
        .expect(&request(true))
        .expect(&request(true))
        .expect(&request(true));
    let mut session = primary(5);
    let run = script.run(&mut session).unwrap();
    assert_eq!(*last(&run), ReadEvent::Failed(ReadFailure::NoReply { target: session.target() }));
    // A dead meter costs four waits of the standard's limit, and the line's time.
    assert!(run.ended - Instant::ORIGIN < Duration::from_millis(1100), "{}", run.ended);
}

#[test]
fn an_echo_is_passed_over() {
    let answer = telegram(5, METER, 1, 1, false);
    let (nke, ask) = (snd_nke(Address(5)), request(true));
    let run = Script::new(SPEED)
        .expect(&nke)
        .echo(&nke)
        .reply(SOON, ACK)
        .expect(&ask)
        .echo(&ask[..2])
        .reply(Duration::from_millis(5), &ask[2..])
        .reply(SOON, &answer)
        .run(&mut primary(5))
        .unwrap();
    assert_eq!(telegrams(&run), [answer]);
    assert!(matches!(last(&run), ReadEvent::Done { noise_bytes: 0, retries: 0, .. }));
}

#[test]
fn an_echo_alone_is_no_reply() {
    let (nke, ask) = (snd_nke(Address(5)), request(true));
    let mut script = Script::new(SPEED).expect(&nke).echo(&nke);
    for _ in 0..3 {
        script = script.expect(&ask).echo(&ask);
    }
    assert_eq!(failure(script.run(&mut primary(5))).kind(), "no reply");
}

#[test]
fn an_echoed_selection_does_not_select() {
    let address = SecondaryAddress::from(METER);
    let (nke, select) = (snd_nke(Address::SELECTED), select(&address, false));
    let mut script = Script::new(SPEED).expect(&nke).echo(&nke);
    for _ in 0..3 {
        script = script.expect(&select).echo(&select);
    }
    assert_eq!(failure(script.run(&mut secondary())).kind(), "no reply");
}

#[test]
fn noise_before_a_frame_is_passed_over() {
    let answer = telegram(5, METER, 1, 1, false);
    for noise in [&[0xFC][..], &[0x00, 0xFF], &[0x68], &[0x10, 0x68], &[0x68, 0x20, 0x20, 0x68, 0x08]] {
        let run = initialised(5)
            .expect(&request(true))
            .reply(SOON, noise)
            .reply(Duration::from_millis(30), &answer)
            .run(&mut primary(5))
            .unwrap();
        assert_eq!(telegrams(&run), [&answer[..]], "after {noise:02x?}");
        assert!(
            matches!(last(&run), ReadEvent::Done { retries: 0, noise_bytes, .. } if *noise_bytes == noise.len()),
            "{noise:02x?}: {:?}",
            last(&run)
        );
    }
}

#[test]
fn an_answer_in_pieces_is_one_answer() {
    let answer = telegram(5, METER, 1, 1, false);
    let mut script = initialised(5).expect(&request(true));
    for byte in &answer {
        script = script.reply(Duration::from_millis(45), &[*byte]);
    }
    assert_eq!(telegrams(&script.run(&mut primary(5)).unwrap()), [answer]);
}

#[test]
fn half_a_frame_is_truncated() {
    let answer = telegram(5, METER, 1, 1, false);
    let mut script = initialised(5);
    for _ in 0..3 {
        script = script.expect(&request(true)).reply(SOON, &answer[..12]);
    }
    let target = primary(5).target();
    let expected = ReadFailure::Truncated { target, bytes: 12, announced: answer.len() };
    assert_eq!(failure(script.run(&mut primary(5))), expected);
}

#[test]
fn a_wrong_sum_is_a_checksum_error() {
    let mut answer = telegram(5, METER, 1, 1, false);
    answer[20] ^= 1;
    let mut script = initialised(5);
    for _ in 0..3 {
        script = script.expect(&request(true)).reply(SOON, &answer);
    }
    assert_eq!(failure(script.run(&mut primary(5))).kind(), "checksum");
}

#[test]
fn noise_alone_is_garbage() {
    let mut script = initialised(5);
    for _ in 0..3 {
        script = script.expect(&request(true)).reply(SOON, &[0xFC, 0x00, 0xA5]);
    }
    let target = primary(5).target();
    assert_eq!(failure(script.run(&mut primary(5))), ReadFailure::Garbage { target, bytes: 3 });
}

/// Two slaves that pull the line at once: a 0 wins over a 1.
fn overlaid(a: &[u8], b: &[u8], delay: usize) -> Vec<u8> {
    (0..a.len().max(b.len() + delay))
        .map(|at| {
            let other = at.checked_sub(delay).and_then(|at| b.get(at)).unwrap_or(&0xFF);
            a.get(at).unwrap_or(&0xFF) & other
        })
        .collect()
}

#[test]
fn two_slaves_with_one_address_collide() {
    let other = MeterId { id: Identification(0x8765_4321), ..METER };
    let a = telegram(5, METER, 1, 1, false);
    let b = telegram(5, other, 2, 9, true);
    for delay in 0..4 {
        let mut script = initialised(5);
        for _ in 0..3 {
            script = script.expect(&request(true)).reply(SOON, &overlaid(&a, &b, delay));
        }
        assert_eq!(failure(script.run(&mut primary(5))).kind(), "collision", "{delay} bytes apart");
    }
}

#[test]
fn two_slaves_at_254_collide_even_with_frames_of_one_length() {
    let other = MeterId { id: Identification(0x8765_4321), ..METER };
    let both = overlaid(&telegram(5, METER, 1, 1, false), &telegram(6, other, 2, 9, false), 0);
    let mut script = initialised(254);
    for _ in 0..3 {
        script = script.expect(&req_ud2(Address::ANY, true)).reply(SOON, &both);
    }
    assert_eq!(failure(script.run(&mut primary(254))).kind(), "collision");
}

#[test]
fn two_slaves_one_after_the_other_collide() {
    let other = MeterId { id: Identification(0x8765_4321), ..METER };
    let both = [telegram(5, METER, 1, 1, false), telegram(6, other, 2, 9, false)].concat();
    let mut script = initialised(254);
    for _ in 0..3 {
        script = script.expect(&req_ud2(Address::ANY, true)).reply(SOON, &both);
    }
    assert_eq!(failure(script.run(&mut primary(254))).kind(), "collision");
}

#[test]
fn two_acknowledgements_of_a_selection_collide() {
    let selection = select(&SecondaryAddress::from(METER), false);
    let mut script = Script::new(SPEED).expect(&snd_nke(Address::SELECTED));
    for _ in 0..3 {
        script = script.expect(&selection).reply(SOON, ACK).reply(SOON, ACK);
    }
    assert_eq!(failure(script.run(&mut secondary())).kind(), "collision");
}

#[test]
fn another_meter_behind_the_selection_is_refused() {
    let got = MeterId { id: Identification(0x1234_5679), ..METER };
    let expected = SecondaryAddress::from(METER);
    let mut script =
        Script::new(SPEED).expect(&snd_nke(Address::SELECTED)).expect(&select(&expected, false)).reply(SOON, ACK);
    for _ in 0..3 {
        script = script.expect(&req_ud2(Address::SELECTED, true)).reply(SOON, &telegram(9, got, 1, 1, false));
    }
    assert_eq!(failure(script.run(&mut secondary())), ReadFailure::WrongMeter { expected, got: got.into() });
}

#[test]
fn the_fixed_structure_is_held_to_its_digits() {
    let expected = SecondaryAddress::from(METER);
    let control = Control::RspUd { acd: false, dfc: false };
    let answer = |units: u8| {
        let payload = [units, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9, 0x7E, 1, 0, 0, 0, 2, 0, 0, 0];
        Frame::Long { control, address: Address(9), ci: 0x73, payload: &payload }.emit().unwrap()
    };
    let script =
        || Script::new(SPEED).expect(&snd_nke(Address::SELECTED)).expect(&select(&expected, false)).reply(SOON, ACK);
    let ask = req_ud2(Address::SELECTED, true);
    let run = script().expect(&ask).reply(SOON, &answer(0x78)).run(&mut secondary()).unwrap();
    assert_eq!(telegrams(&run), [answer(0x78)]);
    let mut wrong = script();
    for _ in 0..3 {
        wrong = wrong.expect(&ask).reply(SOON, &answer(0x79));
    }
    let got = SecondaryAddress::from_id(Identification(0x1234_5679));
    assert_eq!(failure(wrong.run(&mut secondary())), ReadFailure::WrongMeter { expected, got });
}

#[test]
fn another_address_is_refused() {
    let mut script = initialised(5);
    for _ in 0..3 {
        script = script.expect(&request(true)).reply(SOON, &telegram(6, METER, 1, 1, false));
    }
    let expected = ReadFailure::WrongAddress { expected: Address(5), got: Address(6) };
    assert_eq!(failure(script.run(&mut primary(5))), expected);
}

#[test]
fn a_slave_that_repeats_itself_and_says_more_has_been_read() {
    let run = initialised(5)
        .expect(&request(true))
        .reply(SOON, &telegram(5, METER, 1, 1, true))
        .expect(&request(false))
        .reply(SOON, &telegram(5, METER, 1, 2, true))
        .expect(&request(false))
        .reply(SOON, &telegram(5, METER, 1, 3, true))
        .run(&mut primary(5))
        .unwrap();
    assert_eq!(telegrams(&run).len(), 1);
    assert!(matches!(last(&run), ReadEvent::Done { telegrams: 1, end: End::Repeated, .. }));
}

#[test]
fn a_slow_slave_that_answers_twice_loses_no_telegram() {
    let [a, b] = [telegram(5, METER, 1, 1, true), telegram(5, METER, 2, 2, false)];
    let run = initialised(5)
        .expect(&request(true))
        .expect(&request(true))
        .reply(SOON, &a)
        .expect(&request(false))
        .reply(SOON, &a)
        .expect(&request(false))
        .reply(SOON, &b)
        .run(&mut primary(5))
        .unwrap();
    assert_eq!(telegrams(&run), [a, b]);
    assert!(matches!(last(&run), ReadEvent::Done { telegrams: 2, end: End::Complete, .. }));
}

#[test]
fn a_slave_that_always_has_more_is_stopped() {
    let mut config = ReadConfig::new(SPEED);
    config.telegrams_max = u8::MAX;
    let mut session = ReadMeter::new(Target::Primary(Address(5)), config);
    let mut script = initialised(5);
    for count in 0..TELEGRAM_COUNT_MAX {
        let answer = telegram(5, METER, count, count, true);
        script = script.expect(&request(count % 2 == 0)).reply(SOON, &answer);
    }
    let run = script.run(&mut session).unwrap();
    assert_eq!(telegrams(&run).len(), usize::from(TELEGRAM_COUNT_MAX));
    let ReadEvent::Failed(failure) = last(&run) else { panic!() };
    assert_eq!(failure.kind(), "endless telegrams");
}

#[test]
fn a_refusal_is_told_at_once() {
    let control = Control::RspUd { acd: false, dfc: false };
    let answer = Frame::Long { control, address: Address(5), ci: 0x70, payload: &[8] }.emit().unwrap();
    let script = initialised(5).expect(&request(true)).reply(SOON, &answer);
    let target = primary(5).target();
    let expected = ReadFailure::Refused { target, error: ApplicationError::Busy };
    assert_eq!(failure(script.run(&mut primary(5))), expected);
}

#[test]
fn an_acknowledgement_instead_of_data_is_no_data() {
    let mut script = initialised(5);
    for _ in 0..3 {
        script = script.expect(&request(true)).reply(SOON, ACK);
    }
    assert_eq!(failure(script.run(&mut primary(5))).kind(), "no data");
}

#[test]
fn a_babbling_line_ends_in_bounded_time() {
    let mut session = primary(5);
    let mut now = Instant::ORIGIN;
    session.start(now);
    while !session.is_finished() {
        if let Some(transmit) = session.poll_transmit() {
            now += Duration::from_micros(4583 * u64::try_from(transmit.bytes.len()).unwrap());
            session.handle_transmitted(now);
        }
        now += Duration::from_millis(4);
        session.handle_input(&[0x55], now);
        session.handle_timeout(now);
        assert!(
            now - Instant::ORIGIN < Duration::from_secs(20),
            "the session waits for a line that never falls silent"
        );
    }
    let event = session.poll_event().unwrap();
    assert!(matches!(event, ReadEvent::Failed(ReadFailure::Garbage { .. })), "{event:?}");
}

#[test]
fn nothing_happens_before_the_start_and_after_the_end() {
    let mut session = primary(5);
    let now = Instant::ORIGIN;
    session.handle_timeout(now);
    session.handle_input(ACK, now);
    assert_eq!((session.poll_transmit(), session.poll_timeout(), session.poll_event()), (None, None, None));
    let answer = telegram(5, METER, 1, 1, false);
    initialised(5).expect(&request(true)).reply(SOON, &answer).run(&mut session).unwrap();
    session.handle_input(&answer, now);
    session.start(now);
    assert_eq!((session.poll_transmit(), session.poll_timeout(), session.poll_event()), (None, None, None));
}

/// What the line may do to a session.
#[derive(Clone, Debug)]
enum Happening {
    Bytes(Vec<u8>),
    Wait(u16),
    Deadline,
}

fn happening() -> impl Strategy<Value = Happening> {
    let answer = telegram(5, METER, 1, 1, true);
    let length = answer.len();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Happening::Bytes),
        Just(Happening::Bytes(ACK.to_vec())),
        Just(Happening::Bytes(answer.clone())),
        (0..length, 0..length).prop_map(move |(a, b)| Happening::Bytes(answer[a.min(b)..a.max(b)].to_vec())),
        any::<u16>().prop_map(Happening::Wait),
        Just(Happening::Deadline),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_line_ends_in_one_verdict(happenings in prop::collection::vec(happening(), 0..80), by_identity: bool) {
        let mut session = if by_identity { secondary() } else { primary(5) };
        let mut now = Instant::ORIGIN;
        let mut verdicts = 0;
        session.start(now);
        let rest = std::iter::repeat_n(Happening::Deadline, 400);
        for happening in happenings.into_iter().chain(rest) {
            if session.poll_transmit().is_some() {
                session.handle_transmitted(now);
            }
            match happening {
                Happening::Bytes(bytes) => session.handle_input(&bytes, now),
                Happening::Wait(micros) => {
                    now += Duration::from_micros(u64::from(micros));
                    session.handle_timeout(now);
                }
                Happening::Deadline => {
                    if let Some(deadline) = session.poll_timeout() {
                        now = now.max(deadline);
                    }
                    session.handle_timeout(now);
                }
            }
            while let Some(event) = session.poll_event() {
                verdicts += usize::from(!matches!(event, ReadEvent::Telegram(_)));
            }
        }
        prop_assert!(session.is_finished());
        prop_assert_eq!(verdicts, 1);
    }
}
