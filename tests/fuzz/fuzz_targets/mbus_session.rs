//! Any line against the master's session: it ends, with one verdict, and tells whole telegrams only.
//!
//! Each input byte is a happening: 00-7F that many bytes arrive, 80-BF time passes, C0-FF a deadline.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_mbus::{Address, Frame, ReadConfig, ReadEvent, ReadMeter, Target};
use plomb_session::{Instant, Session};
use std::time::Duration;

/// Deadlines after which any session must have ended.
const DEADLINES_MAX: usize = 2000;

fuzz_target!(|line: &[u8]| {
    let mut session = ReadMeter::new(Target::Primary(Address(1)), ReadConfig::new(2400));
    let mut now = Instant::ORIGIN;
    let mut verdicts = 0;
    let mut rest = line;
    session.start(now);
    for _ in 0..DEADLINES_MAX + line.len() {
        if session.poll_transmit().is_some() {
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
            other => {
                now = session.poll_timeout().map_or(now, |deadline| now.max(deadline));
                session.handle_timeout(now);
                rest = other.map_or(rest, |(_, after)| after);
            }
        }
        while let Some(event) = session.poll_event() {
            match event {
                ReadEvent::Telegram(telegram) => assert!(Frame::parse_whole(&telegram.bytes).is_ok()),
                ReadEvent::Done { .. } | ReadEvent::Failed(_) => verdicts += 1,
            }
        }
    }
    assert!(session.is_finished());
    assert_eq!(verdicts, 1);
});
