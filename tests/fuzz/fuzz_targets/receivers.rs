//! Any bytes at any moment against the sessions of the radio receivers: events stay in bounds, and the
//! same bytes in one piece give the same events.
//!
//! The first byte chooses the receiver, and whether it is set up or listens; then each byte is a happening: 00-7F that many
//! bytes arrive, 80-BF time passes, C0-FF a deadline.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_receivers::{Kind, ListenConfig, Modes, NOISE_BYTES_MAX, Probe, Receiver, ReceiverEvent, TELEGRAM_BYTES_MAX};
use plomb_session::{Instant, Session};
use std::time::Duration;

fn drive<S: Session>(mut session: S, line: &[u8], mut see: impl FnMut(S::Event)) {
    let mut now = Instant::ORIGIN;
    let mut rest = line;
    session.start(now);
    while !session.is_finished() {
        while session.poll_transmit().is_some() {
            session.handle_transmitted(now);
        }
        match rest.split_first() {
            Some((&count @ 0..=0x7F, after)) => {
                let (bytes, after) = after.split_at(after.len().min(usize::from(count)));
                session.handle_input(bytes, now);
                rest = after;
            }
            Some((&millis @ 0x80..=0xBF, after)) => {
                now += Duration::from_millis(u64::from(millis - 0x80));
                session.handle_timeout(now);
                rest = after;
            }
            Some((_, after)) => {
                now = session.poll_timeout().map_or(now, |deadline| now.max(deadline));
                session.handle_timeout(now);
                rest = after;
            }
            None => break,
        }
        std::iter::from_fn(|| session.poll_event()).for_each(&mut see);
    }
}

/// What rtl_wmbus's session, which listens at once, makes of a stream in pieces of `size`.
fn split(stream: &[u8], size: usize) -> Vec<ReceiverEvent> {
    let mut session = Receiver::new(Kind::RtlWmbus, ListenConfig::new(Modes::T));
    session.start(Instant::ORIGIN);
    stream.chunks(size).for_each(|piece| session.handle_input(piece, Instant::ORIGIN));
    session.handle_timeout(Instant::ORIGIN + Duration::from_secs(1));
    std::iter::from_fn(|| session.poll_event()).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, line)) = input.split_first() else { return };
    let kind = Kind::ALL[usize::from(choice) % Kind::ALL.len()];
    let modes = kind.combinations()[0];
    drive(Receiver::new(kind, ListenConfig::new(modes)), line, |event| match event {
        ReceiverEvent::Heard(heard) => assert!(heard.bytes.len() <= TELEGRAM_BYTES_MAX),
        ReceiverEvent::Noise(noise) => assert!((1..=NOISE_BYTES_MAX).contains(&noise.bytes.len())),
        _ => {}
    });
    let mut verdicts = 0;
    drive(Probe::new(kind), line, |_| verdicts += 1);
    assert!(verdicts <= 1);
    assert_eq!(split(line, 7), split(line, line.len().max(1)));
});
