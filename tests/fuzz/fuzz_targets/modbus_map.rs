//! Any text as a register map: no panic, and a map that is taken decodes any registers, by a plan within its bounds.
//! The first byte says how many bytes are the registers; the rest is the map.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_modbus::{Image, RegisterMap, Wanted, decode, identify, plan, serial};

fuzz_target!(|bytes: &[u8]| {
    let Some((count, rest)) = bytes.split_first() else { return };
    let (registers, text) = rest.split_at(usize::from(*count).min(rest.len()));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(map) = RegisterMap::parse("map.toml", text) else { return };
    let _ = map.check();
    let mut image = Image::new();
    for block in plan(&map, &Wanted::All) {
        assert!(block.words >= 1 && block.end() <= 0x1_0000);
        let words: Vec<u16> = (0..usize::from(block.words))
            .map(|place| registers.get(place % registers.len().max(1)).map_or(0, |byte| u16::from(*byte) * 0x0101))
            .collect();
        image.put(block, &words);
    }
    let _ = (decode(&map, &Wanted::All, &image), serial(&map, &image), identify(&map, &image));
});
