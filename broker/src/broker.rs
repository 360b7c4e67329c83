//! The broker as the hub sees it: start, where it listens, how it fares, stop.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::sync::watch;

use crate::admission::Admission;
use crate::embedded::{Embedded, EmbeddedError};
use crate::guard::Guard;
use crate::limits::{LimitError, Limits};
use crate::stats::Snapshot;
use crate::tls::{self, TlsError};

/// What a broker needs to start.
#[derive(Debug)]
pub struct BrokerConfig {
    /// Where the guard listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server's certificate, then its issuers.
    pub certificate_chain: Vec<CertificateDer<'static>>,
    /// The server certificate's private key.
    pub private_key: PrivateKeyDer<'static>,
    /// The roots that client certificates may chain to, beside [`Admission::authorities`].
    pub client_roots: Vec<CertificateDer<'static>>,
    /// The bounds.
    pub limits: Limits,
}

/// Why a broker did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// A certificate or key of the configuration does not serve.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A bound of the configuration cannot be.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The embedded broker did not come up.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The guard's address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The configured address.
        addr: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// How the process's own client reaches the embedded broker, past the guard.
///
/// Loopback, plain TCP, MQTT 3.1.1, keep alive not 0. Never subscribe to
/// `$share/...` here: a shared subscriber that drops kills the broker.
/// Client ids that begin with `guard-` are taken. A packet much larger than
/// [`Limits::packet_bytes_max`] ends the connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Inside {
    /// Always on loopback.
    pub addr: SocketAddr,
    /// The user name to give.
    pub username: String,
    /// This start's secret.
    pub password: String,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("addr", &self.addr).field("username", &self.username).finish_non_exhaustive()
    }
}

/// A running broker: the guard, and the embedded broker behind it.
///
/// Dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    embedded: Embedded,
    guard: Guard,
}

impl Broker {
    /// Starts the embedded broker, then the guard.
    ///
    /// Returns when both accept connections.
    pub async fn start(config: BrokerConfig, admission: Arc<dyn Admission>) -> Result<Self, BrokerError> {
        config.limits.check()?;
        let limits = Arc::new(config.limits);
        let keys =
            tls::ServerKeys::new(config.certificate_chain, &config.private_key, config.client_roots, &*admission)?;
        let listener = tokio::net::TcpListener::bind(config.listen)
            .await
            .map_err(|source| BrokerError::Listen { addr: config.listen, source })?;
        let embedded = Embedded::start(&limits).await?;
        let guard = Guard::start(listener, keys, limits, admission, embedded.door())
            .map_err(|source| BrokerError::Listen { addr: config.listen, source })?;
        Ok(Self { embedded, guard })
    }

    /// Where the guard listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.guard.local_addr()
    }

    /// How the process's own client gets in.
    #[must_use]
    pub fn inside(&self) -> Inside {
        self.embedded.inside()
    }

    /// Ends the sessions of an identity, and lets it in again only after the pause. For what those inside find
    /// in its messages; a certificate that must not come back is revoked instead.
    pub fn expel(&self, id: &str, pause: Duration) {
        self.guard.expel(id, pause);
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        self.guard.stats()
    }

    /// Whether the last probe of the embedded broker came back.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.embedded.healthy()
    }

    /// Resolves when the embedded broker has died. Nothing brings it back:
    /// exit, and let the service manager start the process anew.
    pub async fn died(&self) {
        wait_until_true(self.embedded.death()).await;
    }

    /// Stops accepting, closes every connection, and stops the embedded broker.
    ///
    /// The embedded broker's router offers no way to end: its thread sleeps
    /// until the process exits.
    pub async fn stop(self) {
        self.guard.stop().await;
        self.embedded.stop();
    }
}

/// Waits until the flag is raised; for ever if its owner is gone without raising it.
async fn wait_until_true(mut flag: watch::Receiver<bool>) {
    if flag.wait_for(|raised| *raised).await.is_err() {
        std::future::pending::<()>().await;
    }
}
