//! `plomb keys`: checks a key file, and makes lines of one from a vendor's list. Keys are never shown.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use plomb_gateway::keys::Keys;
use plomb_keys::import::{CSV_BYTES_MAX, Imported, KEM_BYTES_MAX, csv, kem};
use plomb_keys::{KeyFile, Selector};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    args::{KeysArgs, KeysImportArgs, KeysVerb},
    exit::{Failure, MALFORMED, OK},
    show::{Show, count, one_line, print, tell},
};

const SCHEMA: &str = "plomb.keys/1";
/// The longest password file, in bytes.
const PASSWORD_FILE_BYTES_MAX: u64 = 4096;

pub(super) fn keys(args: &KeysArgs, show: &Show) -> Result<u8, Failure> {
    match &args.verb {
        KeysVerb::Check { file } => check(file, show),
        KeysVerb::Import(args) => import(args, show),
    }
}

/// Says which meters a key file has keys for.
fn check(file: &Path, show: &Show) -> Result<u8, Failure> {
    let keys = Keys::load(file).map_err(Failure::Config)?;
    let meters = keys.meters();
    if show.json {
        print(json!({ "schema": SCHEMA, "file": file, "keys": meters.len(), "meters": meters }))?;
        return Ok(OK);
    }
    meters.iter().try_for_each(print)?;
    tell(format_args!("{}: {}", file.display(), count(meters.len() as u64, "key", "keys")));
    Ok(OK)
}

/// Turns a vendor's list into lines of a key file, which nobody else can read.
fn import(args: &KeysImportArgs, show: &Show) -> Result<u8, Failure> {
    let name = args.file.display().to_string();
    let bytes = read(&args.file, CSV_BYTES_MAX.max(KEM_BYTES_MAX))?;
    let imported = match &args.password_file {
        Some(password) => {
            let password = read(password, usize::try_from(PASSWORD_FILE_BYTES_MAX).unwrap_or(usize::MAX))?;
            let password =
                std::str::from_utf8(&password).map_err(|_| Failure::Config("the password is no text".into()))?;
            kem(&name, &bytes, password.trim_end_matches(['\r', '\n']))
        }
        None if looks_like_xml(&bytes) => {
            return Err(Failure::Usage(format!(
                "{name}: a KEM file is encrypted: give its password in a file, with --password-file"
            )));
        }
        None => {
            let text = std::str::from_utf8(&bytes).map_err(|_| Failure::Config(format!("{name}: no text in UTF-8")))?;
            csv(&name, text)
        }
    };
    let imported = imported.map_err(|error| Failure::Config(error.to_string()))?;
    let known = append(&args.out, &imported)?;
    for skipped in &imported.skipped {
        tell(one_line(&format!("{name}: entry {}: {}", skipped.entry, skipped.why)));
    }
    let (count_new, skipped) = (imported.count.saturating_sub(known), imported.skipped.len());
    if show.json {
        let file = &args.out;
        print(json!({
            "schema": SCHEMA, "file": file, "imported": count_new, "known": known, "skipped": skipped,
        }))?;
    } else {
        let (file, added) = (args.out.display(), count(count_new as u64, "key", "keys"));
        tell(format_args!("{file}: {added} added, {known} there already, {skipped} skipped"));
    }
    Ok(if imported.count == 0 { MALFORMED } else { OK })
}

/// Appends the lines that are not there already; the whole file must be a good key file afterwards, or it stays as it
/// was. Gives how many were there.
fn append(out: &Path, imported: &Imported) -> Result<usize, Failure> {
    if out.as_os_str() == "-" {
        return Err(Failure::Usage("-o names a file: keys are not for a terminal or a pipe".into()));
    }
    let before = match Keys::load(out) {
        Ok(_) => Zeroizing::new(fs::read_to_string(out).map_err(|error| Failure::file(out, error))?),
        Err(_) if !out.exists() => Zeroizing::new(String::new()),
        Err(error) => return Err(Failure::Config(error)),
    };
    let mut text = Zeroizing::new(String::with_capacity(before.len() + imported.lines.len() + 1));
    text.push_str(&before);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let known = add_new(&mut text, out, &imported.lines)?;
    Keys::parse(&out.display().to_string(), &text).map_err(Failure::Config)?;
    let mut name = out.as_os_str().to_owned();
    name.push(".new");
    let part = std::path::PathBuf::from(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, out)
    });
    written.map_err(|error| Failure::file(&part, error))?;
    Ok(known)
}

/// Adds the lines whose meters have no key yet; gives how many have that same key. Another key is refused: which of
/// the two is right, only a person knows.
fn add_new(text: &mut Zeroizing<String>, out: &Path, lines: &str) -> Result<usize, Failure> {
    let parse = |text: &str| {
        KeyFile::parse(&out.display().to_string(), text).map_err(|error| Failure::Config(error.to_string()))
    };
    let mut tags = HashMap::new();
    tags.extend(parse(text)?.iter().map(|(selector, key, _)| (*selector, key.tag())));
    let mut known = 0;
    for line in lines.lines() {
        let (one, before) = (parse(line)?, tags.len());
        for (selector, key, _) in one.iter() {
            if *tags.entry(*selector).or_insert_with(|| key.tag()) != key.tag() {
                let Selector { id, manufacturer, .. } = selector;
                let maker = manufacturer.map(|maker| format!(" {maker}")).unwrap_or_default();
                return Err(Failure::Config(format!(
                    "meter {id}{maker} has another key in {} or earlier in the list: take out the one that is wrong",
                    out.display()
                )));
            }
        }
        if tags.len() > before || one.is_empty() {
            text.push_str(line);
            text.push('\n');
        } else {
            known += 1;
        }
    }
    Ok(known)
}

fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| Failure::file(path, error))?;
    if bytes.len() > bytes_max {
        return Err(Failure::Config(format!("{}: more than {bytes_max} bytes", path.display())));
    }
    Ok(bytes)
}

fn looks_like_xml(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"<") || bytes.starts_with(b"\xEF\xBB\xBF<")
}
