//! Wireless M-Bus, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod annex_n;

use std::path::PathBuf;

fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("PLOMB_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        eprintln!("corpus absent: set PLOMB_CORPUS");
    }
    corpus
}

fn rows(file: &str) -> Option<Vec<serde_json::Value>> {
    let text = std::fs::read_to_string(corpus()?.join(file)).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte << 4 | digit)).unwrap()).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
