//! The hub's configuration file.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use plomb_broker::Limits;
use serde::Deserialize;

use crate::{
    files::{self, FileError},
    strict_toml::{self, Known},
};

/// The prefix of environment variables that override the file: `PLOMB_HUB__LISTEN`,
/// `PLOMB_HUB__LIMITS__CONNECTIONS_MAX`.
pub const ENVIRONMENT: &str = "PLOMB_HUB";

/// The longest time between two checkpoints, in seconds.
const CHECKPOINT_INTERVAL_S_MAX: u64 = 3600;
/// The longest wait of a block for more transactions, in milliseconds.
const BLOCK_WINDOW_MS_MAX: u64 = 1000;

/// The hub's configuration. Relative paths count from the file's directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// The ledger's name: the log's origin.
    pub origin: String,
    /// The name of the validator's witness key.
    pub witness: String,
    /// Where the broker listens.
    pub listen: SocketAddr,
    /// The directory of ledger, keys and policy.
    #[serde(default = "here")]
    pub state: PathBuf,
    /// The Unix socket on which the subcommands reach a running hub.
    #[serde(default = "control")]
    pub control: PathBuf,
    /// How often the checkpoint is cosigned anew, in seconds.
    #[serde(default = "checkpoint_interval_s")]
    pub checkpoint_interval_s: u64,
    /// How long a block waits for more transactions than came while the one before was committed, in milliseconds.
    #[serde(default = "block_window_ms")]
    pub block_window_ms: u64,
    /// The TLS files.
    #[serde(default)]
    pub tls: TlsFiles,
    /// HTTPS: the log, lookups, enrolment. Not served if absent.
    #[serde(default)]
    pub http: Option<HttpConfig>,
    /// The broker's bounds.
    #[serde(default)]
    pub limits: Limits,
    /// Start with a clock that can't be right: from the command line alone, as it holds for one start.
    #[serde(skip)]
    pub accept_clock: bool,
}

/// What is served over HTTPS, with the broker's certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where.
    pub listen: SocketAddr,
    /// Whether anybody may read the log (checkpoint and tiles) without a certificate.
    #[serde(default)]
    pub open_log: bool,
    /// Whether gateways are taken on over HTTPS.
    #[serde(default = "yes")]
    pub enrol: bool,
    /// Whether a gateway whose certificate holds gets the next one by itself, when less than a third of its validity
    /// is left. Needs the member's keys in the state directory.
    #[serde(default = "yes")]
    pub renew: bool,
}

/// PEM files for TLS.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsFiles {
    /// The hub's certificate, then its issuers.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities that clients' certificates come from.
    pub client_roots: PathBuf,
}

impl Default for TlsFiles {
    fn default() -> Self {
        Self { certificate: "server.crt".into(), key: "server.key".into(), client_roots: "ca.crt".into() }
    }
}

/// Why a configuration does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("configuration: {0}")]
    File(#[from] FileError),
    /// A key is unknown, or the text is no TOML. One line for each fault.
    #[error("{0}")]
    Keys(String),
    /// A value does not fit its key.
    #[error("{file}: {what}")]
    Value {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
}

const SCHEMA: &[Known] = &[
    Known::Value("origin"),
    Known::Value("witness"),
    Known::Value("listen"),
    Known::Value("state"),
    Known::Value("control"),
    Known::Value("checkpoint_interval_s"),
    Known::Value("block_window_ms"),
    Known::Table("tls", &[Known::Value("certificate"), Known::Value("key"), Known::Value("client_roots")]),
    Known::Table(
        "http",
        &[Known::Value("listen"), Known::Value("open_log"), Known::Value("enrol"), Known::Value("renew")],
    ),
    Known::Table("limits", LIMITS),
];

/// The keys of [`Limits`]; a test holds the two together.
const LIMITS: &[Known] = &[
    Known::Value("connections_max"),
    Known::Value("connections_per_peer_max"),
    Known::Value("connections_per_identity_max"),
    Known::Value("handshakes_max"),
    Known::Value("handshakes_per_peer_max"),
    Known::Value("hello_timeout_ms"),
    Known::Value("handshake_timeout_ms"),
    Known::Value("connect_timeout_ms"),
    Known::Value("takeover_timeout_ms"),
    Known::Value("idle_ms_max"),
    Known::Value("write_stall_ms_max"),
    Known::Value("connect_bytes_max"),
    Known::Value("payload_bytes_max"),
    Known::Value("topic_bytes_max"),
    Known::Value("bytes_per_second_max"),
    Known::Value("burst_bytes_max"),
    Known::Value("packets_per_second_max"),
    Known::Value("burst_packets_max"),
    Known::Value("filters_per_connection_max"),
    Known::Value("filters_max"),
    Known::Value("filters_per_identity_max"),
    Known::Value("topics_per_identity_max"),
    Known::Value("retained_bytes_per_identity_max"),
    Known::Value("segment_bytes_max"),
    Known::Value("segments_max"),
    Known::Value("ledger_segments_max"),
    Known::Value("inside_connections_max"),
    Known::Value("probe_interval_ms"),
    Known::Value("probe_timeout_ms"),
    Known::Value("log_lines_per_minute_max"),
];

impl HubConfig {
    /// Reads a file, with overrides from the environment.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = files::read_text(file)?;
        strict_toml::check(&file.display().to_string(), &text, SCHEMA).map_err(ConfigError::Keys)?;
        let wrong = |what: String| ConfigError::Value { file: file.into(), what };
        let environment =
            config::Environment::with_prefix(ENVIRONMENT).prefix_separator("__").separator("__").try_parsing(true);
        let this: Self = config::Config::builder()
            .add_source(config::File::from_str(&text, config::FileFormat::Toml))
            .add_source(environment)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| wrong(error.to_string()))?;
        if !(1..=CHECKPOINT_INTERVAL_S_MAX).contains(&this.checkpoint_interval_s) {
            return Err(wrong(format!("checkpoint_interval_s is not 1 to {CHECKPOINT_INTERVAL_S_MAX}")));
        }
        if this.block_window_ms > BLOCK_WINDOW_MS_MAX {
            return Err(wrong(format!("block_window_ms is above {BLOCK_WINDOW_MS_MAX}")));
        }
        Ok(this.below(file.parent().unwrap_or(Path::new("."))))
    }

    /// Makes relative paths count from the directory of the file, or of the state.
    fn below(mut self, directory: &Path) -> Self {
        self.state = directory.join(&self.state);
        for path in [&mut self.control, &mut self.tls.certificate, &mut self.tls.key, &mut self.tls.client_roots] {
            *path = self.state.join(&*path);
        }
        self
    }

    /// A file of the state directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }
}

fn here() -> PathBuf {
    ".".into()
}

fn yes() -> bool {
    true
}

fn control() -> PathBuf {
    "control.sock".into()
}

fn checkpoint_interval_s() -> u64 {
    60
}

fn block_window_ms() -> u64 {
    crate::engine::BLOCK_WINDOW_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_limit_and_no_other() {
        let limits = serde_json::to_value(Limits::default()).unwrap();
        let serde: std::collections::BTreeSet<&str> = limits.as_object().unwrap().keys().map(String::as_str).collect();
        let schema: std::collections::BTreeSet<&str> = LIMITS
            .iter()
            .map(|known| match known {
                Known::Value(name) => *name,
                _ => panic!("limits are values"),
            })
            .collect();
        assert_eq!(serde, schema);
    }

    #[test]
    fn a_file_is_read_and_a_typo_in_it_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hub.toml");
        let text = "origin = \"l.example/x\"\nwitness = \"w\"\nlisten = \"127.0.0.1:0\"\n";
        std::fs::write(&file, format!("{text}[limits]\nconnections_max = 7\n")).unwrap();
        let config = HubConfig::load(&file).unwrap();
        assert_eq!((config.limits.connections_max, config.checkpoint_interval_s), (7, 60));
        assert_eq!(config.tls.key, directory.path().join(".").join("server.key"));
        std::fs::write(&file, format!("{text}lisen = 3\n")).unwrap();
        let error = HubConfig::load(&file).unwrap_err().to_string();
        assert_eq!(error, format!("{}:4:1: unknown key \"lisen\"; did you mean \"listen\"?", file.display()));
        std::fs::write(&file, text.replace("127.0.0.1:0", "nowhere")).unwrap();
        let error = HubConfig::load(&file).unwrap_err().to_string();
        assert!(error.contains("hub.toml") && error.contains("listen"), "{error}");
    }
}
