use super::ANNOTATION_COUNT_MAX;
use crate::annotate::{Annotation, Annotations};
use crate::apdu::{Apdu, ApduError, Ciphered};
use crate::axdr::Budget;
use crate::security::SecurityControl;
use alloc::format;
use alloc::vec::Vec;
use core::fmt::Display;
use plomb_session::Reader;

const APDU: &str = "apdu";

/// Reads and annotates: what the reader has passed is annotated, always.
pub(super) struct Walk<'a> {
    pub(super) reader: Reader<'a>,
    /// Values are somebody's secret: the APDU names an attribute or a method of that kind.
    pub(super) is_secret: bool,
    budget: Budget,
    out: Annotations,
    count: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (reader, out) = (Reader::new(bytes), Annotations::starting_at(0));
        Self { reader, is_secret: false, budget: Budget::new(), out, count: 0 }
    }

    pub(super) fn finish(self) -> Vec<Annotation> {
        self.out.finish()
    }

    /// Whether there are as many annotations as there may be.
    pub(super) const fn is_full(&self) -> bool {
        self.count >= ANNOTATION_COUNT_MAX
    }

    /// Reads a field, and annotates the bytes that it took.
    pub(super) fn field<T, D: Display>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'a>, &mut Budget) -> Result<T, ApduError>,
        meaning: impl FnOnce(&T) -> D,
    ) -> Result<T, ApduError> {
        let mut reader = self.reader;
        let found = read(&mut reader, &mut self.budget)?;
        let length = reader.offset().saturating_sub(self.reader.offset());
        self.reader = reader;
        self.out.push(length, APDU, field, meaning(&found));
        self.count = self.count.saturating_add(1);
        Ok(found)
    }

    /// One byte.
    pub(super) fn byte<D: Display>(
        &mut self,
        field: &'static str,
        meaning: impl FnOnce(u8) -> D,
    ) -> Result<u8, ApduError> {
        self.field(field, |reader, _| Ok(reader.u8()?), |byte| meaning(*byte))
    }

    /// A number of two bytes.
    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, ApduError> {
        self.field(field, |reader, _| Ok(reader.u16_be()?), |number| *number)
    }

    /// A number of four bytes.
    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, ApduError> {
        self.field(field, |reader, _| Ok(reader.u32_be()?), |number| *number)
    }

    /// Whether an optional field follows.
    pub(super) fn is_there(&mut self, field: &'static str) -> Result<bool, ApduError> {
        let byte = self.byte(field, |byte| if byte == 0 { "none" } else { "present" })?;
        Ok(byte != 0)
    }

    /// Bytes behind their length, shown as digits.
    pub(super) fn octets(&mut self, field: &'static str) -> Result<(), ApduError> {
        let read = |reader: &mut Reader<'a>, _: &mut Budget| Ok(crate::axdr::octets(reader)?);
        self.field(field, read, |bytes| crate::object::Octets(bytes.clone())).map(drop)
    }

    /// Bytes behind their length, of which only the number is shown.
    pub(super) fn hidden(&mut self, field: &'static str) -> Result<(), ApduError> {
        let read = |reader: &mut Reader<'a>, _: &mut Budget| Ok(crate::axdr::octets(reader)?);
        self.field(field, read, |bytes| format!("{} bytes", bytes.len())).map(drop)
    }

    /// All that is left.
    pub(super) fn rest(&mut self, field: &'static str, meaning: impl Display) {
        self.out.push(self.reader.left(), APDU, field, meaning);
        let left = self.reader.left();
        let _ = self.reader.take(left);
    }

    /// The next `count` bytes by themselves: what can't be read of them does not spoil what follows.
    pub(super) fn inside(
        &mut self,
        count: usize,
        walk: impl FnOnce(&mut Self) -> Result<(), ApduError>,
    ) -> Result<(), ApduError> {
        let inner = self.reader.sub(count)?;
        let outer = core::mem::replace(&mut self.reader, inner);
        if let Err(error) = walk(self) {
            self.rest("not read", error);
        }
        self.rest("trailing", "bytes behind the field");
        self.reader = outer;
        Ok(())
    }

    /// An APDU of any kind.
    pub(super) fn apdu(&mut self) -> Result<(), ApduError> {
        match self.reader.peek().unwrap_or_default() {
            0x60..=0x63 => self.association(),
            0x0F => self.data_notification(),
            0xC0 => self.get_request(),
            0xC1 => self.set_request(),
            0xC2 => self.event_notification(),
            0xC3 => self.action_request(),
            0xC4 => self.get_response(),
            0xC5 => self.set_response(),
            0xC7 => self.action_response(),
            0xD8 => self.whole("exception"),
            0xDF => self.signing(),
            0xE0 => self.general_block(),
            _ => self.inner(),
        }
    }

    /// An APDU that may stand in another: in an association's user information.
    pub(super) fn inner(&mut self) -> Result<(), ApduError> {
        match self.reader.peek() {
            Some(0x01) => self.initiate_request(),
            Some(0x08) => self.initiate_response(),
            Some(0x0E) => self.whole("error"),
            Some(tag) if Ciphered::is_ciphered(tag) => self.ciphered(tag),
            Some(tag) => Err(ApduError::UnknownTag { tag }),
            None => Ok(()),
        }
    }

    /// A short APDU that is told in one sentence behind its tag.
    fn whole(&mut self, field: &'static str) -> Result<(), ApduError> {
        let apdu = Apdu::parse(self.reader.rest())?;
        self.byte("tag", |_| apdu.name())?;
        match apdu {
            Apdu::ExceptionResponse(exception) => self.rest(field, exception),
            Apdu::ConfirmedServiceError(error) => self.rest(field, error),
            _ => {}
        }
        Ok(())
    }

    fn ciphered(&mut self, tag: u8) -> Result<(), ApduError> {
        let name = Ciphered { bytes: [tag].to_vec() }.name();
        self.byte("tag", |_| name)?;
        match tag {
            0xDB | 0xDC => self.octets("system title")?,
            0xDD => {
                self.octets("transaction")?;
                self.octets("originator")?;
                self.octets("recipient")?;
                self.octets("time")?;
                self.octets("other information")?;
                // What key was used is a choice of its own: the security room reads it.
                self.rest("key and ciphertext", "under a key that both sides know or agree on");
                return Ok(());
            }
            _ => {}
        }
        let length = self.length("length")?;
        self.inside(length, |walk| {
            let control = walk.byte("security control", |byte| {
                let control = SecurityControl(byte);
                let key = if control.is_broadcast() { ", broadcast key" } else { "" };
                format!("suite {}, {}{key}", control.suite(), control.protection())
            })?;
            walk.u32("invocation counter")?;
            let protection = SecurityControl(control).protection();
            let tag_bytes = if protection.authenticated { TAG_BYTES } else { 0 };
            let content = walk.reader.left().saturating_sub(tag_bytes);
            walk.inside(content, |walk| {
                walk.rest("content", if protection.encrypted { "encrypted" } else { "an APDU in clear" });
                Ok(())
            })?;
            walk.rest("authentication tag", "not checked here");
            Ok(())
        })
    }

    /// A length.
    pub(super) fn length(&mut self, field: &'static str) -> Result<usize, ApduError> {
        let read = |reader: &mut Reader<'a>, _: &mut Budget| Ok(crate::axdr::parse_length(reader)?);
        self.field(field, read, |length| format!("{length} bytes"))
    }
}

/// The tag of GCM in all suites.
const TAG_BYTES: usize = 12;
