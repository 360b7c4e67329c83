//! What TLS needs: TLS 1.3 with a client certificate, and a hub that a known authority vouches for.

use std::{fs, path::Path, sync::Arc};

use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// The files that make up a gateway's identity.
#[derive(Debug, Clone, Copy)]
pub struct ClientFiles<'a> {
    /// The authorities that the hub's certificate must come from.
    pub ca: &'a Path,
    /// The gateway's certificate chain.
    pub certificate: &'a Path,
    /// The gateway's private key.
    pub key: &'a Path,
}

/// Reads the files. Errors name the file.
pub fn client_config(files: ClientFiles<'_>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(files.ca)? {
        roots.add(certificate).map_err(|error| wrong(files.ca, &error))?;
    }
    let chain = certificates(files.certificate)?;
    let key = fs::read(files.key).map_err(|error| wrong(files.key, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong(files.key, &error))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| wrong(files.certificate, &error))?;
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(path).map_err(|error| wrong(path, &error))?;
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
