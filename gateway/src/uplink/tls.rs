//! What TLS needs: TLS 1.3 with a client certificate, and a hub that a known authority vouches for.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rumqttc::tokio_rustls::rustls::{
    ClientConfig, RootCertStore, SignatureScheme, client::ResolvesClientCert, crypto::ring, sign::CertifiedKey,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

use crate::{keys::read_file, renewal};

/// The files that make up a gateway's identity.
#[derive(Debug, Clone, Copy)]
pub struct ClientFiles<'a> {
    /// The authorities that the hub's certificate must come from.
    pub ca: &'a Path,
    /// The gateway's certificate chain.
    pub certificate: &'a Path,
    /// The gateway's private key.
    pub key: &'a Path,
    /// A gateway's state directory: a certificate that was renewed lies there, and counts from the next handshake on.
    pub state_dir: Option<&'a Path>,
}

/// Reads the files. Errors name the file.
pub fn client_config(files: ClientFiles<'_>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(files.ca)? {
        roots.add(certificate).map_err(|error| wrong(files.ca, &error))?;
    }
    let chain = certificates(files.certificate)?;
    let key = Zeroizing::new(read_file(files.key)?);
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong(files.key, &error))?;
    let provider = ring::default_provider();
    let own = CertifiedKey::from_der(chain, key, &provider).map_err(|error| wrong(files.certificate, &error))?;
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Newest { own: Arc::new(own), state_dir: files.state_dir.map(Into::into) }));
    Ok(Arc::new(config))
}

/// Shows the configured certificate, or the one that it was renewed by.
#[derive(Debug)]
struct Newest {
    own: Arc<CertifiedKey>,
    state_dir: Option<PathBuf>,
}

impl ResolvesClientCert for Newest {
    fn resolve(&self, _root_hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let configured = self.own.cert.first()?;
        let chain = self.state_dir.as_ref().and_then(|folder| renewal::renewed_chain(folder, configured));
        Some(chain.map_or_else(|| self.own.clone(), |chain| Arc::new(CertifiedKey::new(chain, self.own.key.clone()))))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(wrong(path, &"it holds no certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(path, &error)),
    }
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
