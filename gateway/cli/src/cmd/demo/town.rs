//! The street, the gateway and the hub, in one folder.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use plomb_gateway::{clock::unix_ms, config::Config};
use plomb_seal::Name;
use plomb_sim::{Calendar, LineSpeed, PtyLine, StreetMeter, street};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    args::{DaemonArgs, DemoArgs},
    ask::Place,
    exit::Failure,
};

use super::{
    air::Antenna,
    grid::Grid,
    program::{self, Program},
    tell::Teller,
};

/// The gateway's name.
pub(super) const GATEWAY: &str = "demo";
/// The subscriber's name.
pub(super) const SUBSCRIBER: &str = "billing";
/// The ledger's name.
const ORIGIN: &str = "demo.example/street";
/// The line's speed, in bits a second.
const SPEED: LineSpeed = LineSpeed(2400);
/// How long a meter's readout takes at that speed, generously, in seconds.
const READOUT_S: f64 = 1.0;
/// The shortest interval between two readings of a meter, in seconds.
const INTERVAL_S_MIN: f64 = 5.0;
/// The meters' numbers and loads follow from this.
const SEED: u64 = 2026;
/// How long the hub may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest path of a folder such that a socket in it can be bound, in bytes.
const FOLDER_BYTES_MAX: usize = 80;

/// Everything that the demo brings up.
pub(super) struct Town {
    // Dropped in this order: the programs before the line, the folder last.
    gateway: Option<Program>,
    hub: Option<Program>,
    _line: PtyLine,
    /// The radio meters and their receiver.
    pub(super) antenna: Antenna,
    /// The electricity meter.
    pub(super) grid: Grid,
    /// The meters on the line, the silent one last.
    pub(super) meters: Vec<StreetMeter>,
    /// How often each is read, in seconds.
    pub(super) interval_s: f64,
    /// Where the hub's broker listens.
    pub(super) address: String,
    hub_program: PathBuf,
    gateway_program: PathBuf,
    /// Where everything is.
    pub(super) folder: Folder,
}

/// A folder that goes when the demo does, unless it is to be kept. One that the user named is kept.
pub(super) struct Folder {
    path: PathBuf,
    pub(super) keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _removed = fs::remove_dir_all(&self.path);
        }
    }
}

impl Folder {
    fn make(args: &DemoArgs) -> Result<Self, Failure> {
        let made = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        let path = match &args.dir {
            Some(path) => {
                let empty = fs::read_dir(path).map(|mut entries| entries.next().is_none());
                match empty {
                    Ok(true) => {}
                    Ok(false) => return Err(Failure::Usage(format!("{} is not empty", path.display()))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        made(path).map_err(|error| Failure::file(path, error))?;
                    }
                    Err(error) => return Err(Failure::file(path, error)),
                }
                fs::canonicalize(path).map_err(|error| Failure::file(path, error))?
            }
            None => {
                let path = std::env::temp_dir().join(format!("plomb-demo-{}-{}", std::process::id(), unix_ms()));
                made(&path).map_err(|error| Failure::file(&path, error))?;
                path
            }
        };
        let this = Self { path, keep: args.keep || args.dir.is_some() };
        if this.path.as_os_str().len() > FOLDER_BYTES_MAX {
            return Err(Failure::Usage(format!(
                "{}: a path of more than {FOLDER_BYTES_MAX} bytes is too long for sockets; choose a shorter --dir",
                this.path.display()
            )));
        }
        Ok(this)
    }

    /// A place in it.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_string_lossy().into_owned()
    }
}

impl Town {
    /// The street and the hub. The gateway comes later, when somebody listens.
    pub(super) async fn found(args: &DemoArgs, teller: &mut Teller<'_>) -> Result<Self, Failure> {
        let hub_program = program::find("plomb-hub")?;
        let gateway_program = program::find("plombd")?;
        let folder = Folder::make(args)?;
        teller.step("founding a ledger; certifying a gateway and a subscriber")?;
        let config = folder.text("hub/hub.toml");
        let hub = folder.text("hub");
        program::output(&hub_program, &["init", &hub, "--origin", ORIGIN, "--listen", "127.0.0.1:0"])?;
        for (role, id) in [("gateway", GATEWAY), ("subscriber", SUBSCRIBER)] {
            let out = folder.text(id);
            program::output(
                &hub_program,
                &["certify", "--config", &config, "--role", role, "--id", id, "--out", &out],
            )?;
        }
        let environment = [("PLOMB_HUB__CHECKPOINT_INTERVAL_S", "5"), ("RUST_LOG", "info")];
        let hub =
            Program::start("plomb-hub", &hub_program, &["--config", &config], &environment, folder.at("hub.log"))?;
        let (line, meters) = lay_line(args.meters, &folder)?;
        let mut town = Self {
            gateway: None,
            hub: Some(hub),
            _line: line,
            antenna: Antenna::new(SEED, &folder.path),
            grid: Grid::connect(SEED, &folder.path).await?,
            interval_s: INTERVAL_S_MIN.max(f64::from(args.meters) * READOUT_S),
            meters,
            address: String::new(),
            hub_program,
            gateway_program,
            folder,
        };
        town.address = town.hub_address(&config).await?;
        town.write_config()?;
        Ok(town)
    }

    /// Waits until the hub listens.
    async fn hub_address(&mut self, config: &str) -> Result<String, Failure> {
        let patience = Instant::now() + START_TIMEOUT;
        loop {
            self.still_run()?;
            let status = program::output(&self.hub_program, &["status", "--config", config, "--json"]);
            let status: Option<Value> = status.ok().and_then(|text| serde_json::from_slice(&text).ok());
            let listen = status.as_ref().and_then(|status| status.get("listen")).and_then(Value::as_str);
            match (listen, &self.hub) {
                (Some(listen), _) => return Ok(listen.into()),
                (None, Some(hub)) if Instant::now() > patience => return Err(hub.failure("does not answer")),
                _ => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn write_config(&self) -> Result<(), Failure> {
        let folder = &self.folder;
        let path = |name: &str| quoted(&folder.text(name));
        let keys = quoted(&self.antenna.write_keys()?.to_string_lossy());
        let secrets = quoted(&self.grid.secrets().to_string_lossy());
        let mut text = format!(
            "# Written by `plomb demo`.\n[gateway]\nid = \"{GATEWAY}\"\nstate_dir = {}\nkey = {}\ncertificate = {}\n\
             credential = {}\nmeter_keys = {keys}\nmeter_secrets = {secrets}\n\n[hub]\naddress = {}\nca = {}\n\n[journal]\nwindow_s = 1.0\n\n[batch]\nage_s = 3.0\n\n\
             [[bus]]\nname = \"street\"\nprotocol = \"mbus\"\nport = {}\nbaud = {}\n",
            path("state"),
            path("demo/client.key"),
            path("demo/client.crt"),
            path("demo/credential.cbor"),
            quoted(&self.address),
            path("demo/ca.crt"),
            path("street"),
            SPEED.0,
        );
        for meter in &self.meters {
            text.push_str(&format!(
                "\n[[meter]]\npoint = {}\nbus = \"street\"\naddress = {}\ninterval_s = {:.1}\n",
                quoted(&meter.name),
                meter.address,
                self.interval_s
            ));
        }
        text.push_str(&self.grid.config());
        text.push_str(&self.antenna.config());
        let file = self.config_file();
        fs::write(&file, text).map_err(|error| Failure::file(&file, error))
    }

    /// The radio meters begin to send no sooner, so that none is heard too late.
    pub(super) fn start_gateway(&mut self) -> Result<(), Failure> {
        self.antenna.plug_in()?;
        let config = self.folder.text("plombd.toml");
        let log = self.folder.at("plombd.log");
        let environment = [("RUST_LOG", "info")];
        let gateway = Program::start("plombd", &self.gateway_program, &["--config", &config], &environment, log)?;
        self.gateway = Some(gateway);
        Ok(())
    }

    /// A failure if a program has ended.
    pub(super) fn still_run(&mut self) -> Result<(), Failure> {
        self.gateway.iter_mut().chain(&mut self.hub).try_for_each(Program::still_runs)
    }

    pub(super) async fn stop_gateway(&mut self) -> Result<(), Failure> {
        match self.gateway.take() {
            Some(gateway) => gateway.stop().await,
            None => Ok(()),
        }
    }

    pub(super) async fn stop_hub(&mut self) -> Result<(), Failure> {
        match self.hub.take() {
            Some(hub) => hub.stop().await,
            None => Ok(()),
        }
    }

    /// What the hub's archive holds, as JSON lines.
    pub(super) fn archive(&self) -> Result<Vec<u8>, Failure> {
        let config = self.folder.text("hub/hub.toml");
        let arguments = ["archive", "entries", "--config", &config, "--gateway", GATEWAY, "--json"];
        program::output(&self.hub_program, &arguments)
    }

    /// Where the gateway is.
    pub(super) fn place(&self) -> Result<Place, Failure> {
        Place::find(&DaemonArgs { config: Some(self.config_file()), socket: None })
    }

    /// The gateway's configuration.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.config_file()).map_err(|error| Failure::Config(error.to_string()))
    }

    fn config_file(&self) -> PathBuf {
        self.folder.at("plombd.toml")
    }

    /// The measuring point whose meter never answers.
    pub(super) fn silent(&self) -> &str {
        self.meters.last().map_or("", |meter| &meter.name)
    }

    /// The gateway's name.
    pub(super) fn gateway_name() -> Result<Name, Failure> {
        GATEWAY.parse().map_err(|error| Failure::Config(format!("{error}")))
    }
}

/// The meters on their line; the last one is silent.
fn lay_line(meters: u8, folder: &Folder) -> Result<(PtyLine, Vec<StreetMeter>), Failure> {
    let start_unix_s = u64::try_from(unix_ms() / 1000).unwrap_or_default();
    let mut street = street(meters, SEED, SPEED, Calendar { start_unix_s, factor: 1 });
    if let Some(slave) = street.meters.last().and_then(|last| street.bus.slave_mut(last.address)) {
        slave.faults.silent = true;
    }
    let line = PtyLine::open(Some(&folder.at("street")), street.bus)
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok((line, street.meters))
}

/// A TOML string. JSON's escapes are a part of TOML's.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
