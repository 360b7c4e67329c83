//! What can be wrong with a meter and its line, settable while it runs.

use serde::{Deserialize, Serialize};

/// A meter's faults; the default is none. "Frame" is an HDLC frame, or a wrapped APDU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Hears everything and answers nothing.
    pub silent: bool,
    /// Swallows every n-th frame of the meter (1: all).
    pub drop_every: Option<u32>,
    /// Answers begin so much later.
    pub delay_ms: u32,
    /// Every n-th frame of the meter is damaged: in HDLC its FCS is wrong; in the wrapper its last byte.
    pub bad_fcs_every: Option<u32>,
    /// Bytes come one by one, so far apart (0 too: one by one, one after the other).
    pub trickle_ms: Option<u32>,
    /// Gives no answer to a request for release, though it releases.
    pub no_rlre: bool,
    /// Takes and sends no APDUs longer than this, whatever was agreed on otherwise.
    pub pdu_bytes_max: Option<u16>,
    /// A pause before an answer's last frame; in the wrapper, before the APDU's last bytes.
    pub gap_before_last_ms: u32,
    /// The client hears its own bytes before each answer.
    pub echo: bool,
    /// Forgets its HDLC connections each time after so many frames of a client.
    pub forget_every: Option<u32>,
    /// Closes the TCP connection in the middle of every n-th frame of the meter.
    pub close_every: Option<u32>,
    /// Noise before each answer.
    pub noise_before: Vec<u8>,
    /// Says nothing to an invocation counter that is not above the last, instead of an exception.
    pub counter_silence: bool,
    /// Answers go out with the invocation counter of the answer before.
    pub repeats_counter: bool,
    /// Does what a SET or an ACTION says, and gives no answer to it. Proofs of an association are answered.
    pub mute_changes: bool,
    /// Hears no SET and no ACTION. Proofs of an association are heard.
    pub deaf_changes: bool,
    /// Is silent from the first SET or ACTION on, which it carries out. Proofs of an association are none.
    pub dies_at_change: bool,
    /// Lets nobody read what its switch shows.
    pub hides_switch: bool,
}

/// Counts frames of the meter, for the faults that meet each n-th.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Turn(u32);

impl Turn {
    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

/// Whether a fault that meets every n-th meets the frame of this number (the first is 1).
pub(super) fn meets(every: Option<u32>, number: u32) -> bool {
    every.is_some_and(|every| every > 0 && number.is_multiple_of(every))
}
