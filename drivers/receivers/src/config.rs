use crate::Modes;
use core::time::Duration;

/// How often a command is repeated after its first try, unless configured otherwise.
pub const RETRY_COUNT_DEFAULT: u8 = 2;
/// Longest watch for silence, as a multiple of the configured time: a place without meters must not
/// have its receiver reset for ever at the same pace.
pub const SILENCE_FACTOR_MAX: u32 = 16;

/// What a receiver shall hear, and how patiently it is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// The modes to hear. [`Kind::combinations`](crate::Kind::combinations) says what the receiver can.
    pub modes: Modes,
    /// Reset the receiver when no telegram was heard for so long; `None` never does. Each reset
    /// in a row that brings no telegram doubles the time, up to [`SILENCE_FACTOR_MAX`].
    pub silence: Option<Duration>,
    /// The time in which a command must be answered, from its last bit.
    pub answer_limit: Duration,
    /// The pause after which an unfinished message is given up.
    pub gap_limit: Duration,
    /// How long a receiver is left alone after its reset.
    pub boot: Duration,
    /// How often a command is repeated after its first try.
    pub retries: u8,
    /// Whether a setting that exists in flash only may be written, where it differs. This is so for
    /// the Amber's command output and its signal strength, and for the RC1180's signal strength and
    /// network role. Without this right, signal strength is done without; the others fail.
    pub may_write_flash: bool,
    /// The frame format that an iM871A in mode C listens for. It knows one at a time.
    pub c_format: CFormat,
    /// What the manuals leave open.
    pub assumptions: Assumptions,
}

/// The frame format of mode C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CFormat {
    /// Format A, sync word 54CD.
    #[default]
    A,
    /// Format B, sync word 543D: what most mode C water and heat meters send.
    B,
}

/// What could not be verified from the makers' manuals, and is therefore a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// The RC1180 counts the appended signal byte in the length byte. Its user manual shows the
    /// byte and calls the first one the packet's length; programs in use count it.
    pub rc1180_length_counts_rssi: bool,
    /// The iM871A may send messages without CRC16; with `true` such are refused as noise.
    pub im871a_requires_crc: bool,
}

impl ListenConfig {
    /// Hear `modes`, watch for silence of ten minutes.
    #[must_use]
    pub const fn new(modes: Modes) -> Self {
        Self {
            modes,
            silence: Some(Duration::from_secs(600)),
            answer_limit: Duration::from_millis(700),
            gap_limit: Duration::from_millis(150),
            boot: Duration::from_secs(1),
            retries: RETRY_COUNT_DEFAULT,
            may_write_flash: true,
            c_format: CFormat::A,
            assumptions: Assumptions { rc1180_length_counts_rssi: true, im871a_requires_crc: false },
        }
    }
}
