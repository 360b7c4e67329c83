//! The gateway's key and credential, from their files.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ed25519_dalek::pkcs8::DecodePrivateKey;
use plomb_seal::{Credential, Name, Policy, SigningKey, transaction::Issue};
use zeroize::Zeroizing;

use crate::keys::read_file;

/// Where keys come from.
const MAKES: &str =
    "`plomb-hub certify` makes one; for a box without a hub, `openssl genpkey -algorithm ed25519 -out FILE`";

/// Reads the gateway's private key: Ed25519, PKCS#8 PEM, readable by its owner only.
pub fn signing_key(path: &Path) -> Result<SigningKey, String> {
    key_in(path).map_err(|what| format!("[gateway] key {what}; {MAKES}"))
}

/// Reads anybody's private key: Ed25519, PKCS#8 PEM, readable by its owner only. Errors name the file.
pub fn key_in(path: &Path) -> Result<SigningKey, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let mode = fs::metadata(path).map_err(|error| wrong(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(&format!(
            "others can read this key (mode {:03o}); run: chmod 600 {}",
            mode & 0o777,
            path.display()
        )));
    }
    let pem = Zeroizing::new(String::from_utf8(read_file(path)?).map_err(|_| wrong(&"this is no PEM"))?);
    let key = ed25519_dalek::SigningKey::from_pkcs8_pem(&pem)
        .map_err(|_| wrong(&"this is no Ed25519 private key in PKCS#8 PEM"))?;
    Ok(SigningKey::from_seed(&key.to_bytes()))
}

/// What a gateway trusts, and what makes it trusted.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The credential as it is.
    pub credential: Credential,
    /// Its policy.
    pub policy: Policy,
    /// All certificates in it: of the key at hand, and of those before it.
    pub certificates: Vec<Issue>,
}

/// The credential that exports carry: a renewed certificate brings another.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Option<Credential>>>);

impl Held {
    /// With this one, or none yet.
    pub fn new(credential: Option<Credential>) -> Self {
        Self(Arc::new(Mutex::new(credential)))
    }

    /// The present one.
    pub fn get(&self) -> Option<Credential> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this one.
    pub fn put(&self, credential: Credential) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(credential);
    }
}

/// Reads a credential and checks that it is this gateway's, with this key.
pub fn credential(path: &Path, gateway: &Name, key: &SigningKey) -> Result<Trust, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("[gateway] credential {}: {what}", path.display());
    let bytes = read_file(path).map_err(|what| format!("[gateway] credential {what}"))?;
    let credential = Credential::parse(&bytes).map_err(|error| wrong(&error))?;
    let policy = Policy::parse(&credential.policy).map_err(|error| wrong(&error))?;
    let certificates = credential.verify(&policy).map_err(|error| wrong(&error))?;
    let own = certificates.iter().find(|issue| issue.key == key.public());
    match own {
        Some(issue) if issue.subject == *gateway => Ok(Trust { credential, policy, certificates }),
        Some(issue) => Err(wrong(&format!("it is for gateway {}, but [gateway] id is {gateway}", issue.subject))),
        None => Err(wrong(&"no certificate in it is for the key in [gateway] key")),
    }
}
