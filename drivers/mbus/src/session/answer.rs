//! What comes back after a request: finds the frame in it, and says what was wrong when there is none.

use crate::frame::{Control, FRAME_BYTES_MAX, Frame, FrameError};
use alloc::vec::Vec;

/// Bytes kept of one answer: an echo, noise, and two frames.
const ANSWER_BYTES_MAX: usize = 3 * FRAME_BYTES_MAX;
const LONG_START: u8 = 0x68;
const STOP: u8 = 0x16;
/// `68 L L 68` and `sum 16` around the counted bytes.
const LONG_EXTRA_BYTES: usize = 6;

/// Why bytes that came back are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A whole frame with a wrong sum.
    Checksum {
        /// The sum that came.
        received: u8,
        /// The sum of the bytes that came.
        computed: u8,
    },
    /// A frame that ends too early.
    Truncated {
        /// Bytes that came.
        bytes: usize,
        /// Bytes that its length announces.
        announced: usize,
    },
    /// A frame begins, and its bytes contradict each other.
    Broken,
    /// Nothing that looks like a frame.
    Noise {
        /// Bytes that came.
        bytes: usize,
    },
    /// More than one slave answered.
    Several,
    /// An acknowledgement came where data was asked for: the slave has none.
    NoData,
}

/// The bytes since a request, and what was found in them.
#[derive(Debug, Default)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    /// Where the next frame may begin.
    at: usize,
    /// Bytes passed over as noise.
    noise: usize,
    acks: usize,
    damage: Option<Damage>,
    heard: bool,
    overflow: bool,
}

/// What was found.
pub(super) enum Found {
    /// An acknowledgement.
    Ack,
    /// A slave's frame, at this range of [`Answer::frame`].
    Response { start: usize, end: usize },
}

impl Answer {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        *self = Self { bytes: core::mem::take(&mut self.bytes), ..Self::default() };
    }

    /// Whether anything but an echo came.
    pub(super) const fn heard(&self) -> bool {
        self.heard
    }

    pub(super) const fn noise_bytes(&self) -> usize {
        self.noise
    }

    pub(super) const fn acks(&self) -> usize {
        self.acks
    }

    /// Whether a frame has begun behind what was found.
    pub(super) const fn is_unfinished(&self) -> bool {
        self.at < self.bytes.len()
    }

    /// Everything since the request, as it came.
    pub(super) fn all(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn frame(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Takes what arrived. Beyond [`ANSWER_BYTES_MAX`] bytes are counted as noise and dropped: no
    /// answer is that long.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = ANSWER_BYTES_MAX.saturating_sub(self.bytes.len());
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        self.bytes.extend_from_slice(kept);
        if !dropped.is_empty() {
            self.noise = self.noise.saturating_add(dropped.len());
            self.overflow = true;
        }
    }

    /// The next frame of a slave. An echo of `sent` is passed over, so is noise.
    ///
    /// While `complete` is false, a frame that may still grow holds the search; when it is true (the
    /// line fell silent) the search goes on inside the unfinished frame, for noise may have looked
    /// like a frame's beginning.
    pub(super) fn find(&mut self, sent: &[u8], complete: bool) -> Option<Found> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return None;
            }
            match Frame::parse(rest) {
                Ok(Some((frame, consumed))) => {
                    let (start, end) = (self.at, self.at.saturating_add(consumed));
                    // A master's words are our own, thrown back by the level converter.
                    let found = match frame {
                        Frame::Ack => Some(Found::Ack),
                        Frame::Long { control: Control::RspUd { .. }, .. } => Some(Found::Response { start, end }),
                        _ => None,
                    };
                    self.at = end;
                    if let Some(found) = found {
                        self.heard = true;
                        self.acks = self.acks.saturating_add(usize::from(matches!(found, Found::Ack)));
                        return Some(found);
                    }
                }
                Ok(None) if !complete => {
                    // An echo in progress is a frame in progress, and no word of a slave.
                    self.heard = self.heard || !sent.starts_with(rest);
                    return None;
                }
                Ok(None) => self.pass_over(None),
                Err(error) => self.pass_over(Some(error)),
            }
        }
    }

    /// Passes over one byte, which begins no frame, and notes why the first such place is damaged.
    fn pass_over(&mut self, error: Option<FrameError>) {
        self.heard = true;
        self.noise = self.noise.saturating_add(1);
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let damage = match (rest.first(), error) {
            (Some(&LONG_START), Some(FrameError::Checksum { received, computed, .. })) if envelope_is_whole(rest) => {
                Some(Damage::Checksum { received, computed })
            }
            (Some(&LONG_START), Some(_)) if rest.len() > LONG_EXTRA_BYTES => Some(Damage::Broken),
            (Some(&LONG_START), None) if rest.len() >= 4 => {
                let announced = rest.get(1).map_or(0, |length| usize::from(*length) + LONG_EXTRA_BYTES);
                Some(Damage::Truncated { bytes: rest.len(), announced })
            }
            _ => None,
        };
        if self.damage.is_none() {
            self.damage = damage;
        }
        self.at = self.at.saturating_add(1);
    }

    /// Why there was no answer; `None` when there was only silence.
    pub(super) fn damage(&self) -> Option<Damage> {
        match self.damage {
            Some(damage) => Some(damage),
            None if self.acks > 1 => Some(Damage::Several),
            None if self.acks == 1 => Some(Damage::NoData),
            None if self.overflow || self.noise > 0 => Some(Damage::Noise { bytes: self.noise }),
            None => None,
        }
    }
}

/// Whether both lengths, both starts and the stop are right, so that only the sum is wrong.
fn envelope_is_whole(rest: &[u8]) -> bool {
    let end = rest.get(1).map_or(0, |length| usize::from(*length) + LONG_EXTRA_BYTES - 1);
    rest.len() == end + 1 && rest.get(end) == Some(&STOP)
}
