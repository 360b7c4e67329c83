//! The radio meters around the street: a receiver that hears them, and three of them that must be refused.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use plomb_gateway::{clock::unix_ms, status::Snapshot};
use plomb_sim::{
    Calendar,
    mbus::manufacturer_letters,
    radio::{Make, Protection, PtyReceiver, RadioMeter, Station, Trick, Twin, demo_air},
};

use crate::exit::Failure;

use super::town::quoted;

/// The simulated receiver, and its name in the configuration: one that hears modes T and C at once.
const RECEIVER: (Make, &str) = (Make::Amb8465, "amb8465");
/// How often each radio meter sends.
const SENDS_EVERY: Duration = Duration::from_secs(3);
/// How often each radio meter is recorded, in seconds: some telegrams of it fit in.
const INTERVAL_S: f64 = 10.0;

/// What a radio meter is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is what it says.
    Honest,
    /// Somebody sends in its name without its key.
    Stolen,
    /// Its telegrams are changed on their way.
    Forged,
    /// An old telegram of it is sent again.
    Replayed,
}

impl Deed {
    /// As what its telegrams must be refused.
    pub(super) fn refused_as(self) -> Option<&'static str> {
        match self {
            Self::Honest => None,
            Self::Stolen => Some("key wrong"),
            Self::Forged => Some("mac failed"),
            Self::Replayed => Some("counter repeated"),
        }
    }

    /// Whether readings come of it.
    pub(super) fn is_recorded(self) -> bool {
        matches!(self, Self::Honest | Self::Replayed)
    }
}

/// A radio meter as an installer would know it.
pub(super) struct AirMeter {
    /// Its measuring point.
    pub(super) point: String,
    /// What it is up to.
    pub(super) deed: Deed,
    /// As `id` in the configuration.
    identity: String,
    key: Option<[u8; 16]>,
}

/// The radio meters, and the receiver once it is plugged in.
pub(super) struct Antenna {
    /// The meters in the order of their first telegrams.
    pub(super) meters: Vec<AirMeter>,
    seed: u64,
    port: PathBuf,
    keys: PathBuf,
    receiver: Option<PtyReceiver>,
}

impl Antenna {
    /// Radio meters that do not send yet. The receiver's port and the meters' keys will be files of the folder.
    pub(super) fn new(seed: u64, folder: &Path) -> Self {
        let air = demo_air(seed, SENDS_EVERY, calendar());
        let meters = (1..).zip(air.meters()).map(|(place, sender)| AirMeter::new(place, sender)).collect();
        Self { meters, seed, port: folder.join("air"), keys: folder.join("meters.keys"), receiver: None }
    }

    /// The receiver is plugged in, and the meters begin to send.
    pub(super) fn plug_in(&mut self) -> Result<(), Failure> {
        let station = Station::new(Twin::new(RECEIVER.0), demo_air(self.seed, SENDS_EVERY, calendar()));
        let opened = PtyReceiver::open(Some(&self.port), station);
        self.receiver = Some(opened.map_err(|error| Failure::Unavailable(error.to_string()))?);
        Ok(())
    }

    /// Writes the file of `meter_keys`; gives its path.
    pub(super) fn write_keys(&self) -> Result<&Path, Failure> {
        let wrong = |error| Failure::file(&self.keys, error);
        let mut text = String::from("# Written by `plomb demo`. The keys of simulated meters: nobody's secret.\n");
        for meter in &self.meters {
            if let (Some(key), Some(id)) = (meter.key, meter.identity.split('.').next()) {
                text.push_str(&format!("{id} {}\n", hex::encode_upper(key)));
            }
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.keys).map_err(wrong)?;
        file.write_all(text.as_bytes()).map_err(wrong)?;
        Ok(&self.keys)
    }

    /// The receiver and its meters for the gateway's configuration.
    pub(super) fn config(&self) -> String {
        let port = quoted(&self.port.to_string_lossy());
        let mut text =
            format!("\n[[bus]]\nname = \"air\"\nprotocol = \"wmbus\"\nport = {port}\nreceiver = \"{}\"\n", RECEIVER.1);
        for meter in &self.meters {
            text.push_str(&format!(
                "\n[[meter]]\npoint = {}\nbus = \"air\"\nid = {}\ninterval_s = {INTERVAL_S:.1}\n",
                quoted(&meter.point),
                quoted(&meter.identity),
            ));
        }
        text
    }

    /// The meters of a kind.
    pub(super) fn of(&self, deed: Deed) -> impl Iterator<Item = &AirMeter> {
        self.meters.iter().filter(move |meter| meter.deed == deed)
    }

    /// Whether each meter was recorded that should be, and each deed was noticed: sooner there is nothing to prove.
    pub(super) fn is_told(&self, snapshot: &Snapshot) -> bool {
        self.meters.iter().all(|meter| {
            let status = snapshot.points.iter().find(|point| point.point == meter.point);
            status.is_some_and(|status| {
                let noticed = |kind| status.radio.as_ref().is_some_and(|radio| radio.refused.contains_key(kind));
                (status.answered > 0 || !meter.deed.is_recorded()) && meter.deed.refused_as().is_none_or(noticed)
            })
        })
    }

    /// The receiver's port.
    pub(super) fn port(&self) -> &Path {
        &self.port
    }
}

impl AirMeter {
    fn new(place: usize, sender: &RadioMeter) -> Self {
        let identity = sender.meter.identity();
        let deed = match sender.trick {
            Trick::Honest => Deed::Honest,
            Trick::WrongKey => Deed::Stolen,
            Trick::WrongMac => Deed::Forged,
            Trick::Replay { .. } => Deed::Replayed,
        };
        Self {
            point: format!("flat-{place}-{}", sender.meter.kind().name()),
            deed,
            identity: format!(
                "{}.{}.{:02X}.{:02X}",
                identity.id_digits(),
                manufacturer_letters(identity.manufacturer),
                identity.version,
                identity.medium
            ),
            key: match sender.protection {
                Protection::Plain => None,
                Protection::Mode5 { key } | Protection::Mode7 { key, .. } => Some(key),
            },
        }
    }
}

fn calendar() -> Calendar {
    Calendar { start_unix_s: u64::try_from(unix_ms() / 1000).unwrap_or_default(), factor: 1 }
}
