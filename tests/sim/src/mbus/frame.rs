//! Frames: what a master may send, and how a slave finds it on the wire.

use crate::LineSpeed;
use std::time::Duration;

/// Bit times without a byte after which a slave takes the line for idle (EN 13757-2).
const IDLE_BITS: u64 = 33;

/// Added to the idle time, in milliseconds: a client's process can be held up
/// between two writes of one frame.
pub const IDLE_GRACE_MS: u64 = 100;

/// The longest frame: start, two lengths, start, 255 bytes, checksum, stop.
const FRAME_BYTES_MAX: usize = 261;

/// A master's frame that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterFrame {
    /// `10 C A CS 16`.
    Short {
        /// The control field.
        control: u8,
        /// The address field.
        address: u8,
    },
    /// `68 L L 68 C A CI … CS 16`; without payload a control frame.
    Long {
        /// The control field.
        control: u8,
        /// The address field.
        address: u8,
        /// The control information field.
        ci: u8,
        /// What follows the CI field.
        payload: Vec<u8>,
    },
}

impl MasterFrame {
    /// The address that the master called.
    #[must_use]
    pub fn address(&self) -> u8 {
        match self {
            Self::Short { address, .. } | Self::Long { address, .. } => *address,
        }
    }
}

/// Why a slave threw bytes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither 10 nor 68.
    #[error("no frame begins with {0:02X}")]
    Start(u8),
    /// The two length bytes differ, or are below 3.
    #[error("lengths {0:02X} and {1:02X} make no long frame")]
    Length(u8, u8),
    /// The fourth byte of a long frame is not 68.
    #[error("the second start byte is {0:02X}, not 68")]
    SecondStart(u8),
    /// The checksum is wrong.
    #[error("checksum {got:02X}, counted {counted:02X}")]
    Checksum {
        /// What the frame said.
        got: u8,
        /// What its bytes add up to.
        counted: u8,
    },
    /// The last byte is not 16.
    #[error("the frame ends with {0:02X}, not 16")]
    Stop(u8),
    /// The line went idle within a frame.
    #[error("the line went idle after {0} bytes of a frame")]
    Short(usize),
}

/// Finds frames in a master's bytes.
///
/// After a broken frame everything is ignored until the line was idle.
#[derive(Debug)]
pub struct Receiver {
    idle: Duration,
    bytes: Vec<u8>,
    last_at: Option<Duration>,
    skipping: bool,
}

impl Receiver {
    /// A receiver for a line of this speed.
    #[must_use]
    pub fn new(speed: LineSpeed) -> Self {
        let idle = speed.bits(IDLE_BITS) + Duration::from_millis(IDLE_GRACE_MS);
        Self { idle, bytes: Vec::new(), last_at: None, skipping: false }
    }

    /// Takes the byte that ended at `at`; gives a frame when it was its last.
    pub fn push(&mut self, byte: u8, at: Duration) -> Option<Result<MasterFrame, Refused>> {
        let idle = self.last_at.is_some_and(|last| at.saturating_sub(last) > self.idle);
        self.last_at = Some(at);
        let mut cut = None;
        if idle {
            if !self.skipping && !self.bytes.is_empty() {
                cut = Some(Err(Refused::Short(self.bytes.len())));
            }
            self.bytes.clear();
            self.skipping = false;
        }
        if self.skipping {
            return None;
        }
        self.bytes.push(byte);
        let found = check(&self.bytes);
        match found {
            Some(Err(_)) => {
                self.skipping = true;
                self.bytes.clear();
            }
            Some(Ok(_)) => self.bytes.clear(),
            None => {}
        }
        found.or(cut)
    }
}

/// Looks at the bytes so far: broken, complete, or (`None`) not yet complete.
fn check(bytes: &[u8]) -> Option<Result<MasterFrame, Refused>> {
    debug_assert!(bytes.len() <= FRAME_BYTES_MAX);
    match *bytes {
        [0x10, control, address, sum, stop] => {
            Some(checked(&[control, address], sum, stop).map(|()| MasterFrame::Short { control, address }))
        }
        [0x68, length, again, ..] if length != again || length < 3 => Some(Err(Refused::Length(length, again))),
        [0x68, _, _, start, ..] if start != 0x68 => Some(Err(Refused::SecondStart(start))),
        [0x68, length, _, _, ref body @ .., sum, stop] if body.len() == usize::from(length) => {
            let [control, address, ci, ref payload @ ..] = *body else { return None };
            Some(checked(body, sum, stop).map(|()| MasterFrame::Long {
                control,
                address,
                ci,
                payload: payload.to_vec(),
            }))
        }
        [0x10 | 0x68, ..] | [] => None,
        [start, ..] => Some(Err(Refused::Start(start))),
    }
}

fn checked(body: &[u8], got: u8, stop: u8) -> Result<(), Refused> {
    let counted = checksum(body);
    if got != counted {
        return Err(Refused::Checksum { got, counted });
    }
    if stop != 0x16 { Err(Refused::Stop(stop)) } else { Ok(()) }
}

/// The arithmetic sum of the bytes without carry (EN 13757-2).
#[must_use]
pub fn checksum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// `10 C A CS 16`.
#[must_use]
pub fn short_frame(control: u8, address: u8) -> [u8; 5] {
    [0x10, control, address, checksum(&[control, address]), 0x16]
}

/// `68 L L 68 C A CI … CS 16`, where `user` begins with the CI field.
///
/// `None` when `user` is empty or longer than 253 bytes: with C and A that is
/// all that the length byte can say.
#[must_use]
pub fn long_frame(control: u8, address: u8, user: &[u8]) -> Option<Vec<u8>> {
    if user.is_empty() {
        return None;
    }
    let length = u8::try_from(user.len().checked_add(2)?).ok()?;
    let mut frame = vec![0x68, length, length, 0x68, control, address];
    frame.extend_from_slice(user);
    let sum = checksum(frame.get(4..)?);
    frame.extend([sum, 0x16]);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(receiver: &mut Receiver, bytes: &[u8], from_ms: u64) -> Vec<Result<MasterFrame, Refused>> {
        let at = |i: usize| Duration::from_millis(from_ms + u64::try_from(i).unwrap());
        bytes.iter().enumerate().filter_map(|(i, &byte)| receiver.push(byte, at(i))).collect()
    }

    #[test]
    fn short_and_long_frames_are_found() {
        let mut receiver = Receiver::new(LineSpeed(2400));
        let found = feed(&mut receiver, &[0x10, 0x40, 0x05, 0x45, 0x16], 0);
        assert_eq!(found, [Ok(MasterFrame::Short { control: 0x40, address: 5 })]);
        let select = [0x68, 0x03, 0x03, 0x68, 0x53, 0xFD, 0x52, 0xA2, 0x16];
        let found = feed(&mut receiver, &select, 10);
        assert_eq!(found, [Ok(MasterFrame::Long { control: 0x53, address: 0xFD, ci: 0x52, payload: vec![] })]);
    }

    #[test]
    fn each_broken_byte_is_named_and_the_rest_waits_for_idle() {
        let good = [0x10, 0x5B, 0x01, 0x5C, 0x16];
        let cases: [(&[u8], Refused); 6] = [
            (&[0x00], Refused::Start(0)),
            (&[0x10, 0x5B, 0x01, 0x5D, 0x16], Refused::Checksum { got: 0x5D, counted: 0x5C }),
            (&[0x10, 0x5B, 0x01, 0x5C, 0x17], Refused::Stop(0x17)),
            (&[0x68, 3, 4], Refused::Length(3, 4)),
            (&[0x68, 2, 2], Refused::Length(2, 2)),
            (&[0x68, 3, 3, 0x67], Refused::SecondStart(0x67)),
        ];
        for (bad, reason) in cases {
            let mut receiver = Receiver::new(LineSpeed(2400));
            assert_eq!(feed(&mut receiver, bad, 0), [Err(reason)]);
            assert_eq!(feed(&mut receiver, &good, 20), [], "no idle line, no frame");
            assert_eq!(feed(&mut receiver, &good, 1000).len(), 1, "after idle a frame counts again");
        }
    }

    #[test]
    fn a_half_frame_is_dropped_when_the_line_was_idle() {
        let mut receiver = Receiver::new(LineSpeed(2400));
        assert!(feed(&mut receiver, &[0x10, 0x5B], 0).is_empty());
        let found = feed(&mut receiver, &[0x10, 0x5B, 0x01, 0x5C, 0x16], 1000);
        assert_eq!(found, [Err(Refused::Short(2)), Ok(MasterFrame::Short { control: 0x5B, address: 1 })]);
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            feed(&mut Receiver::new(LineSpeed(2400)), &bytes, 0);
        }

        #[test]
        fn what_is_built_is_found(control: u8, address: u8, user in proptest::collection::vec(any::<u8>(), 1..=253)) {
            let frame = long_frame(control, address, &user).unwrap();
            let found = feed(&mut Receiver::new(LineSpeed(2400)), &frame, 0);
            let expected = MasterFrame::Long { control, address, ci: user[0], payload: user[1..].to_vec() };
            prop_assert_eq!(found, vec![Ok(expected)]);
        }
    }
}
