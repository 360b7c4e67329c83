//! The journal against a plain file: sign, chain and commit beside append and fdatasync, at the same window.
//!
//! `cargo run --release -p plomb-bench --bin bench-journal [FOLDER]`. The folder should lie on the disk in question.
//! Both sides take turns in one run, so what counts is the ratio. Bytes are what the kernel sent to the disk
//! for this process (`/proc/self/io`), without the file system's own journal.

use std::{
    error::Error,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use plomb_gateway::journal::{Journal, Options, Ticket};
use plomb_seal::{
    Chain, Clock, Decimal, Function, Hash, Meter, Name, Reading, Record, SigningKey, Stamp, Value, entry::Occurrence,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const WINDOWS: [usize; 4] = [1, 16, 64, 256];
const REPETITIONS: usize = 7;
const COMMITS: usize = 60;
/// Readings in each record: a usual electricity or heat meter.
const READINGS: u64 = 6;

struct Run {
    entries_per_s: f64,
    bytes_per_entry: f64,
}

fn main() -> Outcome<()> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("plomb-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = compare(&folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn compare(folder: &Path) -> Outcome<()> {
    // First, while the memory of this process is the journal's alone.
    long_life(&folder.join("long.redb"))?;
    let bytes = sealed_bytes()?;
    println!("one entry: {bytes} bytes; {REPETITIONS} repetitions, medians; {COMMITS} commits each");
    println!("phases window   file/s  journal/s  ratio (min-max)     file B/entry  journal B/entry");
    for (window, two_phase) in WINDOWS.into_iter().flat_map(|window| [(window, true), (window, false)]) {
        let (mut file, mut journal, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for repetition in 0..REPETITIONS {
            let plain = plain_file(&folder.join("plain"), bytes, window)?;
            let sealed =
                sealed_journal(&folder.join(format!("{window}-{two_phase}-{repetition}.redb")), window, two_phase)?;
            ratios.push(sealed.entries_per_s / plain.entries_per_s);
            file.push(plain);
            journal.push(sealed);
        }
        println!(
            "{:>6} {window:>6} {:>8.0} {:>10.0}  {:>5.2} ({:.2}-{:.2}) {:>16.0} {:>16.0}",
            if two_phase { "two" } else { "one" },
            median(file.iter().map(|run| run.entries_per_s)),
            median(journal.iter().map(|run| run.entries_per_s)),
            median(ratios.iter().copied()),
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
            median(file.iter().map(|run| run.bytes_per_entry)),
            median(journal.iter().map(|run| run.bytes_per_entry)),
        );
    }
    Ok(())
}

fn plain_file(path: &Path, len: usize, window: usize) -> Outcome<Run> {
    let bytes = vec![0x5a; len];
    let mut file = File::create(path)?;
    let (start, written) = (Instant::now(), written_bytes()?);
    for _ in 0..COMMITS {
        for _ in 0..window {
            file.write_all(&bytes)?;
        }
        file.sync_data()?;
    }
    result(start, written, COMMITS * window)
}

fn sealed_journal(path: &Path, window: usize, two_phase: bool) -> Outcome<Run> {
    let journal = open(path, window, two_phase)?;
    let occurrences: Vec<Occurrence> = (0..COMMITS * window).map(record).collect::<Outcome<_>>()?;
    let (start, written) = (Instant::now(), written_bytes()?);
    let tickets: Vec<Ticket> = occurrences
        .into_iter()
        .map(|occurrence| journal.append_blocking(occurrence, Vec::new()))
        .collect::<Result<_, _>>()?;
    for ticket in tickets {
        ticket.wait()?;
    }
    result(start, written, COMMITS * window)
}

/// A journal of some size: what the file and the memory come to, and how long opening takes.
fn long_life(path: &Path) -> Outcome<()> {
    const ENTRIES: usize = 100_000;
    let before = status("VmRSS")?;
    let journal = open(path, 64, true)?;
    for number in 0..ENTRIES {
        drop(journal.append_blocking(record(number)?, Vec::new())?);
    }
    drop(journal);
    println!("memory: {before} KiB before, {} KiB at the most while writing", status("VmHWM")?);
    let start = Instant::now();
    let journal = open(path, 64, true)?;
    let opened = start.elapsed();
    let stats = journal.stats()?;
    let file = fs::metadata(path)?.len();
    println!(
        "{ENTRIES} entries: {} bytes counted, {file} bytes of file ({:.2}), opened and checked in {} ms, resident {} KiB",
        stats.stored_bytes,
        as_f64(file) / as_f64(stats.stored_bytes),
        opened.as_millis(),
        status("VmRSS")?,
    );
    Ok(())
}

fn open(path: &Path, window_entries_max: usize, two_phase_commit: bool) -> Outcome<Journal> {
    let options =
        Options { window: Duration::from_secs(60), window_entries_max, two_phase_commit, ..Options::default() };
    Ok(Journal::open(path, gateway()?, key(), options, || stamp(0))?.0)
}

fn sealed_bytes() -> Outcome<usize> {
    let mut chain = Chain::begin(gateway()?, 0, Hash::ZERO);
    Ok(chain.seal(record(1)?, stamp(0), &key()).bytes().len())
}

fn gateway() -> Outcome<Name> {
    Ok("gw-bench".parse()?)
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

fn stamp(unix_ms: i64) -> Stamp {
    Stamp { unix_ms: 1_760_000_000_000 + unix_ms, clock: Clock::Synced { error_ms: 20 } }
}

/// The record of one of five hundred meters.
fn record(number: usize) -> Outcome<Occurrence> {
    let reading = |storage: u64| Reading {
        obis: "1-0:1.8.0*255".parse().ok(),
        value: Value::Number(Decimal { mantissa: 123_456_789, exponent: -3 }),
        unit: "Wh".into(),
        quantity: "energy".into(),
        function: Function::Instantaneous,
        storage,
        tariff: 0,
        subunit: 0,
        time: None,
        flags: Vec::new(),
    };
    let record = Record {
        meter: Meter {
            protocol: "mbus".into(),
            id: "12345678".into(),
            manufacturer: "PLM".into(),
            version: 1,
            medium: 2,
        },
        readings: (0..READINGS).map(reading).collect(),
        meter_time: Some("2026-11-23T09:00:00".into()),
        status: Vec::new(),
        frames: vec![Hash::of(&number.to_be_bytes())],
        driver: "mbus 0.1.0".into(),
        profile: None,
    };
    Ok(Occurrence::Record(format!("point-{}", number % 500).parse()?, record))
}

fn result(start: Instant, written_before: u64, entries: usize) -> Outcome<Run> {
    let entries = as_f64(entries as u64);
    Ok(Run {
        entries_per_s: entries / start.elapsed().as_secs_f64(),
        bytes_per_entry: as_f64(written_bytes()? - written_before) / entries,
    })
}

/// Counts here are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn written_bytes() -> Outcome<u64> {
    proc_number("/proc/self/io", "write_bytes")
}

/// In KiB.
fn status(name: &str) -> Outcome<u64> {
    proc_number("/proc/self/status", name)
}

fn proc_number(path: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next()).ok_or("the kernel does not tell")?;
    Ok(number.parse()?)
}
