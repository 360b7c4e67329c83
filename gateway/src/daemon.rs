//! `plombd`: puts the parts together, and takes them apart in order.
//!
//! ```text
//! lines ─▶ journal ─▶ batcher ─▶ uplink ─▶ hub
//!             ├────▶ subscribers (uplink)
//!             └────▶ control socket
//! ```

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::Path,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use plomb_modbus::Maps;
use plomb_profiles::Library;
use plomb_seal::{Event, Hash, Name, Occurrence, SigningKey, reading::TEXT_BYTES_MAX};
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{
    ask::{
        Knowledge,
        deed::{DEEDS_MAX, Deed},
    },
    batcher::{self, Anchoring},
    clock::{StepWatch, SystemClock},
    config::{Config, Protocol},
    control::{Desk, Socket},
    groups::Group,
    https::Place,
    identity::{self, Held, Trust},
    journal::{Journal, JournalError, Keyring, Options, Recovered},
    keys::Keys,
    models,
    poll::{Asked, BusTask, QUESTIONS_MAX, Question},
    push::PushTask,
    radio::RadioTask,
    renewal::{self, Renewer},
    scan::ScanOrder,
    secrets::Secrets,
    snapshot::Snapshots,
    status::Board,
    uplink::{ClientFiles, Uplink, client_config},
};

/// How long a stop waits for the last receipts.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long a start waits while somebody reads the journal's file: a command line that found no daemon.
pub const JOURNAL_WAIT: Duration = Duration::from_secs(10);
/// How long between two tries at it.
const JOURNAL_RETRY: Duration = Duration::from_millis(50);
/// Scans of one port that are under way or wait.
const SCANS_MAX: usize = 1;
/// Who may look into a new state directory: its owner and its group.
const STATE_DIR_MODE: u32 = 0o750;
/// How often the clock is compared with its own running.
const CLOCK_PERIOD: Duration = Duration::from_secs(10);

/// Why `plombd` ends other than by a signal; each with its exit code (sysexits).
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The configuration, a key or a certificate is wrong.
    #[error("{0}")]
    Config(String),
    /// Something at start can't be opened.
    #[error("{0}")]
    Start(String),
    /// The journal failed.
    #[error("{0}")]
    Journal(#[from] JournalError),
}

impl Fatal {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            // The file and the configuration do not belong together: only a person can mend that.
            Self::Config(_)
            | Self::Journal(
                JournalError::Option { .. }
                | JournalError::OtherKey { .. }
                | JournalError::OtherGateway { .. }
                | JournalError::UnknownFormat { .. },
            ) => 78,
            // Another process has the file, or it can't be opened: a new start would not help.
            Self::Start(_) | Self::Journal(JournalError::InUse | JournalError::Open(_)) => 74,
            Self::Journal(_) => 75,
        }
    }
}

/// Runs `plombd` with a configuration file until SIGTERM or SIGINT.
pub fn run(path: &Path) -> Result<(), Fatal> {
    let config = Config::load(path).map_err(|error| Fatal::Config(error.to_string()))?;
    let file = fs::read(path).map_err(|error| Fatal::Config(error.to_string()))?;
    let overrides = Config::overrides().map_err(|error| Fatal::Config(error.to_string()))?;
    let applied = Applied::new(file, &overrides);
    // One thread carries a gateway's load, and costs the least memory.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fatal::Start(format!("no runtime: {error}")))?;
    runtime.block_on(Daemon::start(config, applied)?.run())
}

/// What the event `start` says of the configuration.
struct Applied {
    /// The hash of the file, as `sha256sum` gives it; if the environment overrides anything, of the file followed by
    /// a line `NAME=value` for each variable, in the order of their names.
    hash: Hash,
    /// The names of those variables: values may be secret.
    overrides: Vec<String>,
}

impl Applied {
    fn new(mut file: Vec<u8>, overrides: &[(String, String)]) -> Self {
        for (name, value) in overrides {
            file.extend_from_slice(format!("{name}={value}\n").as_bytes());
        }
        Self { hash: Hash::of(&file), overrides: overrides.iter().map(|(name, _)| name.clone()).collect() }
    }
}

/// Ways to ask the tasks that hold the ports.
struct Lines {
    questions: Questioned,
    scanners: Scanners,
    /// Where commands for each measuring point go.
    deeds: Vec<(Name, mpsc::Sender<Deed>)>,
}

type Questioned = Vec<(Name, mpsc::Sender<Question>)>;
type Scanners = Vec<(crate::config::Bus, mpsc::Sender<ScanOrder>)>;

/// A task that is ready to run.
type Work = Pin<Box<dyn Future<Output = Result<(), JournalError>> + Send>>;

struct Daemon {
    config: Config,
    applied: Applied,
    gateway: Name,
    key: SigningKey,
    trust: Option<Trust>,
    held: Held,
    meter_keys: Arc<Keys>,
    clock: Arc<SystemClock>,
}

impl Daemon {
    fn start(config: Config, applied: Applied) -> Result<Self, Fatal> {
        let gateway = config.gateway_name().map_err(Fatal::Config)?;
        let key = identity::signing_key(&config.gateway.key).map_err(Fatal::Config)?;
        let trust = match &config.gateway.credential {
            Some(path) => {
                let path = renewal::credential_file(path, &config.gateway.state_dir);
                Some(identity::credential(&path, &gateway, &key).map_err(Fatal::Config)?)
            }
            None => None,
        };
        let held = Held::new(trust.as_ref().map(|trust| trust.credential.clone()));
        let meter_keys = match &config.gateway.meter_keys {
            Some(path) => Keys::load(path).map_err(Fatal::Config)?,
            None => Keys::default(),
        };
        let clock = Arc::new(SystemClock::new(&config.clock));
        Ok(Self { config, applied, gateway, key, trust, held, meter_keys: Arc::new(meter_keys), clock })
    }

    async fn run(self) -> Result<(), Fatal> {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| Fatal::Start(error.to_string()))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Fatal::Start(error.to_string()))?;
        let (journal, recovered) = self.open_journal_when_free().await?;
        let (board, anchoring) = (Arc::new(Board::default()), Arc::new(Anchoring::default()));
        let (stop_lines, lines_stopped) = watch::channel(false);
        let (stop_rest, rest_stopped) = watch::channel(false);
        let mut work = Vec::new();
        // What can go wrong at a start goes wrong before it is entered.
        let Lines { questions, scanners, deeds } = self.make_lines(&journal, &board, &lines_stopped, &mut work)?;
        let path = self.config.socket_path();
        let socket = Socket::bind(&path, Group::named(&self.config.control.group).id())
            .map_err(|error| Fatal::Start(format!("control socket {}: {error}", path.display())))?;
        self.enter_start(&journal, &recovered).await?;
        let mut tasks: JoinSet<Result<(), JournalError>> = work.into_iter().collect();
        tasks.spawn(batcher::run(journal.clone(), self.config.batch.clone(), anchoring.clone(), rest_stopped.clone()));
        let (vitals, state_dir) = (self.config.vitals.clone(), self.config.gateway.state_dir.clone());
        tasks.spawn(crate::vitals::run(vitals, state_dir, journal.clone(), board.clone(), rest_stopped.clone()));
        tasks.spawn(watch_clock(journal.clone(), self.clock.clone(), rest_stopped.clone()));
        let renewer = self.start_renewer(&rest_stopped)?;
        let uplink = self.start_uplink(&journal, &board, &anchoring, &rest_stopped)?;
        let control = Some(self.start_control(socket, &journal, &board, (questions, scanners), &rest_stopped));
        notify(&[sd_notify::NotifyState::Ready]);
        let watchdog = tokio::spawn(feed_watchdog(journal.clone()));
        info!(gateway = %self.gateway, meters = self.config.meter.len(), "plombd runs");

        let ended = loop {
            select! {
                _ = terminate.recv() => break Ok(()),
                _ = interrupt.recv() => break Ok(()),
                Some(task) = tasks.join_next() => match task {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => break Err(Fatal::Journal(error)),
                    Err(error) => break Err(Fatal::Start(format!("a task ended unexpectedly: {error}"))),
                },
            }
        };
        notify(&[sd_notify::NotifyState::Stopping]);
        drop(deeds);
        stop_lines.send_replace(true);
        let closed = match &ended {
            Ok(()) => self.close_books(&journal, &board, &anchoring, &mut tasks).await,
            Err(_) => Ok(()),
        };
        stop_rest.send_replace(true);
        watchdog.abort();
        for task in [uplink, renewer, control].into_iter().flatten() {
            // A task that hangs must not keep the daemon; the journal is closed below either way.
            let _ = timeout(Duration::from_secs(4), task).await;
        }
        tasks.shutdown().await;
        let last = journal.close().await;
        ended?;
        closed?;
        last?;
        info!("plombd stopped");
        Ok(())
    }

    /// Opens the journal; waits while a command line still reads its file. Another plombd never lets go.
    async fn open_journal_when_free(&self) -> Result<(Journal, Recovered), Fatal> {
        let gives_up = Instant::now() + JOURNAL_WAIT;
        let mut told = false;
        loop {
            match self.open_journal() {
                Err(Fatal::Journal(JournalError::InUse)) if Instant::now() < gives_up => {
                    if !std::mem::replace(&mut told, true) {
                        info!("waiting for whoever reads the journal's file, at most {} s", JOURNAL_WAIT.as_secs());
                    }
                    sleep(JOURNAL_RETRY).await;
                }
                opened => return opened,
            }
        }
    }

    fn open_journal(&self) -> Result<(Journal, Recovered), Fatal> {
        let folder = &self.config.gateway.state_dir;
        let made = DirBuilder::new().recursive(true).mode(STATE_DIR_MODE).create(folder);
        made.map_err(|error| Fatal::Start(format!("{}: {error}", folder.display())))?;
        let path = self.config.journal_path();
        let options = Options {
            window: Duration::from_secs_f64(self.config.journal.window_s),
            window_entries_max: self.config.journal.window_entries,
            quota_bytes: self.config.journal.quota_mib.saturating_mul(1024 * 1024),
            raw_frames: self.config.journal.raw_frames,
            ..Options::default()
        };
        let clock = |clock: &Arc<SystemClock>| {
            let clock = clock.clone();
            move || clock.stamp()
        };
        let certificates = self.trust.as_ref().map_or([].as_slice(), |trust| &trust.certificates);
        let keys = Keyring::new(self.key.clone(), &self.gateway, certificates);
        let opened = Journal::open(&path, self.gateway.clone(), keys.clone(), options, clock(&self.clock));
        match opened {
            Err(damage @ JournalError::Damaged(_)) => {
                let gateway = self.gateway.clone();
                let (journal, recovered, aside) =
                    Journal::open_replacing_damaged(&path, gateway, keys, options, clock(&self.clock), &damage)?;
                error!(aside = %aside.display(), "{damage}; it is kept aside, and a new one begins");
                Ok((journal, recovered))
            }
            other => Ok(other?),
        }
    }

    async fn enter_start(&self, journal: &Journal, recovered: &Recovered) -> Result<(), Fatal> {
        if let Some(before) = recovered.key_before {
            let (epoch, key) = (recovered.head.epoch, self.key.public().id());
            warn!(%before, %key, epoch, "another key signs from now on: entered, a new epoch begins");
        }
        let mut details = vec![
            ("version", env!("CARGO_PKG_VERSION").to_string()),
            ("openings", recovered.openings.to_string()),
            ("unreceipted", recovered.unreceipted_entries.to_string()),
            ("configuration", self.applied.hash.to_string()),
        ];
        let overrides = self.applied.overrides.join(" ");
        if !overrides.is_empty() {
            details.push(("overrides", overrides.chars().take(TEXT_BYTES_MAX).collect()));
        }
        enter(journal, "start", &details).await?;
        Ok(())
    }

    /// The lines, and the work that they are.
    fn make_lines(
        &self,
        journal: &Journal,
        board: &Arc<Board>,
        stop: &watch::Receiver<bool>,
        work: &mut Vec<Work>,
    ) -> Result<Lines, Fatal> {
        let (mut questions, mut scanners, mut deeds) = (Vec::new(), Vec::new(), Vec::new());
        let is_mbus = |name: &str| self.config.bus.iter().any(|bus| bus.name == name && bus.protocol == Protocol::Mbus);
        // Only those who listen to the air, open encrypted telegrams, or name a model for its valve need it.
        let models = self.config.gateway.meter_keys.is_some()
            || self.config.bus.iter().any(|bus| bus.protocol == Protocol::Wmbus)
            || self.config.meter.iter().any(|meter| meter.model.is_some() && is_mbus(&meter.bus));
        let library = match models {
            true => models::library(self.config.gateway.profiles.as_deref()).map_err(Fatal::Config)?,
            false => Library::empty(),
        };
        let library = Arc::new(library);
        let maps = match self.config.bus.iter().any(|bus| bus.protocol == Protocol::Modbus) {
            true => models::register_maps(self.config.gateway.modbus_profiles.as_deref()).map_err(Fatal::Config)?,
            false => Maps::empty(),
        };
        let secrets = match &self.config.gateway.meter_secrets {
            Some(path) => Secrets::load(path).map_err(Fatal::Config)?,
            None => Secrets::default(),
        };
        for point in secrets.points().filter(|point| !self.config.meter.iter().any(|meter| meter.point == *point)) {
            warn!(point, "the file of meter_secrets has lines for a point that no [[meter]] has: check its spelling");
        }
        let knowledge = Knowledge {
            keys: self.meter_keys.clone(),
            library: library.clone(),
            maps: Arc::new(maps),
            counters: journal.counters(),
            secrets: Arc::new(secrets),
            title: self.config.title().map_err(Fatal::Config)?,
            journal: Some(journal.clone()),
            clock: Some(self.clock.clone()),
        };
        for bus in &self.config.bus {
            let (ask, questioned) = mpsc::channel(QUESTIONS_MAX);
            let (command, commanded) = mpsc::channel(DEEDS_MAX);
            for meter in self.config.meter.iter().filter(|meter| meter.bus == bus.name) {
                let point: Name = meter.point.parse().map_err(|error| Fatal::Config(format!("{error}")))?;
                deeds.push((point.clone(), command.clone()));
                questions.push((point, ask.clone()));
            }
            let (order, ordered) = mpsc::channel(SCANS_MAX);
            scanners.push((bus.clone(), order));
            let asked = Asked { questions: questioned, scans: ordered, deeds: commanded };
            let (meters, journal, board, stop) = (&self.config.meter, journal.clone(), board.clone(), stop.clone());
            match bus.protocol {
                protocol if !protocol.is_listened_to() => {
                    let line = BusTask::new(bus, meters, &knowledge, journal, board, asked, stop);
                    work.push(Box::pin(line.map_err(Fatal::Config)?.run()));
                }
                Protocol::DlmsPush | Protocol::P1 => {
                    let port = PushTask::new(bus, meters, &knowledge, journal, board, asked, stop);
                    work.push(Box::pin(port.map_err(Fatal::Config)?.run()));
                }
                _ => {
                    let receiver = RadioTask::new(
                        bus,
                        meters,
                        (self.meter_keys.clone(), library.clone()),
                        journal,
                        board,
                        asked,
                        stop,
                    );
                    work.push(Box::pin(receiver.map_err(Fatal::Config)?.run()));
                }
            }
        }
        Ok(Lines { questions, scanners, deeds })
    }

    fn start_uplink(
        &self,
        journal: &Journal,
        board: &Arc<Board>,
        anchoring: &Arc<Anchoring>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<JoinHandle<()>>, Fatal> {
        let (Some(hub), Some(certificate), Some(Trust { policy, .. })) =
            (&self.config.hub, &self.config.gateway.certificate, &self.trust)
        else {
            warn!("no [hub] is configured: entries are recorded and not anchored");
            return Ok(None);
        };
        let files = ClientFiles {
            ca: &hub.ca,
            certificate,
            key: &self.config.gateway.key,
            state_dir: Some(&self.config.gateway.state_dir),
        };
        let uplink = Uplink {
            gateway: self.gateway.clone(),
            config: hub.clone(),
            journal: journal.clone(),
            policy: Arc::new(policy.clone()),
            tls: client_config(files).map_err(Fatal::Config)?,
            anchoring: anchoring.clone(),
            board: board.clone(),
        };
        board.update().hub.address.clone_from(&hub.address);
        Ok(Some(tokio::spawn(uplink.run(stop.clone()))))
    }

    /// Renews the certificate in time, where there is one and the hub is known to serve HTTPS.
    fn start_renewer(&self, stop: &watch::Receiver<bool>) -> Result<Option<JoinHandle<()>>, Fatal> {
        let (Some(hub), Some(certificate), Some(trust)) =
            (&self.config.hub, &self.config.gateway.certificate, &self.trust)
        else {
            return Ok(None);
        };
        let Some(https) = &hub.https else { return Ok(None) };
        let renewer = Renewer {
            gateway: self.gateway.clone(),
            key: self.key.clone(),
            key_file: self.config.gateway.key.clone(),
            certificate: certificate.clone(),
            state_dir: self.config.gateway.state_dir.clone(),
            ca: hub.ca.clone(),
            place: Place::parse(https).map_err(|what| Fatal::Config(format!("[hub] https: {what}")))?,
            trust: trust.clone(),
            held: self.held.clone(),
            now_ms: crate::clock::unix_ms,
        };
        Ok(Some(tokio::spawn(renewer.run(stop.clone()))))
    }

    fn start_control(
        &self,
        socket: Socket,
        journal: &Journal,
        board: &Arc<Board>,
        (questions, scanners): (Questioned, Scanners),
        stop: &watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        let snapshots = Snapshots {
            gateway: self.gateway.to_string(),
            journal: journal.clone(),
            board: board.clone(),
            clock: self.clock.clone(),
            quota_bytes: self.config.journal.quota_mib.saturating_mul(1024 * 1024),
            hub_configured: self.config.hub.is_some(),
            started_ms: crate::clock::unix_ms(),
        };
        let desk = Desk {
            journal: journal.clone(),
            snapshot: Box::new(move || snapshots.take()),
            points: self.config.meter.iter().filter_map(|meter| meter.point.parse().ok()).collect(),
            questions,
            scanners,
            credential: self.held.clone(),
            administrators: Group::named(&self.config.control.admin_group),
        };
        tokio::spawn(socket.serve(desk, stop.clone()))
    }

    /// The last entries, the last batch, and, while the hub is there, its receipt.
    async fn close_books(
        &self,
        journal: &Journal,
        board: &Board,
        anchoring: &Anchoring,
        tasks: &mut JoinSet<Result<(), JournalError>>,
    ) -> Result<(), Fatal> {
        // The lines have been told; a reading under way is given up.
        let lines = self.config.bus.len();
        let ended = async {
            for _ in 0..lines {
                let _ = tasks.join_next().await;
            }
        };
        let _ = timeout(Duration::from_secs(2), ended).await;
        enter(journal, "stop", &[]).await?;
        while batcher::close(journal, &self.config.batch, anchoring).await? {}
        let until = Instant::now() + STOP_GRACE;
        while board.update().hub.connected && !journal.unreceipted(1)?.is_empty() && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn enter(journal: &Journal, name: &str, details: &[(&str, String)]) -> Result<(), JournalError> {
    let details = details.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
    let event = Occurrence::Event(Event { name: name.into(), details });
    let ticket = journal.append_urgent(event, Vec::new()).await?;
    match ticket.durable().await {
        Ok(_) | Err(JournalError::Full { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Enters each jump of the system clock.
async fn watch_clock(
    journal: Journal,
    clock: Arc<SystemClock>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), JournalError> {
    let mut steps = StepWatch::start();
    loop {
        select! {
            () = sleep(CLOCK_PERIOD) => {}
            _ = stop.changed() => return Ok(()),
        }
        if let Some(by_ms) = steps.step_ms() {
            let state = crate::clock::state_name(clock.stamp().clock).to_string();
            warn!(by_ms, state, "the system clock jumped");
            enter(&journal, "clock-step", &[("by_ms", by_ms.to_string()), ("clock", state)]).await?;
        }
    }
}

/// Feeds systemd's watchdog as long as the writer answers.
async fn feed_watchdog(journal: Journal) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        sleep(period / 3).await;
        match journal.flush().await {
            Ok(_) => notify(&[sd_notify::NotifyState::Watchdog]),
            Err(error) => error!("the journal does not answer: {error}"),
        }
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_overrides_is_in_the_configuration_s_hash() {
        let file = b"[gateway]\n".to_vec();
        let with = |overrides: &[(&str, &str)]| {
            let named = overrides.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string()));
            Applied::new(file.clone(), &named.collect::<Vec<_>>())
        };
        assert_eq!(with(&[]).hash, Hash::of(&file), "without any it is the file's own");
        let quota = with(&[("PLOMB__JOURNAL__QUOTA_MIB", "4")]);
        assert_ne!(quota.hash, with(&[]).hash);
        assert_ne!(quota.hash, with(&[("PLOMB__JOURNAL__QUOTA_MIB", "5")]).hash);
        assert_eq!(quota.overrides, ["PLOMB__JOURNAL__QUOTA_MIB"]);
    }
}
