//! Drives a [`Session`] in virtual time from a script, for tests.
//!
//! ```text
//! Script::new(2400)                    // bits per second of the line; 0 takes no time
//!     .expect(&request)                // the session must send exactly this
//!     .reply(20 ms, &response)         // 20 ms after the last bit left, or after the last piece
//!     .run(&mut session)
//! ```
//! What no [`reply`](Script::reply) follows is silence: time then jumps from deadline to deadline.

use crate::{Instant, Session, Transmit};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use thiserror::Error;

/// Bits that one byte takes on an 8E1 line.
const BITS_PER_BYTE: u64 = 11;
/// Happenings in one run, so that a session that never ends fails its test.
pub const SCRIPT_STEPS_MAX: usize = 100_000;

/// What the meter's side does, in order.
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: VecDeque<Step>,
    bits_per_second: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Expect(Vec<u8>),
    Echo(Vec<u8>),
    Reply { after: Duration, bytes: Vec<u8> },
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Run<E> {
    /// The session's events with their times, oldest first.
    pub events: Vec<(Instant, E)>,
    /// What the session sent, with the moment its last bit left.
    pub sent: Vec<(Instant, Vec<u8>)>,
    /// When the session finished.
    pub ended: Instant,
}

/// The session did something that the script does not foresee.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScriptError {
    /// The session sent other bytes.
    #[error("at {at} the session sent {sent:02x?}, the script expects {expected:02x?}")]
    Unexpected {
        /// When.
        at: Instant,
        /// What it sent.
        sent: Vec<u8>,
        /// What it should have sent; empty when it should have been silent.
        expected: Vec<u8>,
    },
    /// The session finished, or waits for nothing, with steps of the script left.
    #[error("at {at} the session does nothing more, with {left} steps of the script left")]
    Left {
        /// When.
        at: Instant,
        /// Steps left.
        left: usize,
    },
    /// The session waits for nothing and is not finished.
    #[error("at {at} the session waits for nothing and is not finished")]
    Stuck {
        /// When.
        at: Instant,
    },
    /// The session did not finish in [`SCRIPT_STEPS_MAX`] steps.
    #[error("the session did not finish in {SCRIPT_STEPS_MAX} steps; the time is {at}")]
    Endless {
        /// When.
        at: Instant,
    },
}

impl Script {
    /// A script for a line of `bits_per_second`; 0 for a line that takes no time.
    #[must_use]
    pub fn new(bits_per_second: u32) -> Self {
        Self { steps: VecDeque::new(), bits_per_second }
    }

    /// The session must send exactly `bytes` next.
    #[must_use]
    pub fn expect(mut self, bytes: &[u8]) -> Self {
        self.steps.push_back(Step::Expect(bytes.to_vec()));
        self
    }

    /// While the session's bytes leave, `bytes` come back: the echo of a level converter.
    #[must_use]
    pub fn echo(mut self, bytes: &[u8]) -> Self {
        self.steps.push_back(Step::Echo(bytes.to_vec()));
        self
    }

    /// `bytes` arrive, the last of them `after` the step before ended.
    #[must_use]
    pub fn reply(mut self, after: Duration, bytes: &[u8]) -> Self {
        self.steps.push_back(Step::Reply { after, bytes: bytes.to_vec() });
        self
    }

    /// Starts `session` at the origin and drives it until it finishes.
    ///
    /// # Errors
    /// [`ScriptError`] where session and script part.
    pub fn run<S: Session>(mut self, session: &mut S) -> Result<Run<S::Event>, ScriptError> {
        let mut now = Instant::ORIGIN;
        let mut run = Run { events: Vec::new(), sent: Vec::new(), ended: now };
        let mut arrival: Option<(Instant, Vec<u8>)> = None;
        session.start(now);
        for _ in 0..SCRIPT_STEPS_MAX {
            while let Some(event) = session.poll_event() {
                run.events.push((now, event));
            }
            if let Some(speed) = session.poll_speed() {
                self.bits_per_second = speed;
            }
            if let Some(transmit) = session.poll_transmit() {
                now = self.transmit(session, transmit, now, &mut run)?;
                continue;
            }
            if session.is_finished() {
                run.ended = now;
                let left = self.steps.len().saturating_add(usize::from(arrival.is_some()));
                return if left == 0 { Ok(run) } else { Err(ScriptError::Left { at: now, left }) };
            }
            if arrival.is_none() {
                arrival = self.next_arrival(now);
            }
            match (session.poll_timeout(), arrival.take()) {
                (Some(deadline), Some((at, bytes))) if deadline < at => {
                    arrival = Some((at, bytes));
                    now = now.max(deadline);
                    session.handle_timeout(now);
                }
                (_, Some((at, bytes))) => {
                    now = at;
                    session.handle_input(&bytes, now);
                }
                (Some(deadline), None) => {
                    now = now.max(deadline);
                    session.handle_timeout(now);
                }
                (None, None) => return Err(ScriptError::Stuck { at: now }),
            }
        }
        Err(ScriptError::Endless { at: now })
    }

    /// Checks and sends one piece; gives the moment its last bit left.
    fn transmit<S: Session>(
        &mut self,
        session: &mut S,
        transmit: Transmit,
        now: Instant,
        run: &mut Run<S::Event>,
    ) -> Result<Instant, ScriptError> {
        let expected = match self.steps.pop_front() {
            Some(Step::Expect(bytes)) => bytes,
            _ => Vec::new(),
        };
        if expected != transmit.bytes {
            return Err(ScriptError::Unexpected { at: now, sent: transmit.bytes, expected });
        }
        let end = now + self.time_on_the_wire(transmit.bytes.len());
        while let Some(Step::Echo(bytes)) = self.steps.front() {
            session.handle_input(bytes, end);
            self.steps.pop_front();
        }
        session.handle_transmitted(end);
        run.sent.push((end, transmit.bytes));
        Ok(end)
    }

    fn next_arrival(&mut self, now: Instant) -> Option<(Instant, Vec<u8>)> {
        match self.steps.front() {
            Some(Step::Reply { .. } | Step::Echo(_)) => match self.steps.pop_front() {
                Some(Step::Reply { after, bytes }) => Some((now + after, bytes)),
                Some(Step::Echo(bytes)) => Some((now, bytes)),
                _ => None,
            },
            _ => None,
        }
    }

    fn time_on_the_wire(&self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(BITS_PER_BYTE);
        let micros = bits.saturating_mul(1_000_000).checked_div(u64::from(self.bits_per_second));
        Duration::from_micros(micros.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const LIMIT: Duration = Duration::from_millis(100);

    /// Sends `?`, tells what comes back, and gives up after [`LIMIT`].
    #[derive(Default)]
    struct Ask {
        pending: bool,
        deadline: Option<Instant>,
        told: Option<Option<Vec<u8>>>,
        finished: bool,
    }

    impl Session for Ask {
        type Event = Option<Vec<u8>>;

        fn start(&mut self, _: Instant) {
            self.pending = true;
        }

        fn handle_transmitted(&mut self, now: Instant) {
            self.deadline = Some(now + LIMIT);
        }

        fn handle_input(&mut self, bytes: &[u8], _: Instant) {
            (self.told, self.finished, self.deadline) = (Some(Some(bytes.to_vec())), true, None);
        }

        fn handle_timeout(&mut self, now: Instant) {
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                (self.told, self.finished, self.deadline) = (Some(None), true, None);
            }
        }

        fn poll_transmit(&mut self) -> Option<Transmit> {
            core::mem::take(&mut self.pending).then(|| Transmit { bytes: vec![b'?'] })
        }

        fn poll_timeout(&self) -> Option<Instant> {
            self.deadline
        }

        fn poll_event(&mut self) -> Option<Self::Event> {
            self.told.take()
        }

        fn is_finished(&self) -> bool {
            self.finished
        }
    }

    #[test]
    fn time_is_the_wire_and_the_wait() {
        let wait = Duration::from_millis(30);
        let run = Script::new(1100).expect(b"?").reply(wait, b"!").run(&mut Ask::default()).unwrap();
        // Eleven bits at 1100 bits per second are 10 ms.
        assert_eq!(run.sent, [(Instant::from_micros(10_000), b"?".to_vec())]);
        assert_eq!(run.events, [(Instant::from_micros(40_000), Some(b"!".to_vec()))]);
    }

    #[test]
    fn silence_jumps_to_the_deadline() {
        let run = Script::new(0).expect(b"?").run(&mut Ask::default()).unwrap();
        assert_eq!(run.events, [(Instant::ORIGIN + LIMIT, None)]);
    }

    #[test]
    fn a_reply_too_late_is_left() {
        let late = Duration::from_millis(101);
        let run = Script::new(0).expect(b"?").reply(late, b"!").run(&mut Ask::default());
        assert_eq!(run.unwrap_err(), ScriptError::Left { at: Instant::ORIGIN + LIMIT, left: 1 });
    }

    #[test]
    fn other_bytes_are_unexpected() {
        let run = Script::new(0).expect(b"!").run(&mut Ask::default());
        let expected = b"!".to_vec();
        assert_eq!(run.unwrap_err(), ScriptError::Unexpected { at: Instant::ORIGIN, sent: b"?".to_vec(), expected });
    }
}
