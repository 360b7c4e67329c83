//! Long requests and answers, in blocks (IEC 62056-5-3, 6.6 to 6.8).

use super::Session;
use super::service::Selected;
use crate::dlms::config::conformance;
use crate::dlms::meter::Meter;
use crate::dlms::object::{Reference, refusal};
use crate::dlms::value::{take_array, take_byte, take_octets, write_length};
use std::time::Duration;

/// Bytes of a long request, at most.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// What a block has around its bytes: tag, choice, invocation, last, number, choice, length.
const BLOCK_HEADER_BYTES: usize = 1 + 1 + 1 + 1 + 4 + 1 + 5;

/// What an association is in the middle of.
#[derive(Debug)]
pub(super) enum Long {
    None,
    /// An answer whose rest the client asks for, block by block.
    Outgoing {
        text: Vec<u8>,
        sent: usize,
        block: u32,
        is_get: bool,
    },
    Incoming(Incoming),
}

/// A request that comes block by block.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) attributes: Vec<Selected>,
    pub(super) list: bool,
    pub(super) is_set: bool,
    pub(super) text: Vec<u8>,
    block: u32,
}

impl Session {
    /// The first block of a long answer to a GET.
    pub(super) fn get_answer_in_blocks(
        &mut self,
        invoke: u8,
        choice: u8,
        text: Vec<u8>,
        room: usize,
    ) -> Option<Vec<u8>> {
        if self.conformance & conformance::GET_BLOCKS == 0 {
            if self.in_blocks() {
                let result: &[u8] = if choice == 1 { &[0] } else { &[] };
                return Some([&[0xC4, choice, invoke], result, &text[..]].concat());
            }
            return Some(vec![0xC4, 1, invoke, 1, refusal::OTHER]);
        }
        self.long = Long::Outgoing { text, sent: 0, block: 0, is_get: true };
        self.next_block(invoke, room)
    }

    /// The answer to a GET-next: the client says which block it has.
    pub(super) fn get_next(&mut self, rest: &mut &[u8], invoke: u8, room: usize) -> Option<Vec<u8>> {
        let has = u32::from_be_bytes(take_array(rest)?);
        let refuse = |reason| {
            let [a, b, c, d] = has.to_be_bytes();
            Some(vec![0xC4, 2, invoke, 1, a, b, c, d, 1, reason])
        };
        match &self.long {
            Long::Outgoing { block, is_get: true, .. } if *block == has => self.next_block(invoke, room),
            Long::Outgoing { is_get: true, .. } => {
                self.long = Long::None;
                refuse(refusal::BLOCK_NUMBER)
            }
            _ => refuse(refusal::NO_LONG_GET),
        }
    }

    /// An action's answer; in blocks when there is no room for it.
    pub(super) fn action_answer(&mut self, invoke: u8, choice: u8, body: Vec<u8>, room: usize) -> Option<Vec<u8>> {
        // Without blocks it goes as it is, or in general ones.
        if body.len() + 3 <= room || self.conformance & conformance::ACTION_BLOCKS == 0 {
            return Some([&[0xC7, choice, invoke], &body[..]].concat());
        }
        self.long = Long::Outgoing { text: body, sent: 0, block: 0, is_get: false };
        self.next_block(invoke, room)
    }

    pub(super) fn action_next(&mut self, rest: &mut &[u8], invoke: u8, room: usize) -> Option<Vec<u8>> {
        let has = u32::from_be_bytes(take_array(rest)?);
        match &self.long {
            Long::Outgoing { block, is_get: false, .. } if *block == has => self.next_block(invoke, room),
            _ => {
                self.long = Long::None;
                Some(vec![0xC7, 1, invoke, refusal::BLOCK_NUMBER, 0])
            }
        }
    }

    fn next_block(&mut self, invoke: u8, room: usize) -> Option<Vec<u8>> {
        let Long::Outgoing { text, sent, block, is_get } = &mut self.long else { return None };
        let part = text.get(*sent..)?;
        let size = room.saturating_sub(BLOCK_HEADER_BYTES).max(1).min(part.len());
        let last = size == part.len();
        *block = block.wrapping_add(1);
        *sent += size;
        let mut out = vec![if *is_get { 0xC4 } else { 0xC7 }, 2, invoke, u8::from(last)];
        out.extend(block.to_be_bytes());
        if *is_get {
            out.push(0);
        }
        write_length(size, &mut out);
        out.extend(part.get(..size)?);
        if last {
            self.long = Long::None;
        }
        Some(out)
    }

    /// Takes a block of a SET; the first has its targets.
    pub(super) fn set_block(
        &mut self,
        meter: &mut Meter,
        first: Option<(Vec<Selected>, bool)>,
        rest: &mut &[u8],
        invoke: u8,
        at: Duration,
    ) -> Option<Vec<u8>> {
        let first = first.map(|(attributes, list)| Incoming::new(attributes, list, true));
        let (block, ended) = match self.take_block(first, rest)? {
            Ok(taken) => taken,
            Err((block, reason)) => {
                let [a, b, c, d] = block.to_be_bytes();
                return Some(vec![0xC5, 3, invoke, reason, a, b, c, d]);
            }
        };
        let Some(incoming) = ended else {
            return Some([&[0xC5, 2, invoke], &block.to_be_bytes()[..]].concat());
        };
        let results = self.finish(meter, &incoming, at).unwrap_or_else(|| vec![refusal::TYPE_UNMATCHED]);
        let choice = if incoming.list { 4 } else { 3 };
        Some([&[0xC5, choice, invoke], &results[..], &block.to_be_bytes()].concat())
    }

    /// Takes a block of an ACTION; the first has its targets.
    pub(super) fn action_block(
        &mut self,
        meter: &mut Meter,
        first: Option<(Vec<Reference>, bool)>,
        rest: &mut &[u8],
        invoke: u8,
        room: usize,
        at: Duration,
    ) -> Option<Vec<u8>> {
        let first = first.map(|(targets, list)| {
            let selected = targets.into_iter().map(|reference| Selected { reference, selection: None });
            Incoming::new(selected.collect(), list, false)
        });
        let (block, ended) = match self.take_block(first, rest)? {
            Ok(taken) => taken,
            Err((_, reason)) => return Some(vec![0xC7, 1, invoke, reason, 0]),
        };
        let Some(incoming) = ended else {
            return Some([&[0xC7, 4, invoke], &block.to_be_bytes()[..]].concat());
        };
        let body = self.finish(meter, &incoming, at).unwrap_or_else(|| vec![refusal::TYPE_UNMATCHED, 0]);
        self.action_answer(invoke, if incoming.list { 3 } else { 1 }, body, room)
    }

    /// Takes one block; gives its number, and the whole request when it was the last. `Err` has the number and
    /// the reason of a refusal.
    #[expect(clippy::type_complexity, reason = "two outcomes of one block, told apart where they are answered")]
    fn take_block(
        &mut self,
        first: Option<Incoming>,
        rest: &mut &[u8],
    ) -> Option<Result<(u32, Option<Incoming>), (u32, u8)>> {
        let last = take_byte(rest)? != 0;
        let block = u32::from_be_bytes(take_array(rest)?);
        let text = take_octets(rest)?;
        let mut incoming = match (first, std::mem::replace(&mut self.long, Long::None)) {
            (Some(first), _) => first,
            (None, Long::Incoming(incoming)) => incoming,
            (None, _) => return Some(Err((block, refusal::NO_LONG_SET))),
        };
        if block != incoming.block.wrapping_add(1) {
            return Some(Err((block, refusal::BLOCK_NUMBER)));
        }
        if incoming.text.len() + text.len() > REQUEST_BYTES_MAX {
            return Some(Err((block, refusal::BLOCK_UNAVAILABLE)));
        }
        incoming.block = block;
        incoming.text.extend(text);
        if last {
            return Some(Ok((block, Some(incoming))));
        }
        self.long = Long::Incoming(incoming);
        Some(Ok((block, None)))
    }
}

impl Incoming {
    fn new(attributes: Vec<Selected>, list: bool, is_set: bool) -> Self {
        Self { attributes, list, is_set, text: Vec::new(), block: 0 }
    }
}
