use super::{Unwrapper, VERSION, WRAPPED_BYTES_MAX, Wrapped, WrapperError};
use crate::link::{EVENT_COUNT_MAX, LinkCounts, LinkEvent, LinkFailure, Negotiated, SendError, Stage};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use plomb_session::{Instant, Transmit};

/// Silence inside an APDU on a TCP connection after which it counts as cut off.
pub const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that one APDU may trickle in beyond the response timeout.
const TRICKLE_MAX: Duration = Duration::from_secs(60);
/// APDUs that never answer a question (IEC 62056-5-3 §9.5): data and event notification.
const NOTIFICATION_TAGS: [u8; 2] = [0x0F, 0xC2];
/// A block of a longer APDU: several may follow one question.
const BLOCK_TRANSFER_TAG: u8 = 0xE0;

/// What the wrapper runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A stream: APDUs arrive in any pieces.
    Tcp,
    /// Datagrams: each is one APDU, and any may be lost.
    Udp,
}

/// With whom a link speaks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapperConfig {
    /// Who asks: 16 is the public client, 1 most meters' management client.
    pub client: u16,
    /// Who is asked: 1 is the management logical device.
    pub server: u16,
    /// What it runs on.
    pub transport: Transport,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// Longest APDU that is taken in; at most [`WRAPPED_BYTES_MAX`].
    pub apdu_bytes_max: usize,
}

impl WrapperConfig {
    /// A link from `client` to `server`. The defaults suit meters behind a mobile network.
    #[must_use]
    pub const fn new(client: u16, server: u16, transport: Transport) -> Self {
        Self { client, server, transport, response_timeout: Duration::from_secs(20), apdu_bytes_max: WRAPPED_BYTES_MAX }
    }
}

/// A client's link with one meter over the wrapper.
///
/// The TCP connection, or the UDP socket, is the loop's: it is open before
/// [`connect`](Self::connect), and closed after [`LinkEvent::Disconnected`]. After
/// [`LinkEvent::Failed`] it must be closed, too: an answer that comes late must not be taken for the
/// answer to a later question. Nothing is repeated here: a question sent twice may be carried out
/// twice.
///
/// See [`DataLink`](crate::link::DataLink) for what each method means.
#[derive(Debug)]
pub struct ClientLink {
    config: WrapperConfig,
    up: bool,
    ready: Option<Vec<u8>>,
    in_flight: bool,
    awaiting: bool,
    /// Set while an answer is awaited and the question has left.
    until: Option<(Instant, Instant)>,
    unwrapper: Unwrapper,
    /// Source and destination of what came to other ports.
    wrong_port: Option<(u16, u16)>,
    wrong_header: Option<WrapperError>,
    /// The latest APDU that was sent, to know it again when it comes back.
    asked: Vec<u8>,
    counts: LinkCounts,
    events: VecDeque<LinkEvent>,
}

impl ClientLink {
    /// A link that is down.
    #[must_use]
    pub fn new(config: WrapperConfig) -> Self {
        Self {
            config,
            up: false,
            ready: None,
            in_flight: false,
            awaiting: false,
            until: None,
            unwrapper: Unwrapper::default(),
            wrong_port: None,
            wrong_header: None,
            asked: Vec::new(),
            counts: LinkCounts::default(),
            events: VecDeque::new(),
        }
    }

    /// How this link speaks, and with whom.
    #[must_use]
    pub const fn config(&self) -> &WrapperConfig {
        &self.config
    }

    /// The connection is open: [`LinkEvent::Connected`] follows at once.
    pub fn connect(&mut self, _now: Instant) {
        self.clear();
        self.up = true;
        self.tell(LinkEvent::Connected(Negotiated::Wrapper));
    }

    /// Sends one APDU.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, apdu: Vec<u8>) -> Result<(), SendError> {
        self.ensure_free()?;
        let too_long = SendError::TooLong { bytes: apdu.len(), bytes_max: WRAPPED_BYTES_MAX };
        let length = u16::try_from(apdu.len()).map_err(|_| too_long)?;
        let header = [VERSION, self.config.client, self.config.server, length];
        self.asked.clone_from(&apdu);
        let mut bytes = apdu;
        bytes.splice(..0, header.into_iter().flat_map(u16::to_be_bytes));
        (self.ready, self.awaiting) = (Some(bytes), true);
        (self.wrong_port, self.wrong_header) = (None, None);
        Ok(())
    }

    /// Waits for another APDU of the same answer.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn receive_more(&mut self, now: Instant) -> Result<(), SendError> {
        self.ensure_free()?;
        self.awaiting = true;
        self.listen(now);
        Ok(())
    }

    /// The connection is about to be closed: [`LinkEvent::Disconnected`] follows at once.
    pub fn disconnect(&mut self, _now: Instant) {
        self.clear();
        self.tell(LinkEvent::Disconnected);
    }

    /// The latest [`Transmit`] was written at `now`.
    pub fn handle_transmitted(&mut self, now: Instant) {
        if core::mem::take(&mut self.in_flight) && self.awaiting {
            self.listen(now);
        }
    }

    /// `bytes` arrived at `now`: any piece of the stream, or one datagram.
    pub fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        if !self.up {
            return;
        }
        match self.config.transport {
            Transport::Tcp => self.stream(bytes, now),
            Transport::Udp => match Wrapped::parse_whole(bytes) {
                Ok(wrapped) => self.received(&wrapped),
                Err(error) => {
                    self.counts.damaged += 1;
                    self.wrong_header = Some(error);
                }
            },
        }
    }

    /// Time is `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.until.is_some_and(|(deadline, _)| now >= deadline) {
            let failure = match (self.wrong_port, self.wrong_header) {
                (Some((got_server, got_client)), _) => LinkFailure::WrongPort {
                    server: self.config.server,
                    client: self.config.client,
                    got_server,
                    got_client,
                },
                (None, Some(error)) => LinkFailure::Header(error),
                (None, None) => LinkFailure::Silence { stage: Stage::Exchange, echo: false },
            };
            self.fail(failure);
        }
    }

    /// The next bytes to send, if any. On UDP they are one datagram.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.in_flight {
            return None;
        }
        let bytes = self.ready.take()?;
        self.in_flight = true;
        self.counts.sent += 1;
        Some(Transmit { bytes })
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.until.map(|(deadline, _)| deadline)
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// Whether APDUs can be sent.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.up
    }

    /// What the link has seen since it was made.
    #[must_use]
    pub const fn counts(&self) -> LinkCounts {
        self.counts
    }

    const fn ensure_free(&self) -> Result<(), SendError> {
        match (self.up, self.awaiting) {
            (true, false) => Ok(()),
            (true, true) => Err(SendError::Outstanding),
            (false, _) => Err(SendError::NotConnected),
        }
    }

    fn clear(&mut self) {
        (self.up, self.ready, self.awaiting, self.until) = (false, None, false, None);
        (self.wrong_port, self.wrong_header) = (None, None);
        self.unwrapper.clear();
    }

    fn listen(&mut self, now: Instant) {
        let deadline = now + self.config.response_timeout;
        self.until = Some((deadline, deadline + TRICKLE_MAX));
    }

    fn stream(&mut self, bytes: &[u8], now: Instant) {
        let mut unwrapper = core::mem::take(&mut self.unwrapper);
        let bytes_max = self.config.apdu_bytes_max.min(WRAPPED_BYTES_MAX);
        let outcome = unwrapper.push(bytes, bytes_max, |wrapped| self.received(wrapped));
        self.unwrapper = unwrapper;
        match outcome {
            Err(WrapperError::TooLong { .. }) => self.fail(LinkFailure::TooLong { bytes_max }),
            Err(error) => self.fail(LinkFailure::Header(error)),
            // An answer that is on its way may take its time.
            Ok(()) if self.unwrapper.is_inside() => {
                if let Some((deadline, latest)) = self.until {
                    self.until = Some((deadline.max(now + PIECE_TIMEOUT).min(latest), latest));
                }
            }
            Ok(()) => {}
        }
    }

    fn received(&mut self, wrapped: &Wrapped<'_>) {
        let Wrapped { source, destination, apdu } = *wrapped;
        // A way that echoes, as a radio bridge: no meter answers with the question.
        if self.awaiting && !apdu.is_empty() && apdu == self.asked {
            self.counts.echoes += 1;
            return;
        }
        if (source, destination) != (self.config.server, self.config.client) {
            self.counts.foreign += 1;
            self.wrong_port = Some((source, destination));
            return;
        }
        self.counts.received += 1;
        let tag = apdu.first();
        let notifies = tag.is_some_and(|tag| NOTIFICATION_TAGS.contains(tag));
        if self.awaiting && !notifies {
            (self.awaiting, self.until) = (false, None);
            self.tell(LinkEvent::Apdu(apdu.to_vec()));
        } else if tag == Some(&BLOCK_TRANSFER_TAG) {
            self.tell(LinkEvent::Apdu(apdu.to_vec()));
        } else {
            self.tell(LinkEvent::Unsolicited(apdu.to_vec()));
        }
    }

    fn fail(&mut self, failure: LinkFailure) {
        self.clear();
        self.tell(LinkEvent::Failed(failure));
    }

    fn tell(&mut self, event: LinkEvent) {
        if self.events.len() >= EVENT_COUNT_MAX {
            self.counts.dropped += 1;
            match self.events.iter().position(|event| matches!(event, LinkEvent::Unsolicited(_))) {
                Some(oldest) => drop(self.events.remove(oldest)),
                None => drop(self.events.pop_front()),
            }
        }
        self.events.push_back(event);
    }
}
