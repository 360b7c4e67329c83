//! What a gateway asks in one association: who the meter is, its clock, its registers, and what its load profile has
//! that the gateway has not.
//!
//! ```text
//! identity and clock ─► scalers and units (once for each firmware) ─► values ─► columns (once) ─► rows since …
//! ```
//!
//! Registers are named by OBIS code alone: an object that is no register is looked up in the meter's object list, once.

use super::config::Association;
use super::conversation::{Answer, Conversation, Request};
use crate::apdu::{AttributeDescriptor, DataAccessResult};
use crate::axdr::{DateTime, Value};
use crate::object::{CaptureObject, FromValue, Row, ScalerUnit, SortMethod, capture_objects, class, object_list};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use plomb_session::Obis;

/// How many attributes are asked for at once.
const LIST_COUNT: usize = 16;
/// The most columns of a profile.
pub const PROFILE_COLUMN_COUNT_MAX: usize = 64;
/// Objects that are remembered of a list.
const OBJECT_COUNT_MAX: usize = 8_192;

mod rows;

const PRESENT_ASSOCIATION: Obis = Obis([0, 0, 40, 0, 0, 255]);
const DEVICE_NAME: Obis = Obis([0, 0, 42, 0, 0, 255]);
const SERIAL_NUMBER: Obis = Obis([0, 0, 96, 1, 0, 255]);
const FIRMWARE: Obis = Obis([1, 0, 0, 2, 0, 255]);
const CLOCK: Obis = Obis([0, 0, 1, 0, 0, 255]);

/// What is wanted of a round.
#[derive(Clone, Debug, Default)]
pub struct RoundWish {
    /// The registers.
    pub registers: Vec<Obis>,
    /// The load profile.
    pub profile: Option<ProfileWish>,
}

/// Which rows of a profile are wanted.
#[derive(Clone, Copy, Debug)]
pub struct ProfileWish {
    /// The profile.
    pub instance: Obis,
    /// Rows later than this, Unix seconds.
    pub after_unix_s: i64,
    /// Rows up to this, Unix seconds.
    pub until_unix_s: i64,
}

/// What stays the same with a meter as long as its firmware does.
#[derive(Clone, Debug, Default)]
pub struct MeterModel {
    firmware: Option<Value>,
    /// The serial number and the logical device name, as they were told last.
    serial: Option<Value>,
    device_name: Option<Value>,
    classes: BTreeMap<Obis, u16>,
    listed: bool,
    scalers: BTreeMap<(u16, Obis), Option<ScalerUnit>>,
    columns: Vec<ColumnMeaning>,
    period_s: u32,
    /// How the profile's rows are sorted, in time where that can be said; `None`: first in, first out.
    sort_method: Option<SortMethod>,
}

/// A column of the load profile, with what its numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnMeaning {
    /// The attribute.
    pub object: CaptureObject,
    /// Its scaler and unit, of a register.
    pub scaler: Option<ScalerUnit>,
}

/// A register and what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The register.
    pub instance: Obis,
    /// What it said.
    pub result: Result<Measured, DataAccessResult>,
}

/// A register's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The object's class.
    pub class: u16,
    /// The value as sent.
    pub value: Value,
    /// Its scaler and unit, if it has one.
    pub scaler: Option<ScalerUnit>,
    /// When it was captured, of extended and demand registers.
    pub time: Option<DateTime>,
}

/// What came of a round.
#[derive(Clone, Debug, Default)]
pub struct RoundReport {
    /// The logical device name.
    pub device_name: Option<Value>,
    /// The serial number.
    pub serial: Option<Value>,
    /// The firmware.
    pub firmware: Option<Value>,
    /// The clock.
    pub clock: Option<DateTime>,
    /// The registers.
    pub registers: Vec<Asked>,
    /// The columns of the load profile.
    pub columns: Vec<ColumnMeaning>,
    /// Its capture period, in seconds.
    pub period_s: u32,
    /// Its rows, oldest first.
    pub rows: Vec<Row>,
    /// Rows that could not be read.
    pub odd_rows: usize,
    /// Up to when all rows that the meter has were fetched, Unix seconds.
    pub complete_until_unix_s: Option<i64>,
    /// Rows that lie after the end of the question, or have no time, or came twice: not taken.
    pub refused_rows: usize,
    /// Why the profile was not read.
    pub profile_error: Option<DataAccessResult>,
    /// Whether the serial number or the device name is the last one told, as it could not be read this time.
    pub identity_kept: bool,
    /// The conversation went on in another association, and who answered there is not who did before, or would not say.
    /// Nothing of the report may be used.
    pub is_mixed: bool,
}

/// The conversation.
#[derive(Clone, Debug)]
pub struct Round {
    wish: RoundWish,
    model: MeterModel,
    report: RoundReport,
    steps: VecDeque<Step>,
    /// Attributes that are asked for now, one by one or in lists.
    wanted: VecDeque<AttributeDescriptor>,
    asked: Vec<AttributeDescriptor>,
    got: BTreeMap<(u16, Obis, i8), Result<Value, DataAccessResult>>,
    lists: bool,
    /// The rows from here on are still to be fetched.
    from_unix_s: i64,
    to_unix_s: i64,
    entries: u32,
    by: By,
    ended: bool,
    /// Where in the report the rows of a time are.
    seen: BTreeMap<i64, Vec<usize>>,
    answered: usize,
    /// In another association than the first: who answers is to be asked before anything else.
    confirms: Option<AttributeDescriptor>,
}

/// How rows are asked for: by time, else by number, else all that the meter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Time,
    Number,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Identity,
    Scalers,
    Objects,
    ScalersAgain,
    Values,
    Columns,
    ColumnScalers,
    Rows,
    Entries,
}

impl Round {
    /// A round. `model` is what the last one gave back, or nothing.
    #[must_use]
    pub fn new(wish: RoundWish, model: MeterModel) -> Self {
        let from_unix_s = wish.profile.map_or(0, |profile| profile.after_unix_s.saturating_add(1));
        let steps = [Step::Identity, Step::Scalers, Step::Values, Step::Columns, Step::ColumnScalers, Step::Rows];
        Self {
            wish,
            model,
            report: RoundReport::default(),
            steps: steps.into(),
            wanted: VecDeque::new(),
            asked: Vec::new(),
            got: BTreeMap::new(),
            lists: true,
            from_unix_s,
            to_unix_s: from_unix_s,
            entries: 0,
            by: By::Time,
            ended: false,
            seen: BTreeMap::new(),
            answered: 0,
            confirms: None,
        }
    }

    /// What came of it, and what to give to the next round.
    #[must_use]
    pub fn into_parts(self) -> (RoundReport, MeterModel) {
        let (columns, period_s) = (self.model.columns.clone(), self.model.period_s);
        (RoundReport { columns, period_s, ..self.report }, self.model)
    }

    fn class_of(&self, instance: Obis) -> u16 {
        self.model.classes.get(&instance).copied().unwrap_or(class::REGISTER)
    }

    /// Puts the attributes of a step on the list; `false` where it has none.
    fn prepare(&mut self, step: Step) -> bool {
        let attributes: Vec<AttributeDescriptor> = match step {
            Step::Identity => vec![
                AttributeDescriptor::new(class::DATA, DEVICE_NAME, 2),
                AttributeDescriptor::new(class::DATA, SERIAL_NUMBER, 2),
                AttributeDescriptor::new(class::DATA, FIRMWARE, 2),
                AttributeDescriptor::new(class::CLOCK, CLOCK, 2),
            ],
            Step::Scalers | Step::ScalersAgain => {
                let instances = self.wish.registers.iter().map(|instance| (self.class_of(*instance), *instance));
                self.unknown_scalers(instances.collect())
            }
            Step::Objects => vec![AttributeDescriptor::new(class::ASSOCIATION, PRESENT_ASSOCIATION, 2)],
            Step::Values => {
                let of = |instance: &Obis| {
                    let class = self.class_of(*instance);
                    value_attributes(class).iter().map(move |attribute| (class, *attribute))
                };
                let registers = self.wish.registers.iter();
                registers
                    .flat_map(|instance| {
                        of(instance).map(|(class, attribute)| AttributeDescriptor::new(class, *instance, attribute))
                    })
                    .collect()
            }
            Step::Columns => match self.wish.profile {
                Some(profile) if self.model.columns.is_empty() => [3, 4, 5, 6]
                    .map(|attribute| AttributeDescriptor::new(class::PROFILE, profile.instance, attribute))
                    .into(),
                _ => Vec::new(),
            },
            Step::ColumnScalers => {
                let columns = self.model.columns.iter().filter(|column| column.scaler.is_none());
                self.unknown_scalers(
                    columns.map(|column| (column.object.attribute.class, column.object.attribute.instance)).collect(),
                )
            }
            Step::Entries => match self.wish.profile {
                Some(profile) => vec![AttributeDescriptor::new(class::PROFILE, profile.instance, 7)],
                None => Vec::new(),
            },
            Step::Rows => Vec::new(),
        };
        self.wanted = attributes.into();
        !self.wanted.is_empty()
    }

    fn unknown_scalers(&self, objects: Vec<(u16, Obis)>) -> Vec<AttributeDescriptor> {
        let mut attributes = Vec::new();
        for (class, instance) in objects {
            let Some(attribute) = scaler_attribute(class) else { continue };
            let attribute = AttributeDescriptor::new(class, instance, attribute);
            if !self.model.scalers.contains_key(&(class, instance)) && !attributes.contains(&attribute) {
                attributes.push(attribute);
            }
        }
        attributes
    }

    /// All attributes of a step were asked for.
    fn conclude(&mut self, step: Step) {
        let got = core::mem::take(&mut self.got);
        match step {
            Step::Identity => self.conclude_identity(&got),
            Step::Scalers | Step::ScalersAgain | Step::ColumnScalers => self.conclude_scalers(step, got),
            Step::Objects => {
                let list = got.into_values().next().and_then(Result::ok);
                self.model.listed = true;
                for object in list.iter().flat_map(object_list).take(OBJECT_COUNT_MAX) {
                    self.model.classes.insert(object.instance, object.class);
                }
            }
            Step::Values => {
                let registers = self.wish.registers.iter();
                self.report.registers = registers.map(|instance| self.asked(*instance, &got)).collect();
            }
            Step::Columns => self.conclude_columns(&got),
            Step::Entries => {
                // By number from the end: as many rows as the time since then has periods.
                match got.into_values().next() {
                    Some(Ok(entries)) => {
                        self.entries = entries.as_unsigned().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
                        self.by = By::Number;
                        self.steps.push_front(Step::Rows);
                    }
                    Some(Err(error)) => self.report.profile_error = Some(error),
                    None => {}
                }
            }
            Step::Rows => {}
        }
    }

    fn conclude_identity(&mut self, got: &BTreeMap<(u16, Obis, i8), Result<Value, DataAccessResult>>) {
        let find = |class, instance| got.get(&(class, instance, 2)).and_then(|result| result.as_ref().ok()).cloned();
        let told = [find(class::DATA, DEVICE_NAME), find(class::DATA, SERIAL_NUMBER)];
        let firmware = find(class::DATA, FIRMWARE);
        let differs =
            |known: &Option<Value>, told: &Option<Value>| matches!((known, told), (Some(a), Some(b)) if a != b);
        let other_firmware = differs(&self.model.firmware, &firmware);
        let known = [&self.model.device_name, &self.model.serial];
        if other_firmware || known.into_iter().zip(&told).any(|(known, told)| differs(known, told)) {
            // Another meter, or another program in it: what its numbers mean is asked anew.
            self.model = MeterModel::default();
        }
        let [device_name, serial] = told;
        self.report.identity_kept = device_name.is_none() && self.model.device_name.is_some()
            || serial.is_none() && self.model.serial.is_some();
        self.model.device_name = device_name.or(self.model.device_name.take());
        self.model.serial = serial.or(self.model.serial.take());
        self.model.firmware = firmware.clone().or(self.model.firmware.take());
        self.report.device_name.clone_from(&self.model.device_name);
        self.report.serial.clone_from(&self.model.serial);
        self.report.firmware = firmware;
        self.report.clock = find(class::CLOCK, CLOCK).and_then(|value| value.as_date_time());
    }

    fn conclude_scalers(&mut self, step: Step, got: BTreeMap<(u16, Obis, i8), Result<Value, DataAccessResult>>) {
        let mut strange = false;
        for ((class, instance, _), result) in got {
            match result {
                Ok(value) => {
                    self.model.scalers.insert((class, instance), ScalerUnit::from_value(&value));
                }
                // It may be of another class.
                Err(error)
                    if is_final(error) && step == Step::Scalers && !self.model.classes.contains_key(&instance) =>
                {
                    strange = true;
                }
                Err(error) if is_final(error) => {
                    self.model.scalers.insert((class, instance), None);
                }
                // Refused for now: the next round asks again.
                Err(_) => {}
            }
        }
        if strange && !self.model.listed {
            self.steps.push_front(Step::ScalersAgain);
            self.steps.push_front(Step::Objects);
        }
        if step == Step::ColumnScalers {
            self.scale_columns();
        }
    }

    /// Gives the columns the scalers that are known: those read for them, and those known from the registers.
    fn scale_columns(&mut self) {
        for column in &mut self.model.columns {
            let AttributeDescriptor { class, instance, attribute } = column.object.attribute;
            // The scaler is that of values: a status or a time has none.
            let is_value = value_attributes(class).first() == Some(&attribute) || attribute == 2;
            column.scaler = self.model.scalers.get(&(class, instance)).copied().flatten().filter(|_| is_value);
        }
    }

    fn conclude_columns(&mut self, got: &BTreeMap<(u16, Obis, i8), Result<Value, DataAccessResult>>) {
        let Some(profile) = self.wish.profile else { return };
        let find = |attribute| got.get(&(class::PROFILE, profile.instance, attribute));
        match find(3) {
            Some(Ok(value)) => {
                let columns = capture_objects(value).filter(|columns| !columns.is_empty()).unwrap_or_default();
                if columns.is_empty() {
                    self.report.profile_error = Some(DataAccessResult::TYPE_UNMATCHED);
                }
                let columns = columns.into_iter().take(PROFILE_COLUMN_COUNT_MAX);
                self.model.columns = columns.map(|object| ColumnMeaning { object, scaler: None }).collect();
                // Where all are known already, nothing more is asked.
                self.scale_columns();
            }
            Some(Err(error)) => self.report.profile_error = Some(*error),
            None => {}
        }
        let period = find(4).and_then(|result| result.as_ref().ok()).and_then(Value::as_unsigned);
        self.model.period_s = period.and_then(|period| u32::try_from(period).ok()).unwrap_or(0);
        let method = find(5).and_then(|result| SortMethod::from_value(result.as_ref().ok()?).ok());
        let object = find(6).and_then(|result| CaptureObject::from_value(result.as_ref().ok()?).ok());
        self.model.sort_method = method.map(|method| method.in_time(object.as_ref()));
    }

    fn asked(&self, instance: Obis, got: &BTreeMap<(u16, Obis, i8), Result<Value, DataAccessResult>>) -> Asked {
        let class = self.class_of(instance);
        let mut attributes = value_attributes(class).iter();
        let mut next = || attributes.next().and_then(|attribute| got.get(&(class, instance, *attribute)));
        let value = next().cloned().unwrap_or(Err(DataAccessResult::OBJECT_UNDEFINED));
        let time = next().and_then(|result| result.as_ref().ok()).and_then(Value::as_date_time);
        let scaler = self.model.scalers.get(&(class, instance)).copied().flatten();
        Asked { instance, result: value.map(|value| Measured { class, value, scaler, time }) }
    }
}

/// Whether the meter would say the same tomorrow: there is no such attribute, or this client may not see it.
fn is_final(error: DataAccessResult) -> bool {
    matches!(
        error,
        DataAccessResult::CLASS_INCONSISTENT
            | DataAccessResult::OBJECT_UNDEFINED
            | DataAccessResult::OBJECT_UNAVAILABLE
            | DataAccessResult::READ_WRITE_DENIED
    )
}

/// The attributes of a class's value: the value, then its time if it has one.
const fn value_attributes(class: u16) -> &'static [i8] {
    match class {
        class::EXTENDED_REGISTER => &[2, 5],
        class::DEMAND_REGISTER => &[3, 6],
        _ => &[2],
    }
}

/// The attribute with scaler and unit.
const fn scaler_attribute(class: u16) -> Option<i8> {
    match class {
        class::REGISTER | class::EXTENDED_REGISTER => Some(3),
        class::DEMAND_REGISTER => Some(4),
        _ => None,
    }
}

impl Conversation for Round {
    fn next(&mut self, association: &Association) -> Option<Request> {
        if self.report.is_mixed {
            return None;
        }
        if let Some(attribute) = self.confirms {
            return Some(Request::Get(attribute, None));
        }
        loop {
            let step = *self.steps.front()?;
            if step == Step::Rows {
                match self.rows_request() {
                    Some(request) => return Some(request),
                    None => {
                        self.steps.pop_front();
                        continue;
                    }
                }
            }
            if self.asked.is_empty() && self.wanted.is_empty() && self.got.is_empty() && !self.prepare(step) {
                self.steps.pop_front();
                continue;
            }
            if self.wanted.is_empty() {
                self.steps.pop_front();
                self.conclude(step);
                continue;
            }
            let at_once = if self.lists && association.with_list() { LIST_COUNT } else { 1 };
            self.asked = self.wanted.iter().take(at_once).copied().collect();
            return Some(match self.asked.as_slice() {
                [one] => Request::Get(*one, None),
                several => Request::GetList(several.to_vec()),
            });
        }
    }

    fn answered(&self) -> usize {
        self.answered
    }

    fn associated(&mut self, proven: bool) {
        let known = |value: &Option<Value>, instance| {
            value.is_some().then(|| AttributeDescriptor::new(class::DATA, instance, 2))
        };
        // Before the first answer there is nothing that another meter's could be mixed with.
        let of_before = (self.answered > 0 && !proven).then_some(&self.report);
        self.confirms = of_before.and_then(|report| {
            known(&report.serial, SERIAL_NUMBER).or_else(|| known(&report.device_name, DEVICE_NAME))
        });
    }

    fn answer(&mut self, answer: Answer) {
        if let Some(asked) = self.confirms.take() {
            let before = if asked.instance == SERIAL_NUMBER { &self.report.serial } else { &self.report.device_name };
            let Answer::Values(values) = answer else {
                self.report.is_mixed = true;
                return;
            };
            self.report.is_mixed = values.first().and_then(|result| result.as_ref().ok()) != before.as_ref();
            return;
        }
        self.answered = self.answered.saturating_add(1);
        if self.steps.front() == Some(&Step::Rows) {
            self.steps.pop_front();
            self.take_rows(match answer {
                Answer::Values(values) => values.into_iter().next().unwrap_or(Err(DataAccessResult(250))),
                _ => Err(DataAccessResult(250)),
            });
            return;
        }
        let asked = core::mem::take(&mut self.asked);
        let results = match answer {
            Answer::Values(values) if values.len() == asked.len() => values,
            // A meter that promises lists and can't: one by one from now on.
            _ if asked.len() > 1 => {
                self.lists = false;
                return;
            }
            _ => vec![Err(DataAccessResult(250)); asked.len()],
        };
        for (attribute, result) in asked.into_iter().zip(results) {
            self.wanted.pop_front();
            self.got.insert((attribute.class, attribute.instance, attribute.attribute), result);
        }
    }
}
