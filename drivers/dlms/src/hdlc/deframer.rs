use super::address::Address;
use super::frame::{FLAG, FRAME_BYTES_MAX, Frame, FrameError, Head, bytes_expected};
use alloc::vec::Vec;

/// Finds frames in a stream of bytes, whatever stands between them.
///
/// It holds one frame at most, and looks on at the next flag as soon as a header cannot be one:
/// endless noise costs no memory and swallows no frame behind it.
///
/// ```
/// # use plomb_dlms::hdlc::{Deframer, Found};
/// let mut deframer = Deframer::default();
/// let (mut frames, line) = (0, [0x55, 0x7E, 0xA0, 0x07, 0x03, 0x21, 0x93, 0x0F, 0x01, 0x7E]);
/// for piece in line.chunks(4) {
///     deframer.push(piece, |found| frames += usize::from(matches!(found, Found::Frame(_))));
/// }
/// assert_eq!((frames, deframer.noise_bytes()), (1, 1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    /// Begins with a flag, or is empty.
    bytes: Vec<u8>,
    noise_bytes: u64,
}

/// What was found in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole frame with right sums.
    Frame(Frame<'a>),
    /// What must have been a frame.
    Damaged {
        /// What is wrong, with offsets from the frame's first flag.
        error: FrameError,
        /// Destination and source, where the header's own sum vouches for them.
        addresses: Option<(Address, Address)>,
    },
}

impl Deframer {
    /// Takes what arrived, and tells what it completes, in the line's order.
    pub fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(Found<'_>)) {
        for piece in bytes.chunks(FRAME_BYTES_MAX) {
            self.bytes.extend_from_slice(piece);
            self.scan(false, &mut tell);
        }
    }

    /// The line fell silent: a frame that is not complete never will be. What looks like a frame
    /// inside it is told.
    pub fn give_up(&mut self, mut tell: impl FnMut(Found<'_>)) {
        self.scan(true, &mut tell);
    }

    /// Forgets what has arrived of an unfinished frame.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Whether a frame has begun.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        self.bytes.len() > 1
    }

    /// Bytes so far that belonged to no frame, flags between frames apart.
    #[must_use]
    pub const fn noise_bytes(&self) -> u64 {
        self.noise_bytes
    }

    fn scan(&mut self, silent: bool, tell: &mut impl FnMut(Found<'_>)) {
        let mut at = 0usize;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let step = match Frame::parse(rest) {
                Ok(Some((frame, consumed))) => {
                    tell(Found::Frame(frame));
                    // Its last flag may be the first of the next.
                    consumed.saturating_sub(1)
                }
                Ok(None) if !silent => break,
                Ok(None) => {
                    let needed = bytes_expected(rest).saturating_sub(rest.len());
                    self.noise_bytes += pass_over(rest, FrameError::Truncated { offset: rest.len(), needed }, tell);
                    next_flag(rest)
                }
                Err(error) => {
                    self.noise_bytes += pass_over(rest, error, tell);
                    match error {
                        // Both flags are in place: bits were changed, none lost. A 7E inside is no flag.
                        FrameError::Fcs { offset, .. } => offset.saturating_add(2),
                        _ => next_flag(rest),
                    }
                }
            };
            at = at.saturating_add(step);
        }
        self.bytes.drain(..at.min(self.bytes.len()));
    }
}

/// Tells what began like a frame; gives how many bytes are noise when it did not.
fn pass_over(rest: &[u8], error: FrameError, tell: &mut impl FnMut(Found<'_>)) -> u64 {
    let addresses = Head::parse(rest).ok().flatten().map(|head| (head.destination, head.source));
    if addresses.is_some() || matches!(error, FrameError::Hcs { .. }) {
        tell(Found::Damaged { error, addresses });
        return 0;
    }
    let noise = rest.iter().take(next_flag(rest)).filter(|byte| **byte != FLAG).count();
    u64::try_from(noise).unwrap_or(u64::MAX)
}

/// Where the next flag behind the first byte is; the end where there is none.
fn next_flag(rest: &[u8]) -> usize {
    rest.iter().skip(1).position(|byte| *byte == FLAG).map_or(rest.len(), |at| at.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hdlc::Control;
    use alloc::vec;
    use proptest::prelude::*;

    fn frame(information: &[u8]) -> Vec<u8> {
        let control = Control::I { send: 0, receive: 0, last: true };
        let (destination, source) = (Address::PUBLIC_CLIENT, Address::server(1, 17).unwrap());
        Frame { destination, source, control, segmented: false, information: Some(information) }.emit().unwrap()
    }

    /// The information of each frame found, `None` for a damaged one.
    fn found(deframer: &mut Deframer, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut all = Vec::new();
        deframer.push(bytes, |found| {
            all.push(match found {
                Found::Frame(frame) => Some(frame.information.unwrap().to_vec()),
                Found::Damaged { .. } => None,
            });
        });
        all
    }

    #[test]
    fn one_flag_between_two_frames_or_many() {
        let (first, second) = (frame(b"one"), frame(b"two"));
        let shared = [&first[..], &second[1..]].concat();
        let many = [&first[..], &[FLAG; 5], &second[..]].concat();
        for line in [shared, many] {
            let mut deframer = Deframer::default();
            assert_eq!(found(&mut deframer, &line), [Some(b"one".to_vec()), Some(b"two".to_vec())]);
            assert_eq!(deframer.noise_bytes(), 0);
        }
    }

    #[test]
    fn a_frame_behind_endless_noise_is_found_and_nothing_is_kept() {
        let mut deframer = Deframer::default();
        // The worst noise: each of its flags begins what might be the longest frame.
        let noise = [FLAG, 0xA7, 0xFF, 0x03, 0x21, 0x10].repeat(50_000);
        for piece in noise.chunks(777) {
            found(&mut deframer, piece);
            assert!(deframer.bytes.len() <= FRAME_BYTES_MAX);
        }
        assert_eq!(found(&mut deframer, &frame(b"here")).last(), Some(&Some(b"here".to_vec())));
    }

    #[test]
    fn a_changed_bit_costs_its_frame_only() {
        let mut line = frame(&[FLAG; 20]);
        line[15] ^= 1;
        line.extend(&frame(b"next")[1..]);
        assert_eq!(found(&mut Deframer::default(), &line), [None, Some(b"next".to_vec())]);
    }

    #[test]
    fn a_lost_byte_costs_its_frame_only_once_the_line_is_silent() {
        let mut line = frame(b"broken by a lost byte");
        line.remove(15);
        line.extend(&frame(b"next"));
        let mut deframer = Deframer::default();
        assert_eq!(found(&mut deframer, &line), [None, Some(b"next".to_vec())]);
        // Cut off in the middle: only silence tells.
        assert_eq!(found(&mut deframer, &frame(b"cut off")[..14]), []);
        assert!(deframer.is_inside_frame());
        let mut damage = Vec::new();
        deframer.give_up(|found| damage.push(matches!(found, Found::Damaged { addresses: Some(_), .. })));
        assert_eq!(damage, vec![true]);
        assert!(!deframer.is_inside_frame());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..5), noise in prop::collection::vec(0u8..0x7E, 0..30), size in 1usize..50) {
            let mut line = noise;
            frames.iter().for_each(|information| line.extend(frame(information)));
            let mut deframer = Deframer::default();
            let mut all = Vec::new();
            for piece in line.chunks(size) {
                all.extend(found(&mut deframer, piece).into_iter().flatten());
            }
            prop_assert_eq!(all, frames);
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(prop::sample::select(&[0x7E, 0xA0, 0xA7, 0x03, 0x21, 0xFF, 0x10, 0][..]), 0..300)) {
            let mut deframer = Deframer::default();
            deframer.push(&bytes, |_| {});
            deframer.give_up(|_| {});
            prop_assert_eq!(deframer.bytes.len(), 0);
        }
    }
}
