//! Mutated streams: whatever arrives, at whatever moment, the session answers in bounds.
//!
//! `PLOMB_FUZZ_CASES` sets the number of cases.

use crate::split::{KINDS, listening};
use plomb_receivers::{
    EVENT_COUNT_MAX, ListenConfig, Modes, NOISE_BYTES_MAX, Receiver, ReceiverEvent, TELEGRAM_BYTES_MAX,
    TELEGRAM_BYTES_MIN,
};
use plomb_session::{Instant, Session};
use std::time::Duration;

const CASES_DEFAULT: u32 = 20_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// Answers that receivers give, so that mutations get past the first step.
fn answers(kind: usize) -> Vec<Vec<u8>> {
    use crate::{amber::message, im871a::hci};
    match kind {
        0 => vec![
            hci(0x81, 0x02, &[], &[]),
            hci(0x81, 0x10, &[0x33, 0, 0x13, 0x17, 1, 2, 3, 4], &[]),
            hci(0x81, 0x04, &[], &[]),
            hci(0x81, 0x06, &[0x03, 0x00, 0x03, 0x10, 0x01], &[]),
            hci(0x81, 0x08, &[], &[]),
        ],
        1 => vec![
            message(0x8B, &[1, 2, 3, 4]),
            message(0x8C, &[2, 7, 0]),
            message(0x8A, &[0x05, 1, 1]),
            message(0x8A, &[0x45, 1, 0]),
            message(0x89, &[0]),
            message(0x85, &[0]),
            message(0x84, &[0]),
        ],
        2 => vec![b"V 1.67 CUL868\r\n".to_vec(), b"TMODE\r\n".to_vec()],
        _ => vec![b">".to_vec(), b"\x01>".to_vec(), b"\x00>".to_vec()],
    }
}

#[test]
fn mutated_streams_are_answered_in_bounds() {
    let cases = std::env::var("PLOMB_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES_DEFAULT);
    let mut random = Random(SEED);
    let telegrams: Vec<Vec<u8>> = KINDS.iter().map(|kind| listening(*kind).1).collect();
    let (mut ready, mut heard, mut noise) = (0u32, 0u32, 0u64);
    for _ in 0..cases {
        let nth = random.below(KINDS.len());
        let answers = answers(nth);
        let config = ListenConfig { silence: Some(Duration::from_secs(5)), ..ListenConfig::new(Modes::T) };
        let mut session = Receiver::new(KINDS[nth], config);
        let mut now = Instant::ORIGIN;
        session.start(now);
        for step in 0..40 {
            while session.poll_transmit().is_some() {
                session.handle_transmitted(now);
            }
            match random.below(4) {
                0 => {
                    now = session.poll_timeout().map_or(now, |at| now.max(at));
                    session.handle_timeout(now);
                }
                choice => {
                    let mut bytes = if choice == 1 {
                        telegrams[nth].clone()
                    } else {
                        answers[(step + random.below(2)) % answers.len()].clone()
                    };
                    if random.below(6) == 0 && !bytes.is_empty() {
                        let at = random.below(bytes.len());
                        bytes[at] ^= 1 << random.below(8);
                    }
                    if random.below(8) == 0 {
                        bytes.truncate(random.below(bytes.len()));
                    }
                    now += Duration::from_millis(u64::try_from(random.below(60)).unwrap());
                    session.handle_input(&bytes, now);
                }
            }
            for event in std::iter::from_fn(|| session.poll_event()) {
                match event {
                    ReceiverEvent::Ready(_) => ready += 1,
                    ReceiverEvent::Noise(run) => {
                        assert!((1..=NOISE_BYTES_MAX).contains(&run.bytes.len()));
                        noise += 1;
                    }
                    ReceiverEvent::Heard(telegram) => {
                        assert!((TELEGRAM_BYTES_MIN..=TELEGRAM_BYTES_MAX).contains(&telegram.bytes.len()));
                        heard += 1;
                    }
                    _ => {}
                }
            }
            while session.poll_transmit().is_some() {
                session.handle_transmitted(now);
            }
            assert!(session.is_finished() || session.poll_timeout().is_some(), "{:?} waits for nothing", KINDS[nth]);
        }
    }
    eprintln!("{cases} cases: {ready} times ready, {heard} telegrams, {noise} runs of noise");
    assert!(ready > cases / 4 && heard > cases / 2 && noise > u64::from(cases));
}

#[test]
fn events_that_nobody_takes_are_counted() {
    let (mut line, telegram) = listening(KINDS[0]);
    for _ in 0..EVENT_COUNT_MAX + 7 {
        line.hear(&telegram);
    }
    let events = line.events();
    assert_eq!(events.len(), EVENT_COUNT_MAX + 1);
    assert_eq!(events.last(), Some(&ReceiverEvent::Lost(7)));
}
