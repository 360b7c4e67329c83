use crate::frame::Address;
use crate::secondary::SecondaryAddress;
use core::fmt;
use core::time::Duration;

/// How often a request is repeated after its first try, unless configured otherwise.
pub const RETRY_COUNT_DEFAULT: u8 = 2;
/// Telegrams that one readout may have, unless configured otherwise, and at most.
pub const TELEGRAM_COUNT_MAX: u8 = 32;
/// Quiet bit times between an answer and the next request.
pub const IDLE_BITS_MIN: u32 = 33;

/// Slowest line of the standard; slower settings are read as this.
const BITS_PER_SECOND_MIN: u32 = 300;
/// A slave must begin its answer within this many bit times and [`REPLY_FIXED`].
const REPLY_BITS_MAX: u32 = 330;
const REPLY_FIXED: Duration = Duration::from_millis(50);
/// Longest pause inside a frame by the standard, in bit times.
const GAP_BITS_MAX: u32 = 22;
/// USB adapters deliver in pieces: less than this cuts frames in two.
const GAP_MIN: Duration = Duration::from_millis(50);

/// Whom to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// By primary address: 0 to 250; or 254, where exactly one slave is on the line.
    Primary(Address),
    /// By identity: the slave is selected and then read at address 253.
    Secondary(SecondaryAddress),
}

/// How to talk on this bus with this meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadConfig {
    /// The line's speed; the time limits of the standard are counted in its bits.
    pub bits_per_second: u32,
    /// Overrides the time in which an answer must begin.
    pub reply_timeout: Option<Duration>,
    /// Added to every limit: what a TCP converter or a radio bridge takes on top.
    pub extra_latency: Duration,
    /// Overrides the pause after which an unfinished answer is given up.
    pub gap_timeout: Option<Duration>,
    /// Quiet time before the first request, for the line to settle.
    pub settle: Duration,
    /// How often a request is repeated after its first try.
    pub retries: u8,
    /// Telegrams that one readout may have; at most [`TELEGRAM_COUNT_MAX`].
    pub telegrams_max: u8,
    /// Whether selections are sent as 73 (frame count bit set); else 53.
    pub select_with_fcb: bool,
}

impl ReadConfig {
    /// The limits of the standard for a line of `bits_per_second`.
    #[must_use]
    pub const fn new(bits_per_second: u32) -> Self {
        Self {
            bits_per_second,
            reply_timeout: None,
            extra_latency: Duration::ZERO,
            gap_timeout: None,
            settle: Duration::ZERO,
            retries: RETRY_COUNT_DEFAULT,
            telegrams_max: TELEGRAM_COUNT_MAX / 2,
            select_with_fcb: false,
        }
    }

    /// The time, from the last bit of a request, in which an answer must begin to arrive.
    ///
    /// The first byte is seen only when it is complete, hence eleven bits more than the standard's
    /// limit.
    #[must_use]
    pub fn reply_limit(&self) -> Duration {
        let limit = self.reply_timeout.unwrap_or_else(|| reply_timeout_of_standard(self.bits_per_second));
        limit + bits(11, self.bits_per_second) + self.extra_latency
    }

    /// The pause after which an unfinished answer is given up.
    #[must_use]
    pub fn gap_limit(&self) -> Duration {
        let standard = bits(GAP_BITS_MAX + 11, self.bits_per_second).max(GAP_MIN);
        self.gap_timeout.unwrap_or(standard) + self.extra_latency
    }

    /// The time that `bytes` take on the wire, at eleven bits each (8E1).
    #[must_use]
    pub fn time_on_the_wire(&self, bytes: usize) -> Duration {
        let count = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(11);
        bits(count, self.bits_per_second)
    }

    /// Quiet time between an answer and the next request.
    #[must_use]
    pub fn idle(&self) -> Duration {
        bits(IDLE_BITS_MIN, self.bits_per_second)
    }
}

/// 330 bit times and 50 ms: the time in which a slave must begin its answer (EN 13757-2).
#[must_use]
pub fn reply_timeout_of_standard(bits_per_second: u32) -> Duration {
    bits(REPLY_BITS_MAX, bits_per_second) + REPLY_FIXED
}

fn bits(count: u32, bits_per_second: u32) -> Duration {
    let micros = u64::from(count) * 1_000_000 / u64::from(bits_per_second.max(BITS_PER_SECOND_MIN));
    Duration::from_micros(micros)
}

impl Target {
    /// The address that requests go to.
    #[must_use]
    pub const fn link_address(&self) -> Address {
        match self {
            Self::Primary(address) => *address,
            Self::Secondary(_) => Address::SELECTED,
        }
    }

    /// Whether more than one slave may answer without any of them being at fault.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Primary(address) => *address == Address::ANY,
            Self::Secondary(secondary) => secondary.has_wild_digit(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(address) => write!(f, "address {address}"),
            Self::Secondary(secondary) => write!(f, "meter {secondary}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_standard() {
        for (speed, millis) in [(300, 1150), (2400, 187), (9600, 84), (38_400, 58)] {
            assert_eq!(reply_timeout_of_standard(speed).as_millis(), millis);
        }
        assert_eq!(reply_timeout_of_standard(0), reply_timeout_of_standard(300));
        assert!(ReadConfig::new(38_400).gap_limit() >= GAP_MIN);
        assert!(ReadConfig::new(300).gap_limit() >= Duration::from_millis(110));
    }
}
