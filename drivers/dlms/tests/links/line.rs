//! A paced line between a link and a meter, on which frames get lost, late, broken or doubled.

use crate::meter::Meter;
use plomb_dlms::hdlc::{ClientLink, Deframer, Found, Frame};
use plomb_dlms::link::{LinkEvent, LinkFailure};
use plomb_session::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// What happens to a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Drop,
    /// A bit of the n-th byte changes.
    Corrupt(usize),
    /// The n-th byte is lost.
    Lose(usize),
    Delay(Duration),
    Double,
    /// This much time between any two bytes.
    Trickle(Duration),
    /// Only so many bytes arrive.
    Cut(usize),
}

/// Which frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Client(usize),
    Meter(usize),
    EveryOfMeter,
    EveryOfClient,
}

pub(crate) struct Line {
    pub(crate) bits_per_second: u64,
    /// What the meter needs to begin its answer.
    pub(crate) think: Duration,
    pub(crate) faults: Vec<(Of, Fault)>,
    /// The head throws back what is sent.
    pub(crate) echo: bool,
    /// What is heard before each of the meter's frames.
    pub(crate) noise: Vec<u8>,
    pub(crate) meter: Meter,
    client_frames: usize,
    meter_frames: usize,
}

/// How a conversation went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answers: Vec<Vec<u8>>,
    pub(crate) unsolicited: Vec<Vec<u8>>,
    pub(crate) failure: Option<LinkFailure>,
    pub(crate) ended: Instant,
    /// The time that the wire was in use.
    pub(crate) wire: Duration,
    pub(crate) client_frames: usize,
    pub(crate) meter_frames: usize,
}

const STEPS_MAX: usize = 200_000;

impl Line {
    pub(crate) fn new(bits_per_second: u64, meter: Meter) -> Self {
        let think = Duration::from_millis(20);
        let (faults, noise) = (Vec::new(), Vec::new());
        Self { bits_per_second, think, faults, echo: false, noise, meter, client_frames: 0, meter_frames: 0 }
    }

    pub(crate) fn fault(mut self, of: Of, fault: Fault) -> Self {
        self.faults.push((of, fault));
        self
    }

    fn wire(&self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap() * 10;
        Duration::from_micros((bits * 1_000_000).checked_div(self.bits_per_second).unwrap_or(0))
    }

    /// Connects, asks each question, and disconnects.
    pub(crate) fn converse(&mut self, link: &mut ClientLink, questions: &[impl AsRef<[u8]>]) -> Outcome {
        let mut now = Instant::ORIGIN;
        let mut outcome = Outcome::default();
        let mut questions: VecDeque<_> = questions.iter().collect();
        let mut arrivals: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        link.connect(now);
        for _ in 0..STEPS_MAX {
            while let Some(event) = link.poll_event() {
                match event {
                    LinkEvent::Connected(_) => {}
                    LinkEvent::Apdu(apdu) => outcome.answers.push(apdu),
                    LinkEvent::Unsolicited(apdu) => {
                        outcome.unsolicited.push(apdu);
                        continue;
                    }
                    LinkEvent::Disconnected => return self.end(outcome, now),
                    LinkEvent::Failed(failure) => {
                        outcome.failure = Some(failure);
                        return self.end(outcome, now);
                    }
                }
                match questions.pop_front() {
                    Some(question) => link.send(question.as_ref().to_vec()).unwrap(),
                    None => link.disconnect(now),
                }
            }
            if let Some(transmit) = link.poll_transmit() {
                let length = self.wire(transmit.bytes.len());
                now += length;
                outcome.wire += length;
                if self.echo {
                    link.handle_input(&transmit.bytes, now);
                }
                link.handle_transmitted(now);
                self.carry(&transmit.bytes, now, &mut arrivals, &mut outcome);
                continue;
            }
            let arrival = arrivals.front().map(|(at, _)| *at);
            match (link.poll_timeout(), arrival) {
                (Some(deadline), arrival) if arrival.is_none_or(|at| deadline < at) => {
                    now = now.max(deadline);
                    link.handle_timeout(now);
                }
                (_, Some(at)) => {
                    now = now.max(at);
                    let (_, bytes) = arrivals.pop_front().unwrap();
                    link.handle_input(&bytes, now);
                }
                (_, None) => panic!("the link waits for nothing"),
            }
        }
        panic!("the conversation does not end");
    }

    fn end(&self, mut outcome: Outcome, now: Instant) -> Outcome {
        (outcome.ended, outcome.client_frames, outcome.meter_frames) = (now, self.client_frames, self.meter_frames);
        outcome
    }

    fn fault_of(&self, at: Of, every: Of) -> Option<Fault> {
        self.faults.iter().find(|(of, _)| *of == at || *of == every).map(|(_, fault)| *fault)
    }

    /// Carries what was sent to the meter, and its answers back.
    fn carry(
        &mut self,
        bytes: &[u8],
        now: Instant,
        arrivals: &mut VecDeque<(Instant, Vec<u8>)>,
        outcome: &mut Outcome,
    ) {
        let mut frames = Vec::new();
        Deframer::default().push(bytes, |found| {
            if let Found::Frame(frame) = found {
                frames.push(frame.emit().unwrap());
            }
        });
        let mut at = now + self.think;
        for frame in frames {
            let fault = self.fault_of(Of::Client(self.client_frames), Of::EveryOfClient);
            self.client_frames += 1;
            let times = match fault {
                Some(Fault::Drop | Fault::Corrupt(_) | Fault::Lose(_) | Fault::Cut(_)) => 0,
                Some(Fault::Double) => 2,
                _ => 1,
            };
            for _ in 0..times {
                for answer in self.meter.hear(&Frame::parse_whole(&frame).unwrap()) {
                    self.deliver(answer, &mut at, arrivals, outcome);
                }
            }
        }
        arrivals.make_contiguous().sort_by_key(|(at, _)| *at);
    }

    fn deliver(
        &mut self,
        mut frame: Vec<u8>,
        at: &mut Instant,
        arrivals: &mut VecDeque<(Instant, Vec<u8>)>,
        outcome: &mut Outcome,
    ) {
        let fault = self.fault_of(Of::Meter(self.meter_frames), Of::EveryOfMeter);
        self.meter_frames += 1;
        frame.splice(..0, self.noise.iter().copied());
        let length = self.wire(frame.len());
        outcome.wire += length;
        *at += length;
        match fault {
            Some(Fault::Drop) => return,
            Some(Fault::Corrupt(place)) => {
                let place = place % frame.len();
                frame[place] ^= 4;
            }
            Some(Fault::Lose(place)) => drop(frame.remove(place % frame.len())),
            Some(Fault::Cut(bytes)) => frame.truncate(bytes),
            Some(Fault::Delay(delay)) => *at += delay,
            Some(Fault::Double) => arrivals.push_back((*at, frame.clone())),
            Some(Fault::Trickle(pause)) => {
                for byte in frame {
                    *at += pause;
                    arrivals.push_back((*at, vec![byte]));
                }
                return;
            }
            None => {}
        }
        arrivals.push_back((*at, frame));
    }
}
