//! Any bytes as an APDU, and as frames that carry one: every byte is annotated once, in its order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_dlms::annotate::{Annotation, apdu, hdlc, mbus, wrapper};

fuzz_target!(|bytes: &[u8]| {
    for annotate in [apdu, hdlc, mbus, wrapper] {
        let list: Vec<Annotation> = annotate(bytes);
        let mut at = 0;
        for one in &list {
            assert!(one.offset == at && one.length > 0, "{list:?}");
            at += one.length;
        }
        assert_eq!(at, bytes.len());
    }
});
