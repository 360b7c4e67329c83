//! Telegrams per second on one core, from radio bytes to named values: parsed, opened, profile found, applied.
//!
//! `cargo run --release -p plomb-profiles --example apply_speed`

use plomb_profiles::{Library, Memory};
use plomb_wmbus::{MeterState, Opener, Security, Telegram};
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

const MEASURED: Duration = Duration::from_secs(2);

/// Telegrams of the shipped profiles.
const TELEGRAMS: &[(&str, &str)] = &[
    ("own coding", "1B446850748392417462A2069F2FD204700638000000050406050603"),
    ("PRIOS", include_str!("../diehl-izar.toml")),
    ("records", include_str!("../kamstrup-multical.toml")),
    ("33 fields", include_str!("../bfw-240-radio.toml")),
];

fn main() -> Result<(), Box<dyn Error>> {
    let library = Library::shipped()?;
    for (what, text) in TELEGRAMS {
        let bytes = telegram(text);
        let (mut opener, mut memory) = (Opener::new(), Memory::default());
        let state = MeterState::new(Security::plain());
        let (mut telegrams, mut values) = (0u128, 0u128);
        let start = Instant::now();
        let mut buffer = Vec::new();
        while start.elapsed() < MEASURED {
            for _ in 0..100 {
                let telegram = Telegram::parse(black_box(&bytes), &mut buffer)?;
                let opened = opener.open(&telegram, &state)?;
                library.apply(opened.meter, &opened.content, None, &mut memory, |named| {
                    values += 1;
                    black_box(named.value);
                })?;
                telegrams += 1;
            }
        }
        let micros = start.elapsed().as_micros().max(1);
        println!("{what}: {} telegrams/s, {} values each", telegrams * 1_000_000 / micros, values / telegrams.max(1));
    }
    Ok(())
}

/// The bytes, or the first telegram of a profile's file.
fn telegram(text: &str) -> Vec<u8> {
    let text = match text.split_once("telegram = \"") {
        Some((_, rest)) => rest.trim_start_matches('"').split('"').next().unwrap_or_default(),
        None => text,
    };
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let bytes = digits.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)));
    bytes.filter_map(Result::ok).collect()
}
