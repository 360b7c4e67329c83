//! What the numbers of a configuration may be. Each is checked at the start: one that is far off would not fail,
//! it would let a line hang or a link starve without a word.

use super::{
    Bus, Config, Hub, Meter, QUOTA_MIB_MAX, QUOTA_MIB_MIN, Timing,
    finding::{Findings, Told},
};
use crate::uplink::IN_FLIGHT_MAX;

/// How long an answer may take to begin, or pause, and what a way may add, in milliseconds: no meter, modem or
/// serial server needs longer.
pub const TIMEOUT_MS_MAX: u32 = 60_000;
/// How often a question may be asked again.
pub const RETRIES_MAX: u8 = 10;
/// The most telegrams of one readout that may be asked for.
pub const TELEGRAMS_MAX: u8 = plomb_mbus::TELEGRAM_COUNT_MAX;
/// The most unreceipted batches under way: the rest of the messages is for readings.
pub const WINDOW_BATCHES_MAX: usize = IN_FLIGHT_MAX / 2;
/// The most missed readings a second. None would never end.
pub const DRAIN_PER_S_MAX: u32 = 10_000;
/// The largest error of a synchronised clock, in milliseconds: an hour. A worse one is not synchronised.
pub const CLOCK_ERROR_MS_MAX: u32 = 3_600_000;
/// How seldom the box may be looked at, in seconds.
pub const VITALS_PERIOD_S_MAX: u32 = 86_400;
/// The shortest and the longest silence after which a receiver is reset, in seconds: setting one up takes some,
/// and after a day of silence it is dead.
pub const SILENCE_S_MIN: u32 = 10;
/// See [`SILENCE_S_MIN`].
pub const SILENCE_S_MAX: u32 = 86_400;

/// How seldom a meter may be read, in seconds: 31 days.
const INTERVAL_S_MAX: f64 = 31.0 * 86_400.0;

pub(super) fn check(config: &Config, found: &mut Findings) {
    if let Some(Hub { window_batches, drain_per_s, .. }) = &config.hub {
        let mut hub = found.named("hub");
        hub.within("window_batches", Some(*window_batches), 1..=WINDOW_BATCHES_MAX);
        hub.within("drain_per_s", Some(*drain_per_s), 1..=DRAIN_PER_S_MAX);
    }
    let mut journal = found.named("journal");
    journal.within("window_s", Some(config.journal.window_s), 0.05..=3600.0);
    journal.within("window_entries", Some(config.journal.window_entries), 1..=4096);
    journal.within("quota_mib", Some(config.journal.quota_mib), QUOTA_MIB_MIN..=QUOTA_MIB_MAX);
    let mut batch = found.named("batch");
    batch.within("entries", Some(config.batch.entries), 1..=4096);
    batch.within("age_s", Some(config.batch.age_s), 0.1..=86_400.0);
    found.named("clock").within("error_ms", Some(config.clock.error_ms), 0..=CLOCK_ERROR_MS_MAX);
    let mut vitals = found.named("vitals");
    vitals.within("period_s", Some(config.vitals.period_s), 1..=VITALS_PERIOD_S_MAX);
    vitals.within("battery_percent", Some(config.vitals.battery_percent), 0..=100);
    vitals.within("flash_worn_percent", Some(config.vitals.flash_worn_percent), 1..=100);
    vitals.within("temperature_c", Some(config.vitals.temperature_c), 1..=200);
}

pub(super) fn check_bus(bus: &Bus, told: &mut Told<'_>) {
    told.within("latency_ms", bus.latency_ms, 0..=TIMEOUT_MS_MAX);
    // 0 is never.
    told.within("silence_s", bus.silence_s.filter(|seconds| *seconds > 0), SILENCE_S_MIN..=SILENCE_S_MAX);
    let Bus { reply_timeout_ms, gap_timeout_ms, retries, telegrams_max, .. } = *bus;
    check_timing(told, Timing { reply_timeout_ms, gap_timeout_ms, retries, telegrams_max });
}

pub(super) fn check_meter(meter: &Meter, told: &mut Told<'_>) {
    told.within("interval_s", Some(meter.interval_s), 0.2..=INTERVAL_S_MAX);
    let Meter { reply_timeout_ms, gap_timeout_ms, retries, telegrams_max, .. } = *meter;
    check_timing(told, Timing { reply_timeout_ms, gap_timeout_ms, retries, telegrams_max });
}

fn check_timing(told: &mut Told<'_>, timing: Timing) {
    told.within("reply_timeout_ms", timing.reply_timeout_ms, 1..=TIMEOUT_MS_MAX);
    told.within("gap_timeout_ms", timing.gap_timeout_ms, 1..=TIMEOUT_MS_MAX);
    told.within("retries", timing.retries, 0..=RETRIES_MAX);
    told.within("telegrams_max", timing.telegrams_max, 1..=TELEGRAMS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str =
        "[gateway]\nid = \"gw\"\nstate_dir = \"s\"\nkey = \"k\"\ncertificate = \"c\"\ncredential = \"d\"\n";
    const HUB: &str = "[hub]\naddress = \"h:1\"\nca = \"a\"\n";
    const BUS: &str = "[[bus]]\nname = \"a\"\nprotocol = \"mbus\"\nport = \"p\"\n";
    const METER: &str = "[[meter]]\npoint = \"m\"\nbus = \"a\"\naddress = 1\n";

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plombd.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path).map_err(|error| error.to_string())
    }

    /// Every key that is a number: the least and the greatest that is taken, and what is not.
    #[test]
    fn every_number_has_bounds() {
        let line = |key: &str| format!("{BASE}{BUS}{key}");
        let meter = |key: &str| format!("{BASE}{BUS}{METER}{key}");
        let hub = |key: &str| format!("{BASE}{HUB}{key}");
        let table = |name: &str, key: &str| format!("{BASE}[{name}]\n{key}");
        type Place<'a> = &'a dyn Fn(&str) -> String;
        let journal: Place<'_> = &|key| table("journal", key);
        let batch: Place<'_> = &|key| table("batch", key);
        let vitals: Place<'_> = &|key| table("vitals", key);
        let clock: Place<'_> = &|key| table("clock", key);
        for (place, key, good, bad) in [
            (&hub as Place<'_>, "window_batches", ["1", "32"], ["0", "33"]),
            (&hub, "drain_per_s", ["1", "10000"], ["0", "10001"]),
            (journal, "window_s", ["0.05", "3600"], ["0.04", "3601"]),
            (journal, "window_entries", ["1", "4096"], ["0", "4097"]),
            (journal, "quota_mib", ["4", "1048576"], ["3", "1048577"]),
            (batch, "entries", ["1", "4096"], ["0", "4097"]),
            (batch, "age_s", ["0.1", "86400"], ["0.09", "86401"]),
            (vitals, "period_s", ["1", "86400"], ["0", "86401"]),
            (vitals, "battery_percent", ["0", "100"], ["101", "255"]),
            (vitals, "flash_worn_percent", ["1", "100"], ["0", "101"]),
            (vitals, "temperature_c", ["1", "200"], ["0", "201"]),
            (clock, "error_ms", ["0", "3600000"], ["3600001", "4294967295"]),
            (&line, "baud", ["300", "115200"], ["299", "115201"]),
            (&line, "latency_ms", ["0", "60000"], ["60001", "4294967295"]),
            (&line, "reply_timeout_ms", ["1", "60000"], ["0", "4294967295"]),
            (&line, "gap_timeout_ms", ["1", "60000"], ["0", "4294967295"]),
            (&line, "retries", ["0", "10"], ["11", "255"]),
            (&line, "telegrams_max", ["1", "32"], ["0", "33"]),
            (&line, "silent_percent", ["1", "100"], ["0", "101"]),
            (&line, "silence_s", ["0", "86400"], ["9", "86401"]),
            (&meter, "reply_timeout_ms", ["1", "60000"], ["0", "4294967295"]),
            (&meter, "gap_timeout_ms", ["1", "60000"], ["0", "60001"]),
            (&meter, "retries", ["0", "10"], ["11", "255"]),
            (&meter, "telegrams_max", ["1", "32"], ["0", "255"]),
            (&meter, "interval_s", ["0.2", "2678400"], ["0.1", "2678401"]),
        ] {
            for value in good {
                load(&place(&format!("{key} = {value}\n"))).unwrap_or_else(|error| panic!("{key} = {value}: {error}"));
            }
            for value in bad {
                let error = load(&place(&format!("{key} = {value}\n"))).err();
                let error = error.unwrap_or_else(|| panic!("{key} = {value} was taken"));
                assert!(error.contains(key), "{key} = {value}: {error}");
            }
        }
        let error = load(&meter("reply_timeout_ms = 4294967295\n")).unwrap_err();
        assert!(error.contains("meter \"m\": reply_timeout_ms is 1 to 60000, not 4294967295"), "{error}");
    }
}
