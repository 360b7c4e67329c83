//! Time of use: activity calendar (class 20) and special days (class 11).

use super::attribute::{Call, Change, interface};
use super::read::{Octets, structure};
use crate::axdr::{Date, DateTime, Time, Value};
use alloc::vec;
use alloc::vec::Vec;
use plomb_session::Obis;

interface! {
    /// Activity calendar: seasons of weeks of days of switching times (IEC 62056-6-2 §5.5.5). The active one holds, the
    /// passive one takes its place at a time.
    ActivityCalendar = 20 "activity calendar"
    attributes {
        /// The name of what holds.
        calendar_name_active = 2: Octets,
        /// The seasons.
        season_profile_active = 3: Vec<Season>,
        /// The weeks that seasons name.
        week_profile_table_active = 4: Vec<Week>,
        /// The days that weeks name.
        day_profile_table_active = 5: Vec<Day>,
        /// The name of what comes.
        calendar_name_passive = 6: Octets,
        /// Its seasons.
        season_profile_passive = 7: Vec<Season>,
        /// Its weeks.
        week_profile_table_passive = 8: Vec<Week>,
        /// Its days.
        day_profile_table_passive = 9: Vec<Day>,
        /// When the passive takes the active's place; `None` for never.
        activate_passive_calendar_time = 10: Option<DateTime>,
    }
    methods { activate_passive_calendar = 1, }
}

structure! {
    /// A season: from its start on, a week repeats.
    Season {
        /// Its name.
        season_profile_name: Octets,
        /// When it begins; the year is open where it comes each year.
        season_start: Option<DateTime>,
        /// The name of its week.
        week_name: Octets,
    }
}

structure! {
    /// Which day each weekday is like.
    Week {
        /// Its name.
        week_profile_name: Octets,
        /// The number of Monday's day.
        monday: u8,
        /// Tuesday's.
        tuesday: u8,
        /// Wednesday's.
        wednesday: u8,
        /// Thursday's.
        thursday: u8,
        /// Friday's.
        friday: u8,
        /// Saturday's.
        saturday: u8,
        /// Sunday's.
        sunday: u8,
    }
}

structure! {
    /// A day: what is done at which time.
    Day {
        /// Its number.
        day_id: u8,
        /// The switching times.
        day_schedule: Vec<DayAction>,
    }
}

structure! {
    /// A switching time.
    DayAction {
        /// From when.
        start_time: Time,
        /// The script table.
        script_logical_name: Obis,
        /// The script's number; by custom the tariff's.
        script_selector: u16,
    }
}

interface! {
    /// Special days: dates that are like another day than their weekday's (§5.5.4).
    SpecialDays = 11 "special days table"
    attributes {
        /// The dates.
        entries = 2: Vec<SpecialDay>,
    }
    methods { insert = 1, delete = 2, }
}

structure! {
    /// A date, and which day it is like.
    SpecialDay {
        /// The entry's number.
        index: u16,
        /// The date; the year is open where it comes each year.
        specialday_date: Date,
        /// The number of the day in the activity calendar.
        day_id: u8,
    }
}

impl ActivityCalendar {
    /// Puts the passive calendar in the active one's place now.
    #[must_use]
    pub const fn activate_passive_calendar(self) -> Call {
        Call::new(Self::CLASS, self.0, 1, Value::Integer(0))
    }

    /// Names what comes.
    #[must_use]
    pub fn set_calendar_name_passive(self, name: &[u8]) -> Change {
        self.calendar_name_passive().change(Value::OctetString(name.to_vec()))
    }

    /// Gives the seasons of what comes.
    #[must_use]
    pub fn set_season_profile_passive(self, seasons: &[Season]) -> Change {
        self.season_profile_passive().change(Value::Array(seasons.iter().map(Season::to_value).collect()))
    }

    /// Gives the weeks of what comes.
    #[must_use]
    pub fn set_week_profile_table_passive(self, weeks: &[Week]) -> Change {
        self.week_profile_table_passive().change(Value::Array(weeks.iter().map(Week::to_value).collect()))
    }

    /// Gives the days of what comes.
    #[must_use]
    pub fn set_day_profile_table_passive(self, days: &[Day]) -> Change {
        self.day_profile_table_passive().change(Value::Array(days.iter().map(Day::to_value).collect()))
    }

    /// Says when the passive calendar takes the active one's place; `None` for never.
    #[must_use]
    pub fn set_activate_passive_calendar_time(self, time: Option<DateTime>) -> Change {
        self.activate_passive_calendar_time().change(date_time(time))
    }
}

/// A date-time as an octet string; all parts open where there is none.
fn date_time(time: Option<DateTime>) -> Value {
    Value::OctetString(time.map_or([0xFF; 12], DateTime::to_bytes).to_vec())
}

impl Season {
    /// The season as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let Self { season_profile_name, season_start, week_name } = self;
        let name = |name: &Octets| Value::OctetString(name.0.clone());
        Value::Structure(vec![name(season_profile_name), date_time(*season_start), name(week_name)])
    }
}

impl Day {
    /// The day as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let action = |action: &DayAction| {
            let script = Value::OctetString(action.script_logical_name.0.to_vec());
            let start = Value::OctetString(action.start_time.to_bytes().to_vec());
            Value::Structure(vec![start, script, Value::LongUnsigned(action.script_selector)])
        };
        Value::Structure(vec![
            Value::Unsigned(self.day_id),
            Value::Array(self.day_schedule.iter().map(action).collect()),
        ])
    }
}

impl Week {
    /// The week as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut fields = vec![Value::OctetString(self.week_profile_name.0.clone())];
        fields.extend(self.days().map(Value::Unsigned));
        Value::Structure(fields)
    }

    /// The numbers of the days, Monday first.
    #[must_use]
    pub const fn days(&self) -> [u8; 7] {
        let Self { monday, tuesday, wednesday, thursday, friday, saturday, sunday, .. } = self;
        [*monday, *tuesday, *wednesday, *thursday, *friday, *saturday, *sunday]
    }
}

impl SpecialDays {
    /// Adds an entry, or changes the one with its number.
    #[must_use]
    pub fn insert(self, day: &SpecialDay) -> Call {
        let date = Value::OctetString(day.specialday_date.to_bytes().to_vec());
        let entry = vec![Value::LongUnsigned(day.index), date, Value::Unsigned(day.day_id)];
        Call::new(Self::CLASS, self.0, 1, Value::Structure(entry))
    }

    /// Takes an entry away.
    #[must_use]
    pub const fn delete(self, index: u16) -> Call {
        Call::new(Self::CLASS, self.0, 2, Value::LongUnsigned(index))
    }
}
