//! The other side of a session: a line with its own virtual time, and what receivers send.

use plomb_receivers::{Heard, Kind, ListenConfig, Modes, Receiver, ReceiverEvent};
use plomb_session::{Instant, Session};
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_millis(20);
/// A telegram without CRCs: L, C, manufacturer, identification, version, type, CI and some data.
pub(crate) const TELEGRAM: &[u8] =
    &[0x0F, 0x44, 0x2D, 0x2C, 0x78, 0x56, 0x34, 0x12, 0x1B, 0x16, 0x7A, 0x2A, 0x00, 0x00, 0x00, 0xA5];

/// A session, and the time on its line.
pub(crate) struct Line<S: Session> {
    pub(crate) session: S,
    pub(crate) now: Instant,
}

impl<S: Session> Line<S> {
    pub(crate) fn start(mut session: S) -> Self {
        session.start(Instant::ORIGIN);
        Self { session, now: Instant::ORIGIN }
    }

    /// What the session sends now, in one piece; it leaves at once.
    pub(crate) fn sent(&mut self) -> Option<Vec<u8>> {
        let transmit = self.session.poll_transmit()?;
        self.session.handle_transmitted(self.now);
        Some(transmit.bytes)
    }

    /// The session must send `request`; `answer` comes soon after.
    pub(crate) fn exchange(&mut self, request: &[u8], answer: &[u8]) {
        self.expect(request);
        self.hear(answer);
    }

    pub(crate) fn expect(&mut self, request: &[u8]) {
        let sent = self.sent();
        assert_eq!(sent.as_deref().map(hex), Some(hex(request)), "at {}", self.now);
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.now += SOON;
        self.session.handle_input(bytes, self.now);
    }

    /// Jumps to the session's next deadline; gives how long that took.
    pub(crate) fn wait(&mut self) -> Duration {
        let deadline = self.session.poll_timeout().expect("the session waits for nothing");
        let waited = deadline - self.now;
        self.now = self.now.max(deadline);
        self.session.handle_timeout(self.now);
        waited
    }

    pub(crate) fn events(&mut self) -> Vec<S::Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }
}

pub(crate) fn receiver(kind: Kind, modes: Modes) -> Line<Receiver> {
    Line::start(Receiver::new(kind, ListenConfig::new(modes)))
}

pub(crate) fn heard(events: &[ReceiverEvent]) -> Vec<&Heard> {
    events
        .iter()
        .filter_map(|event| match event {
            ReceiverEvent::Heard(heard) => Some(heard),
            _ => None,
        })
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
