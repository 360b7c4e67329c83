//! What the meter measures: every number a function of the seed and the second.

use super::value::Value;
use crate::live::Dice;

/// When the meter was installed: 2025-01-01 00:00:00 UTC.
const INSTALLED_UNIX_S: u64 = 1_735_689_600;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;
const DEMAND_PERIOD_S: u64 = 900;

/// Disconnections that are remembered, at most; later ones change nothing.
const DISCONNECTIONS_MAX: usize = 4096;

/// Hours of the first tariff, with the part of the mean that flows in each, in per cent.
const DAY_PERCENT: [u64; 24] =
    [0, 0, 0, 0, 0, 0, 150, 190, 150, 110, 100, 100, 110, 100, 90, 90, 100, 130, 180, 190, 150, 110, 0, 0];
/// Hours of the second tariff.
const NIGHT_PERCENT: [u64; 24] = [40, 30, 30, 30, 40, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 70, 30];
/// The sun on a roof.
const SUN_PERCENT: [u64; 24] =
    [0, 0, 0, 0, 0, 0, 5, 30, 90, 160, 230, 280, 300, 290, 240, 170, 90, 35, 5, 0, 0, 0, 0, 0];
/// Reactive energy: much the same all day.
const REACTIVE_PERCENT: [u64; 24] = [100; 24];

/// Units of the blue book (IEC 62056-6-2, table 4).
const WATT: u8 = 27;
const WATT_HOUR: u8 = 30;
const VAR_HOUR: u8 = 32;
const AMPERE: u8 = 33;
const VOLT: u8 = 35;
const HERTZ: u8 = 44;
const NO_UNIT: u8 = 255;

/// A register: its value group C, D and E, its scaler, its unit, and the class that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) cde: [u8; 3],
    pub(super) class: u16,
    pub(super) scaler: i8,
    pub(super) unit: u8,
}

const fn quantity(cde: [u8; 3], class: u16, scaler: i8, unit: u8) -> Quantity {
    Quantity { cde, class, scaler, unit }
}

/// All registers of the meter, in the order of its object list.
pub(super) const QUANTITIES: [Quantity; 18] = [
    quantity([1, 8, 0], 3, 0, WATT_HOUR),
    quantity([1, 8, 1], 3, 0, WATT_HOUR),
    quantity([1, 8, 2], 3, 0, WATT_HOUR),
    quantity([2, 8, 0], 3, 0, WATT_HOUR),
    quantity([3, 8, 0], 3, 0, VAR_HOUR),
    quantity([15, 8, 0], 3, -3, WATT_HOUR),
    quantity([32, 7, 0], 3, -1, VOLT),
    quantity([52, 7, 0], 3, -1, VOLT),
    quantity([72, 7, 0], 3, -1, VOLT),
    quantity([31, 7, 0], 3, -2, AMPERE),
    quantity([51, 7, 0], 3, -2, AMPERE),
    quantity([71, 7, 0], 3, -2, AMPERE),
    quantity([1, 7, 0], 3, 0, WATT),
    quantity([2, 7, 0], 3, 1, WATT),
    quantity([13, 7, 0], 3, -3, NO_UNIT),
    quantity([14, 7, 0], 3, -2, HERTZ),
    quantity([1, 6, 0], 4, 0, WATT),
    quantity([1, 4, 0], 5, 0, WATT),
];

/// The quantity of a logical name 1.0.C.D.E.255.
pub(super) fn quantity_of(name: [u8; 6]) -> Option<Quantity> {
    let [1, 0, c, d, e, 255] = name else { return None };
    QUANTITIES.into_iter().find(|quantity| quantity.cde == [c, d, e])
}

/// A flow whose register only grows.
#[derive(Debug, Clone, Copy)]
struct Flow {
    start: u64,
    mean_per_hour: u64,
    percent: &'static [u64; 24],
}

impl Flow {
    /// The register at a second (rounded down once, at the end).
    fn register(&self, unix_s: u64) -> u64 {
        let since = unix_s.saturating_sub(INSTALLED_UNIX_S);
        let (days, second) = (since / DAY_S, since % DAY_S);
        let hour = usize::try_from(second / HOUR_S).unwrap_or_default();
        let day: u64 = self.percent.iter().sum();
        let past: u64 = self.percent.iter().take(hour).sum();
        let now = self.percent.get(hour).copied().unwrap_or_default();
        let percent_s = (days * day + past) * HOUR_S + now * (second % HOUR_S);
        self.start + self.mean_per_hour * percent_s / (100 * HOUR_S)
    }

    fn per_hour(&self, unix_s: u64) -> u64 {
        let hour = usize::try_from(unix_s % DAY_S / HOUR_S).unwrap_or_default();
        self.mean_per_hour * self.percent.get(hour).copied().unwrap_or_default() / 100
    }
}

/// The numbers of one meter.
#[derive(Debug, Clone)]
pub(super) struct Quantities {
    day: Flow,
    night: Flow,
    export: Flow,
    reactive: Flow,
    flavour: u64,
    /// When the supply was off, in order: from, and until when if that is over.
    off: Vec<(u64, Option<u64>)>,
}

impl Quantities {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mean = dice.between(400, 1_600);
        Self {
            day: Flow { start: dice.between(100_000, 40_000_000), mean_per_hour: mean, percent: &DAY_PERCENT },
            night: Flow { start: dice.between(100_000, 20_000_000), mean_per_hour: mean, percent: &NIGHT_PERCENT },
            export: Flow {
                start: dice.between(0, 9_000_000),
                mean_per_hour: dice.between(100, 900),
                percent: &SUN_PERCENT,
            },
            reactive: Flow {
                start: dice.between(0, 5_000_000),
                mean_per_hour: dice.between(40, 300),
                percent: &REACTIVE_PERCENT,
            },
            flavour: dice.roll(),
            off: Vec::new(),
        }
    }

    /// The supply is switched at a second.
    pub(super) fn switch(&mut self, connect: bool, unix_s: u64) {
        let has_room = self.off.len() < DISCONNECTIONS_MAX;
        match self.off.last_mut() {
            Some((_, until @ None)) if connect => *until = Some(unix_s),
            Some((_, None)) => {}
            _ if !connect && has_room => self.off.push((unix_s, None)),
            _ => {}
        }
    }

    fn is_off(&self, unix_s: u64) -> bool {
        self.off.iter().any(|(from, until)| *from <= unix_s && until.is_none_or(|until| unix_s < until))
    }

    /// A flow's register at a second, without what would have flowed while the supply was off.
    fn register(&self, flow: &Flow, unix_s: u64) -> u64 {
        let missed = self.off.iter().filter(|(from, _)| *from < unix_s).map(|(from, until)| {
            let until = until.unwrap_or(unix_s).min(unix_s);
            flow.register(until) - flow.register(*from)
        });
        flow.register(unix_s) - missed.sum::<u64>()
    }

    /// The value of a quantity at a second, in the type in which the meter shows it.
    pub(super) fn value(&self, quantity: Quantity, unix_s: u64) -> Value {
        let long = |number: u64| Value::U32(u32::try_from(number).unwrap_or(u32::MAX));
        let short = |number: u64| Value::U16(u16::try_from(number).unwrap_or(u16::MAX));
        match quantity.cde {
            [31 | 51 | 71, 7, 0] if self.is_off(unix_s) => short(0),
            [1 | 2, 7, 0] if self.is_off(unix_s) => long(0),
            [1, 8, 0] => long(self.imported(unix_s)),
            [1, 8, 1] => long(self.register(&self.day, unix_s)),
            [1, 8, 2] => long(self.register(&self.night, unix_s)),
            [2, 8, 0] => long(self.register(&self.export, unix_s)),
            [3, 8, 0] => long(self.register(&self.reactive, unix_s)),
            [15, 8, 0] => Value::U64((self.imported(unix_s) + self.register(&self.export, unix_s)) * 1000),
            [32, 7, 0] => short(self.wobble(1, unix_s, 2_270, 90)),
            [52, 7, 0] => short(self.wobble(2, unix_s, 2_270, 90)),
            [72, 7, 0] => short(self.wobble(3, unix_s, 2_270, 90)),
            [31, 7, 0] => short(self.wobble(4, unix_s, 20, 900)),
            [51, 7, 0] => short(self.wobble(5, unix_s, 20, 900)),
            [71, 7, 0] => short(self.wobble(6, unix_s, 20, 900)),
            [1, 7, 0] => long(self.day.per_hour(unix_s) + self.night.per_hour(unix_s) + self.wobble(7, unix_s, 0, 50)),
            [2, 7, 0] => long(self.export.per_hour(unix_s) / 10),
            [13, 7, 0] => Value::I16(i16::try_from(self.wobble(8, unix_s, 0, 1_900)).unwrap_or_default() - 950),
            [14, 7, 0] => short(self.wobble(9, unix_s, 4_990, 20)),
            [1, 6, 0] => long(self.demand_max(unix_s).0),
            _ => long(self.demand_last(unix_s)),
        }
    }

    /// What the last whole demand period drew on average, in watts.
    pub(super) fn demand_last(&self, unix_s: u64) -> u64 {
        let end = unix_s - unix_s % DEMAND_PERIOD_S;
        let start = end.saturating_sub(DEMAND_PERIOD_S);
        (self.imported(end) - self.imported(start)) * HOUR_S / DEMAND_PERIOD_S
    }

    /// The largest demand since the month began, and when its period ended.
    pub(super) fn demand_max(&self, unix_s: u64) -> (u64, u64) {
        // Days are alike, so the first full one has it: hour 19, as the table says.
        let month = super::time::month_start(unix_s);
        let peak_end = (month + 20 * HOUR_S).min(unix_s - unix_s % DEMAND_PERIOD_S);
        (self.demand_last(peak_end), peak_end)
    }

    /// The tariff in force: 1 by day, 2 by night.
    pub(super) fn tariff(unix_s: u64) -> u8 {
        if (6..22).contains(&(unix_s % DAY_S / HOUR_S)) { 1 } else { 2 }
    }

    fn imported(&self, unix_s: u64) -> u64 {
        self.register(&self.day, unix_s) + self.register(&self.night, unix_s)
    }

    /// A number of this meter's own that moves a little every minute: `base` up to and without
    /// `base + spread`.
    fn wobble(&self, salt: u64, unix_s: u64, base: u64, spread: u64) -> u64 {
        let mut dice = Dice(self.flavour ^ salt.wrapping_mul(0x9E37) ^ (unix_s / 60));
        base + dice.roll() % spread.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_flows_while_the_supply_is_off_and_the_past_stays() {
        let mut quantities = Quantities::new(7);
        let energy = |quantities: &Quantities, unix_s| quantities.imported(unix_s);
        let (from, until) = (1_795_423_325, 1_795_433_325);
        let (before, undisturbed) = (energy(&quantities, from - 900), energy(&quantities, until + 7200));
        let missed = energy(&quantities, until) - energy(&quantities, from);
        quantities.switch(false, from);
        quantities.switch(false, from + 5);
        assert_eq!(energy(&quantities, until), energy(&quantities, from));
        quantities.switch(true, until);
        quantities.switch(true, until + 5);
        assert!(missed > 0, "it was a time in which something flows");
        assert_eq!(energy(&quantities, until + 7200), undisturbed - missed);
        assert_eq!(energy(&quantities, from - 900), before);
        let power = quantity_of([1, 0, 1, 7, 0, 255]).unwrap();
        assert_eq!(quantities.value(power, from + 10), Value::U32(0));
        assert_ne!(quantities.value(power, until + 10), Value::U32(0));
    }

    #[test]
    fn tariffs_add_up_and_registers_never_run_back() {
        let quantities = Quantities::new(7);
        let number =
            |cde, unix_s| quantities.value(quantity_of([1, 0, cde, 8, 0, 255]).unwrap(), unix_s).number().unwrap();
        let mut last = 0;
        for unix_s in (1_795_423_325..1_795_623_325).step_by(997) {
            let [one, two] =
                [1, 2].map(|e| quantities.value(quantity_of([1, 0, 1, 8, e, 255]).unwrap(), unix_s).number().unwrap());
            assert_eq!(number(1, unix_s), one + two);
            assert!(number(1, unix_s) >= last);
            last = number(1, unix_s);
        }
    }
}
