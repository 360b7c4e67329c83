//! A configuration looked at as a whole: every mistake with its place, where [`Config::load`] ends at the first.

use std::path::Path;

use plomb_settings::{Finding, Part, Survey};
use serde::de::DeserializeOwned;

use super::{
    Batch, Bus, Clock, Config, Control, Gateway, Hub, Journal, KNOWN, Meter, Orders, Vitals,
    finding::{Table, Wrong},
};

/// The keys of a meter whose meaning does not hang on the protocol of its line.
const OF_EVERY_METER: &[&str] =
    &["point", "bus", "interval_s", "reply_timeout_ms", "gap_timeout_ms", "retries", "telegrams_max"];

/// What a survey gives.
#[derive(Debug)]
pub struct Surveyed {
    /// Everything that is wrong, in the order of the file. None: [`Config::load`] takes it.
    pub findings: Vec<Finding>,
    /// Whether what the file means was looked at: not if its syntax is wrong.
    pub complete: bool,
    /// The configuration, if nothing is wrong.
    pub config: Option<Config>,
}

/// Looks at the text of a configuration. Files that it names are not looked at: they are the gateway's. It is stricter
/// than [`Config::load`] in one thing: a number in quotes is a finding.
pub fn survey(path: &Path, text: &str) -> Surveyed {
    let mut survey = Survey::of(path, text, KNOWN);
    if !survey.is_readable() {
        return Surveyed { findings: survey.finish(), complete: false, config: None };
    }
    let parts = Parts::of(&mut survey);
    let mut config = parts.config();
    config.bus.iter_mut().for_each(Bus::settle);
    for wrong in config.findings().0 {
        if let Some(offset) = parts.place(&config, &wrong) {
            survey.find(offset, wrong.what);
        }
    }
    let findings = survey.finish();
    let config = findings.is_empty().then_some(config);
    Surveyed { findings, complete: true, config }
}

/// The tables of a configuration.
struct Parts {
    gateway: Option<Part<Gateway>>,
    hub: Option<Part<Hub>>,
    journal: Option<Part<Journal>>,
    batch: Option<Part<Batch>>,
    clock: Option<Part<Clock>>,
    control: Option<Part<Control>>,
    vitals: Option<Part<Vitals>>,
    orders: Option<Part<Orders>>,
    bus: Vec<Part<Bus>>,
    meter: Vec<Part<Meter>>,
}

impl Parts {
    fn of(survey: &mut Survey<'_>) -> Self {
        let gateway = survey.table("gateway", &[("id", "gw"), ("state_dir", "state"), ("key", "client.key")]);
        if gateway.is_none() {
            survey.find(0, "[gateway] is missing: write it with `id`, `state_dir` and `key`");
        }
        Self {
            gateway,
            hub: survey.table("hub", &[("address", "hub:8883"), ("ca", "ca.crt")]),
            journal: survey.table("journal", &[]),
            batch: survey.table("batch", &[]),
            clock: survey.table("clock", &[]),
            control: survey.table("control", &[]),
            vitals: survey.table("vitals", &[]),
            orders: survey.table("orders", &[]),
            bus: survey.tables("bus", &[("name", "bus"), ("protocol", "mbus"), ("port", "port")]),
            meter: survey.tables("meter", &[("point", "point"), ("bus", "bus")]),
        }
    }

    fn config(&self) -> Config {
        fn once<T: Clone + Default>(part: &Option<Part<T>>) -> T {
            part.as_ref().map(|part| part.settings.clone()).unwrap_or_default()
        }
        let none = || Gateway {
            id: "gw".into(),
            state_dir: "state".into(),
            key: "client.key".into(),
            certificate: Some("client.crt".into()),
            credential: Some("credential.cbor".into()),
            meter_keys: None,
            meter_secrets: None,
            dlms_title: None,
            profiles: None,
            modbus_profiles: None,
        };
        Config {
            gateway: self.gateway.as_ref().map_or_else(none, |part| part.settings.clone()),
            hub: self.hub.as_ref().map(|part| part.settings.clone()),
            journal: once(&self.journal),
            batch: once(&self.batch),
            clock: once(&self.clock),
            control: once(&self.control),
            vitals: once(&self.vitals),
            orders: once(&self.orders),
            bus: self.bus.iter().map(|part| part.settings.clone()).collect(),
            meter: self.meter.iter().map(|part| part.settings.clone()).collect(),
        }
    }

    /// Where something is wrong; `None` if it only follows from what is wrong already.
    fn place(&self, config: &Config, wrong: &Wrong) -> Option<usize> {
        match wrong.table {
            Table::Whole => Some(0),
            Table::Named(name) => self.named(name, wrong.key),
            Table::Bus(place) => sure(self.bus.get(place)?, wrong.key),
            Table::Meter(place) => {
                let part = self.meter.get(place)?;
                if part.is_doubtful("bus") && wrong.key != Some("point") {
                    return wrong.key.filter(|key| OF_EVERY_METER.contains(key)).and_then(|key| sure(part, Some(key)));
                }
                let line = config.bus.iter().position(|bus| bus.name == part.settings.bus);
                match line.and_then(|line| self.bus.get(line)) {
                    Some(line) if line.is_doubtful("protocol") || line.is_doubtful("name") => {
                        wrong.key.filter(|key| OF_EVERY_METER.contains(key)).and_then(|key| sure(part, Some(key)))
                    }
                    // A line whose name can't be read may be the one that is meant.
                    None if wrong.key == Some("bus") && self.bus.iter().any(|bus| bus.is_doubtful("name")) => None,
                    _ => sure(part, wrong.key),
                }
            }
        }
    }

    fn named(&self, name: &str, key: Option<&str>) -> Option<usize> {
        fn of<T: DeserializeOwned>(part: &Option<Part<T>>, key: Option<&str>) -> Option<usize> {
            part.as_ref().map_or(Some(0), |part| sure(part, key))
        }
        match name {
            "gateway" => of(&self.gateway, key),
            "hub" => of(&self.hub, key),
            "journal" => of(&self.journal, key),
            "batch" => of(&self.batch, key),
            "clock" => of(&self.clock, key),
            "control" => of(&self.control, key),
            "vitals" => of(&self.vitals, key),
            "orders" => of(&self.orders, key),
            _ => Some(0),
        }
    }
}

/// Where a key of a table is, unless nothing is to be concluded from it.
fn sure<T>(part: &Part<T>, key: Option<&str>) -> Option<usize> {
    match key {
        Some(key) if part.is_doubtful(key) => None,
        key => Some(part.offset(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "[gateway]\nid = \"gw\"\nstate_dir = \"s\"\nkey = \"k\"\n";

    fn found(text: &str) -> Vec<String> {
        let survey = survey(Path::new("f"), text);
        survey.findings.iter().map(|one| format!("{}:{} {}", one.place.line, one.place.column, one.what)).collect()
    }

    #[test]
    fn every_mistake_in_a_file_is_told_with_its_place() {
        let text = format!(
            "{BASE}[hub]\naddress = \"hub.example\"\nca = \"ca.crt\"\n[journal]\nwindow_s = 0\n\
             [[bus]]\nname = \"cellar\"\nprotocol = \"mbuss\"\nport = \"/dev/ttyUSB0\"\nbaud = 10\n\
             [[bus]]\nname = \"attic\"\nprotocol = \"modbus\"\nport = \"/dev/ttyUSB0\"\n\
             [[meter]]\npoint = \"a\"\nbus = \"celar\"\n\
             [[meter]]\npoint = \"a\"\nbus = \"attic\"\nunit = 1\nmodel = \"eastron-sdm630\"\n\
             [[meter]]\npoint = \"c\"\nbus = \"attic\"\nunit = 1\nmodel = \"eastron-sdm630\"\nsecondary = \"x\"\n\
             [[meter]]\npoint = \"d\"\nbus = \"cellar\"\nunit = 1\ninterval_s = 0.1\n"
        );
        let expected = [
            "5:1 [hub] needs `certificate`",
            "6:11 [hub] address \"hub.example\" is not host:port",
            "9:12 [journal] window_s is 0.05 to 3600, not 0",
            "12:12 `protocol`: \"mbuss\" is not known (protocols of this version: mbus, ",
            "14:8 bus \"cellar\": baud is 300 to 115200, not 10",
            "18:8 bus \"attic\": its port is used by another bus",
            "21:7 meter \"a\": there is no [[bus]] named \"celar\"; did you mean \"cellar\"?",
            "23:9 meter \"a\": this point is given twice",
            "30:8 meter \"c\": another meter on this bus has the same address: \"a\"",
            "32:13 meter \"c\": `secondary` is for mbus; this line speaks modbus",
            "37:14 meter \"d\": interval_s is 0.2 to 2678400, not 0.1",
        ];
        let found = found(&text);
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\n{expected}");
        }
        // `unit` of "d" is not told: what its line speaks can't be read.
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    /// The survey and the daemon agree: what one takes, the other takes.
    #[test]
    fn what_has_no_finding_is_loaded_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plombd.toml");
        let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/plombd.toml")).unwrap();
        let bus = "[[bus]]\nname = \"a\"\nprotocol = \"mbus\"\nport = \"p\"\n";
        for text in [
            shipped,
            BASE.into(),
            format!("{BASE}{bus}select = \"53\"\n"),
            format!("{BASE}{}", bus.replace("\"p\"", "\"tcp://10.0.0.7\"")),
            format!("{BASE}{}", bus.replace("\"p\"", "\"tcp://[::1]:10001\"")),
            format!("{BASE}{bus}retries = 300\n"),
            format!("{BASE}{bus}retries = 1.5\n"),
            format!("{BASE}{bus}[[meter]]\npoint = \"m\"\nbus = \"a\"\naddress = 251\n"),
            format!("{BASE}{bus}[[meter]]\npoint = \"m\"\naddress = 1\n"),
            format!("{BASE}dlms_title = \"4D\"\n"),
            "bus = 3\n".into(),
            String::new(),
        ] {
            std::fs::write(&path, &text).unwrap();
            let (loaded, surveyed) = (Config::load(&path), survey(&path, &text));
            assert_eq!(loaded.is_ok(), surveyed.findings.is_empty(), "{text}\n{loaded:?}\n{:?}", surveyed.findings);
            assert_eq!(loaded.is_ok(), surveyed.config.is_some());
        }
    }

    #[test]
    fn what_could_only_fail_later_is_told_with_its_place() {
        let text = "[gateway]\nid = \"gw\"\nstate_dir = \"s\"\nkey = \"k\"\ncertificate = \"c\"\ncredential = \"d\"\n\
                    [hub]\naddress = \"hub:8883\"\nca = \"ca.crt\"\nhttps = \"http://hub:8443\"\n\
                    [[bus]]\nname = \"a\"\nprotocol = \"mbus\"\nport = \"tcp://10.0.0.7\"\nbaud = \"2400\"\n\
                    [[bus]]\nname = \"b\"\nprotocol = \"modbus\"\nport = \"tcp://10.0.0.7:70000\"\n\
                    [[meter]]\npoint = \"m\"\nbus = \"b\"\nunit = 1\nmodel = \"eastron-sdm63\"\n";
        let told = found(text);
        let expected = [
            "10:9 [hub] https: \"http://hub:8443\" is no address of a hub",
            "14:8 bus \"a\": port \"tcp://10.0.0.7\" has no number of a port",
            "15:8 `baud`: write 2400 without quotes",
            "19:8 bus \"b\": port \"tcp://10.0.0.7:70000\" has no number",
            "24:9 meter \"m\": there is no register map \"eastron-sdm63\"; did you mean \"eastron-sdm630\"?",
        ];
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}\n{expected}");
        }
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        let own = text.replace("key = \"k\"", "key = \"k\"\nmodbus_profiles = \"maps\"");
        assert!(!found(&own).iter().any(|told| told.contains("register map")), "its own maps only the gateway knows");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_as_such() {
        let survey = survey(Path::new("f"), "[gateway\nid = 1\n");
        assert!(!survey.complete && !survey.findings.is_empty() && survey.config.is_none());
    }
}
