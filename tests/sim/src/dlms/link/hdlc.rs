//! A secondary station of HDLC (IEC 62056-46): connections of clients in normal response mode.

use super::frame::{Frame, Receiver, parts};
use super::{Sent, send};
use crate::dlms::config::{HdlcLimits, MeterConfig};
use crate::dlms::faults::{Turn, meets};
use crate::dlms::meter::Meter;
use crate::dlms::session::Session;
use std::collections::VecDeque;
use std::time::Duration;

/// Clients that are connected at once, at most.
const CONNECTIONS_MAX: usize = 16;
/// Silence within a frame after which it is none.
const INTER_OCTET_MAX: Duration = Duration::from_secs(2);
/// Bytes of a request that is put together, at most.
const REQUEST_BYTES_MAX: usize = 1 << 17;
const REQUEST_LLC: [u8; 3] = [0xE6, 0xE6, 0x00];
const ANSWER_LLC: [u8; 3] = [0xE6, 0xE7, 0x00];
/// Sizes of who doesn't name any.
const INFO_BYTES_DEFAULT: u16 = 128;
const WINDOW_FRAMES_DEFAULT: u8 = 1;

const POLL_FINAL: u8 = 0x10;
const SNRM: u8 = 0x83;
const DISC: u8 = 0x43;
const UA: u8 = 0x63;
const DM: u8 = 0x0F;
const FRMR: u8 = 0x87;
const UI: u8 = 0x03;
const RR: u8 = 0x01;
const RNR: u8 = 0x05;

/// The meter's end of an HDLC line.
#[derive(Debug, Default)]
pub(in crate::dlms) struct Hdlc {
    receiver: Receiver,
    last_heard: Duration,
    connections: Vec<Connection>,
    frames_heard: u32,
    turn: Turn,
}

/// A client's connection.
#[derive(Debug)]
struct Connection {
    client: Vec<u8>,
    /// The meter's address as the client wrote it.
    server: Vec<u8>,
    info_bytes: u16,
    window: u8,
    /// The number of the next frame to be sent, and of the next expected.
    sends: u8,
    expects: u8,
    incoming: Vec<u8>,
    /// Segments to be sent, and whether more follow.
    outgoing: VecDeque<(Vec<u8>, bool)>,
    /// Segments on their way, from the oldest without acknowledgement.
    unacknowledged: VecDeque<(Vec<u8>, bool)>,
    session: Session,
    last_heard: Duration,
}

impl Hdlc {
    pub(in crate::dlms) fn hear(&mut self, meter: &mut Meter, bytes: &[u8], at: Duration) -> Vec<Sent> {
        if at.saturating_sub(self.last_heard) > INTER_OCTET_MAX {
            self.receiver.clear();
        }
        self.last_heard = at;
        let mut sent = Vec::new();
        for frame in self.receiver.push(bytes) {
            self.frames_heard = self.frames_heard.wrapping_add(1);
            if meets(meter.config.faults.forget_every, self.frames_heard) {
                self.connections.clear();
            }
            let answers = if is_ours(meter, &frame.destination) { self.answer(meter, &frame, at) } else { Vec::new() };
            let answers = answers.iter().map(Frame::bytes).collect();
            sent.extend(send(answers, &frame.bytes(), &meter.config.faults, &mut self.turn));
        }
        sent
    }

    /// Whether a client is connected.
    pub(in crate::dlms) fn is_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    fn answer(&mut self, meter: &mut Meter, frame: &Frame, at: Duration) -> Vec<Frame> {
        let patience = Duration::from_secs(meter.config.hdlc.inactivity_s.into());
        self.connections.retain(|connection| at.saturating_sub(connection.last_heard) <= patience);
        let known = self
            .connections
            .iter()
            .position(|connection| connection.client == frame.source && connection.server == frame.destination);
        let kind = frame.control & !POLL_FINAL;
        if frame.control & 1 == 1 && kind == SNRM {
            known.map(|at| self.connections.remove(at));
            return self.connect(meter, frame, at).into_iter().collect();
        }
        let polled = frame.control & POLL_FINAL != 0;
        match known.and_then(|at| self.connections.get_mut(at)) {
            Some(_) if frame.control & 1 == 1 && kind == DISC => {
                known.map(|at| self.connections.remove(at));
                vec![reply(frame, UA)]
            }
            None if kind == UI => Vec::new(),
            None => polled.then(|| reply(frame, DM)).into_iter().collect(),
            Some(connection) => {
                connection.last_heard = at;
                connection.answer(meter, frame, at)
            }
        }
    }

    fn connect(&mut self, meter: &Meter, frame: &Frame, at: Duration) -> Option<Frame> {
        let client = u16::from(frame.source.first()? >> 1);
        let limits = meter.config.hdlc;
        let proposed = Parameters::read(&frame.info);
        let agreed = proposed.agreed(limits);
        if self.connections.len() >= CONNECTIONS_MAX {
            self.connections.remove(0);
        }
        self.connections.push(Connection {
            client: frame.source.clone(),
            server: frame.destination.clone(),
            info_bytes: agreed.sends_bytes,
            window: agreed.sends_frames,
            sends: 0,
            expects: 0,
            incoming: Vec::new(),
            outgoing: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            session: Session::new(client),
            last_heard: at,
        });
        Some(Frame { info: agreed.bytes(), ..reply(frame, UA) })
    }
}

/// A notification in unnumbered information frames, as many as it takes (IEC 62056-46, 6.4.3.5).
pub(in crate::dlms) fn unnumbered(config: &MeterConfig, notification: &[u8]) -> Vec<Vec<u8>> {
    let text = [&ANSWER_LLC, notification].concat();
    let size = usize::from(config.hdlc.info_bytes_max.max(1));
    let count = text.len().div_ceil(size);
    let low = |part: u16| u8::try_from(part & 0x7F).unwrap_or_default() << 1;
    let frame = |(nth, part): (usize, &[u8])| Frame {
        segmented: nth < count,
        destination: vec![low(config.push_client) | 1],
        source: vec![low(config.logical_device), low(config.physical_device) | 1],
        control: UI | POLL_FINAL,
        info: part.to_vec(),
    };
    (1..).zip(text.chunks(size)).map(frame).map(|frame| frame.bytes()).collect()
}

fn is_ours(meter: &Meter, address: &[u8]) -> bool {
    let (ours, lower) = (meter.config.logical_device, meter.config.physical_device);
    match parts(address) {
        Some((upper, None)) => upper == ours,
        // All stations, in either length.
        Some((upper, Some(told))) => upper == ours && (told == lower || told == 0x7F || told == 0x3FFF),
        None => false,
    }
}

fn reply(frame: &Frame, control: u8) -> Frame {
    Frame {
        segmented: false,
        destination: frame.source.clone(),
        source: frame.destination.clone(),
        control: control | POLL_FINAL,
        info: Vec::new(),
    }
}

impl Connection {
    fn answer(&mut self, meter: &mut Meter, frame: &Frame, at: Duration) -> Vec<Frame> {
        let polled = frame.control & POLL_FINAL != 0;
        let acknowledged = frame.control >> 5;
        match frame.control & 0x0F {
            control if control & 1 == 0 => {
                self.acknowledge(acknowledged);
                self.take(meter, frame, at);
                if !polled {
                    return Vec::new();
                }
                self.speak()
            }
            RR => {
                self.acknowledge(acknowledged);
                self.speak()
            }
            RNR => {
                self.acknowledge(acknowledged);
                vec![self.ready()]
            }
            _ if frame.control & !POLL_FINAL == UI => Vec::new(),
            _ => vec![self.framed(FRMR | POLL_FINAL, false, vec![frame.control, self.expects << 5, 1])],
        }
    }

    /// Forgets what the client has: all before the frame that it expects.
    fn acknowledge(&mut self, client_expects: u8) {
        let under_way = u8::try_from(self.unacknowledged.len()).unwrap_or_default();
        let oldest = self.sends.wrapping_sub(under_way) & 7;
        let has = client_expects.wrapping_sub(oldest) & 7;
        if has <= under_way {
            self.unacknowledged.drain(..usize::from(has));
        }
    }

    /// Takes an information frame, if it is the next one.
    fn take(&mut self, meter: &mut Meter, frame: &Frame, at: Duration) {
        if frame.control >> 1 & 7 != self.expects {
            return;
        }
        self.expects = (self.expects + 1) & 7;
        // A new request ends the answer to the last one.
        self.outgoing.clear();
        if self.incoming.len() + frame.info.len() <= REQUEST_BYTES_MAX {
            self.incoming.extend(&frame.info);
        }
        if frame.segmented {
            return;
        }
        let request = std::mem::take(&mut self.incoming);
        let Some(apdu) = request.strip_prefix(&REQUEST_LLC) else { return };
        for answer in self.session.apdus(meter, apdu, at) {
            let text = [&ANSWER_LLC, &answer[..]].concat();
            let size = usize::from(self.info_bytes.max(1));
            let count = text.len().div_ceil(size);
            self.outgoing.extend((1..).zip(text.chunks(size)).map(|(nth, part)| (part.to_vec(), nth < count)));
        }
    }

    /// What the meter says when it is polled: again what got lost, or the next frames, or that it is ready.
    fn speak(&mut self) -> Vec<Frame> {
        let under_way = self.unacknowledged.len();
        let first = self.sends.wrapping_sub(u8::try_from(under_way).unwrap_or_default()) & 7;
        if under_way == 0 {
            let count = usize::from(self.window).min(self.outgoing.len());
            self.unacknowledged.extend(self.outgoing.drain(..count));
            self.sends = (self.sends + u8::try_from(count).unwrap_or_default()) & 7;
        }
        let count = self.unacknowledged.len();
        if count == 0 {
            return vec![self.ready()];
        }
        let number = |nth: usize| (first + u8::try_from(nth).unwrap_or_default()) & 7;
        let mut frames = Vec::new();
        for (nth, (part, more)) in self.unacknowledged.iter().enumerate() {
            let last = if nth + 1 == count { POLL_FINAL } else { 0 };
            let control = self.expects << 5 | last | number(nth) << 1;
            frames.push(self.framed(control, *more, part.clone()));
        }
        frames
    }

    fn ready(&self) -> Frame {
        self.framed(self.expects << 5 | POLL_FINAL | RR, false, Vec::new())
    }

    fn framed(&self, control: u8, segmented: bool, info: Vec<u8>) -> Frame {
        Frame { segmented, destination: self.client.clone(), source: self.server.clone(), control, info }
    }
}

/// Sizes as one side names them: what it sends and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters {
    sends_bytes: u16,
    takes_bytes: u16,
    sends_frames: u8,
    takes_frames: u8,
}

impl Parameters {
    fn read(info: &[u8]) -> Self {
        let mut told = Self {
            sends_bytes: INFO_BYTES_DEFAULT,
            takes_bytes: INFO_BYTES_DEFAULT,
            sends_frames: WINDOW_FRAMES_DEFAULT,
            takes_frames: WINDOW_FRAMES_DEFAULT,
        };
        let mut rest = info.get(3..).unwrap_or_default();
        while let [id, length, after @ ..] = rest {
            let Some((value, after)) = after.split_at_checked((*length).into()) else { break };
            let number = value.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
            let bytes = u16::try_from(number).unwrap_or(u16::MAX);
            let frames = u8::try_from(number).unwrap_or(7).clamp(1, 7);
            match id {
                5 => told.sends_bytes = bytes,
                6 => told.takes_bytes = bytes,
                7 => told.sends_frames = frames,
                8 => told.takes_frames = frames,
                _ => {}
            }
            rest = after;
        }
        told
    }

    /// What the meter will do, where a client proposed this.
    fn agreed(self, limits: HdlcLimits) -> Self {
        let window = limits.window_frames_max.clamp(1, 7);
        Self {
            sends_bytes: self.takes_bytes.min(limits.info_bytes_max),
            takes_bytes: self.sends_bytes.min(limits.info_bytes_max),
            sends_frames: self.takes_frames.min(window),
            takes_frames: self.sends_frames.min(window),
        }
    }

    fn bytes(self) -> Vec<u8> {
        let size = |id: u8, bytes: u16| match u8::try_from(bytes) {
            Ok(small) => vec![id, 1, small],
            Err(_) => [&[id, 2], &bytes.to_be_bytes()[..]].concat(),
        };
        let window = |id: u8, frames: u8| vec![id, 4, 0, 0, 0, frames];
        let group = [
            size(5, self.sends_bytes),
            size(6, self.takes_bytes),
            window(7, self.sends_frames),
            window(8, self.takes_frames),
        ]
        .concat();
        [&[0x81, 0x80, u8::try_from(group.len()).unwrap_or_default()], &group[..]].concat()
    }
}
