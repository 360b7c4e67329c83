//! Any line against the HDLC deframer, the client link and the push receiver.
//!
//! A frame that is read emits its own bytes again. Whatever the meter says, a link that is asked
//! something ends in an answer or a failure once the line falls silent. The first byte says how the
//! line is cut in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_dlms::annotate;
use plomb_dlms::hdlc::{Address, ClientLink, Deframer, Frame, HdlcConfig};
use plomb_dlms::link::LinkEvent;
use plomb_dlms::push::{PushConfig, PushFraming, PushReceiver, Transported};
use plomb_session::Instant;
use std::time::Duration;

const DEADLINES_MAX: u32 = 200;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, line)) = bytes.split_first() else { return };
    let pieces = || line.chunks(usize::from(*cut).max(1));
    if let Ok(Some((frame, consumed))) = Frame::parse(line) {
        assert_eq!(frame.emit().expect("a frame that was read fits in a frame"), line[..consumed]);
    }
    if let Ok(Some((frame, consumed))) = Transported::parse(line) {
        assert_eq!(frame.emit().expect("a frame that was read fits in a frame"), line[..consumed]);
    }
    assert_eq!(annotate::hdlc(line).iter().map(|one| one.length).sum::<usize>(), line.len());
    assert_eq!(annotate::mbus(line).iter().map(|one| one.length).sum::<usize>(), line.len());
    let mut deframer = Deframer::default();
    pieces().for_each(|piece| deframer.push(piece, |_| {}));
    deframer.give_up(|_| {});
    assert!(!deframer.is_inside_frame());

    let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Serial));
    pieces().for_each(|piece| receiver.handle_input(piece, Instant::ORIGIN));
    while let Some(at) = receiver.poll_timeout() {
        receiver.handle_timeout(at);
    }

    let server = Address::server(1, 17).expect("two small numbers are an address");
    let mut link = ClientLink::new(HdlcConfig::new(Address::PUBLIC_CLIENT, server, 9600));
    let mut now = Instant::ORIGIN;
    link.connect(now);
    let mut pieces = pieces();
    for _ in 0..pieces.len() as u32 + DEADLINES_MAX {
        while let Some(event) = link.poll_event() {
            match event {
                LinkEvent::Connected(_) => drop(link.send(vec![0xC0; 200])),
                LinkEvent::Disconnected | LinkEvent::Failed(_) => return,
                LinkEvent::Apdu(_) => link.disconnect(now),
                LinkEvent::Unsolicited(_) => {}
            }
        }
        if link.poll_transmit().is_some() {
            link.handle_transmitted(now);
        }
        match pieces.next() {
            Some(piece) => {
                now += Duration::from_millis(10);
                link.handle_input(piece, now);
            }
            None => {
                now = link.poll_timeout().unwrap_or(now).max(now);
                link.handle_timeout(now);
            }
        }
    }
    panic!("the link does not end");
});
