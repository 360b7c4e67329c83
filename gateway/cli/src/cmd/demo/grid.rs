//! The electricity meter of the street: DLMS/COSEM over the network, ciphered and authenticated, with its load profile.

use std::{
    fs::OpenOptions,
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use plomb_gateway::clock::unix_ms;
use plomb_sim::{
    Calendar,
    dlms::{Framing, Mechanism, MeterConfig, MeterServer},
};

use crate::exit::Failure;

use super::town::quoted;

/// Its measuring point.
pub(super) const POINT: &str = "house-power";
/// How often it is asked, in seconds.
const INTERVAL_S: f64 = 8.0;
/// Import, export, voltage and power.
const REGISTERS: &str = r#"["1-0:1.8.0", "1-0:2.8.0", "1-0:32.7.0", "1-0:1.7.0"]"#;
/// Its load profile, fetched for the last day.
const LOAD_PROFILE: &str = "1-0:99.1.0";

/// The meter and where it listens.
pub(super) struct Grid {
    _server: MeterServer,
    pub(super) address: SocketAddr,
    secrets: PathBuf,
}

impl Grid {
    /// Puts the meter on the network, and its keys into a file of the folder.
    pub(super) async fn connect(seed: u64, folder: &Path) -> Result<Self, Failure> {
        let start_unix_s = u64::try_from(unix_ms() / 1000).unwrap_or_default();
        let config = MeterConfig::new(seed, Calendar { start_unix_s, factor: 1 }, Mechanism::Gmac, 0);
        let text = format!(
            "# Written by `plomb demo`. The keys of a simulated meter: nobody's secret.\n\
             {POINT} encryption {}\n{POINT} authentication {}\n",
            hex::encode_upper(&config.keys.unicast),
            hex::encode_upper(&config.keys.authentication),
        );
        let secrets = folder.join("meters.secrets");
        let wrong = |error| Failure::file(&secrets, error);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secrets).map_err(wrong)?;
        file.write_all(text.as_bytes()).map_err(wrong)?;
        let mut server = MeterServer::new(config);
        let served = server.serve_tcp("127.0.0.1:0", Framing::Wrapper).await;
        let address = served.map_err(|error| Failure::Unavailable(error.to_string()))?;
        Ok(Self { _server: server, address, secrets })
    }

    /// The file of `meter_secrets`.
    pub(super) fn secrets(&self) -> &Path {
        &self.secrets
    }

    /// The line and its meter for the gateway's configuration.
    pub(super) fn config(&self) -> String {
        format!(
            "\n[[bus]]\nname = \"grid\"\nprotocol = \"dlms\"\nport = {}\n\
             \n[[meter]]\npoint = \"{POINT}\"\nbus = \"grid\"\nauthentication = \"hls-gmac\"\n\
             registers = {REGISTERS}\nload_profile = \"{LOAD_PROFILE}\"\nbacklog_days = 1\ninterval_s = {INTERVAL_S:.1}\n",
            quoted(&format!("tcp://{}", self.address)),
        )
    }
}
