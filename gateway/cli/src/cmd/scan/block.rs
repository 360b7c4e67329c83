//! What a scan gives to paste into the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, path,
};

use plomb_gateway::scan::Found;
use serde_json::Value;

use crate::args::{Parity, ScanArgs};

/// Where the system names adapters by what they are.
const ADAPTERS: &str = "/dev/serial/by-id";

/// What the block must say beside the meters.
pub(super) struct Paste {
    wireless: bool,
    /// The bus is configured already.
    daemon: bool,
    /// Meters were found by their addresses, which so are known to work.
    by_address: bool,
    port: String,
    receiver: Option<String>,
    modes: Option<String>,
    parity: Option<&'static str>,
    timeout_ms: Option<u32>,
    select_73: bool,
}

impl Paste {
    pub(super) fn of(args: &ScanArgs) -> Self {
        Self {
            wireless: args.wireless(),
            daemon: false,
            by_address: args.primary.is_some(),
            port: args.port.clone(),
            receiver: args.receiver.clone(),
            modes: args.modes.clone(),
            parity: args.parity.map(Parity::name),
            timeout_ms: args.timeout_ms,
            select_73: args.select_73,
        }
    }

    pub(super) fn through_the_daemon(&mut self) {
        self.daemon = true;
    }

    /// The lines; none when nothing new was found.
    pub(super) fn block(&self, found: &[Found]) -> Vec<String> {
        let mut new: Vec<&Found> = found.iter().filter(|found| found.point.is_none()).collect();
        // As somebody ticks them off who walks from meter to meter.
        new.sort_by_key(|found| (self.by_address.then_some(found.address), &found.id, found.address));
        let mut lines = Vec::new();
        if new.is_empty() {
            return lines;
        }
        lines.push(String::new());
        lines.push("# For plombd.toml; give the points names of the building:".into());
        let bus = if self.wireless { "air" } else { "line" };
        if self.daemon {
            lines.push("# bus: the name that this port has there".into());
        } else {
            lines.extend(self.bus(bus, found));
            lines.push(String::new());
        }
        let taken = found.iter().filter_map(|found| found.point.clone()).collect();
        for (found, point) in new.iter().zip(points(&new, taken)) {
            lines.extend(["[[meter]]".into(), format!("point = {}", quoted(&point)), format!("bus = \"{bus}\"")]);
            lines.push(self.address(found));
            if found.needs_key() {
                lines.push(
                    "# its telegrams are encrypted: its key must be in the file of `meter_keys` in [gateway]".into(),
                );
            }
            lines.push(String::new());
        }
        lines.pop();
        lines
    }

    fn bus(&self, name: &str, found: &[Found]) -> Vec<String> {
        let protocol = if self.wireless { "wmbus" } else { "mbus" };
        let mut lines = vec!["[[bus]]".into(), format!("name = \"{name}\""), format!("protocol = \"{protocol}\"")];
        if self.port == "-" {
            lines.push(
                "# plombd as a service has no standard input: let the radio write to a named pipe (mkfifo)".into(),
            );
            lines.push("port = \"/path/to/the/pipe\"".into());
        } else {
            lines.push(format!("port = {}", quoted(&lasting(&self.port))));
        }
        let text = |key: &str, value: Option<&str>| value.map(|value| format!("{key} = {}", quoted(value)));
        lines.extend(found.iter().find_map(|found| found.baud).map(|baud| format!("baud = {baud}")));
        lines.extend(text("parity", self.parity.filter(|parity| *parity != "even")));
        lines.extend(self.timeout_ms.map(|ms| format!("reply_timeout_ms = {ms}")));
        lines.extend(text("select", self.select_73.then_some("73")));
        lines.extend(text("receiver", self.receiver.as_deref()));
        lines.extend(text("modes", self.modes.as_deref()));
        lines
    }

    fn address(&self, found: &Found) -> String {
        let key = if self.wireless { "id" } else { "secondary" };
        match (&found.identity, found.address) {
            (Some(identity), Some(address)) if self.by_address => format!("address = {address}  # {identity}"),
            (Some(identity), _) => format!("{key} = {}", quoted(identity)),
            (None, Some(address)) => format!("address = {address}"),
            (None, None) => "# it names neither identity nor address".into(),
        }
    }
}

/// A port's name that holds when plombd starts elsewhere, and for an adapter when others are plugged in.
fn lasting(port: &str) -> String {
    let Ok(real) = fs::canonicalize(port) else { return port.into() };
    let by_id = fs::read_dir(ADAPTERS).into_iter().flatten().flatten().map(|entry| entry.path());
    let adapter = by_id.filter(|path| fs::canonicalize(path).is_ok_and(|other| other == real)).min();
    adapter.or_else(|| path::absolute(port).ok()).map_or_else(|| port.into(), |path| path.display().to_string())
}

/// Names to begin with, each once: medium and number, and what tells meters apart whose numbers are equal.
fn points(new: &[&Found], mut taken: BTreeSet<String>) -> Vec<String> {
    let levels: Vec<[String; 4]> = new.iter().map(|found| names(found)).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for names in &levels {
        // A meter without a maker has one name for two levels.
        for name in names.iter().collect::<BTreeSet<_>>() {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut points = Vec::new();
    for names in &levels {
        let alone = |name: &&String| counts.get(name.as_str()) == Some(&1) && !taken.contains(*name);
        let base = names.iter().find(alone).or(names.last()).cloned().unwrap_or_default();
        let mut numbered = (2..).map(|number: u32| format!("{base}-{number}"));
        let point = if taken.contains(&base) { numbered.find(|name| !taken.contains(name)) } else { None };
        let point = point.unwrap_or(base);
        taken.insert(point.clone());
        points.push(point);
    }
    points
}

/// A point's names, from the shortest.
fn names(found: &Found) -> [String; 4] {
    let medium: String = found.medium.as_deref().unwrap_or("meter").chars().map(slug).collect();
    let medium = medium.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let base = match (&found.id, found.address) {
        (Some(id), _) => format!("{medium}-{}", id.to_lowercase()),
        (None, Some(address)) => format!("{medium}-at-{address}"),
        (None, None) => medium,
    };
    let maker = found.manufacturer.as_ref().map_or(base.clone(), |maker| format!("{base}-{}", maker.to_lowercase()));
    let version = found.version.map_or(maker.clone(), |version| format!("{maker}-v{version}"));
    let address = found.address.map_or(version.clone(), |address| format!("{base}-at-{address}"));
    [base, maker, version, address]
}

fn slug(c: char) -> char {
    if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }
}

/// A TOML string. JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(maker: &str, version: u8, address: u8) -> Found {
        Found {
            identity: Some(format!("12345678.{maker}.{version:02X}.07")),
            address: Some(address),
            id: Some("12345678".into()),
            manufacturer: Some(maker.into()),
            version: Some(version),
            medium: Some("water".into()),
            ..Found::default()
        }
    }

    fn paste() -> Paste {
        Paste {
            wireless: false,
            daemon: false,
            by_address: false,
            port: "/dev/ttyUSB0".into(),
            receiver: None,
            modes: None,
            parity: None,
            timeout_ms: None,
            select_73: false,
        }
    }

    #[test]
    fn equal_numbers_get_names_of_their_own() {
        let meters = [found("PLA", 3, 1), found("PLA", 9, 2), found("PLB", 3, 3), found("PLB", 3, 4)];
        let names = points(&meters.iter().collect::<Vec<_>>(), BTreeSet::new());
        assert_eq!(
            names,
            ["water-12345678-pla-v3", "water-12345678-pla-v9", "water-12345678-at-3", "water-12345678-at-4"]
        );
        let twins = [Found { address: None, ..found("PLA", 3, 0) }, Found { address: None, ..found("PLA", 3, 0) }];
        let names = points(&twins.iter().collect::<Vec<_>>(), ["water-12345678-pla-v3-2".into()].into());
        assert_eq!(names, ["water-12345678-pla-v3", "water-12345678-pla-v3-3"]);
        assert_eq!(points(&[&found("PLA", 3, 1)], BTreeSet::new()), ["water-12345678"]);
    }

    #[test]
    fn meters_found_by_address_are_read_by_address() {
        let block = Paste { by_address: true, ..paste() }.block(&[found("PLA", 3, 1), found("PLA", 3, 2)]);
        let block = block.join("\n");
        assert!(block.contains("address = 1  #") && block.contains("address = 2  #"), "{block}");
        assert!(!block.contains("secondary"), "{block}");
        assert!(paste().block(&[found("PLA", 3, 1)]).join("\n").contains("secondary = \"12345678.PLA.03.07\""));
    }

    #[test]
    fn a_port_is_named_so_that_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let port = folder.path().join("line");
        fs::write(&port, "").unwrap();
        assert_eq!(lasting(&port.display().to_string()), port.display().to_string());
        assert!(lasting("Cargo.toml").starts_with('/'));
        assert_eq!(lasting("tcp://192.0.2.7:10001"), "tcp://192.0.2.7:10001");
    }

    #[test]
    fn what_the_scan_was_told_stands_in_the_bus() {
        let air = Paste { wireless: true, modes: Some("C".into()), receiver: Some("im871a".into()), ..paste() };
        let block = air.block(&[Found { baud: None, ..found("PLA", 3, 1) }]).join("\n");
        assert!(block.contains("modes = \"C\"") && block.contains("receiver = \"im871a\""), "{block}");
        let pipe = Paste { port: "-".into(), ..air }.block(&[found("PLA", 3, 1)]).join("\n");
        assert!(!pipe.contains("port = \"-\"") && pipe.contains("mkfifo"), "{pipe}");
        let wire = Paste { parity: Some("none"), timeout_ms: Some(900), select_73: true, ..paste() };
        let block = wire.block(&[found("PLA", 3, 1)]).join("\n");
        for line in ["parity = \"none\"", "reply_timeout_ms = 900", "select = \"73\""] {
            assert!(block.contains(line), "{line}: {block}");
        }
    }
}
