//! A street of live meters for the demo and for tests of many.

use crate::LineSpeed;
use crate::bus::{Bus, Calendar};
use crate::live::{Kind, Meter};
use crate::mbus::{ADDRESS_PRIMARY_MAX, Identity, Slave, manufacturer_letters};
use serde::Serialize;

/// Kinds along the street, house after house.
const KINDS: [Kind; 5] = [Kind::Heat, Kind::Water, Kind::Electricity, Kind::WarmWater, Kind::Gas];

/// Codes of makers that do not exist: PLA, PLB, PLC.
pub(crate) const MANUFACTURERS: [u16; 3] = [0x4181, 0x4182, 0x4183];

/// A bus of live meters, and who is on it.
#[derive(Debug)]
pub struct Street {
    /// The bus with all meters fitted.
    pub bus: Bus,
    /// The meters in the order of their addresses.
    pub meters: Vec<StreetMeter>,
}

/// What an installer would know of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreetMeter {
    /// A name for its measuring point: `house-1-heat`. Unique in the street.
    pub name: String,
    /// What it measures.
    pub kind: Kind,
    /// Its primary address.
    pub address: u8,
    /// Its identification number, eight digits.
    pub id: String,
    /// The three letters of its maker.
    pub manufacturer: String,
    /// Its version.
    pub version: u8,
    /// Its medium code.
    pub medium: u8,
}

/// A street of `meters` live meters (250 at most) at primary addresses from 1,
/// the same for the same seed.
#[must_use]
pub fn street(meters: u8, seed: u64, speed: LineSpeed, calendar: Calendar) -> Street {
    let mut dice = crate::live::Dice(seed);
    let mut bus = Bus::new(speed, calendar);
    let mut known = Vec::new();
    for (address, kind) in (1..=meters.min(ADDRESS_PRIMARY_MAX)).zip(KINDS.iter().cycle().copied()) {
        // The address in the number's upper digits keeps it unique.
        let number = u64::from(address) * 100_000 + dice.between(10_000, 100_000);
        let manufacturer = MANUFACTURERS.get(usize::from(address) % MANUFACTURERS.len()).copied();
        let identity = Identity {
            id: bcd(number),
            manufacturer: manufacturer.unwrap_or_default(),
            version: u8::try_from(dice.between(1, 16)).unwrap_or(1),
            medium: kind.medium(),
        };
        let meter = Meter::new(kind, identity, dice.roll());
        known.push(street_meter(address, kind, identity));
        bus.fit(Slave::live(address, meter));
    }
    Street { bus, meters: known }
}

fn street_meter(address: u8, kind: Kind, identity: Identity) -> StreetMeter {
    let houses = usize::from(address - 1) / KINDS.len() + 1;
    StreetMeter {
        name: format!("house-{houses}-{}", kind.name()),
        kind,
        address,
        id: identity.id_digits(),
        manufacturer: manufacturer_letters(identity.manufacturer),
        version: identity.version,
        medium: identity.medium,
    }
}

/// The last eight decimal digits of a number as BCD.
pub(crate) fn bcd(number: u64) -> u32 {
    (0..8)
        .fold((0, number), |(bcd, rest), nibble| {
            let digit = u32::try_from(rest % 10).unwrap_or_default();
            (bcd | digit << (4 * nibble), rest / 10)
        })
        .0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(seed: u64) -> Street {
        street(12, seed, LineSpeed(2400), Calendar { start_unix_s: 1_795_423_325, factor: 1 })
    }

    #[test]
    fn a_street_is_the_same_for_the_same_seed_and_has_no_twins() {
        let (one, again, other) = (small(7), small(7), small(8));
        assert_eq!(one.meters, again.meters);
        assert_ne!(one.meters, other.meters);
        let mut names: Vec<_> = one.meters.iter().map(|meter| &meter.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 12);
        let mut ids: Vec<_> = one.meters.iter().map(|meter| &meter.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 12);
        assert_eq!(one.meters[0].manufacturer, "PLB");
        assert_eq!(one.meters[0].name, "house-1-heat");
        assert_eq!(one.meters[5].name, "house-2-heat");
    }

    #[test]
    fn the_bus_carries_the_meters_of_the_list() {
        let street = small(7);
        for meter in &street.meters {
            let slave = street.bus.slave(meter.address).unwrap();
            assert_eq!(slave.identity().id_digits(), meter.id);
            assert_eq!(slave.identity().medium, meter.medium);
        }
    }
}
