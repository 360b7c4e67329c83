//! What a meter's block may say, by the protocol of its line.

use std::collections::{BTreeMap, BTreeSet};

use plomb_mbus::SecondaryAddress;
use plomb_seal::Name;
use plomb_session::Obis;

use super::{Authentication, Bus, Config, Meter, Protocol, bounds};

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

pub(super) fn meters(config: &Config) -> Result<(), String> {
    let mut points = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    let mut heard: BTreeMap<_, Vec<SecondaryAddress>> = BTreeMap::new();
    for meter in &config.meter {
        let wrong = |what: &str| Err(format!("meter \"{}\": {what}", meter.point));
        let point: Result<Name, _> = meter.point.parse();
        match point {
            Err(error) => return Err(format!("meter point: {error}")),
            Ok(point) => {
                if !points.insert(point) {
                    return wrong("this point is given twice");
                }
            }
        }
        let Some(bus) = config.bus.iter().find(|bus| bus.name == meter.bus) else {
            return Err(format!("meter \"{}\": there is no [[bus]] named \"{}\"", meter.point, meter.bus));
        };
        check(meter, bus).or_else(|what| wrong(&what))?;
        if !addresses.insert((&bus.name, address(meter, bus.protocol))) {
            return wrong("another meter on this bus has the same address");
        }
        let id = meter.id.as_ref().filter(|_| bus.protocol == Protocol::Wmbus);
        if let Some(id) = id.and_then(|text| crate::ask::mbus::secondary(text).ok()) {
            let same = heard.entry((&bus.name, id.id.0)).or_default();
            if same.iter().any(|other| overlap(other, &id)) {
                return wrong("another meter on this bus may have the same `id`: tell them apart by maker and version");
            }
            same.push(id);
        }
        if !(0.2..=31.0 * 86_400.0).contains(&meter.interval_s) {
            return wrong("interval_s is 0.2 to 2678400 (31 days)");
        }
        bounds::check_meter(meter)?;
    }
    Ok(())
}

/// Whether a meter may be both of these, whose digits are the same.
fn overlap(one: &SecondaryAddress, other: &SecondaryAddress) -> bool {
    one.manufacturer.zip(other.manufacturer).is_none_or(|(one, other)| one == other)
        && one.version.zip(other.version).is_none_or(|(one, other)| one == other)
        && one.medium.zip(other.medium).is_none_or(|(one, other)| one == other)
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

fn check(meter: &Meter, bus: &Bus) -> Result<(), String> {
    belongs(meter, bus.protocol)?;
    let identity = meter.secondary.as_ref().or(meter.id.as_ref());
    let identity = identity.map(|text| crate::ask::mbus::secondary(text));
    match bus.protocol {
        Protocol::Mbus => {
            match (meter.address, &meter.secondary) {
                (Some(0..=250), None) | (None, Some(_)) => {}
                (Some(_), None) => return Err("a primary address is 0 to 250".into()),
                _ => return Err("on a wired line give either `address` or `secondary`".into()),
            }
            identity.map_or(Ok(()), |read| read.map(drop))
        }
        Protocol::Wmbus => match identity {
            Some(read) => read.map(drop),
            None => Err("on a receiver give `id`, the eight digits on the meter".into()),
        },
        Protocol::Dlms => dlms(meter),
        Protocol::DlmsPush => {
            let named = meter.registers.iter().filter(|text| text.as_str() != UNNAMED);
            named
                .map(|text| text.parse::<Obis>().map_err(|error| format!("\"{text}\": {error}, or {UNNAMED}")))
                .try_for_each(|read| read.map(drop))?;
            meter.system_title.as_deref().map_or(Ok(()), |text| title(text).map(drop))
        }
        Protocol::Modbus => modbus(meter),
        Protocol::P1 | Protocol::Iec62056 => Ok(()),
    }
}

/// Refuses a key that says nothing on a line of this protocol: whoever wrote it expects something of it.
fn belongs(meter: &Meter, protocol: Protocol) -> Result<(), String> {
    use Protocol::{Dlms, DlmsPush, Iec62056, Mbus, Modbus, P1, Wmbus};
    let keys: [(&str, bool, &[Protocol]); 19] = [
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
    match keys.into_iter().find(|(_, given, of)| *given && !of.contains(&protocol)) {
        Some((key, _, of)) => {
            let of: Vec<&str> = of.iter().map(|protocol| protocol.name()).collect();
            Err(format!("`{key}` is for {}; this line speaks {}", of.join(" and "), protocol.name()))
        }
        None => Ok(()),
    }
}

fn dlms(meter: &Meter) -> Result<(), String> {
    if meter.registers.is_empty() && meter.load_profile.is_none() {
        return Err("name `registers` by OBIS code, as [\"1-0:1.8.0\"], or a `load_profile`".into());
    }
    let operated = meter.disconnect_object.iter().chain(&meter.token_object).chain(&meter.calendar_object);
    let objects = meter.registers.iter().chain(&meter.load_profile).chain(&meter.counter_object).chain(operated);
    for text in objects {
        text.parse::<Obis>().map_err(|error| format!("\"{text}\": {error}"))?;
    }
    if meter.registers.len() > REGISTERS_MAX {
        return Err(format!("at most {REGISTERS_MAX} registers"));
    }
    if !meter.client.is_none_or(|client| (1..=CLIENT_MAX).contains(&client)) {
        return Err(format!("client is 1 to {CLIENT_MAX}"));
    }
    if meter.server.into_iter().chain(meter.physical).any(|address| address > HDLC_ADDRESS_MAX) {
        return Err(format!("server and physical are 0 to {HDLC_ADDRESS_MAX}"));
    }
    match (meter.suite, meter.authentication) {
        (0, Authentication::Ecdsa) => return Err("hls-ecdsa needs suite 1 or 2".into()),
        (0..=2, _) => {}
        _ => return Err("suite is 0, 1 or 2".into()),
    }
    if meter.backlog_days.is_some_and(|days| days > BACKLOG_DAYS_MAX) {
        return Err(format!("backlog_days is 0 to {BACKLOG_DAYS_MAX}"));
    }
    Ok(())
}

fn modbus(meter: &Meter) -> Result<(), String> {
    // 255 is how many gateways call themselves.
    if !meter.unit.is_some_and(|unit| (1..=247).contains(&unit) || unit == 255) {
        return Err("give `unit`, 1 to 247".into());
    }
    if !meter.model.as_ref().is_some_and(|model| (1..=MODEL_BYTES_MAX).contains(&model.len())) {
        return Err("give `model`, the register map: see `plomb read modbus --help` for those that are shipped".into());
    }
    meter
        .registers
        .iter()
        .try_for_each(|text| text.parse::<Obis>().map(drop).map_err(|error| format!("\"{text}\": {error}")))
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
        check(meter, &Bus::new("line", protocol)).err().unwrap_or_default()
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
