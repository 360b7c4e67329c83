//! `plomb verify --proof` of one transaction.

use std::path::Path;

use plomb_seal::{
    Anchor, Policy, PublicKey, Statement, Unverified,
    proof::PROOF_BYTES_MAX,
    transaction::{
        Approval, Certificate, Command, Config, Genesis, Issue, Kind, Outcome, SealingKey, TRANSACTION_BYTES_MAX, Vote,
    },
};
use serde_json::{Value, json};

use crate::{
    args::VerifyArgs,
    cmd::{order::date, read_bytes},
    exit::{BAD, Failure, OK},
    party::{Logged, read_statement},
    show::{Out, Show, Tone, one_line, print},
};

const SCHEMA: &str = "plomb.verify-transaction/1";

pub(super) fn verify(args: &VerifyArgs, policy: &Policy, proof: &Path, show: &Show) -> Result<u8, Failure> {
    let bytes = read_bytes(&args.file, TRANSACTION_BYTES_MAX as u64)?;
    let proof = read_bytes(proof, PROOF_BYTES_MAX as u64)?;
    let judged = String::from_utf8(proof)
        .map_err(|_| "the proof is no text".to_string())
        .and_then(|proof| Logged::check(bytes, proof, policy));
    let certificate = args.certificate.as_deref().map(certificate).transpose()?;
    let signed = match (&judged, &certificate) {
        (Ok(logged), Some(issue)) => Some(signature(logged, &issue.key)),
        _ => None,
    };
    let fault = match (&judged, &signed) {
        (Err(fault), _) | (_, Some(Err(fault))) => Some(fault.clone()),
        _ => None,
    };
    let code = if fault.is_none() { OK } else { BAD };
    if show.json {
        print(document(judged.as_ref().ok(), certificate.as_ref(), fault.as_deref()))?;
        return Ok(code);
    }
    let mut out = Out::new();
    match (judged, fault) {
        (Ok(logged), None) => {
            for line in told(&logged, certificate.as_ref(), show)? {
                out.line(line)?;
            }
        }
        (_, fault) => {
            let fault = fault.unwrap_or_default();
            out.line(format_args!("{}: {}", show.tone(Tone::Bad, "NOT PROVED"), one_line(&fault)))?;
        }
    }
    out.flush()?;
    Ok(code)
}

fn certificate(path: &Path) -> Result<Issue, Failure> {
    let bytes = read_bytes(path, TRANSACTION_BYTES_MAX as u64)?;
    match read_statement::<Certificate>(&bytes) {
        Ok(Certificate::Issue(issue)) => Ok(*issue),
        _ => Err(Failure::Usage(format!("{}: this is no transaction that issued a certificate", path.display()))),
    }
}

/// Checks the signature of whatever kind it is.
fn signature(logged: &Logged, key: &PublicKey) -> Result<(), String> {
    fn by<T: Statement>(bytes: &[u8], key: &PublicKey) -> Result<(), String> {
        let parsed = Unverified::<T>::parse(bytes).map_err(|error| error.to_string())?;
        parsed.verify(key).map(drop).map_err(|error| error.to_string())
    }
    let bytes = &logged.bytes;
    match logged.kind {
        Kind::Genesis => by::<Genesis>(bytes, key),
        Kind::Member => by::<Vote>(bytes, key),
        Kind::Certificate => by::<Certificate>(bytes, key),
        Kind::Anchor => by::<Anchor>(bytes, key),
        Kind::SealingKey => by::<SealingKey>(bytes, key),
        Kind::Config => by::<Config>(bytes, key),
        Kind::Command => by::<Command>(bytes, key),
        Kind::Approval => by::<Approval>(bytes, key),
        Kind::Outcome => by::<Outcome>(bytes, key),
    }
}

fn document(logged: Option<&Logged>, certificate: Option<&Issue>, fault: Option<&str>) -> Value {
    let statement = logged.and_then(|logged| plomb_view::statement(&logged.bytes).ok());
    json!({
        "schema": SCHEMA, "verdict": if fault.is_none() { "proved" } else { "tampered" }, "detail": fault,
        "transaction": logged.map(|logged| logged.leaf.to_string()), "kind": logged.map(|logged| logged.kind.name()),
        "index": logged.map(|logged| logged.index), "origin": logged.map(|logged| logged.origin.clone()),
        "not_after": logged.and_then(|logged| date(logged.dated_s)), "statement": statement,
        "signed_by": certificate.filter(|_| fault.is_none()).map(|issue| json!({
            "name": issue.subject.as_str(), "role": issue.role.name(), "fingerprint": issue.fingerprint().to_string(),
        })),
    })
}

fn told(logged: &Logged, certificate: Option<&Issue>, show: &Show) -> Result<Vec<String>, Failure> {
    let by = logged.dated_s.map_or(String::new(), |dated_s| format!(", not after {}", show.zone.seconds(dated_s)));
    let mut lines = vec![format!(
        "{}: this {} stood at index {} of the ledger {}{by}.",
        show.tone(Tone::Good, "PROVED"),
        logged.kind.name(),
        logged.index,
        one_line(&logged.origin)
    )];
    let statement = plomb_view::statement(&logged.bytes).map_err(|error| Failure::Unproved(error.to_string()))?;
    for (key, value) in statement.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), one_line);
        lines.push(format!("  {key:<12} {value}"));
    }
    lines.push(match certificate {
        Some(issue) => format!(
            "  Signed by {} ({}), by the certificate that was given; whether that was issued is not checked here.",
            issue.subject,
            issue.role.name()
        ),
        None => "  Who signed it was not checked: give the certificate's transaction with --certificate. The ledger \
                 admits nothing whose signature does not fit."
            .into(),
    });
    Ok(lines)
}
