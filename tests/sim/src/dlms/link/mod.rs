//! One byte stream or datagram socket of a client, without I/O and without a clock.

pub(super) mod frame;
mod hdlc;
mod wrapper;

use super::faults::{Faults, Turn, meets};
use super::meter::Meter;
pub(super) use hdlc::{Hdlc, unnumbered};
use std::time::Duration;
pub(super) use wrapper::{Wrapper, wrapped};

/// Bytes for a client, after a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) pause: Duration,
    pub(super) bytes: Vec<u8>,
    /// The connection is closed after them.
    pub(super) close: bool,
}

/// What is spoken on a line.
#[derive(Debug)]
pub(super) enum Link {
    Wrapper(Wrapper),
    Hdlc(Hdlc),
}

impl Link {
    /// Hears a client's bytes; gives what the meter sends, in order.
    pub(super) fn hear(&mut self, meter: &mut Meter, bytes: &[u8], at: Duration) -> Vec<Sent> {
        match self {
            Self::Wrapper(wrapper) => wrapper.hear(meter, bytes, at),
            Self::Hdlc(hdlc) => hdlc.hear(meter, bytes, at),
        }
    }
}

/// Bytes of a wrapped APDU that come after the pause before the last ones.
const LAST_BYTES: usize = 8;

/// Puts an answer's frames on the line, with all that is wrong with it.
fn send(frames: Vec<Vec<u8>>, heard: &[u8], faults: &Faults, turn: &mut Turn) -> Vec<Sent> {
    let mut sent: Vec<Sent> = Vec::new();
    let mut first = true;
    let count = frames.len();
    for (nth, mut bytes) in frames.into_iter().enumerate() {
        let number = turn.next();
        if faults.silent || meets(faults.drop_every, number) {
            continue;
        }
        if meets(faults.bad_fcs_every, number) {
            // Before the closing flag, if there is one.
            let from_end = if bytes.last() == Some(&frame::FLAG) { 2 } else { 1 };
            let place = bytes.len().saturating_sub(from_end);
            bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 0x5A);
        }
        let close = meets(faults.close_every, number);
        if close {
            bytes.truncate(bytes.len() / 2);
        }
        let late = if first { faults.delay_ms } else { 0 };
        let gap = if nth + 1 == count { faults.gap_before_last_ms } else { 0 };
        let mut pause = Duration::from_millis(late.into());
        if first {
            bytes.splice(0..0, faults.noise_before.iter().copied());
        }
        first = false;
        if gap > 0 && count == 1 {
            let head: Vec<u8> = bytes.drain(..bytes.len().saturating_sub(LAST_BYTES)).collect();
            sent.push(Sent { pause, bytes: head, close: false });
            pause = Duration::ZERO;
        }
        pause += Duration::from_millis(gap.into());
        sent.push(Sent { pause, bytes, close });
        if close {
            break;
        }
    }
    if faults.echo && !heard.is_empty() {
        sent.insert(0, Sent { pause: Duration::ZERO, bytes: heard.to_vec(), close: false });
    }
    match faults.trickle_ms {
        Some(apart) => sent.into_iter().flat_map(|sent| trickled(sent, apart)).collect(),
        None => sent,
    }
}

fn trickled(sent: Sent, apart_ms: u32) -> Vec<Sent> {
    let Sent { pause, bytes, close } = sent;
    let count = bytes.len();
    let each = Duration::from_millis(apart_ms.into());
    let mut single: Vec<Sent> =
        bytes.into_iter().map(|byte| Sent { pause: each, bytes: vec![byte], close: false }).collect();
    if let Some(first) = single.first_mut() {
        first.pause = pause;
    }
    if let Some(last) = single.get_mut(count.saturating_sub(1)) {
        last.close = close;
    }
    single
}
