//! What a meter's block may say, by the protocol of its line.

use std::collections::{BTreeMap, BTreeSet};

use plomb_mbus::SecondaryAddress;
use plomb_modbus::Maps;
use plomb_seal::Name;
use plomb_session::Obis;

use super::{
    Authentication, Bus, Config, Meter, Protocol, bounds,
    finding::{Findings, Table, Told},
};

/// How many lines are told to whoever names none that is there.
const BUSES_TOLD_MAX: usize = 8;
/// The longest name of a register map.
const MODEL_BYTES_MAX: usize = 64;
/// The most registers of one meter that are asked for.
pub const REGISTERS_MAX: usize = 200;
/// An element of a push that is no register.
const UNNAMED: &str = "-";
/// The highest address of a physical device and of a logical device: 14 bits.
const HDLC_ADDRESS_MAX: u16 = 0x3FFF;
/// The highest client: an HDLC address of one byte.
const CLIENT_MAX: u8 = 0x7F;
/// How far back a load profile may be fetched, in days: two years.
pub const BACKLOG_DAYS_MAX: u32 = 731;

/// Checks lines and meters, each by itself and beside the others.
pub(super) fn lines(config: &Config, found: &mut Findings) {
    let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for (place, bus) in config.bus.iter().enumerate() {
        let mut told = found.of(Table::Bus(place), format!("bus \"{}\":", bus.name));
        bus.check(&mut told);
        if !names.insert(bus.name.as_str()) {
            told.key("name", "its name is used by another bus");
        }
        if !ports.insert(bus.port.as_str()) {
            told.key("port", "its port is used by another bus");
        }
    }
}

pub(super) fn meters(config: &Config, found: &mut Findings) {
    let mut points = BTreeSet::new();
    let mut addresses = BTreeMap::new();
    let mut heard: BTreeMap<_, Vec<SecondaryAddress>> = BTreeMap::new();
    // Beside maps of its own only the gateway knows which there are.
    let only_shipped =
        config.gateway.modbus_profiles.is_none() && config.meter.iter().any(|meter| meter.model.is_some());
    let maps = if only_shipped { Maps::shipped().ok() } else { None };
    for (place, meter) in config.meter.iter().enumerate() {
        let mut told = found.of(Table::Meter(place), format!("meter \"{}\":", meter.point));
        if let Err(error) = meter.point.parse::<Name>() {
            told.key("point", format_args!("point: {error}"));
        } else if !points.insert(meter.point.as_str()) {
            told.key("point", "this point is given twice");
        }
        bounds::check_meter(meter, &mut told);
        let Some(bus) = config.bus.iter().find(|bus| bus.name == meter.bus) else {
            told.key("bus", no_bus(config, &meter.bus));
            continue;
        };
        check(meter, bus, &mut told);
        if let Some(model) = meter.model.as_ref().filter(|_| bus.protocol == Protocol::Modbus)
            && let Some(maps) = &maps
            && maps.by_name(model).is_none()
        {
            told.key("model", no_map(maps, model));
        }
        let address = (&bus.name, address(meter, bus.protocol));
        if let Some(other) = addresses.insert(address, &meter.point) {
            let key = meter.address_key(bus.protocol);
            told.key(key, format_args!("another meter on this bus has the same address: \"{other}\""));
            continue;
        }
        let id = meter.id.as_ref().filter(|_| bus.protocol == Protocol::Wmbus);
        if let Some(id) = id.and_then(|text| crate::ask::mbus::secondary(text).ok()) {
            let same = heard.entry((&bus.name, id.id.0)).or_default();
            if same.iter().any(|other| overlap(other, &id)) {
                told.key(
                    "id",
                    "another meter on this bus may have the same `id`: tell them apart by maker and version",
                );
            }
            same.push(id);
        }
    }
}

fn no_map(maps: &Maps, name: &str) -> String {
    let there = || maps.iter().map(|map| map.name.as_str());
    match plomb_settings::nearest(name, there()) {
        Some(near) => format!("there is no register map \"{name}\"; did you mean \"{near}\"?"),
        None => {
            let there: Vec<&str> = there().collect();
            format!("there is no register map \"{name}\"; shipped are: {}", there.join(", "))
        }
    }
}

fn no_bus(config: &Config, name: &str) -> String {
    let there = || config.bus.iter().map(|bus| bus.name.as_str());
    match plomb_settings::nearest(name, there()) {
        Some(near) => format!("there is no [[bus]] named \"{name}\"; did you mean \"{near}\"?"),
        None => {
            let there: Vec<&str> = there().take(BUSES_TOLD_MAX).collect();
            format!("there is no [[bus]] named \"{name}\"; there are: {}", there.join(", "))
        }
    }
}

/// Whether a meter may be both of these, whose digits are the same.
fn overlap(one: &SecondaryAddress, other: &SecondaryAddress) -> bool {
    one.manufacturer.zip(other.manufacturer).is_none_or(|(one, other)| one == other)
        && one.version.zip(other.version).is_none_or(|(one, other)| one == other)
        && one.medium.zip(other.medium).is_none_or(|(one, other)| one == other)
}

impl Meter {
    /// The key that tells it from the others on its line.
    fn address_key(&self, protocol: Protocol) -> &'static str {
        match protocol {
            Protocol::Mbus if self.secondary.is_some() => "secondary",
            Protocol::Mbus => "address",
            Protocol::Wmbus | Protocol::P1 | Protocol::Iec62056 => "id",
            Protocol::Dlms => "server",
            Protocol::DlmsPush => "system_title",
            Protocol::Modbus => "unit",
        }
    }
}

/// What tells a meter from the others on its line.
fn address(meter: &Meter, protocol: Protocol) -> String {
    match protocol {
        Protocol::Mbus | Protocol::Wmbus => {
            format!("{:?} {:?}", meter.address, meter.secondary.as_ref().or(meter.id.as_ref()))
        }
        Protocol::Dlms => format!("{:?} {:?} {:?}", meter.server, meter.physical, meter.client),
        Protocol::DlmsPush => format!("{:?}", meter.system_title.as_ref().map(|title| title.to_ascii_lowercase())),
        Protocol::Modbus => format!("{:?}", meter.unit),
        Protocol::P1 | Protocol::Iec62056 => format!("{:?}", meter.id),
    }
}

/// What a meter's block says, by the protocol of its line.
fn check(meter: &Meter, bus: &Bus, told: &mut Told<'_>) {
    belongs(meter, bus.protocol, told);
    let mut identity = |key, text: &str| {
        if let Err(error) = crate::ask::mbus::secondary(text) {
            told.key(key, error);
        }
    };
    match bus.protocol {
        Protocol::Mbus => {
            if let Some(text) = &meter.secondary {
                identity("secondary", text);
            }
            match (meter.address, &meter.secondary) {
                (Some(0..=250), None) | (None, Some(_)) => {}
                (Some(_), None) => told.key("address", "a primary address is 0 to 250"),
                _ => told.key("address", "on a wired line give either `address` or `secondary`"),
            }
        }
        Protocol::Wmbus => match &meter.id {
            Some(text) => identity("id", text),
            None => told.key("id", "on a receiver give `id`, the eight digits on the meter"),
        },
        Protocol::Dlms => dlms(meter, told),
        Protocol::DlmsPush => {
            for text in meter.registers.iter().filter(|text| text.as_str() != UNNAMED) {
                if let Err(error) = text.parse::<Obis>() {
                    told.key("registers", format_args!("\"{text}\": {error}, or {UNNAMED}"));
                }
            }
            if let Some(Err(error)) = meter.system_title.as_deref().map(title) {
                told.key("system_title", error);
            }
        }
        Protocol::Modbus => modbus(meter, told),
        Protocol::P1 | Protocol::Iec62056 => {}
    }
}

/// Refuses a key that says nothing on a line of this protocol: whoever wrote it expects something of it.
fn belongs(meter: &Meter, protocol: Protocol, told: &mut Told<'_>) {
    use Protocol::{Dlms, DlmsPush, Iec62056, Mbus, Modbus, P1, Wmbus};
    let keys: [(&'static str, bool, &[Protocol]); 19] = [
        ("address", meter.address.is_some(), &[Mbus]),
        ("secondary", meter.secondary.is_some(), &[Mbus]),
        ("id", meter.id.is_some(), &[Wmbus, P1, Iec62056]),
        ("security", meter.security.is_some(), &[Mbus, Wmbus]),
        ("server", meter.server.is_some(), &[Dlms]),
        ("physical", meter.physical.is_some(), &[Dlms]),
        ("client", meter.client.is_some(), &[Dlms]),
        ("authentication", meter.authentication != Authentication::None, &[Dlms]),
        ("suite", meter.suite != 0, &[Dlms, DlmsPush]),
        ("dedicated_key", meter.dedicated_key, &[Dlms]),
        ("registers", !meter.registers.is_empty(), &[Dlms, DlmsPush, Modbus]),
        ("load_profile", meter.load_profile.is_some(), &[Dlms]),
        ("counter_object", meter.counter_object.is_some(), &[Dlms]),
        ("disconnect_object", meter.disconnect_object.is_some(), &[Dlms]),
        ("token_object", meter.token_object.is_some(), &[Dlms]),
        ("calendar_object", meter.calendar_object.is_some(), &[Dlms]),
        ("system_title", meter.system_title.is_some(), &[DlmsPush]),
        ("unit", meter.unit.is_some(), &[Modbus]),
        ("model", meter.model.is_some(), &[Modbus, Mbus]),
    ];
    for (key, _, of) in keys.into_iter().filter(|(_, given, of)| *given && !of.contains(&protocol)) {
        let of: Vec<&str> = of.iter().map(|protocol| protocol.name()).collect();
        told.key(key, format_args!("`{key}` is for {}; this line speaks {}", of.join(" and "), protocol.name()));
    }
}

fn dlms(meter: &Meter, told: &mut Told<'_>) {
    if meter.registers.is_empty() && meter.load_profile.is_none() {
        told.key("registers", "name `registers` by OBIS code, as [\"1-0:1.8.0\"], or a `load_profile`");
    }
    obis(&meter.registers, "registers", told);
    obis(&meter.load_profile, "load_profile", told);
    obis(&meter.counter_object, "counter_object", told);
    obis(&meter.disconnect_object, "disconnect_object", told);
    obis(&meter.token_object, "token_object", told);
    obis(&meter.calendar_object, "calendar_object", told);
    if meter.registers.len() > REGISTERS_MAX {
        told.key("registers", format_args!("at most {REGISTERS_MAX} registers"));
    }
    told.within("client", meter.client, 1..=CLIENT_MAX);
    told.within("server", meter.server, 0..=HDLC_ADDRESS_MAX);
    told.within("physical", meter.physical, 0..=HDLC_ADDRESS_MAX);
    match (meter.suite, meter.authentication) {
        (0, Authentication::Ecdsa) => told.key("suite", "hls-ecdsa needs suite 1 or 2"),
        (0..=2, _) => {}
        _ => told.key("suite", "suite is 0, 1 or 2"),
    }
    told.within("backlog_days", meter.backlog_days, 0..=BACKLOG_DAYS_MAX);
}

fn obis<'a>(texts: impl IntoIterator<Item = &'a String>, key: &'static str, told: &mut Told<'_>) {
    for text in texts {
        if let Err(error) = text.parse::<Obis>() {
            told.key(key, format_args!("\"{text}\": {error}"));
        }
    }
}

fn modbus(meter: &Meter, told: &mut Told<'_>) {
    // 255 is how many gateways call themselves.
    if !meter.unit.is_some_and(|unit| (1..=247).contains(&unit) || unit == 255) {
        told.key("unit", "give `unit`, 1 to 247");
    }
    if !meter.model.as_ref().is_some_and(|model| (1..=MODEL_BYTES_MAX).contains(&model.len())) {
        let what = "give `model`, the register map: see `plomb read modbus --help` for those that are shipped";
        told.key("model", what);
    }
    obis(&meter.registers, "registers", told);
}

/// A system title: eight bytes.
///
/// # Errors
/// What would be right.
pub fn title(text: &str) -> Result<[u8; 8], String> {
    let wrong = || format!("\"{text}\" is no system title: write 16 hexadecimal digits, as 4D4D4D0000BC614E");
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        Meter::new("flat", "line")
    }

    fn told(meter: &Meter, protocol: Protocol) -> String {
        let mut found = Findings::default();
        check(meter, &Bus::new("line", protocol), &mut found.of(Table::Meter(0), String::new()));
        found.0.first().map(|wrong| wrong.what.trim_start().to_string()).unwrap_or_default()
    }

    #[test]
    fn a_key_of_another_protocol_is_refused_by_name() {
        let strange = Meter { unit: Some(3), address: Some(1), ..meter() };
        assert_eq!(told(&strange, Protocol::Mbus), "`unit` is for modbus; this line speaks mbus");
        let strange = Meter { security: Some(super::super::Security::Plain), ..meter() };
        assert_eq!(told(&strange, Protocol::Dlms), "`security` is for mbus and wmbus; this line speaks dlms");
    }

    #[test]
    fn two_points_for_one_radio_meter_are_refused() {
        let one = |id: &str| crate::ask::mbus::secondary(id).unwrap();
        assert!(overlap(&one("52246501"), &one("52246501.PLB.05.07")));
        assert!(overlap(&one("52246501.PLB"), &one("52246501.*.05")));
        assert!(!overlap(&one("52246501.PLA"), &one("52246501.PLB")));
        assert!(!overlap(&one("52246501.PLB.05.07"), &one("52246501.PLB.05.06")));
    }

    #[test]
    fn a_dlms_meter_names_what_is_asked() {
        assert!(told(&meter(), Protocol::Dlms).contains("registers"));
        let good = Meter { registers: vec!["1-0:1.8.0".into()], ..meter() };
        assert_eq!(told(&good, Protocol::Dlms), "");
        for (bad, what) in [
            (Meter { registers: vec!["1.8.0".into()], ..meter() }, "\"1.8.0\": not an OBIS code"),
            (Meter { suite: 3, ..good.clone() }, "suite is 0, 1 or 2"),
            (Meter { authentication: Authentication::Ecdsa, ..good.clone() }, "needs suite 1 or 2"),
            (Meter { client: Some(0), ..good.clone() }, "client is 1 to 127"),
            (Meter { physical: Some(0x4000), ..good.clone() }, "0 to 16383"),
            (Meter { backlog_days: Some(732), ..good }, "0 to 731"),
        ] {
            let told = told(&bad, Protocol::Dlms);
            assert!(told.contains(what), "{told} / {what}");
        }
    }

    #[test]
    fn a_modbus_meter_has_a_unit_and_a_map() {
        assert!(told(&meter(), Protocol::Modbus).contains("unit"));
        assert!(told(&Meter { unit: Some(248), ..meter() }, Protocol::Modbus).contains("1 to 247"));
        assert!(told(&Meter { unit: Some(1), ..meter() }, Protocol::Modbus).contains("model"));
        assert_eq!(told(&Meter { unit: Some(1), model: Some("sdm630".into()), ..meter() }, Protocol::Modbus), "");
    }

    #[test]
    fn a_system_title_has_eight_bytes() {
        assert_eq!(title("4D4D4D0000BC614E"), Ok(*b"MMM\x00\x00\xbca\x4e"));
        assert!(title("4D4D4D0000BC61").is_err() && title("xx4D4D0000BC614E").is_err());
    }
}
