//! All that a configuration governs, running: and how it is brought under another one without a stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use plomb_seal::{Name, SigningKey};
use rumqttc::tokio_rustls::rustls::ClientConfig;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle},
    time::timeout,
};
use tracing::warn;

use crate::{
    batcher::{self, Anchoring},
    clock::SystemClock,
    config::Config,
    daemon::Fatal,
    https::Place,
    identity::{Held, Trust},
    journal::{Journal, JournalError, Options},
    lines::{Haste, Lines, Prepared, watched},
    orders::Post,
    renewal::Renewer,
    status::Board,
    uplink::{ClientFiles, Uplink, client_config},
    vitals,
};

/// How long the uplink has to say goodbye.
pub const UPLINK_END_MAX: Duration = Duration::from_secs(4);

/// What stays whatever the configuration is.
#[derive(Clone)]
pub struct Ground {
    /// The gateway.
    pub gateway: Name,
    /// The journal.
    pub journal: Journal,
    /// Where states are written down.
    pub board: Arc<Board>,
    /// The clock.
    pub clock: Arc<SystemClock>,
    /// The gateway's key.
    pub key: SigningKey,
    /// Whom the gateway trusts, if it has a credential.
    pub trust: Option<Trust>,
    /// The credential that exports carry.
    pub held: Held,
    /// Shared by batcher and uplink.
    pub anchoring: Arc<Anchoring>,
    /// What goes between uplink and orders.
    pub post: Arc<Post>,
    /// Who is told when a task ends unasked.
    pub ended: mpsc::Sender<Fatal>,
}

/// The parts that run under the configuration in force.
pub struct Works {
    ground: Ground,
    config: Config,
    lines: Lines,
    batcher: Option<Part>,
    vitals: Option<Part>,
    uplink: Option<Part>,
    renewer: Option<Part>,
}

/// How the hub is to be reached.
struct Way {
    tls: Arc<ClientConfig>,
    https: Option<Place>,
}

/// A configuration that could be applied.
pub struct Ready {
    config: Config,
    lines: Prepared,
    /// How the hub is to be reached, if that changes.
    uplink: Option<Option<Way>>,
}

impl Ready {
    /// Whether the way to the hub changes.
    pub fn changes_hub(&self) -> bool {
        self.uplink.is_some()
    }

    /// How many lines it touches.
    pub fn lines_touched(&self) -> usize {
        self.lines.touched()
    }
}

/// A task, and what ends it.
struct Part {
    stop: watch::Sender<bool>,
    abort: AbortHandle,
    task: JoinHandle<()>,
}

impl Part {
    async fn end(self, max: Duration) {
        self.stop.send_replace(true);
        if timeout(max, self.task).await.is_err() {
            self.abort.abort();
        }
    }
}

impl Works {
    /// All parts under a configuration that is [`ready`](Self::ready); nothing runs yet.
    pub fn new(ground: Ground, config: Config, lines: Lines) -> Self {
        Self { ground, config, lines, batcher: None, vitals: None, uplink: None, renewer: None }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Checks all that can be checked of a configuration without a change.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn ready(&self, config: Config) -> Result<Ready, String> {
        let lines = self.lines.prepare(&config)?;
        journal_options(&config).check().map_err(|error| error.to_string())?;
        let first = self.batcher.is_none();
        let uplink = if first || config.hub != self.config.hub { Some(self.way_to_hub(&config)?) } else { None };
        Ok(Ready { config, lines, uplink })
    }

    fn way_to_hub(&self, config: &Config) -> Result<Option<Way>, String> {
        let (Some(hub), Some(certificate), Some(_)) = (&config.hub, &config.gateway.certificate, &self.ground.trust)
        else {
            return Ok(None);
        };
        let (key, state_dir) = (&config.gateway.key, Some(config.gateway.state_dir.as_path()));
        let tls = client_config(ClientFiles { ca: &hub.ca, certificate, key, state_dir })?;
        let https = hub.https.as_ref().map(|https| Place::parse(https).map_err(|what| format!("[hub] https: {what}")));
        Ok(Some(Way { tls, https: https.transpose()? }))
    }

    /// Brings what differs under the new configuration; the rest goes on.
    ///
    /// # Errors
    /// The journal failed, or a line can't begin after all.
    pub async fn apply(&mut self, ready: Ready, haste: Haste) -> Result<(), Fatal> {
        let Ready { config, lines, uplink } = ready;
        let first = self.batcher.is_none();
        self.lines.replace(lines, haste).await.map_err(Fatal::Config)?;
        if config.journal != self.config.journal || first {
            self.ground.journal.change(journal_options(&config)).await?;
        }
        self.ground.clock.change(&config.clock);
        if config.batch != self.config.batch || first {
            self.end_batcher().await;
            let (journal, anchoring, batch) =
                (self.ground.journal.clone(), self.ground.anchoring.clone(), config.batch.clone());
            self.batcher = Some(self.part(|stop| batcher::run(journal, batch, anchoring, stop)));
        }
        if config.vitals != self.config.vitals || first {
            if let Some(part) = self.vitals.take() {
                part.end(Duration::from_secs(1)).await;
            }
            let (limits, folder): (_, PathBuf) = (config.vitals.clone(), config.gateway.state_dir.clone());
            let (journal, board) = (self.ground.journal.clone(), self.ground.board.clone());
            self.vitals = Some(self.part(|stop| vitals::run(limits, folder, journal, board, stop)));
        }
        if let Some(way) = uplink {
            self.replace_uplink(&config, way).await;
        }
        {
            let mut board = self.ground.board.update();
            board.quota_bytes = config.journal.quota_mib.saturating_mul(1024 * 1024);
            board.hub_configured = config.hub.is_some();
        }
        self.config = config;
        Ok(())
    }

    async fn replace_uplink(&mut self, config: &Config, way: Option<Way>) {
        for part in [self.uplink.take(), self.renewer.take()].into_iter().flatten() {
            part.end(UPLINK_END_MAX).await;
        }
        {
            let mut board = self.ground.board.update();
            board.hub.connected = false;
            board.hub.address = config.hub.as_ref().map(|hub| hub.address.clone()).unwrap_or_default();
        }
        let (Some(hub), Some(Way { tls, https }), Some(trust)) = (&config.hub, way, &self.ground.trust) else {
            warn!("no [hub] is configured: entries are recorded and not anchored");
            return;
        };
        let uplink = Uplink {
            gateway: self.ground.gateway.clone(),
            config: hub.clone(),
            journal: self.ground.journal.clone(),
            policy: Arc::new(trust.policy.clone()),
            tls,
            anchoring: self.ground.anchoring.clone(),
            board: self.ground.board.clone(),
            post: self.ground.post.clone(),
        };
        self.uplink = Some(self.part(|stop| async move {
            uplink.run(stop).await;
            Ok(())
        }));
        // Renews the certificate in time, where the hub is known to serve HTTPS.
        let (Some(place), Some(certificate)) = (https, &config.gateway.certificate) else { return };
        let renewer = Renewer {
            gateway: self.ground.gateway.clone(),
            key: self.ground.key.clone(),
            key_file: config.gateway.key.clone(),
            certificate: certificate.clone(),
            state_dir: config.gateway.state_dir.clone(),
            ca: hub.ca.clone(),
            place,
            trust: trust.clone(),
            held: self.ground.held.clone(),
            now_ms: crate::clock::unix_ms,
        };
        self.renewer = Some(self.part(|stop| async move {
            renewer.run(stop).await;
            Ok(())
        }));
    }

    fn part<F>(&self, work: impl FnOnce(watch::Receiver<bool>) -> F) -> Part
    where
        F: Future<Output = Result<(), JournalError>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let (abort, task) = watched(work(stopped), self.ground.ended.clone());
        Part { stop, abort, task }
    }

    /// Ends the lines: no more readings.
    pub async fn stop_lines(&mut self) {
        self.lines.stop().await;
    }

    async fn end_batcher(&mut self) {
        if let Some(part) = self.batcher.take() {
            part.end(Duration::from_secs(2)).await;
        }
    }

    /// Ends the rest.
    pub async fn stop_rest(&mut self) {
        self.end_batcher().await;
        for part in [self.uplink.take(), self.renewer.take(), self.vitals.take()].into_iter().flatten() {
            // A task that hangs must not keep the daemon.
            part.end(UPLINK_END_MAX).await;
        }
    }
}

/// How the journal is kept, by a configuration.
pub fn journal_options(config: &Config) -> Options {
    Options {
        window: Duration::from_secs_f64(config.journal.window_s),
        window_entries_max: config.journal.window_entries,
        quota_bytes: config.journal.quota_mib.saturating_mul(1024 * 1024),
        raw_frames: config.journal.raw_frames,
        ..Options::default()
    }
}
