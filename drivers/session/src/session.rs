use crate::Instant;
use alloc::vec::Vec;

/// Bytes for the line, to be sent as one piece without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// What to send.
    pub bytes: Vec<u8>,
}

/// A conversation over one link. It is told what happened and says what to do next; it never
/// touches a clock or a socket.
///
/// Four families of methods, as in quinn-proto:
///
/// - **getters** take `&self`: [`poll_timeout`](Self::poll_timeout) and
///   [`is_finished`](Self::is_finished);
/// - **happenings** bring in time and bytes: [`start`](Self::start),
///   [`handle_transmitted`](Self::handle_transmitted), [`handle_input`](Self::handle_input),
///   [`handle_timeout`](Self::handle_timeout);
/// - **commands** of the application: inherent methods of the session's own type;
/// - **polls** take work out: [`poll_transmit`](Self::poll_transmit),
///   [`poll_speed`](Self::poll_speed) and [`poll_event`](Self::poll_event).
///
/// # The loop
///
/// ```text
/// session.start(now)
/// loop:
///     while poll_event()      -> hand to the application
///     if poll_speed()         -> set the port to that speed
///     while poll_transmit()   -> write, wait for the last bit, handle_transmitted(now)
///     if is_finished()        -> stop
///     wait for bytes, or for poll_timeout()
///     bytes   -> handle_input(bytes, now)
///     timeout -> handle_timeout(now)
/// ```
///
/// # When a reply timer begins
///
/// A frame of 17 bytes needs 78 ms at 2400 baud, more than many meters take to think. A timer that
/// began when the bytes were handed to the kernel would run out early. So **the loop says when the
/// last bit has left**, by [`handle_transmitted`](Self::handle_transmitted): after `tcdrain` on a
/// serial port, or at the computed end of transmission when the port cannot tell; on TCP at once
/// after the write. Each [`Transmit`] taken gets exactly one such call. Until then
/// [`poll_timeout`](Self::poll_timeout) holds no reply deadline.
///
/// Time never runs backwards: each `now` is at or after the one before. Input is welcome at any
/// moment, also between [`poll_transmit`](Self::poll_transmit) and
/// [`handle_transmitted`](Self::handle_transmitted) (level converters echo).
pub trait Session {
    /// What this protocol can tell, in its own words.
    type Event;

    /// Begins the conversation. Called once, before anything else; a second call does nothing.
    /// Before it, every poll gives `None`.
    fn start(&mut self, now: Instant);

    /// The last bit of the latest [`Transmit`] left the line at `now`. Reply timers begin here.
    fn handle_transmitted(&mut self, now: Instant);

    /// `bytes` arrived, the last of them at `now`. Any split of the stream is fine.
    fn handle_input(&mut self, bytes: &[u8], now: Instant);

    /// Time is `now`. Deadlines that have passed take effect; a call too early or too often does
    /// nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// The next bytes to send, if any. Call again after every happening, until `None`.
    #[must_use = "bytes taken and not sent are lost"]
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// The speed, in bits per second, that the line must have before the next [`Transmit`]; `None`
    /// leaves it as it is. Only a session that looks for a meter's speed, or changes it, asks for
    /// this. A link whose speed is set elsewhere, as behind a serial server, cannot follow: its loop
    /// must refuse, for a session that hears nothing at the wrong speed would report silence.
    #[must_use = "a speed that is not set leaves the meters unheard"]
    fn poll_speed(&mut self) -> Option<u32> {
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next; `None` when nothing waits
    /// for time.
    #[must_use]
    fn poll_timeout(&self) -> Option<Instant>;

    /// What the application should know, oldest first. Call until `None`.
    #[must_use = "an event taken and dropped is a reading lost"]
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// Whether the conversation is over. Events may still wait; nothing more will be sent.
    #[must_use]
    fn is_finished(&self) -> bool;
}
