//! Decoding: frames a second of processor time, over recorded or simulated frames.
//!
//! `bench-decode FOLDER [SECONDS]` reads every `.hex` file of a folder; without a folder the frames are those of the
//! simulated meters. Three levels: records borrowed from the frame, records collected, and the normalised
//! record that is signed. Prints one JSON line.

use std::{env, fs, path::Path};

use plomb_bench::cpu;
use plomb_gateway::normalise;
use plomb_sim::{Calendar, LineSpeed, street};

fn main() {
    let mut arguments = env::args().skip(1);
    let frames = match arguments.next() {
        Some(folder) => recorded(Path::new(&folder)),
        None => simulated(),
    };
    let seconds: f64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let records: usize =
        frames.iter().filter_map(|frame| plomb_mbus::decode(frame).ok()).map(|d| d.records.len()).sum();
    let borrowed = rate(&frames, seconds, |frame| {
        let telegram = plomb_mbus::Telegram::parse(frame).ok();
        telegram.map_or(0, |telegram| telegram.records().flatten().filter(|record| record.number().is_some()).count())
    });
    let collected =
        rate(&frames, seconds, |frame| plomb_mbus::decode(frame).map_or(0, |decoded| decoded.records.len()));
    let normalised = rate(&frames, seconds, |frame| {
        plomb_mbus::decode(frame)
            .ok()
            .and_then(|decoded| normalise::mbus::record_of(&decoded, frame).ok())
            .map_or(0, |record| record.readings.len())
    });
    println!(
        "{{\"bench\":\"decode\",\"frames\":{},\"records\":{records},\"borrowed_frames_per_cpu_s\":{borrowed:.0},\"collected_frames_per_cpu_s\":{collected:.0},\"normalised_frames_per_cpu_s\":{normalised:.0}}}",
        frames.len()
    );
}

/// The best of five rounds, of this thread's processor time: even so the others met somebody else in the cache.
fn rate(frames: &[Vec<u8>], seconds: f64, mut decode: impl FnMut(&[u8]) -> usize) -> f64 {
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let (begun, mut count, mut seen, mut used) = (cpu::thread(), 0u32, 0usize, 0.0);
        while used < seconds / 5.0 {
            // The clock is asked once in many frames: it costs as much as one.
            for _ in 0..10 {
                for frame in frames {
                    seen = seen.wrapping_add(decode(std::hint::black_box(frame)));
                }
                count += u32::try_from(frames.len()).unwrap_or(0);
            }
            used = cpu::thread().saturating_sub(begun).as_secs_f64();
        }
        std::hint::black_box(seen);
        best = best.max(f64::from(count) / used);
    }
    best
}

fn recorded(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let hex = paths.iter().filter(|path| path.extension().is_some_and(|e| e == "hex"));
    hex.filter_map(|path| plomb_sim::file::read_frames(path).ok()).flatten().collect()
}

fn simulated() -> Vec<Vec<u8>> {
    let calendar = Calendar { start_unix_s: 1_780_000_000, factor: 0 };
    let street = street(20, 1, LineSpeed(2400), calendar);
    let meters = street.bus.slaves().map(|slave| match slave.source() {
        plomb_sim::mbus::Source::Live(meter) => meter.telegrams(1_780_000_000, 1),
        plomb_sim::mbus::Source::Fixed(frames) => frames.clone(),
    });
    meters.flatten().collect()
}
