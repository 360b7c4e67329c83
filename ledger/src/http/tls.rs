//! The server's side of TLS 1.3. A client certificate may be shown; one that is shown must chain to a member's
//! authority, and what it is good for is the ledger's to say.

use std::sync::{Arc, Mutex, PoisonError};

use plomb_seal::Hash;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why HTTPS can't be served with these certificates.
#[derive(Debug, thiserror::Error)]
pub enum HttpTlsError {
    /// What rustls said.
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
    /// The authorities of clients do not serve.
    #[error("{0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// There is no certificate, or it can't be read.
    #[error("the server's certificate can't be read")]
    Certificate,
}

/// The server's identity, and a configuration for as long as the same authorities count.
#[derive(Debug)]
pub(crate) struct ServerKeys {
    provider: Arc<CryptoProvider>,
    certified: Arc<SingleCertAndKey>,
    spki: Hash,
    made: Mutex<Made>,
}

#[derive(Debug)]
struct Made {
    roots: Vec<CertificateDer<'static>>,
    config: Arc<ServerConfig>,
}

impl ServerKeys {
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, HttpTlsError> {
        let provider = Arc::new(ring::default_provider());
        let spki = chain.first().and_then(|own| spki_hash(own)).ok_or(HttpTlsError::Certificate)?;
        let certified = Arc::new(CertifiedKey::from_der(chain, key.clone_key(), &provider)?.into());
        let config = configured(&provider, &certified, &roots)?;
        Ok(Self { provider, certified, spki, made: Mutex::new(Made { roots, config }) })
    }

    /// The SHA-256 of the server's public key (its SubjectPublicKeyInfo): by this it is pinned.
    pub(crate) fn spki(&self) -> Hash {
        self.spki
    }

    /// The configuration for a handshake now, when these are the members' authorities.
    pub(super) fn config(&self, authorities: &[CertificateDer<'static>]) -> Arc<ServerConfig> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let news: Vec<_> = authorities.iter().filter(|one| !made.roots.contains(one)).cloned().collect();
        if !news.is_empty() {
            let roots: Vec<_> = made.roots.iter().cloned().chain(news).collect();
            match configured(&self.provider, &self.certified, &roots) {
                Ok(config) => *made = Made { roots, config },
                Err(error) => tracing::error!("https: a new member's authority does not serve: {error}"),
            }
        }
        made.config.clone()
    }
}

fn configured(
    provider: &Arc<CryptoProvider>,
    certified: &Arc<SingleCertAndKey>,
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<ServerConfig>, HttpTlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        .with_cert_resolver(certified.clone());
    // A resumed session would come in on a certificate that was checked earlier.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The SHA-256 of a certificate's SubjectPublicKeyInfo.
pub(crate) fn spki_hash(certificate: &[u8]) -> Option<Hash> {
    X509Certificate::from_der(certificate).ok().map(|(_, x509)| Hash::of(x509.tbs_certificate.subject_pki.raw))
}
