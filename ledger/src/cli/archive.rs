//! `plomb-hub archive`: what the gateways sent, in order.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use plomb_seal::{
    Batch, Credential, Entry, Name, Unverified,
    export::{Anchored, Scope, Writer},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{config::HubConfig, desk::Request};

use super::{
    Failure,
    args::{ArchiveCommand, ArchiveOf, ArchiveSelect},
    door::Door,
    exit, print_json,
};

pub(super) fn archive(what: &ArchiveCommand) -> Result<(), Failure> {
    let (config, named, output) = match what {
        ArchiveCommand::List(ArchiveSelect { config, gateway, output, .. })
        | ArchiveCommand::Entries(ArchiveSelect { config, gateway, output, .. }) => {
            (config, gateway.as_deref(), output)
        }
        ArchiveCommand::Export(ArchiveOf { config, gateway, output, .. }) => (config, Some(gateway.as_str()), output),
    };
    let mut door = Door::open(&HubConfig::load(config)?)?;
    let gateways = gateways(&mut door, named)?;
    let mut out = Output::open(output.as_deref())?;
    match what {
        ArchiveCommand::List(select) => list(&mut door, &gateways, select.json, &mut out)?,
        ArchiveCommand::Entries(_) => entries(&mut door, &gateways, &mut out)?,
        ArchiveCommand::Export(of) => {
            let mut batches = 0;
            for gateway in &gateways {
                batches += export(&mut door, gateway, &mut out)?;
            }
            out.finish()?;
            let written = json!({
                "schema": "plomb.hub-export/1", "gateway": of.gateway, "batches": batches, "out": output,
            });
            return if of.json { print_json(&written) } else { Ok(()) };
        }
    }
    out.finish()
}

/// An archived batch as the desk tells it.
#[derive(Deserialize)]
struct Told {
    epoch: u32,
    batch: u64,
    anchor: String,
    bytes: Option<String>,
    proof: Option<String>,
}

impl Told {
    fn bytes(&self) -> Result<Option<Vec<u8>>, Failure> {
        let bytes = self.bytes.as_ref().map(hex::decode).transpose();
        bytes.map_err(|_| Failure::new(exit::IO, "the hub's answer is not hexadecimal"))
    }
}

/// The named gateway, or all that are certified.
fn gateways(door: &mut Door, named: Option<&str>) -> Result<Vec<Name>, Failure> {
    let wrong = |error: plomb_seal::NameError| Failure::new(exit::USAGE, format!("--gateway: {error}"));
    let named = named.map(|name| name.parse::<Name>().map_err(wrong)).transpose()?;
    let status = door.ask(Request::Status {})?;
    let list = status.get("gateways").and_then(Value::as_array).cloned().unwrap_or_default();
    let known: Result<Vec<Name>, Failure> = list
        .iter()
        .map(|one| one.get("gateway").and_then(Value::as_str).unwrap_or_default().parse().map_err(wrong))
        .collect();
    let known = known?;
    match named {
        None => Ok(known),
        Some(name) if known.contains(&name) => Ok(vec![name]),
        Some(name) => Err(Failure::new(exit::USAGE, unknown(name.as_str(), &known))),
    }
}

/// A name that nobody has, and the nearest that somebody has.
fn unknown(name: &str, known: &[Name]) -> String {
    let nearest = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(name, a.as_str()).total_cmp(&strsim::jaro_winkler(name, b.as_str())));
    let advice = nearest.map_or("none is certified yet".into(), |nearest| format!("did you mean \"{nearest}\"?"));
    format!("--gateway: no gateway \"{name}\" is certified here; {advice}")
}

/// Each batch of a gateway, in order; one at a time in memory.
fn each_batch(
    door: &mut Door,
    gateway: &Name,
    mut take: impl FnMut(&Told) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let (mut from, mut count) = ((0, 0), 0);
    loop {
        let request = Request::Batch { gateway: gateway.to_string(), epoch: from.0, batch: from.1 };
        let told: Option<Told> = serde_json::from_value(door.ask(request)?)
            .map_err(|error| Failure::new(exit::IO, format!("the hub's answer can't be read: {error}")))?;
        let Some(told) = told else { return Ok(count) };
        take(&told)?;
        count += 1;
        from = (told.epoch, told.batch.saturating_add(1));
    }
}

fn list(door: &mut Door, gateways: &[Name], json: bool, out: &mut Output) -> Result<(), Failure> {
    for gateway in gateways {
        each_batch(door, gateway, |told| {
            let bytes = told.bytes()?;
            let anchor = bytes.as_deref().map(|bytes| Batch::split(bytes).map(|(anchor, _)| anchor));
            let anchor = anchor.and_then(Result::ok).and_then(crate::ledger::claimed_anchor);
            let (first_seq, count) = anchor.as_ref().map_or((0, 0), |anchor| (anchor.first_seq, anchor.count));
            let closed = plomb_view::rfc3339(anchor.as_ref().map_or(0, |anchor| anchor.closed_ms));
            if json {
                return out.line(&json!({
                    "schema": "plomb.hub-batch/1", "gateway": gateway.as_str(), "epoch": told.epoch,
                    "batch": told.batch, "anchor": told.anchor, "first_seq": first_seq, "entries": count,
                    "closed": closed, "bytes": bytes.map(|bytes| bytes.len()), "receipt": told.proof.is_some(),
                }));
            }
            let entries = if count == 1 { "entry  " } else { "entries" };
            let line = format!(
                "{gateway:<24} epoch {} batch {:<6} {count:>5} {entries} from {first_seq:<8} closed {closed}",
                told.epoch, told.batch
            );
            out.text(&line)
        })?;
    }
    Ok(())
}

fn entries(door: &mut Door, gateways: &[Name], out: &mut Output) -> Result<(), Failure> {
    for gateway in gateways {
        each_batch(door, gateway, |told| {
            let Some(bytes) = told.bytes()? else { return Ok(()) };
            let damaged = |error: &dyn std::fmt::Display| {
                let place = format!("batch {} of epoch {} of {gateway}", told.batch, told.epoch);
                Failure::new(exit::IO, format!("{place} is damaged in the archive: {error}"))
            };
            let (_, entries) = Batch::split(&bytes).map_err(|error| damaged(&error))?;
            for bytes in entries {
                let entry = Unverified::<Entry>::parse(bytes).map_err(|error| damaged(&error))?;
                // The archive takes a batch only after every signature in it was checked.
                out.line(&plomb_view::document(&entry.trust_own()))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn export(door: &mut Door, gateway: &Name, out: &mut Output) -> Result<u64, Failure> {
    let answer = door.ask(Request::Credential { gateway: gateway.to_string() })?;
    let credential = answer.get("credential").and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
    let credential = credential.and_then(|bytes| Credential::parse(&bytes).ok());
    let credential = credential.ok_or_else(|| Failure::new(exit::IO, "the hub's answer has no credential"))?;
    let (mut writer, begin) = Writer::begin(gateway, &Scope::All, &credential);
    out.bytes(&begin)?;
    let count = each_batch(door, gateway, |told| {
        let Some(bytes) = told.bytes()? else { return Ok(()) };
        let split = Batch::split(&bytes);
        let (anchor, entries) = split.map_err(|error| Failure::new(exit::IO, format!("the archive: {error}")))?;
        let part = Anchored { anchor, proof: told.proof.as_deref(), frames: Vec::new() };
        out.bytes(&writer.whole(&part, &entries))
    })?;
    if count == 0 {
        return Err(Failure::new(exit::UNAVAILABLE, format!("{gateway} has sent no batch yet: nothing to export")));
    }
    out.bytes(&writer.end())?;
    Ok(count)
}

/// Standard output, or a file that appears whole or not at all.
struct Output {
    out: BufWriter<Box<dyn Write>>,
    rename: Option<(PathBuf, PathBuf)>,
    name: String,
}

impl Output {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let out = BufWriter::new(Box::new(std::io::stdout()) as Box<dyn Write>);
            return Ok(Self { out, rename: None, name: "standard output".into() });
        };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        let file = File::create(&partial).map_err(|error| Failure::io(path.display(), &error))?;
        let out = BufWriter::new(Box::new(file) as Box<dyn Write>);
        Ok(Self { out, rename: Some((partial.into(), path.into())), name: path.display().to_string() })
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|error| Failure::output(&self.name, &error))
    }

    fn text(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(|error| Failure::output(&self.name, &error))
    }

    fn line(&mut self, value: &Value) -> Result<(), Failure> {
        writeln!(self.out, "{value}").map_err(|error| Failure::output(&self.name, &error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        let renamed = flushed.and_then(|()| match &self.rename {
            Some((from, to)) => fs::rename(from, to),
            None => Ok(()),
        });
        renamed.map_err(|error| Failure::output(&self.name, &error))?;
        self.rename = None;
        Ok(())
    }
}

impl Drop for Output {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        if let Some((partial, _)) = &self.rename {
            let _ = fs::remove_file(partial);
        }
    }
}
