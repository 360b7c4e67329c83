//! Mutated telegrams through everything that stands before a signature: no panic, and no more memory for one
//! telegram than a bound.
//!
//! `bench-campaign [CASES] [LAYER]`, a million of each layer by default; `PLOMB_CAMPAIGN=1` makes it ten million.
//! Layers: radio and wire of M-Bus, those of DLMS and of IEC 62056-21; one of them by the start of its name.
//! Half of the radio telegrams are mutated before they are protected, so that their values are hostile and
//! their key is right; the others as they travel. Prints JSON lines; ends with 1 where a bound was broken.

use std::{env, error::Error, process::ExitCode};

use peak_alloc::PeakAlloc;
use plomb_bench::{
    cpu,
    dlms_layers::{Layer, layers},
    dlms_seeds::seeds,
    loads::{Guard, Load, telegrams},
    random::Random,
};
use plomb_gateway::normalise;
use plomb_mbus::{Configuration, Identification, Manufacturer, Medium, MeterId, ShortHeader, Status};
use plomb_profiles::{Library, Memory};
use plomb_session::Instant;
use plomb_sim::{Calendar, LineSpeed, mbus::long_frame, street};
use plomb_wmbus::{
    Authentication, Counters, Draft, Ell, Format, Key, Link, LinkControl, MeterState, OpenOptions, Opener, Reassembly,
    Security, SessionNumber, Telegram, TransportHeader, Upper,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const CASES_DEFAULT: usize = 1_000_000;
const CASES_CAMPAIGN: usize = 10_000_000;
/// The most memory that one telegram may take, from its bytes to the end of its record, in bytes.
const TELEGRAM_ALLOCATION_BYTES_MAX: usize = 128 * 1024;
/// The longest payload that is made, in bytes: it fits in a frame with every head.
const PAYLOAD_BYTES_MAX: usize = 200;
const UNIX_S: u64 = 1_780_000_000;

/// Makers with profiles of every kind, and one without; version and medium.
const MODELS: [(&[u8; 3], u8, u8); 8] = [
    (b"KAM", 0x1B, 0x04),
    (b"DME", 0x70, 0x07),
    (b"LUG", 0x07, 0x04),
    (b"QDS", 0x47, 0x37),
    (b"ELV", 0x50, 0x1B),
    (b"GWF", 0x3C, 0x07),
    (b"APA", 0x05, 0x07),
    (b"PLA", 0x01, 0x02),
];
/// CIs of applications: records, and makers' own.
const APPLICATIONS: [u8; 8] = [0x7A, 0x7A, 0x7A, 0x78, 0x79, 0x69, 0xA0, 0xA2];

#[derive(Default)]
struct Tally {
    cases: usize,
    read: usize,
    records: usize,
    readings: usize,
    peak_bytes: usize,
}

impl Tally {
    /// Books what a case took, and whether it gave a record.
    fn book(&mut self, before: usize, readings: Option<usize>) {
        self.peak_bytes = self.peak_bytes.max(MEMORY.peak_usage().saturating_sub(before));
        self.records += usize::from(readings.is_some());
        self.readings += readings.unwrap_or(0);
    }

    fn tell(&self, name: &str, cpu_s: f64) -> bool {
        println!(
            "{{\"campaign\":\"{name}\",\"cases\":{},\"read\":{},\"records\":{},\"readings\":{},\"panics\":0,\"peak_bytes_per_telegram\":{},\"bound_bytes\":{TELEGRAM_ALLOCATION_BYTES_MAX},\"cpu_s\":{cpu_s:.0}}}",
            self.cases, self.read, self.records, self.readings, self.peak_bytes
        );
        self.peak_bytes <= TELEGRAM_ALLOCATION_BYTES_MAX
    }
}

fn main() -> ExitCode {
    let usual = if env::var_os("PLOMB_CAMPAIGN").is_some() { CASES_CAMPAIGN } else { CASES_DEFAULT };
    let cases = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let layer = env::args().nth(2);
    let wanted = |name: &str| layer.as_ref().is_none_or(|layer| name.starts_with(layer.as_str()));
    let mut held = true;
    if wanted("radio") {
        let begun = cpu::thread();
        let Ok(library) = Library::shipped() else { return ExitCode::FAILURE };
        held &= radio(cases, &library).tell("radio", cpu::thread().saturating_sub(begun).as_secs_f64());
    }
    if wanted("wire") {
        let begun = cpu::thread();
        held &= wire(cases).tell("wire", cpu::thread().saturating_sub(begun).as_secs_f64());
    }
    match dlms_layers() {
        Ok(layers) => {
            for mut layer in layers.into_iter().filter(|layer| wanted(layer.name)) {
                held &= dlms(cases, &mut layer);
            }
        }
        Err(error) => {
            eprintln!("{error}");
            held = false;
        }
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn dlms_layers() -> Result<Vec<Layer>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(layers(&runtime.block_on(seeds())?)?)
}

/// A layer of DLMS or of IEC 62056-21.
fn dlms(cases: usize, layer: &mut Layer) -> bool {
    let begun = cpu::thread();
    let mut random = Random::default();
    let (mut taken, mut peak_bytes) = (0, 0);
    for _ in 0..cases {
        let bytes = (layer.make)(&mut random);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        taken += usize::from((layer.read)(&bytes));
        peak_bytes = peak_bytes.max(MEMORY.peak_usage().saturating_sub(before));
    }
    let (name, bound) = (layer.name, layer.allocation_bytes_max);
    let cpu_s = cpu::thread().saturating_sub(begun).as_secs_f64();
    println!(
        "{{\"campaign\":\"{name}\",\"cases\":{cases},\"taken\":{taken},\"panics\":0,\"peak_bytes_per_case\":{peak_bytes},\"bound_bytes\":{bound},\"cpu_s\":{cpu_s:.0}}}"
    );
    peak_bytes <= bound
}

fn radio(cases: usize, library: &Library) -> Tally {
    let key = Key::new(*b"sixteen bytes, y");
    let payloads = payloads();
    let mut random = Random::default();
    let mut tally = Tally::default();
    let mut opener = Opener::with_options(OpenOptions { accept_decrypted_samples: true });
    let mut state = MeterState::new(Security { key: Some(key.clone()), ..Security::plain() });
    let (mut reassembly, mut memory, mut link) = (Reassembly::default(), Memory::default(), Vec::new());
    for _ in 0..cases {
        let bytes = frame(&payloads, &key, &mut random);
        tally.cases += 1;
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let Ok(telegram) = Telegram::parse(&bytes, &mut link) else { continue };
        let telegram = match telegram.upper {
            Upper::Fragment { .. } => match reassembly.add(&telegram, Instant::ORIGIN) {
                Ok(Some(whole)) => whole,
                _ => continue,
            },
            _ => telegram,
        };
        let Ok(opened) = opener.open(&telegram, &state) else { continue };
        tally.read += 1;
        let aids = normalise::wmbus::Aids { library, key: Some(&key), memory: &mut memory };
        let record = normalise::wmbus::record(&opened, &bytes, Some(-70), aids);
        tally.book(before, record.ok().map(|(record, _)| record.readings.len()));
        if random.below(64) == 0 {
            state.accept(&opened);
            state.counters = Counters::default();
        }
    }
    tally
}

/// A radio frame, mutated in one place or the other.
fn frame(payloads: &[Vec<u8>], key: &Key, random: &mut Random) -> Vec<u8> {
    let mut payload = random.of(payloads).cloned().unwrap_or_default();
    let inside = random.below(2) == 0;
    if inside {
        random.mutate(&mut payload, PAYLOAD_BYTES_MAX);
    }
    let (letters, version, medium) = random.of(&MODELS).copied().unwrap_or((b"PLA", 1, 2));
    let sender = MeterId {
        id: Identification(0x1234_5678),
        manufacturer: Manufacturer::from_letters(*letters).unwrap_or(Manufacturer(0)),
        version,
        medium: Medium(medium),
    };
    let ci = random.of(&APPLICATIONS).copied().unwrap_or(0x7A);
    let configuration = [0, 0x0500, 0x0700, 0x2AFF].get(random.below(4)).copied().unwrap_or(0);
    let header = match ci {
        0x7A => {
            let configuration = Configuration(configuration);
            TransportHeader::Short(ShortHeader { access: 0x2A, status: Status(0), configuration })
        }
        _ => TransportHeader::None,
    };
    let session = [None, Some(SessionNumber(0x10)), Some(SessionNumber(0x2000_0010))].get(random.below(3)).copied();
    let session = session.flatten().filter(|_| header == TransportHeader::None);
    let ell =
        session.map(|session| Ell { ci: 0x8D, communication: 0x20, access: 7, receiver: None, session: Some(session) });
    let link = Link { control: LinkControl(0x44), sender };
    let authentication = Authentication::Cmac(8);
    let draft = Draft { link, ell, ci, header, payload: &payload, counter: 1000, authentication };
    let format = [Format::A, Format::B, Format::Stripped].get(random.below(3)).copied().unwrap_or(Format::Stripped);
    let format = if inside { format } else { Format::Stripped };
    let mut bytes = draft.emit(format, Some(key)).unwrap_or_default();
    if !inside {
        random.mutate(&mut bytes, PAYLOAD_BYTES_MAX);
        let length = u8::try_from(bytes.len().saturating_sub(1)).unwrap_or(u8::MAX);
        // One in eight keeps a length that is wrong.
        bytes.iter_mut().take(usize::from(random.below(8) > 0)).for_each(|first| *first = length);
    }
    bytes
}

fn wire(cases: usize) -> Tally {
    let seeds = readouts();
    let mut random = Random::default();
    let mut tally = Tally::default();
    for _ in 0..cases {
        let mut user = random.of(&seeds).cloned().unwrap_or_default();
        random.mutate(&mut user, PAYLOAD_BYTES_MAX);
        let mut bytes = long_frame(0x08, 1, &user).unwrap_or_default();
        if random.below(8) == 0 {
            random.mutate(&mut bytes, PAYLOAD_BYTES_MAX);
        }
        tally.cases += 1;
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let Ok(decoded) = plomb_mbus::decode(&bytes) else { continue };
        tally.read += 1;
        let record = normalise::mbus::record_of(&decoded, &bytes);
        tally.book(before, record.ok().map(|record| record.readings.len()));
    }
    tally
}

/// Records of simulated meters, and some that are the most work for their length.
fn payloads() -> Vec<Vec<u8>> {
    let load = Load { name: "seeds", meters: 12, guard: Guard::Plain };
    let mut payloads: Vec<Vec<u8>> =
        telegrams(load, 24).iter().map(|sent| sent.iter().skip(15).copied().collect()).collect();
    payloads.extend(dense());
    payloads
}

/// What follows the length, control and address of a wired answer: from the CI on.
fn readouts() -> Vec<Vec<u8>> {
    let street = street(20, 1, LineSpeed(2400), Calendar { start_unix_s: UNIX_S, factor: 0 });
    let live = street.bus.slaves().map(|slave| match slave.source() {
        plomb_sim::mbus::Source::Live(meter) => meter.telegrams(UNIX_S, 1),
        plomb_sim::mbus::Source::Fixed(frames) => frames.clone(),
    });
    let head = [0x72, 0x78, 0x56, 0x34, 0x12, 0x77, 0x04, 0x0E, 0x04, 0x2A, 0, 0, 0];
    let dense = dense().into_iter().map(|payload| head.iter().copied().chain(payload).collect());
    live.flatten().chain(dense).collect()
}

/// Payloads that say much in few bytes: records without data, chains of extensions, dates with values.
fn dense() -> Vec<Vec<u8>> {
    let full = |unit: &[u8]| unit.iter().copied().cycle().take(PAYLOAD_BYTES_MAX).collect();
    vec![
        full(&[0x00, 0x13]),
        full(&[0x01, 0x93, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0xBC, 0x3C, 0x01]),
        full(&[0x04, 0x6D, 0x1E, 0x0B, 0x59, 0x2B, 0x01, 0x13, 0x07]),
        full(&[0x0D, 0xFD, 0x11, 0x05, 0x6F, 0x6C, 0x6C, 0x65, 0x48]),
        full(&[0x01, 0xFC, 0x03, 0x48, 0x52, 0x25, 0x74, 0x07]),
    ]
}
