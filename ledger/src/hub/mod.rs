//! The hub's process: broker, ledger, bridge between them, and the control socket.

mod admission;
mod bridge;
mod clock;
mod control;
mod counters;
mod judge;
mod link;
mod orders;
mod rounds;
mod strikes;

use std::{sync::Arc, time::Duration};

use plomb_broker::{Broker, BrokerConfig, BrokerError};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

use crate::{
    LedgerError,
    config::HubConfig,
    desk::{Desk, Running},
    engine::{EngineError, Solo, SoloConfig},
    enrol::Enrolments,
    files::{self, FileError},
    http::{self, HttpTlsError, ServerKeys},
    ledger::{Ledger, Signers},
    node::Node,
};

pub use admission::LedgerAdmission;
pub use clock::unix_ms;
pub use counters::{Counted, OrdersCounted};

use bridge::Bridge;
pub(crate) use clock::{Opinion, doubt as clock_doubt, judge as judge_clock};
pub(crate) use counters::Counters;
use link::Link;
use orders::Orders;

/// How long a start waits for the ledger's file to be free.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long between two tries at it.
pub(crate) const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Why the hub does not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A file does not serve.
    #[error(transparent)]
    File(#[from] FileError),
    /// The ledger does not open, or failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Another process holds the ledger's file open.
    #[error("{file} is in use: another plomb-hub runs with this ledger (`fuser {file}` names it); stop that one first")]
    InUse {
        /// The ledger's file.
        file: std::path::PathBuf,
    },
    /// The ledger's file is not there.
    #[error("{file} is missing; restore it from a copy, or make a new ledger with `plomb-hub init`")]
    NoLedger {
        /// Where it belongs.
        file: std::path::PathBuf,
    },
    /// The clock can't be right, as far as the ledger can tell.
    #[error("{0}")]
    Clock(String),
    /// The ledger has no members.
    #[error("the ledger has no genesis yet: make one with `plomb-hub init`")]
    NotFounded,
    /// The broker does not start.
    #[error("broker: {0}")]
    Broker(#[from] BrokerError),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// HTTPS can't be served there.
    #[error("https: {listen}: {source}")]
    Https {
        /// Where.
        listen: std::net::SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// HTTPS can't be served with these certificates.
    #[error("https: {0}")]
    HttpsKeys(#[from] HttpTlsError),
    /// The control socket can't be opened.
    #[error("control socket {path}: {source}")]
    Control {
        /// Its path.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The embedded broker died while the hub ran.
    #[error("the embedded broker died; the hub must be started anew (nothing that has a receipt is lost)")]
    BrokerDied,
}

impl HubError {
    /// Whether another process holds the ledger's file open.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    broker: Arc<Broker>,
    node: Arc<Node<Solo>>,
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Hub {
    /// Starts everything; returns when gateways are heard: receipts are retained anew, and the ledger
    /// listens for batches and outcomes.
    pub async fn start(config: HubConfig) -> Result<Self, HubError> {
        let ledger = Arc::new(open_when_free(&config).await?);
        if ledger.state().founding().is_none() {
            return Err(HubError::NotFounded);
        }
        let clock_doubt = match judge_clock(ledger.newest_ms(), unix_ms()) {
            Opinion::Implausible(why) if !config.accept_clock => return Err(HubError::Clock(why)),
            Opinion::Implausible(_) | Opinion::Plausible => None,
            Opinion::Doubtful(why) => Some(why),
        };
        if let Some(doubt) = &clock_doubt {
            warn!("{doubt}");
        }
        let broker = BrokerConfig {
            listen: config.listen,
            certificate_chain: certificates(&config.tls.certificate)?,
            private_key: PrivateKeyDer::from_pem_slice(&files::read_secret(&config.tls.key)?)
                .map_err(|error| FileError::content(&config.tls.key, error.to_string()))?,
            client_roots: certificates(&config.tls.client_roots)?,
            limits: config.limits.clone(),
        };
        let https = config.http.as_ref().map(|_| https_keys(&broker, client_roots(&config, &ledger)?)).transpose()?;
        let admission = Arc::new(LedgerAdmission::new(ledger.clone(), unix_ms));
        let control = control::listen(&config.control)
            .map_err(|source| HubError::Control { path: config.control.clone(), source })?;
        let web = match &config.http {
            Some(http) => Some(
                TcpListener::bind(http.listen)
                    .await
                    .map_err(|source| HubError::Https { listen: http.listen, source })?,
            ),
            None => None,
        };
        let broker = Arc::new(Broker::start(broker, admission).await?);
        let solo = Solo::new(SoloConfig { window_ms: config.block_window_ms, now_ms: unix_ms });
        let node = Arc::new(Node::start(ledger, solo)?);
        let counters = Arc::new(Counters::default());
        let (stop, stopping) = watch::channel(false);
        let strikes: Arc<strikes::Strikes> = Arc::default();
        let link = || Link {
            node: node.clone(),
            inside: broker.inside(),
            broker: Arc::downgrade(&broker),
            strikes: strikes.clone(),
            counters: counters.clone(),
            now_ms: unix_ms,
            hears: watch::Sender::new(false),
        };
        let checkpoint_interval = Duration::from_secs(config.checkpoint_interval_s);
        let bridge = Bridge { link: link(), checkpoint_interval };
        let orders = Orders { link: link() };
        let hear = [&bridge.link, &orders.link].map(|link| link.hears.subscribe());
        let http_addr = web.as_ref().and_then(|listener| listener.local_addr().ok());
        let enrolments = https
            .as_ref()
            .map(|keys| Arc::new(Enrolments::open(node.clone(), config.state.clone(), keys.spki(), unix_ms)));
        let desk = Desk::running(Running {
            node: node.clone(),
            broker: broker.clone(),
            counters: counters.clone(),
            clock_doubt,
            https: http_addr,
            enrolments: enrolments.clone(),
        });
        let mut tasks = vec![tokio::spawn(bridge.run(stopping.clone())), tokio::spawn(orders.run(stopping.clone()))];
        for mut hears in hear {
            tokio::select! {
                heard = hears.wait_for(|hears| *hears) => drop(heard),
                () = broker.died() => return Err(HubError::BrokerDied),
            }
        }
        let desk = control::serve(control, config.control.clone(), Arc::new(desk), stopping.clone());
        tasks.push(tokio::spawn(desk));
        if let (Some(web), Some(keys), Some(enrolments), Some(http)) = (web, https, enrolments, config.http.clone()) {
            let shared = http::Shared::new(node.clone(), keys, enrolments, http, checkpoint_interval, unix_ms);
            tasks.push(tokio::spawn(http::serve(web, Arc::new(shared), stopping)));
        }
        let head = node.ledger().head().borrow().clone();
        info!("listening on {}, ledger {} at height {}", broker.local_addr(), config.origin, head.height);
        Ok(Self { broker, node, tasks, stop })
    }

    /// Where the broker listens.
    pub fn local_addr(&self) -> std::net::SocketAddr {
        self.broker.local_addr()
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.node.ledger()
    }

    /// Whether the embedded broker answered its last probe, and the ledger takes blocks.
    pub fn is_healthy(&self) -> bool {
        self.broker.healthy() && !self.node.is_finished()
    }

    /// Resolves when the hub can't go on: the process must end, and be started anew.
    pub async fn failed(&self) {
        tokio::select! {
            () = self.broker.died() => error!("the embedded broker died"),
            () = self.node.finished() => error!("the ledger stopped"),
        }
    }

    /// Finishes the present block and stops. Gives the failure that stopped the ledger before, if any.
    pub async fn stop(self) -> Result<(), HubError> {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ = task.await;
        }
        let ended = self.node.stop().await;
        if let Some(broker) = Arc::into_inner(self.broker) {
            broker.stop().await;
        }
        Ok(ended?)
    }
}

/// Opens the ledger; waits while a subcommand, or the hub before, still holds it.
async fn open_when_free(config: &HubConfig) -> Result<Ledger, HubError> {
    let gives_up = Instant::now() + LOCK_WAIT;
    loop {
        match open_ledger(config) {
            Err(error) if error.is_locked() && Instant::now() < gives_up => sleep(LOCK_RETRY).await,
            opened => return opened,
        }
    }
}

/// Opens the ledger of a configuration with its keys.
pub fn open_ledger(config: &HubConfig) -> Result<Ledger, HubError> {
    let file = config.file(LEDGER);
    if !file.exists() {
        // An empty ledger of the same name would be another ledger.
        return Err(HubError::NoLedger { file });
    }
    let signers = Signers {
        origin: config.origin.clone(),
        log: files::read_seed(&config.file(LOG_KEY))?,
        witness_name: config.witness.clone(),
        witness: files::read_seed(&config.file(WITNESS_KEY))?,
    };
    match Ledger::open(&file, signers) {
        Err(LedgerError::Store(redb::Error::DatabaseAlreadyOpen)) => Err(HubError::InUse { file }),
        opened => Ok(opened?),
    }
}

/// The ledger's file in the state directory.
pub const LEDGER: &str = "ledger.redb";
/// The key that signs checkpoints.
pub const LOG_KEY: &str = "log.key";
/// The key that cosigns them.
pub const WITNESS_KEY: &str = "witness.key";
/// The member's key: signs certificate transactions.
pub const MEMBER_KEY: &str = "member.key";
/// The key of the member's X.509 authority.
pub const AUTHORITY_KEY: &str = "ca.key";
/// The member's X.509 authority.
pub const AUTHORITY: &str = "ca.crt";
/// The policy for verifiers.
pub const POLICY: &str = "policy.txt";

/// The authorities whose certificates TLS lets in, for the ledger to judge: those in the file, and the members'.
fn client_roots(config: &HubConfig, ledger: &Ledger) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let mut roots = certificates(&config.tls.client_roots)?;
    for member in ledger.state().members() {
        let authority = CertificateDer::from(member.authority.clone());
        if !roots.contains(&authority) {
            roots.push(authority);
        }
    }
    Ok(roots)
}

fn https_keys(broker: &BrokerConfig, roots: Vec<CertificateDer<'static>>) -> Result<ServerKeys, HubError> {
    Ok(ServerKeys::new(broker.certificate_chain.clone(), &broker.private_key, roots)?)
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files::read(path)?).collect();
    let found = found.map_err(|error| FileError::content(path, error.to_string()))?;
    if found.is_empty() {
        return Err(FileError::content(path, "holds no certificate"));
    }
    Ok(found)
}
