//! The journal against a plain file: sign, chain and commit beside append and fdatasync, at the same window.
//!
//! `cargo run --release -p plomb-bench --bin bench-journal [FOLDER]`. The folder should lie on the disk in question.
//! Both sides take turns in one run, so what counts is the ratio. Bytes are what the kernel sent to the disk
//! for this process (`/proc/self/io`), without the file system's own journal. The disk here is likely faster
//! than a gateway's card: a second table has both sides wait longer at each sync, as long as cards take.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use plomb_bench::{
    cpu,
    slow_disk::{SlowFile, pause},
};
use plomb_gateway::journal::{Journal, Options, Ticket};
use plomb_seal::{
    Chain, Clock, Decimal, Function, Hash, Meter, Name, Reading, Record, SigningKey, Stamp, Value, entry::Occurrence,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const WINDOWS: [usize; 4] = [1, 16, 64, 256];
/// What is added to each sync: nothing, and what cards take.
const EXTRAS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(20)];
const REPETITIONS: usize = 7;
const COMMITS: usize = 60;
/// The same where a sync is slow: it varies less, and lasts.
const SLOW_REPETITIONS: usize = 3;
const SLOW_COMMITS: usize = 20;
/// Readings in each record: a usual electricity or heat meter.
const READINGS: u64 = 6;

struct Run {
    entries_per_s: f64,
    bytes_per_entry: f64,
    /// Of all threads.
    cpu_us_per_entry: f64,
}

fn main() -> Outcome<()> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("plomb-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = compare(&folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

/// One comparison: how entries are grouped and made durable.
#[derive(Clone, Copy)]
struct Way {
    window: usize,
    two_phase: bool,
    /// Added to each sync.
    extra: Duration,
    commits: usize,
}

fn compare(folder: &Path) -> Outcome<()> {
    // First, while the memory of this process is the journal's alone.
    long_life(&folder.join("long.redb"))?;
    let bytes = sealed_bytes()?;
    println!("one entry: {bytes} bytes; {REPETITIONS} repetitions ({SLOW_REPETITIONS} of slow syncs), medians");
    println!(
        "sync +ms phases window   file/s  journal/s  ratio (min-max)     file B/entry  journal B/entry  CPU µs/entry"
    );
    for extra in EXTRAS {
        let (repetitions, commits) =
            if extra.is_zero() { (REPETITIONS, COMMITS) } else { (SLOW_REPETITIONS, SLOW_COMMITS) };
        for (window, two_phase) in WINDOWS.into_iter().flat_map(|window| [(window, true), (window, false)]) {
            row(folder, Way { window, two_phase, extra, commits }, repetitions, bytes)?;
        }
    }
    Ok(())
}

fn row(folder: &Path, way: Way, repetitions: usize, bytes: usize) -> Outcome<()> {
    let (mut file, mut journal, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repetitions {
        let plain = plain_file(&folder.join("plain"), bytes, way)?;
        let path = folder.join("sealed.redb");
        let sealed = sealed_journal(&path, way)?;
        fs::remove_file(path)?;
        ratios.push(sealed.entries_per_s / plain.entries_per_s);
        file.push(plain);
        journal.push(sealed);
    }
    println!(
        "{:>8} {:>6} {:>6} {:>8.0} {:>10.0}  {:>5.2} ({:.2}-{:.2}) {:>16.0} {:>16.0} {:>13.1}",
        way.extra.as_millis(),
        if way.two_phase { "two" } else { "one" },
        way.window,
        median(file.iter().map(|run| run.entries_per_s)),
        median(journal.iter().map(|run| run.entries_per_s)),
        median(ratios.iter().copied()),
        ratios.iter().copied().fold(f64::INFINITY, f64::min),
        ratios.iter().copied().fold(0.0, f64::max),
        median(file.iter().map(|run| run.bytes_per_entry)),
        median(journal.iter().map(|run| run.bytes_per_entry)),
        median(journal.iter().map(|run| run.cpu_us_per_entry)),
    );
    Ok(())
}

fn plain_file(path: &Path, len: usize, way: Way) -> Outcome<Run> {
    let bytes = vec![0x5a; len];
    let mut file = File::create(path)?;
    let begun = Begun::now()?;
    for _ in 0..way.commits {
        for _ in 0..way.window {
            file.write_all(&bytes)?;
        }
        file.sync_data()?;
        pause(way.extra);
    }
    begun.run(way)
}

fn sealed_journal(path: &Path, way: Way) -> Outcome<Run> {
    let journal = open(path, way.window, way.two_phase, way.extra)?;
    let occurrences: Vec<Occurrence> = (0..way.commits * way.window).map(record).collect::<Outcome<_>>()?;
    let begun = Begun::now()?;
    let tickets: Vec<Ticket> = occurrences
        .into_iter()
        .map(|occurrence| journal.append_blocking(occurrence, Vec::new()))
        .collect::<Result<_, _>>()?;
    for ticket in tickets {
        ticket.wait()?;
    }
    begun.run(way)
}

/// A journal of some size: what the file and the memory come to, and how long opening takes.
fn long_life(path: &Path) -> Outcome<()> {
    const ENTRIES: usize = 100_000;
    let before = status("VmRSS")?;
    let journal = open(path, 64, true, Duration::ZERO)?;
    for number in 0..ENTRIES {
        drop(journal.append_blocking(record(number)?, Vec::new())?);
    }
    drop(journal);
    println!("memory: {before} KiB before, {} KiB at the most while writing", status("VmHWM")?);
    let start = Instant::now();
    let journal = open(path, 64, true, Duration::ZERO)?;
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

fn open(path: &Path, window_entries_max: usize, two_phase_commit: bool, extra: Duration) -> Outcome<Journal> {
    let options =
        Options { window: Duration::from_secs(60), window_entries_max, two_phase_commit, ..Options::default() };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    Ok(Journal::open_with_backend(SlowFile::new(file, extra)?, gateway()?, key(), options, || stamp(0))?.0)
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

/// Where time and bytes stood.
struct Begun {
    at: Instant,
    written: u64,
    cpu: Duration,
}

impl Begun {
    fn now() -> Outcome<Self> {
        Ok(Self { at: Instant::now(), written: written_bytes()?, cpu: cpu::process() })
    }

    fn run(self, way: Way) -> Outcome<Run> {
        let entries = as_f64((way.commits * way.window) as u64);
        Ok(Run {
            entries_per_s: entries / self.at.elapsed().as_secs_f64(),
            bytes_per_entry: as_f64(written_bytes()? - self.written) / entries,
            cpu_us_per_entry: cpu::process().saturating_sub(self.cpu).as_secs_f64() * 1e6 / entries,
        })
    }
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
