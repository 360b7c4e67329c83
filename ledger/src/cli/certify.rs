//! `plomb-hub certify` and `plomb-hub revoke`.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use plomb_seal::{
    Hash, Name, PublicKey, Signed,
    transaction::{Certificate, Issue, Role, ScopedPoint},
};
use plomb_view::rfc3339;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::{
    config::HubConfig,
    desk::Request,
    enrol::Authority,
    files,
    hub::{self, unix_ms},
    pki::{self, SubjectKey, Wish},
};

use super::{
    Failure,
    args::{CertifyArgs, RevokeArgs, RoleArg},
    door::Door,
    exit,
    member::file_of,
    print, print_json,
};

pub(super) fn certify(args: &CertifyArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    let wish = wish(args, &config)?;
    let mut door = Door::open(&config)?;
    let key = key(args, &mut door, &wish)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.out)
        .map_err(|error| Failure::io(args.out.display(), &error))?;
    let mut written = Written::default();
    let issued = issue(args, &config, (&wish, &key), &mut written).and_then(|(issue, bytes)| {
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
    let (mut scope, mut points) = (Vec::new(), Vec::new());
    for text in &args.scope {
        match text.split_once('/') {
            None => scope.push(name(text, "--scope")?),
            Some((gateway, point)) => {
                points.push(ScopedPoint { gateway: name(gateway, "--scope")?, point: name(point, "--scope")? });
            }
        }
    }
    let role = match args.role {
        RoleArg::Gateway => Role::Gateway,
        RoleArg::Admin => Role::Admin,
        RoleArg::Operator => Role::Operator,
        RoleArg::Subscriber => Role::Subscriber,
        RoleArg::Auditor => Role::Auditor,
    };
    if role == Role::Gateway && !args.scope.is_empty() {
        return Err(Failure::new(exit::USAGE, "--scope: a gateway reaches itself alone; leave it out"));
    }
    let subject = name(&args.id, "--id")?;
    Ok(Wish { origin: config.origin.clone(), subject, role, scope, points, days: args.days })
}

/// Whose key is certified.
enum Key {
    /// One that is made here.
    New,
    /// The one in the file.
    Given(Box<KeyPair>),
    /// The one that the ledger has certified already.
    Recorded(PublicKey),
    /// The one in the request.
    Requested(String),
}

fn key(args: &CertifyArgs, door: &mut Door, wish: &Wish) -> Result<Key, Failure> {
    if let Some(path) = &args.csr {
        return Ok(Key::Requested(files::read_text(path)?));
    }
    if let Some(path) = &args.key {
        return Ok(Key::Given(Box::new(files::read_pair(path)?)));
    }
    let recorded =
        if args.renew || wish.role == Role::Gateway { recorded_keys(door, &wish.subject)? } else { Vec::new() };
    let id = &wish.subject;
    match recorded.as_slice() {
        [] if args.renew => {
            let what = format!(
                "nothing to renew: no certificate of \"{id}\" holds; `plomb-hub status --certificates` lists them all"
            );
            Err(Failure::new(exit::USAGE, what))
        }
        [key] if args.renew => Ok(Key::Recorded(*key)),
        [_, _, ..] if args.renew => {
            let what = format!("{id} has {} keys: name the one it uses with --key or --csr", recorded.len());
            Err(Failure::new(exit::USAGE, what))
        }
        [_, ..] if !args.new_key => {
            let what = format!(
                "{id} is certified already, and its journal is signed by that key: --renew certifies it again; \
                 --new-key makes another, for a box whose key is lost: its journal goes on in a new epoch"
            );
            Err(Failure::new(exit::USAGE, what))
        }
        _ => Ok(Key::New),
    }
}

/// The distinct keys in those certificates of a name that are not revoked.
pub(super) fn recorded_keys(door: &mut Door, id: &Name) -> Result<Vec<PublicKey>, Failure> {
    let mut keys = Vec::new();
    for one in unrevoked(door, id.as_str())? {
        let bytes = one.get("public_key").and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).and_then(|raw| PublicKey::from_bytes(&raw));
        let key = key.ok_or_else(|| Failure::new(exit::IO, "the hub's answer has no key that can be read"))?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Files that are taken back when the ledger does not take the certificate.
#[derive(Default)]
struct Written(Vec<PathBuf>);

impl Written {
    fn add<T>(
        &mut self,
        path: PathBuf,
        write: impl FnOnce(&Path) -> Result<T, files::FileError>,
    ) -> Result<T, Failure> {
        let done = write(&path).map_err(|error| match error {
            files::FileError::Io { path, source } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Failure::new(exit::USAGE, format!("{} is there already; name a new --out", path.display()))
            }
            other => other.into(),
        })?;
        self.0.push(path);
        Ok(done)
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
    (wish, key): (&Wish, &Key),
    written: &mut Written,
) -> Result<(Issue, Vec<u8>), Failure> {
    let file = |name: &str| args.out.join(name);
    let wrong = |error: pki::PkiError| Failure::new(exit::USAGE, error.to_string());
    let authority = Authority::load(args.member.as_deref().unwrap_or(&config.state))?;
    let now_s = unix_ms().div_euclid(1000);
    let made;
    let subject = match key {
        Key::Requested(request) => SubjectKey::Request(request),
        Key::Given(pair) => SubjectKey::Pair(pair),
        Key::Recorded(key) => SubjectKey::Known(key),
        Key::New => {
            made = written.add(file("client.key"), files::make_pair)?;
            SubjectKey::Pair(&made)
        }
    };
    let issued = authority.issue(wish, &subject, now_s).map_err(wrong)?;
    written.add(file("client.crt"), |path| files::write_new(path, issued.chain.as_bytes()))?;
    // Whoever certified, the hub shows a certificate of its own member's authority.
    let roots = files::read(&config.file(hub::AUTHORITY))?;
    written.add(file("ca.crt"), |path| files::write_new(path, &roots))?;
    let policy = files::read(&config.file(hub::POLICY))?;
    written.add(file("policy.txt"), |path| files::write_new(path, &policy))?;
    Ok((issued.issue, issued.transaction))
}

fn write_credential(args: &CertifyArgs, door: &mut Door, gateway: &Name) -> Result<(), Failure> {
    let bytes = credential(door, gateway)?;
    Ok(files::write_new(&args.out.join("credential.cbor"), &bytes)?)
}

/// A gateway's credential file.
pub(super) fn credential(door: &mut Door, gateway: &Name) -> Result<Vec<u8>, Failure> {
    let answer = door.ask(Request::Credential { gateway: gateway.to_string() })?;
    let bytes = answer.get("credential").and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
    bytes.ok_or_else(|| Failure::new(exit::IO, "the hub's answer has no credential"))
}

fn report(args: &CertifyArgs, issue: &Issue, answer: &Value) -> Result<(), Failure> {
    let until = rfc3339(issue.not_after_s.saturating_mul(1000));
    if args.json {
        return print_json(&json!({
            "schema": "plomb.hub-certify/1", "subject": issue.subject.as_str(), "role": issue.role.name(),
            "fingerprint": issue.fingerprint().to_string(), "key": issue.key.id().to_string(),
            "not_after": until, "index": answer.get("index"), "out": args.out,
        }));
    }
    let kept = if args.out.join("client.key").exists() {
        ""
    } else {
        "\nThe key stays where it is: put these files beside it."
    };
    print(&format!(
        "{} is certified as {} until {until}.\nFingerprint: {}\nFiles: {}{kept}\n",
        issue.subject,
        issue.role.name(),
        issue.fingerprint(),
        args.out.display()
    ))
}

pub(super) fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let config = HubConfig::load(&args.config)?;
    if args.reason.is_empty() || args.reason.len() > plomb_seal::reading::TEXT_BYTES_MAX {
        return Err(Failure::new(exit::USAGE, "--reason: say why, in 1 to 256 bytes"));
    }
    let member = files::read_seed(&file_of(&config, args.member.as_deref(), hub::MEMBER_KEY))?;
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
        return print_json(&json!({ "schema": "plomb.hub-revoke/1", "revoked": list }));
    }
    print(&list.iter().map(|fingerprint| format!("Revoked: {fingerprint}\n")).collect::<String>())
}

/// Those certificates of a name that are not revoked, as the desk tells them.
fn unrevoked(door: &mut Door, id: &str) -> Result<Vec<Value>, Failure> {
    let answer = door.ask(Request::Certificates {})?;
    let all = answer.get("certificates").and_then(Value::as_array).cloned().unwrap_or_default();
    let of_id = |one: &Value| one.get("subject").and_then(Value::as_str) == Some(id);
    Ok(all.into_iter().filter(|one| of_id(one) && one.get("revoked").is_some_and(Value::is_null)).collect())
}

fn fingerprints_of(door: &mut Door, id: &str) -> Result<Vec<Hash>, Failure> {
    let found: Result<Vec<Hash>, Failure> = unrevoked(door, id)?
        .iter()
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
