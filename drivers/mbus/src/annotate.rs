//! What each byte of a frame is: for people who look at frames.

use crate::frame::Frame;
use crate::header::{Header, Medium};
use crate::record::{DataField, Function, Record};
use crate::telegram::{Body, Records, ShortHeader, Telegram, TelegramError};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Display, Write};

/// A run of bytes and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Where the run begins, counted from the frame's first byte.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// The layer that the bytes belong to: `link`, `transport`, `record`, …
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

/// What each byte of a wired frame is. Every byte is in exactly one annotation, in the frame's order;
/// what cannot be read is annotated with the reason.
#[must_use]
pub fn annotate(frame: &[u8]) -> Vec<Annotation> {
    let mut out = Annotations::starting_at(0);
    match Frame::parse(frame) {
        Ok(Some((Frame::Ack, _))) => out.push(1, LINK, "acknowledgement", "understood, nothing to say"),
        Ok(Some((Frame::Short { control, address }, _))) => {
            out.push(1, LINK, "start", "short frame");
            out.push(1, LINK, "C", control);
            out.push(1, LINK, "A", address);
            out.wired_end();
        }
        Ok(Some((Frame::Long { .. }, whole))) => long_frame(&mut out, frame, whole),
        Ok(None) => out.push(frame.len(), LINK, "not read", "the frame is not complete"),
        Err(error) => out.push(frame.len(), LINK, "not read", error),
    }
    let at = out.offset();
    out.push(frame.len().saturating_sub(at), LINK, "trailing", "bytes behind the frame");
    out.finish()
}

const LINK: &str = "link";
const TRANSPORT: &str = "transport";
const RECORD: &str = "record";
/// `C A CI`, counted by L.
const COUNTED_HEAD_BYTES: usize = 3;
/// Sum and stop.
const END_BYTES: usize = 2;

fn long_frame(out: &mut Annotations, frame: &[u8], whole: usize) {
    let Ok(Some((parsed @ Frame::Long { ci, payload, .. }, _))) = Frame::parse(frame) else { return };
    out.wired_head(&parsed, payload.len());
    out.push(1, TRANSPORT, "CI", ci_name(ci));
    let end = whole.saturating_sub(END_BYTES);
    match Telegram::from_frame(&parsed) {
        Ok(telegram) => body(out, &telegram, end),
        Err(TelegramError::Encrypted { mode, offset }) => {
            let header = if ci == 0x7A { "short header" } else { "long header" };
            let at = out.offset();
            out.push(offset.saturating_sub(at), TRANSPORT, header, "");
            out.push(end.saturating_sub(offset), TRANSPORT, "ciphertext", format_args!("security mode {mode}"));
        }
        Err(error) => {
            let at = out.offset();
            out.push(end.saturating_sub(at), TRANSPORT, "not read", error);
        }
    }
    out.wired_end();
}

fn body(out: &mut Annotations, telegram: &Telegram<'_>, end: usize) {
    let medium = telegram.medium().unwrap_or(Medium(0));
    match telegram.body {
        Body::Variable { header, short, records } => {
            if let Some(header) = header {
                out.long_header(&header);
            }
            if let Some(short) = short {
                out.short_header(&short);
            }
            out.records(records, medium, end);
        }
        Body::Fixed(fixed) => {
            out.push(4, TRANSPORT, "identification", fixed.id);
            out.push(1, TRANSPORT, "access number", fixed.access);
            out.push(1, TRANSPORT, "status", fixed.status.condition());
            out.push(2, TRANSPORT, "medium and units", fixed.medium.medium());
            for record in telegram.records().flatten() {
                out.push(4, RECORD, "counter", described(&record, medium));
            }
        }
        Body::ApplicationError(error) => {
            let at = out.offset();
            out.push(end.saturating_sub(at), "application", "error", error);
        }
        Body::Alarm(alarm) => {
            let at = out.offset();
            out.push(end.saturating_sub(at), "application", "alarm", format_args!("{alarm:02x}"));
        }
        Body::Unknown(bytes) => out.push(bytes.len(), "application", "not read", "an application of another kind"),
    }
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

    /// `68 L L 68 C A` of a wired long frame with this payload behind CI.
    pub fn wired_head(&mut self, frame: &Frame<'_>, payload_bytes: usize) {
        let Frame::Long { control, address, .. } = frame else { return };
        let counted = payload_bytes.saturating_add(COUNTED_HEAD_BYTES);
        self.push(1, LINK, "start", "long frame");
        self.push(1, LINK, "L", format_args!("{counted} bytes"));
        self.push(1, LINK, "L", "again");
        self.push(1, LINK, "start", "again");
        self.push(1, LINK, "C", control);
        self.push(1, LINK, "A", address);
    }

    /// Sum and stop byte of a wired frame.
    pub fn wired_end(&mut self) {
        self.push(1, LINK, "sum", "right");
        self.push(1, LINK, "stop", "");
    }

    /// Identification, manufacturer, version and medium, and what a short header has.
    pub fn long_header(&mut self, header: &Header) {
        let Header { meter, access, status, configuration } = *header;
        self.push(4, TRANSPORT, "identification", meter.id);
        self.push(2, TRANSPORT, "manufacturer", meter.manufacturer);
        self.push(1, TRANSPORT, "version", meter.version);
        self.push(1, TRANSPORT, "medium", meter.medium);
        self.short_header(&ShortHeader { access, status, configuration });
    }

    /// Access number, status and configuration word.
    pub fn short_header(&mut self, header: &ShortHeader) {
        self.push(1, TRANSPORT, "access number", header.access);
        self.push(1, TRANSPORT, "status", header.status);
        let mode = header.configuration.mode();
        self.push(2, TRANSPORT, "configuration", format_args!("security mode {mode}"));
    }

    /// Records up to `end`, with filler between them, and what cannot be read behind them.
    ///
    /// Their offsets must count as the annotations' do.
    pub fn records(&mut self, records: Records<'_>, medium: Medium, end: usize) {
        let mut why = None;
        for record in records {
            match record {
                Ok(record) => self.record(&record, medium),
                Err(error) => why = Some(error),
            }
        }
        let left = end.saturating_sub(self.at);
        match why {
            Some(error) => self.push(left, RECORD, "not read", error),
            None => self.push(left, RECORD, "filler", ""),
        }
    }

    fn record(&mut self, record: &Record<'_>, medium: Medium) {
        self.push(record.offset.saturating_sub(self.at), RECORD, "filler", "");
        let mut place = String::new();
        let _ = write!(place, "{}", record.function);
        for (name, number) in
            [("storage", record.storage), ("tariff", record.tariff.into()), ("subunit", record.subunit.into())]
        {
            if number != 0 {
                let _ = write!(place, ", {name} {number}");
            }
        }
        self.push(record.dib.len(), RECORD, "DIB", place);
        let mut what = record.quantity.to_string();
        if let Some(text) = record.text {
            let _ = write!(what, " \"{text}\"");
        }
        for modifier in record.modifiers {
            let _ = write!(what, ", {modifier}");
        }
        self.push(record.vib.len(), RECORD, "VIB", what);
        if record.field == DataField::Variable {
            self.push(1, RECORD, "length", format_args!("{} bytes", record.data.len()));
        }
        let field = match record.function {
            Function::ManufacturerSpecific | Function::MoreRecordsFollow => "manufacturer's data",
            _ => "value",
        };
        self.push(record.data.len(), RECORD, field, described(record, medium));
    }

    /// The annotations.
    #[must_use]
    pub fn finish(self) -> Vec<Annotation> {
        self.list
    }
}

/// Value, unit and OBIS code.
fn described(record: &Record<'_>, medium: Medium) -> String {
    let mut text = record.value.to_string();
    if !record.unit.is_empty() {
        let _ = write!(text, " {}", record.unit);
    }
    if let Some(code) = record.obis(medium) {
        let _ = write!(text, " ({code})");
    }
    text
}

/// What a CI field announces, in a few words (EN 13757-7, table 2).
#[must_use]
pub const fn ci_name(ci: u8) -> &'static str {
    match ci {
        0x69 => "format frame, no header",
        0x6A => "format frame, short header",
        0x6B => "format frame, long header",
        0x6E..=0x70 => "application error",
        0x71 | 0x74 | 0x75 => "alarm",
        0x72 => "records, long header",
        0x73 => "fixed structure; on radio a compact frame, long header",
        0x76 => "records, long header, most significant byte first",
        0x77 => "fixed structure, most significant byte first",
        0x78 => "records, no header",
        0x79 => "compact frame, no header",
        0x7A => "records, short header",
        0x7B => "compact frame, short header",
        0x80 | 0x8B => "long header alone",
        0x8A => "short header alone",
        0x81 => "network layer",
        0x8C => "extended link layer I",
        0x8D => "extended link layer II",
        0x8E => "extended link layer III",
        0x8F => "extended link layer IV",
        0x90 => "authentication and fragmentation layer",
        0xA0..=0xB7 => "manufacturer's own",
        0xB8..=0xBF => "sets the baud rate",
        _ => "another application",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Address, Control, req_ud2};
    use alloc::vec;
    use proptest::prelude::*;

    /// Every byte is in exactly one annotation.
    fn covers(annotations: &[Annotation], bytes: usize) -> bool {
        let mut at = 0;
        annotations.iter().all(|annotation| {
            let follows = annotation.offset == at && annotation.length > 0;
            at += annotation.length;
            follows
        }) && at == bytes
    }

    #[test]
    fn a_readout_is_annotated_field_by_field() {
        let payload = [
            0x78, 0x56, 0x34, 0x12, 0x77, 0x04, 0x0E, 0x16, 0x0A, 0x00, 0x00, 0x00, 0x2F, 0x0C, 0x13, 0x21, 0x43, 0x05,
            0x00, 0x0D, 0xFD, 0x11, 0x02, b'b', b'a', 0x0F, 0x01,
        ];
        let control = Control::RspUd { acd: false, dfc: false };
        let frame = Frame::Long { control, address: Address(1), ci: 0x72, payload: &payload }.emit().unwrap();
        let annotations = annotate(&frame);
        assert!(covers(&annotations, frame.len()), "{annotations:#?}");
        let value = annotations.iter().find(|annotation| annotation.field == "value").unwrap();
        assert_eq!((value.offset, value.length), (22, 4));
        assert_eq!(value.meaning, "54.321 m3 (8-0:1.0.0*255)");
        assert!(annotations.iter().any(|annotation| annotation.field == "length" && annotation.meaning == "2 bytes"));
        assert!(covers(&annotate(&req_ud2(Address(1), true)), 5));
        assert!(covers(&annotate(&[0xE5, 1, 2]), 3));
    }

    proptest! {
        #[test]
        fn every_byte_of_any_frame_is_annotated(ci: u8, payload in proptest::collection::vec(any::<u8>(), 0..252)) {
            let control = Control::RspUd { acd: false, dfc: false };
            let frame = Frame::Long { control, address: Address(1), ci, payload: &payload }.emit().unwrap();
            let annotations = annotate(&frame);
            prop_assert!(covers(&annotations, frame.len()), "{:#?}", annotations);
        }

        #[test]
        fn every_byte_of_anything_is_annotated(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(covers(&annotate(&bytes), bytes.len()));
            let mut frame = vec![0x68, 0x03, 0x03, 0x68];
            frame.extend(&bytes);
            prop_assert!(covers(&annotate(&frame), frame.len()));
        }
    }
}
