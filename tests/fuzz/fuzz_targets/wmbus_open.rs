//! Any payload through every layer, with and without a key, and as a fragment. The frame around it is
//! made whole: the fuzzer need not guess CRCs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_mbus::{Identification, Manufacturer, Medium, MeterId};
use plomb_session::Instant;
use plomb_wmbus::{
    Content, Format, Key, Link, LinkControl, MeterState, OpenOptions, Opener, PAYLOAD_BYTES_MAX, Reassembly, Security,
    Telegram, Upper,
};

fuzz_target!(|bytes: &[u8]| {
    let sender = MeterId {
        id: Identification(0x1234_5678),
        manufacturer: Manufacturer(0x0477),
        version: 1,
        medium: Medium(7),
    };
    let payload = &bytes[..bytes.len().min(PAYLOAD_BYTES_MAX)];
    let link = Link { control: LinkControl::SND_NR, sender };
    let frame = link.emit(Format::A, payload).expect("the payload fits");
    let mut buffer = Vec::new();
    let Ok(telegram) = Telegram::parse(&frame, &mut buffer) else { return };
    let key = Key::new([7; 16]);
    let mut reassembly = Reassembly::default();
    if let Upper::Fragment { .. } = telegram.upper {
        let _ = reassembly.add(&telegram, Instant::ORIGIN);
    }
    let strict = MeterState::new(Security::authenticated(key.clone()));
    assert!(Opener::new().open(&telegram, &strict).is_err(), "nobody guesses a MAC");
    let mut lax = MeterState::new(Security { key: Some(key), ..Security::plain() });
    let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
    for state in [&mut MeterState::default(), &mut lax] {
        let Ok(opened) = opener.open(&telegram, state) else { continue };
        if let Content::Records(records) = opened.content {
            records.flatten().for_each(|record| drop(format!("{} {:?}", record.value, record.obis(Medium(7)))));
        }
        state.accept(&opened);
    }
});
