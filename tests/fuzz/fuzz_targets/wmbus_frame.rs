//! Any bytes through the radio link layer and the search in chips: a frame that is read emits its own
//! bytes again, and every byte of anything is annotated once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_wmbus::{Format, LinkFrame, MeterState, Opener, annotate, chips};

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::A, Format::B, Format::Stripped] {
        let mut buffer = Vec::new();
        if let Ok(frame) = LinkFrame::parse_as(format, bytes, &mut buffer) {
            let emitted = frame.link.emit(format, frame.payload).expect("a frame that was read fits in a frame");
            assert_eq!(emitted, bytes);
        }
    }
    for mode in [chips::Mode::S, chips::Mode::T, chips::Mode::C] {
        if let Ok(received) = chips::receive(mode, bytes) {
            assert!(received.end <= bytes.len() * 8);
        }
    }
    let annotations = annotate(bytes, &mut Opener::new(), &MeterState::default());
    let mut at = 0;
    for annotation in annotations {
        assert!(annotation.offset == at && annotation.length > 0);
        at += annotation.length;
    }
    assert_eq!(at, bytes.len());
});
