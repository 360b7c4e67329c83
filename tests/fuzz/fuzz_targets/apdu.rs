//! Any bytes as an APDU: what is read is written and read as the same again, and every byte of anything is annotated
//! once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_dlms::{annotate, apdu::Apdu};

fuzz_target!(|bytes: &[u8]| {
    match Apdu::parse(bytes) {
        Ok(apdu) => assert_eq!(Apdu::parse(&apdu.emit()), Ok(apdu)),
        Err(error) => assert!(error.offset() <= bytes.len()),
    }
    let mut at = 0;
    for annotation in annotate::apdu(bytes) {
        assert!(annotation.offset == at && annotation.length > 0);
        at += annotation.length;
    }
    assert_eq!(at, bytes.len());
});
