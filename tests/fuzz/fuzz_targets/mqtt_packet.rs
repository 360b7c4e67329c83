//! Any bytes through the guard's MQTT codec: no panic, no packet beyond the
//! bound, and what is read is emitted to the byte.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use plomb_broker::mqtt;

const PACKET_BYTES_MAX: usize = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((packet, packet_bytes))) = mqtt::parse(rest, PACKET_BYTES_MAX) {
        assert!((2..=PACKET_BYTES_MAX).contains(&packet_bytes));
        let (read, behind) = rest.split_at(packet_bytes);
        let mut out = BytesMut::new();
        packet.emit(&mut out).expect("what was read fits");
        assert_eq!(&out[..], read);
        rest = behind;
    }
});
