//! A member's keys at work: certificates, and the transactions that record them.

use std::path::Path;

use plomb_seal::{
    Signed, SigningKey,
    transaction::{Certificate, Issue},
};
use rcgen::{Issuer, KeyPair};

use crate::{
    files::{self, FileError},
    hub,
    pki::{self, PkiError, SubjectKey, Wish},
};

/// A member that issues.
pub(crate) struct Authority {
    member: SigningKey,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) issue: Issue,
    /// The certificate and its authority, PEM.
    pub(crate) chain: String,
    /// The transaction, signed.
    pub(crate) transaction: Vec<u8>,
}

/// Why nothing can be issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Pki(#[from] PkiError),
}

impl Authority {
    /// From the folder with a member's keys.
    pub(crate) fn load(folder: &Path) -> Result<Self, IssueError> {
        let file = |name: &str| folder.join(name);
        let member = files::read_seed(&file(hub::MEMBER_KEY))?;
        let pem = files::read_text(&file(hub::AUTHORITY))?;
        let pair = files::read_pair(&file(hub::AUTHORITY_KEY))?;
        let issuer = Issuer::from_ca_cert_pem(&pem, pair).map_err(PkiError::from)?;
        Ok(Self { member, issuer, pem })
    }

    /// Issues what `wish` asks for.
    pub(crate) fn issue(&self, wish: &Wish, key: &SubjectKey<'_>, now_s: i64) -> Result<Issued, PkiError> {
        let (issue, certificate) = pki::issue(wish, key, &self.issuer, now_s)?;
        let chain = format!("{}{}", certificate.pem(), self.pem);
        let transaction = Signed::sign(Certificate::Issue(Box::new(issue.clone())), &self.member).into_bytes();
        Ok(Issued { issue, chain, transaction })
    }
}
