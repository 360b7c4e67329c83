//! What each byte of an APDU is. What lies inside is indented by two spaces.

use super::Annotations;
use super::acse::association;
use crate::apdu::{Apdu, Ciphered};
use crate::axdr::{DEPTH_MAX, DateTime, Value, parse_length};
use crate::security::SecurityControl;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Display;
use plomb_session::{Obis, Reader};

/// The field of bytes that are a secret or come close to one: passwords, challenges, keys. Whoever shows annotations
/// shows their length only.
pub const SECRET: &str = "secret";

/// The field of a date and time.
pub(super) const TIME: &str = "time";
const APDU: &str = "apdu";
/// The tag behind a text that is authenticated.
const TAG_BYTES: usize = 12;
/// How much of a value is written out, in characters.
const MEANING_CHARS_MAX: usize = 120;

/// The walk stops: the bytes are not what they should be. What is left is annotated as such.
pub(super) struct Stop;

pub(super) type Walked = Result<(), Stop>;

/// Walks over the bytes of an APDU.
pub(super) struct Walk<'a, 'o> {
    pub(super) bytes: &'a [u8],
    out: &'o mut Annotations,
    depth: usize,
}

/// Annotates an APDU, or a value that stands alone, whose bytes come next.
pub(super) fn write(out: &mut Annotations, bytes: &[u8]) {
    write_at(out, bytes, 0);
}

pub(super) fn write_at(out: &mut Annotations, bytes: &[u8], depth: usize) {
    let error = Apdu::parse(bytes).err();
    let mut walk = Walk { bytes, out, depth };
    let walked = match error {
        // A value that stands alone.
        Some(_) if Value::parse_whole(bytes).is_ok() => walk.value(0),
        _ => walk.apdu(),
    };
    let left = walk.bytes.len();
    match (walked, error) {
        (_, Some(error)) => out.push(left, APDU, "not read", error),
        (Ok(()), None) => out.push(left, APDU, "trailing", "bytes behind the APDU"),
        (Err(Stop), None) => out.push(left, APDU, "not read", ""),
    }
}

impl<'a> Walk<'a, '_> {
    /// The next `length` bytes, as far as they are there.
    pub(super) fn field(&mut self, length: usize, field: &'static str, meaning: impl Display) -> Walked {
        let rest = self.bytes.get(length..).ok_or(Stop)?;
        self.bytes = rest;
        let depth = self.depth;
        self.out.push(length, APDU, field, format_args!("{:1$}{meaning}", "", depth.saturating_mul(2)));
        Ok(())
    }

    pub(super) fn peek(&self, at: usize) -> Result<u8, Stop> {
        self.bytes.get(at).copied().ok_or(Stop)
    }

    /// The next bytes, without moving; none where there are not as many.
    pub(super) fn next(&self, length: usize) -> &'a [u8] {
        self.bytes.get(..length).unwrap_or_default()
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn inner(&mut self, by: usize, walk: impl FnOnce(&mut Self) -> Walked) -> Walked {
        self.depth = self.depth.saturating_add(by);
        let walked = walk(self);
        self.depth = self.depth.saturating_sub(by);
        walked
    }

    /// Another APDU that takes the next `length` bytes.
    pub(super) fn nested(&mut self, length: usize) -> Walked {
        let (inner, rest) = self.bytes.split_at_checked(length).ok_or(Stop)?;
        self.bytes = rest;
        // Signed and associated ones lie one in the other: no deeper than values.
        if self.depth < DEPTH_MAX {
            write_at(self.out, inner, self.depth.saturating_add(1));
        } else {
            self.out.push(length, APDU, "not read", "too many APDUs in each other");
        }
        Ok(())
    }

    /// A length at `at`, and how many bytes it takes.
    pub(super) fn length_at(&self, at: usize) -> Result<(usize, usize), Stop> {
        let mut reader = Reader::new(self.bytes.get(at..).ok_or(Stop)?);
        let length = parse_length(&mut reader).map_err(|_| Stop)?;
        Ok((length, reader.offset()))
    }

    pub(super) fn number(&mut self, bytes: usize, field: &'static str) -> Walked {
        let run = self.bytes.get(..bytes).ok_or(Stop)?;
        let number = run.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        self.field(bytes, field, number)
    }

    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, Stop> {
        let there = self.peek(0)? != 0;
        self.field(1, field, if there { "present" } else { "absent" })?;
        Ok(there)
    }

    /// Bytes behind their length.
    pub(super) fn octets(&mut self, field: &'static str) -> Walked {
        let (length, head) = self.length_at(0)?;
        let text = self.bytes.get(head..head.saturating_add(length)).ok_or(Stop)?;
        let meaning = match DateTime::from_slice(text) {
            _ if field == SECRET => format!("{length} bytes"),
            Some(time) if field == TIME => time.to_string(),
            _ => hex(text),
        };
        self.field(head, "length", length)?;
        self.field(length, field, meaning)
    }

    fn apdu(&mut self) -> Walked {
        let tag = self.peek(0)?;
        let name = name(tag);
        match tag {
            0x60..=0x63 => association(self, name),
            0xC0..=0xC7 => {
                self.field(1, "tag", name)?;
                self.inner(1, |walk| walk.service(tag))
            }
            0x0F => {
                self.field(1, "tag", name)?;
                self.inner(1, Self::push)
            }
            0x01 | 0x08 => {
                self.field(1, "tag", name)?;
                self.inner(1, |walk| walk.initiate(tag == 0x01))
            }
            0xE0 => {
                self.field(1, "tag", name)?;
                self.inner(1, Self::block)
            }
            0xDF => {
                self.field(1, "tag", name)?;
                self.inner(1, Self::signed)
            }
            0xD8 | 0x0E => {
                self.field(1, "tag", name)?;
                let meaning = match Apdu::parse(&rebuilt(tag, self.bytes)) {
                    Ok(Apdu::ExceptionResponse(exception)) => exception.to_string(),
                    Ok(Apdu::ConfirmedServiceError(error)) => error.to_string(),
                    // What is wrong with it is told of the bytes that are left.
                    _ => return Err(Stop),
                };
                self.inner(1, |walk| walk.field(walk.left(), "error", meaning))
            }
            _ if Ciphered::is_ciphered(tag) => {
                self.field(1, "tag", name)?;
                self.inner(1, |walk| walk.ciphered(tag))
            }
            _ => Err(Stop),
        }
    }

    fn push(&mut self) -> Walked {
        self.number(4, "invoke id")?;
        if self.bytes.starts_with(&[0x09, 0x0C]) {
            self.field(1, "tag", "an octet string, which does not belong here")?;
        }
        self.octets(TIME)?;
        self.value(0)
    }

    fn initiate(&mut self, request: bool) -> Walked {
        if request {
            if self.flag("dedicated key")? {
                self.octets(SECRET)?;
            }
            if self.flag("response allowed")? {
                self.number(1, "response allowed")?;
            }
        }
        if self.flag("quality of service")? {
            self.number(1, "quality of service")?;
        }
        self.number(1, "version")?;
        let conformance: usize = if self.peek(1)? == 0x1F { 7 } else { 6 };
        let bits = self.bytes.get(conformance.saturating_sub(3)..conformance).ok_or(Stop)?;
        let bits = bits.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        let names: alloc::vec::Vec<&str> = crate::apdu::Conformance(bits).names().collect();
        self.field(conformance, "conformance", names.join(", "))?;
        self.number(2, "max PDU")?;
        if request { Ok(()) } else { self.number(2, "VAA name") }
    }

    fn block(&mut self) -> Walked {
        let control = self.peek(0)?;
        let last = if control & 0x80 != 0 { "the last block" } else { "more blocks follow" };
        self.field(1, "control", format_args!("{last}, window {}", control & 0x3F))?;
        self.number(2, "block number")?;
        self.number(2, "acknowledged")?;
        self.octets("block")
    }

    fn signed(&mut self) -> Walked {
        for field in ["transaction", "originator", "recipient", TIME, "other"] {
            self.octets(field)?;
        }
        let (length, head) = self.length_at(0)?;
        self.field(head, "length", length)?;
        self.nested(length)?;
        self.octets("signature")
    }

    fn ciphered(&mut self, tag: u8) -> Walked {
        match tag {
            0xDB | 0xDC => self.octets("system title")?,
            0xDD => {
                for field in ["transaction", "originator", "recipient", TIME, "other"] {
                    self.octets(field)?;
                }
                if self.flag("key info")? {
                    self.key_info()?;
                }
            }
            _ => {}
        }
        let (length, head) = self.length_at(0)?;
        self.field(head, "length", length)?;
        let control = SecurityControl(self.peek(0)?);
        let by = if control.is_broadcast() { ", broadcast key" } else { "" };
        let protection = control.protection();
        self.field(1, "security control", format_args!("suite {}, {protection}{by}", control.suite()))?;
        self.number(4, "invocation counter")?;
        let tag_bytes = if protection.authenticated { TAG_BYTES.min(self.left()) } else { 0 };
        let text = self.left().saturating_sub(tag_bytes);
        self.field(text, if protection.encrypted { "ciphertext" } else { "text" }, format_args!("{text} bytes"))?;
        self.field(tag_bytes, "tag", "authentication tag")
    }

    fn key_info(&mut self) -> Walked {
        let choice = self.peek(0)?;
        self.field(1, "key choice", ["identified", "wrapped", "agreed"].get(usize::from(choice)).ok_or(Stop)?)?;
        match choice {
            0 => self.number(1, "key"),
            1 => {
                self.number(1, "key encrypting key")?;
                self.octets(SECRET)
            }
            _ => {
                self.octets("scheme")?;
                self.octets("ephemeral key")
            }
        }
    }

    pub(super) fn value(&mut self, depth: usize) -> Walked {
        let tag = self.peek(0)?;
        if matches!(tag, 1 | 2) && depth < DEPTH_MAX {
            let (count, head) = self.length_at(1)?;
            let name = if tag == 1 { "array" } else { "structure" };
            self.field(head.saturating_add(1), name, format_args!("of {count}"))?;
            return self.inner(1, |walk| {
                for _ in 0..count {
                    walk.value(depth.saturating_add(1))?;
                }
                Ok(())
            });
        }
        let mut reader = Reader::new(self.bytes);
        let value = Value::parse(&mut reader).map_err(|_| Stop)?;
        let meaning = match &value {
            Value::OctetString(bytes) => match <[u8; 6]>::try_from(bytes.as_slice()) {
                Ok(code @ [.., 0xFF]) => Obis(code).to_string(),
                _ => value.to_string(),
            },
            value => value.to_string(),
        };
        self.field(reader.offset(), value.type_name(), short(meaning))
    }
}

/// The name of the APDU that begins so, as the standard writes it.
fn name(tag: u8) -> &'static str {
    match tag {
        0x01 => "initiateRequest",
        0x08 => "initiateResponse",
        0x0E => "confirmedServiceError",
        0x0F => "data-notification",
        0x60 => "AARQ",
        0x61 => "AARE",
        0x62 => "RLRQ",
        0x63 => "RLRE",
        0xC0 => "get-request",
        0xC1 => "set-request",
        0xC2 => "event-notification-request",
        0xC3 => "action-request",
        0xC4 => "get-response",
        0xC5 => "set-response",
        0xC7 => "action-response",
        0xD8 => "exception-response",
        0xDF => "general-signing",
        0xE0 => "general-block-transfer",
        tag if Ciphered::is_ciphered(tag) => Ciphered { bytes: alloc::vec![tag] }.name(),
        _ => "no APDU",
    }
}

/// The whole APDU again, whose tag was taken off.
fn rebuilt(tag: u8, rest: &[u8]) -> alloc::vec::Vec<u8> {
    core::iter::once(tag).chain(rest.iter().copied()).collect()
}

fn short(mut meaning: String) -> String {
    if let Some((end, _)) = meaning.char_indices().nth(MEANING_CHARS_MAX) {
        meaning.truncate(end);
        meaning.push('…');
    }
    meaning
}

fn hex(bytes: &[u8]) -> String {
    short(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
