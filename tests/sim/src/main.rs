//! Serves simulated meters on a pseudo-terminal or a socket until it is told to stop.

mod dlms_options;

use clap::{ArgGroup, Parser};
use dlms_options::DlmsOptions;
use plomb_sim::dlms::MeterServer;
use plomb_sim::file::{BusFile, read_folder};
use plomb_sim::mbus::{Faults, Slave, manufacturer_letters};
use plomb_sim::modbus::{ModbusOptions, ModbusServer};
use plomb_sim::radio::{Make, Protection, PtyReceiver, RadioMeter, Station, Twin, demo_air};
use plomb_sim::tcp::{TcpLine, UNPACED};
use plomb_sim::{Bus, Calendar, LineSpeed, PtyLine, SimError, street};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};

/// Simulated M-Bus meters on a line with true timing.
///
/// Prints one line of JSON that says where the line is and which meters are
/// on it, then serves until SIGTERM or ctrl-C.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("source").required(true)))]
struct Options {
    /// A bus described in a TOML file
    #[arg(long, value_name = "FILE", group = "source")]
    bus: Option<PathBuf>,
    /// A folder of .hex files: each a meter, at primary addresses from 1
    #[arg(long, value_name = "DIR", group = "source")]
    frames: Option<PathBuf>,
    /// This many live meters, at primary addresses from 1
    #[arg(long, value_name = "METERS", group = "source")]
    street: Option<u8>,
    /// A wireless receiver of this make, with a dozen radio meters around it
    #[arg(long, value_name = "MAKE", group = "source", conflicts_with_all = ["baud", "tcp", "echo", "fault"])]
    #[arg(value_parser = ["im871a", "amb8465", "cul", "rc1180", "rtl_wmbus"])]
    radio: Option<String>,
    /// Seconds between two telegrams of a radio meter
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,
    /// The line's speed (default: the bus file's, or 2400)
    #[arg(long, value_name = "BAUD", value_parser = clap::value_parser!(u32).range(300..=115_200))]
    baud: Option<u32>,
    /// Link the pseudo-terminal here
    #[arg(long, value_name = "PATH", conflicts_with = "tcp")]
    link: Option<PathBuf>,
    /// Serve on a socket instead, unpaced
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Option<String>,
    /// From what the registers of a street are drawn
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Return the master's own bytes, as some level converters do
    #[arg(long)]
    echo: bool,
    /// A fault of the meter at an address, or of all (*); may be repeated
    #[arg(long, value_name = "ADDRESS:FAULT[=VALUE]")]
    fault: Vec<String>,
    #[command(flatten)]
    dlms: DlmsOptions,
    #[command(flatten)]
    modbus: ModbusOptions,
}

const EXAMPLES: &str = "\
Examples:
  plomb-sim --street 5 --link /tmp/meters
  plomb-sim --frames telegrams/ --baud 9600 --link /tmp/meters
  plomb-sim --street 5 --tcp 127.0.0.1:10001
  plomb-sim --street 3 --link /tmp/meters --fault 2:silent --fault '*:late_ms=200'
  plomb-sim --radio im871a --link /tmp/radio --interval 5
  plomb-sim --dlms tcp://127.0.0.1:4059 --auth hls-gmac
  plomb-sim --modbus tcp://127.0.0.1:1502 --units 1,2 --fault 2:silent
  plomb-sim --dlms /tmp/meter --baud 9600 --auth lls --fault drop_every=7

A bus file has a block a meter; baud, seed and echo may stand before them:
  [[meter]]
  address = 1
  kind = \"heat\"           # heat, water, warm-water, electricity, gas
  id = \"12345678\"         # id, manufacturer and version are drawn if missing
  manufacturer = \"PLA\"
  version = 3
  faults = { late_ms = 150 }

Faults: silent, drop_every=N, wrong_checksum, half_frame, noise_before=[BYTES],
always_more, late_ms=MS, wrong_identity, dies_after=N, busy
Faults of a DLMS meter: silent, drop_every=N, delay_ms=MS, bad_fcs_every=N,
trickle_ms=MS, no_rlre, pdu_bytes_max=BYTES, gap_before_last_ms=MS, echo,
forget_every=N, close_every=N, noise_before=[BYTES], counter_silence, repeats_counter
Faults of a Modbus unit: silent, late_ms=MS, late_count=N, exception=CODE, bad_crc, wrong_unit";

/// Exit codes of sysexits.h.
const EXIT_USAGE: u8 = 64;
const EXIT_UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("plomb-sim: the system gives no event queue: {error}");
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
    };
    match runtime.block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Fault(reason)) => {
            eprintln!("plomb-sim: {reason}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Sim(error)) => {
            eprintln!("plomb-sim: {error}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
        Err(Failure::Signal(error)) => {
            eprintln!("plomb-sim: cannot wait for signals: {error}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

enum Failure {
    Fault(String),
    Sim(SimError),
    Signal(std::io::Error),
}

impl From<SimError> for Failure {
    fn from(error: SimError) -> Self {
        Self::Sim(error)
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate()).map_err(Failure::Signal)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::Signal)?;
    if let Some(make) = &options.radio {
        let receiver = PtyReceiver::open(options.link.as_deref(), station(make, options))?;
        println!("{}", receiver.with_station(|station| described_station(make, station, receiver.path())));
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        return Ok(());
    }
    if !options.dlms.dlms.is_empty() {
        let config = options.dlms.config(options.seed, now_unix_s(), &options.fault).map_err(Failure::Fault)?;
        let mut server = MeterServer::new(config);
        println!("{}", options.dlms.serve(&mut server, options.baud).await?);
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        return Ok(());
    }
    if !options.modbus.modbus.is_empty() {
        let mut server = ModbusServer::new(options.modbus.build(&options.fault).map_err(Failure::Fault)?);
        println!("{}", options.modbus.serve(&mut server).await?);
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        return Ok(());
    }
    let (mut bus, files) = build(options)?;
    bus.echo |= options.echo;
    for fault in &options.fault {
        set_fault(&mut bus, fault).map_err(Failure::Fault)?;
    }
    let baud = bus.speed();
    let meters: Vec<_> = bus.slaves().enumerate().map(|(nth, slave)| described(slave, files.get(nth))).collect();
    // Held until the end: dropping a line closes it.
    let (_pty, _tcp, place) = match &options.tcp {
        Some(address) => {
            let line = TcpLine::open(address, bus).await?;
            let place = json!({"tcp": line.address().to_string()});
            (None, Some(line), place)
        }
        None => {
            let line = PtyLine::open(options.link.as_deref(), bus)?;
            let place = json!({"path": line.path(), "baud": baud});
            (Some(line), None, place)
        }
    };
    println!("{}", json!({"schema": "plomb-sim/1", "line": place, "meters": meters}));
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A receiver of the make among the demo's radio meters.
fn station(make: &str, options: &Options) -> Station {
    let make = match make {
        "amb8465" => Make::Amb8465,
        "cul" => Make::Cul,
        "rc1180" => Make::Rc1180,
        "rtl_wmbus" => Make::RtlWmbus,
        _ => Make::Im871a,
    };
    let calendar = Calendar { start_unix_s: now_unix_s(), factor: 1 };
    Station::new(Twin::new(make), demo_air(options.seed, Duration::from_secs(options.interval.into()), calendar))
}

fn described_station(make: &str, station: &Station, path: &Path) -> serde_json::Value {
    let meters: Vec<_> = station.air.meters().map(described_sender).collect();
    let receiver = json!({"make": make, "path": path, "baud": station.twin.speed()});
    json!({"schema": "plomb-sim/1", "receiver": receiver, "meters": meters})
}

/// What an installer would know of a radio meter; keys are secrets of nobody here.
fn described_sender(sender: &RadioMeter) -> serde_json::Value {
    let identity = sender.meter.identity();
    let (profile, key) = match sender.protection {
        Protection::Plain => ("none", None),
        Protection::Mode5 { key } => ("A", Some(key)),
        Protection::Mode7 { key, .. } => ("B", Some(key)),
    };
    json!({
        "id": identity.id_digits(),
        "manufacturer": manufacturer_letters(identity.manufacturer),
        "version": identity.version,
        "medium": identity.medium,
        "kind": sender.meter.kind(),
        "profile": profile,
        "key": key.map(|key| key.iter().map(|byte| format!("{byte:02X}")).collect::<String>()),
        "trick": format!("{:?}", sender.trick),
        "mode": format!("{:?}", sender.mode),
    })
}

/// The bus, and the file of each slave where it has one.
fn build(options: &Options) -> Result<(Bus, Vec<PathBuf>), SimError> {
    let now_unix_s = now_unix_s();
    let calendar = Calendar { start_unix_s: now_unix_s, factor: 1 };
    let speed = |baud: u32| if options.tcp.is_some() { UNPACED } else { LineSpeed(baud) };
    let baud = options.baud.unwrap_or(2400);
    if let Some(path) = &options.bus {
        let described = BusFile::read(path)?;
        let baud = options.baud.unwrap_or(described.baud);
        return Ok((described.build(path, speed(baud), now_unix_s)?, Vec::new()));
    }
    if let Some(folder) = &options.frames {
        let mut bus = Bus::new(speed(baud), calendar);
        let mut files = Vec::new();
        for recorded in read_folder(folder)? {
            files.push(recorded.file);
            bus.fit(recorded.slave);
        }
        return Ok((bus, files));
    }
    Ok((street(options.street.unwrap_or(1), options.seed, speed(baud), calendar).bus, Vec::new()))
}

fn described(slave: &Slave, file: Option<&PathBuf>) -> serde_json::Value {
    let identity = slave.identity();
    json!({
        "address": slave.address(),
        "file": file,
        "id": identity.id_digits(),
        "manufacturer": manufacturer_letters(identity.manufacturer),
        "version": identity.version,
        "medium": identity.medium,
    })
}

/// Applies one `ADDRESS:FAULT[=VALUE]`, over the faults set before.
fn set_fault(bus: &mut Bus, fault: &str) -> Result<(), String> {
    let (address, setting) = fault.split_once(':').ok_or_else(|| format!("--fault {fault}: no colon in it"))?;
    let wanted = match address {
        "*" => None,
        number => Some(number.parse::<u8>().map_err(|_| format!("--fault {fault}: {number} is no address"))?),
    };
    let setting = if setting.contains('=') { setting.to_owned() } else { format!("{setting}=true") };
    let change: toml::Table = setting.parse().map_err(|error| format!("--fault {fault}: {error}"))?;
    let mut found = false;
    for slave in bus.slaves_mut().filter(|slave| wanted.is_none_or(|wanted| slave.address() == wanted)) {
        let mut faults = toml::Table::try_from(&slave.faults).map_err(|error| format!("--fault {fault}: {error}"))?;
        faults.extend(change.clone());
        slave.faults = faults.try_into::<Faults>().map_err(|error| format!("--fault {fault}: {error}"))?;
        found = true;
    }
    if found { Ok(()) } else { Err(format!("--fault {fault}: no meter at {address}")) }
}
