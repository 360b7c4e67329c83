//! A session whose wire is listened to.

use plomb_session::{Instant, Session, Transmit};

/// Who listens.
pub trait Tap {
    /// The session sends this.
    fn sent(&mut self, bytes: &[u8]);
    /// This came for the session.
    fn received(&mut self, bytes: &[u8]);
}

/// How much went over the wire.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Bytes that the session sent.
    pub sent_bytes: usize,
    /// Bytes that came.
    pub received_bytes: usize,
    /// How often the session sent: each time the meter takes its time to answer.
    pub turns: u32,
}

/// All that went over the wire, one direction each; what was sent, piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// What the session sent.
    pub sent: Vec<Vec<u8>>,
    /// What came.
    pub received: Vec<u8>,
}

/// The session and who listens.
#[derive(Debug)]
pub struct Tapped<S, T> {
    /// The session.
    pub session: S,
    /// Who listens.
    pub tap: T,
}

impl Tap for Counts {
    fn sent(&mut self, bytes: &[u8]) {
        self.sent_bytes += bytes.len();
        self.turns += 1;
    }

    fn received(&mut self, bytes: &[u8]) {
        self.received_bytes += bytes.len();
    }
}

impl Tap for Recording {
    fn sent(&mut self, bytes: &[u8]) {
        self.sent.push(bytes.to_vec());
    }

    fn received(&mut self, bytes: &[u8]) {
        self.received.extend(bytes);
    }
}

impl<S, T> Tapped<S, T> {
    /// A session that did not start yet.
    pub const fn new(session: S, tap: T) -> Self {
        Self { session, tap }
    }
}

impl<S: Session, T: Tap> Session for Tapped<S, T> {
    type Event = S::Event;

    fn start(&mut self, now: Instant) {
        self.session.start(now);
    }

    fn handle_transmitted(&mut self, now: Instant) {
        self.session.handle_transmitted(now);
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.tap.received(bytes);
        self.session.handle_input(bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.session.poll_transmit()?;
        self.tap.sent(&transmit.bytes);
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<S::Event> {
        self.session.poll_event()
    }

    fn poll_speed(&mut self) -> Option<u32> {
        self.session.poll_speed()
    }

    fn is_finished(&self) -> bool {
        self.session.is_finished()
    }
}
