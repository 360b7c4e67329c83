//! TLS 1.3 with client certificates, and who is to blame when it fails.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use thiserror::Error;
use tracing::warn;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::admission::Admission;
use crate::stats::Reason;

/// Characters of a subject that a log line shows.
const SUBJECT_CHARS_MAX: usize = 160;

/// Why the configured certificates do not serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The key cannot be read, or is not the certificate's.
    #[error("the server's certificate and key do not serve: {0}")]
    Key(rustls::Error),
    /// A root cannot be read.
    #[error("client root {index} is not a usable CA certificate: {source}")]
    Root {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Nobody could ever come in.
    #[error("no client roots are configured: no client could be verified")]
    NoRoots,
    /// The verifier cannot be built.
    #[error("the client verifier cannot be built: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The provider does not speak TLS 1.3.
    #[error("the TLS configuration cannot be built: {0}")]
    Config(rustls::Error),
}

/// The server's identity and whom it believes, ready for any number of handshakes.
///
/// Whom it believes is asked of the ledger again whenever that says that something changed: a member that joins is
/// let in without a restart, the authority of one that left is none any more.
#[derive(Debug)]
pub(crate) struct ServerKeys {
    provider: Arc<CryptoProvider>,
    /// The authorities of the configuration.
    configured: RootCertStore,
    /// What verifies clients, as of this count of changes of the ledger.
    verifier: Mutex<(u64, Arc<dyn ClientCertVerifier>)>,
    certified: Arc<SingleCertAndKey>,
}

impl ServerKeys {
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
        client_roots: Vec<CertificateDer<'static>>,
        admission: &dyn Admission,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut configured = RootCertStore::empty();
        for (index, root) in client_roots.into_iter().enumerate() {
            configured.add(root).map_err(|source| TlsError::Root { index, source })?;
        }
        let changes = *admission.changes().borrow();
        let roots = joined(&configured, admission);
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &provider).map_err(TlsError::Key)?;
        let verifier = Mutex::new((changes, verifier));
        let keys = Self { provider, configured, verifier, certified: Arc::new(certified.into()) };
        keys.config(admission).map_err(TlsError::Config)?;
        Ok(keys)
    }

    /// What verifies clients now.
    fn verifier(&self, admission: &dyn Admission) -> Arc<dyn ClientCertVerifier> {
        let mut held = self.verifier.lock().unwrap_or_else(PoisonError::into_inner);
        // Counted before it is asked: what changes in between is asked again at the next handshake.
        let changes = *admission.changes().borrow();
        if held.0 != changes {
            let roots = Arc::new(joined(&self.configured, admission));
            match WebPkiClientVerifier::builder_with_provider(roots, self.provider.clone()).build() {
                Ok(verifier) => *held = (changes, verifier),
                Err(error) => warn!(%error, "the members' authorities do not serve; those before stay in use"),
            }
        }
        held.1.clone()
    }

    /// A configuration for one handshake, and what the peer shows in it.
    ///
    /// One configuration a handshake lets a refusal name the certificate that
    /// was shown. It costs no key parsing. Resumption is off: a resumed
    /// session would come in on a certificate that was verified earlier.
    pub(crate) fn config(&self, admission: &dyn Admission) -> Result<(Arc<ServerConfig>, Shown), rustls::Error> {
        let shown = Shown::default();
        let noting = Arc::new(Noting { inner: self.verifier(admission), shown: shown.clone() });
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(noting)
            .with_cert_resolver(self.certified.clone());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok((Arc::new(config), shown))
    }
}

/// The configured authorities and the ledger's. One of the ledger's that webpki can't use is left out: it must not
/// shut out all others.
fn joined(configured: &RootCertStore, admission: &dyn Admission) -> RootCertStore {
    let mut roots = configured.clone();
    for authority in admission.authorities() {
        let subject = subject_of(&authority);
        if let Err(error) = roots.add(authority) {
            warn!(%error, subject, "a member's authority does not serve for TLS");
        }
    }
    roots
}

/// The subject of the certificate that a peer showed, verified or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Option<String>>>);

impl Shown {
    pub(crate) fn subject(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, certificate: &CertificateDer<'_>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(subject_of(certificate));
    }
}

/// Notes the certificate, then lets webpki judge it.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn ClientCertVerifier>,
    shown: Shown,
}

impl ClientCertVerifier for Noting {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.shown.note(end_entity);
        self.inner.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The subject as text that is safe in a log: escaped and cut.
pub(crate) fn subject_of(certificate: &[u8]) -> String {
    match X509Certificate::from_der(certificate) {
        Ok((_, x509)) => x509.subject().to_string().escape_debug().take(SUBJECT_CHARS_MAX).collect(),
        Err(_) => "unreadable".to_owned(),
    }
}

/// Seconds since 1970 at which the certificate ends. `None` if it cannot be read.
pub(crate) fn not_after_unix_s(certificate: &[u8]) -> Option<i64> {
    X509Certificate::from_der(certificate).ok().map(|(_, x509)| x509.validity().not_after.timestamp())
}

/// Sorts a failed handshake under its reason.
pub(crate) fn blame(error: &std::io::Error) -> Reason {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::NoCertificatesPresented) => Reason::NoCertificate,
        Some(rustls::Error::InvalidCertificate(fault)) => match fault {
            CertificateError::UnknownIssuer => Reason::ForeignCertificate,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Reason::ExpiredCertificate,
            // A root of the same name but another key: it is not our authority's signature.
            CertificateError::BadSignature => Reason::ForeignCertificate,
            _ => Reason::BadCertificate,
        },
        _ => Reason::HandshakeFailed,
    }
}
