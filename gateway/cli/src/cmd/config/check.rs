//! `plomb config check`: every mistake in a plombd.toml.

use std::{fs::File, io::Read, path::Path};

use plomb_gateway::{
    config::{Config, Meter, Protocol, Surveyed, survey},
    identity, keys, models, secrets,
};
use plomb_settings::{FILE_BYTES_MAX, Finding};
use serde_json::{Value, json};

use crate::{
    args::CheckArgs,
    exit::{CONFIG, Failure, OK},
    show::{Out, Show, Tone, count, one_line, print, tell},
};

const SCHEMA: &str = "plomb.config-check/1";

pub(super) fn check(args: &CheckArgs, show: &Show) -> Result<u8, Failure> {
    let surveyed = survey(&args.file, &read(&args.file)?);
    let files = match &surveyed.config {
        Some(config) if args.on_gateway => Some(of_files(config)),
        _ => None,
    };
    let wrong_files = files.as_ref().map_or(0, Vec::len);
    if show.json {
        print(json!({
            "schema": SCHEMA, "file": args.file, "ok": surveyed.findings.is_empty() && wrong_files == 0,
            "complete": surveyed.complete, "findings": findings(&surveyed.findings), "files": files,
        }))?;
    } else {
        told(args, &surveyed, files.as_deref(), show)?;
    }
    Ok(if surveyed.findings.is_empty() && wrong_files == 0 { OK } else { CONFIG })
}

/// The text of a configuration.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| Failure::file(path, error))?;
    match u64::try_from(text.len()) {
        Ok(bytes) if bytes <= FILE_BYTES_MAX => Ok(text),
        _ => Err(Failure::Config(format!("{}: the file is larger than 4 MiB", path.display()))),
    }
}

/// Findings for programs.
pub(super) fn findings(findings: &[Finding]) -> Value {
    let found = |finding: &Finding| {
        let place = &finding.place;
        json!({ "file": place.path, "line": place.line, "column": place.column, "what": finding.what })
    };
    findings.iter().map(found).collect()
}

/// Findings for people, a line each, as compilers write them.
pub(super) fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {}", finding.place, one_line(&finding.what))).collect()
}

fn told(args: &CheckArgs, surveyed: &Surveyed, files: Option<&[String]>, show: &Show) -> Result<(), Failure> {
    let mut out = Out::new();
    for line in lines(&surveyed.findings) {
        out.line(line)?;
    }
    for line in files.unwrap_or_default() {
        out.line(one_line(line))?;
    }
    let wrong = u64::try_from(surveyed.findings.len() + files.map_or(0, <[String]>::len)).unwrap_or(u64::MAX);
    match (wrong, &surveyed.config) {
        (0, Some(config)) => {
            let lines = u64::try_from(config.bus.len()).unwrap_or(u64::MAX);
            let meters = u64::try_from(config.meter.len()).unwrap_or(u64::MAX);
            out.line(format_args!(
                "{}: gateway {}, {}, {}.",
                show.tone(Tone::Good, "Nothing is wrong"),
                config.gateway.id,
                count(lines, "line", "lines"),
                count(meters, "meter", "meters")
            ))?;
        }
        _ => out.line(format_args!(
            "{} in {}.",
            show.tone(Tone::Bad, count(wrong, "mistake", "mistakes")),
            args.file.display()
        ))?,
    }
    out.flush()?;
    if !surveyed.complete {
        tell("What it means can be checked when its syntax is right.");
    } else if files.is_none() && surveyed.config.is_some() {
        tell("The files that it names were not looked at: `plomb config check --on-gateway` does, on the gateway.");
    } else if args.on_gateway && surveyed.config.is_none() {
        tell("The files that it names are looked at when nothing is wrong in it.");
    }
    Ok(())
}

/// What is wrong with the files that a configuration names.
fn of_files(config: &Config) -> Vec<String> {
    let gateway = &config.gateway;
    let mut wrong = Vec::new();
    let mut note = |result: Result<(), String>| wrong.extend(result.err());
    let key = identity::signing_key(&gateway.key);
    if let (Ok(key), Some(path), Ok(name)) = (&key, &gateway.credential, config.gateway_name()) {
        note(identity::credential(path, &name, key).map(drop));
    }
    note(key.map(drop));
    if let (Some(hub), Some(certificate)) = (&config.hub, &gateway.certificate) {
        let files = plomb_gateway::uplink::ClientFiles { ca: &hub.ca, certificate, key: &gateway.key, state_dir: None };
        note(plomb_gateway::uplink::client_config(files).map(drop));
    }
    if let Some(path) = &gateway.meter_keys {
        note(keys::Keys::load(path).map(drop));
    }
    match gateway.meter_secrets.as_deref().map_or_else(|| Ok(secrets::Secrets::default()), secrets::Secrets::load) {
        Ok(secrets) => {
            for meter in of_protocol(config, Protocol::Dlms) {
                for what in secrets.missing(meter) {
                    let point = &meter.point;
                    note(Err(format!("meter \"{point}\": it has no {what} in the file of [gateway] `meter_secrets`")));
                }
            }
        }
        Err(error) => note(Err(error)),
    }
    match models::library(gateway.profiles.as_deref()) {
        Ok(library) => {
            let known = |model: &str| library.by_name(model).is_some();
            of_protocol(config, Protocol::Mbus).for_each(|meter| note(has_model(meter, "meter model", known)));
        }
        Err(error) => note(Err(error)),
    }
    match models::register_maps(gateway.modbus_profiles.as_deref()) {
        Ok(maps) => {
            let known = |model: &str| maps.by_name(model).is_some();
            of_protocol(config, Protocol::Modbus).for_each(|meter| note(has_model(meter, "register map", known)));
        }
        Err(error) => note(Err(error)),
    }
    wrong.dedup();
    wrong
}

/// The meters on lines of a protocol.
fn of_protocol(config: &Config, protocol: Protocol) -> impl Iterator<Item = &Meter> {
    let speaks = move |meter: &&Meter| config.bus.iter().any(|bus| bus.name == meter.bus && bus.protocol == protocol);
    config.meter.iter().filter(speaks)
}

/// Whether the model that a meter names is there.
fn has_model(meter: &Meter, what: &str, known: impl Fn(&str) -> bool) -> Result<(), String> {
    match &meter.model {
        Some(model) if !known(model) => Err(format!("meter \"{}\": there is no {what} \"{model}\"", meter.point)),
        _ => Ok(()),
    }
}
