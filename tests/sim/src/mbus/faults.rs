//! What can be wrong with a slave, settable while it runs.

use serde::{Deserialize, Serialize};

/// A slave's faults; the default is none.
///
/// Faults of frames (`wrong_checksum`, `half_frame`, `wrong_identity`,
/// `always_more`, `busy`) act on answers with a telegram, not on the single
/// acknowledgement E5.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Hears everything and answers nothing.
    pub silent: bool,
    /// Swallows every n-th answer (1: all).
    pub drop_every: Option<u32>,
    /// The checksum of each telegram is wrong.
    pub wrong_checksum: bool,
    /// Each telegram stops in its middle.
    pub half_frame: bool,
    /// Bytes on the line directly before each answer.
    pub noise_before: Vec<u8>,
    /// Each telegram ends with DIF 1F: more records follow, for ever.
    pub always_more: bool,
    /// Answers begin this many milliseconds too late.
    pub late_ms: u32,
    /// Telegrams carry another identification number than the slave's.
    pub wrong_identity: bool,
    /// Falls silent after this many answers, counted from the first.
    pub dies_after: Option<u32>,
    /// Answers requests with the application error "too busy".
    pub busy: bool,
}

impl Faults {
    /// Whether the answer with this number (the first is 1) stays unsent.
    pub(super) fn swallow(&self, number: u32) -> bool {
        self.silent
            || self.drop_every.is_some_and(|every| number.is_multiple_of(every))
            || self.dies_after.is_some_and(|answers| number > answers)
    }

    /// Damages a telegram's frame as asked; `frame` is a whole, correct one.
    pub(super) fn damage(&self, mut frame: Vec<u8>) -> Vec<u8> {
        if self.always_more {
            frame = with_more_following(frame);
        }
        if self.wrong_identity && matches!(frame.get(6), Some(0x72 | 0x76 | 0x73 | 0x77)) {
            if let Some(units) = frame.get_mut(7) {
                // Digits stay decimal: 9 becomes 8, all others go up by one.
                *units = if *units & 0xF == 9 { *units - 1 } else { units.wrapping_add(1) };
            }
            repair(&mut frame);
        }
        if self.wrong_checksum
            && let [.., sum, _stop] = frame.as_mut_slice()
        {
            *sum ^= 0x5A;
        }
        if self.half_frame {
            frame.truncate(frame.len() / 2);
        }
        frame
    }
}

/// Where the records of a frame with a long header (CI 72, 76) begin.
const RECORDS_OFFSET: usize = 19;
/// The manufacturer's own bytes follow; and the same with more to come.
const DIF_TAIL: u8 = 0x0F;
const DIF_TAIL_AND_MORE: u8 = 0x1F;
const DIF_FILLER: u8 = 0x2F;
/// A VIF with its unit as text behind it, without its extension bit.
const VIF_PLAIN_TEXT: u8 = 0x7C;

/// Makes the records end with DIF 1F, where the frame has room for it.
fn with_more_following(mut frame: Vec<u8>) -> Vec<u8> {
    if !matches!(frame.get(6), Some(0x72 | 0x76)) {
        return frame;
    }
    let records_end = frame.len().saturating_sub(2);
    let tail = frame.get(RECORDS_OFFSET..records_end).and_then(tail_offset);
    if let Some(dif) = tail.and_then(|tail| frame.get_mut(RECORDS_OFFSET + tail)) {
        *dif = DIF_TAIL_AND_MORE;
    } else if frame.get(1).is_some_and(|length| *length < u8::MAX) {
        frame.insert(records_end, DIF_TAIL_AND_MORE);
        for length in frame.iter_mut().skip(1).take(2) {
            *length = length.saturating_add(1);
        }
    }
    repair(&mut frame);
    frame
}

/// Makes the records end as if no telegram followed.
pub(super) fn without_more(records: &mut [u8]) {
    if let Some(dif) = tail_offset(records).and_then(|tail| records.get_mut(tail)) {
        *dif = DIF_TAIL;
    }
}

/// Where among records the manufacturer's own bytes begin with their DIF.
fn tail_offset(records: &[u8]) -> Option<usize> {
    let mut rest = records;
    loop {
        let (&dif, after) = rest.split_first()?;
        match dif {
            DIF_TAIL | DIF_TAIL_AND_MORE => return Some(records.len() - rest.len()),
            DIF_FILLER => rest = after,
            _ => rest = record_rest(dif, after)?,
        }
    }
}

/// The records whose first VIF, without its extension bit, is one of `vifs`.
pub(super) fn only_with(records: &[u8], vifs: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = records;
    while let Some((&dif, after)) = rest.split_first() {
        let next = match dif {
            DIF_TAIL | DIF_TAIL_AND_MORE => break,
            DIF_FILLER => after,
            _ => match record_rest(dif, after) {
                Some(next) => next,
                None => break,
            },
        };
        let record = rest.get(..rest.len() - next.len()).unwrap_or_default();
        let vif = extensions_rest(dif, after).and_then(<[u8]>::first);
        if dif != DIF_FILLER && vif.is_some_and(|vif| vifs.contains(&(vif & 0x7F))) {
            kept.extend(record);
        }
        rest = next;
    }
    kept
}

/// What follows the record whose DIF was just taken.
fn record_rest(dif: u8, after: &[u8]) -> Option<&[u8]> {
    let (&vif, after) = extensions_rest(dif, after)?.split_first()?;
    let mut after = extensions_rest(vif, after)?;
    if vif & 0x7F == VIF_PLAIN_TEXT {
        let (&letters, text) = after.split_first()?;
        after = text.get(usize::from(letters)..)?;
    }
    let size = match dif & 0x0F {
        0x00 | 0x08 => 0,
        fixed @ 0x01..=0x04 => usize::from(fixed),
        bcd @ 0x09..=0x0C => usize::from(bcd - 0x08),
        0x05 => 4,
        0x06 | 0x0E => 6,
        0x07 => 8,
        // LVAR: texts and numbers up to BF say their length.
        0x0D => usize::from(*after.first().filter(|length| **length <= 0xBF)?) + 1,
        _ => return None,
    };
    after.get(size..)
}

/// What follows the extension bytes of a DIF or VIF.
fn extensions_rest(first: u8, mut after: &[u8]) -> Option<&[u8]> {
    let mut last = first;
    while last & 0x80 != 0 {
        let (&extension, rest) = after.split_first()?;
        (last, after) = (extension, rest);
    }
    Some(after)
}

/// Sets the checksum of a long frame to what its bytes add up to.
pub(super) fn repair(frame: &mut [u8]) {
    let body_end = frame.len().saturating_sub(2);
    let sum = frame.get(4..body_end).map(super::checksum);
    if let (Some(sum), Some(place)) = (sum, frame.get_mut(body_end)) {
        *place = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tail_is_found_behind_records_not_within_them() {
        // A value byte 0F, a filler, an extension, a text unit, then the tail.
        let records = [
            0x01, 0x13, 0x0F, 0x2F, 0x84, 0x01, 0x06, 0x1F, 0x1F, 0x0F, 0x0F, 0x01, 0x7C, 0x02, 0x0F, 0x0F, 0x07, 0x0D,
            0x78, 0x01, 0x0F, 0x0F, 0x55,
        ];
        assert_eq!(tail_offset(&records), Some(21));
        assert_eq!(tail_offset(&records[..21]), None);
    }

    proptest! {
        #[test]
        fn any_frame_can_be_damaged(frame in proptest::collection::vec(any::<u8>(), 0..300)) {
            let faults = Faults {
                always_more: true,
                wrong_identity: true,
                wrong_checksum: true,
                half_frame: true,
                ..Faults::default()
            };
            faults.damage(frame);
        }
    }
}
