//! Any payload through the wired M-Bus decoder. The frame around it is made whole, so that the
//! fuzzer need not guess sums: the first byte is the CI field, the rest the payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_mbus::{Address, Control, Frame, Medium, PAYLOAD_BYTES_MAX, decode};

fuzz_target!(|bytes: &[u8]| {
    let Some((&ci, payload)) = bytes.split_first() else { return };
    let payload = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
    let control = Control::RspUd { acd: false, dfc: false };
    let frame = Frame::Long { control, address: Address(1), ci, payload };
    let frame = frame.emit().expect("the payload fits");
    let Ok(decoded) = decode(&frame) else { return };
    assert!(decoded.error.is_none_or(|error| error.offset() <= frame.len()));
    for record in &decoded.records {
        let length = record.dib.len() + record.vib.len() + record.data.len();
        assert!(record.offset + length <= frame.len());
        let _ = format!("{} {} {:?}", record.value, record.quantity, record.obis(Medium(0x04)));
        record.modifiers.for_each(|modifier| drop(modifier.to_string()));
    }
});
