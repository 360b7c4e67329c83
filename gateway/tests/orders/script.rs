//! A scripted world: a disk that outlives a power cut, and a gateway that does as the test says.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use plomb_gateway::{
    ask::deed::{Done, Instruction},
    config::Config,
    journal::Rows,
    lines::Haste,
    orders::{
        Beginning, Desk, Ledger, Left, State,
        sealing::SealingKeys,
        state,
        world::{Along, Place, Standing, World},
    },
    status::Orders,
};
use plomb_seal::{Clock, Event, Hash, Stamp};

use crate::town::{NOON_MS, Town};

pub const FOUNDING: &str = "[gateway]\nid = \"gw-1\"\nstate_dir = \"/s\"\nkey = \"/k\"\ncertificate = \"/c\"\n\
    credential = \"/d\"\n[hub]\naddress = \"hub:1\"\nca = \"/a\"\n[[bus]]\nname = \"cellar\"\nprotocol = \"mbus\"\n\
    port = \"/dev/x\"\n[[meter]]\npoint = \"flat-1\"\nbus = \"cellar\"\naddress = 1\n";

/// The founding text with another interval.
pub fn every(seconds: u32) -> String {
    format!("{FOUNDING}interval_s = {seconds}\n")
}

/// What a power cut leaves.
#[derive(Default)]
pub struct Disk {
    pub rows: BTreeMap<String, Vec<u8>>,
    pub entries: Vec<Event>,
    /// Texts of configurations that were brought into force, in this order, over all runs.
    pub applied: Vec<u64>,
    /// Orders that meters were asked for.
    pub asked: Vec<Hash>,
}

/// The power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut;

pub struct Script {
    pub disk: Arc<Mutex<Disk>>,
    pub now: Stamp,
    pub running_ms: u64,
    pub running: Config,
    pub standing: Standing,
    pub ledger: Ledger,
    /// What applying another configuration does to how the gateway stands.
    pub under_new: Option<Standing>,
    pub letters: BTreeMap<u64, Vec<u8>>,
    pub shown: Orders,
    pub haste: Option<Haste>,
    pub epoch: u32,
    /// Whether the ledger gives no receipts.
    pub withholds_receipts: bool,
    /// Points that no other configuration has read yet: known before, and under the next one.
    pub unread: Vec<String>,
    pub unread_under_new: Vec<String>,
    /// After so many steps the power goes.
    pub steps_left: Option<usize>,
}

pub const GOOD: Standing = Standing { has_hub: true, connected: true, spoke: true, reading: true };

impl Script {
    /// How a gateway stands that lost its hub.
    pub fn without_hub() -> Standing {
        Standing { connected: false, spoke: false, ..GOOD }
    }

    fn step(&mut self) -> Result<(), Cut> {
        match &mut self.steps_left {
            Some(0) => Err(Cut),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&self, rows: Rows) {
        let mut disk = self.disk.lock().unwrap();
        for (name, value) in rows {
            match value {
                Some(value) => drop(disk.rows.insert(name, value)),
                None => drop(disk.rows.remove(&name)),
            }
        }
    }
}

impl World for Script {
    type Halt = Cut;

    fn now(&self) -> Stamp {
        self.now
    }

    fn running_ms(&self) -> u64 {
        self.running_ms
    }

    async fn keep(&mut self, rows: Rows) -> Result<(), Cut> {
        self.step()?;
        self.write(rows);
        self.step()
    }

    async fn conclude(&mut self, event: Event, along: Along) -> Result<Place, Cut> {
        self.step()?;
        let place = {
            let mut disk = self.disk.lock().unwrap();
            disk.entries.push(event);
            Place { epoch: 0, seq: disk.entries.len() as u64 - 1 }
        };
        self.write(along(place));
        self.step()?;
        Ok(place)
    }

    async fn running(&self) -> Config {
        self.running.clone()
    }

    async fn check(&mut self, config: &Config) -> Result<bool, String> {
        if config.meter.iter().any(|meter| meter.point == "impossible") {
            return Err("meter \"impossible\": its profile is unknown".into());
        }
        Ok(config.hub != self.running.hub)
    }

    async fn apply(&mut self, config: Config, haste: Haste) -> Result<Result<(), String>, Cut> {
        self.step()?;
        if config.meter.iter().any(|meter| meter.point == "stubborn") {
            return Ok(Err("its port is gone".into()));
        }
        self.disk.lock().unwrap().applied.push(config.meter[0].interval().as_secs());
        self.running = config;
        self.haste = Some(haste);
        if let Some(standing) = self.under_new.take() {
            self.standing = standing;
        }
        self.unread.append(&mut self.unread_under_new);
        self.step()?;
        Ok(Ok(()))
    }

    fn is_receipted(&self, _place: Place) -> bool {
        !self.withholds_receipts
    }

    fn unread(&self) -> Vec<String> {
        self.unread.clone()
    }

    fn standing(&self) -> Standing {
        self.standing
    }

    fn ledger(&self) -> Ledger {
        self.ledger
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn begin(&mut self, order: Hash, point: &str, _: Instruction) -> Result<(), (&'static str, String)> {
        if point != "flat-1" {
            return Err(("command-point", "no such point".into()));
        }
        self.disk.lock().unwrap().asked.push(order);
        Ok(())
    }

    fn post(&mut self, number: u64, statement: Vec<u8>) {
        self.letters.insert(number, statement);
    }

    fn unpost(&mut self, number: u64) {
        self.letters.remove(&number);
    }

    fn show(&mut self, orders: Orders) {
        self.shown = orders;
    }

    fn copy(&mut self, _: &str, _: Option<&str>, _: Option<&[u8]>) {}
}

/// A gateway with a disk, a town that it is part of, and the folder of its keys.
pub struct House {
    pub town: Town,
    pub desk: Desk<Script>,
    pub disk: Arc<Mutex<Disk>>,
    folder: PathBuf,
    _kept: tempfile::TempDir,
}

pub fn now(ms: i64) -> Stamp {
    Stamp { unix_ms: ms, clock: Clock::Synced { error_ms: 20 } }
}

/// Nothing here waits for anything outside.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A start on a disk, as the daemon does it.
fn start(
    town: &Town,
    disk: &Arc<Mutex<Disk>>,
    folder: &Path,
    (at, standing): (Stamp, Standing),
    steps_left: Option<usize>,
) -> Result<Desk<Script>, Cut> {
    let rows = disk.lock().unwrap().rows.clone();
    let keys = SealingKeys::load(folder).unwrap();
    let found = rows.get("state").map(|bytes| State::parse(bytes).unwrap());
    let lost = found.is_none() && keys.latest().is_some();
    let mut state = found.unwrap_or_default();
    let versions = state.versions();
    let texts: BTreeMap<u64, String> = versions
        .into_iter()
        .map(|version| (version, String::from_utf8(rows[&state::text_name(version)].clone()).unwrap()))
        .collect();
    let (version, fell_back) = match state.beginning(at) {
        Beginning::Founding => (None, None),
        Beginning::Applied(version) | Beginning::Trial(version) => (Some(version), None),
        Beginning::Back { to, rule, detail } => (to, Some((rule, detail))),
    };
    let text = version.map_or(FOUNDING, |version| texts[&version].as_str());
    let running = Config::read("text", text).unwrap().settled().unwrap();
    let ledger = Ledger {
        words: 1,
        size: town.size(),
        witnessed_s: Some(NOON_MS as u64 / 1000),
        compared: true,
        returned: false,
    };
    let mut world = Script {
        disk: disk.clone(),
        now: at,
        running_ms: 1_000_000,
        running,
        standing,
        epoch: 0,
        ledger,
        under_new: None,
        letters: BTreeMap::new(),
        shown: Orders::default(),
        haste: None,
        withholds_receipts: false,
        unread: Vec::new(),
        unread_under_new: Vec::new(),
        steps_left,
    };
    if version.is_some() && version != state.in_force.as_ref().map(|applied| applied.version) {
        state.trial.as_mut().unwrap().starts += 1;
        run(world.keep(state.rows()))?;
    }
    let letters = rows.into_iter().filter(|(name, _)| name.starts_with(state::OUT)).collect();
    let left = Left { state, letters, texts, founding: FOUNDING.into(), returned: lost, epoch: 0 };
    let mut desk = Desk::new(town.who(), world, keys, left);
    run(desk.resume(fell_back))?;
    Ok(desk)
}

impl House {
    pub fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().join("orders");
        let (town, disk) = (Town::new(), Arc::default());
        let desk = start(&town, &disk, &folder, (now(NOON_MS), GOOD), None).unwrap();
        let mut house = Self { town, desk, disk, folder, _kept: kept };
        house.correspond();
        house
    }

    /// The power comes back at this time, and may go again.
    pub fn restart(&mut self, at: Stamp, steps_left: Option<usize>) -> Result<(), Cut> {
        self.desk = start(&self.town, &self.disk, &self.folder, (at, GOOD), steps_left)?;
        Ok(())
    }

    /// The power comes back, and the gateway stands like this.
    pub fn restart_standing(&mut self, at: Stamp, standing: Standing) {
        self.desk = start(&self.town, &self.disk, &self.folder, (at, standing), None).unwrap();
    }

    pub fn world(&mut self) -> &mut Script {
        self.desk.world()
    }

    /// Sends all that the gateway has to say to the town, and brings the answers.
    pub fn correspond(&mut self) {
        let letters: Vec<Vec<u8>> = self.world().letters.values().cloned().collect();
        for letter in letters {
            let answer = self.town.answer(&letter);
            run(self.desk.answered(&answer)).unwrap();
        }
    }

    pub fn take(&mut self, dossier: &[u8]) -> Result<(), Cut> {
        run(self.desk.take(dossier))
    }

    /// Takes an order, and tells the town of it.
    pub fn follow(&mut self, dossier: &[u8]) {
        self.take(dossier).unwrap();
        self.correspond();
    }

    pub fn look(&mut self) -> Result<(), Cut> {
        run(self.desk.look())
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        let world = self.world();
        world.running_ms += ms;
        world.now.unix_ms += ms as i64;
        self.look().unwrap();
        self.correspond();
    }

    pub fn done(&mut self, order: Hash) -> Result<(), Cut> {
        run(self.desk.done(order, Ok(Done { detail: "done".into(), record: None })))
    }

    pub fn applied(&self) -> Vec<u64> {
        self.disk.lock().unwrap().applied.clone()
    }

    pub fn asked(&self) -> Vec<Hash> {
        self.disk.lock().unwrap().asked.clone()
    }

    pub fn entries(&self, name: &str) -> Vec<Event> {
        self.disk.lock().unwrap().entries.iter().filter(|event| event.name == name).cloned().collect()
    }
}
