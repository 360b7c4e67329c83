//! Frames per second on one core: every record of every frame read and normalised.
//!
//! `cargo run --release -p plomb-mbus --example decode_speed -- FILE.hex…`; each file holds one frame.

use plomb_mbus::{Telegram, Value, decode};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each way of decoding is measured.
const MEASURED: Duration = Duration::from_secs(2);

fn main() -> Result<(), std::io::Error> {
    let mut frames = Vec::new();
    for path in std::env::args().skip(1) {
        frames.push(hex(&std::fs::read_to_string(path)?));
    }
    if frames.is_empty() {
        eprintln!("give files with one frame each, in hexadecimal");
        std::process::exit(64);
    }
    measure("borrowed records", &frames, |frame| match Telegram::parse(frame) {
        Ok(telegram) => telegram.records().flatten().filter(|record| black_box(record.value) != Value::None).count(),
        Err(_) => 0,
    });
    measure("records with OBIS codes", &frames, |frame| match Telegram::parse(frame) {
        Ok(telegram) => {
            let medium = telegram.medium().unwrap_or(plomb_mbus::Medium(0));
            let records = telegram.records().flatten();
            records.filter(|record| black_box((record.value, record.obis(medium))).0 != Value::None).count()
        }
        Err(_) => 0,
    });
    measure("collected in a Vec", &frames, |frame| match decode(frame) {
        Ok(decoded) => black_box(decoded.records).len(),
        Err(_) => 0,
    });
    Ok(())
}

fn measure(what: &str, frames: &[Vec<u8>], mut decode: impl FnMut(&[u8]) -> usize) {
    let start = Instant::now();
    let (mut decoded, mut records) = (0usize, 0usize);
    while start.elapsed() < MEASURED {
        for _ in 0..100 {
            for frame in frames {
                records += decode(black_box(frame));
                decoded += 1;
            }
        }
    }
    let micros = start.elapsed().as_micros().max(1);
    let per_second = |count: usize| count as u128 * 1_000_000 / micros;
    println!("{what}: {} frames/s, {} records/s", per_second(decoded), per_second(records));
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .filter_map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)).ok())
        .collect()
}
