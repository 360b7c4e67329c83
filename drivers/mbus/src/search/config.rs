use crate::session::ReadConfig;

/// Frames that one search may send, unless configured otherwise. Forty meters need some hundreds;
/// noise that looks like meters must not keep a line busy for ever.
pub const SCAN_FRAME_COUNT_MAX: u32 = 20_000;

/// The speeds of the standard, in bits per second, the usual ones first.
pub const SPEEDS: [u32; 8] = [2400, 300, 9600, 1200, 600, 4800, 19_200, 38_400];

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanConfig {
    /// The line. Its `select_with_fcb` says which selection is tried first; the other follows when
    /// nobody answers. Its `retries` say how often the first question of a search is repeated; in
    /// the tree a lost answer is noticed by counting, see [`Scan::secondary`](crate::Scan::secondary).
    pub line: ReadConfig,
    /// Frames that this search may send.
    pub frames_max: u32,
    /// Whether the digits A to F are tried everywhere. Else they are tried only where answers
    /// collided and the decimal digits do not explain it.
    pub hex_digits: bool,
    /// Whether a primary address that ignores SND_NKE is also asked for its data. Few meters need
    /// it; it doubles the time.
    pub ask_silent_for_telegram: bool,
}

impl ScanConfig {
    /// A search with the limits of the standard on a line of `bits_per_second`.
    #[must_use]
    pub const fn new(bits_per_second: u32) -> Self {
        Self {
            line: ReadConfig::new(bits_per_second),
            frames_max: SCAN_FRAME_COUNT_MAX,
            hex_digits: false,
            ask_silent_for_telegram: false,
        }
    }
}
