//! X.509: a member's authority, the hub's own certificate, and those that it issues.

use plomb_seal::{
    Name, PublicKey,
    transaction::{Issue, Role, ScopedPoint},
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber,
    SignatureAlgorithm,
};
use time::OffsetDateTime;

/// How long an authority and the hub's own certificate hold, in days.
pub const AUTHORITY_DAYS: i64 = 20 * 365;
/// How long before now a new certificate begins, in seconds: the other end's clock may be late.
const EARLY_S: i64 = 3600;
const DAY_S: i64 = 86_400;
const SERIAL_BYTES: usize = 16;

/// Why a certificate can't be issued.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// What rcgen said.
    #[error("certificate: {0}")]
    Rcgen(#[from] rcgen::Error),
    /// The time is out of range.
    #[error("certificate: the validity is out of range")]
    Validity,
    /// The key is of another kind.
    #[error("the key to be certified is no Ed25519 key; make one with `openssl genpkey -algorithm ed25519`")]
    Key,
    /// There is no randomness.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What an issued certificate is to say.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The ledger.
    pub origin: String,
    /// Who it is for.
    pub subject: Name,
    /// What it is for.
    pub role: Role,
    /// Which gateways it reaches, with all their points.
    pub scope: Vec<Name>,
    /// Which points of other gateways it reaches; everything, if this and `scope` are empty.
    pub points: Vec<ScopedPoint>,
    /// For how many days.
    pub days: u32,
}

/// A member's authority: self-signed.
pub fn authority(member: &Name, pair: &KeyPair, now_s: i64) -> Result<Certificate, PkiError> {
    let mut params = params(&format!("{member} authority"), now_s, AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params.self_signed(pair)?)
}

/// The hub's own certificate, for these host names and addresses.
pub fn server(
    hosts: &[String],
    pair: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
    now_s: i64,
) -> Result<Certificate, PkiError> {
    let mut params = params("plomb-hub", now_s, AUTHORITY_DAYS)?;
    params.subject_alt_names = CertificateParams::new(hosts.to_vec())?.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params.signed_by(pair, issuer)?)
}

/// Issues what `wish` asks for: for the key in a PEM request, or for `pair`. Gives the statement to be
/// signed, with the certificate in it.
pub fn issue(
    wish: &Wish,
    key: &SubjectKey<'_>,
    issuer: &Issuer<'_, KeyPair>,
    now_s: i64,
) -> Result<(Issue, Certificate), PkiError> {
    let mut params = params(wish.subject.as_str(), now_s, i64::from(wish.days))?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (not_before_s, not_after_s) = (params.not_before.unix_timestamp(), params.not_after.unix_timestamp());
    let (raw, certificate) = match key {
        SubjectKey::Pair(pair) => (pair.der_bytes().to_vec(), params.signed_by(*pair, issuer)?),
        SubjectKey::Known(key) => (key.to_bytes().to_vec(), params.signed_by(&Recorded(key.to_bytes()), issuer)?),
        SubjectKey::Request(pem) => {
            let request = CertificateSigningRequestParams::from_pem(pem)?;
            let raw = request.public_key.der_bytes().to_vec();
            (raw, params.signed_by(&request.public_key, issuer)?)
        }
    };
    let key = <&[u8; 32]>::try_from(raw.as_slice()).ok().and_then(PublicKey::from_bytes).ok_or(PkiError::Key)?;
    let Wish { origin, subject, role, scope, points, .. } = wish.clone();
    let x509 = certificate.der().to_vec();
    Ok((Issue { origin, subject, role, scope, points, key, not_before_s, not_after_s, x509 }, certificate))
}

/// Whose key is certified.
#[derive(Debug)]
pub enum SubjectKey<'a> {
    /// One whose private half is here.
    Pair(&'a KeyPair),
    /// One that an earlier certificate names: the private half stays where it is.
    Known(&'a PublicKey),
    /// The one in a certificate request, PEM. Only its key counts; its names don't.
    Request(&'a str),
}

/// An Ed25519 public key, for rcgen.
struct Recorded([u8; 32]);

impl PublicKeyData for Recorded {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

fn params(name: &str, now_s: i64, days: i64) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let at = |time_s: i64| OffsetDateTime::from_unix_timestamp(time_s).map_err(|_| PkiError::Validity);
    params.not_before = at(now_s - EARLY_S)?;
    params.not_after = at(now_s.saturating_add(days.saturating_mul(DAY_S)))?;
    let mut serial = [0; SERIAL_BYTES];
    getrandom::fill(&mut serial).map_err(PkiError::Random)?;
    serial[0] &= 0x7f; // a serial number is positive (RFC 5280 §4.1.2.2)
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}
