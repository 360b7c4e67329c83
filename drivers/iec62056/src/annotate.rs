//! What each byte of a message or a telegram is: for people who look at them.

use crate::dataset::DataSets;
use crate::message::{ACK, ETX, Message, NAK, SOH, STX};
use crate::p1::Telegram;
use alloc::format;
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
    /// The layer that the bytes belong to: `line` or `data`.
    pub layer: &'static str,
    /// The field's name.
    pub field: &'static str,
    /// What the bytes say.
    pub meaning: String,
}

const LINE: &str = "line";
const DATA: &str = "data";

#[derive(Default)]
struct Annotations {
    list: Vec<Annotation>,
    at: usize,
}

impl Annotations {
    fn push(&mut self, length: usize, layer: &'static str, field: &'static str, meaning: impl Display) {
        if length > 0 {
            self.list.push(Annotation { offset: self.at, length, layer, field, meaning: meaning.to_string() });
            self.at = self.at.saturating_add(length);
        }
    }

    /// The sets of a block that begins here, and what stands between them.
    fn block(&mut self, block: &[u8]) {
        let start = self.at;
        for set in DataSets::new(block).flatten() {
            let offset = start.saturating_add(set.offset);
            self.between(offset);
            let code = set.obis().map(|code| format!("{code} ")).unwrap_or_default();
            let mut meaning = format!("{code}=");
            for group in set.groups() {
                meaning.push(' ');
                match (group.timestamp(), group.decimal(), group.unit) {
                    (Some(time), _, _) => meaning.push_str(&time.to_string()),
                    (_, Some(number), Some(unit)) => meaning.push_str(&format!("{number} {unit}")),
                    (_, _, Some(unit)) => meaning.push_str(&format!("{} {unit}", group.value)),
                    (_, _, None) => meaning.push_str(group.value),
                }
            }
            self.push(set.length, DATA, "data set", meaning);
        }
        self.between(start.saturating_add(block.len()));
    }

    fn between(&mut self, end: usize) {
        self.push(end.saturating_sub(self.at), DATA, "between", "ends of lines, or what is no data set");
    }
}

/// What each byte of one or several messages (IEC 62056-21) or telegrams (P1) is, one behind the
/// other. Parity bits must have been removed. Every byte is in exactly one annotation; what cannot be
/// read is annotated with the reason.
#[must_use]
pub fn annotate(bytes: &[u8]) -> Vec<Annotation> {
    let mut out = Annotations::default();
    while let Some(rest) = bytes.get(out.at..).filter(|rest| !rest.is_empty()) {
        match Telegram::parse_leniently(rest) {
            Ok(Some((telegram, consumed, error))) => {
                out.push(telegram.body_at, LINE, "header", telegram.identification());
                out.block(telegram.body);
                out.push(1, LINE, "end of data", "!");
                let sum =
                    consumed.saturating_sub(telegram.body_at).saturating_sub(telegram.body.len()).saturating_sub(1);
                match error {
                    Some(error) => out.push(sum, LINE, "CRC", error),
                    None => out.push(sum, LINE, "CRC", format_args!("{:?}", telegram.checksum)),
                }
            }
            _ => message(&mut out, rest),
        }
    }
    out.list
}

fn message(out: &mut Annotations, rest: &[u8]) {
    match Message::parse(rest) {
        Ok(Some((message, consumed))) => match message {
            Message::Identification(identification) => {
                out.push(consumed, LINE, "identification", format_args!("{:?}", identification.proposal()));
            }
            Message::Acknowledgement if rest.first() == Some(&ACK) && rest.get(4) == Some(&b'\r') => {
                out.push(1, LINE, "ACK", "option select");
                out.push(1, LINE, "V", "protocol: 0 normal, 2 HDLC");
                out.push(1, LINE, "Z", "speed");
                out.push(1, LINE, "Y", "0 readout, 1 programming, 2 binary");
                out.push(rest.len().min(6).saturating_sub(4), LINE, "end of line", "");
            }
            Message::Acknowledgement => out.push(consumed, LINE, "ACK", "understood"),
            Message::RepeatRequest => out.push(consumed, LINE, "NAK", "send it again"),
            Message::Data { block, more } => {
                out.push(1, LINE, "STX", "a block begins");
                out.block(block);
                out.push(
                    1,
                    LINE,
                    if more { "EOT" } else { "ETX" },
                    if more { "more blocks follow" } else { "the last block" },
                );
                out.push(1, LINE, "BCC", "right");
            }
            Message::Command { command, block } => {
                out.push(1, LINE, "SOH", "a command");
                out.push(2, LINE, "command", String::from_utf8_lossy(&command));
                out.push(consumed.saturating_sub(block.len()).saturating_sub(5), LINE, "STX", "a block begins");
                out.block(block);
                out.push(1, LINE, "ETX", "the block ends");
                out.push(1, LINE, "BCC", "right");
            }
            Message::Break => out.push(consumed, LINE, "break", "ends the conversation"),
        },
        Ok(None) => out.push(rest.len(), LINE, "not read", "the message is not complete"),
        Err(_) if rest.starts_with(b"/?") => {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at.saturating_add(1));
            out.push(end, LINE, "request", "asks a meter for its identification");
        }
        Err(error) => {
            let begins = |byte: &u8| matches!(*byte, b'/' | SOH | STX | ETX | ACK | NAK);
            let next = rest.iter().skip(1).position(begins).map_or(rest.len(), |at| at.saturating_add(1));
            out.push(next, LINE, "not read", error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(bytes: &[u8]) -> bool {
        let mut at = 0;
        let fits = annotate(bytes).iter().all(|one| {
            let fits = one.offset == at && one.length > 0;
            at += one.length;
            fits
        });
        fits && at == bytes.len()
    }

    #[test]
    fn a_conversation_with_its_fields() {
        let mut line = b"/?!\r\n/LGZ5\\2ZMD\r\n\x06050\r\n\x020.0.0(123)\r\n1.8.0(1.5*kWh)\r\n!\r\n\x03".to_vec();
        let stx = line.iter().position(|byte| *byte == STX).unwrap();
        line.push(crate::bcc(&line[stx + 1..]));
        line.extend(crate::command(*b"P0", b"()"));
        line.extend(crate::break_message());
        assert!(covers(&line));
        let fields: Vec<_> = annotate(&line).iter().map(|one| one.field).collect();
        assert_eq!(fields[..7], ["request", "identification", "ACK", "V", "Z", "Y", "end of line"]);
        assert_eq!(annotate(&line).iter().filter(|one| one.field == "data set").count(), 3);
        assert!(annotate(&line).iter().any(|one| one.meaning == "1-0:1.8.0*255 = 1.5 kWh"));
        assert!(fields.iter().all(|field| *field != "not read"), "{fields:?}");
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_annotation(parts in prop::collection::vec(prop::sample::select(&["/ABC5x\r\n", "/?!\r\n", "\x06", "\x06050\r\n", "\x02", "1.8.0(1)\r\n", "!\r\n", "!1234\r\n", "\x03", "\x01B0\x03q", "\x01P0\x02()\x03`"][..]), 0..12), extra: Vec<u8>) {
            let bytes = [parts.concat().as_bytes(), &extra].concat();
            prop_assert!(covers(&bytes), "{:?}", annotate(&bytes));
        }
    }
}
