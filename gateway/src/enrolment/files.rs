//! The files of an identity, with the modes and owners that they must have.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use plomb_seal::{SigningKey, enrol::Grant, transaction::Issue};
use rustix::fs::{Gid, Uid};
use zeroize::Zeroizing;

use crate::identity;

/// Mode of a file that only its owner reads.
pub(crate) const SECRET: u32 = 0o600;
/// Mode of a file that the daemon's group reads.
pub(crate) const GROUP_READS: u32 = 0o640;
/// The name of the key's file.
pub(crate) const KEY: &str = "client.key";
/// The name of the certificate's file.
pub(crate) const CERTIFICATE: &str = "client.crt";
/// The name of the credential's file.
pub(crate) const CREDENTIAL: &str = "credential.cbor";
const AUTHORITIES: &str = "ca.crt";
const POLICY: &str = "policy.txt";
const PASSWD: &str = "/etc/passwd";

/// Whose the files are to be: the daemon's user, if this process may give them away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner(Option<(u32, u32)>);

impl Owner {
    /// The files stay with whoever runs this.
    pub fn of_this_process() -> Self {
        Self(None)
    }

    /// A user of this system. Only root gives files away; for others they stay their own.
    pub fn named(user: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return Some(Self(None));
        }
        let passwd = fs::read_to_string(PASSWD).ok()?;
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some(Self(Some((ids.next()?.ok()?, ids.next()?.ok()?))))
    }

    /// User and group of a secret: the daemon's own.
    fn of_secret(self) -> Option<(Uid, Gid)> {
        self.0.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    /// User and group of what the daemon only reads.
    pub(crate) fn of_rest(self) -> Option<(Uid, Gid)> {
        self.0.map(|(_, gid)| (Uid::ROOT, Gid::from_raw(gid)))
    }
}

/// The key in the folder; it is made if there is none.
pub fn make_key(folder: &Path, owner: Owner) -> Result<SigningKey, String> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join(KEY);
    if path.exists() {
        return identity::signing_key(&path);
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| format!("no random numbers: {error}"))?;
    write_key(&path, &seed, owner)?;
    Ok(SigningKey::from_seed(&seed))
}

/// Writes a key: PKCS#8 of version 1, the secret alone, which every OpenSSL reads.
pub(crate) fn write_key(path: &Path, seed: &[u8; 32], owner: Owner) -> Result<(), String> {
    let pem = KeypairBytes { secret_key: *seed, public_key: None }.to_pkcs8_pem(LineEnding::LF);
    let pem = pem.map_err(|error| format!("{}: {error}", path.display()))?;
    replace(path, pem.as_bytes(), SECRET, owner.of_secret())
}

/// The key in the folder.
pub(crate) fn key(folder: &Path) -> Result<SigningKey, String> {
    identity::signing_key(&folder.join(KEY))
}

/// Writes what was granted. The certificate comes last: while it is missing, the whole is not there.
pub(crate) fn lay_down(folder: &Path, grant: &Grant, issue: &Issue, owner: Owner) -> Result<(), String> {
    holds(&grant.certificate, issue)?;
    let rest = owner.of_rest();
    replace(&folder.join(AUTHORITIES), grant.authorities.as_bytes(), GROUP_READS, rest)?;
    replace(&folder.join(POLICY), grant.policy.as_bytes(), 0o644, rest)?;
    replace(&folder.join(CREDENTIAL), &grant.credential, GROUP_READS, rest)?;
    replace(&folder.join(CERTIFICATE), grant.certificate.as_bytes(), GROUP_READS, rest)
}

/// Whether the chain begins with the certificate that the ledger holds.
pub(crate) fn holds(chain: &str, issue: &Issue) -> Result<(), String> {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    let first =
        CertificateDer::from_pem_slice(chain.as_bytes()).map_err(|error| format!("the certificate: {error}"))?;
    if first.as_ref() == issue.x509.as_slice() {
        Ok(())
    } else {
        Err("the certificate is not the one that the ledger holds".into())
    }
}

/// Puts a file in its place, whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32, owner: Option<(Uid, Gid)>) -> Result<(), String> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = Path::new(&fresh);
    let write = || {
        match fs::remove_file(fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(fresh)?;
        // The process's mask may have taken something away that the daemon needs.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))?;
        if let Some((user, group)) = owner {
            rustix::fs::fchown(&file, Some(user), Some(group))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(fresh, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// A file's bytes; `None` if there is none.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| wrong(error.to_string()))?,
    };
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    if bytes.len() > bytes_max { Err(wrong(format!("it has more than {bytes_max} bytes"))) } else { Ok(Some(bytes)) }
}
