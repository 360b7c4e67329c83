//! The radio meters in the export: who was recorded, and who was refused.

use serde_json::Value;

use crate::show::count;

use super::{
    air::{AirMeter, Antenna, Deed},
    listen::Heard,
    prove::{Check, Exported},
};

/// The event of the gateway that a refused telegram is.
const REFUSAL: &str = "telegram-refused";

/// A check for the honest meters and one for each deed. Gives also how many meters were recorded.
pub(super) fn radio(antenna: &Antenna, heard: &Heard, exported: &[Exported]) -> (Vec<Check>, usize) {
    let mut checks = vec![honest(antenna, heard, exported)];
    for (name, deed) in [("forged", Deed::Forged), ("replayed", Deed::Replayed), ("stolen", Deed::Stolen)] {
        checks.extend(antenna.of(deed).map(|meter| refused(name, meter, exported)));
    }
    let recorded = antenna.meters.iter().filter(|meter| records(meter, exported).next().is_some());
    (checks, recorded.count())
}

fn records<'a>(meter: &AirMeter, exported: &'a [Exported]) -> impl Iterator<Item = &'a Exported> {
    exported.iter().filter(move |entry| !entry.absent && entry.point.as_deref() == Some(&meter.point))
}

/// Each honest meter was recorded, and a subscriber got a reading of it.
fn honest(antenna: &Antenna, heard: &Heard, exported: &[Exported]) -> Check {
    let arrived = |entry: &&Exported| {
        let (epoch, seq) = entry.placed.0;
        heard.entries.contains_key(&(epoch.into(), seq))
    };
    let telegrams: Vec<(&str, usize)> = antenna
        .of(Deed::Honest)
        .map(|meter| (meter.point.as_str(), records(meter, exported).filter(arrived).count()))
        .collect();
    let mute: Vec<&str> = telegrams.iter().filter(|(_, count)| *count == 0).map(|(point, _)| *point).collect();
    let holds = mute.is_empty() && !telegrams.is_empty();
    let says = if holds {
        let all: usize = telegrams.iter().map(|(_, count)| count).sum();
        format!(
            "All {} that are what they say were heard, and {} of them arrived at the subscriber",
            count(telegrams.len() as u64, "radio meter", "radio meters"),
            count(all as u64, "telegram", "telegrams"),
        )
    } else {
        format!("no reading arrived from {}: the demo was too short, or the machine too busy", mute.join(", "))
    };
    Check { name: "honest-radio", holds, says }
}

/// The refusal is a signed entry of its kind, and nothing was recorded that should not be.
fn refused(name: &'static str, meter: &AirMeter, exported: &[Exported]) -> Check {
    let point = meter.point.as_str();
    let kind = meter.deed.refused_as().unwrap_or_default();
    let is_it = |entry: &&Exported| {
        let says = |pointer: &str| entry.document.pointer(pointer).and_then(Value::as_str);
        says("/event") == Some(REFUSAL) && says("/details/point") == Some(point) && says("/details/kind") == Some(kind)
    };
    let Some(event) = exported.iter().find(is_it) else {
        let says = format!("no entry says that a telegram of {point} was refused as \"{kind}\"");
        return Check { name, holds: false, says };
    };
    let seq = event.placed.0.1;
    let mut frames: Vec<_> = records(meter, exported).flat_map(|entry| &entry.frames).collect();
    let recorded = frames.len();
    frames.sort();
    frames.dedup();
    let (holds, rest) = match (meter.deed.is_recorded(), recorded, frames.len()) {
        (false, 0, _) => (true, "nothing of it was recorded".to_string()),
        (false, ..) => {
            (false, format!("{} of it in the records all the same", count(recorded as u64, "telegram", "telegrams")))
        }
        (true, 0, _) => (false, "nothing of the meter itself was recorded".to_string()),
        (true, all, different) if all == different => (true, "no telegram of the meter was recorded twice".to_string()),
        (true, ..) => (false, "a telegram of the meter was recorded twice all the same".to_string()),
    };
    let what = match meter.deed {
        Deed::Forged => "The forged telegram",
        Deed::Replayed => "The replayed telegram",
        _ => "The telegram under a wrong key",
    };
    Check { name, holds, says: format!("{what} of {point} was refused: {kind} (entry {seq}); {rest}") }
}
