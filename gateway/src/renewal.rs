//! The next certificate. plombd asks for it by itself, when less than a third of the validity is left; a new key is
//! made only when somebody says so (`plomb enrol --rotate-key`), as it begins a new epoch of the journal.
//!
//! plombd can't write where its files are configured. What it is given it keeps in `identity/` in its state directory;
//! from then on that certificate is shown, if it is for the same key and ends later than the configured one.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::Method;
use plomb_seal::{
    Hash, Name, Policy, SigningKey, Unverified,
    enrol::{Grant, RenewalRequest},
    transaction::{Certificate, Issue},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    enrolment::{
        EnrolError, Owner,
        files::{self, CERTIFICATE, CREDENTIAL, GROUP_READS, KEY},
    },
    https::{ClientIdentity, Https, HubTrust, Place},
    identity::{self, Held, Trust},
};

/// The folder of renewed certificates, in the state directory.
const FOLDER: &str = "identity";
/// A certificate is renewed when less than this part of its validity is left: 1 over this.
const LEFT_PART: i64 = 3;
/// The largest credential, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The folder in which a new identity is made ready.
const NEXT: &str = "next";
/// How often it is looked whether it is time.
const LOOK_PERIOD: Duration = Duration::from_secs(3600);
/// The pause after a failed try, first and at most.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);

/// The credential that counts: the configured one, or the renewed one if that tells of all that it tells, and more.
pub fn credential_file(configured: &Path, state_dir: &Path) -> PathBuf {
    let renewed = state_dir.join(FOLDER).join(CREDENTIAL);
    let (Some(old), Some(new)) = (issues_in(configured), issues_in(&renewed)) else { return configured.into() };
    let all = old.iter().all(|issue| new.iter().any(|other| other.x509 == issue.x509));
    if all { renewed } else { configured.into() }
}

/// The chain that a certificate was renewed by: for the same key, and of a later end. `None` if it was not.
pub(crate) fn renewed_chain(state_dir: &Path, configured: &CertificateDer<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let folder = state_dir.join(FOLDER);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(folder.join(CERTIFICATE)).ok()?.collect::<Result<_, _>>().ok()?;
    let issues = issues_in(&folder.join(CREDENTIAL))?;
    let of = |der: &[u8]| issues.iter().find(|issue| issue.x509 == der);
    let (old, new) = (of(configured)?, of(chain.first()?)?);
    (new.key == old.key && new.subject == old.subject && new.not_after_s > old.not_after_s).then_some(chain)
}

/// The certificates that a credential file tells of. Not verified: who believes them checks them elsewhere.
fn issues_in(path: &Path) -> Option<Vec<Issue>> {
    let bytes = files::read(path, CREDENTIAL_BYTES_MAX).ok()??;
    let credential = plomb_seal::Credential::parse(&bytes).ok()?;
    let issue = |logged: &plomb_seal::Logged| match Unverified::<Certificate>::parse(&logged.transaction).ok()?.claims()
    {
        Certificate::Issue(issue) => Some((**issue).clone()),
        Certificate::Revoke { .. } => None,
    };
    Some(credential.certificates.iter().filter_map(issue).collect())
}

/// Renews in time, for as long as the daemon runs.
pub struct Renewer {
    /// The gateway.
    pub gateway: Name,
    /// Its key.
    pub key: SigningKey,
    /// The key's file.
    pub key_file: PathBuf,
    /// The configured certificate.
    pub certificate: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The hub's authorities.
    pub ca: PathBuf,
    /// Where the hub serves HTTPS.
    pub place: Place,
    /// Whom the gateway believes.
    pub trust: Trust,
    /// Where exports take their credential from.
    pub held: Held,
    /// The time, in Unix milliseconds.
    pub now_ms: fn() -> i64,
}

impl Renewer {
    /// Runs until `stop` is true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE_MIN;
        loop {
            let wait = match self.present() {
                Some(present) if is_due(&present, (self.now_ms)()) => match self.renew(&present).await {
                    Ok(next) => {
                        info!(until_s = next.not_after_s, "the certificate is renewed");
                        pause = PAUSE_MIN;
                        LOOK_PERIOD
                    }
                    Err(error) => {
                        warn!("the certificate can't be renewed yet: {error}");
                        let now = pause;
                        pause = (pause * 2).min(PAUSE_MAX);
                        now
                    }
                },
                _ => LOOK_PERIOD,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// The certificate in force.
    fn present(&self) -> Option<Issue> {
        let own = self.trust.certificates.iter().filter(|issue| issue.key == self.key.public());
        own.max_by_key(|issue| issue.not_after_s).cloned()
    }

    /// Asks for the next certificate for the same key, keeps it, and shows it from the next connection on.
    pub async fn renew(&mut self, present: &Issue) -> Result<Issue, EnrolError> {
        let authorities: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&self.ca).and_then(Iterator::collect);
        let authorities = authorities.map_err(|error| EnrolError::File(format!("{}: {error}", self.ca.display())))?;
        let mut who = client_identity(&self.certificate, &self.key_file)?;
        let configured = who.chain.first().cloned();
        if let Some(chain) = configured.and_then(|configured| renewed_chain(&self.state_dir, &configured)) {
            who.chain = chain;
        }
        let https = Https::new(self.place.clone(), HubTrust::Authorities(authorities), Some(who));
        let https = https.map_err(EnrolError::File)?;
        let time_s = (self.now_ms)().div_euclid(1000);
        let request = RenewalRequest::renew(present.origin.clone(), self.gateway.clone(), &self.key, time_s);
        let grant = ask(&https, &request.to_bytes()).await?;
        let issue = check(&grant, &request.to_bytes(), &self.gateway, &self.key, &self.trust.policy)?;
        let folder = self.state_dir.join(FOLDER);
        keep(&folder, &grant, Owner::of_this_process()).map_err(EnrolError::File)?;
        let credential = folder.join(CREDENTIAL);
        self.trust = identity::credential(&credential, &self.gateway, &self.key).map_err(EnrolError::File)?;
        self.held.put(self.trust.credential.clone());
        Ok(issue)
    }
}

/// Whether so little is left of it that it is to be renewed.
pub fn is_due(issue: &Issue, now_ms: i64) -> bool {
    let whole_s = issue.not_after_s.saturating_sub(issue.not_before_s);
    issue.not_after_s.saturating_sub(now_ms.div_euclid(1000)) < whole_s / LEFT_PART
}

/// Makes a new key in a folder with an identity that holds, has it certified, and puts both in the place of the old.
pub async fn rotate(
    folder: &Path,
    (place, trust): (Place, HubTrust),
    owner: Owner,
    time_s: i64,
) -> Result<Issue, EnrolError> {
    let key_file = folder.join(KEY);
    let present = identity::signing_key(&key_file).map_err(EnrolError::File)?;
    let credential_file = folder.join(CREDENTIAL);
    let bytes = files::read(&credential_file, CREDENTIAL_BYTES_MAX).map_err(EnrolError::File)?.unwrap_or_default();
    let wrong = |what: String| EnrolError::File(format!("{}: {what}", credential_file.display()));
    let credential = plomb_seal::Credential::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    let policy = Policy::parse(&credential.policy).map_err(|error| wrong(error.to_string()))?;
    let issues = credential.verify(&policy).map_err(|error| wrong(error.to_string()))?;
    let own = issues.iter().find(|issue| issue.key == present.public());
    let own = own.ok_or_else(|| wrong("no certificate in it is for the key in client.key".into()))?;
    let next_folder = folder.join(NEXT);
    if let Some(issue) = finish(&next_folder, folder, &policy)? {
        return Ok(issue);
    }
    // A new key that was made and not certified, as the power went or the hub did not answer, is taken up again.
    let next = crate::enrolment::make_key(&next_folder, owner).map_err(EnrolError::File)?;
    let who = client_identity(&folder.join(CERTIFICATE), &key_file)?;
    let https = Https::new(place, trust, Some(who)).map_err(EnrolError::File)?;
    let (origin, gateway) = (own.origin.clone(), own.subject.clone());
    let request = RenewalRequest::rotate(origin, gateway.clone(), (&present, &next), time_s);
    let grant = ask(&https, &request.to_bytes()).await?;
    check(&grant, &request.to_bytes(), &gateway, &next, &policy)?;
    keep(&next_folder, &grant, owner).map_err(EnrolError::File)?;
    let done = finish(&next_folder, folder, &policy)?;
    done.ok_or_else(|| EnrolError::File(format!("{}: a file vanished", next_folder.display())))
}

/// Moves a certified new identity into its place, file by file; an exchange that was broken off is finished. `None` if
/// there is none. The certificate is the last to come and the last to go: while it is in `next`, there is work.
fn finish(next: &Path, folder: &Path, policy: &Policy) -> Result<Option<Issue>, EnrolError> {
    let certificate = next.join(CERTIFICATE);
    if !certificate.exists() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| EnrolError::File(format!("{}: {error}", next.display()));
    for name in [CREDENTIAL, KEY, CERTIFICATE] {
        match std::fs::rename(next.join(name), folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let _ = std::fs::remove_dir(next);
    let key = identity::signing_key(&folder.join(KEY)).map_err(EnrolError::File)?;
    let bytes = std::fs::read(folder.join(CREDENTIAL)).map_err(failed)?;
    let credential = plomb_seal::Credential::parse(&bytes).map_err(|error| EnrolError::File(error.to_string()))?;
    let issues = credential.verify(policy).map_err(|error| EnrolError::File(error.to_string()))?;
    let own = issues.into_iter().filter(|issue| issue.key == key.public()).max_by_key(|issue| issue.not_after_s);
    own.map(Some).ok_or_else(|| EnrolError::File("the credential lacks the new certificate".into()))
}

async fn ask(https: &Https, request: &[u8]) -> Result<Grant, EnrolError> {
    let answered = https.ask(Method::POST, "/enrol/renew", request.to_vec(), Duration::ZERO).await?;
    Grant::parse(&answered.body).map_err(|error| EnrolError::Hub(format!("the grant can't be read: {error}")))
}

/// The grant must hold under the policy that the gateway has already: no hub talks it into another.
fn check(
    grant: &Grant,
    request: &[u8],
    gateway: &Name,
    key: &SigningKey,
    policy: &Policy,
) -> Result<Issue, EnrolError> {
    let issue = grant.check(&Hash::of(request), gateway, &key.public(), Some(policy));
    let issue = issue.map_err(|error| EnrolError::Hub(format!("the grant does not hold: {error}")))?;
    files::holds(&grant.certificate, &issue).map_err(EnrolError::Hub)?;
    Ok(issue)
}

fn keep(folder: &Path, grant: &Grant, owner: Owner) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let rest = owner.of_rest();
    files::replace(&folder.join(CREDENTIAL), &grant.credential, GROUP_READS, rest)?;
    files::replace(&folder.join(CERTIFICATE), grant.certificate.as_bytes(), GROUP_READS, rest)
}

fn client_identity(certificate: &Path, key: &Path) -> Result<ClientIdentity, EnrolError> {
    let wrong = |path: &Path, what: &dyn std::fmt::Display| EnrolError::File(format!("{}: {what}", path.display()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| wrong(certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    Ok(ClientIdentity { chain, key })
}
