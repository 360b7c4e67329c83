//! A party's folder, as `plomb-hub certify` makes it.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use plomb_gateway::{
    identity,
    uplink::{ClientFiles, client_config},
};
use plomb_seal::{Policy, SigningKey};
use rustls::ClientConfig;

use crate::{args::PartyArgs, exit::Failure};

use super::Address;

/// The environment variable that names the folder.
pub(crate) const AS_ENVIRONMENT: &str = "PLOMB_AS";
/// The environment variable that names the hub.
pub(crate) const HUB_ENVIRONMENT: &str = "PLOMB_HUB";
/// The largest policy that is read, in bytes.
const POLICY_BYTES_MAX: u64 = 64 * 1024;

/// Somebody with a certificate.
pub(crate) struct Party {
    pub(crate) folder: PathBuf,
    pub(crate) key: SigningKey,
    pub(crate) policy: Policy,
    /// The policy as it is written.
    pub(crate) policy_text: String,
}

impl Party {
    /// Reads the folder that `--as` or the environment names.
    pub(crate) fn open(args: &PartyArgs) -> Result<Self, Failure> {
        let folder = args.folder.clone().or_else(|| std::env::var_os(AS_ENVIRONMENT).map(PathBuf::from));
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).ok_or_else(|| {
            let makes = "`plomb-hub certify --role admin --id NAME --out FOLDER` makes one";
            Failure::Usage(format!("who acts? Name your folder with --as FOLDER, or {AS_ENVIRONMENT}; {makes}"))
        })?;
        let key = identity::key_in(&folder.join("client.key")).map_err(Failure::Config)?;
        let (policy, policy_text) = policy(&folder.join("policy.txt"))?;
        Ok(Self { folder, key, policy, policy_text })
    }

    /// The hub that `--hub` or the environment names.
    pub(crate) fn address(args: &PartyArgs) -> Result<Address, Failure> {
        let url = args.hub.clone().or_else(|| std::env::var(HUB_ENVIRONMENT).ok()).filter(|url| !url.is_empty());
        let url = url.ok_or_else(|| {
            Failure::Usage(format!("which hub? Name it with --hub https://HOST:PORT, or {HUB_ENVIRONMENT}"))
        })?;
        Address::parse(&url).map_err(Failure::Usage)
    }

    /// What TLS needs of the folder.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        let [ca, certificate, key] = ["ca.crt", "client.crt", "client.key"].map(|file| self.folder.join(file));
        client_config(ClientFiles { ca: &ca, certificate: &certificate, key: &key, state_dir: None })
            .map_err(Failure::Config)
    }
}

fn policy(path: &Path) -> Result<(Policy, String), Failure> {
    let wrong = |what: String| Failure::Config(format!("{}: {what}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    file.take(POLICY_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| Failure::file(path, error))?;
    let policy = Policy::parse(&text).map_err(|error| wrong(error.to_string()))?;
    Ok((policy, text))
}
