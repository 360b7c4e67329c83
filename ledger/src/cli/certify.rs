//! `plomb-hub certify` and `plomb-hub revoke`.

use std::{fs, os::unix::fs::DirBuilderExt, path::PathBuf};

use plomb_seal::{
    Hash, Name, Signed,
    transaction::{Certificate, Issue, Role},
};
use rcgen::{Issuer, KeyPair};
use serde_json::{Value, json};

use crate::{
    config::HubConfig,
    desk::Request,
    files,
    hub::{self, unix_ms},
    pki::{self, SubjectKey, Wish},
};

use super::{
    Failure,
    args::{CertifyArgs, RevokeArgs, RoleArg},
    door::Door,
    exit, print_json,
};

pub(super) fn certify(args: &CertifyArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    let wish = wish(args, &config)?;
    let mut door = Door::open(&config)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.out)
        .map_err(|error| Failure::io(args.out.display(), &error))?;
    let mut written = Written::default();
    let issued = issue(args, &config, &wish, &mut written).and_then(|(issue, bytes)| {
        let answer = door.ask(Request::Submit { transaction: hex::encode(bytes) })?;
        Ok((issue, answer))
    });
    let (issue, answer) = match issued {
        Ok(issued) => issued,
        Err(failure) => {
            written.remove();
            return Err(failure);
        }
    };
    if wish.role == Role::Gateway {
        write_credential(args, &mut door, &wish.subject)?;
    }
    report(args, &issue, &answer)
}

fn wish(args: &CertifyArgs, config: &HubConfig) -> Result<Wish, Failure> {
    let name = |text: &str, option: &str| -> Result<Name, Failure> {
        text.parse().map_err(|error| Failure::new(exit::USAGE, format!("{option}: {error}")))
    };
    let scope: Vec<Name> = args.scope.iter().map(|text| name(text, "--scope")).collect::<Result<_, _>>()?;
    let role = match args.role {
        RoleArg::Gateway => Role::Gateway,
        RoleArg::Admin => Role::Admin,
        RoleArg::Operator => Role::Operator,
        RoleArg::Subscriber => Role::Subscriber,
        RoleArg::Auditor => Role::Auditor,
    };
    if role == Role::Gateway && !scope.is_empty() {
        return Err(Failure::new(exit::USAGE, "--scope: a gateway reaches itself alone; leave it out"));
    }
    Ok(Wish { origin: config.origin.clone(), subject: name(&args.id, "--id")?, role, scope, days: args.days })
}

/// Files that are taken back when the ledger does not take the certificate.
#[derive(Default)]
struct Written(Vec<PathBuf>);

impl Written {
    fn add(
        &mut self,
        path: PathBuf,
        write: impl FnOnce(&std::path::Path) -> Result<(), files::FileError>,
    ) -> Result<(), Failure> {
        write(&path).map_err(|error| match error {
            files::FileError::Io { path, source } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Failure::new(exit::USAGE, format!("{} is there already; name a new --out", path.display()))
            }
            other => other.into(),
        })?;
        self.0.push(path);
        Ok(())
    }

    fn remove(&self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes the certificate and its files; gives the transaction's bytes.
fn issue(
    args: &CertifyArgs,
    config: &HubConfig,
    wish: &Wish,
    written: &mut Written,
) -> Result<(Issue, Vec<u8>), Failure> {
    let file = |name: &str| args.out.join(name);
    let wrong = |error: pki::PkiError| Failure::new(exit::USAGE, error.to_string());
    let member = files::read_seed(&config.file(hub::MEMBER_KEY))?;
    let authority = files::read_text(&config.file(hub::AUTHORITY))?;
    let issuer = Issuer::from_ca_cert_pem(&authority, files::read_pair(&config.file(hub::AUTHORITY_KEY))?)
        .map_err(|error| wrong(error.into()))?;
    let now_s = unix_ms().div_euclid(1000);
    let (issue, certificate) = match &args.csr {
        Some(path) => {
            let request = files::read_text(path)?;
            pki::issue(wish, &SubjectKey::Request(&request), &issuer, now_s).map_err(wrong)?
        }
        None => {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|error| wrong(error.into()))?;
            let issued = pki::issue(wish, &SubjectKey::Pair(&pair), &issuer, now_s).map_err(wrong)?;
            written.add(file("client.key"), |path| files::write_secret(path, pair.serialize_pem().as_bytes()))?;
            issued
        }
    };
    let chain = format!("{}{authority}", certificate.pem());
    written.add(file("client.crt"), |path| files::write_new(path, chain.as_bytes()))?;
    written.add(file("ca.crt"), |path| files::write_new(path, authority.as_bytes()))?;
    let policy = files::read(&config.file(hub::POLICY))?;
    written.add(file("policy.txt"), |path| files::write_new(path, &policy))?;
    let bytes = Signed::sign(Certificate::Issue(Box::new(issue.clone())), &member).into_bytes();
    Ok((issue, bytes))
}

fn write_credential(args: &CertifyArgs, door: &mut Door, gateway: &Name) -> Result<(), Failure> {
    let answer = door.ask(Request::Credential { gateway: gateway.to_string() })?;
    let bytes = answer.get("credential").and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
    let bytes = bytes.ok_or_else(|| Failure::new(exit::IO, "the hub's answer has no credential"))?;
    Ok(files::write_new(&args.out.join("credential.cbor"), &bytes)?)
}

fn report(args: &CertifyArgs, issue: &Issue, answer: &Value) -> Result<(), Failure> {
    if args.json {
        return print_json(&json!({
            "schema": "plomb-hub-certify/1", "subject": issue.subject.as_str(), "role": issue.role.name(),
            "fingerprint": issue.fingerprint().to_string(), "key": issue.key.id().to_string(),
            "not_after_s": issue.not_after_s, "index": answer.get("index"), "out": args.out,
        }));
    }
    println!("{} is certified as {}.", issue.subject, issue.role.name());
    println!("Fingerprint: {}", issue.fingerprint());
    println!("Files: {}", args.out.display());
    Ok(())
}

pub(super) fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    if args.reason.is_empty() || args.reason.len() > plomb_seal::reading::TEXT_BYTES_MAX {
        return Err(Failure::new(exit::USAGE, "--reason: say why, in 1 to 256 bytes"));
    }
    let member = files::read_seed(&config.file(hub::MEMBER_KEY))?;
    let mut door = Door::open(&config)?;
    let fingerprints = match &args.fingerprint {
        Some(text) => vec![parse_fingerprint(text)?],
        None => fingerprints_of(&mut door, args.id.as_deref().unwrap_or_default())?,
    };
    for fingerprint in &fingerprints {
        let (origin, reason) = (config.origin.clone(), args.reason.clone());
        let revoke = Certificate::Revoke { origin, fingerprint: *fingerprint, reason };
        let bytes = Signed::sign(revoke, &member).into_bytes();
        door.ask(Request::Submit { transaction: hex::encode(bytes) })?;
    }
    let list: Vec<String> = fingerprints.iter().map(ToString::to_string).collect();
    if args.json {
        return print_json(&json!({ "schema": "plomb-hub-revoke/1", "revoked": list }));
    }
    for fingerprint in list {
        println!("Revoked: {fingerprint}");
    }
    Ok(())
}

fn fingerprints_of(door: &mut Door, id: &str) -> Result<Vec<Hash>, Failure> {
    let answer = door.ask(Request::Certificates {})?;
    let all = answer.get("certificates").and_then(Value::as_array).cloned().unwrap_or_default();
    let found: Result<Vec<Hash>, Failure> = all
        .iter()
        .filter(|one| one.get("subject").and_then(Value::as_str) == Some(id))
        .filter(|one| one.get("revoked").is_some_and(Value::is_null))
        .map(|one| parse_fingerprint(one.get("fingerprint").and_then(Value::as_str).unwrap_or_default()))
        .collect();
    let found = found?;
    if found.is_empty() {
        let what = format!("no certificate of \"{id}\" holds; `plomb-hub status --certificates` lists them all");
        return Err(Failure::new(exit::REFUSED, what));
    }
    Ok(found)
}

fn parse_fingerprint(text: &str) -> Result<Hash, Failure> {
    let bytes = hex::decode(text).ok().and_then(|bytes| Hash::from_slice(&bytes));
    bytes.ok_or_else(|| Failure::new(exit::USAGE, "--fingerprint: 64 hexadecimal digits belong here"))
}
