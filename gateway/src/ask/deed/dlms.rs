//! What a DLMS meter can be told to do: its switch, its clock, its token gateway, its tariff calendar.
//!
//! A change is asked for once ([`Errand`]). Where its answer is lost, the meter is looked at: what its switch, clock or
//! calendar shows decides, and what it does not show stays unknown. A token decides nothing that way: the meter may
//! show the one before.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use plomb_dlms::{
    apdu::{ActionResult, AttributeDescriptor, DataAccessResult},
    axdr::{DateTime, Value},
    client::{Errand, Fate, Looked, Refusal, Request},
    object::{
        ActivityCalendar, Attribute, Call, Change, Clock, ControlState, DisconnectControl, FromValue, Octets,
        TokenGateway, TokenStatus,
    },
};
use plomb_seal::{Clock as ClockState, Reason};
use plomb_session::Obis;
use tokio::time::sleep;

use super::{
    ANSWER_LOST, CLOCK_UNSET, Effect, Instruction, KEY, NOT_REACHED, NOT_SHOWN, REFUSED, Token, UNSUPPORTED, Undone,
    clock::{Form, off_by},
    tariff::Tariff,
};
use crate::{
    ask::{
        dlms::{DlmsMeter, Held},
        port::Port,
    },
    clock::unix_ms,
};

/// The clock of nearly every meter.
const CLOCK: Obis = Obis([0, 0, 1, 0, 0, 255]);
/// How often a meter is looked at again that does not show yet what it said it did: a switch has a motor.
const LOOKS_MAX: u32 = 4;
/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// What a clock may differ from what it was set to, beside the time that passed, in milliseconds: it shows whole seconds.
const CLOCK_TOLERANCE_MS: i64 = 2000;

/// What is told of a deed that a meter claims, and shows nothing of.
const UNCONFIRMED: &str = "the meter says that it did it, and nothing confirms it: what it should show, it does not";

/// What a meter shows of a deed.
enum Shown {
    /// It was done.
    Done(Effect),
    /// It was done, if the meter says so: it might show the same without.
    Likely(Effect),
    /// Not yet, or not at all.
    NotYet(String),
    /// The meter did not take it.
    Refused(String),
    /// It shows nothing of it.
    Nothing,
}

/// What a deed is made of.
struct Plan<'a> {
    before: Vec<AttributeDescriptor>,
    changes: plomb_dlms::client::Plan,
    after: Vec<AttributeDescriptor>,
    /// What each change does, in words; the last is the one that counts. Fewer may be planned: the first are left out.
    steps: &'a [&'static str],
}

impl DlmsMeter {
    /// Has the meter do something, once.
    ///
    /// # Errors
    /// Why it was not done, or that this is unknown.
    pub async fn carry_out(&mut self, port: &mut Port, instruction: &Instruction) -> Result<Effect, Undone> {
        match instruction {
            Instruction::Disconnect => self.switch(port, false).await,
            Instruction::Reconnect => self.switch(port, true).await,
            Instruction::SyncClock => self.sync_clock(port).await,
            Instruction::Credit { token } => self.enter(port, token).await,
            Instruction::SetTariff { tariff } => self.set_tariff(port, tariff).await,
            Instruction::Read | Instruction::Valve { .. } => Err(Undone::unsupported(instruction, "a DLMS meter")),
        }
    }

    async fn switch(&mut self, port: &mut Port, connect: bool) -> Result<Effect, Undone> {
        let control = DisconnectControl(self.operated.disconnect);
        let call = if connect { control.remote_reconnect() } else { control.remote_disconnect() };
        let plan = Plan {
            before: Vec::new(),
            changes: Box::new(move |_| Ok(vec![action(call)])),
            after: vec![control.output_state().into(), control.control_state().into()],
            steps: &["switching"],
        };
        self.accomplish(port, plan, |errand| {
            let output = read(control.output_state(), errand.shown(), 0);
            let state = read(control.control_state(), errand.shown(), 1);
            let output = output.or(state.map(|state| state == ControlState::CONNECTED));
            let Some(connected) = output else { return Shown::Nothing };
            let words = if connected { "the supply is connected" } else { "the supply is disconnected" };
            let state_words = state.map(|state| format!(" (control state: {state})")).unwrap_or_default();
            let detail = format!("{words}{state_words}");
            match state {
                _ if connected == connect => Shown::Done(Effect { detail, connected: Some(connected) }),
                Some(ControlState::READY_FOR_RECONNECTION) if connect => {
                    let detail = "the meter is ready for reconnection: someone must close its switch by hand".into();
                    Shown::Done(Effect { detail, connected: Some(false) })
                }
                _ => Shown::NotYet(detail),
            }
        })
        .await
    }

    async fn sync_clock(&mut self, port: &mut Port) -> Result<Effect, Undone> {
        if let Some(stamp) = self.clock.as_ref().map(|clock| clock.stamp())
            && stamp.clock == ClockState::Unset
        {
            let what = "the gateway's own clock was not set by a time service since its start: no meter is set by it";
            return Err(Undone::surely(CLOCK_UNSET, what));
        }
        let clock = Clock(CLOCK);
        // How the clock was, and when it was set.
        let was = Arc::new(OnceLock::<(Form, DateTime, i64)>::new());
        let seen = was.clone();
        let changes = move |found: &[Looked]| {
            let now_ms = unix_ms();
            let value = match found.first() {
                Some(Ok(value)) => value,
                Some(Err(why)) => return Err(format!("its clock can't be read: data-access-result {why}")),
                None => return Err("its clock can't be read".into()),
            };
            let told = clock.time().read(value).map_err(|error| error.to_string())?;
            let form = Form::of(told, read(clock.time_zone(), found, 1), now_ms)?;
            let time = form.write(now_ms, told).ok_or("no such time in the form of its clock")?;
            let _ = seen.set((form, told, now_ms));
            let change = match value {
                Value::DateTime(_) => clock.time().change(Value::DateTime(time)),
                _ => clock.set_time(time),
            };
            Ok(vec![set(change)])
        };
        let plan = Plan {
            before: vec![clock.time().into(), clock.time_zone().into()],
            changes: Box::new(changes),
            after: vec![clock.time().into()],
            steps: &["setting the clock"],
        };
        self.accomplish(port, plan, |errand| {
            let (Some(shown), Some((form, told, set_ms))) = (read(clock.time(), errand.shown(), 0), was.get()) else {
                return Shown::Nothing;
            };
            let Some(shown_ms) = form.unix_ms(shown) else { return Shown::Nothing };
            let right = set_ms - CLOCK_TOLERANCE_MS..=unix_ms() + CLOCK_TOLERANCE_MS;
            if !right.contains(&shown_ms) {
                return Shown::NotYet(format!("its clock shows {shown}"));
            }
            let before = form.unix_ms(*told).map(|ms| format!("; {}", off_by(ms, *set_ms))).unwrap_or_default();
            Shown::Done(Effect::new(format!("its clock is set and shows {shown}{before}")))
        })
        .await
    }

    async fn enter(&mut self, port: &mut Port, token: &Token) -> Result<Effect, Undone> {
        let gateway = TokenGateway(self.operated.token);
        let call = gateway.enter(token.as_str().as_bytes().to_vec());
        let plan = Plan {
            before: Vec::new(),
            changes: Box::new(move |_| Ok(vec![action(call)])),
            after: vec![gateway.token_status().into()],
            steps: &["entering the token"],
        };
        self.accomplish(port, plan, |errand| {
            let returned = errand.returned().first().and_then(Option::as_ref);
            let returned = returned.and_then(|value| TokenStatus::from_value(value).ok());
            let Some(status) = read(gateway.token_status(), errand.shown(), 0).or(returned) else {
                return Shown::Nothing;
            };
            let code = status.status_code;
            match code.took_effect() {
                Some(true) => Shown::Likely(Effect::new(format!("the token took effect: {code}"))),
                Some(false) => Shown::Refused(format!("the meter does not take the token: {code}")),
                None => Shown::NotYet(format!("the meter says of the token: {code}")),
            }
        })
        .await
    }

    async fn set_tariff(&mut self, port: &mut Port, tariff: &Tariff) -> Result<Effect, Undone> {
        let calendar = ActivityCalendar(self.operated.calendar);
        let (name, activate) = (tariff.name.clone().into_bytes(), tariff.activate);
        let writes = [
            calendar.set_calendar_name_passive(&name),
            calendar.set_season_profile_passive(&tariff.seasons),
            calendar.set_week_profile_table_passive(&tariff.weeks),
            calendar.set_day_profile_table_passive(&tariff.days),
        ];
        let into_force = match activate {
            None => action(calendar.activate_passive_calendar()),
            Some(_) => set(calendar.set_activate_passive_calendar_time(activate)),
        };
        let was = Arc::new(OnceLock::<Octets>::new());
        let seen = was.clone();
        let changes = move |found: &[Looked]| {
            if let Some(active) = read(calendar.calendar_name_active(), found, 0) {
                let _ = seen.set(active);
            }
            // What is written piece by piece must not come into force by an earlier order's time.
            let armed = read(calendar.activate_passive_calendar_time(), found, 1).flatten();
            let armed = armed.filter(|time| time.local_ms().is_some());
            let disarm = armed.map(|_| calendar.set_activate_passive_calendar_time(None));
            Ok(disarm.into_iter().chain(writes).map(set).chain([into_force]).collect::<Vec<_>>())
        };
        let plan = Plan {
            before: vec![calendar.calendar_name_active().into(), calendar.activate_passive_calendar_time().into()],
            changes: Box::new(changes),
            after: vec![
                calendar.calendar_name_active().into(),
                calendar.calendar_name_passive().into(),
                calendar.activate_passive_calendar_time().into(),
            ],
            steps: &[
                "taking back an earlier time of activation",
                "writing the calendar's name",
                "writing the seasons",
                "writing the weeks",
                "writing the days",
                "activating the calendar",
            ],
        };
        self.accomplish(port, plan, |errand| {
            let text = |attribute, at| read::<Octets>(attribute, errand.shown(), at);
            let is_ours = |told: Option<&Octets>| told.map(|told| unpadded(&told.0) == name.as_slice());
            let active = text(calendar.calendar_name_active(), 0);
            if is_ours(active.as_ref()) == Some(true) {
                let effect = Effect::new(format!("the calendar {} is in force", Octets(name.clone())));
                let is_new = is_ours(was.get()) == Some(false);
                return if is_new { Shown::Done(effect) } else { Shown::Likely(effect) };
            }
            let passive = text(calendar.calendar_name_passive(), 1);
            let time = read(calendar.activate_passive_calendar_time(), errand.shown(), 2).flatten();
            match (activate, active) {
                (Some(wanted), _)
                    if is_ours(passive.as_ref()) == Some(true) && time.is_some_and(|time| same(time, wanted)) =>
                {
                    let detail =
                        format!("the calendar {} comes into force at {wanted}, the meter's time", Octets(name.clone()));
                    Shown::Done(Effect::new(detail))
                }
                (_, Some(active)) => Shown::NotYet(format!("the calendar {active} is in force")),
                (_, None) => Shown::Nothing,
            }
        })
        .await
    }

    /// Carries a plan out, and looks what has come of it.
    async fn accomplish(
        &mut self,
        port: &mut Port,
        plan: Plan<'_>,
        judge: impl Fn(&Errand) -> Shown,
    ) -> Result<Effect, Undone> {
        let Plan { before, changes, after, steps } = plan;
        let Held { conversation: errand, outcome, .. } =
            self.have(port, false, Errand::new(before, changes, after.clone())).await;
        let rule = match &outcome {
            Err((Reason::Key, _)) => KEY,
            _ => NOT_REACHED,
        };
        let mut failure = outcome.err().map(|(_, detail)| detail);
        let steps = steps.get(steps.len().saturating_sub(errand.planned())..).unwrap_or(steps);
        let lost = is_lost(errand.fate(), (rule, failure.as_deref()), steps)?;
        let mut shown = judge(&errand);
        for _ in 0..LOOKS_MAX {
            if failure.is_some() || !matches!(shown, Shown::NotYet(_)) {
                break;
            }
            sleep(LOOK_PAUSE).await;
            let held = self.have(port, false, Errand::look(after.clone())).await;
            failure = held.outcome.err().map(|(_, detail)| detail);
            if failure.is_none() {
                shown = judge(&held.conversation);
            }
        }
        let why = failure.map(|failure| format!(" ({failure})")).unwrap_or_default();
        let lost_words = format!("the meter was asked once, and its answer was lost{why}");
        match (lost, shown) {
            (false, Shown::Done(effect) | Shown::Likely(effect)) => Ok(effect),
            (false, Shown::Refused(what)) => Err(Undone::surely(REFUSED, what)),
            (false, Shown::NotYet(what)) => {
                Err(Undone::perhaps(NOT_SHOWN, format!("the meter says that it did it, but {what}")))
            }
            (false, Shown::Nothing) => Ok(Effect::new(UNCONFIRMED)),
            (true, Shown::Done(effect)) => {
                Ok(Effect { detail: format!("its answer was lost, and {}", effect.detail), ..effect })
            }
            (true, Shown::NotYet(what) | Shown::Refused(what) | Shown::Likely(Effect { detail: what, .. })) => {
                Err(Undone::perhaps(ANSWER_LOST, format!("{lost_words}; now {what}")))
            }
            (true, Shown::Nothing) => Err(Undone::perhaps(ANSWER_LOST, lost_words)),
        }
    }
}

/// Whether the answer to the change that counts was lost; else that the meter did all of it.
fn is_lost(fate: Fate, (rule, failure): (&'static str, Option<&str>), steps: &[&str]) -> Result<bool, Undone> {
    let at = |change: usize| match steps {
        [_] => String::new(),
        _ => format!(" ({}: the active one stays in force)", steps.get(change).unwrap_or(&"a change")),
    };
    let failure = failure.unwrap_or("no answer");
    match fate {
        Fate::Accepted => Ok(false),
        Fate::Lost { change } if change.saturating_add(1) >= steps.len() => Ok(true),
        Fate::Lost { change } => {
            Err(Undone::surely(ANSWER_LOST, format!("the meter's answer was lost{}: {failure}", at(change))))
        }
        Fate::BrokenOff { change } => {
            Err(Undone::surely(NOT_REACHED, format!("the meter was lost before the end{}: {failure}", at(change))))
        }
        Fate::Untouched => Err(Undone::surely(rule, failure)),
        Fate::Unplanned(why) => Err(Undone::surely(UNSUPPORTED, why)),
        Fate::Refused { change, why } => {
            let advice = match why {
                Refusal::Set(DataAccessResult(3)) | Refusal::Action(ActionResult(3)) => {
                    ": may this client do it? `client` and `authentication` say as whom the meter is asked"
                }
                Refusal::Set(DataAccessResult(4 | 9 | 11)) | Refusal::Action(ActionResult(4 | 9 | 11)) => {
                    ": is the object another one? It can be named in the meter's configuration"
                }
                _ => "",
            };
            Err(Undone::surely(REFUSED, format!("the meter refuses{}: {why}{advice}", at(change))))
        }
    }
}

fn action(call: Call) -> Request {
    Request::Action(call.method, Some(call.parameters))
}

fn set(change: Change) -> Request {
    Request::Set(change.attribute, change.value)
}

fn read<T>(attribute: Attribute<T>, told: &[Looked], at: usize) -> Option<T> {
    told.get(at).and_then(|told| told.as_ref().ok()).and_then(|value| attribute.read(value).ok())
}

/// A name without what a meter fills its place up with.
fn unpadded(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    name.get(..end).unwrap_or(name)
}

/// Whether two times are the same to the second; a meter may add day of the week, deviation and status.
fn same(one: DateTime, other: DateTime) -> bool {
    one.local_ms().is_some() && one.local_ms() == other.local_ms()
}
