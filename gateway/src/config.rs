//! The configuration of `plombd`.

pub mod bounds;
mod check;
mod finding;
mod known;
mod line;
mod meter;
mod orders;
mod survey;

use std::path::{Path, PathBuf};

use plomb_dlms::security::SystemTitle;
use plomb_seal::Name;
use plomb_settings::SettingsError;
use serde::Deserialize;

pub use check::{BACKLOG_DAYS_MAX, REGISTERS_MAX, title};
use finding::{Findings, Table};
use known::KNOWN;
pub use line::{Bus, CFormat, Framing, Parity, Protocol, Select};
pub use meter::{AUTHENTICATIONS, Authentication, Meter, Security, Timing};
pub use orders::{CONFIRM_S_MAX, CONFIRM_S_MIN, Maintenance, Orders};
pub use survey::{Surveyed, survey};

/// The most buses of one gateway.
pub const BUSES_MAX: usize = 32;
/// The most meters of one gateway.
pub const METERS_MAX: usize = 2000;

/// The smallest and the largest quota of the journal, in MiB.
pub const QUOTA_MIB_MIN: u64 = 4;
/// See [`QUOTA_MIB_MIN`].
pub const QUOTA_MIB_MAX: u64 = 1024 * 1024;

const PREFIX: &str = "PLOMB";

/// Everything that `plombd` is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who the gateway is.
    pub gateway: Gateway,
    /// Where its batches go; without it the gateway only records.
    pub hub: Option<Hub>,
    /// The local store.
    #[serde(default)]
    pub journal: Journal,
    /// When batches are closed.
    #[serde(default)]
    pub batch: Batch,
    /// How well the system clock is known.
    #[serde(default)]
    pub clock: Clock,
    /// The socket for the command line.
    #[serde(default)]
    pub control: Control,
    /// From where on the box itself is in trouble.
    #[serde(default)]
    pub vitals: Vitals,
    /// When configurations and commands of the ledger take effect.
    #[serde(default)]
    pub orders: Orders,
    /// The lines.
    #[serde(default)]
    pub bus: Vec<Bus>,
    /// The meters on them.
    #[serde(default)]
    pub meter: Vec<Meter>,
}

/// Who the gateway is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Gateway {
    /// Its id, as certified.
    pub id: String,
    /// Where the journal is kept.
    pub state_dir: PathBuf,
    /// Its private key, PKCS#8 PEM, readable by nobody else.
    pub key: PathBuf,
    /// Its certificate, PEM, as the hub issued it.
    pub certificate: Option<PathBuf>,
    /// Its credential, as the hub issued it: policy and proofs.
    pub credential: Option<PathBuf>,
    /// The keys of meters, a line each; readable by nobody else.
    pub meter_keys: Option<PathBuf>,
    /// Passwords and keys of DLMS meters, by measuring point; readable by nobody else.
    pub meter_secrets: Option<PathBuf>,
    /// The gateway's own system title towards DLMS meters, 16 hexadecimal digits; default: made from its id.
    pub dlms_title: Option<String>,
    /// A folder of meter models beside the shipped ones, a `.toml` file each.
    pub profiles: Option<PathBuf>,
    /// A folder of Modbus register maps beside the shipped ones, a `.toml` file each.
    pub modbus_profiles: Option<PathBuf>,
}

/// Where batches go.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Hub {
    /// `host:port` of the hub's broker.
    pub address: String,
    /// The authorities that the hub's certificate must come from, PEM.
    pub ca: PathBuf,
    /// Where it serves HTTPS, `https://host:port`: there the certificate is renewed in time. Not renewed if absent.
    pub https: Option<String>,
    /// How many unreceipted batches may be under way.
    #[serde(default = "default::window_batches")]
    pub window_batches: usize,
    /// How many missed readings a second are sent to subscribers after an outage.
    #[serde(default = "default::drain_per_s")]
    pub drain_per_s: u32,
}

/// The local store.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Journal {
    /// How long entries may wait for a common commit, in seconds: what a power cut can cost.
    pub window_s: f64,
    /// How many entries may wait.
    pub window_entries: usize,
    /// How large the file may grow, in MiB.
    pub quota_mib: u64,
    /// Whether raw frames are kept beside the entries.
    pub raw_frames: bool,
}

/// When batches are closed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Batch {
    /// At this many entries.
    pub entries: usize,
    /// Or at this age of the oldest, in seconds.
    pub age_s: f64,
}

/// How well the system clock is known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Clock {
    /// A file that a time service keeps while the clock is synchronised.
    pub synced_file: PathBuf,
    /// The bound on the error that is then stated, in milliseconds.
    pub error_ms: u32,
}

/// The socket for the command line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Control {
    /// Its path; default `ctl.sock` in the state directory.
    pub socket: Option<PathBuf>,
    /// The group that may observe.
    pub group: String,
    /// The group that may also read meters on demand.
    pub admin_group: String,
}

/// The system title of whoever has this name.
pub fn default_title(name: &str) -> SystemTitle {
    let hash = plomb_seal::Hash::of(name.as_bytes()).0;
    let [a, b, c, d, e, ..] = hash;
    SystemTitle([b'P', b'L', b'B', a, b, c, d, e])
}

/// The value that a word stands for; which words there are, if it is none of them.
fn one_of<T: Copy>(text: &str, what: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let meant = plomb_settings::nearest(text, words.iter().copied());
        let meant = meant.map_or(String::new(), |meant| format!("; did you mean \"{meant}\"?"));
        format!("\"{text}\" is not known ({what}: {}){meant}", words.join(", "))
    })
}

impl Config {
    /// Reads a configuration file and checks what it means.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let config: Self = plomb_settings::load(path, KNOWN, PREFIX)?;
        config.settled().map_err(|what| SettingsError::Whole { path: path.into(), what })
    }

    /// Reads the text of a configuration, called `name` in errors; what it means is checked by
    /// [`settled`](Self::settled). The environment overrides it as it overrides a file.
    pub fn read(name: &str, text: &str) -> Result<Self, SettingsError> {
        plomb_settings::read(Path::new(name), text, KNOWN, PREFIX)
    }

    /// With what the text left open, as the protocols have it.
    ///
    /// # Errors
    /// It means nothing that could work.
    pub fn settled(mut self) -> Result<Self, String> {
        self.bus.iter_mut().for_each(Bus::settle);
        self.check()?;
        Ok(self)
    }

    /// What the environment overrides in a configuration file: variables and their values, by name.
    pub fn overrides() -> Result<Vec<(String, String)>, SettingsError> {
        plomb_settings::overrides(PREFIX)
    }

    /// The journal's file.
    pub fn journal_path(&self) -> PathBuf {
        self.gateway.state_dir.join("journal.redb")
    }

    /// The control socket's path.
    pub fn socket_path(&self) -> PathBuf {
        self.control.socket.clone().unwrap_or_else(|| self.gateway.state_dir.join("ctl.sock"))
    }

    /// The gateway's system title towards DLMS meters: as configured, else `PLB` and five bytes of the hash of its id.
    pub fn title(&self) -> Result<SystemTitle, String> {
        if let Some(text) = &self.gateway.dlms_title {
            return title(text).map(SystemTitle).map_err(|error| format!("[gateway] dlms_title: {error}"));
        }
        Ok(default_title(&self.gateway.id))
    }

    /// The gateway's id.
    pub fn gateway_name(&self) -> Result<Name, String> {
        self.gateway.id.parse().map_err(|error| format!("[gateway] id: {error}"))
    }

    /// The first thing that is wrong with what it means.
    fn check(&self) -> Result<(), String> {
        self.findings().0.into_iter().next().map_or(Ok(()), |wrong| Err(wrong.what))
    }

    /// Everything that is wrong with what it means.
    fn findings(&self) -> Findings {
        let mut found = Findings::default();
        let mut gateway = found.named("gateway");
        if let Err(error) = self.gateway_name() {
            gateway.key("id", error.trim_start_matches("[gateway] "));
        }
        if let Some(Err(error)) = self.gateway.dlms_title.as_deref().map(title) {
            gateway.key("dlms_title", format_args!("dlms_title: {error}"));
        }
        if self.bus.len() > BUSES_MAX || self.meter.len() > METERS_MAX {
            let mut whole = found.of(Table::Whole, "this file:".into());
            whole.whole(format_args!("at most {BUSES_MAX} buses and {METERS_MAX} meters"));
        }
        if let Some(hub) = &self.hub {
            let mut told = found.named("hub");
            if self.gateway.certificate.is_none() || self.gateway.credential.is_none() {
                let what = "needs `certificate` and `credential` in [gateway]: take both from `plomb-hub certify`";
                told.whole(what);
            }
            if let Some(Err(what)) = hub.https.as_deref().map(crate::https::Place::parse) {
                told.key("https", format_args!("https: {what}"));
            }
            if hub.address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
                told.key("address", format_args!("address \"{}\" is not host:port", hub.address));
            }
        }
        bounds::check(self, &mut found);
        self.orders.check(&mut found);
        check::lines(self, &mut found);
        check::meters(self, &mut found);
        found
    }
}

/// From where on the box itself is in trouble.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Vitals {
    /// How often it is looked at, in seconds.
    pub period_s: u32,
    /// Less charge of the battery, in percent.
    pub battery_percent: u8,
    /// Less room on the journal's disk, in MiB.
    pub disk_free_mib: u32,
    /// More of the flash's life used up, in percent.
    pub flash_worn_percent: u8,
    /// Less memory to be had, in MiB.
    pub memory_free_mib: u32,
    /// Hotter, in degrees Celsius.
    pub temperature_c: i16,
}

impl Default for Vitals {
    fn default() -> Self {
        Self {
            period_s: 30,
            battery_percent: 30,
            disk_free_mib: 200,
            flash_worn_percent: 80,
            memory_free_mib: 32,
            temperature_c: 80,
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self { window_s: 5.0, window_entries: 64, quota_mib: 2048, raw_frames: true }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self { entries: 256, age_s: 60.0 }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { synced_file: "/run/systemd/timesync/synchronized".into(), error_ms: 1000 }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: None, group: "plomb".into(), admin_group: "plomb-admin".into() }
    }
}

mod default {
    pub(super) fn window_batches() -> usize {
        8
    }
    pub(super) fn drain_per_s() -> u32 {
        50
    }
    pub(super) fn baud() -> u32 {
        2400
    }
    /// None that a line could have.
    pub(super) fn baud_of_protocol() -> u32 {
        u32::MAX
    }
    pub(super) fn interval_s() -> f64 {
        900.0
    }
    pub(super) fn silent_percent() -> u32 {
        25
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_none_is_told_with_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plombd.toml");
        let load = |bus: &str| {
            let text = format!(
                "[gateway]\nid = \"gw\"\nstate_dir = \"s\"\nkey = \"k\"\n[[bus]]\nname = \"a\"\nport = \"p\"\n{bus}\n"
            );
            std::fs::write(&path, text).unwrap();
            Config::load(&path).map_err(|error| error.to_string())
        };
        let error = load("protocol = \"modbuss\"").unwrap_err();
        assert!(error.contains(":8:12: ") && error.contains("protocols of this version: mbus, wmbus, dlms"), "{error}");
        let error = load("protocol = \"mbus\"\nparity = \"evn\"").unwrap_err();
        assert!(error.contains("parities: even, none, odd"), "{error}");
        let good = load("protocol = \"mbus\"\nparity = \"odd\"\nselect = \"73\"").unwrap();
        assert_eq!((good.bus[0].parity, good.bus[0].select), (Parity::Odd, Select::WithFcb));
    }
}
