use super::request::RequestError;
use crate::parity::Parity;
use alloc::string::String;
use core::str::FromStr;
use core::time::Duration;

/// The longest device address.
pub const DEVICE_ADDRESS_BYTES_MAX: usize = 32;
/// The speeds of the standard, in bits per second.
pub const SPEEDS: [u32; 7] = [300, 600, 1200, 2400, 4800, 9600, 19_200];
/// How often a conversation begins anew, unless configured otherwise.
const RETRY_COUNT_DEFAULT: u8 = 2;

/// Pauses of the standard before the reader speaks: the meter's reaction time, and the shorter one of
/// meters whose third letter is small.
const REACTION: Duration = Duration::from_millis(200);
const REACTION_QUICK: Duration = Duration::from_millis(20);

/// A device address: letters, digits and spaces, up to [`DEVICE_ADDRESS_BYTES_MAX`]. Leading zeros do
/// not count. Where it is empty, any meter answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceAddress(String);

impl DeviceAddress {
    /// Any meter.
    pub const ANY: Self = Self(String::new());

    /// The address as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceAddress {
    type Err = RequestError;

    fn from_str(address: &str) -> Result<Self, RequestError> {
        let fits = address.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
        if fits && address.len() <= DEVICE_ADDRESS_BYTES_MAX {
            Ok(Self(String::from(address)))
        } else {
            Err(RequestError::Address)
        }
    }
}

/// How to talk with one meter. The defaults are the standard's limits, with what adapters take on
/// top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadConfig {
    /// Whom to read, where several meters hear.
    pub address: DeviceAddress,
    /// The speed of the first words.
    pub opening_speed: u32,
    /// The highest speed that head and port can do. A meter that proposes more is read at the opening
    /// speed.
    pub speed_max: u32,
    /// Whether the line has the opening speed only, as behind a serial server: no other is accepted or
    /// asked for.
    pub fixed_speed: bool,
    /// Who makes the parity bit.
    pub parity: Parity,
    /// How long an answer may need to begin. The standard has 1.5 s.
    pub response_timeout: Duration,
    /// The longest pause inside an answer. The standard has 1.5 s.
    pub gap_timeout: Duration,
    /// Overrides the pause before the reader's messages.
    pub reaction: Option<Duration>,
    /// From the end of ACK to the new speed. The meter may answer 20 ms or 200 ms after ACK.
    pub switch_margin: Duration,
    /// Before a conversation begins anew: the meter must notice that the last one is over.
    pub retry_pause: Duration,
    /// How often it begins anew.
    pub retries: u8,
    /// Whether a sequence of zeros goes before the first request, to wake a meter with a battery.
    pub wake_up: bool,
}

impl ReadConfig {
    /// Any meter at the head, from 300 baud.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            address: DeviceAddress::ANY,
            opening_speed: 300,
            speed_max: 19_200,
            fixed_speed: false,
            parity: Parity::Port,
            response_timeout: Duration::from_millis(2500),
            gap_timeout: Duration::from_secs(2),
            reaction: None,
            switch_margin: Duration::from_millis(50),
            retry_pause: Duration::from_secs(2),
            retries: RETRY_COUNT_DEFAULT,
            wake_up: false,
        }
    }

    pub(super) fn reaction_for(&self, quick: bool) -> Duration {
        self.reaction.unwrap_or(if quick { REACTION_QUICK } else { REACTION })
    }

    /// From the end of ACK to the new speed, for a meter that may answer soon.
    pub(super) fn switch_margin_for(&self, quick: bool) -> Duration {
        if quick { self.switch_margin.min(REACTION_QUICK / 2) } else { self.switch_margin }
    }
}

impl Default for ReadConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// The time that `bytes` take at ten bits each.
pub(super) fn wire(bytes: usize, bits_per_second: u32) -> Duration {
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(10);
    Duration::from_micros(bits.saturating_mul(1_000_000) / u64::from(bits_per_second.max(1)))
}
