//! What a device writes down of its enrolment until it is over.

use std::path::Path;

use plomb_seal::{Hash, enrol::NONCE_BYTES, enrol::Opening};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};

use super::files;
use crate::https::HubTrust;

const FILE: &str = "enrolment.json";
const SCHEMA: &str = "plomb.enrolment-pending/1";
/// The largest file, in bytes.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// By what the hub is known, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustKept {
    /// The SHA-256 of its key, hexadecimal.
    Pin(String),
    /// Its authorities, PEM.
    Authorities(String),
}

impl TrustKept {
    /// For a connection.
    pub fn trust(&self) -> Result<HubTrust, String> {
        match self {
            Self::Pin(text) => {
                let pin = hex::decode(text.replace([':', ' '], "")).ok().and_then(|bytes| Hash::from_slice(&bytes));
                pin.map(HubTrust::Pin).ok_or_else(|| {
                    "the pin is no SHA-256 in hexadecimal: 64 digits, as `plomb-hub enrol pin` prints them".into()
                })
            }
            Self::Authorities(pem) => {
                let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
                match found {
                    Ok(found) if !found.is_empty() => Ok(HubTrust::Authorities(found)),
                    _ => Err("the file with the hub's authorities holds no certificate".into()),
                }
            }
        }
    }
}

/// An enrolment that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which hub, and by what it is known; `None` if it goes by files.
    pub hub: Option<(String, TrustKept)>,
    /// The request, as signed.
    pub request: Vec<u8>,
    /// The nonce that the request is bound to.
    pub nonce: [u8; NONCE_BYTES],
    /// The hub's answer.
    pub opening: Option<Opening>,
    /// The SHA-256 of the key that the hub showed with it.
    pub hub_key: Option<Hash>,
    /// Whether the nonce was told, or may have been.
    pub revealed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema: String,
    hub: Option<String>,
    trust: Option<TrustKept>,
    request: String,
    nonce: String,
    opening: Option<String>,
    hub_key: Option<String>,
    revealed: bool,
}

impl Pending {
    /// Reads it; `None` if there is none.
    pub fn load(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(FILE);
        let wrong = |what: String| format!("{}: {what}; remove it to begin anew", path.display());
        let Some(bytes) = files::read(&path, FILE_BYTES_MAX)? else { return Ok(None) };
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        Self::of(kept).map(Some).ok_or_else(|| wrong("it can't be read".into()))
    }

    fn of(kept: Kept) -> Option<Self> {
        let hash = |text: &String| hex::decode(text).ok().and_then(|bytes| Hash::from_slice(&bytes));
        let opening = match &kept.opening {
            Some(text) => Some(Opening::parse(&hex::decode(text).ok()?).ok()?),
            None => None,
        };
        let hub_key = match &kept.hub_key {
            Some(text) => Some(hash(text)?),
            None => None,
        };
        let fits = kept.schema == SCHEMA && kept.hub.is_some() == kept.trust.is_some();
        fits.then_some(Self {
            hub: kept.hub.zip(kept.trust),
            request: hex::decode(kept.request).ok()?,
            nonce: hash(&kept.nonce)?.0,
            opening,
            hub_key,
            revealed: kept.revealed,
        })
    }

    /// Writes it down, readable by nobody else: the nonce is a secret until it is told.
    pub fn save(&self, folder: &Path) -> Result<(), String> {
        let (hub, trust) = self.hub.clone().unzip();
        let kept = Kept {
            schema: SCHEMA.into(),
            hub,
            trust,
            request: hex::encode(&self.request),
            nonce: hex::encode(self.nonce),
            opening: self.opening.as_ref().map(|opening| hex::encode(opening.to_bytes())),
            hub_key: self.hub_key.map(|key| key.to_string()),
            revealed: self.revealed,
        };
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| error.to_string())?;
        files::replace(&folder.join(FILE), &text, files::SECRET, None)
    }

    /// Removes it.
    pub fn forget(folder: &Path) -> Result<(), String> {
        let path = folder.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
            _ => Ok(()),
        }
    }
}
