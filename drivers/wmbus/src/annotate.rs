//! What each byte of a telegram is, decrypted where the key is at hand: for people who look at frames.

use crate::afl::Afl;
use crate::cipher::TAG_BYTES;
use crate::compact::Compact;
use crate::ell::Ell;
use crate::link::{Format, Link, LinkFrame};
use crate::open::{Content, MeterState, OpenError, Opened, Opener};
use crate::telegram::{Telegram, Upper};
use crate::transport::{Application, SecurityMode, Transport, TransportHeader};
use alloc::vec::Vec;
use plomb_mbus::{Annotation, Annotations, DataField, Frame, MeterId, Records, ci_name};
use plomb_session::Reader;

const LINK: &str = "link";
const ELL: &str = "extended link";
const AFL: &str = "authentication";
const TRANSPORT: &str = "transport";
const RECORD: &str = "record";
const CRC_BYTES: usize = 2;

/// What each byte of a radio frame is, in the frame's order and without gaps. Ciphertext is annotated
/// with what it says when `opener` opens it as the telegram of the meter with `state`, else with the
/// reason why not.
///
/// Offsets count in `bytes` as given, CRCs included. A field that a CRC cuts is annotated in pieces.
#[must_use]
pub fn annotate(bytes: &[u8], opener: &mut Opener, state: &MeterState) -> Vec<Annotation> {
    let mut buffer = Vec::new();
    let mut out = Annotations::starting_at(0);
    let frame = match LinkFrame::parse(bytes, &mut buffer) {
        Ok(frame) => frame,
        Err(error) => {
            out.push(bytes.len(), LINK, "not read", error);
            return out.finish();
        }
    };
    link(&mut out, &frame.link, frame.format);
    let end = out.offset().saturating_add(frame.payload.len());
    match Telegram::from_link(&frame) {
        Ok(telegram) => layers(&mut out, &telegram, end, opener, state),
        Err(error) => not_read(&mut out, end, error),
    }
    with_crcs(out.finish(), frame.format, bytes.len())
}

/// As [`annotate`], of a wired frame. `asked` is as in [`Telegram::parse_wired`].
#[must_use]
pub fn annotate_wired(
    bytes: &[u8],
    asked: Option<MeterId>,
    opener: &mut Opener,
    state: &MeterState,
) -> Vec<Annotation> {
    let (Ok(frame @ Frame::Long { payload, .. }), Ok(telegram)) =
        (Frame::parse_whole(bytes), Telegram::parse_wired(bytes, asked))
    else {
        return plomb_mbus::annotate(bytes);
    };
    let mut out = Annotations::starting_at(0);
    out.wired_head(&frame, payload.len());
    let end = bytes.len().saturating_sub(2);
    layers(&mut out, &telegram, end, opener, state);
    out.wired_end();
    out.finish()
}

fn link(out: &mut Annotations, link: &Link, format: Format) {
    out.push(1, LINK, "L", format);
    out.push(1, LINK, "C", link.control);
    out.push(2, LINK, "manufacturer", link.sender.manufacturer);
    out.push(4, LINK, "identification", link.sender.id);
    out.push(1, LINK, "version", link.sender.version);
    out.push(1, LINK, "medium", link.sender.medium);
}

fn not_read(out: &mut Annotations, end: usize, why: impl core::fmt::Display) {
    let at = out.offset();
    out.push(end.saturating_sub(at), "application", "not read", why);
}

fn layers(out: &mut Annotations, telegram: &Telegram<'_>, end: usize, opener: &mut Opener, state: &MeterState) {
    if let Some(ell) = &telegram.ell {
        extended_link(out, ell);
    }
    match telegram.upper {
        Upper::Fragment { afl, .. } => {
            authentication(out, &afl);
            let at = out.offset();
            out.push(end.saturating_sub(at), TRANSPORT, "fragment", "a piece of a message");
        }
        Upper::Message { afl, transport } => message(out, afl.as_ref(), &transport, end, opener.open(telegram, state)),
        Upper::Sealed { bytes, offset } => {
            let mut inner = Vec::new();
            if let Err(error) = opener.unseal(telegram, bytes, state, &mut inner) {
                return out.push(end.saturating_sub(offset), ELL, "ciphertext", error);
            }
            out.push(CRC_BYTES, ELL, "payload CRC", "right after decryption");
            let inner = inner.get(CRC_BYTES..).unwrap_or_default();
            match Upper::read(&mut Reader::with_base(inner, out.offset())) {
                Ok(Upper::Message { afl, transport }) => {
                    message(out, afl.as_ref(), &transport, end, opener.open(telegram, state));
                }
                Ok(_) => not_read(out, end, OpenError::Fragment),
                Err(error) => not_read(out, end, error),
            }
        }
    }
}

fn extended_link(out: &mut Annotations, ell: &Ell) {
    out.push(1, ELL, "CI", ci_name(ell.ci));
    out.push(1, ELL, "communication control", format_args!("{:02x}", ell.communication));
    out.push(1, ELL, "access number", ell.access);
    if let Some(receiver) = ell.receiver {
        out.push(2, ELL, "receiver's manufacturer", receiver.manufacturer);
        out.push(4, ELL, "receiver's identification", receiver.id);
        out.push(1, ELL, "receiver's version", receiver.version);
        out.push(1, ELL, "receiver's medium", receiver.medium);
    }
    if let Some(session) = ell.session {
        let method = if session.encryption() == 0 { "plain" } else { "encrypted" };
        let (minutes, number) = (session.minutes(), session.session());
        out.push(4, ELL, "session", format_args!("{method}, minute {minutes}, session {number}"));
        if session.encryption() == 0 {
            out.push(CRC_BYTES, ELL, "payload CRC", "right");
        }
    }
}

fn authentication(out: &mut Annotations, afl: &Afl<'_>) {
    out.push(1, AFL, "CI", ci_name(0x90));
    out.push(1, AFL, "AFLL", "length of this layer");
    let (fragment, more) = (afl.control.fragment(), afl.control.more_follow());
    out.push(2, AFL, "FCL", format_args!("fragment {fragment}, {}", if more { "more follow" } else { "the last" }));
    if let Some(control) = afl.message_control {
        let authentication = crate::afl::Authentication::from_code(control.authentication());
        out.push(1, AFL, "MCL", authentication);
    }
    if let Some(key) = afl.key {
        out.push(2, AFL, "KI", format_args!("key {}, version {}", key.key_id(), key.version()));
    }
    if let Some(counter) = afl.counter {
        out.push(4, AFL, "MCR", format_args!("message counter {counter}"));
    }
    if let Some(mac) = afl.mac {
        out.push(mac.len(), AFL, "MAC", "message authentication code");
    }
    if let Some(length) = afl.length {
        out.push(2, AFL, "ML", format_args!("message of {length} bytes"));
    }
}

fn message(
    out: &mut Annotations,
    afl: Option<&Afl<'_>>,
    transport: &Transport<'_>,
    end: usize,
    opened: Result<Opened<'_>, OpenError>,
) {
    if let Some(afl) = afl {
        authentication(out, afl);
    }
    out.push(1, TRANSPORT, "CI", ci_name(transport.ci));
    match &transport.header {
        TransportHeader::None => {}
        TransportHeader::Short(short) => out.short_header(short),
        TransportHeader::Long(long) => out.long_header(long),
    }
    let counter_bytes = if transport.counter.is_some() { 4 } else { 0 };
    let extension = transport.payload_at.saturating_sub(out.offset()).saturating_sub(counter_bytes);
    let key = transport.extension.key_id();
    out.push(extension, TRANSPORT, "configuration extension", format_args!("key {key}"));
    if let Some(counter) = transport.counter {
        out.push(counter_bytes, TRANSPORT, "message counter", counter);
    }
    match opened {
        Ok(opened) => application(out, transport, &opened, end),
        Err(error) => {
            let at = out.offset();
            let encrypted = transport.header.mode() != SecurityMode::PLAIN;
            out.push(end.saturating_sub(at), TRANSPORT, if encrypted { "ciphertext" } else { "not read" }, error);
        }
    }
}

fn application(out: &mut Annotations, transport: &Transport<'_>, opened: &Opened<'_>, end: usize) {
    let plain_end = opened.plain_at.saturating_add(opened.plain.len()).min(end);
    if transport.header.mode() != SecurityMode::PLAIN && opened.plain.starts_with(&[0x2F, 0x2F]) {
        out.push(2, TRANSPORT, "check bytes", "right");
    }
    match opened.content {
        Content::Records(restored) if transport.application() == Application::Compact => {
            compact(out, opened, Some(restored), plain_end);
        }
        Content::Compact(..) => compact(out, opened, None, plain_end),
        Content::Records(records) => out.records(records, opened.meter.medium, plain_end),
        Content::Format(_) => rest(out, plain_end, "format", "information blocks without values"),
        Content::Manufacturer(_) => rest(out, plain_end, "manufacturer's data", ""),
        Content::Empty => {}
        Content::Other { .. } => rest(out, plain_end, "not read", "an application of another kind"),
    }
    rest(out, plain_end, "filler", "");
    let left = end.saturating_sub(out.offset());
    let tag = left == TAG_BYTES && opened.mode == SecurityMode::AES_CCM;
    out.push(left, TRANSPORT, if tag { "tag" } else { "trailing" }, if tag { "right" } else { "" });
}

fn rest(out: &mut Annotations, end: usize, field: &'static str, meaning: &str) {
    let at = out.offset();
    out.push(end.saturating_sub(at), "application", field, meaning);
}

/// Signature, CRC, and the values in the order of the restored records.
fn compact(out: &mut Annotations, opened: &Opened<'_>, restored: Option<Records<'_>>, end: usize) {
    let at = out.offset();
    let bytes = opened.plain.get(at.saturating_sub(opened.plain_at)..).unwrap_or_default();
    let Ok(frame) = Compact::read(bytes, at) else {
        return rest(out, end, "not read", "the compact frame ends inside its head");
    };
    out.push(2, RECORD, "format signature", format_args!("{:04x}", frame.signature));
    out.push(2, RECORD, "full frame's CRC", format_args!("{:04x}", frame.full_crc));
    match restored {
        Some(records) => {
            for record in records.flatten() {
                let length_byte = usize::from(record.field == DataField::Variable);
                let (value, unit) = (record.value, record.unit);
                let meaning = format_args!("{} {value} {unit}", record.quantity);
                out.push(record.data.len().saturating_add(length_byte), RECORD, "value", meaning);
            }
        }
        None => rest(out, end, "values", "their format is not known yet"),
    }
}

/// Puts the CRCs of a format back between annotations that counted without them.
fn with_crcs(annotations: Vec<Annotation>, format: Format, bytes: usize) -> Vec<Annotation> {
    let (first, others) = match format {
        Format::Stripped => return annotations,
        Format::A => (10, 16),
        Format::B => (126, 126),
    };
    let mut out = Vec::with_capacity(annotations.len().saturating_add(20));
    let mut at = 0usize;
    let mut room = first;
    for annotation in annotations {
        let mut left = annotation.length;
        while left > 0 {
            let length = left.min(room);
            out.push(Annotation { offset: at, length, ..annotation.clone() });
            at = at.saturating_add(length);
            room = room.saturating_sub(length);
            left = left.saturating_sub(length);
            if room == 0 || at.saturating_add(CRC_BYTES) == bytes {
                out.push(Annotation {
                    offset: at,
                    length: CRC_BYTES,
                    layer: LINK,
                    field: "CRC",
                    meaning: "right".into(),
                });
                at = at.saturating_add(CRC_BYTES);
                room = others;
            }
        }
    }
    out
}
