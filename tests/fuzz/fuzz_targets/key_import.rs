//! Any text as a key file, as a vendor's list and as a KEM file; any text as a profile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_keys::{KeyFile, import};
use plomb_profiles::Profile;

fuzz_target!(|bytes: &[u8]| {
    let _ = import::kem("f", bytes, "password");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = KeyFile::parse("f", text);
    let _ = import::csv("f", text);
    if let Ok(profile) = Profile::parse("f", text) {
        let _ = profile.check();
    }
});
