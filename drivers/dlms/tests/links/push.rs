//! Pushed APDUs out of every framing, with pauses and losses.

use plomb_dlms::hdlc::{Address, Control, Frame};
use plomb_dlms::push::{PushConfig, PushEvent, PushFraming, PushLoss, PushOrigin, PushReceiver, Transported};
use plomb_session::Instant;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn hdlc(control: Control, segmented: bool, information: &[u8]) -> Vec<u8> {
    let (destination, source) = (Address::short(0x67).unwrap(), Address::server(1, 17).unwrap());
    Frame { destination, source, control, segmented, information: Some(information) }.emit().unwrap()
}

fn ui(segmented: bool, information: &[u8]) -> Vec<u8> {
    hdlc(Control::Ui { last: false }, segmented, information)
}

fn mbus(sequence: u8, last: bool, part: &[u8]) -> Vec<u8> {
    Transported { control: 0x53, address: 0xFF, sequence, last, source: 1, destination: 0x67, part }.emit().unwrap()
}

/// Hears the pieces with `pause` between them, and then silence.
fn hear(framing: PushFraming, pieces: &[Vec<u8>], pause: Duration) -> Vec<PushEvent> {
    let mut receiver = PushReceiver::new(PushConfig::new(framing));
    let (mut now, mut events) = (Instant::ORIGIN, Vec::new());
    let mut wait = |receiver: &mut PushReceiver, until: Option<Instant>| {
        while let Some(at) = receiver.poll_timeout().filter(|at| until.is_none_or(|until| *at < until)) {
            receiver.handle_timeout(at);
        }
        events.extend(std::iter::from_fn(|| receiver.poll_event()));
    };
    for piece in pieces {
        wait(&mut receiver, Some(now + pause));
        now += pause;
        receiver.handle_input(piece, now);
    }
    wait(&mut receiver, None);
    events
}

fn apdus(events: &[PushEvent]) -> Vec<&[u8]> {
    fn apdu(event: &PushEvent) -> Option<&[u8]> {
        if let PushEvent::Apdu { apdu, .. } = event { Some(apdu) } else { None }
    }
    events.iter().filter_map(apdu).collect()
}

#[test]
fn segments_seconds_apart() {
    let pieces = [ui(true, b"\xE6\xE7\x00\x0Fone "), ui(true, b"two "), ui(false, b"three")];
    let events = hear(PushFraming::Serial, &pieces, 3 * SECOND);
    assert_eq!(apdus(&events), [b"\x0Fone two three"]);
    let origin =
        PushOrigin::Hdlc { source: Address::server(1, 17).unwrap(), destination: Address::short(0x67).unwrap() };
    assert!(matches!(&events[0], PushEvent::Apdu { origin: got, .. } if *got == origin));
    let late = hear(PushFraming::Serial, &pieces, 16 * SECOND);
    assert_eq!(late[0], PushEvent::Lost(PushLoss::Incomplete { bytes: 5 }));
    assert_eq!(apdus(&late), [[0u8; 0]; 0], "the rest of a lost beginning is no APDU");
}

#[test]
fn a_lost_segment_costs_its_apdu_only() {
    let whole = ui(false, b"\xE6\xE7\x00\x0Fwhole");
    let mut damaged = ui(true, b"two");
    damaged[9] ^= 1;
    let pieces = [ui(true, b"\xE6\xE7\x00\x0Fone"), damaged, ui(true, b"three"), ui(false, b"four"), whole];
    let events = hear(PushFraming::Serial, &pieces, SECOND);
    assert!(matches!(events[0], PushEvent::Lost(PushLoss::HdlcFrame(_))), "{events:?}");
    assert_eq!(apdus(&events), [b"\x0Fwhole"]);
}

#[test]
fn numbered_segments_are_counted() {
    let i = |send, segmented, part: &[u8]| hdlc(Control::I { send, receive: 0, last: false }, segmented, part);
    let pieces = [i(6, true, b"\xE6\xE7\x00\x0Fone"), i(7, true, b"two"), i(0, false, b"three")];
    assert_eq!(apdus(&hear(PushFraming::Serial, &pieces, SECOND)), [b"\x0Fonetwothree"]);
    let pieces = [pieces[0].clone(), pieces[2].clone()];
    let events = hear(PushFraming::Serial, &pieces, SECOND);
    assert_eq!((events[0].clone(), events.len()), (PushEvent::Lost(PushLoss::Gap { bytes: 4 }), 1));
}

#[test]
fn mbus_segments_are_counted_and_found_without_being_told() {
    let whole = [mbus(0, false, b"\xDBone "), mbus(1, false, b"two "), mbus(2, true, b"three")];
    let events = hear(PushFraming::Serial, &whole, SECOND);
    assert_eq!(apdus(&events), [b"\xDBone two three"]);
    assert!(matches!(events[0], PushEvent::Apdu { origin: PushOrigin::Mbus { source: 1, destination: 0x67, .. }, .. }));
    let gap = [whole[0].clone(), whole[2].clone(), mbus(0, true, b"next")];
    let events = hear(PushFraming::Serial, &gap, SECOND);
    assert_eq!(events[0], PushEvent::Lost(PushLoss::Gap { bytes: 5 }));
    assert_eq!(apdus(&events), [b"next"]);
    // Joined in the middle, with more segments than numbers.
    let mut long: Vec<_> = (0..40).map(|number| mbus(number & 15, number == 39, &[number])).collect();
    let all: Vec<u8> = (0..40).collect();
    assert_eq!(apdus(&hear(PushFraming::Serial, &long, SECOND)), [&all[..]]);
    long.remove(0);
    assert_eq!(apdus(&hear(PushFraming::Serial, &long, SECOND)), [[0u8; 0]; 0]);
}

#[test]
fn silence_ends_a_raw_apdu() {
    let pieces = [b"\x0Fone".to_vec(), b"\x0Ftwo".to_vec()];
    assert_eq!(apdus(&hear(PushFraming::Raw, &pieces, SECOND)), [b"\x0Fone", b"\x0Ftwo"]);
    assert_eq!(apdus(&hear(PushFraming::Raw, &pieces, SECOND / 10)), [b"\x0Fone\x0Ftwo"]);
}

#[test]
fn a_wrapper_stream_ends_where_it_is_out_of_step() {
    let wrapped = |apdu| plomb_dlms::wrapper::Wrapped { source: 1, destination: 103, apdu }.emit().unwrap();
    let line = [&wrapped(b"\x0Fone")[..], &wrapped(b"\x0Ftwo"), b"GET /", &wrapped(b"\x0Fthree")].concat();
    let pieces: Vec<_> = line.chunks(5).map(<[u8]>::to_vec).collect();
    let events = hear(PushFraming::Wrapper, &pieces, SECOND);
    assert_eq!(apdus(&events), [b"\x0Fone", b"\x0Ftwo"]);
    assert!(matches!(events[2], PushEvent::Lost(PushLoss::Stream(_))));
    assert_eq!(events.len(), 3);
}

/// However much comes, no more than the limits is kept.
#[test]
fn what_is_kept_is_bounded() {
    let mut config = PushConfig::new(PushFraming::Serial);
    config.apdu_bytes_max = 1000;
    let mut receiver = PushReceiver::new(config);
    receiver.handle_input(&ui(true, b"\xE6\xE7\x00\x0F"), Instant::ORIGIN);
    for _ in 0..500 {
        receiver.handle_input(&ui(true, &[7; 100]), Instant::ORIGIN);
    }
    receiver.handle_input(&ui(false, &[7; 100]), Instant::ORIGIN);
    let events: Vec<_> = std::iter::from_fn(|| receiver.poll_event()).collect();
    assert_eq!(events, [PushEvent::Lost(PushLoss::TooLong { bytes_max: 1000 })]);
    for _ in 0..500 {
        receiver.handle_input(&ui(false, b"\xE6\xE7\x00\x0F"), Instant::ORIGIN);
    }
    assert_eq!(std::iter::from_fn(|| receiver.poll_event()).count(), 64);
    assert_eq!(receiver.dropped(), 436);
}
