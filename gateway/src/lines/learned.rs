//! What is known beside the configuration: keys, secrets, models. Read again only where something changed.

use std::{path::PathBuf, sync::Arc};

use plomb_modbus::Maps;
use plomb_profiles::Library;
use plomb_seal::Hash;
use tracing::warn;

use crate::{
    ask::Knowledge,
    clock::SystemClock,
    config::{Bus, Config, Meter, Protocol},
    journal::Journal,
    keys::{Keys, read_secret_file},
    models,
    secrets::Secrets,
};

/// Knowledge, and from where it is.
#[derive(Clone)]
pub(super) struct Learned {
    pub(super) knowledge: Knowledge,
    keys: Hash,
    secrets: Hash,
    library: Option<Option<PathBuf>>,
    maps: Option<Option<PathBuf>>,
    title: Hash,
}

impl Learned {
    /// Reads what this configuration names; shelves that are the same as `before` are taken over.
    pub(super) fn from(
        config: &Config,
        journal: &Journal,
        clock: &Arc<SystemClock>,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let gateway = &config.gateway;
        // Only those who listen to the air, open encrypted telegrams, or name a model for its valve need it.
        let protocol_of = |name: &str| config.bus.iter().find(|bus| bus.name == name).map(|bus| bus.protocol);
        let needs_library = gateway.meter_keys.is_some()
            || config.bus.iter().any(|bus| bus.protocol == Protocol::Wmbus)
            || config
                .meter
                .iter()
                .any(|meter| meter.model.is_some() && protocol_of(&meter.bus) == Some(Protocol::Mbus));
        let needs_maps = config.bus.iter().any(|bus| bus.protocol == Protocol::Modbus);
        let (keys, keys_hash) = match &gateway.meter_keys {
            Some(path) => {
                let text = read_secret_file(path)?;
                (Keys::parse(&path.display().to_string(), &text)?, Hash::of(text.as_bytes()))
            }
            None => (Keys::default(), Hash::ZERO),
        };
        let (secrets, secrets_hash) = match &gateway.meter_secrets {
            Some(path) => {
                let text = read_secret_file(path)?;
                (Secrets::parse(&path.display().to_string(), &text)?, Hash::of(text.as_bytes()))
            }
            None => (Secrets::default(), Hash::ZERO),
        };
        if before.is_none_or(|before| before.secrets != secrets_hash) {
            let known = |point: &str| config.meter.iter().any(|meter| meter.point == point);
            for point in secrets.points().filter(|point| !known(point)) {
                let what = "the file of meter_secrets has lines for a point that no [[meter]] has: check its spelling";
                warn!(point, "{what}");
            }
        }
        let library_from = needs_library.then(|| gateway.profiles.clone());
        let library = match (&library_from, before) {
            (from, Some(before)) if before.library == *from => before.knowledge.library.clone(),
            (Some(folder), _) => Arc::new(models::library(folder.as_deref())?),
            (None, _) => Arc::new(Library::empty()),
        };
        let maps_from = needs_maps.then(|| gateway.modbus_profiles.clone());
        let maps = match (&maps_from, before) {
            (from, Some(before)) if before.maps == *from => before.knowledge.maps.clone(),
            (Some(folder), _) => Arc::new(models::register_maps(folder.as_deref())?),
            (None, _) => Arc::new(Maps::empty()),
        };
        let title = config.title()?;
        let knowledge = Knowledge {
            keys: Arc::new(keys),
            library,
            maps,
            counters: journal.counters(),
            secrets: Arc::new(secrets),
            title,
            journal: Some(journal.clone()),
            clock: Some(clock.clone()),
        };
        let title = Hash::of(&title.0);
        Ok(Self { knowledge, keys: keys_hash, secrets: secrets_hash, library: library_from, maps: maps_from, title })
    }

    /// What of it a line of this protocol depends on.
    fn of(&self, protocol: Protocol) -> Hash {
        let shelf = |from: &Option<Option<PathBuf>>| Hash::of(format!("{from:?}").as_bytes());
        match protocol {
            Protocol::Mbus | Protocol::Wmbus => Hash::of_parts(&[&self.keys.0, &shelf(&self.library).0]),
            Protocol::Dlms | Protocol::DlmsPush => Hash::of_parts(&[&self.secrets.0, &self.title.0]),
            Protocol::Modbus => shelf(&self.maps),
            Protocol::P1 | Protocol::Iec62056 => Hash::ZERO,
        }
    }
}

/// All that makes a line what it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Definition {
    pub(super) bus: Bus,
    pub(super) meters: Vec<Meter>,
    with: Hash,
}

impl Definition {
    /// The lines of a configuration.
    pub(super) fn all(config: &Config, learned: &Learned) -> Vec<Self> {
        let lines = config.bus.iter().map(|bus| Self {
            bus: bus.clone(),
            meters: config.meter.iter().filter(|meter| meter.bus == bus.name).cloned().collect(),
            with: learned.of(bus.protocol),
        });
        lines.collect()
    }

    /// Whether another line reaches its meters as this one does: it may ask them more or less often.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        let mut timed = self.clone();
        timed.bus.silent_percent = other.bus.silent_percent;
        for (meter, like) in timed.meters.iter_mut().zip(&other.meters) {
            meter.interval_s = like.interval_s;
        }
        timed == *other
    }
}
