//! Rule `certificate-fields-match-x509`: what TLS will show is what the transaction says.

use plomb_seal::{
    PublicKey,
    transaction::{Issue, Member},
};
use x509_parser::{
    certificate::X509Certificate,
    oid_registry::{OID_SIG_ED25519, Oid},
    prelude::FromDer,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

use super::Refused;

const ED25519: Oid<'static> = OID_SIG_ED25519;

/// `certificate-fields-match-x509`: one common name, the subject's; the same Ed25519 key; the same
/// validity; no authority itself; signed by the authority of the member that wrote the transaction.
pub(super) fn certificate_fields_match_x509(issue: &Issue, author: &Member) -> Result<(), Refused> {
    check(issue, author).map_err(|detail| Refused::new("certificate-fields-match-x509", detail))
}

/// An authority's certificate: Ed25519, a CA, signed by itself.
pub(super) fn check_authority(der: &[u8]) -> Result<(), String> {
    let authority = parse(der)?;
    if !authority.is_ca() {
        return Err("it is no certificate authority (basic constraints)".into());
    }
    let key = ed25519_key(authority.public_key())?;
    check_signature(&authority, &key).map_err(|_| "it is not signed by itself".into())
}

fn check(issue: &Issue, author: &Member) -> Result<(), String> {
    let (x509, authority) = (parse(&issue.x509)?, parse(&author.authority)?);
    let mut names = x509.subject().iter_common_name();
    let name = names.next().and_then(|name| name.as_str().ok());
    if name != Some(issue.subject.as_str()) || names.next().is_some() {
        return Err(format!("its common name is not {}", issue.subject));
    }
    if ed25519_key(x509.public_key())? != issue.key {
        return Err("its key is not the transaction's".into());
    }
    let validity = x509.validity();
    if (validity.not_before.timestamp(), validity.not_after.timestamp()) != (issue.not_before_s, issue.not_after_s) {
        return Err("its validity is not the transaction's".into());
    }
    if x509.is_ca() {
        return Err("it is a certificate authority".into());
    }
    if x509.issuer().as_raw() != authority.subject().as_raw() {
        return Err(format!("it names another issuer than the authority of member {}", author.name));
    }
    check_signature(&x509, &ed25519_key(authority.public_key())?)
        .map_err(|_| format!("it is not signed by the authority of member {}", author.name))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok((&[], x509)) => Ok(x509),
        Ok(_) => Err("bytes follow the X.509 certificate".into()),
        Err(error) => Err(format!("it is no X.509 certificate: {error}")),
    }
}

fn ed25519_key(key: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, String> {
    let bytes = <&[u8; 32]>::try_from(key.subject_public_key.data.as_ref()).ok();
    let key = bytes.filter(|_| is_ed25519(&key.algorithm)).and_then(PublicKey::from_bytes);
    key.ok_or_else(|| "its key is no Ed25519 key; other keys are not taken".into())
}

/// Both places that name the signature's algorithm must agree (RFC 5280 §4.1.1.2).
fn check_signature(x509: &X509Certificate<'_>, key: &PublicKey) -> Result<(), ()> {
    let signature = <&[u8; 64]>::try_from(x509.signature_value.data.as_ref()).map_err(|_| ())?;
    if !is_ed25519(&x509.signature_algorithm) || !is_ed25519(&x509.tbs_certificate.signature) {
        return Err(());
    }
    key.verify(x509.tbs_certificate.as_ref(), signature).map_err(|_| ())
}

fn is_ed25519(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    algorithm.algorithm == ED25519 && algorithm.parameters.is_none()
}
