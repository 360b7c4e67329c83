//! Drives a session over a simulated line, in virtual time, and counts what the line must cost.

use plomb_session::{Instant, Session};
use plomb_sim::{Line, LineSpeed};
use std::cell::Cell;
use std::time::Duration;

/// Happenings in one run, so that a session that never ends fails its test.
const STEPS_MAX: usize = 2_000_000;

thread_local! {
    /// A line outlives a run, and its time goes on.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What a run gave.
pub struct Run<E> {
    /// The session's events.
    pub events: Vec<E>,
    /// What was sent.
    pub sent: Vec<Vec<u8>>,
    /// From the first bit to the end.
    pub took: Duration,
    /// What the frames themselves need: each question, and then its answer to the last bit, or the
    /// standard's reply timeout where none comes.
    pub needed: Duration,
    /// Questions that nobody answered.
    pub silent: usize,
}

/// Drives `session` to its end.
pub fn drive<S: Session>(session: &mut S, line: &mut Line) -> Run<S::Event> {
    drive_until(session, line, |_, _| {})
}

/// As [`drive`]; `watch` sees the session after each event.
pub fn drive_until<S: Session>(
    session: &mut S,
    line: &mut Line,
    mut watch: impl FnMut(&mut S, &S::Event),
) -> Run<S::Event> {
    let mut speed = line.bus.speed();
    let begun = NOW.get() + Duration::from_secs(10);
    let mut now = begun;
    line.set_master_speed(speed);
    let zero = Duration::ZERO;
    let mut run = Run { events: Vec::new(), sent: Vec::new(), took: zero, needed: zero, silent: 0 };
    // When the latest question ended, and the last byte of its answer.
    let mut asked: Option<(Duration, Option<Duration>)> = None;
    session.start(at(now));
    for _ in 0..STEPS_MAX {
        while let Some(event) = session.poll_event() {
            watch(session, &event);
            run.events.push(event);
        }
        if let Some(bits_per_second) = session.poll_speed() {
            speed = LineSpeed(bits_per_second);
            line.set_master_speed(speed);
        }
        if let Some(transmit) = session.poll_transmit() {
            settle(&mut run, asked.take(), speed);
            line.master_sends(&transmit.bytes, now);
            run.needed += speed.bytes(transmit.bytes.len());
            let end = now + speed.bytes(transmit.bytes.len());
            // What comes back meanwhile is an echo, or somebody who speaks out of turn.
            while let Some(due) = line.next_deadline().filter(|due| *due <= end) {
                session.handle_input(&line.take_due(due), at(due));
            }
            now = end;
            run.sent.push(transmit.bytes);
            asked = Some((now, None));
            session.handle_transmitted(at(now));
            continue;
        }
        if session.is_finished() {
            settle(&mut run, asked, speed);
            NOW.set(now);
            run.took = now - begun;
            return run;
        }
        let deadline = session.poll_timeout().map(|deadline| Duration::from_micros(deadline.as_micros()));
        match (line.next_deadline(), deadline) {
            (Some(due), deadline) if deadline.is_none_or(|deadline| due <= deadline) => {
                now = now.max(due);
                let bytes = line.take_due(now);
                if let Some((_, heard)) = &mut asked {
                    *heard = Some(now);
                }
                session.handle_input(&bytes, at(now));
            }
            (_, Some(deadline)) => {
                now = now.max(deadline);
                session.handle_timeout(at(now));
            }
            (_, None) => panic!("the session waits for nothing and is not finished"),
        }
    }
    panic!("the session did not finish in {STEPS_MAX} steps; the time is {now:?}");
}

fn settle<E>(run: &mut Run<E>, asked: Option<(Duration, Option<Duration>)>, speed: LineSpeed) {
    match asked {
        Some((asked, Some(heard))) => run.needed += heard - asked,
        Some((_, None)) => {
            run.silent += 1;
            run.needed += speed.bits(330) + Duration::from_millis(50);
        }
        None => {}
    }
}

fn at(now: Duration) -> Instant {
    Instant::from_duration(now)
}
