//! How much was consumed by when: an hourly profile, summed exactly.

use super::Kind;
use super::calendar::month_start;

/// When every meter was installed: 2025-01-01 00:00:00 UTC.
pub(super) const INSTALLED_UNIX_S: u64 = 1_735_689_600;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

/// Parts of the mean that flow in each hour of a day, in per cent.
const PROFILE_PERCENT: [u64; 24] =
    [40, 30, 30, 30, 40, 80, 150, 190, 150, 110, 100, 100, 110, 100, 90, 90, 100, 130, 180, 190, 150, 110, 70, 30];

/// SplitMix64: small, fast, and the same on any machine.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to and without `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % high.saturating_sub(low).max(1)
    }
}

/// What flows through one meter, in its own small unit: Wh for heat and
/// electricity, litres for water and gas.
#[derive(Debug, Clone)]
pub(super) struct Consumption {
    start: u64,
    mean_per_hour: u64,
    flavour: u64,
}

/// A consumption at one instant.
#[derive(Debug, Clone)]
pub(super) struct Now<'a> {
    of: &'a Consumption,
    pub(super) unix_s: u64,
}

impl Consumption {
    pub(super) fn new(kind: Kind, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (start, mean) = match kind {
            Kind::Heat => ((1_000_000, 90_000_000), (800, 6_000)),
            Kind::Electricity => ((100_000, 60_000_000), (150, 1_200)),
            Kind::Gas => ((100_000, 9_000_000), (100, 1_500)),
            Kind::Water | Kind::WarmWater => ((1_000, 800_000), (4, 60)),
        };
        Self {
            start: dice.between(start.0, start.1),
            mean_per_hour: dice.between(mean.0, mean.1),
            flavour: dice.roll(),
        }
    }

    pub(super) fn at(&self, unix_s: u64) -> Now<'_> {
        Now { of: self, unix_s }
    }

    /// The register at a second, exactly (rounded down once, at the end).
    fn register(&self, unix_s: u64) -> u64 {
        let since = unix_s.saturating_sub(INSTALLED_UNIX_S);
        let (days, second) = (since / DAY_S, since % DAY_S);
        let hour = usize::try_from(second / HOUR_S).unwrap_or_default();
        let past: u64 = PROFILE_PERCENT.iter().take(hour).sum();
        let day: u64 = PROFILE_PERCENT.iter().sum();
        let percent_s = (days * day + past) * HOUR_S + percent_in(hour) * (second % HOUR_S);
        self.start + self.mean_per_hour * percent_s / (100 * HOUR_S)
    }
}

impl Now<'_> {
    /// The register now.
    pub(super) fn register(&self) -> u64 {
        self.of.register(self.unix_s)
    }

    /// What flows now, per hour.
    pub(super) fn flow_per_hour(&self) -> u64 {
        let hour = self.unix_s.saturating_sub(INSTALLED_UNIX_S) % DAY_S / HOUR_S;
        self.of.mean_per_hour * percent_in(usize::try_from(hour).unwrap_or_default()) / 100
    }

    /// When this month began (0), the one before it (1), and so on; with the
    /// register as it was then.
    pub(super) fn months_ago(&self, months: u32) -> (u64, u64) {
        let first = month_start(self.unix_s);
        let start = (0..months).fold(first, |start, _| month_start(start.saturating_sub(1)));
        (start, self.of.register(start))
    }

    /// Hours since the installation.
    pub(super) fn operating_hours(&self) -> u64 {
        self.unix_s.saturating_sub(INSTALLED_UNIX_S) / HOUR_S
    }

    /// A number of this meter's own that moves a little every minute: `base`
    /// up to and without `base + spread`.
    pub(super) fn wobble(&self, salt: u64, base: u64, spread: u64) -> u64 {
        let mut dice = Dice(self.of.flavour ^ salt.wrapping_mul(0x9E37) ^ (self.unix_s / 60));
        base + dice.roll() % spread.max(1)
    }
}

fn percent_in(hour: usize) -> u64 {
    PROFILE_PERCENT.get(hour).copied().unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_never_runs_back_and_gains_the_mean() {
        let consumption = Consumption { start: 1000, mean_per_hour: 240, flavour: 0 };
        let day: u64 = PROFILE_PERCENT.iter().sum();
        assert_eq!(day, 2400, "the profile's mean is 100 per cent");
        let mut last = 0;
        for second in (INSTALLED_UNIX_S..INSTALLED_UNIX_S + 3 * DAY_S).step_by(97) {
            let now = consumption.register(second);
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
        assert_eq!(consumption.register(INSTALLED_UNIX_S), 1000);
        assert_eq!(consumption.register(INSTALLED_UNIX_S + 10 * DAY_S), 1000 + 240 * 240);
    }
}
