//! A meter's side of HDLC as the standard describes it, with the weaknesses that meters have.

use plomb_dlms::hdlc::{Address, Control, Frame, LLC_RESPONSE, Parameters};

/// What the meter is like.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) address: Address,
    /// What it grants, as it sees it itself. `None`: its UA says nothing.
    pub(crate) grants: Option<Parameters>,
    /// How many SNRM it refuses with DM.
    pub(crate) refuses: u32,
    /// It rejects SNRM with parameters.
    pub(crate) rejects_parameters: bool,
    /// How often it says RNR before it takes a question.
    pub(crate) not_ready: u32,
    /// How often it says RR before the answer is ready.
    pub(crate) thinks: u32,
    /// It never sends F.
    pub(crate) never_final: bool,
    /// It takes every frame that it sent for acknowledged, and repeats its answer only when the
    /// question comes again.
    pub(crate) forgetful: bool,
    /// It acknowledges each segment with an RR of its own, also without P.
    pub(crate) acknowledges_each: bool,
    /// It answers DM to the n-th I frame: it has dropped the connection.
    pub(crate) drops_at: Option<u32>,
    /// APDUs that it has taken, each once.
    pub(crate) taken: Vec<Vec<u8>>,
    /// What it answers to the n-th.
    pub(crate) answers: Vec<Vec<u8>>,
    connected: bool,
    agreed: Parameters,
    expected: u8,
    assembly: Vec<u8>,
    pieces: Vec<Vec<u8>>,
    acknowledged: usize,
    first: u8,
    heard_frames: u32,
}

impl Meter {
    pub(crate) fn new(address: Address, answers: Vec<Vec<u8>>) -> Self {
        Self {
            address,
            grants: Some(Parameters::LARGEST),
            refuses: 0,
            rejects_parameters: false,
            not_ready: 0,
            thinks: 0,
            never_final: false,
            forgetful: false,
            acknowledges_each: false,
            drops_at: None,
            taken: Vec::new(),
            answers,
            connected: false,
            agreed: Parameters::DEFAULT,
            expected: 0,
            assembly: Vec::new(),
            pieces: Vec::new(),
            acknowledged: 0,
            first: 0,
            heard_frames: 0,
        }
    }

    /// The frames that the meter says after one frame for it.
    pub(crate) fn hear(&mut self, frame: &Frame<'_>) -> Vec<Vec<u8>> {
        if frame.destination != self.address {
            return Vec::new();
        }
        let client = frame.source;
        match frame.control {
            Control::Snrm { .. } if self.refuses > 0 => {
                self.refuses -= 1;
                self.say(client, Control::Dm { last: true }, None)
            }
            Control::Snrm { .. } if self.rejects_parameters && frame.information.is_some() => {
                self.say(client, Control::Frmr { last: true }, Some(&[0x93, 0, 1]))
            }
            Control::Snrm { .. } => {
                let proposed = Parameters::parse(frame.information.unwrap_or_default()).unwrap();
                let grants = self.grants.unwrap_or(Parameters::DEFAULT);
                self.agreed = grants.agreed_with(&proposed);
                (self.connected, self.expected, self.first, self.acknowledged) = (true, 0, 0, 0);
                self.pieces.clear();
                self.assembly.clear();
                let information = self.grants.map(|_| self.agreed.emit()).filter(|emitted| !emitted.is_empty());
                self.say(client, Control::Ua { last: true }, information.as_deref())
            }
            Control::Disc { .. } => {
                let control = if self.connected { Control::Ua { last: true } } else { Control::Dm { last: true } };
                self.connected = false;
                self.say(client, control, None)
            }
            _ if !self.connected => self.say(client, Control::Dm { last: true }, None),
            Control::I { send, receive, last } => {
                self.heard_frames += 1;
                if self.drops_at == Some(self.heard_frames) {
                    self.connected = false;
                    return self.say(client, Control::Dm { last: true }, None);
                }
                self.acknowledge(receive);
                if self.not_ready > 0 {
                    self.not_ready -= 1;
                    return self.say(client, Control::Rnr { receive: self.expected, last: true }, None);
                }
                if send == self.expected {
                    self.expected = (self.expected + 1) & 7;
                    self.take(frame);
                } else if self.forgetful && send == (self.expected + 7) & 7 && !frame.segmented {
                    self.acknowledged = 0;
                }
                if last || self.acknowledges_each { self.turn(client) } else { Vec::new() }
            }
            Control::Rr { receive, last } => {
                self.acknowledge(receive);
                if self.not_ready > 0 {
                    self.not_ready -= 1;
                    return self.say(client, Control::Rnr { receive: self.expected, last: true }, None);
                }
                if last { self.turn(client) } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    fn say(&self, client: Address, control: Control, information: Option<&[u8]>) -> Vec<Vec<u8>> {
        vec![Frame { information, ..Frame::bare(client, self.address, control) }.emit().unwrap()]
    }

    fn take(&mut self, frame: &Frame<'_>) {
        self.assembly.extend(frame.information.unwrap_or_default());
        if !frame.segmented {
            let apdu = std::mem::take(&mut self.assembly);
            assert_eq!(apdu[..3], [0xE6, 0xE6, 0x00]);
            self.taken.push(apdu[3..].to_vec());
            self.load();
        }
    }

    /// The answer to what was taken last, in pieces.
    fn load(&mut self) {
        let answer = [&LLC_RESPONSE, &self.answers[self.taken.len() - 1][..]].concat();
        self.first = (self.first + u8::try_from(self.pieces.len() & 7).unwrap()) & 7;
        self.pieces = answer.chunks(self.agreed.transmit_bytes.into()).map(<[u8]>::to_vec).collect();
        self.acknowledged = 0;
    }

    fn acknowledge(&mut self, receive: u8) {
        while self.acknowledged < self.pieces.len() && self.number(self.acknowledged) != receive {
            // Not more than the window can have been sent.
            let ahead = receive.wrapping_sub(self.number(self.acknowledged)) & 7;
            if ahead > self.agreed.transmit_window {
                return;
            }
            self.acknowledged += 1;
        }
    }

    fn number(&self, at: usize) -> u8 {
        (self.first + u8::try_from(at & 7).unwrap()) & 7
    }

    fn turn(&mut self, client: Address) -> Vec<Vec<u8>> {
        let receive = self.expected;
        if self.acknowledged >= self.pieces.len() || self.thinks > 0 {
            self.thinks = self.thinks.saturating_sub(1);
            return self.say(client, Control::Rr { receive, last: true }, None);
        }
        let end = (self.acknowledged + usize::from(self.agreed.transmit_window)).min(self.pieces.len());
        let frames = (self.acknowledged..end).map(|at| {
            let last = at + 1 == end && !self.never_final;
            Frame {
                control: Control::I { send: self.number(at), receive, last },
                segmented: at + 1 < self.pieces.len(),
                information: Some(&self.pieces[at]),
                ..Frame::bare(client, self.address, Control::Unknown(0))
            }
            .emit()
            .unwrap()
        });
        let frames = frames.collect();
        if self.forgetful {
            self.acknowledged = end;
        }
        frames
    }
}
