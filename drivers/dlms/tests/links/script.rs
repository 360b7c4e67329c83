//! The link as a session under exact scripts: every byte that it sends, and when.

use crate::hdlc::{config, long, server};
use plomb_dlms::hdlc::{Address, ClientLink, Control, Frame, HdlcConfig, Parameters};
use plomb_dlms::link::{DataLink, LinkEvent, LinkFailure, Stage};
use plomb_session::script::{Run, Script};
use plomb_session::{Instant, Session, Transmit};
use std::time::Duration;

const THINK: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);

/// Connects, asks each question, and disconnects.
struct Conversation {
    link: DataLink,
    questions: Vec<Vec<u8>>,
    now: Instant,
    finished: bool,
}

impl Session for Conversation {
    type Event = LinkEvent;

    fn start(&mut self, now: Instant) {
        self.link.connect(now);
    }

    fn handle_transmitted(&mut self, now: Instant) {
        self.link.handle_transmitted(now);
    }

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.now = now;
        self.link.handle_input(bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.link.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.link.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        let event = self.link.poll_event()?;
        match &event {
            LinkEvent::Connected(_) | LinkEvent::Apdu(_) if self.questions.is_empty() => self.link.disconnect(self.now),
            LinkEvent::Connected(_) | LinkEvent::Apdu(_) => self.link.send(self.questions.remove(0)).unwrap(),
            LinkEvent::Unsolicited(_) => {}
            LinkEvent::Disconnected | LinkEvent::Failed(_) => self.finished = true,
        }
        Some(event)
    }

    fn is_finished(&self) -> bool {
        self.finished
    }
}

fn run(script: Script, config: HdlcConfig, questions: &[&[u8]]) -> Run<LinkEvent> {
    let questions = questions.iter().map(|question| question.to_vec()).collect();
    let link = ClientLink::new(config).into();
    script.run(&mut Conversation { link, questions, now: Instant::ORIGIN, finished: false }).unwrap()
}

fn client(control: Control) -> Vec<u8> {
    Frame::bare(server(), Address::PUBLIC_CLIENT, control).emit().unwrap()
}

fn meter(control: Control) -> Vec<u8> {
    Frame::bare(Address::PUBLIC_CLIENT, server(), control).emit().unwrap()
}

fn client_i(numbers: [u8; 2], segmented: bool, last: bool, information: &[u8]) -> Vec<u8> {
    let control = Control::I { send: numbers[0], receive: numbers[1], last };
    let frame = Frame::bare(server(), Address::PUBLIC_CLIENT, control);
    Frame { segmented, information: Some(information), ..frame }.emit().unwrap()
}

fn meter_i(numbers: [u8; 2], segmented: bool, last: bool, information: &[u8]) -> Vec<u8> {
    let control = Control::I { send: numbers[0], receive: numbers[1], last };
    let frame = Frame::bare(Address::PUBLIC_CLIENT, server(), control);
    Frame { segmented, information: Some(information), ..frame }.emit().unwrap()
}

fn rr(receive: u8) -> Control {
    Control::Rr { receive, last: true }
}

const UA: Control = Control::Ua { last: true };
const DISC: Control = Control::Disc { last: true };

/// A client that proposes nothing: SNRM without information.
fn plain() -> HdlcConfig {
    HdlcConfig { proposal: Parameters::DEFAULT, ..config() }
}

fn snrm() -> Vec<u8> {
    client(Control::Snrm { last: true })
}

fn connected(script: Script) -> Script {
    script.expect(&snrm()).reply(THINK, &meter(UA))
}

fn failure(run: &Run<LinkEvent>) -> Option<LinkFailure> {
    run.events.iter().find_map(|(_, event)| if let LinkEvent::Failed(failure) = event { Some(*failure) } else { None })
}

#[test]
fn a_question_its_answer_and_goodbye() {
    let script = connected(Script::new(9600))
        .expect(&client_i([0, 0], false, true, b"\xE6\xE6\x00question"))
        .reply(THINK, &meter_i([0, 1], false, true, b"\xE6\xE7\x00answer"))
        .expect(&client(DISC))
        .reply(THINK, &meter(UA));
    let run = run(script, plain(), &[b"question"]);
    assert_eq!(run.events[1].1, LinkEvent::Apdu(b"answer".to_vec()));
    assert_eq!(run.events[2].1, LinkEvent::Disconnected);
    // Four frames of 10, 23, 22 and 10 bytes at 9600 baud with 11 bits, and three pauses of the meter.
    assert!(run.ended.as_micros() < 250_000, "{}", run.ended);
}

#[test]
fn proposals_are_written_as_in_the_standard() {
    let proposal = Parameters { transmit_bytes: 128, receive_bytes: 1024, transmit_window: 1, receive_window: 3 };
    let information =
        [0x81, 0x80, 0x13, 0x05, 0x01, 0x80, 0x06, 0x02, 0x04, 0x00, 0x07, 0x04, 0, 0, 0, 1, 0x08, 0x04, 0, 0, 0, 3];
    let frame = Frame::bare(server(), Address::PUBLIC_CLIENT, Control::Snrm { last: true });
    let asks = Frame { information: Some(&information), ..frame }.emit().unwrap();
    let script =
        Script::new(9600).expect(&asks).reply(THINK, &meter(UA)).expect(&client(DISC)).reply(THINK, &meter(UA));
    run(script, HdlcConfig { proposal, ..config() }, &[]);
}

#[test]
fn a_lost_ua_is_asked_for_again_after_a_pause() {
    // The response timeout of 5 s, then half a second.
    let script = Script::new(0)
        .expect(&snrm())
        .expect(&snrm())
        .reply(THINK, &meter(UA))
        .expect(&client(DISC))
        .reply(THINK, &meter(UA));
    let run = run(script, plain(), &[]);
    assert_eq!(run.sent[1].0, Instant::ORIGIN + 5 * SECOND + SECOND / 2);
}

#[test]
fn three_seconds_before_the_last_segment_are_no_failure_and_no_repetition() {
    let script = connected(Script::new(9600))
        .expect(&client_i([0, 0], false, true, b"\xE6\xE6\x00q"))
        .reply(THINK, &meter_i([0, 1], true, true, b"\xE6\xE7\x00first "))
        .expect(&client(rr(1)))
        .reply(3 * SECOND, &meter_i([1, 1], false, true, b"last"))
        .expect(&client(DISC))
        .reply(THINK, &meter(UA));
    let run = run(script, plain(), &[b"q"]);
    assert_eq!(run.events[1].1, LinkEvent::Apdu(b"first last".to_vec()));
}

#[test]
fn a_damaged_answer_is_asked_for_with_rr_once_the_line_is_quiet() {
    let answer = meter_i([0, 1], false, true, b"\xE6\xE7\x00answer");
    let mut damaged = answer.clone();
    damaged[12] ^= 0x10;
    let script = connected(Script::new(0))
        .expect(&client_i([0, 0], false, true, b"\xE6\xE6\x00q"))
        .reply(THINK, &damaged)
        .expect(&client(rr(0)))
        .reply(THINK, &answer)
        .expect(&client(DISC))
        .reply(THINK, &meter(UA));
    let run = run(script, plain(), &[b"q"]);
    assert_eq!(run.sent[2].0 - run.sent[1].0, THINK + SECOND);
}

#[test]
fn a_lost_question_is_sent_again_only_when_the_meter_says_that_it_has_not_come() {
    let question = client_i([0, 0], false, true, b"\xE6\xE6\x00q");
    let script = connected(Script::new(0))
        .expect(&question)
        .expect(&client(rr(0)))
        .reply(THINK, &meter(rr(0)))
        .expect(&question)
        .reply(THINK, &meter_i([0, 1], false, true, b"\xE6\xE7\x00a"))
        .expect(&client(DISC));
    let run = run(script.expect(&client(DISC)), plain(), &[b"q"]);
    assert_eq!(failure(&run), None, "a DISC without answer is fine, after two tries");
}

#[test]
fn a_meter_that_is_silent_after_the_question_is_given_up() {
    let question = client_i([0, 0], false, true, b"\xE6\xE6\x00q");
    let script =
        connected(Script::new(0)).expect(&question).expect(&client(rr(0))).expect(&question).expect(&client(rr(0)));
    let run = run(script, plain(), &[b"q"]);
    assert_eq!(failure(&run), Some(LinkFailure::Silence { stage: Stage::Exchange, echo: false }));
    assert_eq!(run.ended - run.sent[1].0, 20 * SECOND);
}

#[test]
fn echo_foreign_frames_and_notifications_between_question_and_answer() {
    let question = client_i([0, 0], false, true, b"\xE6\xE6\x00q");
    let other_client = Frame::bare(Address::short(40).unwrap(), server(), UA).emit().unwrap();
    let ui = Frame {
        information: Some(b"\xE6\xE7\x00\x0Fpush"),
        ..Frame::bare(Address::PUBLIC_CLIENT, server(), Control::Ui { last: false })
    };
    let script = Script::new(9600)
        .expect(&snrm())
        .echo(&snrm())
        .reply(THINK, &other_client)
        .reply(THINK, &meter(UA))
        .expect(&question)
        .echo(&question)
        .reply(THINK, &ui.emit().unwrap())
        .reply(THINK, &meter_i([0, 1], false, true, b"\xE6\xE7\x00a"))
        .expect(&client(DISC))
        .reply(THINK, &meter(UA));
    let run = run(script, plain(), &[b"q"]);
    assert_eq!(run.events[1].1, LinkEvent::Unsolicited(b"\x0Fpush".to_vec()));
    assert_eq!(run.events[2].1, LinkEvent::Apdu(b"a".to_vec()));
}

#[test]
fn an_answer_that_comes_twice_is_taken_once() {
    let answer = meter_i([0, 1], false, true, b"\xE6\xE7\x00a");
    let script = connected(Script::new(0))
        .expect(&client_i([0, 0], false, true, b"\xE6\xE6\x00one"))
        .reply(THINK, &answer)
        .expect(&client_i([1, 1], false, true, b"\xE6\xE6\x00two"))
        .reply(THINK, &answer)
        .reply(THINK, &meter_i([1, 2], false, true, b"\xE6\xE7\x00b"))
        .expect(&client(DISC))
        .reply(THINK, &meter(UA));
    let run = run(script, plain(), &[b"one", b"two"]);
    let apdus: Vec<_> = run.events.iter().filter(|(_, event)| matches!(event, LinkEvent::Apdu(_))).collect();
    assert_eq!(apdus.len(), 2);
}

#[test]
fn segments_go_out_one_by_one_and_in_windows() {
    let apdu = long(300);
    let information = [b"\xE6\xE6\x00", &apdu[..]].concat();
    let script = connected(Script::new(9600))
        .expect(&client_i([0, 0], true, true, &information[..128]))
        .reply(THINK, &meter(Control::Rnr { receive: 1, last: true }))
        .expect(&client(rr(0)))
        .reply(THINK, &meter(rr(1)))
        .expect(&client_i([1, 0], true, true, &information[128..256]))
        .reply(THINK, &meter(rr(2)))
        .expect(&client_i([2, 0], false, true, &information[256..]))
        .reply(THINK, &meter_i([0, 3], false, true, b"\xE6\xE7\x00a"))
        .expect(&client(DISC))
        .reply(THINK, &meter(UA));
    let run = run(script, plain(), &[&apdu]);
    assert_eq!(run.events[1].1, LinkEvent::Apdu(b"a".to_vec()));
}

#[test]
fn an_idle_connection_ends_with_the_meters_patience() {
    let mut link = ClientLink::new(plain());
    let start = Instant::ORIGIN;
    link.connect(start);
    assert!(link.poll_transmit().is_some());
    link.handle_transmitted(start);
    link.handle_input(&meter(UA), start + SECOND);
    assert!(matches!(link.poll_event(), Some(LinkEvent::Connected(_))));
    assert_eq!(link.poll_timeout(), Some(start + 121 * SECOND));
    link.handle_timeout(start + 121 * SECOND);
    assert_eq!((link.poll_event(), link.is_connected()), (Some(LinkEvent::Disconnected), false));
}
