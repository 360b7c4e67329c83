//! DLMS meters, asked as plombd asks them: the simulated meter is made without a line of our codecs, and two foreign
//! clients read it too.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plomb_dlms::security::SystemTitle;
use plomb_gateway::{
    ask::{Answer, Knowledge, LineMeter, Outcome, port::Port},
    config::{self, Authentication, Bus, Framing, Meter, Protocol},
    journal::{Journal, Keyring, Options},
    secrets::Secrets,
};
use plomb_seal::{Reason, SigningKey, Stamp};
use plomb_sim::{
    Calendar,
    dlms::{
        Faults, Framing as Frames, Mechanism, MeterConfig, MeterServer, ProfileForm, SerialLine, conformance,
        public_point,
    },
};

const REGISTERS: [&str; 8] =
    ["1-0:1.8.0", "1-0:1.8.1", "1-0:2.8.0", "1-0:3.8.0", "1-0:32.7.0", "1-0:1.7.0", "1-0:14.7.0", "1-0:13.7.0"];

/// The meter's clock stands still a little behind ours, so that each question meets the same numbers.
pub(crate) fn calendar() -> Calendar {
    let now_s = u64::try_from(plomb_gateway::clock::unix_ms() / 1000).unwrap();
    Calendar { start_unix_s: now_s, factor: 0 }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Tcp,
    Udp,
    HdlcTcp,
    Pty,
}

fn authentication(mechanism: Mechanism) -> Authentication {
    match mechanism {
        Mechanism::None => Authentication::None,
        Mechanism::Lls => Authentication::Lls,
        Mechanism::Md5 => Authentication::Md5,
        Mechanism::Sha1 => Authentication::Sha1,
        Mechanism::Sha256 => Authentication::Sha256,
        Mechanism::Gmac => Authentication::Gmac,
        Mechanism::Ecdsa => Authentication::Ecdsa,
    }
}

/// What an installer would write into the file of secrets.
fn secrets(config: &MeterConfig) -> String {
    let hex = hex::encode::<&[u8]>;
    let secret = if config.mechanism == Mechanism::Lls { &config.password } else { &config.hls_secret };
    let mut text = format!("flat password-hex {}\n", hex(secret));
    if matches!(config.mechanism, Mechanism::Gmac | Mechanism::Ecdsa) {
        text += &format!("flat encryption {}\n", hex(&config.keys.unicast));
        text += &format!("flat authentication {}\n", hex(&config.keys.authentication));
    }
    if config.mechanism == Mechanism::Ecdsa {
        text += &format!("flat signing {}\n", hex(&config.client_signing_key));
        text += &format!("flat verifying {}\n", hex(&public_point(&config.signing_key)));
    }
    text
}

pub(crate) struct Site {
    pub(crate) server: MeterServer,
    pub(crate) bus: Bus,
    pub(crate) meter: Meter,
    pub(crate) knowledge: Knowledge,
}

impl Site {
    pub(crate) async fn new(config: MeterConfig, way: Way) -> Self {
        let secrets = Secrets::parse("secrets", &secrets(&config)).unwrap();
        let knowledge =
            Knowledge { secrets: Arc::new(secrets), title: SystemTitle(*b"PLBtest\x01"), ..Knowledge::none() };
        let meter = Meter {
            client: Some(1),
            authentication: authentication(config.mechanism),
            suite: config.suite,
            registers: REGISTERS.map(String::from).to_vec(),
            reply_timeout_ms: Some(2000),
            physical: matches!(way, Way::HdlcTcp | Way::Pty).then_some(17),
            ..Meter::new("flat", "line")
        };
        let mut server = MeterServer::new(config);
        let port = match way {
            Way::Tcp => format!("tcp://{}", server.serve_tcp("127.0.0.1:0", Frames::Wrapper).await.unwrap()),
            Way::Udp => format!("udp://{}", server.serve_udp("127.0.0.1:0").await.unwrap()),
            Way::HdlcTcp => format!("tcp://{}", server.serve_tcp("127.0.0.1:0", Frames::Hdlc).await.unwrap()),
            Way::Pty => {
                let path = server
                    .serve_pty(None, SerialLine { speed: plomb_sim::LineSpeed(115_200), ..SerialLine::default() })
                    .unwrap();
                path.to_str().unwrap().into()
            }
        };
        let framing = matches!(way, Way::HdlcTcp | Way::Pty).then_some(Framing::Hdlc);
        let bus =
            Bus { port, baud: 115_200, framing, parity: config::Parity::None, ..Bus::new("line", Protocol::Dlms) };
        Self { server, bus, meter, knowledge }
    }

    async fn ask(&self) -> Outcome {
        let mut meter = LineMeter::new(&self.meter, &self.bus, &self.knowledge).unwrap();
        meter.ask(&mut Port::new(&self.bus, None), false).await
    }

    /// Every register that was asked for, exactly as the simulator holds it.
    pub(crate) fn check_registers(&self, answer: &Answer, what: &str) {
        let held = self.server.with_meter(|meter, at| meter.held(at));
        let mut compared = 0;
        for one in &held {
            let code = one.obis.replacen('.', "-", 1).replacen('.', ":", 1);
            let Some(reading) = answer.record.readings.iter().find(|reading| {
                reading.obis.is_some_and(|obis| {
                    let [a, b, c, d, e, f] = obis.0;
                    format!("{a}-{b}:{c}.{d}.{e}.{f}") == code
                })
            }) else {
                continue;
            };
            let plomb_seal::Value::Number(number) = &reading.value else {
                panic!("{what} {code}: {:?}", reading.value)
            };
            assert_eq!((number.mantissa, number.exponent), (one.mantissa, one.scaler), "{what} {code}");
            compared += 1;
        }
        assert_eq!(compared, REGISTERS.len(), "{what}: {held:?}");
    }

    /// Every row since a time, exactly as the simulator holds it.
    fn check_rows(&self, answer: &Answer, from_s: u64, what: &str) -> usize {
        let held = self.server.with_meter(|meter, at| meter.held_rows(from_s, u64::MAX, at));
        let mut rows: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for reading in answer.earlier.iter().flat_map(|record| &record.readings) {
            let plomb_seal::Value::Number(number) = &reading.value else { panic!("{what}: {reading:?}") };
            let time = reading.time.clone().unwrap();
            rows.entry(time).or_default().push(number.mantissa);
            // Scaler and unit of a column are its register's, whether that was asked for or not.
            let unit = match reading.obis.map(|obis| obis.0) {
                Some([_, _, 1 | 2, 8, ..]) => "Wh",
                Some([_, _, 3 | 4, 8, ..]) => "varh",
                Some([_, _, 32, 7, ..]) => "V",
                _ => "",
            };
            assert_eq!(reading.unit, unit, "{what}: {reading:?}");
            let register = answer.record.readings.iter().find(|register| register.obis == reading.obis);
            if let Some(plomb_seal::Value::Number(register)) = register.map(|register| &register.value) {
                assert_eq!(number.exponent, register.exponent, "{what}: {reading:?}");
            }
        }
        let expected: BTreeMap<String, Vec<i64>> = held
            .iter()
            .map(|row| {
                let time = plomb_dlms::axdr::DateTime::from_unix_s(i64::try_from(row.unix_s).unwrap(), -60).unwrap();
                (time.to_string(), row.numbers.clone())
            })
            .collect();
        let zone = rows.keys().next().is_none_or(|time| time.ends_with("+01:00"));
        if zone {
            assert_eq!(rows, expected, "{what}");
        } else {
            let numbers = |rows: &BTreeMap<String, Vec<i64>>| rows.values().cloned().collect::<Vec<_>>();
            assert_eq!(numbers(&rows), numbers(&expected), "{what}");
        }
        rows.len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_and_every_authentication_reads_exactly() {
    use Mechanism::{Ecdsa, Gmac, Lls, Md5, None, Sha1, Sha256};
    let kinds = [
        (None, 0),
        (Lls, 0),
        (Md5, 0),
        (Sha1, 0),
        (Sha256, 0),
        (Gmac, 0),
        (Gmac, 1),
        (Gmac, 2),
        (Ecdsa, 1),
        (Ecdsa, 2),
    ];
    for way in [Way::Tcp, Way::Udp, Way::HdlcTcp, Way::Pty] {
        for (mechanism, suite) in kinds {
            let what = format!("{way:?} {mechanism:?} suite {suite}");
            let site = Site::new(MeterConfig::new(5, calendar(), mechanism, suite), way).await;
            let answer = site.ask().await.unwrap_or_else(|(reason, detail)| panic!("{what}: {reason:?} {detail}"));
            site.check_registers(&answer, &what);
            assert!(answer.record.meter_time.is_some() && !answer.frames.is_empty(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn general_ciphering_and_a_dedicated_key_read_exactly() {
    for (general, dedicated) in [(true, false), (false, true), (true, true)] {
        let mut config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
        config.general_ciphering = general;
        let mut site = Site::new(config, Way::Tcp).await;
        (site.meter.general_ciphering, site.meter.dedicated_key) = (general, dedicated);
        let what = format!("general {general}, dedicated {dedicated}");
        let answer = site.ask().await.unwrap_or_else(|(reason, detail)| panic!("{what}: {reason:?} {detail}"));
        site.check_registers(&answer, &what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_profile_is_fetched_whole_and_then_only_what_is_new() {
    let forms = [
        ("plain", ProfileForm::default(), conformance::ALL),
        ("by number", ProfileForm { rows: 3000, no_range: true, ..ProfileForm::default() }, conformance::ALL),
        ("clock last", ProfileForm { clock_column: 3, wide: true, ..ProfileForm::default() }, conformance::ALL),
        ("compressed", ProfileForm { null_compression: true, gaps: true, ..ProfileForm::default() }, conformance::ALL),
        (
            "newest first, compressed",
            ProfileForm { null_compression: true, gaps: true, newest_first: true, ..ProfileForm::default() },
            conformance::ALL,
        ),
        (
            "newest first, by number",
            ProfileForm { rows: 3000, newest_first: true, no_range: true, ..ProfileForm::default() },
            conformance::ALL,
        ),
        (
            "newest first, all at once",
            ProfileForm { rows: 800, newest_first: true, ..ProfileForm::default() },
            !conformance::SELECTIVE_ACCESS,
        ),
        ("all at once", ProfileForm { rows: 800, ..ProfileForm::default() }, !conformance::SELECTIVE_ACCESS),
        ("one by one", ProfileForm::default(), !conformance::MULTIPLE_REFERENCES),
    ];
    for (what, form, services) in forms {
        let mut config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
        (config.profile, config.conformance) = (form, config.conformance & services);
        let mut site = Site::new(config, Way::Tcp).await;
        (site.meter.load_profile, site.meter.backlog_days) = (Some("1-0:99.1.0".into()), Some(8));
        let now_s = plomb_gateway::clock::unix_ms() / 1000;
        let mut meter = LineMeter::new(&site.meter, &site.bus, &site.knowledge).unwrap();
        let mut port = Port::new(&site.bus, None);
        let first =
            meter.ask(&mut port, false).await.unwrap_or_else(|(reason, detail)| panic!("{what}: {reason:?} {detail}"));
        let rows = site.check_rows(&first, u64::try_from(now_s - 8 * 86_400 + 1).unwrap(), what);
        assert!(rows > 500, "{what}: {rows}");
        let second = meter.ask(&mut port, false).await.unwrap();
        assert!(second.earlier.is_empty(), "{what}: nothing is new");
        // A restart of the gateway goes on where the journal's mark is.
        let mark = first.marks.iter().map(|(name, value)| (name.clone(), value - 3600)).collect();
        let knowledge = Knowledge { counters: mark, ..site.knowledge.clone() };
        let third = LineMeter::new(&site.meter, &site.bus, &knowledge).unwrap().ask(&mut port, false).await.unwrap();
        let times: std::collections::BTreeSet<_> = third
            .earlier
            .iter()
            .flat_map(|record| &record.readings)
            .filter_map(|reading| reading.time.clone())
            .collect();
        assert!((1..=4).contains(&times.len()), "{what}: {times:?}");
    }
}

fn faults() -> [(&'static str, Faults); 7] {
    let none = Faults::default;
    [
        ("each fifth frame is lost", Faults { drop_every: Some(5), ..none() }),
        ("each fourth frame is damaged", Faults { bad_fcs_every: Some(4), ..none() }),
        ("byte by byte", Faults { trickle_ms: Some(0), ..none() }),
        ("no answer to a release", Faults { no_rlre: true, ..none() }),
        ("short APDUs", Faults { pdu_bytes_max: Some(90), ..none() }),
        ("forgets its connections", Faults { forget_every: Some(9), ..none() }),
        ("echo", Faults { echo: true, ..none() }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disturbances_cost_time_and_nothing_else() {
    for way in [Way::Tcp, Way::HdlcTcp] {
        for (fault, faults) in faults() {
            let mut config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
            config.faults = faults;
            let mut site = Site::new(config, way).await;
            site.meter.reply_timeout_ms = Some(500);
            let answer = site.ask().await.unwrap_or_else(|(why, detail)| panic!("{way:?} {fault}: {why:?} {detail}"));
            site.check_registers(&answer, &format!("{way:?} {fault}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_has_its_own_name_and_says_what_to_do() {
    let told = |outcome: Outcome| outcome.map(|_| ()).unwrap_err();
    // A wrong key, and a key that only we have wrong.
    for purpose in ["encryption", "authentication"] {
        let mut site = Site::new(MeterConfig::new(5, calendar(), Mechanism::Gmac, 0), Way::Tcp).await;
        let text = secrets(&MeterConfig::new(5, calendar(), Mechanism::Gmac, 0));
        let wrong: String = text
            .lines()
            .map(|line| match line.strip_prefix(&format!("flat {purpose} ")) {
                Some(_) => format!("flat {purpose} 000102030405060708090A0B0C0D0E0F\n"),
                None => format!("{line}\n"),
            })
            .collect();
        site.knowledge.secrets = Arc::new(Secrets::parse("secrets", &wrong).unwrap());
        let (reason, detail) = told(site.ask().await);
        assert_eq!(reason, Reason::Key, "{purpose}: {detail}");
    }
    let site = Site::new(MeterConfig::new(5, calendar(), Mechanism::Lls, 0), Way::Tcp).await;
    let mut wrong = Knowledge { ..site.knowledge.clone() };
    wrong.secrets = Arc::new(Secrets::parse("secrets", "flat password nonsense\n").unwrap());
    let mut meter = LineMeter::new(&site.meter, &site.bus, &wrong).unwrap();
    let (reason, detail) = told(meter.ask(&mut Port::new(&site.bus, None), false).await);
    assert_eq!(reason, Reason::Key);
    assert!(detail.contains("password is wrong"), "{detail}");
    // Another logical or physical device.
    let mut site = Site::new(MeterConfig::new(5, calendar(), Mechanism::None, 0), Way::HdlcTcp).await;
    (site.meter.physical, site.meter.reply_timeout_ms, site.meter.retries) = (Some(99), Some(200), Some(0));
    let (reason, detail) = told(site.ask().await);
    assert_eq!(reason, Reason::Timeout);
    assert!(detail.contains("check address"), "{detail}");
    // Nobody at all.
    site.bus.port = "tcp://127.0.0.1:1".into();
    assert_eq!(told(site.ask().await).0, Reason::Port);
    // A repeated answer.
    let mut config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
    config.faults.repeats_counter = true;
    let site = Site::new(config, Way::Tcp).await;
    assert_eq!(told(site.ask().await).0, Reason::Replayed);
}

/// The meter takes each invocation counter once. The gateway's is behind, is killed again and again, and never repeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invocation_counters_are_kept_before_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let mut config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
    config.client_counter = 5000;
    for silence in [false, true] {
        config.faults.counter_silence = silence;
        config.client_counter += 10_000;
        let mut site = Site::new(config.clone(), Way::Tcp).await;
        site.meter.reply_timeout_ms = Some(500);
        let mut last = config.client_counter;
        for round in 0..12 {
            // Each round is another life of the gateway: what is not in the journal is lost.
            let gateway: plomb_seal::Name = "gw".parse().unwrap();
            let keys = Keyring::new(SigningKey::from_seed(&[7; 32]), &gateway, &[]);
            let clock = || Stamp { unix_ms: 1, clock: plomb_seal::Clock::Unset };
            let (journal, _) = Journal::open(&path, gateway, keys, Options::default(), clock).unwrap();
            site.knowledge.counters = journal.counters();
            site.knowledge.journal = Some(journal.clone());
            let mut meter = LineMeter::new(&site.meter, &site.bus, &site.knowledge).unwrap();
            let mut port = Port::new(&site.bus, None);
            if round % 3 == 2 {
                // Killed in the middle of a conversation.
                let _ = tokio::time::timeout(Duration::from_millis(2), meter.ask(&mut port, false)).await;
            } else {
                let answer = meter.ask(&mut port, false).await;
                answer.unwrap_or_else(|(why, detail)| panic!("round {round}: {why:?} {detail}"));
            }
            let now = site.server.with_meter(|meter, _| meter.config.client_counter);
            assert!(now >= last, "{now} after {last}");
            last = now;
            drop(meter);
            site.knowledge.journal = None;
            drop(journal);
        }
    }
}

/// Pushes of the simulated meter, ciphered over TCP and UDP, through the port that plombd keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_come_over_tcp_and_udp_and_are_recorded_when_due() {
    use plomb_dlms::security::{Key, Keys, Suite};
    use plomb_gateway::push::{
        judge::{Expected, Judge, Outcome},
        receive::{Pushed, keep},
    };
    let config = MeterConfig::new(5, calendar(), Mechanism::Gmac, 0);
    let expected = |config: &MeterConfig| Expected {
        title: Some(SystemTitle(config.system_title)),
        keys: Some(Keys {
            encryption: Key::new(&config.keys.unicast).unwrap(),
            authentication: Some(Key::new(&config.keys.authentication).unwrap()),
            broadcast: None,
        }),
        suite: Suite::Zero,
        interval: Duration::from_secs(1),
        counter: None,
        names: ["-", "-", "-", "1-0:1.8.0"].map(|text| text.parse().ok()).to_vec(),
    };
    for scheme in ["tcp", "udp"] {
        let port = free_port();
        let bus = Bus { port: format!("{scheme}://127.0.0.1:{port}"), ..Bus::new("push", Protocol::DlmsPush) };
        let (send, mut pushes) = tokio::sync::mpsc::channel(16);
        let listening = tokio::spawn(keep(bus, send));
        assert!(matches!(pushes.recv().await, Some(Pushed::Open)));
        let mut judge = Judge::new(vec![expected(&config)]);
        let sealed = sealed_push(&config, 41);
        match scheme {
            "tcp" => {
                use tokio::io::AsyncWriteExt;
                let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                for piece in sealed.chunks(7) {
                    stream.write_all(piece).await.unwrap();
                }
            }
            _ => {
                let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.send_to(&sealed, ("127.0.0.1", port)).await.unwrap();
            }
        }
        let pushed = pushes.recv().await.unwrap();
        let outcome = judge.take(&pushed, Duration::from_secs(1));
        let Outcome::Good { due: Some(_), record, counter: Some(41), .. } = outcome else {
            panic!("{scheme}: {outcome:?}")
        };
        let energy = record.readings.iter().find(|reading| reading.obis.is_some()).unwrap();
        assert_eq!(energy.value.to_string(), "4711");
        assert!(matches!(
            judge.take(&pushed, Duration::from_secs(2)),
            Outcome::Refused { kind: "counter repeated", .. }
        ));
        listening.abort();
    }
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// A push as a meter sends it, in the wrapper.
fn sealed_push(config: &MeterConfig, counter: u32) -> Vec<u8> {
    use plomb_dlms::{
        apdu::{Apdu, DataNotification},
        axdr::Value,
        security::{CounterRange, Form, Key, Keys, SecurityContext, Suite},
        wrapper::Wrapped,
    };
    let keys = Keys {
        encryption: Key::new(&config.keys.unicast).unwrap(),
        authentication: Some(Key::new(&config.keys.authentication).unwrap()),
        broadcast: None,
    };
    let range = CounterRange { next: counter, end: counter + 1 };
    let mut meter = SecurityContext::new(Suite::Zero, SystemTitle(config.system_title), keys, range).unwrap();
    meter.set_form(Form::General);
    let octets = |bytes: &[u8]| Value::OctetString(bytes.to_vec());
    let body = Value::Structure(vec![
        octets(&[0, 0, 25, 9, 0, 255]),
        octets(b"PLM1"),
        Value::Null,
        Value::DoubleLongUnsigned(4711),
    ]);
    let plain = Apdu::DataNotification(DataNotification { id: 1, time: Vec::new(), body }).emit();
    let apdu = meter.protect(&plain).unwrap();
    Wrapped { source: 1, destination: 102, apdu: &apdu }.emit().unwrap()
}

/// A P1 port behind a serial server: telegrams between noise, one of them damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_telegrams_are_taken_whole_and_damaged_ones_are_not() {
    use plomb_gateway::push::{
        judge::{Expected, Judge, Outcome},
        receive::{Pushed, keep},
    };
    use tokio::io::AsyncWriteExt;
    let body = "/PLM5\\2simulated\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(261125120000W)\r\n\
                0-0:96.1.1(3132333435363738)\r\n1-0:1.8.1(001234.567*kWh)\r\n1-0:2.7.0(00.123*kW)\r\n!";
    let telegram = format!("{body}{:04X}\r\n", plomb_iec62056::p1::crc16(body.as_bytes()));
    let damaged = telegram.replace("001234", "001235");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = Bus { port: format!("tcp://{}", listener.local_addr().unwrap()), ..Bus::new("p1", Protocol::P1) };
    let (send, mut pushes) = tokio::sync::mpsc::channel(16);
    let listening = tokio::spawn(keep(bus, send));
    let (mut server, _) = listener.accept().await.unwrap();
    assert!(matches!(pushes.recv().await, Some(Pushed::Open)));
    for text in ["noise!", &damaged, "\0\0", &telegram] {
        server.write_all(text.as_bytes()).await.unwrap();
    }
    let interval = Duration::from_secs(1);
    let suite = plomb_dlms::security::Suite::Zero;
    let mut judge =
        Judge::new(vec![Expected { title: None, keys: None, suite, interval, counter: None, names: vec![] }]);
    let mut good = None;
    while good.is_none() {
        let pushed = pushes.recv().await.unwrap();
        match judge.take(&pushed, interval) {
            Outcome::Good { record, .. } => good = Some(record),
            Outcome::Noise(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let record = good.unwrap();
    let import = record.readings.iter().find(|reading| reading.obis.is_some_and(|obis| obis.0[2..5] == [1, 8, 1]));
    let import = import.unwrap();
    assert_eq!((import.value.to_string().as_str(), import.unit.as_str()), ("1234.567", "kWh"));
    assert_eq!((record.meter.protocol.as_str(), record.meter.id.as_str()), ("p1", "12345678"));
    listening.abort();
}

/// Through an optical head: the meter opens at 300 baud as mode E, then speaks HDLC at 9600.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_optical_head_is_opened_before_each_association() {
    use plomb_sim::dlms::OpeningForm;
    let config = MeterConfig::new(5, calendar(), Mechanism::Lls, 0);
    let mut site = Site::new(config, Way::Tcp).await;
    let line = SerialLine { opening: Some(OpeningForm::default()), ..SerialLine::default() };
    site.bus.port = site.server.serve_pty(None, line).unwrap().to_str().unwrap().into();
    (site.bus.baud, site.bus.framing, site.bus.mode_e) = (9600, None, true);
    site.meter.physical = Some(17);
    let answer = site.ask().await.unwrap_or_else(|(reason, detail)| panic!("{reason:?} {detail}"));
    site.check_registers(&answer, "mode E");
}
