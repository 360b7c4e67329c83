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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Calendar;
    use crate::dlms::{Mechanism, MeterConfig};
    use proptest::prelude::*;

    fn meter() -> Meter {
        let calendar = Calendar { start_unix_s: 1_795_423_325, factor: 0 };
        let mut config = MeterConfig::new(7, calendar, Mechanism::None, 0);
        config.profile.rows = 50;
        Meter::new(config)
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// An opening, and requests of all sorts, to be damaged.
    fn requests() -> Vec<Vec<u8>> {
        [
            "60 1D A1 09 06 07 60 85 74 05 08 01 01 BE 10 04 0E 01 00 00 00 06 5F 1F 04 00 60 1E 9F 00 50",
            "C0 01 C1 00 0F 00 00 28 00 00 FF 02 00",
            "C0 02 C1 00 00 00 01",
            "C0 01 C1 00 07 01 00 63 01 00 FF 02 01 02 02 04 06 00 00 00 03 06 00 00 00 04 12 00 02 12 00 03",
            "C0 03 C1 02 00 03 01 00 0E 07 00 FF 03 00 00 01 09 09 09 09 09 09 02 00",
            "C1 02 C1 00 01 00 00 60 01 01 FF 02 00 00 00 00 00 01 02 09 14",
            "C1 04 C1 01 00 46 00 00 60 03 0A FF 04 00 01 16 05",
            "C3 01 C1 00 0B 00 00 0B 00 00 FF 01 01 02 03 12 00 07 09 05 07 EA 0C 18 FF 11 01",
            "C3 01 C1 00 40 00 00 2B 00 00 FF 02 01 01 01 02 02 16 00 09 18 00 01 02 03 04 05 06 07",
            "C3 01 C1 00 12 00 00 2C 00 00 FF 01 01 02 02 09 02 41 42 06 00 00 02 58",
            "E0 81 00 01 00 00 05 C0 01 C1 00 03",
            "DB 08 50 4C 43 00 00 00 00 01 08 30 00 00 00 09 01 02 03",
        ]
        .iter()
        .map(|text| hex(text))
        .collect()
    }

    proptest! {
        #[test]
        fn any_apdus_are_borne(damages in proptest::collection::vec((0usize..12, 0usize..40, any::<u8>()), 1..30)) {
            let (mut meter, requests) = (meter(), requests());
            let mut link = Link::Wrapper(Wrapper::default());
            for (nth, place, byte) in damages {
                let mut request = requests[nth].clone();
                let length = request.len();
                // A byte changed, or the end missing.
                if place < length { request[place] = byte } else { request.truncate(usize::from(byte) % length) }
                for apdu in [&requests[0], &request] {
                    link.hear(&mut meter, &wrapped(1, 1, apdu), Duration::ZERO);
                }
            }
        }

        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut meter = meter();
            Link::Wrapper(Wrapper::default()).hear(&mut meter, &bytes, Duration::ZERO);
            Link::Hdlc(Hdlc::default()).hear(&mut meter, &bytes, Duration::ZERO);
            let frame = frame::Frame {
                segmented: bytes.len() % 2 == 1,
                destination: vec![3],
                source: vec![0x21],
                control: bytes.first().copied().unwrap_or(0x93),
                info: bytes,
            };
            let snrm = frame::Frame { segmented: false, control: 0x93, info: Vec::new(), ..frame.clone() };
            let mut link = Link::Hdlc(Hdlc::default());
            for frame in [snrm, frame] {
                link.hear(&mut meter, &frame.bytes(), Duration::ZERO);
            }
        }
    }
}
