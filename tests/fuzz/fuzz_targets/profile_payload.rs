//! Any bytes under any shipped profile: the first byte chooses the profile, the second the place, the rest is
//! what the meter sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_mbus::{Identification, Medium, MeterId, Records};
use plomb_profiles::{Library, Memory};
use plomb_wmbus::{Key, ManufacturerPayload};
use std::sync::LazyLock;

static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::shipped().expect("the shipped profiles are right"));

fuzz_target!(|bytes: &[u8]| {
    let [chosen, ci, bytes @ ..] = bytes else { return };
    let count = LIBRARY.profiles().count();
    let Some(profile) = LIBRARY.profiles().nth(usize::from(*chosen) % count) else { return };
    let of = &profile.matches[0];
    let meter = MeterId {
        id: Identification(0x1234_5678),
        manufacturer: of.manufacturer,
        version: of.versions.first().copied().unwrap_or(*chosen),
        medium: of.media.first().copied().unwrap_or(Medium(7)),
    };
    let mut memory = Memory::default();
    let payload = ManufacturerPayload { meter, ci: 0xA0 | ci & 0x07, bytes, offset: 11 };
    let key = Key::new([1; 16]);
    let _ = profile.apply_payload(&payload, Some(&key), &mut memory, |named| drop(named.value.to_string()));
    let records = Records::from_bytes(bytes, 0);
    let _ = profile.apply_records(meter, records, &mut memory, |named| drop(named.value.to_string()));
});
