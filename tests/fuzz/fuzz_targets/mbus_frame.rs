//! Any bytes through the wired M-Bus frame parser: a frame that is read emits its own bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_mbus::Frame;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((frame, consumed))) = Frame::parse(bytes) {
        let emitted = frame.emit().expect("a frame that was read fits in a frame");
        assert_eq!(emitted, bytes[..consumed]);
    }
});
