//! What the demo says, as text or as JSON lines.

use std::{collections::BTreeSet, time::Duration};

use plomb_gateway::{
    clock::unix_ms,
    status::{Snapshot, rfc3339},
};
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    show::{Out, Show, Tone, count, entry_line, one_line},
};

use super::{
    air::{AirMeter, Deed},
    listen::Message,
    prove::Proof,
    town::Town,
};

const SCHEMA: &str = "plomb.demo/1";

/// Tells what happens, as it happens.
pub(super) struct Teller<'a> {
    show: &'a Show,
    out: Out,
    receipts: u64,
    size: u64,
    /// Points and kinds of refusals that were told.
    refused: BTreeSet<(String, String)>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(show: &'a Show) -> Self {
        Self { show, out: Out::new(), receipts: 0, size: 0, refused: BTreeSet::new() }
    }

    fn tell(&mut self, text: impl FnOnce(&Show) -> String, event: &str, mut document: Value) -> Result<(), Failure> {
        if self.show.json {
            if let Some(fields) = document.as_object_mut() {
                fields.insert("schema".into(), SCHEMA.into());
                fields.insert("event".into(), event.into());
                fields.insert("at".into(), rfc3339(unix_ms()).into());
            }
            self.out.json(&document)?;
        } else {
            self.out.line(text(self.show))?;
        }
        self.out.flush()
    }

    /// What is done now.
    pub(super) fn step(&mut self, what: &str) -> Result<(), Failure> {
        self.tell(|_| format!("… {what}"), "step", json!({ "step": what }))
    }

    /// Everything is up.
    pub(super) fn begin(&mut self, town: &Town, lasts: Option<Duration>) -> Result<(), Failure> {
        let line = town.folder.at("street");
        let points = |deed| town.antenna.of(deed).map(|meter| meter.point.as_str()).collect::<Vec<_>>();
        let [forged, replayed, stolen] = [Deed::Forged, Deed::Replayed, Deed::Stolen].map(points);
        let text = |_: &Show| {
            format!(
                "A street of {} meters on {} at 2400 baud; {} is silent on purpose.\n\
                 {} radio meters around a receiver on {}; {} is forged,\n\
                 {} replayed, and {} comes under a wrong key, all on purpose.\n\
                 An electricity meter speaks DLMS at {}, ciphered; its load profile of the last day is fetched.\n\
                 plomb-hub listens at {}; plombd reads each meter on the line every {} s. Files: {}\n{}\n",
                town.meters.len(),
                line.display(),
                town.silent(),
                town.antenna.meters.len(),
                town.antenna.port().display(),
                forged.join(", "),
                replayed.join(", "),
                stolen.join(", "),
                town.grid.address,
                town.address,
                town.interval_s,
                town.folder.at("").display(),
                match lasts {
                    Some(lasts) => format!("For {} s this arrives at an MQTT subscriber:", lasts.as_secs()),
                    None => "Until ctrl-C this arrives at an MQTT subscriber:".into(),
                }
            )
        };
        let document = json!({
            "meters": town.meters.iter().map(|meter| meter.name.as_str()).collect::<Vec<_>>(),
            "radio_meters": town.antenna.meters.iter().map(|meter: &AirMeter| meter.point.as_str()).collect::<Vec<_>>(),
            "forged": forged, "replayed": replayed, "stolen": stolen, "receiver": town.antenna.port(),
            "dlms_meter": super::grid::POINT, "silent": town.silent(), "line": line, "hub": town.address, "interval_s": town.interval_s,
            "folder": town.folder.at(""),
        });
        self.tell(text, "begin", document)
    }

    /// What arrived at the subscriber.
    pub(super) fn message(&mut self, message: &Message) -> Result<(), Failure> {
        match message {
            Message::Entry(entry) => {
                let event = if entry.get("records").is_some() { "reading" } else { "absence" };
                self.tell(|show| entry_line(entry, show.zone), event, json!({ "entry": entry }))
            }
            Message::Checkpoint(size) if *size > self.size => {
                self.size = *size;
                let text = |show: &Show| show.tone(Tone::Good, format!("        ledger   checkpoint at size {size}"));
                self.tell(text, "checkpoint", json!({ "size": size }))
            }
            Message::Lost(error) => {
                let text =
                    |show: &Show| show.tone(Tone::Doubt, format!("the subscriber's connection: {}", one_line(error)));
                self.tell(text, "lost", json!({ "error": error }))
            }
            _ => Ok(()),
        }
    }

    /// What the gateway has receipts for.
    pub(super) fn receipts(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        let (hub, journal) = (&snapshot.hub, &snapshot.journal);
        if hub.receipts <= self.receipts {
            return Ok(());
        }
        self.receipts = hub.receipts;
        let text = |show: &Show| {
            let text = format!(
                "        gateway  receipt {} verified: {} of {} anchored for good",
                hub.receipts,
                journal.receipted,
                count(journal.entries, "entry", "entries")
            );
            show.tone(Tone::Good, text)
        };
        let document = json!({
            "receipts": hub.receipts, "receipted": journal.receipted, "entries": journal.entries,
            "ledger_size": hub.ledger_size,
        });
        self.tell(text, "receipt", document)
    }

    /// Telegrams that the gateway refused: each kind of each point once.
    pub(super) fn refusals(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        for point in &snapshot.points {
            let Some(radio) = &point.radio else { continue };
            for kind in radio.refused.keys() {
                if !self.refused.insert((point.point.clone(), kind.clone())) {
                    continue;
                }
                // The last refusal may have been of another kind.
                let last = radio.last_refusal.as_deref().filter(|last| last.starts_with(kind));
                let why = last.unwrap_or(kind);
                let text = |show: &Show| {
                    let text = format!("        gateway  refused a telegram of {}: {}", point.point, one_line(why));
                    show.tone(Tone::Doubt, text)
                };
                self.tell(text, "refused", json!({ "point": point.point, "kind": kind, "why": why }))?;
            }
        }
        Ok(())
    }

    /// What was proved.
    pub(super) fn proof(&mut self, town: &Town, proof: &Proof) -> Result<(), Failure> {
        let text = |show: &Show| {
            let mut lines = vec![String::new(), show.tone(Tone::Good, "What was proved")];
            lines.extend(words(proof, show));
            lines.push(String::new());
            for check in &proof.checks {
                let mark = if check.holds { show.tone(Tone::Good, "  ok   ") } else { show.tone(Tone::Bad, "  FAIL ") };
                lines.push(format!("{mark} {}.", one_line(&check.says)));
            }
            lines.push(String::new());
            lines.push(match proof.holds() {
                true => show.tone(Tone::Good, "Everything checked."),
                false => show.tone(Tone::Bad, "Something did not check: see FAIL above."),
            });
            if town.folder.keep {
                lines.push(format!(
                    "Try: plomb verify --policy {} {}",
                    town.folder.at("hub/policy.txt").display(),
                    proof.file.display()
                ));
            }
            lines.join("\n")
        };
        self.tell(text, "proof", proof.document())
    }
}

/// The sentence that the demo is for.
fn words(proof: &Proof, show: &Show) -> Vec<String> {
    let report = &proof.report;
    let time = |unix_s: Option<u64>| unix_s.map_or_else(|| "(no date)".into(), |s| show.zone.seconds(s));
    let gaps = if report.gaps == 0 { "no gap".into() } else { count(report.gaps, "gap", "gaps") };
    vec![
        format!(
            "  {} from {}, and {}, in {}",
            count(report.readings, "reading", "readings"),
            count(proof.meters as u64, "meter", "meters"),
            count(report.absent, "absence", "absences"),
            count(report.entries, "signed entry", "signed entries"),
        ),
        format!("  signed by key {} of gateway {}, chained, {gaps},", proof.key, super::town::GATEWAY),
        format!(
            "  in {}, {} of {} anchored on the ledger {},",
            count(report.batches, "batch", "batches"),
            report.anchored,
            count(report.entries, "entry", "entries"),
            report.origin.as_deref().unwrap_or("(none)"),
        ),
        format!("  dated by it between {} and {}.", time(report.not_before_s), time(report.not_after_s)),
    ]
}
