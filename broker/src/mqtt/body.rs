//! A bounded reader over one packet's body.

use super::packet::PacketId;
use super::{Fault, Invalid, TopicError, TopicFilter, TopicName};

/// Reads fields in order; every error carries the offset within the packet.
#[derive(Debug)]
pub(super) struct Body<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Body<'a> {
    pub(super) fn new(body: &'a [u8], header_bytes: usize) -> Self {
        Self { rest: body, offset: header_bytes }
    }

    pub(super) fn invalid(&self, reason: Fault) -> Invalid {
        Invalid { offset: self.offset, reason }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Invalid> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.invalid(Fault::Truncated))?;
        self.rest = rest;
        self.offset += count;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Invalid> {
        self.take(1)?.first().copied().ok_or(self.invalid(Fault::Truncated))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Invalid> {
        let bytes = self.take(2)?.try_into().map_err(|_| self.invalid(Fault::Truncated))?;
        Ok(u16::from_be_bytes(bytes))
    }

    pub(super) fn packet_id(&mut self) -> Result<PacketId, Invalid> {
        let offset = self.offset;
        PacketId::new(self.u16()?).ok_or(Invalid { offset, reason: Fault::PacketIdZero })
    }

    /// A length of two bytes, then as many bytes.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Invalid> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// UTF-8 without control characters (§1.5.3).
    pub(super) fn string(&mut self) -> Result<&'a str, Invalid> {
        let offset = self.offset;
        let bytes = self.binary()?;
        std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.chars().any(char::is_control))
            .ok_or(Invalid { offset, reason: Fault::String })
    }

    pub(super) fn topic_name(&mut self) -> Result<TopicName<'a>, Invalid> {
        self.topic(TopicName::new)
    }

    pub(super) fn topic_filter(&mut self) -> Result<TopicFilter<'a>, Invalid> {
        self.topic(TopicFilter::new)
    }

    fn topic<T>(&mut self, check: fn(&'a str) -> Result<T, TopicError>) -> Result<T, Invalid> {
        let offset = self.offset;
        let text = self.string()?;
        check(text).map_err(|e| Invalid { offset, reason: Fault::Topic(e) })
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        self.offset += self.rest.len();
        std::mem::take(&mut self.rest)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Invalid> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid(Fault::TrailingBytes(self.rest.len()))) }
    }
}
