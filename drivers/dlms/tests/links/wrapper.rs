//! The wrapper's link: any split of the stream, whole datagrams, other ports, time limits.

use plomb_dlms::link::{DataLink, LinkEvent, LinkFailure, Negotiated, SendError, Stage};
use plomb_dlms::wrapper::{ClientLink, Transport, Wrapped, WrapperConfig};
use plomb_session::Instant;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const START: Instant = Instant::ORIGIN;

fn link(transport: Transport) -> DataLink {
    let mut link = DataLink::from(ClientLink::new(WrapperConfig::new(16, 1, transport)));
    link.connect(START);
    assert_eq!(link.poll_event(), Some(LinkEvent::Connected(Negotiated::Wrapper)));
    link
}

fn answer(apdu: &[u8]) -> Vec<u8> {
    Wrapped { source: 1, destination: 16, apdu }.emit().unwrap()
}

fn asked(link: &mut DataLink) {
    link.send(vec![0xC0, 1]).unwrap();
    assert_eq!(link.poll_transmit().unwrap().bytes, [0, 1, 0, 16, 0, 1, 0, 2, 0xC0, 1]);
    link.handle_transmitted(START);
}

#[test]
fn a_stream_in_any_pieces() {
    let apdu = vec![0xC4; 3000];
    for size in [1, 7, 8, 9, 3000, 9000] {
        let mut link = link(Transport::Tcp);
        asked(&mut link);
        assert_eq!(link.send(vec![1]), Err(SendError::Outstanding));
        let line = [answer(&[0x0F, 9]), answer(&apdu), answer(&[0xDB, 1])].concat();
        for piece in line.chunks(size) {
            link.handle_input(piece, START);
        }
        assert_eq!(link.poll_event(), Some(LinkEvent::Unsolicited(vec![0x0F, 9])), "a notification answers nothing");
        assert_eq!(link.poll_event(), Some(LinkEvent::Apdu(apdu.clone())));
        assert_eq!(link.poll_event(), Some(LinkEvent::Unsolicited(vec![0xDB, 1])));
        assert_eq!((link.poll_event(), link.poll_timeout()), (None, None));
    }
}

#[test]
fn silence_and_a_late_answer() {
    let mut link = link(Transport::Tcp);
    asked(&mut link);
    assert_eq!(link.poll_timeout(), Some(START + 20 * SECOND));
    link.handle_timeout(START + 19 * SECOND);
    assert_eq!(link.poll_event(), None);
    link.handle_timeout(START + 20 * SECOND);
    let silence = LinkFailure::Silence { stage: Stage::Exchange, echo: false };
    assert_eq!(link.poll_event(), Some(LinkEvent::Failed(silence)));
    link.handle_input(&answer(&[0xC4]), START + 21 * SECOND);
    assert_eq!((link.poll_event(), link.send(vec![1])), (None, Err(SendError::NotConnected)));
}

#[test]
fn an_answer_that_trickles_in_is_waited_for_but_not_for_ever() {
    let mut link = link(Transport::Tcp);
    asked(&mut link);
    let mut now = START + 10 * SECOND;
    let mut line = answer(&[0xC4; 100]).into_iter();
    loop {
        now += 5 * SECOND;
        if link.poll_timeout().is_some_and(|at| now >= at) {
            link.handle_timeout(now);
            break;
        }
        link.handle_input(&[line.next().unwrap()], now);
    }
    assert!(matches!(link.poll_event(), Some(LinkEvent::Failed(LinkFailure::Silence { .. }))));
    assert_eq!(now, START + 80 * SECOND);
}

#[test]
fn other_ports_are_passed_over_and_named() {
    let mut link = link(Transport::Udp);
    asked(&mut link);
    link.handle_input(&Wrapped { source: 2, destination: 16, apdu: &[0xC4] }.emit().unwrap(), START);
    link.handle_timeout(START + 20 * SECOND);
    let failure = LinkFailure::WrongPort { server: 1, client: 16, got_server: 2, got_client: 16 };
    assert_eq!(link.poll_event(), Some(LinkEvent::Failed(failure)));
}

#[test]
fn a_datagram_is_whole_or_nothing() {
    let mut link = link(Transport::Udp);
    asked(&mut link);
    let whole = answer(&[0xC4, 1, 2]);
    link.handle_input(&whole[..9], START);
    link.handle_input(&whole[9..], START);
    link.handle_input(&[&whole[..], &[0]].concat(), START);
    assert_eq!((link.poll_event(), link.counts().damaged), (None, 3));
    link.handle_input(&whole, START);
    assert_eq!(link.poll_event(), Some(LinkEvent::Apdu(vec![0xC4, 1, 2])));
}

#[test]
fn another_protocol_on_the_port_is_told() {
    let mut link = link(Transport::Tcp);
    asked(&mut link);
    link.handle_input(b"HTTP/1.1 400 Bad Request\r\n", START);
    assert!(matches!(link.poll_event(), Some(LinkEvent::Failed(LinkFailure::Header(_)))));
}

#[test]
fn blocks_of_a_stream_are_answers() {
    let mut link = link(Transport::Tcp);
    asked(&mut link);
    link.handle_input(&[answer(&[0xE0, 1]), answer(&[0xE0, 2])].concat(), START);
    assert_eq!(link.poll_event(), Some(LinkEvent::Apdu(vec![0xE0, 1])));
    assert_eq!(link.poll_event(), Some(LinkEvent::Apdu(vec![0xE0, 2])));
    link.receive_more(START).unwrap();
    assert_eq!(link.poll_timeout(), Some(START + 20 * SECOND));
    link.disconnect(START);
    assert_eq!((link.poll_event(), link.poll_timeout()), (Some(LinkEvent::Disconnected), None));
}
