//! What a meter does by itself, and when: script table (class 9) and single action schedule (class 22).

use super::attribute::{Call, interface};
use super::read::{codes, structure};
use crate::axdr::{Date, Time, Value};
use alloc::vec::Vec;
use plomb_session::Obis;

interface! {
    /// Script table: lists of actions, by number (IEC 62056-6-2 §5.5.2).
    ScriptTable = 9 "script table"
    attributes {
        /// The scripts.
        scripts = 2: Vec<Script>,
    }
    methods { execute = 1, }
}

structure! {
    /// A list of actions.
    Script {
        /// Its number, from 1.
        script_identifier: u16,
        /// What it does.
        actions: Vec<ScriptAction>,
    }
}

structure! {
    /// One action of a script.
    ScriptAction {
        /// Whether an attribute is written or a method called.
        service_id: ScriptService,
        /// The object's class.
        class_id: u16,
        /// The object.
        logical_name: Obis,
        /// Which attribute or method.
        index: i8,
        /// The value, or the parameters.
        parameter: Value,
    }
}

codes! {
    /// What an action does.
    ScriptService {
        /// Writes an attribute.
        WRITE = 1 "write attribute",
        /// Calls a method.
        EXECUTE = 2 "execute method",
    }
}

interface! {
    /// Single action schedule: one script at given times (§5.5.6).
    SingleActionSchedule = 22 "single action schedule"
    attributes {
        /// What is done.
        executed_script = 2: ScriptSelection,
        /// How the times are meant.
        schedule_type = 3: ScheduleType,
        /// When.
        execution_time = 4: Vec<ExecutionTime>,
    }
    methods {}
}

structure! {
    /// A script of a table.
    ScriptSelection {
        /// The table.
        script_logical_name: Obis,
        /// The script's number.
        script_selector: u16,
    }
}

structure! {
    /// When a schedule acts; parts that repeat are open.
    ExecutionTime {
        /// The time of day.
        time: Time,
        /// The date.
        date: Date,
    }
}

codes! {
    /// How the times of a schedule are meant.
    ScheduleType {
        /// One time; the date may be open.
        ONE_TIME_OPEN_DATE = 1 "one time, open dates",
        /// Several dates at one time of day, none open.
        SAME_TIME = 2 "same time, no open dates",
        /// Several dates at one time of day, some open.
        SAME_TIME_OPEN_DATES = 3 "same time, open dates",
        /// Several dates and times, no date open.
        ANY_TIME = 4 "different times, no open dates",
        /// Several dates and times, some dates open.
        ANY_TIME_OPEN_DATES = 5 "different times, open dates",
    }
}

impl ScriptTable {
    /// Has the meter do a script.
    #[must_use]
    pub const fn execute(self, script: u16) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::LongUnsigned(script))
    }
}
