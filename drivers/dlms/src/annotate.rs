//! What each byte of a link's frame or of an APDU is: for people who look at them.

mod acse;
mod apdu;
mod service;

pub use apdu::SECRET;

use crate::hdlc::{Control, Frame, FrameError, Parameters, without_llc};
use crate::push::Transported;
use crate::wrapper::{HEADER_BYTES, Wrapped};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

/// A run of bytes and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where the run begins, counted from the first byte.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// The layer that the bytes belong to: `link`, `llc`, `apdu`, …
    pub layer: &'static str,
    /// The field's name.
    pub field: &'static str,
    /// What the bytes say.
    pub meaning: String,
}

/// Annotations in the making, one after the other without gaps.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    list: Vec<Annotation>,
    at: usize,
}

impl Annotations {
    /// None yet; the first begins at `offset`.
    #[must_use]
    pub const fn starting_at(offset: usize) -> Self {
        Self { list: Vec::new(), at: offset }
    }

    /// Where the next annotation begins.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// The next `length` bytes; nothing when there are none.
    pub fn push(&mut self, length: usize, layer: &'static str, field: &'static str, meaning: impl Display) {
        if length > 0 {
            self.list.push(Annotation { offset: self.at, length, layer, field, meaning: meaning.to_string() });
            self.at = self.at.saturating_add(length);
        }
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> Vec<Annotation> {
        self.list
    }
}

/// What each byte of an APDU is, or of a value that stands alone. Every byte is in exactly one annotation; meanings are
/// indented as the bytes lie in each other. The bytes of a field [`SECRET`] are not to be shown.
#[must_use]
pub fn apdu(bytes: &[u8]) -> Vec<Annotation> {
    let mut out = Annotations::default();
    apdu::write(&mut out, bytes);
    out.finish()
}

const LINK: &str = "link";
const APDU: &str = "apdu";

/// What each byte of one or several HDLC frames is. Every byte is in exactly one annotation, in
/// their order; what cannot be read is annotated with the reason.
#[must_use]
pub fn hdlc(bytes: &[u8]) -> Vec<Annotation> {
    let mut out = Annotations::default();
    // One flag may be the last of a frame and the first of the next.
    let mut shared_flag = false;
    while let Some(rest) = bytes.get(out.offset().saturating_sub(shared_flag.into())..).filter(|rest| !rest.is_empty())
    {
        let more_flags = rest.get(1) == Some(&0x7E) || rest == [0x7E];
        match Frame::parse_leniently(rest) {
            Ok(Some((frame, consumed, error))) => {
                hdlc_frame(&mut out, &frame, consumed, error, shared_flag);
                shared_flag = true;
            }
            _ if shared_flag => shared_flag = false,
            _ if more_flags => out.push(1, LINK, "flag", "between frames"),
            Ok(None) => out.push(rest.len(), LINK, "not read", "the frame is not complete"),
            Err(error) => {
                let next_flag = rest.iter().skip(1).position(|byte| *byte == 0x7E);
                out.push(next_flag.map_or(rest.len(), |at| at + 1), LINK, "not read", error);
            }
        }
        if shared_flag && out.offset() >= bytes.len() {
            break;
        }
    }
    out.finish()
}

fn hdlc_frame(out: &mut Annotations, frame: &Frame<'_>, consumed: usize, wrong: Option<FrameError>, shared_flag: bool) {
    let counted = consumed.saturating_sub(2);
    if !shared_flag {
        out.push(1, LINK, "flag", "a frame begins");
    }
    let more = if frame.segmented { ", more segments follow" } else { "" };
    out.push(2, LINK, "format", format_args!("type 3, {counted} bytes{more}"));
    out.push(frame.destination.bytes(), LINK, "destination", frame.destination);
    out.push(frame.source.bytes(), LINK, "source", frame.source);
    out.push(1, LINK, "control", frame.control);
    if let Some(information) = frame.information {
        out.push(2, LINK, "HCS", "right");
        match frame.control {
            Control::Snrm { .. } | Control::Ua { .. } => match Parameters::parse(information) {
                Ok(parameters) => out.push(information.len(), LINK, "parameters", parameters),
                Err(error) => out.push(information.len(), LINK, "parameters", error),
            },
            Control::I { .. } | Control::Ui { .. } => {
                let apdu = without_llc(information);
                out.push(information.len().saturating_sub(apdu.len()), "llc", "LLC", "an APDU begins");
                if !frame.segmented && apdu.len() < information.len() {
                    apdu::write(out, apdu);
                } else {
                    out.push(apdu.len(), APDU, "APDU", if frame.segmented { "a segment" } else { "the last segment" });
                }
            }
            _ => out.push(information.len(), LINK, "information", ""),
        }
    }
    match wrong {
        Some(error) => out.push(2, LINK, "FCS", error),
        None => out.push(2, LINK, "FCS", "right"),
    }
    out.push(1, LINK, "flag", "a frame ends");
}

/// What each byte of one or several wrapped APDUs is.
#[must_use]
pub fn wrapper(bytes: &[u8]) -> Vec<Annotation> {
    let mut out = Annotations::default();
    while let Some(rest) = bytes.get(out.offset()..).filter(|rest| !rest.is_empty()) {
        match Wrapped::parse(rest) {
            Ok(Some((wrapped, consumed))) => {
                let length = consumed.saturating_sub(HEADER_BYTES);
                out.push(2, LINK, "version", "1");
                out.push(2, LINK, "source port", wrapped.source);
                out.push(2, LINK, "destination port", wrapped.destination);
                out.push(2, LINK, "length", format_args!("{length} bytes"));
                apdu::write(&mut out, wrapped.apdu);
            }
            Ok(None) => out.push(rest.len(), LINK, "not read", "the wrapped APDU is not complete"),
            Err(error) => out.push(rest.len(), LINK, "not read", error),
        }
    }
    out.finish()
}

/// What each byte of one or several M-Bus frames that carry DLMS is.
#[must_use]
pub fn mbus(bytes: &[u8]) -> Vec<Annotation> {
    let mut out = Annotations::default();
    while let Some(rest) = bytes.get(out.offset()..).filter(|rest| !rest.is_empty()) {
        match Transported::parse(rest) {
            Ok(Some((frame, _))) => {
                let last = if frame.last { ", the last" } else { "" };
                out.push(4, LINK, "start", "long frame of M-Bus");
                out.push(1, LINK, "C", format_args!("{:02x}", frame.control));
                out.push(1, LINK, "A", frame.address);
                out.push(1, "transport", "CI", format_args!("segment {}{last}", frame.sequence));
                out.push(1, "transport", "STSAP", frame.source);
                out.push(1, "transport", "DTSAP", frame.destination);
                if frame.last && frame.sequence == 0 {
                    apdu::write(&mut out, frame.part);
                } else {
                    out.push(frame.part.len(), APDU, "APDU", if frame.last { "the last segment" } else { "a segment" });
                }
                out.push(1, LINK, "sum", "right");
                out.push(1, LINK, "stop", "");
            }
            Ok(None) => out.push(rest.len(), LINK, "not read", "the frame is not complete"),
            Err(error) => out.push(rest.len(), LINK, "not read", error),
        }
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const SNRM: &[u8] = &[0x7E, 0xA0, 0x07, 0x03, 0x21, 0x93, 0x0F, 0x01, 0x7E];

    const PARTS: &[&[u8]] = &[
        SNRM,
        &[0xA0, 0x07, 0x03, 0x21, 0x93, 0x0F, 0x01, 0x7E],
        &[0x7E],
        &[0x7E, 0xA0, 0x07, 0x03],
        &[0x68, 5, 5, 0x68],
        &[0, 1, 0, 1, 0, 2, 0, 0],
    ];

    fn covers(list: &[Annotation], bytes: usize) -> bool {
        let mut at = 0;
        list.iter().all(|one| {
            let fits = one.offset == at && one.length > 0;
            at += one.length;
            fits
        }) && at == bytes
    }

    #[test]
    fn each_field_is_named() {
        let fields = |bytes: &[u8]| hdlc(bytes).iter().map(|one| one.field).collect::<Vec<_>>();
        let one = ["flag", "format", "destination", "source", "control", "FCS", "flag"];
        assert_eq!(fields(SNRM), one);
        let two = [SNRM, &SNRM[1..]].concat();
        assert_eq!(fields(&two), [&one[..], &one[1..]].concat());
        assert_eq!(fields(&[SNRM, SNRM].concat()), [&one[..], &one[..]].concat());
        assert_eq!(fields(&SNRM[..5]), vec!["not read"]);
        let wrapped = [0, 1, 0, 1, 0, 16, 0, 2, 0xC4, 0];
        let fields: Vec<_> = wrapper(&wrapped).iter().map(|one| one.meaning.clone()).collect();
        assert_eq!(fields, ["1", "1", "16", "2 bytes", "get-response", "  0"]);
    }

    /// A GET with its answer, a push, an association with a password, and what is ciphered.
    const APDUS: &[&[u8]] = &[
        &[0xC0, 1, 0xC1, 0, 3, 1, 0, 1, 8, 0, 255, 2, 0],
        &[0xC4, 1, 0xC1, 0, 2, 2, 6, 0, 1, 0xE2, 0x40, 9, 6, 1, 0, 1, 8, 0, 255],
        &[0x0F, 0, 0, 0, 1, 0, 1, 2, 0x12, 0, 1, 0x11, 2],
        &[
            0x60, 0x1D, 0xA1, 9, 6, 7, 0x60, 0x85, 0x74, 5, 8, 1, 1, 0x8A, 2, 7, 0x80, 0x8B, 7, 0x60, 0x85, 0x74, 5, 8,
            2, 1, 0xAC, 3, 0x80, 1, 0x41,
        ],
        &[0xDB, 8, 0x50, 0x4C, 0x42, 0, 0, 0, 0, 1, 8, 0x20, 0, 0, 0, 5, 1, 2, 3],
        &[0xC3, 1, 0xC1, 0, 15, 0, 0, 40, 0, 0, 255, 1, 1, 9, 2, 7, 7],
        &[0xE0, 0x80, 0, 1, 0, 0, 2, 1, 2],
        &[0xDF, 0, 0, 0, 0, 0, 3, 0xD8, 1, 2, 1, 9],
        &[0xD8, 1, 2],
    ];

    #[test]
    fn apdus_are_taken_apart_and_secrets_are_marked() {
        for bytes in APDUS {
            let list = apdu(bytes);
            assert!(covers(&list, bytes.len()), "{list:?}");
            assert!(list.iter().all(|one| one.field != "not read"), "{list:?}");
        }
        let secrets = |nth: usize| apdu(APDUS[nth]).iter().filter(|one| one.field == SECRET).count();
        assert_eq!((secrets(3), secrets(5), secrets(1)), (1, 1, 0));
        let answer: Vec<_> = apdu(APDUS[1]).into_iter().map(|one| (one.field, one.meaning)).collect();
        assert_eq!(answer[4].0, "structure");
        assert_eq!(answer[5], ("double-long-unsigned", "    123456".to_string()));
        assert_eq!(answer[6], ("octet-string", "    1-0:1.8.0*255".to_string()));
    }

    #[test]
    fn secrets_are_hidden_by_what_they_belong_to() {
        let secret = b"\x09\x04abcd";
        let instance = [0, 0, 40, 0, 0, 255];
        let request = |head: [u8; 3], class: u8, member: u8, flag: &[u8], tail: &[u8]| {
            [&head[..], &[0, class], &instance, &[member], flag, tail].concat()
        };
        let block = [&[1, 0, 0, 0, 1, 6], &secret[..]].concat();
        for bytes in [
            request([0xC1, 1, 0xC1], 15, 7, &[0], secret),
            request([0xC1, 2, 0xC1], 15, 7, &[0], &block),
            request([0xC3, 1, 0xC1], 15, 2, &[1], secret),
            request([0xC3, 1, 0xC1], 64, 2, &[1], secret),
            request([0xC3, 1, 0xC1], 72, 7, &[1], secret),
            request([0xC3, 4, 0xC1], 72, 7, &[], &block),
        ] {
            let list = apdu(&bytes);
            assert!(list.iter().any(|one| one.field == SECRET), "{list:?}");
            assert!(
                !list.iter().any(|one| one.meaning.contains("abcd") || one.meaning.contains("61626364")),
                "{list:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_byte_of_an_apdu_is_in_one_annotation(nth in 0..APDUS.len(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index, bytes: Vec<u8>) {
            prop_assert!(covers(&apdu(&bytes), bytes.len()));
            let mut changed = APDUS[nth].to_vec();
            let place = at.index(changed.len());
            changed[place] = byte;
            prop_assert!(covers(&apdu(&changed), changed.len()));
            changed.truncate(cut.index(changed.len()));
            prop_assert!(covers(&apdu(&changed), changed.len()));
        }

        #[test]
        fn every_byte_is_in_one_annotation(frames in prop::collection::vec(prop::sample::select(PARTS), 0..6), extra: Vec<u8>) {
            let mut bytes = frames.concat();
            bytes.extend(extra);
            prop_assert!(covers(&hdlc(&bytes), bytes.len()));
            prop_assert!(covers(&wrapper(&bytes), bytes.len()));
            prop_assert!(covers(&mbus(&bytes), bytes.len()));
        }
    }
}
