//! Radio telegrams to be decoded, of simulated meters.

use std::{fmt::Write, time::Duration};

use plomb_sim::{
    live::{Kind, Meter},
    mbus::{Identity, manufacturer_code},
    radio::{Key, Protection, RadioMeter},
};

/// How meters of a load protect their telegrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Security mode 0.
    Plain,
    /// Security mode 5.
    Mode5,
    /// Security mode 7.
    Mode7,
}

/// A kind of traffic.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// What it is called.
    pub name: &'static str,
    /// How many meters send, one after the other.
    pub meters: u32,
    /// How they protect what they send.
    pub guard: Guard,
}

/// So many meters are configured, or have a line in the key file, whoever sends.
pub const METERS_CONFIGURED: u32 = 262;

/// What is measured.
pub const LOADS: [Load; 6] = [
    Load { name: "262 meters, plain", meters: METERS_CONFIGURED, guard: Guard::Plain },
    Load { name: "20 meters, mode 5", meters: 20, guard: Guard::Mode5 },
    Load { name: "one meter, plain", meters: 1, guard: Guard::Plain },
    Load { name: "one meter, mode 5", meters: 1, guard: Guard::Mode5 },
    Load { name: "20 meters, mode 7", meters: 20, guard: Guard::Mode7 },
    Load { name: "one meter, mode 7", meters: 1, guard: Guard::Mode7 },
];

/// Models with a profile, and one without.
const MODELS: [(&str, u8, Kind); 6] = [
    ("KAM", 0x1B, Kind::Heat),
    ("PLA", 0x01, Kind::Electricity),
    ("DME", 0x70, Kind::Water),
    ("LUG", 0x07, Kind::Heat),
    ("PLB", 0x02, Kind::WarmWater),
    ("PLC", 0x03, Kind::Gas),
];
const BEGIN_UNIX_S: u64 = 1_780_000_000;
const INTERVAL: Duration = Duration::from_secs(16);

/// So many telegrams, without CRCs, in the order in which they are sent.
#[must_use]
pub fn telegrams(load: Load, count: usize) -> Vec<Vec<u8>> {
    let mut senders: Vec<RadioMeter> = (0..load.meters)
        .map(|number| {
            let key = key(number);
            let protection = match load.guard {
                Guard::Plain => Protection::Plain,
                Guard::Mode5 => Protection::Mode5 { key },
                Guard::Mode7 => Protection::Mode7 { key, counter: 1 },
            };
            RadioMeter::new(meter(number), protection, INTERVAL)
        })
        .collect();
    let mut sent = Vec::with_capacity(count);
    let mut unix_s = BEGIN_UNIX_S;
    while sent.len() < count {
        for sender in senders.iter_mut().take(count - sent.len()) {
            sent.push(sender.send(unix_s).stripped);
        }
        unix_s += INTERVAL.as_secs();
    }
    sent
}

/// A key file with a line for every configured meter.
#[must_use]
pub fn key_file() -> String {
    (0..METERS_CONFIGURED).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{} {:032x}", meter(number).identity().id_digits(), u128::from_be_bytes(key(number)));
        text
    })
}

/// The identification of a meter, eight digits.
#[must_use]
pub fn id_digits(number: u32) -> String {
    meter(number).identity().id_digits()
}

fn meter(number: u32) -> Meter {
    let at = usize::try_from(number).unwrap_or(0) % MODELS.len();
    let (maker, version, kind) = MODELS.get(at).copied().unwrap_or(("PLA", 1, Kind::Water));
    let id = Identity::parse_id(&format!("{:08}", 10_000_019 + number * 7919)).unwrap_or_default();
    let identity =
        Identity { id, manufacturer: manufacturer_code(maker).unwrap_or_default(), version, medium: kind.medium() };
    Meter::new(kind, identity, number.into())
}

fn key(number: u32) -> Key {
    let mut bytes = number.to_be_bytes().repeat(4).into_iter();
    std::array::from_fn(|at| bytes.next().unwrap_or(0) ^ u8::try_from(at * 37 % 251).unwrap_or(0))
}
