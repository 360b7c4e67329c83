//! Any line against the messages, data sets and sessions of IEC 62056-21.
//!
//! The first byte chooses the session, the second how the line is cut in pieces. Each conversation
//! ends once the line falls silent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_iec62056::{DataSets, Message, Opening, Parity, Programming, ReadConfig, Readout, Request, annotate};
use plomb_session::{Instant, Session};
use std::time::Duration;

const DEADLINES_MAX: usize = 500;

fuzz_target!(|bytes: &[u8]| {
    let [kind, cut, line @ ..] = bytes else { return };
    assert_eq!(annotate(line).iter().map(|one| one.length).sum::<usize>(), line.len());
    if let Ok(Some((_, consumed))) = Message::parse(line) {
        assert!(consumed <= line.len());
    }
    for set in DataSets::new(line).flatten() {
        assert!(set.offset + set.length <= line.len());
        set.groups().for_each(|group| drop((group.decimal(), group.octets())));
    }
    let parity = [Parity::Port, Parity::Software, Parity::None][usize::from(kind >> 2) % 3];
    let config = ReadConfig { parity, ..ReadConfig::new() };
    match kind & 3 {
        0 | 1 => converse(&mut Readout::new(config), line, *cut),
        2 => converse(&mut Opening::new(config), line, *cut),
        _ => {
            let requests = ["1.8.0", "2.8.0"].map(|address| Request::read(address).expect("a plain address"));
            let session = Programming::new(config, Some("1"), requests.to_vec());
            converse(&mut session.expect("a plain password"), line, *cut);
        }
    }
});

fn converse<S: Session>(session: &mut S, line: &[u8], cut: u8) {
    let mut now = Instant::ORIGIN;
    let mut pieces = line.chunks(usize::from(cut).max(1));
    session.start(now);
    for _ in 0..pieces.len() * 2 + DEADLINES_MAX {
        while session.poll_event().is_some() {}
        if session.is_finished() {
            return;
        }
        let _ = session.poll_speed();
        if session.poll_transmit().is_some() {
            session.handle_transmitted(now);
            continue;
        }
        // Bytes come while the session listens; a pause of the session passes first.
        now += Duration::from_millis(150);
        if session.poll_timeout().is_some_and(|at| now >= at) {
            session.handle_timeout(now);
            continue;
        }
        match pieces.next() {
            Some(piece) => session.handle_input(piece, now),
            None => {
                now = session.poll_timeout().unwrap_or(now).max(now);
                session.handle_timeout(now);
            }
        }
    }
    panic!("the conversation does not end");
}
