//! `plomb-hub enrol`: gateways that made their keys themselves are taken on.

use std::{fmt::Write, path::Path};

use plomb_seal::{
    Hash, Name, PublicKey,
    enrol::{Claim, Grant, Request as Asked},
    transaction::Role,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    config::HubConfig,
    desk::Request,
    enrol::{Authority, Issued},
    files,
    http::spki_hash,
    hub::{self, unix_ms},
    pki::{SubjectKey, Wish},
};

use super::{
    Failure,
    args::{EnrolApproveArgs, EnrolCommand, EnrolListArgs, EnrolRefuseArgs},
    certify::{credential, recorded_keys},
    door::Door,
    exit, print, print_json,
    status::{list, text},
};

pub(super) fn enrol(what: &EnrolCommand) -> Result<(), Failure> {
    match what {
        EnrolCommand::Pin(args) => {
            let pin = pin(&HubConfig::load(&args.config)?)?.to_string();
            if args.json {
                print_json(&json!({ "schema": "plomb.hub-pin/1", "pin": pin }))
            } else {
                print(&format!("{pin}\n"))
            }
        }
        EnrolCommand::List(args) => waiting(args),
        EnrolCommand::Approve(args) => approve(args),
        EnrolCommand::Refuse(args) => refuse(args),
    }
}

/// The SHA-256 of the server key.
pub(super) fn pin(config: &HubConfig) -> Result<Hash, Failure> {
    let path = &config.tls.certificate;
    let certificate = CertificateDer::from_pem_slice(&files::read(path)?).ok();
    let hash = certificate.and_then(|certificate| spki_hash(&certificate));
    hash.ok_or_else(|| Failure::new(exit::CONFIG, format!("{}: holds no certificate", path.display())))
}

fn waiting(args: &EnrolListArgs) -> Result<(), Failure> {
    let answer = Door::open(&HubConfig::load(&args.config)?)?.ask(Request::Enrolments {})?;
    if args.json {
        return print_json(&answer);
    }
    let mut out = String::new();
    for one in list(&answer, "enrolments") {
        let [gateway, step, since, peer] = ["gateway", "step", "since", "peer"].map(|key| text(one, key));
        // Writing to a string never fails.
        let _ = writeln!(out, "{gateway:<24} {step:<9} since {since}  from {peer}");
        let _ = writeln!(out, "  key {}", text(one, "fingerprint"));
        if step == "refused" {
            let _ = writeln!(out, "  {}: {}", text(one, "rule"), text(one, "reason"));
        }
    }
    if out.is_empty() {
        out.push_str("Nobody asks to be taken on.\n");
    }
    print(&out)
}

fn approve(args: &EnrolApproveArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    let gateway: Name =
        args.gateway.parse().map_err(|error: plomb_seal::NameError| Failure::new(exit::USAGE, error.to_string()))?;
    match (&args.file, &args.out) {
        (Some(file), Some(out)) => approve_file(args, &config, &gateway, (file, out)),
        _ => approve_waiting(args, &config, &gateway),
    }
}

fn issue(args: &EnrolApproveArgs, config: &HubConfig, gateway: &Name, key: &PublicKey) -> Result<Issued, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::new(exit::USAGE, error.to_string());
    let wish = Wish {
        origin: config.origin.clone(),
        subject: gateway.clone(),
        role: Role::Gateway,
        scope: Vec::new(),
        points: Vec::new(),
        days: args.days,
    };
    let authority = Authority::load(args.member.as_deref().unwrap_or(&config.state))?;
    let issued = authority.issue(&wish, &SubjectKey::Known(key), unix_ms().div_euclid(1000));
    issued.map_err(|error| wrong(&error))
}

fn approve_waiting(args: &EnrolApproveArgs, config: &HubConfig, gateway: &Name) -> Result<(), Failure> {
    let mut door = Door::open(config)?;
    let claim = Request::EnrolClaim { gateway: gateway.to_string(), claim: args.claim.clone() };
    let claimed = door.ask(claim)?;
    let unreadable = || Failure::new(exit::IO, "the hub's answer has no key that can be read");
    let key = hex::decode(text(&claimed, "public_key")).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = key.and_then(|raw| PublicKey::from_bytes(&raw)).ok_or_else(unreadable)?;
    let issued = issue(args, config, gateway, &key)?;
    let approve =
        Request::EnrolApprove { ticket: text(&claimed, "ticket"), transaction: hex::encode(issued.transaction) };
    let approved = door.ask(approve)?;
    let phrase = text(&claimed, "phrase");
    if args.json {
        return print_json(&json!({
            "schema": "plomb.hub-enrol/1", "gateway": gateway.as_str(), "step": approved.get("step"),
            "by": approved.get("by"), "fingerprint": approved.get("fingerprint"), "phrase": phrase,
        }));
    }
    print(&format!(
        "{gateway} is approved. Read these words to the installer:\n\n    {phrase}\n\n\
         The certificate is issued when he confirms at the gateway that it shows the same.\n"
    ))
}

/// A request that came as a file.
fn approve_file(
    args: &EnrolApproveArgs,
    config: &HubConfig,
    gateway: &Name,
    (file, out): (&Path, &Path),
) -> Result<(), Failure> {
    let bytes = files::read(file)?;
    let wrong = |what: String| Failure::new(exit::REFUSED, what);
    let asked = Asked::open(&bytes);
    let asked = asked.map_err(|error| wrong(format!("enrolment-form: {}: {error}", file.display())))?;
    if asked.gateway != *gateway {
        return Err(wrong(format!("enrolment-claim: {} asks to be {}", file.display(), asked.gateway)));
    }
    let claim = Claim::read(&args.claim);
    let fingerprint = Hash::of(&asked.key.to_bytes());
    let fits = claim.is_some_and(|claim| {
        claim.code == Asked::claim_code(&bytes)
            && claim.label.is_none_or(|label| label == (gateway.to_string(), fingerprint))
    });
    if !fits {
        let what =
            "enrolment-claim: the file's claim code is another (16 characters): it is not what that gateway made";
        return Err(wrong(what.into()));
    }
    if out.exists() {
        return Err(Failure::new(exit::USAGE, format!("{} is there already; name a new --out", out.display())));
    }
    let mut door = Door::open(config)?;
    let recorded = recorded_keys(&mut door, gateway)?;
    // The same file again gives the grant again: it may have got lost on the way.
    match recorded.as_slice() {
        [] => {
            let issued = issue(args, config, gateway, &asked.key)?;
            door.ask(Request::Submit { transaction: hex::encode(issued.transaction) })?;
        }
        [key] if *key == asked.key => {}
        _ => return Err(wrong(format!("enrolment-certified: {gateway} is certified already, with another key"))),
    }
    let grant = grant(&mut door, config, (gateway, &asked.key), Asked::ticket(&bytes))?.to_bytes();
    files::write_new(out, &grant)?;
    let phrase = Grant::phrase(&grant);
    if args.json {
        return print_json(&json!({
            "schema": "plomb.hub-enrol/1", "gateway": gateway.as_str(), "step": "granted",
            "fingerprint": fingerprint.to_string(), "phrase": phrase, "out": out,
        }));
    }
    print(&format!(
        "{gateway} is certified; bring {} to it. Read these words to the installer:\n\n    {phrase}\n\n\
         If the gateway shows others, revoke its certificate: `plomb-hub revoke --id {gateway}`.\n",
        out.display()
    ))
}

/// The newest certificate of a key, and what belongs beside it.
fn grant(
    door: &mut Door,
    config: &HubConfig,
    (gateway, key): (&Name, &PublicKey),
    ticket: Hash,
) -> Result<Grant, Failure> {
    let bytes = credential(door, gateway)?;
    let policy = files::read_text(&config.file(hub::POLICY))?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(exit::IO, error.to_string());
    let parsed = plomb_seal::Credential::parse(&bytes).map_err(|error| failed(&error))?;
    let trust = plomb_seal::Policy::parse(&policy).map_err(|error| failed(&error))?;
    let issues = parsed.verify(&trust).map_err(|error| failed(&error))?;
    let newest = issues.into_iter().filter(|issue| issue.key == *key).max_by_key(|issue| issue.not_before_s);
    let newest = newest.ok_or_else(|| Failure::new(exit::IO, "the credential lacks the certificate"))?;
    Ok(Grant {
        ticket,
        gateway: gateway.clone(),
        certificate: files::certificate_pem(&newest.x509),
        authorities: files::read_text(&config.file(hub::AUTHORITY))?,
        policy,
        credential: bytes,
    })
}

fn refuse(args: &EnrolRefuseArgs) -> Result<(), Failure> {
    if args.reason.is_empty() || args.reason.len() > plomb_seal::reading::TEXT_BYTES_MAX {
        return Err(Failure::new(exit::USAGE, "--reason: say why, in 1 to 256 bytes"));
    }
    let reason = args.reason.clone();
    let request = match &args.gateway {
        Some(gateway) => Request::EnrolRefuse { gateway: gateway.clone(), reason },
        None => Request::EnrolRefuseOpen { reason },
    };
    let answer: Value = Door::open(&HubConfig::load(&args.config)?)?.ask(request)?;
    if args.json {
        return print_json(&answer);
    }
    let count = || answer.get("refused").and_then(Value::as_u64).unwrap_or(0);
    print(&match &args.gateway {
        Some(gateway) => format!("{gateway} is refused.\n"),
        None => format!("{} that waited are refused.\n", count()),
    })
}
