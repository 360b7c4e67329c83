//! What differs from receiver to receiver.

use crate::heard::{Form, NoiseReason};
use crate::{Failure, Identity, ListenConfig, Mode};
use alloc::vec::Vec;
use core::time::Duration;

/// The words of one receiver: how its messages are told apart, and the steps of setting it up.
pub(crate) trait Dialect: core::fmt::Debug + Send {
    /// Begins from the first step.
    fn begin(&mut self, config: &ListenConfig, why: Begin) -> Next;

    /// What the receiver was asked last, for error messages.
    fn step(&self) -> &'static str;

    /// Judges an answer to the step that was sent last.
    fn answered(&mut self, config: &ListenConfig, answer: &[u8]) -> Next;

    /// A pause is over.
    fn paused(&mut self, config: &ListenConfig) -> Next;

    /// Whether the step that was sent last may be sent again when no answer comes.
    fn may_repeat(&self) -> bool {
        true
    }

    /// No answer came, in all tries. `None` when there is no other way.
    fn unanswered(&mut self, config: &ListenConfig) -> Option<Next>;

    /// Takes the first message off `bytes`, which are not empty. `ended`: the line fell quiet
    /// behind them. `asked`: an answer is awaited.
    fn take(&mut self, config: &ListenConfig, bytes: &[u8], ended: bool, asked: bool) -> Taken;
}

/// Why a receiver is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// To know which it is; it is left as it was.
    Identify,
    /// To hear.
    SetUp,
    /// To hear again, after it fell silent.
    Reset,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send, and wait for an answer.
    Ask(Vec<u8>),
    /// Send what is not answered, and leave the receiver alone for a while.
    Tell(Vec<u8>, Duration),
    /// Leave it alone for a while.
    Pause(Duration),
    /// This was no answer to what was asked; keep waiting.
    Unasked,
    /// It is known, and set up if that was wanted.
    Ready(Identity),
    /// It cannot be set up.
    Fail(Failure),
}

/// The first message in the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// More bytes are needed.
    More,
    /// So many bytes have no use; at least one.
    Noise(usize, NoiseReason),
    /// So many bytes carry no meaning and are not worth a word, as the end of a line.
    Blank(usize),
    /// An answer, and the bytes that it took.
    Answer(usize, Vec<u8>),
    /// A telegram, and the bytes that it took.
    Telegram(usize, Radioed),
}

/// A telegram without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Radioed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) form: Form,
    pub(crate) mode: Option<Mode>,
    pub(crate) rssi_dbm: Option<i16>,
}

/// The signal strength of a CC1101's register: half decibels in two's complement, 74 dB below.
pub(crate) fn rssi_of_cc1101(raw: u8) -> i16 {
    let half = i16::from(i8::from_le_bytes([raw]));
    half.div_euclid(2) - 74
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_strength_is_twos_complement() {
        for (raw, dbm) in [(0x00, -74), (0x20, -58), (0x80, -138), (0xFE, -75), (0xC8, -102), (0x7F, -11)] {
            assert_eq!(rssi_of_cc1101(raw), dbm, "{raw:02X}");
        }
    }
}
