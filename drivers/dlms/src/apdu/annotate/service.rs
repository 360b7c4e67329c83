use super::walk::Walk;
use crate::apdu::{ActionResult, ApduError, Conformance, DataAccessResult, InvokeId, LIST_COUNT_MAX};
use crate::axdr::DateTime;
use crate::object::{Octets, attribute_name, class, class_name, method_name};
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use plomb_session::{Obis, Reader};

/// The association's password.
const SECRET_ATTRIBUTE: (u16, i8) = (class::ASSOCIATION, 7);
/// A new secret of the association, and an M-Bus meter's key.
const SECRET_METHODS: [(u16, i8); 2] = [(class::ASSOCIATION, 2), (class::MBUS_CLIENT, 7)];

/// A part of an APDU that comes several times.
type Part<'a> = fn(&mut Walk<'a>) -> Result<(), ApduError>;

fn named(number: &impl ToString, name: Option<&str>) -> String {
    name.map_or_else(|| number.to_string(), |name| format!("{}, {name}", number.to_string()))
}

impl<'a> Walk<'a> {
    /// Tag, choice and invoke id; the choice's number.
    fn head(&mut self, name: &'static str, choices: &[&'static str]) -> Result<u8, ApduError> {
        self.byte("tag", |_| name)?;
        let offset = self.reader.offset();
        let text = |choice: u8| choices.get(usize::from(choice).wrapping_sub(1)).copied();
        let choice = self.byte("choice", |choice| text(choice).unwrap_or("unknown"))?;
        text(choice).ok_or(ApduError::UnknownChoice { what: name, choice, offset })?;
        self.byte("invoke id", |byte| {
            let confirmed = if byte & 0x40 != 0 { "confirmed" } else { "unconfirmed" };
            let priority = if byte & 0x80 != 0 { "high" } else { "normal" };
            format!("{}, {confirmed}, {priority} priority", InvokeId(byte).number())
        })?;
        Ok(choice)
    }

    fn list(&mut self, field: &'static str, part: Part<'a>) -> Result<(), ApduError> {
        let offset = self.reader.offset();
        let read = |reader: &mut Reader<'a>, _: &mut _| Ok(crate::axdr::parse_length(reader)?);
        let count = self.field(field, read, |count| format!("{count}"))?;
        if count > LIST_COUNT_MAX {
            return Err(ApduError::LongList { count, offset });
        }
        (0..count).try_for_each(|_| part(self))
    }

    fn object(&mut self) -> Result<u16, ApduError> {
        let class = self.field("class", |r, _| Ok(r.u16_be()?), |class| named(class, class_name(*class)))?;
        self.field("object", |reader, _| Ok(Obis(reader.array()?)), |instance| *instance)?;
        Ok(class)
    }

    fn attribute(&mut self) -> Result<(), ApduError> {
        let class = self.object()?;
        let read = |reader: &mut Reader<'a>, _: &mut _| Ok(i8::from_be_bytes(reader.array()?));
        let attribute = self.field("attribute", read, |number| named(number, attribute_name(class, *number)))?;
        self.is_secret |= SECRET_ATTRIBUTE == (class, attribute);
        Ok(())
    }

    fn method(&mut self) -> Result<(), ApduError> {
        let class = self.object()?;
        let read = |reader: &mut Reader<'a>, _: &mut _| Ok(i8::from_be_bytes(reader.array()?));
        let method = self.field("method", read, |number| named(number, method_name(class, *number)))?;
        self.is_secret |= SECRET_METHODS.contains(&(class, method));
        Ok(())
    }

    fn wanted(&mut self) -> Result<(), ApduError> {
        self.attribute()?;
        if self.is_there("selective access")? {
            self.byte("selector", |selector| match selector {
                1 => "1, by range".to_string(),
                2 => "2, by entry".to_string(),
                other => other.to_string(),
            })?;
            self.value("parameters")?;
        }
        Ok(())
    }

    fn any_value(&mut self) -> Result<(), ApduError> {
        self.value("value")
    }

    fn data_result(&mut self) -> Result<(), ApduError> {
        let offset = self.reader.offset();
        match self.byte("result", |choice| if choice == 0 { "a value" } else { "why there is none" })? {
            0 => self.value("value"),
            1 => self.access_result(),
            choice => Err(ApduError::UnknownChoice { what: "get-data-result", choice, offset }),
        }
    }

    fn access_result(&mut self) -> Result<(), ApduError> {
        self.byte("data-access-result", DataAccessResult).map(drop)
    }

    fn block(&mut self) -> Result<(), ApduError> {
        self.block_head()?;
        self.hidden("block")
    }

    fn block_head(&mut self) -> Result<(), ApduError> {
        self.byte("last block", |last| if last == 0 { "more blocks follow" } else { "the last block" })?;
        self.u32("block number").map(drop)
    }

    pub(super) fn get_request(&mut self) -> Result<(), ApduError> {
        match self.head("get-request", &["normal", "next block", "with list"])? {
            1 => self.wanted(),
            2 => self.u32("block number").map(drop),
            _ => self.list("attributes", Self::wanted),
        }
    }

    pub(super) fn get_response(&mut self) -> Result<(), ApduError> {
        match self.head("get-response", &["normal", "with block", "with list"])? {
            1 => self.data_result(),
            2 => {
                self.block_head()?;
                match self.byte("result", |choice| if choice == 0 { "a block" } else { "why there is none" })? {
                    0 => self.hidden("block"),
                    _ => self.access_result(),
                }
            }
            _ => self.list("results", Self::data_result),
        }
    }

    pub(super) fn set_request(&mut self) -> Result<(), ApduError> {
        let choices = ["normal", "with first block", "with block", "with list", "with list and first block"];
        match self.head("set-request", &choices)? {
            1 => {
                self.wanted()?;
                self.value("value")
            }
            2 => {
                self.wanted()?;
                self.block()
            }
            3 => self.block(),
            4 => {
                self.list("attributes", Self::wanted)?;
                self.list("values", Self::any_value)
            }
            _ => {
                self.list("attributes", Self::wanted)?;
                self.block()
            }
        }
    }

    pub(super) fn set_response(&mut self) -> Result<(), ApduError> {
        let choices = ["normal", "block taken", "last block taken", "last block of a list taken", "with list"];
        match self.head("set-response", &choices)? {
            1 => self.access_result(),
            2 => self.u32("block number").map(drop),
            3 => {
                self.access_result()?;
                self.u32("block number").map(drop)
            }
            4 => {
                self.list("results", Self::access_result)?;
                self.u32("block number").map(drop)
            }
            _ => self.list("results", Self::access_result),
        }
    }

    pub(super) fn action_request(&mut self) -> Result<(), ApduError> {
        let choices =
            ["normal", "next block", "with list", "with first block", "with list and first block", "with block"];
        match self.head("action-request", &choices)? {
            1 => {
                self.method()?;
                if self.is_there("parameters")? { self.value("parameters") } else { Ok(()) }
            }
            2 => self.u32("block number").map(drop),
            3 => {
                self.list("methods", Self::method)?;
                self.list("parameters", Self::any_value)
            }
            4 => {
                self.method()?;
                self.block()
            }
            5 => {
                self.list("methods", Self::method)?;
                self.block()
            }
            _ => self.block(),
        }
    }

    pub(super) fn action_response(&mut self) -> Result<(), ApduError> {
        match self.head("action-response", &["normal", "with block", "with list", "block taken"])? {
            1 => self.action_return(),
            2 => self.block(),
            3 => self.list("results", Self::action_return),
            _ => self.u32("block number").map(drop),
        }
    }

    fn action_return(&mut self) -> Result<(), ApduError> {
        self.byte("action-result", ActionResult)?;
        if self.is_there("return value")? { self.data_result() } else { Ok(()) }
    }

    pub(super) fn data_notification(&mut self) -> Result<(), ApduError> {
        self.byte("tag", |_| "data-notification")?;
        self.u32("long invoke id")?;
        // The same deviation that the parser forgives.
        if self.reader.rest().starts_with(&[0x09, 0x0C]) {
            self.byte("tag of the time", |_| "octet-string, which the standard does not have here")?;
        }
        self.time()?;
        self.value("body")
    }

    pub(super) fn event_notification(&mut self) -> Result<(), ApduError> {
        self.byte("tag", |_| "event-notification-request")?;
        if self.is_there("time")? {
            self.time()?;
        }
        self.attribute()?;
        self.value("value")
    }

    fn time(&mut self) -> Result<(), ApduError> {
        let read = |reader: &mut Reader<'a>, _: &mut _| Ok(crate::axdr::octets(reader)?);
        let meaning = |bytes: &alloc::vec::Vec<u8>| match DateTime::from_slice(bytes) {
            Some(time) => time.to_string(),
            None if bytes.is_empty() => "none".to_string(),
            None => Octets(bytes.clone()).to_string(),
        };
        self.field("time", read, meaning).map(drop)
    }

    pub(super) fn general_block(&mut self) -> Result<(), ApduError> {
        self.byte("tag", |_| "general-block-transfer")?;
        self.byte("block control", |byte| {
            let last = if byte & 0x80 != 0 { "the last block" } else { "more blocks follow" };
            let streaming = if byte & 0x40 != 0 { ", streaming" } else { "" };
            format!("{last}{streaming}, window {}", byte & 0x3F)
        })?;
        self.u16("block number")?;
        self.u16("block acknowledged")?;
        self.hidden("block")
    }

    pub(super) fn signing(&mut self) -> Result<(), ApduError> {
        self.byte("tag", |_| "general-signing")?;
        for field in ["transaction", "originator", "recipient"] {
            self.octets(field)?;
        }
        self.time()?;
        self.octets("other information")?;
        self.hidden("content")?;
        self.hidden("signature")
    }

    pub(super) fn initiate_request(&mut self) -> Result<(), ApduError> {
        self.byte("tag", |_| "initiateRequest")?;
        if self.is_there("dedicated key")? {
            self.hidden("dedicated key")?;
        }
        if self.is_there("response allowed")? {
            self.byte("response allowed", |byte| byte != 0)?;
        }
        if self.is_there("quality of service")? {
            self.byte("quality of service", |byte| byte)?;
        }
        self.byte("version", |version| version)?;
        self.conformance()?;
        self.u16("longest APDU").map(drop)
    }

    pub(super) fn initiate_response(&mut self) -> Result<(), ApduError> {
        self.byte("tag", |_| "initiateResponse")?;
        if self.is_there("quality of service")? {
            self.byte("quality of service", |byte| byte)?;
        }
        self.byte("version", |version| version)?;
        self.conformance()?;
        self.u16("longest APDU")?;
        self.u16("VAA name").map(drop)
    }

    fn conformance(&mut self) -> Result<(), ApduError> {
        let meaning = |conformance: &Conformance| {
            let mut names = String::new();
            for name in conformance.names() {
                let comma = if names.is_empty() { "" } else { ", " };
                names = names + comma + name;
            }
            names
        };
        self.field("conformance", |reader, _| Conformance::read(reader), meaning).map(drop)
    }
}
