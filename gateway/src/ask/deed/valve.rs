//! The valve of an M-Bus meter, as the profile of its model says.
//!
//! The meter is read first: records meant for another model would set nobody knows what. A frame whose
//! acknowledgement is lost is repeated by the link under the same frame count bit, by which a meter knows that it has
//! it already; the command is sent once.

use std::time::Duration;

use plomb_mbus::{Body, CommandEvent, MeterId, ReadFailure};
use plomb_profiles::{Profile, Valve};
use tokio::time::sleep;

use super::{ANSWER_LOST, Effect, Instruction, NOT_REACHED, NOT_SHOWN, OTHER_METER, REFUSED, UNSUPPORTED, Undone};
use crate::ask::{mbus::MbusMeter, port::Port};

/// How often a valve is looked at that is still on its way.
const LOOKS_MAX: u32 = 5;
/// Between two looks: a valve takes its time.
const LOOK_PAUSE: Duration = Duration::from_secs(3);

impl MbusMeter {
    /// Has the meter do something, once.
    ///
    /// # Errors
    /// Why it was not done, or that this is unknown.
    pub async fn carry_out(&mut self, port: &mut Port, instruction: &Instruction) -> Result<Effect, Undone> {
        let Instruction::Valve { open } = *instruction else {
            return Err(Undone::unsupported(instruction, "an M-Bus meter"));
        };
        let Some(model) = self.model().cloned() else {
            let what = "valve: the meter's configuration names no `model` whose profile says how its valve is moved";
            return Err(Undone::surely(UNSUPPORTED, what));
        };
        let Some(valve) = &model.valve else {
            let what = format!("valve: the profile {} knows of no valve", model.name);
            return Err(Undone::surely(UNSUPPORTED, what));
        };
        let before = self.readout(port, false).await;
        let frames = before.map_err(|(_, detail)| Undone::surely(NOT_REACHED, detail))?;
        check_model(&model, &frames)?;
        let sent = self.send(port, valve.records(open)).await;
        let (ended, was_sent) = sent.map_err(|(_, detail)| Undone::surely(NOT_REACHED, detail))?;
        let lost = match ended {
            Some(CommandEvent::Accepted) => None,
            Some(CommandEvent::Failed(failure @ ReadFailure::Refused { .. })) => {
                return Err(Undone::surely(REFUSED, failure.to_string()));
            }
            Some(CommandEvent::Failed(failure)) if !was_sent => {
                return Err(Undone::surely(NOT_REACHED, failure.to_string()));
            }
            Some(CommandEvent::Failed(failure)) => Some(failure.to_string()),
            _ if was_sent => Some("the port failed".into()),
            _ => return Err(Undone::surely(NOT_REACHED, "the port failed")),
        };
        let shown = self.look(port, valve, open).await;
        let words = |open| if open { "open" } else { "closed" };
        match (lost, shown) {
            (None, Some(state)) if state == open => Ok(Effect::new(format!("the valve is {}", words(open)))),
            (Some(_), Some(state)) if state == open => {
                Ok(Effect::new(format!("its answer was lost, and the valve is {}", words(open))))
            }
            (None, None) => {
                Ok(Effect::new("the meter says that it did it, and nothing confirms it: it does not show its valve"))
            }
            (None, Some(state)) => {
                let what = format!("the meter says that it did it, but its valve is {}", words(state));
                Err(Undone::perhaps(NOT_SHOWN, what))
            }
            (Some(failure), shown) => {
                let now = shown.map(|state| format!("; now its valve is {}", words(state))).unwrap_or_default();
                let what = format!("the meter was told once, and its answer was lost ({failure}){now}");
                Err(Undone::perhaps(ANSWER_LOST, what))
            }
        }
    }

    /// Where the valve stands, once it stands where it should or time is up.
    async fn look(&mut self, port: &mut Port, valve: &Valve, open: bool) -> Option<bool> {
        let mut shown = None;
        for look in 0..LOOKS_MAX {
            if look > 0 {
                sleep(LOOK_PAUSE).await;
            }
            let Ok(frames) = self.readout(port, false).await else { return shown };
            shown = standing(valve, &frames);
            if shown == Some(open) || valve.state.is_none() {
                break;
            }
        }
        shown
    }
}

fn check_model(model: &Profile, frames: &[Vec<u8>]) -> Result<(), Undone> {
    let Some(meter) = frames.iter().find_map(|frame| meter_of(frame)) else {
        let what = "the meter does not say of which make it is, or says it encrypted: its valve is left alone";
        return Err(Undone::surely(UNSUPPORTED, what));
    };
    if model.is_of(meter) {
        return Ok(());
    }
    let MeterId { id, manufacturer, version, medium } = meter;
    let what = format!(
        "{id}.{manufacturer}.{version:02X}.{:02X} answers, which is no {}: its valve is left alone",
        medium.0, model.name
    );
    Err(Undone::surely(OTHER_METER, what))
}

fn meter_of(frame: &[u8]) -> Option<MeterId> {
    match plomb_mbus::decode(frame).ok()?.telegram.body {
        Body::Variable { header: Some(header), .. } => Some(header.meter),
        _ => None,
    }
}

fn standing(valve: &Valve, frames: &[Vec<u8>]) -> Option<bool> {
    let state = valve.state.as_ref()?;
    frames.iter().find_map(|frame| {
        let decoded = plomb_mbus::decode(frame).ok()?;
        decoded.records.iter().find_map(|record| state.of(record))
    })
}
