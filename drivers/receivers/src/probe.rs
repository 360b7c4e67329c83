use crate::{Failure, Identity, Kind, ListenConfig, Modes, Receiver, ReceiverEvent};
use core::time::Duration;
use plomb_session::{Instant, Session, Transmit};

/// The receivers in the order in which an unknown port should be probed, each at its own
/// [speed](Kind::bits_per_second): a probe does no harm to those after it.
///
/// | probe | what the others make of it |
/// |---|---|
/// | iM871A: `A5 81 01 00 …` | no start byte of the Amber; a line without end to the CUL; a length to the RC1180, which waits for the rest and forgets it |
/// | Amber: `FF 0B 00 F4` | as above |
/// | RC1180: `00`, then reads, then `X` | a line without end to the CUL; only a module that gave the prompt is told more |
/// | CUL: an empty line, `V` | last, because a line's end would make a CUL act on what came before; the RC1180 takes it for a length and forgets it |
///
/// The AMB3665 answers to the Amber's probe. rtl_wmbus is on no port.
pub const PROBE_ORDER: [Kind; 4] = [Kind::Im871a, Kind::Amb8465, Kind::Rc1180, Kind::Cul];

/// The pause before the next probe at a port that did not answer: after it every receiver has
/// forgotten what it took for the beginning of a message. The RC1180 takes longest, 2 s.
pub const PROBE_PAUSE: Duration = Duration::from_millis(2500);

/// Asks a port whether a certain receiver is on it, and leaves it as it was.
///
/// For an unknown port, go through [`PROBE_ORDER`]: set the port to the kind's speed, run a probe, and
/// wait [`PROBE_PAUSE`] before the next. A probe only reads; it sets nothing, neither in flash nor
/// in volatile memory. It gives exactly one event.
#[derive(Debug)]
pub struct Probe {
    receiver: Receiver,
    told: bool,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeEvent {
    /// This receiver is on the port.
    Found(Identity),
    /// It is not, or something else is.
    NotFound(Failure),
}

impl Probe {
    /// A probe for `kind`. It begins with [`Session::start`].
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let config = ListenConfig { retries: 1, silence: None, ..ListenConfig::new(Modes::NONE) };
        Self { receiver: Receiver::identifying(kind, config), told: false }
    }
}

impl Session for Probe {
    type Event = ProbeEvent;

    fn start(&mut self, now: Instant) {
        self.receiver.start(now);
    }

    fn handle_transmitted(&mut self, now: Instant) {
        self.receiver.handle_transmitted(now);
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.receiver.handle_input(bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.receiver.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.receiver.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.receiver.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<ProbeEvent> {
        while let Some(event) = self.receiver.poll_event() {
            let event = match event {
                ReceiverEvent::Ready(identity) => ProbeEvent::Found(identity),
                ReceiverEvent::Failed(failure) => ProbeEvent::NotFound(failure),
                // A port may babble before it is known.
                _ => continue,
            };
            if !self.told {
                self.told = true;
                return Some(event);
            }
        }
        None
    }

    fn is_finished(&self) -> bool {
        self.receiver.is_finished()
    }
}
