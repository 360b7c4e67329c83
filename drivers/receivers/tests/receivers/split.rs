//! However a stream is split, the events are the same.

use crate::line::{Line, TELEGRAM, receiver};
use crate::{amber, cul, im871a, rc1180, rtl_wmbus};
use plomb_receivers::{Kind, Modes, Receiver, ReceiverEvent};
use plomb_session::Session;
use proptest::prelude::*;

pub(crate) const KINDS: [Kind; 5] = [Kind::Im871a, Kind::Amb8465, Kind::Cul, Kind::Rc1180, Kind::RtlWmbus];

/// A receiver that listens, and its telegram as it sends it.
pub(crate) fn listening(kind: Kind) -> (Line<Receiver>, Vec<u8>) {
    let mut line = receiver(kind, Modes::T);
    let indication = match kind {
        Kind::Im871a => {
            im871a::set_up(&mut line, 0x03);
            im871a::indication(TELEGRAM)
        }
        Kind::Amb8465 => {
            amber::set_up(&mut line, 0x08);
            amber::indication(TELEGRAM)
        }
        Kind::Cul => {
            cul::set_up(&mut line, "t");
            cul::indication(cul::FRAME)
        }
        Kind::Rc1180 => {
            rc1180::set_up(&mut line, 1);
            rc1180::indication(TELEGRAM)
        }
        _ => rtl_wmbus::line_of("T1;1;1", TELEGRAM),
    };
    line.events();
    (line, indication)
}

fn events(kind: Kind, stream: &[u8], cuts: &[usize]) -> Vec<ReceiverEvent> {
    let (mut line, _) = listening(kind);
    let mut rest = stream;
    for cut in cuts {
        let (piece, after) = rest.split_at(rest.len().min(*cut));
        line.session.handle_input(piece, line.now);
        rest = after;
    }
    line.session.handle_input(rest, line.now);
    line.wait();
    line.events()
}

/// Telegrams, whole and damaged, and garbage, some of it made of what messages begin with.
fn stream(kind: Kind) -> impl Strategy<Value = Vec<u8>> {
    let (_, telegram) = listening(kind);
    let damaged = telegram.clone();
    let piece = prop_oneof![
        4 => Just(telegram.clone()),
        2 => (0..telegram.len(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut damaged = damaged.clone();
            damaged[at] = byte;
            damaged
        }),
        1 => (1..telegram.len()).prop_map(move |cut| telegram[..cut].to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..40),
        2 => proptest::collection::vec(proptest::sample::select(&[0xA5, 0xC2, 0x81, 0x03, 0xFF, 0x8A, b'b', b'\n', b'>', 0x44, 0x0F][..]), 0..700),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_split_gives_the_same_events(
        (kind, stream) in proptest::sample::select(&KINDS[..]).prop_flat_map(|kind| (Just(kind), stream(kind))),
        cuts in proptest::collection::vec(0usize..60, 0..40),
    ) {
        let whole = events(kind, &stream, &[]);
        prop_assert_eq!(&events(kind, &stream, &cuts), &whole);
        prop_assert_eq!(&events(kind, &stream, &vec![1; stream.len()]), &whole);
        // No byte is told twice.
        let noise: usize = whole.iter().map(|event| match event {
            ReceiverEvent::Noise(noise) => noise.bytes.len(),
            _ => 0,
        }).sum();
        prop_assert!(noise <= stream.len());
    }
}
