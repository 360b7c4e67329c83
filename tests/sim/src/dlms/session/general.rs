//! General block transfer (IEC 62056-5-3, 6.5.3): any APDU in numbered blocks, in windows, either way.

use super::{
    OPERATION_NOT_POSSIBLE, PDU_TOO_LONG, SERVICE_NOT_ALLOWED, SERVICE_NOT_SUPPORTED, SERVICE_UNKNOWN, Session, State,
    exception, pdu_bytes_max,
};
use crate::dlms::config::conformance;
use crate::dlms::meter::Meter;
use crate::dlms::value::{take_array, take_byte, take_octets, write_length};
use std::time::Duration;

const LAST_BLOCK: u8 = 0x80;
const STREAMING: u8 = 0x40;
const WINDOW: u8 = 0x3F;
/// Blocks that a client may send before it hears from the meter.
const OWN_WINDOW_BLOCKS: u8 = 6;
/// What a block has around its bytes: tag, control, two numbers, length.
const BLOCK_HEADER_BYTES: u16 = 1 + 1 + 2 + 2 + 3;
/// Bytes of a request that is put together, at most.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What is being sent and received in blocks.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    outgoing: Vec<u8>,
    block_bytes: usize,
    /// The meter's blocks before the first of what is sent: acknowledgements.
    before: u16,
    incoming: Vec<u8>,
    received: u16,
}

impl Session {
    /// Takes a client's APDU; gives the meter's, one after the other.
    pub(in crate::dlms) fn apdus(&mut self, meter: &mut Meter, apdu: &[u8], at: Duration) -> Vec<Vec<u8>> {
        meter.pass(at);
        // An opening comes before anything is agreed on.
        if self.state != State::Idle && apdu.first() != Some(&0x60) && apdu.len() > pdu_bytes_max(meter).into() {
            return vec![exception(SERVICE_NOT_ALLOWED, PDU_TOO_LONG)];
        }
        if apdu.first() == Some(&0xE0) {
            return self
                .block(meter, apdu, at)
                .unwrap_or_else(|| vec![exception(SERVICE_UNKNOWN, OPERATION_NOT_POSSIBLE)]);
        }
        self.transfer = Transfer::default();
        let Some(answer) = self.apdu(meter, apdu, at) else { return Vec::new() };
        if answer.len() <= self.client_bytes_max.into() || !self.in_blocks() {
            return vec![answer];
        }
        // The client's window is not known yet: one block first.
        self.send_in_blocks(answer);
        self.blocks(0, 1, 0)
    }

    pub(super) fn in_blocks(&self) -> bool {
        self.conformance & conformance::GENERAL_BLOCK_TRANSFER != 0
    }

    fn send_in_blocks(&mut self, answer: Vec<u8>) {
        self.transfer.outgoing = answer;
        self.transfer.block_bytes = self.client_bytes_max.saturating_sub(BLOCK_HEADER_BYTES).max(1).into();
    }

    /// A block, or an acknowledgement of the meter's.
    fn block(&mut self, meter: &mut Meter, apdu: &[u8], at: Duration) -> Option<Vec<Vec<u8>>> {
        if !self.in_blocks() {
            return Some(vec![exception(SERVICE_UNKNOWN, SERVICE_NOT_SUPPORTED)]);
        }
        let mut rest = apdu.get(1..)?;
        let control = take_byte(&mut rest)?;
        let number = u16::from_be_bytes(take_array(&mut rest)?);
        let acknowledged = u16::from_be_bytes(take_array(&mut rest)?);
        let text = take_octets(&mut rest)?;
        let window = (control & WINDOW).max(1);
        let transfer = &mut self.transfer;
        if !transfer.outgoing.is_empty() {
            let sent = acknowledged.saturating_sub(transfer.before);
            if usize::from(sent) * transfer.block_bytes >= transfer.outgoing.len() {
                self.transfer = Transfer::default();
                return Some(Vec::new());
            }
            return Some(self.blocks(sent, window, number));
        }
        if number == transfer.received.wrapping_add(1) && transfer.incoming.len() + text.len() <= REQUEST_BYTES_MAX {
            transfer.received = number;
            transfer.incoming.extend(text);
            if control & LAST_BLOCK != 0 {
                let request = std::mem::take(&mut transfer.incoming);
                let answer = self.apdu(meter, &request, at)?;
                self.send_in_blocks(answer);
                return Some(self.blocks(0, window, number));
            }
        }
        if control & STREAMING != 0 {
            return Some(Vec::new());
        }
        let transfer = &mut self.transfer;
        transfer.before = transfer.before.wrapping_add(1);
        Some(vec![framed(OWN_WINDOW_BLOCKS, transfer.before, transfer.received, &[])])
    }

    /// So many blocks after the first `sent` ones.
    fn blocks(&self, sent: u16, window: u8, received: u16) -> Vec<Vec<u8>> {
        let transfer = &self.transfer;
        let total = transfer.outgoing.len().div_ceil(transfer.block_bytes.max(1));
        let parts = transfer.outgoing.chunks(transfer.block_bytes.max(1)).zip(1u16..).skip(sent.into());
        let mut blocks = Vec::new();
        for (part, number) in parts.take(window.into()) {
            let last = usize::from(number) == total;
            let ends_window = last || number == sent.saturating_add(window.into());
            let control =
                if last { LAST_BLOCK } else { 0 } | if ends_window { 0 } else { STREAMING } | OWN_WINDOW_BLOCKS;
            blocks.push(framed(control, transfer.before.wrapping_add(number), received, part));
        }
        blocks
    }
}

fn framed(control: u8, number: u16, acknowledged: u16, text: &[u8]) -> Vec<u8> {
    let mut out = vec![0xE0, control];
    out.extend(number.to_be_bytes());
    out.extend(acknowledged.to_be_bytes());
    write_length(text.len(), &mut out);
    out.extend(text);
    out
}
