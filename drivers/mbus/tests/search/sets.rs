//! Lines of meters whose identities make a search hard.

use plomb_sim::live::{Kind, Meter};
use plomb_sim::mbus::{Identity, Slave, manufacturer_code};
use plomb_sim::{Bus, Calendar, Line, LineSpeed};
use std::collections::BTreeSet;

/// How the identities of a line lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Drawn at random.
    Random,
    /// One delivery: consecutive numbers.
    Consecutive,
    /// The same last digits; only the first ones differ.
    CommonEnd,
    /// The same digits but for two in the middle.
    CommonEnds,
    /// Groups of equal numbers with other manufacturers.
    EqualByManufacturer,
    /// The same with manufacturers that no list of likely ones has, and one that such a list has.
    EqualByRareManufacturer,
    /// Groups of equal numbers with other versions.
    EqualByVersion,
    /// Groups of equal numbers with other media.
    EqualByMedium,
    /// A bit of everything above.
    Mixed,
}

pub const SETS: [Set; 9] = [
    Set::Random,
    Set::Consecutive,
    Set::CommonEnd,
    Set::CommonEnds,
    Set::EqualByManufacturer,
    Set::EqualByRareManufacturer,
    Set::EqualByVersion,
    Set::EqualByMedium,
    Set::Mixed,
];

/// Random numbers good enough for tests (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % limit
    }

    pub fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }

    fn small(&mut self, limit: u8) -> u8 {
        u8::try_from(self.below(u64::from(limit))).unwrap()
    }
}

const MAKERS: [&str; 8] = ["ACW", "KAM", "LUG", "ELS", "SON", "REL", "ZRI", "EMH"];
/// As it happens, none of them is a maker of meters.
const RARE_MAKERS: [&str; 8] = ["PLA", "PLB", "QQX", "AAA", "ZZZ", "XYV", "HUJ", "BBC"];
const KINDS: [Kind; 5] = [Kind::Water, Kind::Heat, Kind::WarmWater, Kind::Electricity, Kind::Gas];

/// `count` different identities.
pub fn identities(set: Set, count: usize, seed: u64) -> Vec<(Identity, Kind)> {
    let mut dice = Dice(seed.wrapping_mul(977).wrapping_add(u64::try_from(count).unwrap()));
    let base = dice.below(90_000_000);
    let mut seen = BTreeSet::new();
    let mut made = Vec::new();
    let mut index = 0u64;
    while made.len() < count {
        let which = if set == Set::Mixed { SETS[usize::try_from(dice.below(8)).unwrap()] } else { set };
        let (group, member) = (index / 4, u8::try_from(index % 4).unwrap());
        index += 1;
        let group_number = (base + group * 7_654_321) % 100_000_000;
        let mut maker = MAKERS[usize::try_from(dice.below(2)).unwrap()];
        let mut version = 1 + dice.small(3);
        let mut kind = KINDS[usize::from(dice.small(2))];
        let number = match which {
            Set::Random | Set::Mixed => dice.below(100_000_000),
            Set::Consecutive => base + index,
            Set::CommonEnd => dice.below(1000) * 100_000 + base % 100_000,
            Set::CommonEnds => base / 100_000 * 100_000 % 100_000_000 + dice.below(100) * 1000 + base % 1000,
            Set::EqualByManufacturer => {
                (maker, version, kind) = (MAKERS[usize::from(member) * 2], 1, Kind::Water);
                group_number
            }
            Set::EqualByRareManufacturer => {
                let rare = RARE_MAKERS[usize::from(member) * 2 + usize::try_from(group % 2).unwrap()];
                (maker, version, kind) = (if member == 3 { "KAM" } else { rare }, 3, Kind::Water);
                group_number
            }
            Set::EqualByVersion => {
                (maker, version, kind) = ("KAM", 1 + member * 37 + u8::try_from(group % 5).unwrap(), Kind::Heat);
                group_number
            }
            Set::EqualByMedium => {
                (maker, version, kind) = ("REL", 7, KINDS[usize::from(member)]);
                group_number
            }
        };
        let id = Identity::parse_id(&format!("{number:08}")).unwrap();
        let identity = Identity { id, manufacturer: manufacturer_code(maker).unwrap(), version, medium: kind.medium() };
        if seen.insert(identity.bytes()) {
            made.push((identity, kind));
        }
    }
    made
}

/// A line with these meters, at primary addresses from 1.
pub fn line(identities: &[(Identity, Kind)], speed: u32) -> Line {
    let calendar = Calendar { start_unix_s: 1_795_423_325, factor: 1 };
    let mut bus = Bus::new(LineSpeed(speed), calendar);
    for (address, (identity, kind)) in (1..).zip(identities) {
        bus.fit(Slave::live(address, Meter::new(*kind, *identity, u64::from(address))));
    }
    Line::new(bus)
}
