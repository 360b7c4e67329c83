//! The text of a tariff calendar: seasons of weeks of days of switching times, for a DLMS meter's activity calendar.
//!
//! ```toml
//! format = 1
//! name = "WINTER26"
//! activate = "now"
//!
//! [[season]]
//! name = "W"
//! start = "10-01"
//! week = "ALL"
//!
//! [[week]]
//! name = "ALL"
//! days = [1, 1, 1, 1, 1, 1, 2]
//!
//! [[day]]
//! id = 1
//! switch = [{ at = "06:00", tariff = 1 }, { at = "22:00", tariff = 2 }]
//!
//! [[day]]
//! id = 2
//! switch = [{ at = "00:00", tariff = 2 }]
//! ```

use std::collections::BTreeSet;

use plomb_dlms::{
    axdr::{ClockStatus, Date, DateTime, DayOfWeek, Time},
    object::{Day, DayAction, Octets, Season, Week},
};
use plomb_session::Obis;
use serde::Deserialize;
use toml::Spanned;

/// The longest text of a tariff calendar, in bytes.
pub const TARIFF_BYTES_MAX: usize = 32 * 1024;
/// The longest name of a calendar, a season or a week, in bytes.
pub const NAME_BYTES_MAX: usize = 32;
/// The most seasons, and the most weeks.
pub const SEASONS_MAX: usize = 16;
/// The most days.
pub const DAYS_MAX: usize = 32;
/// The most switching times of a day.
pub const SWITCHES_MAX: usize = 16;
/// The only format so far.
const FORMAT: u32 = 1;
/// The script table that most meters switch tariffs by.
const TARIFF_SCRIPTS: Obis = Obis([0, 0, 10, 0, 100, 255]);
/// A part of a date or time that is left open.
const OPEN: u8 = 0xFF;
const OPEN_YEAR: u16 = 0xFFFF;
/// A deviation that is not stated: the meter's own.
const OPEN_DEVIATION: i16 = i16::MIN;
/// Not a leap year: a season that comes each year can't begin on the 29th of February.
const COMMON_YEAR: u16 = 2001;

/// A tariff calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// The calendar's name.
    pub name: String,
    /// When it comes into force, in the meter's own time; `None` for at once.
    pub activate: Option<DateTime>,
    /// The seasons.
    pub seasons: Vec<Season>,
    /// The weeks that seasons name.
    pub weeks: Vec<Week>,
    /// The days that weeks name.
    pub days: Vec<Day>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Spanned<u32>,
    name: Spanned<String>,
    activate: Spanned<String>,
    script: Option<Spanned<String>>,
    season: Spanned<Vec<SeasonEntry>>,
    week: Spanned<Vec<WeekEntry>>,
    day: Spanned<Vec<DayEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeasonEntry {
    name: Spanned<String>,
    start: Spanned<String>,
    week: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WeekEntry {
    name: Spanned<String>,
    days: Spanned<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DayEntry {
    id: Spanned<u8>,
    switch: Spanned<Vec<SwitchEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchEntry {
    at: Spanned<String>,
    tariff: u16,
}

/// The text, to say where something is wrong.
struct Source<'a>(&'a str);

impl Tariff {
    /// Reads a tariff calendar's text. Strict: what it does not know or can't be is refused.
    ///
    /// # Errors
    /// Line, column and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let source = Source(text);
        if text.len() > TARIFF_BYTES_MAX {
            return Err(source.wrong(0, format!("a tariff calendar has at most {TARIFF_BYTES_MAX} bytes")));
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            source.wrong(at, error.message().replace('\n', " "))
        })?;
        if *file.format.get_ref() != FORMAT {
            return Err(source.at(&file.format, format!("format {FORMAT} is the only one known")));
        }
        source.name(&file.name)?;
        let activate = match file.activate.get_ref().as_str() {
            "now" => None,
            text => Some(moment(text).ok_or_else(|| {
                source.at(&file.activate, "write \"now\", or a date and time of the meter, as \"2027-01-01 00:00\"")
            })?),
        };
        let script = match &file.script {
            None => TARIFF_SCRIPTS,
            Some(text) => text.get_ref().parse().map_err(|error| source.at(text, format!("{error}")))?,
        };
        let days = source.days(&file.day, script)?;
        let weeks = source.weeks(&file.week, &days)?;
        let seasons = source.seasons(&file.season, &weeks)?;
        Ok(Self { name: file.name.into_inner(), activate, seasons, weeks, days })
    }
}

impl Source<'_> {
    fn wrong(&self, at: usize, what: impl std::fmt::Display) -> String {
        let before = self.0.get(..at).unwrap_or(self.0);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        format!("tariff calendar, line {line}, column {column}: {what}")
    }

    fn at<T>(&self, place: &Spanned<T>, what: impl std::fmt::Display) -> String {
        self.wrong(place.span().start, what)
    }

    fn name(&self, name: &Spanned<String>) -> Result<(), String> {
        let text = name.get_ref();
        if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        Err(self.at(name, format!("a name has 1 to {NAME_BYTES_MAX} characters of ASCII, without blanks")))
    }

    fn counted<T>(&self, list: &Spanned<Vec<T>>, what: &str, most: usize) -> Result<(), String> {
        if (1..=most).contains(&list.get_ref().len()) {
            return Ok(());
        }
        Err(self.at(list, format!("{what}: 1 to {most}, not {}", list.get_ref().len())))
    }

    fn days(&self, entries: &Spanned<Vec<DayEntry>>, script: Obis) -> Result<Vec<Day>, String> {
        self.counted(entries, "days", DAYS_MAX)?;
        let mut known = BTreeSet::new();
        let day = |entry: &DayEntry| {
            if !known.insert(*entry.id.get_ref()) {
                return Err(self.at(&entry.id, format!("day {} is there twice", entry.id.get_ref())));
            }
            self.counted(&entry.switch, "switching times of a day", SWITCHES_MAX)?;
            let mut last: Option<[u8; 4]> = None;
            let action = |switch: &SwitchEntry| {
                let start_time = time(switch.at.get_ref())
                    .ok_or_else(|| self.at(&switch.at, "write a time of day as \"06:00\" or \"06:00:30\""))?;
                if last.is_some_and(|last| last >= start_time.to_bytes()) {
                    return Err(self.at(&switch.at, "switching times follow each other: this one is not later"));
                }
                last = Some(start_time.to_bytes());
                Ok(DayAction { start_time, script_logical_name: script, script_selector: switch.tariff })
            };
            let day_schedule = entry.switch.get_ref().iter().map(action).collect::<Result<_, _>>()?;
            Ok(Day { day_id: *entry.id.get_ref(), day_schedule })
        };
        entries.get_ref().iter().map(day).collect()
    }

    fn weeks(&self, entries: &Spanned<Vec<WeekEntry>>, days: &[Day]) -> Result<Vec<Week>, String> {
        self.counted(entries, "weeks", SEASONS_MAX)?;
        let mut known = BTreeSet::new();
        let week = |entry: &WeekEntry| {
            self.name(&entry.name)?;
            if !known.insert(entry.name.get_ref().clone()) {
                return Err(self.at(&entry.name, format!("week \"{}\" is there twice", entry.name.get_ref())));
            }
            let Ok(numbers) = <[u8; 7]>::try_from(entry.days.get_ref().as_slice()) else {
                let got = entry.days.get_ref().len();
                return Err(self.at(&entry.days, format!("a week has seven days, Monday first; here are {got}")));
            };
            if let Some(unknown) = numbers.iter().find(|number| days.iter().all(|day| day.day_id != **number)) {
                return Err(self.at(&entry.days, format!("no [[day]] has the id {unknown}")));
            }
            let [monday, tuesday, wednesday, thursday, friday, saturday, sunday] = numbers;
            let week_profile_name = Octets(entry.name.get_ref().clone().into_bytes());
            Ok(Week { week_profile_name, monday, tuesday, wednesday, thursday, friday, saturday, sunday })
        };
        entries.get_ref().iter().map(week).collect()
    }

    fn seasons(&self, entries: &Spanned<Vec<SeasonEntry>>, weeks: &[Week]) -> Result<Vec<Season>, String> {
        self.counted(entries, "seasons", SEASONS_MAX)?;
        let mut known = BTreeSet::new();
        let mut last: Option<DateTime> = None;
        let mut used = BTreeSet::new();
        let season = |entry: &SeasonEntry| {
            self.name(&entry.name)?;
            if !known.insert(entry.name.get_ref().clone()) {
                return Err(self.at(&entry.name, format!("season \"{}\" is there twice", entry.name.get_ref())));
            }
            let start = start(entry.start.get_ref()).ok_or_else(|| {
                let right =
                    "write month and day, as \"10-01\", or with a year \"2026-10-01\", or with a time \"10-01 02:00\"";
                self.at(&entry.start, right)
            })?;
            if let Some(last) = last {
                if (last.date.year == OPEN_YEAR) != (start.date.year == OPEN_YEAR) {
                    return Err(self.at(&entry.start, "either all seasons come each year, or all have a year"));
                }
                if last.to_bytes() >= start.to_bytes() {
                    return Err(self.at(&entry.start, "seasons follow each other: this one does not begin later"));
                }
            }
            last = Some(start);
            let week_name = Octets(entry.week.get_ref().clone().into_bytes());
            if weeks.iter().all(|week| week.week_profile_name != week_name) {
                return Err(self.at(&entry.week, format!("no [[week]] has the name \"{}\"", entry.week.get_ref())));
            }
            used.insert(week_name.0.clone());
            let season_profile_name = Octets(entry.name.get_ref().clone().into_bytes());
            Ok(Season { season_profile_name, season_start: Some(start), week_name })
        };
        let seasons = entries.get_ref().iter().map(season).collect::<Result<Vec<_>, _>>()?;
        match weeks.iter().find(|week| !used.contains(&week.week_profile_name.0)) {
            Some(week) => Err(self.at(entries, format!("no season names the week {}", week.week_profile_name))),
            None => Ok(seasons),
        }
    }
}

/// Two digits.
fn two(text: &str) -> Option<u8> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// `06:00` or `06:00:30`.
fn time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute) = (two(parts.next()?)?, two(parts.next()?)?);
    let second = parts.next().map_or(Some(0), two)?;
    let time = Time { hour, minute, second, hundredths: 0 };
    (parts.next().is_none() && time.milliseconds().is_some()).then_some(time)
}

/// `10-01`, each year, or `2026-10-01`.
fn date(text: &str) -> Option<Date> {
    let mut parts = text.rsplit('-');
    let (day, month) = (two(parts.next()?)?, two(parts.next()?)?);
    let year = match parts.next() {
        None => OPEN_YEAR,
        Some(year) if year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) => year.parse().ok()?,
        Some(_) => return None,
    };
    let checked =
        Date { year: if year == OPEN_YEAR { COMMON_YEAR } else { year }, month, day, day_of_week: DayOfWeek(OPEN) };
    (parts.next().is_none() && checked.unix_days().is_some()).then_some(Date { year, ..checked })
}

const fn local(date: Date, time: Time) -> DateTime {
    DateTime { date, time, deviation: OPEN_DEVIATION, status: ClockStatus::NONE }
}

/// A date with a time, or without one: midnight.
fn start(text: &str) -> Option<DateTime> {
    let (day, of_day) = match text.split_once(' ') {
        Some((day, of_day)) => (day, time(of_day)?),
        None => (text, Time { hour: 0, minute: 0, second: 0, hundredths: 0 }),
    };
    Some(local(date(day)?, of_day))
}

/// A date with its year, and a time.
fn moment(text: &str) -> Option<DateTime> {
    let (day, of_day) = text.split_once(' ')?;
    let day = date(day).filter(|day| day.year != OPEN_YEAR)?;
    Some(local(day, time(of_day)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use plomb_dlms::object::{ActivityCalendar, FromValue};
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"format = 1
name = "WINTER26"
activate = "now"

[[season]]
name = "S"
start = "04-01"
week = "ALL"

[[season]]
name = "W"
start = "10-25 02:00"
week = "SUNDAYS"

[[week]]
name = "ALL"
days = [1, 1, 1, 1, 1, 1, 1]

[[week]]
name = "SUNDAYS"
days = [1, 1, 1, 1, 1, 1, 2]

[[day]]
id = 1
switch = [{ at = "06:00", tariff = 1 }, { at = "22:00", tariff = 2 }]

[[day]]
id = 2
switch = [{ at = "00:00", tariff = 2 }]
"#;

    #[test]
    fn a_calendar_becomes_what_the_meter_reads() {
        let tariff = Tariff::parse(GOOD).unwrap();
        assert_eq!((tariff.name.as_str(), tariff.activate), ("WINTER26", None));
        let calendar = ActivityCalendar(Obis([0, 0, 13, 0, 0, 255]));
        let seasons = calendar.set_season_profile_passive(&tariff.seasons);
        assert_eq!(Vec::<Season>::from_value(&seasons.value).unwrap(), tariff.seasons);
        let weeks = calendar.set_week_profile_table_passive(&tariff.weeks);
        assert_eq!(Vec::<Week>::from_value(&weeks.value).unwrap(), tariff.weeks);
        let days = calendar.set_day_profile_table_passive(&tariff.days);
        assert_eq!(Vec::<Day>::from_value(&days.value).unwrap(), tariff.days);
        let starts: Vec<_> = tariff.seasons.iter().filter_map(|season| season.season_start).collect();
        assert_eq!(
            starts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["****-04-01T00:00:00", "****-10-25T02:00:00"]
        );
        let later = Tariff::parse(&GOOD.replace("\"now\"", "\"2027-01-01 00:00\"")).unwrap();
        assert_eq!(later.activate.unwrap().to_string(), "2027-01-01T00:00:00");
    }

    #[test]
    fn the_documented_calendar_is_taken() {
        let page = include_str!("../../../../docs/operations.md");
        let example = page.split("**Tariff calendar.**").nth(1).and_then(|rest| rest.split("```").nth(1)).unwrap();
        let tariff = Tariff::parse(example.strip_prefix("toml").unwrap()).unwrap();
        assert_eq!((tariff.name.as_str(), tariff.seasons.len(), tariff.days.len()), ("WINTER26", 1, 2));
    }

    #[test]
    fn what_is_wrong_names_line_column_and_what_would_be_right() {
        for (from, to, told) in [
            ("format = 1", "format = 2", "line 1, column 10: format 1 is the only one known"),
            ("WINTER26", "WINTER 26", "line 2, column 8: a name has 1 to 32 characters"),
            ("\"now\"", "\"soon\"", "line 3, column 12: write \"now\""),
            ("\"now\"", "\"01-01 00:00\"", "line 3, column 12: write \"now\""),
            ("start = \"04-01\"", "start = \"04-31\"", "line 7, column 9: write month and day"),
            ("start = \"04-01\"", "start = \"02-29\"", "line 7, column 9: write month and day"),
            ("start = \"04-01\"", "start = \"11-01\"", "line 12, column 9: seasons follow each other"),
            ("start = \"04-01\"", "start = \"2026-04-01\"", "line 12, column 9: either all seasons come each year"),
            ("week = \"SUNDAYS\"", "week = \"HOLIDAYS\"", "line 13, column 8: no [[week]] has the name \"HOLIDAYS\""),
            ("week = \"SUNDAYS\"", "week = \"ALL\"", "no season names the week \"SUNDAYS\""),
            ("name = \"W\"", "name = \"S\"", "line 11, column 8: season \"S\" is there twice"),
            ("1, 1, 2]", "1, 2]", "line 21, column 8: a week has seven days, Monday first; here are 6"),
            ("1, 1, 2]", "1, 1, 3]", "line 21, column 8: no [[day]] has the id 3"),
            ("1, 1, 2]", "1, 1, 300]", "line 21, column 27"),
            ("id = 2", "id = 1", "line 28, column 6: day 1 is there twice"),
            ("\"22:00\"", "\"05:00\"", "line 25, column 48: switching times follow each other"),
            ("\"22:00\"", "\"24:00\"", "line 25, column 48: write a time of day"),
            ("tariff = 1 }", "tarif = 1 }", "line 25, column 27: unknown field `tarif`"),
            ("[[day]]\nid = 1", "[[dey]]\nid = 1", "unknown field `dey`"),
        ] {
            let error = Tariff::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(told), "{from} -> {to}: {error}");
        }
        assert!(Tariff::parse(&" ".repeat(TARIFF_BYTES_MAX + 1)).unwrap_err().contains("at most"));
        assert!(Tariff::parse("").is_err());
    }

    proptest! {
        /// Anything is either refused with its place, or a calendar whose parts belong together.
        #[test]
        fn mutilated_text_is_refused_or_whole(cuts in prop::collection::vec((0usize..GOOD.len(), ".{0,3}"), 1..4)) {
            let mut text = GOOD.to_string();
            for (at, put) in cuts {
                if text.is_char_boundary(at.min(text.len())) && text.is_char_boundary((at + 1).min(text.len())) {
                    text.replace_range(at.min(text.len())..(at + 1).min(text.len()), &put);
                }
            }
            match Tariff::parse(&text) {
                Err(error) => prop_assert!(error.starts_with("tariff calendar, line "), "{}", error),
                Ok(tariff) => {
                    for week in &tariff.weeks {
                        for number in week.days() {
                            prop_assert!(tariff.days.iter().any(|day| day.day_id == number));
                        }
                    }
                    for season in &tariff.seasons {
                        prop_assert!(tariff.weeks.iter().any(|week| week.week_profile_name == season.week_name));
                    }
                }
            }
        }
    }
}
