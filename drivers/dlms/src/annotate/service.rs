//! What each byte of GET, SET, ACTION and their answers is.

use super::apdu::{SECRET, Stop, TIME, Walk, Walked};
use crate::apdu::{ActionResult, DataAccessResult};
use crate::axdr::Value;
use crate::object::{is_secret_attribute, is_secret_method};
use plomb_session::{Obis, Reader};

impl Walk<'_, '_> {
    /// GET, SET, ACTION and events, requests and responses.
    pub(super) fn service(&mut self, tag: u8) -> Walked {
        if tag == 0xC2 {
            if self.flag("time")? {
                self.octets(TIME)?;
            }
            let hidden = self.descriptor(false)?;
            return self.value_or_secret(hidden);
        }
        let choice = self.peek(0)?;
        self.field(1, "choice", choice)?;
        self.number(1, "invoke id")?;
        match (tag, choice) {
            (0xC0, 1) => self.wanted().map(|_| ()),
            (0xC0, 2) | (0xC3, 2) | (0xC5, 2) | (0xC7, 4) => self.number(4, "block number"),
            (0xC0, 3) => self.list(|walk| walk.wanted().map(|_| ())),
            (0xC1, 1) => {
                let hidden = self.wanted()?;
                self.value_or_secret(hidden)
            }
            (0xC1, 2) => {
                let hidden = self.wanted()?;
                self.data_block(hidden)
            }
            (0xC1, 3) | (0xC3, 6) | (0xC7, 2) => self.data_block(false),
            (0xC1, 4) => {
                let mut hidden = false;
                self.list(|walk| {
                    hidden |= walk.wanted()?;
                    Ok(())
                })?;
                self.list(|walk| walk.value_or_secret(hidden))
            }
            (0xC1, 5) => {
                let mut hidden = false;
                self.list(|walk| {
                    hidden |= walk.wanted()?;
                    Ok(())
                })?;
                self.data_block(hidden)
            }
            (0xC3, 1) => {
                let hidden = self.descriptor(true)?;
                if self.flag("parameters")? { self.value_or_secret(hidden) } else { Ok(()) }
            }
            (0xC3, 3) => {
                let mut hidden = false;
                self.list(|walk| {
                    hidden |= walk.descriptor(true)?;
                    Ok(())
                })?;
                self.list(|walk| walk.value_or_secret(hidden))
            }
            (0xC3, 4) => {
                let hidden = self.descriptor(true)?;
                self.data_block(hidden)
            }
            (0xC3, 5) => {
                let mut hidden = false;
                self.list(|walk| {
                    hidden |= walk.descriptor(true)?;
                    Ok(())
                })?;
                self.data_block(hidden)
            }
            (0xC4, 1) => self.answer(),
            (0xC4, 2) => {
                self.number(1, "last block")?;
                self.number(4, "block number")?;
                match self.peek(0)? {
                    0 => {
                        self.field(1, "choice", "a block")?;
                        self.octets("block")
                    }
                    _ => {
                        self.field(1, "choice", "a result")?;
                        self.result()
                    }
                }
            }
            (0xC4, 3) => self.list(Self::answer),
            (0xC5, 1) => self.result(),
            (0xC5, 3) => {
                self.result()?;
                self.number(4, "block number")
            }
            (0xC5, 4) => {
                self.list(Self::result)?;
                self.number(4, "block number")
            }
            (0xC5, 5) => self.list(Self::result),
            (0xC7, 1) => self.returned(),
            (0xC7, 3) => self.list(Self::returned),
            _ => Err(Stop),
        }
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Walked) -> Walked {
        let (count, head) = self.length_at(0)?;
        self.field(head, "count", count)?;
        self.inner(1, |walk| {
            for _ in 0..count {
                item(walk)?;
            }
            Ok(())
        })
    }

    /// A block that follows says nothing of what it is a part of, so only the first can be hidden.
    fn data_block(&mut self, hidden: bool) -> Walked {
        self.number(1, "last block")?;
        self.number(4, "block number")?;
        self.octets(if hidden { SECRET } else { "block" })
    }

    fn result(&mut self) -> Walked {
        let result = DataAccessResult(self.peek(0)?);
        self.field(1, "result", result)
    }

    fn answer(&mut self) -> Walked {
        match self.peek(0)? {
            0 => {
                self.field(1, "choice", "a value")?;
                self.value(0)
            }
            _ => {
                self.field(1, "choice", "a result")?;
                self.result()
            }
        }
    }

    fn returned(&mut self) -> Walked {
        let result = ActionResult(self.peek(0)?);
        self.field(1, "result", result)?;
        if self.flag("return value")? { self.answer() } else { Ok(()) }
    }

    /// An attribute and perhaps a part of it; whether its value is a secret.
    fn wanted(&mut self) -> Result<bool, Stop> {
        let hidden = self.descriptor(false)?;
        if self.flag("selective access")? {
            self.number(1, "selector")?;
            self.value(0)?;
        }
        Ok(hidden)
    }

    /// An attribute or a method; whether its value is a secret.
    fn descriptor(&mut self, method: bool) -> Result<bool, Stop> {
        let Some(&[c0, c1, a, b, c, d, e, f, member]) = self.bytes.first_chunk() else { return Err(Stop) };
        let (class, member) = (u16::from_be_bytes([c0, c1]), i8::from_be_bytes([member]));
        self.field(2, "class", class)?;
        self.field(6, "instance", Obis([a, b, c, d, e, f]))?;
        self.field(1, if method { "method" } else { "attribute" }, member)?;
        Ok(if method { is_secret_method(class, member) } else { is_secret_attribute(class, member) })
    }

    fn value_or_secret(&mut self, hidden: bool) -> Walked {
        if !hidden {
            return self.value(0);
        }
        let mut reader = Reader::new(self.bytes);
        Value::parse(&mut reader).map_err(|_| Stop)?;
        let length = reader.offset();
        self.field(length, SECRET, format_args!("{length} bytes"))
    }
}
