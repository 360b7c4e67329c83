//! Telegrams per second on one core: parsed, opened under their meter's key, every record read.
//!
//! `cargo run --release -p plomb-wmbus --example open_speed`: 262 meters of its own making in a map, one
//! telegram of each in turn; message counters grow, and every telegram is accepted.

use plomb_mbus::{Configuration, Identification, Manufacturer, Medium, MeterId, ShortHeader, Status};
use plomb_wmbus::{
    Authentication, Content, Draft, Format, Key, Link, LinkControl, MeterState, Opener, Security, Telegram,
    TransportHeader,
};
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each mode is measured.
const MEASURED: Duration = Duration::from_secs(2);
const METERS: u32 = 262;
/// Telegrams of each meter, with growing counters.
const ROUNDS: u32 = 40;

/// Volume, date and time, flow, a stored volume with its date, and errors: as a water meter sends.
const RECORDS: [u8; 39] = [
    0x0C, 0x13, 0x21, 0x43, 0x05, 0x00, 0x04, 0x6D, 0x1E, 0x0B, 0x59, 0x2B, 0x02, 0x3B, 0x12, 0x00, 0x4C, 0x13, 0x17,
    0x40, 0x05, 0x00, 0x42, 0x6C, 0x5F, 0x2C, 0x02, 0xFD, 0x17, 0x00, 0x00, 0x84, 0x10, 0x06, 0x01, 0x00, 0x00, 0x00,
    0x2F,
];

fn main() {
    for mode in [0, 5, 7, 10] {
        measure(mode);
    }
}

fn meter(number: u32) -> MeterId {
    MeterId { id: Identification(number), manufacturer: Manufacturer(0x0477), version: 1, medium: Medium(7) }
}

fn key(number: u32) -> Key {
    let mut bytes = [0x5A; 16];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Key::new(bytes)
}

fn telegrams(mode: u16) -> Vec<Vec<u8>> {
    let mut telegrams = Vec::new();
    for counter in 1..=ROUNDS {
        for number in 0..METERS {
            let configuration = Configuration(if mode == 10 { 0x2AFF } else { mode << 8 });
            let draft = Draft {
                link: Link { control: LinkControl::SND_NR, sender: meter(number) },
                ell: None,
                ci: 0x7A,
                header: TransportHeader::Short(ShortHeader { access: 1, status: Status(0), configuration }),
                payload: &RECORDS,
                counter,
                authentication: Authentication::Cmac(8),
            };
            telegrams.extend(draft.emit(Format::A, Some(&key(number))).ok());
        }
    }
    telegrams
}

fn measure(mode: u16) {
    let telegrams = telegrams(mode);
    let security = |number| if mode == 0 { Security::plain() } else { Security::encrypted(key(number)) };
    let fresh: HashMap<_, _> = (0..METERS).map(|number| (meter(number), MeterState::new(security(number)))).collect();
    let (mut opener, mut buffer) = (Opener::new(), Vec::new());
    let (mut opened_count, mut records_count, mut spent) = (0usize, 0usize, Duration::ZERO);
    while spent < MEASURED {
        let mut meters = fresh.clone();
        let start = Instant::now();
        for bytes in &telegrams {
            let Ok(telegram) = Telegram::parse(black_box(bytes), &mut buffer) else { continue };
            let Some(state) = telegram.meter().and_then(|meter| meters.get_mut(&meter)) else { continue };
            let Ok(opened) = opener.open(&telegram, state) else { continue };
            if let Content::Records(records) = opened.content {
                records_count += records.flatten().map(black_box).count();
            }
            state.accept(&opened);
            opened_count += 1;
        }
        spent += start.elapsed();
    }
    let per_second = |count: usize| count as u128 * 1_000_000 / spent.as_micros().max(1);
    println!("mode {mode}: {} telegrams/s, {} records/s", per_second(opened_count), per_second(records_count));
}
