//! Wireless M-Bus: telegrams a second of processor time, from the received bytes to the record that is signed.
//!
//! `wmbus [LINES]`, 100,000 by default. Two levels: the gateway's listener (262 meters configured, every check,
//! normalised), and the command line (`plomb decode --json --keys FILE -`, 262 keys in the file) as a process,
//! of which user time and memory are the kernel's own counts. `plomb` lies beside this program.
//! The peer is not run here; see docs/measurements.md for figures of it from elsewhere. Prints JSON lines.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use plomb_bench::{
    cpu,
    loads::{Guard, LOADS, Load, METERS_CONFIGURED, id_digits, key_file, telegrams},
};
use plomb_gateway::{
    keys::Keys,
    radio::listener::{Listener, Outcome, Wanted},
};
use plomb_mbus::SecondaryAddress;
use plomb_profiles::Library;
use plomb_wmbus::{Format, Protection};

type Outcomes<T> = Result<T, Box<dyn Error>>;

const LINES_DEFAULT: usize = 100_000;
/// Telegrams that a listener is given in a round.
const HEARD: usize = 20_000;
const ROUNDS: usize = 5;
/// The design load: fifty telegrams a second.
const PACE: Duration = Duration::from_millis(20);
/// How often a point is recorded.
const INTERVAL: Duration = Duration::from_secs(900);
/// Whether memory is flat shows in a tenth of the lines.
const TENTH: usize = 10;
const GOOD: &[u8] = br#"{"schema":"plomb.decode/1","ok":true"#;

fn main() -> Outcomes<()> {
    let lines: usize = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(LINES_DEFAULT);
    let plomb = env::current_exe()?.with_file_name("plomb");
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys");
    fs::write(&keys, key_file())?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600))?;
    for load in LOADS {
        let sent = telegrams(load, HEARD.max(lines));
        let heard = listener_rate(load, &sent)?;
        let bytes = sent.iter().map(Vec::len).sum::<usize>() / sent.len().max(1);
        println!(
            "{{\"bench\":\"wmbus listener\",\"load\":\"{}\",\"bytes_per_telegram\":{bytes},\"telegrams_per_cpu_s\":{heard:.0}}}",
            load.name
        );
        let (few, _) = decode(&plomb, &keys, sent.get(..lines / TENTH).unwrap_or(&sent))?;
        let (many, user_s) = decode(&plomb, &keys, sent.get(..lines).unwrap_or(&sent))?;
        println!(
            "{{\"bench\":\"plomb decode\",\"load\":\"{}\",\"lines\":{lines},\"user_s\":{user_s:.2},\"lines_per_user_s\":{:.0},\"peak_kib_of_tenth\":{few},\"peak_kib\":{many}}}",
            load.name,
            number(lines) / user_s
        );
    }
    Ok(())
}

/// The best of some rounds, each with a fresh listener.
fn listener_rate(load: Load, sent: &[Vec<u8>]) -> Outcomes<f64> {
    let (keys, library) = (Arc::new(Keys::parse("keys", &key_file())?), Arc::new(Library::shipped()?));
    let minimum = Some(match load.guard {
        Guard::Plain => Protection::Plain,
        Guard::Mode5 => Protection::Encrypted,
        Guard::Mode7 => Protection::Authenticated,
    });
    let wanted: Vec<Wanted> = (0..METERS_CONFIGURED)
        .map(|number| {
            Ok(Wanted { address: SecondaryAddress::from_id(id_digits(number).parse()?), minimum, interval: INTERVAL })
        })
        .collect::<Outcomes<_>>()?;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let mut listener = Listener::new(wanted.clone(), keys.clone(), library.clone(), BTreeMap::new());
        let (begun, mut now, mut good) = (cpu::thread(), Duration::ZERO, 0);
        for telegram in sent.iter().take(HEARD) {
            now += PACE;
            match listener.hear_as(Some(Format::Stripped), std::hint::black_box(telegram), Some(-70), now) {
                Outcome::Due(heard) | Outcome::Heard(heard) => good += usize::from(heard.record.is_ok()),
                other => return Err(format!("{}: {other:?}", load.name).into()),
            }
        }
        let took = cpu::thread().saturating_sub(begun);
        if good != HEARD {
            return Err(format!("{}: {good} of {HEARD} gave a record", load.name).into());
        }
        best = best.min(took.as_secs_f64() / number(HEARD));
    }
    Ok(1.0 / best)
}

/// Peak memory in KiB and user time in seconds of a `plomb decode` that is fed these telegrams.
fn decode(plomb: &Path, keys: &PathBuf, sent: &[Vec<u8>]) -> Outcomes<(u64, f64)> {
    let before = cpu::children_user_s()?;
    let mut child = Command::new(plomb)
        .args(["decode", "--json", "--protocol", "wmbus", "--keys"])
        .arg(keys)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}; build it first: cargo build --release -p plomb-cli", plomb.display()))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("no pipes".into());
    };
    let counting = thread::spawn(move || good_lines(BufReader::new(output)));
    for telegram in sent {
        let mut line = hex::encode(telegram);
        line.push('\n');
        input.write_all(line.as_bytes())?;
    }
    let peak = cpu::idle_peak_kib(&child)?;
    drop(input);
    child.wait()?;
    let good = counting.join().map_err(|_| "the reader failed")?;
    if good != sent.len() {
        return Err(format!("{good} of {} lines were decoded", sent.len()).into());
    }
    Ok((peak, cpu::children_user_s()? - before))
}

fn good_lines(mut output: impl BufRead) -> usize {
    let (mut line, mut good) = (Vec::new(), 0);
    while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        good += usize::from(line.starts_with(GOOD));
        line.clear();
    }
    good
}

/// Counts here are far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn number(count: usize) -> f64 {
    count as f64
}
