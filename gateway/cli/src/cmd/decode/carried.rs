//! APDUs out of what carries them: HDLC frames, M-Bus frames, wrappers, blocks. Segments are kept between lines.

use std::collections::{HashMap, HashSet};

use plomb_dlms::{
    apdu::{DataBlock, GeneralBlock},
    hdlc::{Control, FLAG, Frame, FrameError, Parameters, without_llc},
    link::APDU_BYTES_DEFAULT,
    push::{Transported, TransportedError},
    wrapper::Wrapped,
};

use super::told::{Link, Wrong};

/// The most senders whose segments are kept.
const SENDERS_MAX: usize = 256;
/// The most frames that are told of one line.
const FRAMES_MAX: usize = 1024;

/// Whose segments belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) enum Way {
    /// Without any link.
    #[default]
    Raw,
    /// By link, source and destination.
    Link(&'static str, String, String),
}

/// One frame, and what it completes.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) link: Link,
    pub(super) way: Way,
    /// A whole APDU.
    pub(super) apdu: Option<Vec<u8>>,
    /// Where the APDU stands in the line, if it does in one piece.
    pub(super) at: Option<usize>,
    pub(super) said: Option<String>,
    pub(super) wrong: Option<Wrong<'static>>,
}

/// What awaits its rest.
#[derive(Debug, Default)]
struct Parts {
    bytes: Vec<u8>,
    /// The number of the next part, where they have numbers.
    next: Option<u32>,
    /// The sum of a part was wrong.
    damaged: bool,
}

/// Segments and blocks of APDUs that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct Carrier {
    segments: HashMap<Way, Parts>,
    blocks: HashMap<Way, Parts>,
    answers: HashMap<Way, Parts>,
    /// Whose segments, up to the next last one, belong to an APDU whose beginning is lost.
    headless: HashSet<Way>,
}

const AWAITED: &str = "a segment; the rest is awaited";
const HEADLESS: &str = "a segment whose beginning is not there";

impl Carrier {
    /// Frames of HDLC. `bytes` begins with a flag.
    pub(super) fn hdlc(&mut self, bytes: &[u8]) -> Vec<Carried> {
        let (mut all, mut at) = (Vec::new(), 0usize);
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() > 1) {
            if all.len() >= FRAMES_MAX {
                all.push(too_many(at));
                break;
            }
            at += match Frame::parse_leniently(rest) {
                Ok(Some((frame, consumed, error))) => {
                    let mut carried = self.hdlc_frame(&frame, at, consumed);
                    if let Some(error) = error {
                        carried.wrong = Some(frame_wrong(error, at));
                        if let Some(parts) = self.segments.get_mut(&carried.way) {
                            parts.damaged = true;
                        }
                    }
                    all.push(carried);
                    // Its last flag may be the first of the next.
                    consumed.saturating_sub(1)
                }
                Ok(None) => {
                    let left = FrameError::Truncated { offset: rest.len(), needed: missing(rest) };
                    all.push(Carried { wrong: Some(frame_wrong(left, at)), ..Carried::default() });
                    break;
                }
                Err(_) if rest.get(1) == Some(&FLAG) => 1,
                Err(error) => {
                    all.push(Carried { wrong: Some(frame_wrong(error, at)), ..Carried::default() });
                    next_flag(rest)
                }
            };
        }
        all
    }

    fn hdlc_frame(&mut self, frame: &Frame<'_>, at: usize, consumed: usize) -> Carried {
        let Frame { control, source, destination, segmented, information } = *frame;
        let link = Link::Hdlc(control, source, destination);
        let way = Way::Link("hdlc", source.to_string(), destination.to_string());
        let carried = Carried { link, way: way.clone(), ..Carried::default() };
        let number = match control {
            Control::I { send, .. } => Some(u32::from(send)),
            Control::Ui { .. } => None,
            Control::Snrm { .. } | Control::Ua { .. } => {
                let said = information.map(|information| match Parameters::parse(information) {
                    Ok(parameters) => parameters.to_string(),
                    Err(error) => error.to_string(),
                });
                return Carried { said, ..carried };
            }
            _ => return Carried { said: information.map(hex::encode), ..carried },
        };
        let Some(information) = information.filter(|information| !information.is_empty()) else { return carried };
        let apdu = without_llc(information);
        let begins = apdu.len() < information.len();
        let open = self.segments.contains_key(&way);
        if !begins && !open && (segmented || self.headless.contains(&way)) {
            return self.headless(carried, !segmented);
        }
        self.headless.remove(&way);
        if (begins || !open) && !segmented {
            self.segments.remove(&way);
            // Sum and flag stand behind it.
            let behind = apdu.len().saturating_add(3);
            let at = at.saturating_add(consumed.saturating_sub(behind));
            return Carried { apdu: Some(apdu.to_vec()), at: Some(at), ..carried };
        }
        if begins {
            self.segments.remove(&way);
        }
        let next = number.map(|number| (number, number.wrapping_add(1) & 7));
        let joined = join(&mut self.segments, carried, if begins { apdu } else { information }, next, !segmented, at);
        if joined.wrong.is_some() && segmented {
            self.lose(way);
        }
        joined
    }

    fn headless(&mut self, carried: Carried, last: bool) -> Carried {
        if last {
            self.headless.remove(&carried.way);
        } else {
            self.lose(carried.way.clone());
        }
        Carried { said: Some(HEADLESS.into()), ..carried }
    }

    fn lose(&mut self, way: Way) {
        if self.headless.len() >= SENDERS_MAX {
            self.headless.clear();
        }
        self.headless.insert(way);
    }

    /// Long frames of M-Bus with a transport layer.
    pub(super) fn mbus(&mut self, bytes: &[u8]) -> Vec<Carried> {
        let (mut all, mut at) = (Vec::new(), 0usize);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if all.len() >= FRAMES_MAX {
                all.push(too_many(at));
                break;
            }
            match Transported::parse(rest) {
                Ok(Some((frame, consumed))) => {
                    all.push(self.mbus_frame(&frame, at));
                    at += consumed;
                }
                Ok(None) => {
                    let wrong = Wrong::new("truncated", "the frame ends too early", bytes.len());
                    all.push(Carried { wrong: Some(wrong), ..Carried::default() });
                    break;
                }
                Err(error) => {
                    let (kind, offset) = match error {
                        TransportedError::Sum { offset, .. } => ("checksum", offset),
                        TransportedError::Start { offset, .. } | TransportedError::Stop { offset, .. } => {
                            ("frame", offset)
                        }
                        TransportedError::TooLong { .. } => ("frame", 0),
                    };
                    let wrong = Wrong::new(kind, within(&error, at), at.saturating_add(offset));
                    all.push(Carried { wrong: Some(wrong), ..Carried::default() });
                    break;
                }
            }
        }
        all
    }

    fn mbus_frame(&mut self, frame: &Transported<'_>, at: usize) -> Carried {
        let Transported { control, address, sequence, last, source, destination, part } = *frame;
        let ci = sequence | if last { 0x10 } else { 0 };
        let link = Link::Carrier(control, address, ci, source, destination);
        let way = Way::Link("mbus", format!("{address}/{source}"), destination.to_string());
        let carried = Carried { link, way: way.clone(), ..Carried::default() };
        if sequence == 0 {
            // The sixteenth segment has this number, too.
            if self.segments.get(&way).is_none_or(|parts| parts.next != Some(0)) {
                self.segments.remove(&way);
            }
        } else if !self.segments.contains_key(&way) {
            return Carried { said: Some(HEADLESS.into()), ..carried };
        }
        if last && !self.segments.contains_key(&way) {
            return Carried { apdu: Some(part.to_vec()), at: Some(at.saturating_add(9)), ..carried };
        }
        let number = u32::from(sequence);
        join(&mut self.segments, carried, part, Some((number, number.wrapping_add(1) & 0x0F)), last, at)
    }

    /// Wrapped APDUs.
    pub(super) fn wrapper(&mut self, bytes: &[u8]) -> Vec<Carried> {
        let (mut all, mut at) = (Vec::new(), 0usize);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if all.len() >= FRAMES_MAX {
                all.push(too_many(at));
                break;
            }
            match Wrapped::parse(rest) {
                Ok(Some((Wrapped { source, destination, apdu }, consumed))) => {
                    all.push(Carried {
                        link: Link::Wrapper(source, destination),
                        way: Way::Link("wrapper", source.to_string(), destination.to_string()),
                        apdu: Some(apdu.to_vec()),
                        at: Some(at.saturating_add(plomb_dlms::wrapper::HEADER_BYTES)),
                        ..Carried::default()
                    });
                    at += consumed;
                }
                other => {
                    let (kind, what) = match other {
                        Err(error) => ("frame", error.to_string()),
                        _ => ("truncated", "the wrapped APDU ends too early".into()),
                    };
                    let wrong = Wrong::new(kind, what, if kind == "frame" { at } else { bytes.len() });
                    all.push(Carried { wrong: Some(wrong), ..Carried::default() });
                    break;
                }
            }
        }
        all
    }

    /// Takes a block of general block transfer; gives the APDU when it was the last.
    pub(super) fn block(&mut self, way: &Way, block: &GeneralBlock) -> Carried {
        let number = u32::from(block.number);
        if number <= 1 {
            self.blocks.remove(way);
        } else if !self.blocks.contains_key(way) {
            return Carried { said: Some("a block whose beginning is not there".into()), ..Carried::default() };
        }
        let carried = Carried { way: way.clone(), ..Carried::default() };
        let next = Some((number, number.saturating_add(1)));
        let carried = join(&mut self.blocks, carried, &block.bytes, next, block.last, 0);
        let said = carried.said.map(|_| "a block; the rest is awaited".into());
        Carried { said, ..carried }
    }

    /// Takes a block of an answer; gives the answer when it was the last.
    pub(super) fn answer_block(&mut self, way: &Way, block: &DataBlock) -> Option<Vec<u8>> {
        if block.number <= 1 {
            self.answers.remove(way);
        } else if !self.answers.contains_key(way) {
            return None;
        }
        let carried = Carried { way: way.clone(), ..Carried::default() };
        let next = Some((block.number, block.number.saturating_add(1)));
        join(&mut self.answers, carried, &block.bytes, next, block.last, 0).apdu
    }
}

/// Adds a part to what is there. `number` is this part's and the next's.
fn join(
    parts: &mut HashMap<Way, Parts>,
    mut carried: Carried,
    part: &[u8],
    number: Option<(u32, u32)>,
    last: bool,
    at: usize,
) -> Carried {
    if parts.len() >= SENDERS_MAX && !parts.contains_key(&carried.way) {
        parts.clear();
    }
    let open = parts.entry(carried.way.clone()).or_default();
    if let (Some(expected), Some((number, _))) = (open.next, number)
        && expected != number
    {
        if expected.wrapping_sub(1) & 7 == number & 7 && !last {
            carried.said = Some("a segment that came before".into());
            return carried;
        }
        let what = format!("segment {number} where {expected} is awaited: what came before is dropped");
        carried.wrong = Some(Wrong::new("segment missing", what, at));
        parts.remove(&carried.way);
        return carried;
    }
    if open.bytes.len().saturating_add(part.len()) > APDU_BYTES_DEFAULT {
        parts.remove(&carried.way);
        let what = format!("the APDU has more than {APDU_BYTES_DEFAULT} bytes");
        carried.wrong = Some(Wrong::new("too long", what, at));
        return carried;
    }
    open.bytes.extend_from_slice(part);
    open.next = number.map(|(_, next)| next);
    if last {
        if open.damaged {
            let what = "a segment of this APDU came in a frame whose checksum was wrong";
            carried.wrong = Some(Wrong::new("checksum", what, at));
        }
        carried.apdu = parts.remove(&carried.way).map(|open| open.bytes);
    } else {
        carried.said = Some(AWAITED.into());
    }
    carried
}

fn too_many(at: usize) -> Carried {
    let wrong = Wrong::new("too long", format!("more than {FRAMES_MAX} frames in one line"), at);
    Carried { wrong: Some(wrong), ..Carried::default() }
}

/// Where the next flag behind the first byte is.
fn next_flag(rest: &[u8]) -> usize {
    rest.iter().skip(1).position(|byte| *byte == FLAG).map_or(rest.len(), |at| at.saturating_add(1))
}

/// How many bytes of the frame are missing, as its length says.
fn missing(rest: &[u8]) -> usize {
    match rest {
        [_, high, low, ..] => {
            let whole = usize::from(u16::from_be_bytes([high & 7, *low])).saturating_add(2);
            whole.saturating_sub(rest.len())
        }
        _ => 1,
    }
}

/// An error of a frame, and in which of several.
fn within(error: &dyn std::fmt::Display, at: usize) -> String {
    if at == 0 { error.to_string() } else { format!("the frame at {at}: {error}") }
}

fn frame_wrong(error: FrameError, at: usize) -> Wrong<'static> {
    let (kind, offset) = match error {
        FrameError::Hcs { offset, .. } | FrameError::Fcs { offset, .. } => ("checksum", offset),
        FrameError::Truncated { offset, .. } => ("truncated", offset),
        FrameError::Trailing { offset, .. } => ("trailing", offset),
        FrameError::Flag { offset, .. }
        | FrameError::FormatType { offset, .. }
        | FrameError::Length { offset, .. }
        | FrameError::AddressBytes { offset, .. }
        | FrameError::End { offset, .. } => ("frame", offset),
        FrameError::TooLong { .. } => ("frame", 0),
    };
    Wrong::new(kind, within(&error, at), at.saturating_add(offset))
}
