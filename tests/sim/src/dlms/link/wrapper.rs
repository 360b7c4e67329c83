//! The wrapper (IEC 62056-47): version, ports of both, length; over TCP and UDP.

use super::{Sent, send};
use crate::dlms::faults::Turn;
use crate::dlms::meter::Meter;
use crate::dlms::session::Session;
use std::time::Duration;

const HEADER_BYTES: usize = 8;
const VERSION: u16 = 1;
/// Clients on one connection, at most.
const CLIENTS_MAX: usize = 16;

/// The clients of one TCP connection, or one UDP peer.
#[derive(Debug, Default)]
pub(in crate::dlms) struct Wrapper {
    buffer: Vec<u8>,
    sessions: Vec<(u16, Session)>,
    turn: Turn,
}

impl Wrapper {
    pub(in crate::dlms) fn hear(&mut self, meter: &mut Meter, bytes: &[u8], at: Duration) -> Vec<Sent> {
        self.buffer.extend(bytes);
        let mut sent = Vec::new();
        loop {
            let [v1, v2, s1, s2, d1, d2, l1, l2, rest @ ..] = self.buffer.as_slice() else { return sent };
            let word = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]);
            let (version, source, device) = (word(v1, v2), word(s1, s2), word(d1, d2));
            let length = usize::from(word(l1, l2));
            if version != VERSION {
                // There is no way back into step.
                self.buffer.clear();
                sent.push(Sent { pause: Duration::ZERO, bytes: Vec::new(), close: true });
                return sent;
            }
            let Some(apdu) = rest.get(..length).map(<[u8]>::to_vec) else { return sent };
            let heard: Vec<u8> = self.buffer.drain(..HEADER_BYTES + length).collect();
            let ours = device == meter.config.logical_device;
            let answers = if ours { self.answer(meter, source, &apdu, at) } else { Vec::new() };
            let frames = answers.iter().map(|answer| wrapped(device, source, answer)).collect();
            sent.extend(send(frames, &heard, &meter.config.faults, &mut self.turn));
        }
    }

    /// Forgets an APDU that is not whole.
    pub(in crate::dlms) fn forget_rest(&mut self) {
        self.buffer.clear();
    }

    fn answer(&mut self, meter: &mut Meter, client: u16, apdu: &[u8], at: Duration) -> Vec<Vec<u8>> {
        if !self.sessions.iter().any(|(known, _)| *known == client) {
            if self.sessions.len() >= CLIENTS_MAX {
                self.sessions.remove(0);
            }
            self.sessions.push((client, Session::new(client)));
        }
        let session = self.sessions.iter_mut().find(|(known, _)| *known == client);
        session.map(|(_, session)| session.apdus(meter, apdu, at)).unwrap_or_default()
    }
}

/// An APDU in its wrapper.
pub(in crate::dlms) fn wrapped(source: u16, destination: u16, apdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(apdu.len()).unwrap_or(u16::MAX);
    let header = [VERSION, source, destination, length].map(u16::to_be_bytes);
    [&header.concat(), apdu].concat()
}
