use super::telegram::{Telegram, text_of};
use crate::dataset::{DataSet, Group, Groups};
use crate::timestamp::Timestamp;
use alloc::string::String;
use alloc::vec::Vec;
use plomb_session::{Decimal, Obis};

/// A value with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Its code. Group B is the M-Bus channel of another meter, or 0.
    pub obis: Obis,
    /// The value, with the meter's resolution.
    pub value: Decimal,
    /// Its unit, as the meter writes it: `kWh`, `m3`, `GJ`, `V`, …
    pub unit: &'a str,
    /// When it was true, where the meter tells: at the last readout of another meter, at a peak.
    pub time: Option<Timestamp>,
}

/// Gas and the like in versions 2 and 3: time, status, interval, count, code, unit, value.
const HOURLY_VALUES: (u8, u8, u8) = (24, 3, 0);
const DEVICE_KIND: (u8, u8, u8) = (24, 1, 0);
/// 96.1.0 in most countries, 96.1.1 and 96.1.2 in Belgium.
const DEVICE_NUMBERS: [(u8, u8, u8); 3] = [(96, 1, 0), (96, 1, 1), (96, 1, 2)];

impl<'a> Reading<'a> {
    /// The value of a data set that is one value with its unit.
    #[must_use]
    pub fn of(set: &DataSet<'a>) -> Option<Self> {
        let obis = set.obis()?;
        if quantity(obis) == HOURLY_VALUES {
            return Self::of_hourly(set.groups());
        }
        let mut groups = set.groups();
        let (first, second) = (groups.next()?, groups.next());
        if groups.next().is_some() {
            return None;
        }
        let (time, group) = match second {
            Some(second) => (Some(first.timestamp()?), second),
            None => (None, first),
        };
        Some(Self { obis, value: group.decimal()?, unit: group.unit?, time })
    }

    fn of_hourly(mut groups: Groups<'a>) -> Option<Self> {
        let time = groups.next()?.timestamp()?;
        // Status, interval and count say nothing more about the one value that follows.
        let mut groups = groups.skip(3);
        let (obis, unit, value) = (groups.next()?.obis()?, groups.next()?.value, groups.next()?.decimal()?);
        groups.next().is_none().then_some(Self { obis, value, unit, time: Some(time) })
    }
}

/// Another meter on one of the M-Bus channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The channel: group B of its codes.
    pub channel: u8,
    /// Its kind in the numbers of M-Bus: 2 electricity, 3 gas, 4 heat, 7 water, …
    pub kind: Option<u8>,
    /// Its own number.
    pub equipment: Option<String>,
}

impl Device {
    pub(super) fn all(telegram: &Telegram<'_>) -> Vec<Self> {
        let mut devices: Vec<Self> = Vec::new();
        for set in telegram.data_sets().flatten() {
            let Some(obis) = set.obis() else { continue };
            let Obis([0, channel @ 1..=u8::MAX, ..]) = obis else { continue };
            let at = devices.iter().position(|device| device.channel == channel).unwrap_or_else(|| {
                devices.push(Self { channel, kind: None, equipment: None });
                devices.len().saturating_sub(1)
            });
            let (Some(device), Some(group)) = (devices.get_mut(at), set.groups().next()) else { continue };
            if quantity(obis) == DEVICE_KIND {
                device.kind = group.value.parse().ok();
            } else if DEVICE_NUMBERS.contains(&quantity(obis)) && device.equipment.is_none() && !group.value.is_empty()
            {
                device.equipment = Some(text_of(&group));
            }
        }
        devices.sort_by_key(|device| device.channel);
        devices
    }
}

/// A list with a head: how many rows, which columns, and the rows.
///
/// ```text
/// 1-0:99.97.0(2)(0-0:96.7.19)(101208152415W)(0000000240*s)(101208151004W)(0000000301*s)
/// ```
/// The first column, a time, has no code in the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// Its code.
    pub obis: Obis,
    /// How many rows the meter announces.
    pub announced: usize,
    /// The codes of the columns behind the time.
    pub columns: Vec<Obis>,
    cells: Vec<Group<'a>>,
}

impl<'a> Log<'a> {
    /// The list in a data set, when it is one.
    #[must_use]
    pub fn of(set: &DataSet<'a>) -> Option<Self> {
        let mut groups = set.groups().peekable();
        let first = groups.next()?;
        let announced = first.value.parse().ok().filter(|_| first.unit.is_none())?;
        let mut columns = Vec::new();
        while let Some(code) = groups.peek().filter(|group| group.value.contains(':')).and_then(Group::obis) {
            columns.push(code);
            groups.next();
        }
        let has_head = !columns.is_empty();
        let cells = groups.collect();
        has_head.then_some(Self { obis: set.obis()?, announced, columns, cells })
    }

    /// The rows: a time, and one cell for each column. A row that is cut off is left out.
    pub fn rows(&self) -> impl Iterator<Item = &[Group<'a>]> {
        self.cells.chunks_exact(self.columns.len().saturating_add(1))
    }
}

const fn quantity(Obis([_, _, c, d, e, _]): Obis) -> (u8, u8, u8) {
    (c, d, e)
}
