//! Any stream of P1 telegrams. The first byte says how it is cut in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_iec62056::annotate;
use plomb_iec62056::p1::{Deframer, Found, TELEGRAM_BYTES_MAX, Telegram};

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, stream)) = bytes.split_first() else { return };
    assert_eq!(annotate(stream).iter().map(|one| one.length).sum::<usize>(), stream.len());
    if let Ok(Some((telegram, consumed, _))) = Telegram::parse_leniently(stream) {
        assert!(consumed <= stream.len());
        look_at(&telegram);
    }
    let mut deframer = Deframer::default();
    for piece in stream.chunks(usize::from(*cut).max(1)) {
        deframer.push(piece, |found| {
            if let Found::Telegram(telegram, bytes) = found {
                assert!(bytes.len() <= TELEGRAM_BYTES_MAX + 8);
                look_at(&telegram);
            }
        });
    }
});

fn look_at(telegram: &Telegram<'_>) {
    telegram.readings().for_each(|reading| drop(reading.value.to_string()));
    telegram.logs().for_each(|log| assert!(log.rows().flatten().count() < TELEGRAM_BYTES_MAX));
    let _ = (telegram.devices(), telegram.equipment(), telegram.time(), telegram.version(), telegram.identification());
}
