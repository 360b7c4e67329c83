//! Commands at meters: what they do, that they are given once, and what is said when nobody can know.

use std::{sync::Arc, time::Duration};

use plomb_gateway::{
    ask::{
        Knowledge, LineMeter,
        deed::{self, Certainty, Deed, Effect, Instruction, Undone},
        port::Port,
    },
    config::{Authentication, Bus, Meter, Protocol},
    journal::{Journal, Keyring, Options},
    poll::{Asked, BusTask},
    secrets::Secrets,
    status::Board,
};
use plomb_profiles::{Library, Profile};
use plomb_seal::{SigningKey, Stamp};
use plomb_sim::{
    Bus as Wire,
    dlms::{Faults, Mechanism, MeterConfig, Name, TOKENS},
    live::{self, Kind},
    mbus::{Identity, Slave, Valve, manufacturer_code},
    tcp::{TcpLine, UNPACED},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::dlms::{Site, Way, calendar};

const CALENDAR: Name = [0, 0, 13, 0, 0, 255];
const ACTIVE_NAME: i8 = 2;
const TARIFF: &str = r#"
format = 1
name = "WINTER26"
activate = "now"
season = [{ name = "W", start = "10-01", week = "ALL" }]
week = [{ name = "ALL", days = [1, 1, 1, 1, 1, 1, 2] }]
day = [
    { id = 1, switch = [{ at = "06:00", tariff = 1 }, { at = "22:00", tariff = 2 }] },
    { id = 2, switch = [{ at = "00:00", tariff = 2 }] },
]
"#;

fn instruction(verb: &str, content: &str) -> Instruction {
    Instruction::parse(verb, content.as_bytes()).unwrap()
}

async fn carry_out(site: &Site, verb: &str, content: &str) -> Result<Effect, Undone> {
    let mut meter = LineMeter::new(&site.meter, &site.bus, &site.knowledge).unwrap();
    meter.carry_out(&mut Port::new(&site.bus, None), &instruction(verb, content)).await
}

async fn site(mechanism: Mechanism, way: Way, faults: Faults) -> Site {
    let mut config = MeterConfig::new(5, calendar(), mechanism, 0);
    config.faults = faults;
    let mut site = Site::new(config, way).await;
    site.meter.reply_timeout_ms = Some(400);
    site
}

fn connected(site: &Site) -> bool {
    site.server.with_meter(|meter, _| meter.is_connected())
}

fn changes(site: &Site) -> u32 {
    site.server.with_meter(|meter, _| meter.changes_heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_done_over_every_way() {
    for (mechanism, way) in [
        (Mechanism::Gmac, Way::Tcp),
        (Mechanism::Gmac, Way::Udp),
        (Mechanism::Lls, Way::HdlcTcp),
        (Mechanism::Sha256, Way::Pty),
    ] {
        let mut config = MeterConfig::new(5, calendar(), mechanism, 0);
        (config.clock_offset_s, config.deviation_min, config.summer_time) = (-4000, -60, true);
        let site = Site::new(config, way).await;
        let what = format!("{mechanism:?} {way:?}");
        for (verb, on) in [("disconnect", false), ("disconnect", false), ("reconnect", true)] {
            let effect = carry_out(&site, verb, "").await.unwrap_or_else(|undone| panic!("{what} {verb}: {undone}"));
            assert_eq!((effect.connected, connected(&site)), (Some(on), on), "{what} {verb}");
        }
        let effect = carry_out(&site, "sync-clock", "").await.unwrap_or_else(|undone| panic!("{what}: {undone}"));
        let off = |site: &Site| {
            let shown = site.server.with_meter(|meter, at| meter.clock_s(at));
            shown.abs_diff(u64::try_from(plomb_gateway::clock::unix_ms() / 1000).unwrap())
        };
        assert!(off(&site) <= 60 && effect.detail.contains("s behind"), "{what}: {} s, {}", off(&site), effect.detail);
        let (token, worth) = TOKENS[1];
        let before = site.server.with_meter(|meter, _| meter.credit());
        let effect = carry_out(&site, "credit", token).await.unwrap();
        assert!(effect.detail.contains("token execution result OK"), "{what}: {}", effect.detail);
        assert_eq!(site.server.with_meter(|meter, _| meter.credit()), before + i64::from(worth), "{what}");
        carry_out(&site, "set-tariff", TARIFF).await.unwrap_or_else(|undone| panic!("{what}: {undone}"));
        site.server.with_meter(|meter, at| {
            let active = |index| meter.attribute(20, CALENDAR, index, at).unwrap();
            assert_eq!(active(ACTIVE_NAME).octets().unwrap(), b"WINTER26", "{what}");
            assert_eq!((active(3).elements().len(), active(4).elements().len(), active(5).elements().len()), (1, 1, 2));
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_taken_once_and_a_calendar_waits_for_its_time() {
    let site = site(Mechanism::Gmac, Way::Tcp, Faults::default()).await;
    let (token, worth) = TOKENS[0];
    carry_out(&site, "credit", token).await.unwrap();
    let rich = site.server.with_meter(|meter, _| meter.credit());
    assert!(rich > i64::from(worth));
    for (again, why) in
        [(token, "validation result failure"), ("00000000000000000000", "authentication failure"), ("123", "format")]
    {
        let undone = carry_out(&site, "credit", again).await.unwrap_err();
        assert_eq!((undone.rule, undone.certainty), (deed::REFUSED, Certainty::NotDone), "{undone}");
        assert!(undone.detail.contains(why) && !undone.detail.contains(again), "{undone}");
    }
    assert_eq!(site.server.with_meter(|meter, _| meter.credit()), rich);
    let later = TARIFF.replace("\"now\"", "\"2099-01-01 00:00\"");
    let effect = carry_out(&site, "set-tariff", &later).await.unwrap();
    assert!(effect.detail.contains("comes into force at 2099-01-01T00:00:00"), "{}", effect.detail);
    let name = |index| site.server.with_meter(|meter, at| meter.attribute(20, CALENDAR, index, at)).unwrap();
    assert_eq!((name(2).octets().unwrap(), name(6).octets().unwrap()), (&b"PLM-A"[..], &b"WINTER26"[..]));
    // A calendar with the time of another one does not come into force half written, nor by that time.
    carry_out(&site, "set-tariff", &TARIFF.replace("WINTER26", "SPRING27")).await.unwrap();
    assert_eq!((name(2).octets().unwrap(), name(10).octets().unwrap()), (&b"SPRING27"[..], &[0xFF; 12][..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_wants_a_hand_is_made_ready_and_one_that_is_none_refuses() {
    let mut config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
    config.control_mode = 3;
    let by_hand = Site::new(config.clone(), Way::Tcp).await;
    carry_out(&by_hand, "disconnect", "").await.unwrap();
    let effect = carry_out(&by_hand, "reconnect", "").await.unwrap();
    assert!(effect.detail.contains("ready for reconnection"), "{}", effect.detail);
    assert_eq!((effect.connected, connected(&by_hand)), (Some(false), false));
    config.control_mode = 0;
    let never = Site::new(config, Way::Tcp).await;
    let undone = carry_out(&never, "disconnect", "").await.unwrap_err();
    assert_eq!((undone.rule, undone.certainty), (deed::REFUSED, Certainty::NotDone), "{undone}");
    assert!(connected(&never));
}

/// A meter that says yes and shows nothing: whether the supply is off is not known, and not said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nothing_confirms_is_told_as_such() {
    let site = site(Mechanism::Lls, Way::Tcp, Faults { hides_switch: true, ..Faults::default() }).await;
    let effect = carry_out(&site, "disconnect", "").await.unwrap();
    assert_eq!((effect.connected, changes(&site)), (None, 1));
    assert!(effect.detail.contains("nothing confirms it"), "{}", effect.detail);
}

/// A meter that does it and is not heard, one that does not hear it, one that is never heard again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_looked_for_and_never_asked_for_again() {
    let mute = || Faults { mute_changes: true, ..Faults::default() };
    let deaf = || Faults { deaf_changes: true, ..Faults::default() };
    let dying = || Faults { dies_at_change: true, ..Faults::default() };
    let mute_site = site(Mechanism::Gmac, Way::Tcp, mute()).await;
    let effect = carry_out(&mute_site, "disconnect", "").await.unwrap();
    assert!(effect.detail.contains("answer was lost") && !connected(&mute_site), "{}", effect.detail);
    assert_eq!(changes(&mute_site), 1);
    // The last token's fate is shown, and might be another's.
    let undone = carry_out(&mute_site, "credit", TOKENS[0].0).await.unwrap_err();
    assert_eq!((undone.rule, undone.certainty), (deed::ANSWER_LOST, Certainty::Unknown), "{undone}");
    assert_eq!(changes(&mute_site), 2);

    let deaf_site = site(Mechanism::Gmac, Way::Tcp, deaf()).await;
    let undone = carry_out(&deaf_site, "disconnect", "").await.unwrap_err();
    assert_eq!((undone.rule, undone.certainty), (deed::ANSWER_LOST, Certainty::Unknown), "{undone}");
    assert!(undone.detail.contains("now the supply is connected") && connected(&deaf_site), "{undone}");
    // Of a calendar only the last step counts.
    let undone = carry_out(&deaf_site, "set-tariff", TARIFF).await.unwrap_err();
    assert_eq!((undone.rule, undone.certainty), (deed::ANSWER_LOST, Certainty::NotDone), "{undone}");
    assert!(undone.detail.contains("writing the calendar's name: the active one stays"), "{undone}");

    for way in [Way::Tcp, Way::Udp, Way::HdlcTcp] {
        let dead = site(Mechanism::Gmac, way, dying()).await;
        let undone = carry_out(&dead, "disconnect", "").await.unwrap_err();
        assert_eq!((undone.rule, undone.certainty), (deed::ANSWER_LOST, Certainty::Unknown), "{undone}");
        assert_eq!((changes(&dead), connected(&dead)), (1, false), "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_done_says_which_rule() {
    let told = |done: Result<Effect, Undone>, rule: &str, what: &str| {
        let undone = done.unwrap_err();
        assert_eq!((undone.rule, undone.certainty), (rule, Certainty::NotDone), "{undone}");
        assert!(undone.detail.contains(what), "{undone}");
    };
    // The public client sees no switch, and no other client is configured.
    let mut public = site(Mechanism::Lls, Way::Tcp, Faults::default()).await;
    (public.meter.authentication, public.meter.client) = (Authentication::None, Some(16));
    told(carry_out(&public, "disconnect", "").await, deed::REFUSED, "object-undefined (4)");
    told(carry_out(&public, "sync-clock", "").await, deed::REFUSED, "read-write-denied (3): may this client do it?");
    assert!(connected(&public));
    // An object of another name.
    let mut named = site(Mechanism::Lls, Way::Tcp, Faults::default()).await;
    named.meter.disconnect_object = Some("0-1:96.3.10".into());
    told(carry_out(&named, "disconnect", "").await, deed::REFUSED, "named in the meter's configuration");
    told(carry_out(&named, "valve", "open").await, deed::UNSUPPORTED, "valve is not among what a DLMS meter");
    // A wrong password.
    named.knowledge.secrets = Arc::new(Secrets::parse("secrets", "flat password nonsense\n").unwrap());
    told(carry_out(&named, "disconnect", "").await, deed::KEY, "password is wrong");
    // A meter that is not there, and a port that is not.
    let silent = Faults { silent: true, ..Faults::default() };
    told(carry_out(&site(Mechanism::Gmac, Way::Tcp, silent).await, "disconnect", "").await, deed::NOT_REACHED, "");
    named.bus.port = "tcp://127.0.0.1:1".into();
    told(carry_out(&named, "reconnect", "").await, deed::NOT_REACHED, "127.0.0.1:1");
    // A clock of the gateway that nobody has set.
    let unset = plomb_gateway::config::Clock { synced_file: "/nowhere/at/all".into(), ..Default::default() };
    let mut unset_site = site(Mechanism::Gmac, Way::Tcp, Faults::default()).await;
    unset_site.knowledge.clock = Some(Arc::new(plomb_gateway::clock::SystemClock::new(&unset)));
    told(carry_out(&unset_site, "sync-clock", "").await, deed::CLOCK_UNSET, "no meter is set by it");
    assert_eq!(changes(&unset_site), 0);
}

/// A journal that groups for long: what must be durable at once is made so.
fn journal(folder: &tempfile::TempDir) -> Journal {
    let gateway: plomb_seal::Name = "gw".parse().unwrap();
    let keys = Keyring::new(SigningKey::from_seed(&[7; 32]), &gateway, &[]);
    let clock = || Stamp { unix_ms: 1, clock: plomb_seal::Clock::Unset };
    let options = Options { window: Duration::from_secs(3600), ..Options::default() };
    Journal::open(&folder.path().join("journal.redb"), gateway, keys, options, clock).unwrap().0
}

struct Line {
    deeds: mpsc::Sender<Deed>,
    stop: watch::Sender<bool>,
    _others: (mpsc::Sender<plomb_gateway::poll::Question>, mpsc::Sender<plomb_gateway::scan::ScanOrder>),
    task: tokio::task::JoinHandle<Result<(), plomb_gateway::journal::JournalError>>,
}

impl Line {
    fn start(site: &Site, meters: &[Meter], journal: &Journal) -> Self {
        let ((ask, questions), (order, scans)) = (mpsc::channel(4), mpsc::channel(1));
        let (command, deeds) = mpsc::channel(deed::DEEDS_MAX);
        let (stop, stopped) = watch::channel(false);
        let asked = Asked { questions, scans, deeds };
        let board = Arc::new(Board::default());
        let task = BusTask::new(&site.bus, meters, &site.knowledge, journal.clone(), board, asked, stopped).unwrap();
        Self { deeds: command, stop, _others: (ask, order), task: tokio::spawn(task.run()) }
    }

    async fn order(&self, point: &str, verb: &str, content: &str) -> oneshot::Receiver<Result<deed::Done, Undone>> {
        let (answer, answered) = oneshot::channel();
        let (point, instruction) = (point.parse().unwrap(), instruction(verb, content));
        self.deeds.send(Deed { point, instruction, answer }).await.unwrap();
        answered
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_with_polls_that_are_due_does_what_is_ordered_first_and_reads_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder);
    let mut site = site(Mechanism::Gmac, Way::Tcp, Faults::default()).await;
    site.knowledge.journal = Some(journal.clone());
    // Always due, so that the line is never free; the second point is never answered for.
    site.meter.interval_s = 0.01;
    let nobody = Meter {
        server: Some(77),
        interval_s: 0.01,
        reply_timeout_ms: Some(50),
        retries: Some(0),
        ..site.meter.clone()
    };
    let nobody = Meter { point: "nobody".into(), authentication: Authentication::None, ..nobody };
    let line = Line::start(&site, &[site.meter.clone(), nobody], &journal);
    // Two at once: one after the other, in their order.
    let first = line.order("flat", "disconnect", "").await;
    let second = line.order("flat", "reconnect", "").await;
    let third = line.order("flat", "read", "").await;
    let done = first.await.unwrap().unwrap();
    assert!(done.detail.contains("disconnected"), "{}", done.detail);
    let record = done.record.unwrap();
    assert!(record.readings.iter().any(|reading| reading.obis.is_some()));
    // It is durable, though the group would wait for an hour.
    let snapshot = journal.reader().snapshot().unwrap();
    let (epoch, from, _) = snapshot.epochs().unwrap()[0];
    let frame = record.frames[0].0;
    let entries = snapshot.entries(epoch, from, 1000).unwrap();
    assert!(
        entries.iter().any(|entry| entry.bytes.windows(32).any(|bytes| bytes == frame)),
        "the reading is in the journal"
    );
    let done = second.await.unwrap().unwrap();
    assert!(done.detail.contains("connected") && done.record.is_some() && connected(&site), "{}", done.detail);
    assert_eq!(third.await.unwrap().unwrap().detail, "read");
    assert_eq!(changes(&site), 2);
    let undone = line.order("elsewhere", "read", "").await.await.unwrap().unwrap_err();
    assert_eq!(undone.rule, deed::NO_POINT);
    let undone = line.order("nobody", "read", "").await.await.unwrap().unwrap_err();
    assert_eq!((undone.rule, undone.certainty), (deed::NOT_REACHED, Certainty::NotDone), "{undone}");
    // Whoever gave up is not served behind its back.
    drop(line.order("flat", "disconnect", "").await);
    line.order("flat", "read", "").await.await.unwrap().unwrap();
    assert!(connected(&site));
    line.stop.send_replace(true);
    line.task.await.unwrap().unwrap();
}

/// The gateway is killed in the middle of commands: no invocation counter is used twice, no command is given twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_between_commands_repeat_no_counter() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
    config.client_counter = 5000;
    let mut site = Site::new(config, Way::Tcp).await;
    site.meter.reply_timeout_ms = Some(500);
    let mut last = 5000;
    for round in 0..16u64 {
        let journal = journal(&folder);
        site.knowledge.counters = journal.counters();
        site.knowledge.journal = Some(journal.clone());
        let before = changes(&site);
        let verb = if round % 2 == 0 { "disconnect" } else { "reconnect" };
        let killed = round % 4 > 1;
        let patience = if killed { Duration::from_millis(2 + round) } else { Duration::from_secs(30) };
        let done = tokio::time::timeout(patience, carry_out(&site, verb, "")).await;
        assert!(killed || done.is_ok_and(|done| done.is_ok()), "round {round}");
        assert!(changes(&site) - before <= 1, "round {round}");
        let (counter, refused) =
            site.server.with_meter(|meter, _| (meter.config.client_counter, meter.counters_refused));
        assert!(counter >= last, "{counter} after {last}");
        assert_eq!(refused, 0, "round {round}: a counter was used twice");
        last = counter;
        site.knowledge.journal = None;
        drop(journal);
    }
}

const WATER: &str = "format = 1\nname = \"town-water\"\nversion = 1\nmodel = \"Water meter with a valve\"\n\
    security = \"plain\"\n[[match]]\nmanufacturer = \"PLM\"\nmedium = [7]\n\
    [valve]\nsource = \"the simulator\"\nopen = \"01 FD1F 01\"\nclose = \"01 FD1F 00\"\n\
    state = { vib = \"FD1F\", open = [1], closed = [0] }\n";

async fn valve(
    line: &TcpLine,
    model: Option<&str>,
    secondary: bool,
    verb: &str,
    content: &str,
) -> Result<Effect, Undone> {
    let bus = Bus { port: format!("tcp://{}", line.address()), retries: Some(1), ..Bus::new("wire", Protocol::Mbus) };
    let (address, secondary) = if secondary { (None, Some("12345678".into())) } else { (Some(3), None) };
    let meter = Meter { address, secondary, model: model.map(Into::into), ..Meter::new("flat", "wire") };
    let mut library = Library::shipped().unwrap();
    for (name, maker) in [("town-water", "PLM"), ("other-water", "TWN")] {
        let text = WATER.replace("town-water", name).replace("\"PLM\"", &format!("\"{maker}\""));
        library.add(Profile::parse(name, &text).unwrap()).unwrap();
    }
    let knowledge = Knowledge { library: Arc::new(library), ..Knowledge::none() };
    let mut meter = LineMeter::new(&meter, &bus, &knowledge).unwrap();
    meter.carry_out(&mut Port::new(&bus, None), &instruction(verb, content)).await
}

async fn wire(valve: Valve) -> TcpLine {
    let manufacturer = manufacturer_code("PLM").unwrap();
    let identity = Identity { id: 0x1234_5678, manufacturer, version: 1, medium: 7 };
    let mut slave = Slave::live(3, live::Meter::new(Kind::Water, identity, 9));
    slave.valve = Some(valve);
    let mut wire = Wire::new(UNPACED, calendar());
    wire.fit(slave);
    TcpLine::open("127.0.0.1:0", wire).await.unwrap()
}

fn fitted(line: &TcpLine) -> Valve {
    line.with_bus(|bus| bus.slave(3).unwrap().valve.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_valve_is_moved_as_its_meter_s_profile_says() {
    let line = wire(Valve::new(true)).await;
    for (secondary, word, open) in [(false, "close", false), (true, "open", true)] {
        let effect = valve(&line, Some("town-water"), secondary, "valve", word).await.unwrap();
        assert_eq!(effect.detail, format!("the valve is {}", if open { "open" } else { "closed" }));
        assert_eq!(fitted(&line).open, open);
    }
    assert_eq!(fitted(&line).commands, 2);
    // Repeated by the link, carried out once.
    let mut silent = Valve::new(true);
    silent.mute = true;
    let mute = wire(silent).await;
    let effect = valve(&mute, Some("town-water"), false, "valve", "close").await.unwrap();
    assert!(effect.detail.contains("answer was lost, and the valve is closed"), "{}", effect.detail);
    assert_eq!((fitted(&mute).commands, fitted(&mute).open), (1, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_valve_that_is_another_s_or_none_is_left_alone() {
    let line = wire(Valve::new(true)).await;
    for (model, verb, rule, what) in [
        (None, "valve", deed::UNSUPPORTED, "names no `model`"),
        (Some("abb-a43"), "valve", deed::UNSUPPORTED, "knows of no valve"),
        (Some("other-water"), "valve", deed::OTHER_METER, "12345678.PLM.01.07 answers, which is no other-water"),
        (Some("town-water"), "disconnect", deed::UNSUPPORTED, "an M-Bus meter"),
    ] {
        let known = Library::shipped().unwrap();
        let first = known.profiles().next().unwrap().name.clone();
        let model = model.map(|model| if model == "abb-a43" { first.as_str() } else { model });
        let content = if verb == "valve" { "close" } else { "" };
        let undone = valve(&line, model, false, verb, content).await.unwrap_err();
        assert_eq!((undone.rule, undone.certainty), (rule, Certainty::NotDone), "{undone}");
        assert!(undone.detail.contains(what), "{undone}");
    }
    assert_eq!(fitted(&line).commands, 0);
}
