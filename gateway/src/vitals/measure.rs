//! What the kernel tells of the box. A measure that a box has not is absent, never a guess.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The most entries of one folder that are looked at.
const ENTRIES_MAX: usize = 64;
/// The most bytes of one of the kernel's files that are read.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// The state of the box at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vitals {
    /// The battery's charge, in percent.
    pub battery_percent: Option<u8>,
    /// Whether the mains feeds it: `false` on battery.
    pub mains: Option<bool>,
    /// Room on the journal's disk, in MiB.
    pub disk_free_mib: Option<u64>,
    /// How much of its life the flash has used up, in percent, by its own word (eMMC).
    pub flash_worn_percent: Option<u8>,
    /// Memory that programs can have, in MiB.
    pub memory_free_mib: Option<u64>,
    /// The hottest zone, in degrees Celsius.
    pub temperature_c: Option<i32>,
    /// Whether the supply's voltage is too low now.
    pub under_voltage: Option<bool>,
    /// Serial adapters, by the names under `/dev/serial/by-id`.
    pub adapters: Vec<String>,
}

/// Measures the box. `root` is `/`, or in tests a folder that looks like it.
pub fn measure(root: &Path, state_dir: &Path) -> Vitals {
    let (battery_percent, mains) = power(&root.join("sys/class/power_supply"));
    Vitals {
        battery_percent,
        mains,
        disk_free_mib: disk_free_mib(state_dir),
        flash_worn_percent: flash_worn_percent(&root.join("sys/class/mmc_host")),
        memory_free_mib: memory_free_mib(&root.join("proc/meminfo")),
        temperature_c: temperature_c(&root.join("sys/class/thermal")),
        under_voltage: under_voltage(&root.join("sys/class/hwmon")),
        adapters: adapters(&root.join("dev/serial/by-id")),
    }
}

fn power(folder: &Path) -> (Option<u8>, Option<bool>) {
    let (mut battery, mut mains) = (None, None);
    for supply in entries(folder) {
        match text(&supply.join("type")).as_deref() {
            // Of several the emptiest.
            Some("Battery" | "UPS") => {
                let charge: Option<u8> = number(&supply.join("capacity"));
                battery = match (battery, charge) {
                    (Some(one), Some(other)) => Some(other.min(one)),
                    (one, other) => one.or(other),
                };
            }
            Some("Mains" | "USB") => {
                let online = number::<u8>(&supply.join("online")).map(|online| online != 0);
                mains = match (mains, online) {
                    (Some(one), Some(other)) => Some(one || other),
                    (one, other) => one.or(other),
                };
            }
            _ => {}
        }
    }
    (battery, mains)
}

fn disk_free_mib(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024))
}

/// JEDEC eMMC, EXT_CSD 268 and 269: life used up in tenths, `0x01` for up to 10 %, `0x0b` beyond it.
fn flash_worn_percent(folder: &Path) -> Option<u8> {
    let cards = entries(folder).into_iter().flat_map(|host| entries(&host));
    let worn = cards.filter_map(|card| text(&card.join("life_time"))).flat_map(|words| {
        let steps =
            words.split_whitespace().filter_map(|word| u8::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        steps.filter(|step| *step > 0).map(|step| step.saturating_mul(10).min(110)).collect::<Vec<_>>()
    });
    worn.max()
}

fn memory_free_mib(file: &Path) -> Option<u64> {
    let text = text(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

fn temperature_c(folder: &Path) -> Option<i32> {
    let zones = entries(folder).into_iter().filter_map(|zone| number::<i32>(&zone.join("temp")));
    zones.map(|thousandths| thousandths.div_euclid(1000)).max()
}

/// The alarm of the Raspberry Pi's voltage monitor.
fn under_voltage(folder: &Path) -> Option<bool> {
    let monitors =
        entries(folder).into_iter().filter(|monitor| text(&monitor.join("name")).as_deref() == Some("rpi_volt"));
    let mut alarms = monitors.filter_map(|monitor| number::<u8>(&monitor.join("in0_lcrit_alarm")));
    alarms.next().map(|alarm| alarm != 0)
}

fn adapters(folder: &Path) -> Vec<String> {
    entries(folder).iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
}

/// The paths in a folder, in order of their names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = listed.filter_map(|entry| Some(entry.ok()?.path())).take(ENTRIES_MAX).collect();
    paths.sort();
    paths
}

fn text(file: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim().to_string())
}

fn number<T: std::str::FromStr>(file: &Path) -> Option<T> {
    text(file)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_box_with_everything_and_one_with_nothing() {
        let root = tempfile::tempdir().unwrap();
        let nothing = measure(root.path(), Path::new("/absent"));
        assert_eq!(nothing, Vitals::default());
        for (path, text) in [
            ("sys/class/power_supply/ups/type", "Battery\n"),
            ("sys/class/power_supply/ups/capacity", "83\n"),
            ("sys/class/power_supply/usb/type", "USB\n"),
            ("sys/class/power_supply/usb/online", "0\n"),
            ("sys/class/mmc_host/mmc0/mmc0:0001/life_time", "0x02 0x0b\n"),
            ("proc/meminfo", "MemTotal:  400000 kB\nMemAvailable:  204800 kB\n"),
            ("sys/class/thermal/thermal_zone0/temp", "61300\n"),
            ("sys/class/thermal/thermal_zone1/temp", "48000\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
            ("dev/serial/by-id/usb-adapter-if00", ""),
        ] {
            write(root.path(), path, text);
        }
        let vitals = measure(root.path(), root.path());
        assert!(vitals.disk_free_mib.is_some());
        let expected = Vitals {
            battery_percent: Some(83),
            mains: Some(false),
            disk_free_mib: vitals.disk_free_mib,
            flash_worn_percent: Some(110),
            memory_free_mib: Some(200),
            temperature_c: Some(61),
            under_voltage: Some(true),
            adapters: vec!["usb-adapter-if00".into()],
        };
        assert_eq!(vitals, expected);
    }

    #[test]
    fn nonsense_is_no_measure() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "sys/class/power_supply/ups/type", "Battery");
        write(root.path(), "sys/class/power_supply/ups/capacity", "many");
        write(root.path(), "sys/class/thermal/thermal_zone0/temp", "-");
        write(root.path(), "proc/meminfo", "MemAvailable: lots\n");
        assert_eq!(measure(root.path(), Path::new("/absent")), Vitals::default());
    }
}
