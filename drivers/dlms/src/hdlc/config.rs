use super::address::Address;
use super::frame::FRAME_BYTES_MAX;
use super::parameters::Parameters;
use crate::link::{APDU_BYTES_DEFAULT, APDU_BYTES_MAX};
use core::time::Duration;

/// How often a question is repeated after its first try, unless configured otherwise.
pub const RETRY_COUNT_DEFAULT: u8 = 3;
/// Bits that a byte takes on the line: start, eight, stop.
const BITS_PER_BYTE: u64 = 10;
/// What the longest frame may take where the speed is not known.
const LONGEST_FRAME_UNKNOWN: Duration = Duration::from_secs(30);
/// What the longest frame may take above twice its time on the wire.
const LONGEST_FRAME_EXTRA: Duration = Duration::from_secs(10);

/// With whom a link speaks, and how. The defaults suit meters in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HdlcConfig {
    /// Who asks: 16 is the public client, 1 most meters' management client.
    pub client: Address,
    /// Who is asked.
    pub server: Address,
    /// The line's speed, which bounds how long a frame may take; 0 where it is not known.
    pub bits_per_second: u32,
    /// What is proposed to the meter. It grants what it can.
    pub proposal: Parameters,
    /// How long an answer, or its next frame, may take. Meters pause for 3 s before a last segment.
    pub response_timeout: Duration,
    /// Silence inside a frame after which it is given up. Adapters and serial servers deliver in
    /// pieces, hence more than the standard's 25 ms.
    pub inter_octet_timeout: Duration,
    /// How long the meter keeps a connection on which nothing is said. After it the link is down.
    pub inactivity_timeout: Duration,
    /// How long a meter may say that it is busy, or that the answer is not ready.
    pub busy_timeout: Duration,
    /// How long the answer to DISC is waited for, twice.
    pub disconnect_timeout: Duration,
    /// How often a question is repeated, or asked after, once connected.
    pub retries: u8,
    /// How often the connection is asked for again. The last time without parameters, for meters
    /// that know none.
    pub connect_retries: u8,
    /// Whether DISC goes before the first SNRM: for meters that keep the last client's connection.
    pub disconnect_first: bool,
    /// Longest APDU that is taken in; at most [`APDU_BYTES_MAX`].
    pub apdu_bytes_max: usize,
}

impl HdlcConfig {
    /// A link from `client` to `server` on a line of `bits_per_second`.
    #[must_use]
    pub const fn new(client: Address, server: Address, bits_per_second: u32) -> Self {
        Self {
            client,
            server,
            bits_per_second,
            proposal: Parameters::LARGEST,
            response_timeout: Duration::from_secs(5),
            inter_octet_timeout: Duration::from_secs(1),
            inactivity_timeout: Duration::from_secs(120),
            busy_timeout: Duration::from_secs(30),
            disconnect_timeout: Duration::from_secs(2),
            retries: RETRY_COUNT_DEFAULT,
            connect_retries: RETRY_COUNT_DEFAULT,
            disconnect_first: false,
            apdu_bytes_max: APDU_BYTES_DEFAULT,
        }
    }

    pub(super) fn apdu_bytes_max(&self) -> usize {
        self.apdu_bytes_max.min(APDU_BYTES_MAX)
    }

    /// The most that one frame may take, however it trickles in.
    pub(super) fn longest_frame(&self) -> Duration {
        let bits = u64::try_from(FRAME_BYTES_MAX).unwrap_or(u64::MAX).saturating_mul(BITS_PER_BYTE * 2);
        match bits.saturating_mul(1000).checked_div(u64::from(self.bits_per_second)) {
            Some(millis) => Duration::from_millis(millis) + LONGEST_FRAME_EXTRA,
            None => LONGEST_FRAME_UNKNOWN,
        }
    }
}
