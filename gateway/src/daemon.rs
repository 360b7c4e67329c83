//! `plombd`: puts the parts together, and takes them apart in order.
//!
//! ```text
//! lines ─▶ journal ─▶ batcher ─▶ uplink ─▶ hub
//!             ├────▶ subscribers (uplink)
//!             └────▶ control socket
//! ```

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plomb_seal::{
    Event, Hash, Name, Occurrence, SigningKey, Unverified, reading::TEXT_BYTES_MAX, transaction::Genesis,
};
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
    sync::{Mutex, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{error, info, warn};

use crate::{
    batcher,
    clock::{StepWatch, SystemClock},
    config::Config,
    control::{Desk as ControlDesk, Socket},
    groups::Group,
    identity::{self, Held, Trust},
    journal::{Journal, JournalError, Keyring, Recovered, Snapshot},
    keys::Keys,
    lines::{Haste, Lines, Switchboard},
    orders::{self, Beginning, Left, State, Who, live::Live, sealing::SealingKeys},
    renewal,
    secrets::Secrets,
    snapshot::{self, Snapshots},
    works::{Ground, Ready, Works, journal_options},
};

/// How long a stop waits for the last receipts.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long a start waits while somebody reads the journal's file: a command line that found no daemon.
pub const JOURNAL_WAIT: Duration = Duration::from_secs(10);
/// How long between two tries at it.
const JOURNAL_RETRY: Duration = Duration::from_millis(50);
/// How long the desk of orders has to put down what it is at.
const DESK_END_MAX: Duration = Duration::from_secs(1);
/// Tasks that ended unasked and are to be told of.
const ENDED_MAX: usize = 8;
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
    let text = fs::read_to_string(path).map_err(|error| Fatal::Config(error.to_string()))?;
    let overrides = Config::overrides().map_err(|error| Fatal::Config(error.to_string()))?;
    // One thread carries a gateway's load, and costs the least memory.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fatal::Start(format!("no runtime: {error}")))?;
    let founding = Founding { path: path.into(), text };
    runtime.block_on(Daemon::start(config, founding, overrides)?.run())
}

/// The file that the daemon was started with. It rules until a configuration of the ledger does.
struct Founding {
    path: PathBuf,
    text: String,
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

struct Daemon {
    /// The founding file's.
    config: Config,
    founding: Founding,
    overrides: Vec<(String, String)>,
    gateway: Name,
    key: SigningKey,
    trust: Option<Trust>,
    held: Held,
    clock: Arc<SystemClock>,
}

/// What the daemon begins with.
struct Outset {
    works: Works,
    ready: Ready,
    /// The text of the configuration that it begins under, and its version if it is the ledger's.
    text: String,
    version: Option<u64>,
    /// Why it is not the one that was on trial.
    fell_back: Option<(&'static str, String)>,
    left: Left,
}

impl Daemon {
    fn start(config: Config, founding: Founding, overrides: Vec<(String, String)>) -> Result<Self, Fatal> {
        let gateway = config.gateway_name().map_err(Fatal::Config)?;
        let key = identity::signing_key(&config.gateway.key).map_err(Fatal::Config)?;
        let trust = match &config.gateway.credential {
            Some(path) => {
                let path = renewal::credential_file(path, &config.gateway.state_dir);
                Some(identity::credential(&path, &gateway, &key).map_err(Fatal::Config)?)
            }
            None => None,
        };
        if !config.journal_path().exists() {
            // The founding file rules a first start: what it names is looked at before anything is begun. Later another
            // configuration may rule, and the journal says which.
            config
                .gateway
                .meter_keys
                .as_deref()
                .map_or(Ok(()), |path| Keys::load(path).map(drop))
                .map_err(Fatal::Config)?;
            let secrets = config.gateway.meter_secrets.as_deref();
            secrets.map_or(Ok(()), |path| Secrets::load(path).map(drop)).map_err(Fatal::Config)?;
        }
        let held = Held::new(trust.as_ref().map(|trust| trust.credential.clone()));
        let clock = Arc::new(SystemClock::new(&config.clock));
        Ok(Self { config, founding, overrides, gateway, key, trust, held, clock })
    }

    async fn run(self) -> Result<(), Fatal> {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| Fatal::Start(error.to_string()))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Fatal::Start(error.to_string()))?;
        let (journal, recovered) = self.open_journal_when_free().await?;
        let (ended_unasked, mut ended) = mpsc::channel(ENDED_MAX);
        let ground = Ground {
            gateway: self.gateway.clone(),
            journal: journal.clone(),
            board: Arc::default(),
            clock: self.clock.clone(),
            key: self.key.clone(),
            trust: self.trust.clone(),
            held: self.held.clone(),
            anchoring: Arc::default(),
            post: Arc::default(),
            ended: ended_unasked.clone(),
        };
        let (stop_rest, rest_stopped) = watch::channel(false);
        let switchboard: Arc<Switchboard> = Arc::default();
        let folder = self.config.gateway.state_dir.join(orders::FOLDER);
        let keys = match &self.trust {
            Some(_) => SealingKeys::load(&folder).map_err(Fatal::Config)?,
            None => SealingKeys::none(&folder),
        };
        // What can go wrong at a start goes wrong before it is entered.
        let outset = self.outset(&ground, &switchboard, keys.latest().is_some()).await?;
        let path = self.config.socket_path();
        let socket = Socket::bind(&path, Group::named(&self.config.control.group).id())
            .map_err(|error| Fatal::Start(format!("control socket {}: {error}", path.display())))?;
        self.enter_start(&journal, &recovered, &outset).await?;
        let Outset { mut works, ready, fell_back, left, .. } = outset;
        works.apply(ready, Haste::Now).await?;
        let meters = works.config().meter.len();
        let works = Arc::new(Mutex::new(works));
        let (stop_desk, desk_stopped) = watch::channel(false);
        let desk = self.start_desk(&ground, &works, &switchboard, keys, (left, fell_back), desk_stopped)?;
        let watch_clock = watch_clock(journal.clone(), self.clock.clone(), rest_stopped.clone());
        let (steps, _) = crate::lines::watched(watch_clock, ended_unasked);
        let control = self.start_control(socket, &ground, switchboard, &rest_stopped);
        notify(&[sd_notify::NotifyState::Ready]);
        let watchdog = tokio::spawn(feed_watchdog(journal.clone()));
        info!(gateway = %self.gateway, meters, "plombd runs");

        let ended = select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            Some(fatal) = ended.recv() => Err(fatal),
        };
        notify(&[sd_notify::NotifyState::Stopping]);
        stop_desk.send_replace(true);
        if let Some(mut desk) = desk
            && timeout(DESK_END_MAX, &mut desk).await.is_err()
        {
            // It waits for a line; what it was at goes on at the next start.
            desk.abort();
            let _ = desk.await;
        }
        let mut works = works.lock().await;
        works.stop_lines().await;
        let closed = match &ended {
            Ok(()) => close_books(&ground, works.config()).await,
            Err(_) => Ok(()),
        };
        stop_rest.send_replace(true);
        watchdog.abort();
        works.stop_rest().await;
        // A task that hangs must not keep the daemon; the journal is closed below either way.
        let _ = timeout(Duration::from_secs(4), control).await;
        steps.abort();
        let last = journal.close().await;
        ended?;
        closed?;
        last?;
        info!("plombd stopped");
        Ok(())
    }

    /// Under which configuration to begin, and everything made ready for it.
    async fn outset(&self, ground: &Ground, switchboard: &Arc<Switchboard>, has_keys: bool) -> Result<Outset, Fatal> {
        let (found, letters, texts, epoch, rolled_back) = {
            let snapshot = ground.journal.reader().snapshot()?;
            let (found, epoch) = (State::load(&snapshot)?, snapshot.head()?.epoch);
            let known = found.as_ref().map_or(epoch, |state| state.epoch);
            let rolled_back = rolled_back_since(&snapshot, known, epoch)?;
            let versions = found.as_ref().map(State::versions).unwrap_or_default();
            let texts = versions.into_iter().map(|version| Ok((version, orders::state::text(&snapshot, version)?)));
            let texts: BTreeMap<u64, String> = texts.collect::<Result<_, JournalError>>()?;
            (found, snapshot.orders(orders::state::OUT)?, texts, epoch, rolled_back)
        };
        // A journal without a state, beside keys: it is a new one.
        let returned = rolled_back || (found.is_none() && has_keys);
        let mut state = found.unwrap_or_default();
        let lines = Lines::new(
            (ground.journal.clone(), ground.board.clone(), ground.clock.clone()),
            switchboard.clone(),
            ground.ended.clone(),
        );
        let works = Works::new(ground.clone(), self.config.clone(), lines);
        let mut fell_back = None;
        let text_of = |version: Option<u64>| match version {
            None => Ok(self.founding.text.clone()),
            Some(version) => texts.get(&version).cloned().ok_or_else(|| Fatal::Config(gone(version))),
        };
        let mut version = match state.beginning(self.clock.stamp()) {
            Beginning::Founding => None,
            Beginning::Applied(version) | Beginning::Trial(version) => Some(version),
            Beginning::Back { to, rule, detail } => {
                fell_back = Some((rule, detail));
                to
            }
        };
        let before = state.in_force.as_ref().map(|applied| applied.version);
        let ready = match text_of(version).and_then(|text| self.ready(&works, version, &text)) {
            Err(Fatal::Config(what)) if version != before => {
                // The one on trial does not even begin.
                fell_back = Some(("config-apply", what));
                version = before;
                self.ready(&works, version, &text_of(version)?)?
            }
            ready => ready?,
        };
        let text = text_of(version)?;
        if version != before
            && let Some(trial) = &mut state.trial
        {
            // Durable before it begins: one under which the daemon falls over is taken back.
            trial.starts = trial.starts.saturating_add(1);
            ground.journal.keep(state.rows()).await?;
        }
        let founding = self.founding.text.clone();
        let left = Left { state, letters, texts, founding, returned, epoch };
        Ok(Outset { works, ready, text, version, fell_back, left })
    }

    fn ready(&self, works: &Works, version: Option<u64>, text: &str) -> Result<Ready, Fatal> {
        let config = match version {
            None => self.config.clone(),
            Some(version) => {
                let name = format!("configuration {version} of the ledger");
                let read = Config::read(&name, text).map_err(|error| Fatal::Config(error.to_string()))?;
                read.settled().map_err(|what| Fatal::Config(format!("{name}: {what}")))?
            }
        };
        works.ready(config).map_err(Fatal::Config)
    }

    /// The desk of orders; none without somebody to trust.
    fn start_desk(
        &self,
        ground: &Ground,
        works: &Arc<Mutex<Works>>,
        switchboard: &Arc<Switchboard>,
        keys: SealingKeys,
        (left, fell_back): (Left, Option<(&'static str, String)>),
        stop: watch::Receiver<bool>,
    ) -> Result<Option<JoinHandle<()>>, Fatal> {
        let Some(trust) = &self.trust else { return Ok(None) };
        let genesis = Unverified::<Genesis>::parse(&trust.credential.genesis.transaction);
        let genesis = genesis.map_err(|error| Fatal::Config(format!("[gateway] credential: {error}")))?;
        let who = Who {
            gateway: self.gateway.clone(),
            origin: genesis.claims().origin.clone(),
            key: self.key.clone(),
            policy: Arc::new(trust.policy.clone()),
        };
        let live = Live::new(
            works.clone(),
            (ground.journal.clone(), ground.board.clone(), ground.clock.clone()),
            switchboard.clone(),
            (ground.post.clone(), ground.anchoring.clone()),
            (&self.config.gateway.state_dir, &self.founding.path),
        );
        let desk = orders::Desk::new(who, live, keys, left);
        let ended = ground.ended.clone();
        Ok(Some(tokio::spawn(async move {
            if let Err(fatal) = orders::live::run(desk, fell_back, stop).await {
                // Who would be told may have ended.
                let _ = ended.send(fatal).await;
            }
        })))
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
        let options = journal_options(&self.config);
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

    async fn enter_start(&self, journal: &Journal, recovered: &Recovered, outset: &Outset) -> Result<(), Fatal> {
        if let Some(before) = recovered.key_before {
            let (epoch, key) = (recovered.head.epoch, self.key.public().id());
            warn!(%before, %key, epoch, "another key signs from now on: entered, a new epoch begins");
        }
        let applied = Applied::new(outset.text.clone().into_bytes(), &self.overrides);
        let mut details = vec![
            ("version", env!("CARGO_PKG_VERSION").to_string()),
            ("openings", recovered.openings.to_string()),
            ("unreceipted", recovered.unreceipted_entries.to_string()),
            ("configuration", applied.hash.to_string()),
        ];
        details.extend(outset.version.map(|version| ("configuration-version", version.to_string())));
        let overrides = applied.overrides.join(" ");
        if !overrides.is_empty() {
            details.push(("overrides", overrides.chars().take(TEXT_BYTES_MAX).collect()));
        }
        enter(journal, "start", &details).await?;
        Ok(())
    }

    fn start_control(
        &self,
        socket: Socket,
        ground: &Ground,
        lines: Arc<Switchboard>,
        stop: &watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        let snapshots = Snapshots {
            gateway: self.gateway.to_string(),
            journal: ground.journal.clone(),
            board: ground.board.clone(),
            clock: self.clock.clone(),
            started_ms: crate::clock::unix_ms(),
        };
        let desk = ControlDesk {
            journal: ground.journal.clone(),
            snapshot: Box::new(move || snapshots.take()),
            lines,
            credential: self.held.clone(),
            administrators: Group::named(&self.config.control.admin_group),
        };
        tokio::spawn(socket.serve(desk, stop.clone()))
    }
}

/// Whether an epoch after the one that is known began because a card was put back.
fn rolled_back_since(snapshot: &Snapshot, known: u32, present: u32) -> Result<bool, JournalError> {
    for epoch in known.saturating_add(1)..=present {
        if snapshot::rolled_back_in(snapshot, epoch)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn gone(version: u64) -> String {
    format!("configuration {version} of the ledger is gone from the journal")
}

/// The last entries, the last batch, and, while the hub is there, its receipt.
async fn close_books(ground: &Ground, config: &Config) -> Result<(), Fatal> {
    let Ground { journal, board, anchoring, .. } = ground;
    enter(journal, "stop", &[]).await?;
    while batcher::close(journal, &config.batch, anchoring).await? {}
    let until = Instant::now() + STOP_GRACE;
    while board.update().hub.connected && !journal.unreceipted(1)?.is_empty() && Instant::now() < until {
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
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
