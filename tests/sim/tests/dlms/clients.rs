//! Two clients that share no code with this project read the meter, in every way they can.
//! See `tests/peers/README.md` for what they need.

use plomb_sim::Calendar;
use plomb_sim::dlms::{Framing, HeldRow, Mechanism, MeterConfig, MeterServer, OpeningForm, SerialLine, public_point};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// The meter's time stands still, so that registers can be foretold.
const NOW: Calendar = Calendar { start_unix_s: 1_795_423_325, factor: 0 };
const PERIOD_S: u64 = 900;
const PWITAB: &str = "dlms_pwitab.py";
const GURUX: &str = "dlms_gurux.py";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Python that has the peers; `None` after saying that it is missing, which is a failure where peers are
/// required.
pub(crate) async fn python() -> Option<PathBuf> {
    let own = root().join("tests/.venv/bin/python3");
    let fallback = if own.exists() { own } else { PathBuf::from("python3") };
    let python = std::env::var_os("PLOMB_PYTHON").map_or(fallback, PathBuf::from);
    let import =
        Command::new(&python).args(["-c", "import dlms_cosem, gurux_dlms, iec62056_21, serial"]).output().await;
    if import.is_ok_and(|import| import.status.success()) {
        return Some(python);
    }
    let required =
        std::env::var("CI").is_ok_and(|ci| ci == "true") || std::env::var_os("PLOMB_REQUIRE_PEERS").is_some();
    assert!(!required, "{python:?} has no DLMS clients: install tests/peers/requirements.txt");
    eprintln!("DLMS clients absent in {python:?}: install tests/peers/requirements.txt");
    None
}

/// Where a client finds the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Tcp,
    Udp,
    HdlcTcp,
    Pty,
    ModeE,
}

/// A line that has to be opened. That mode C client takes its time to change its speed.
fn opened_line() -> SerialLine {
    let form = OpeningForm { reaction: Duration::from_millis(1200), ..OpeningForm::default() };
    SerialLine { opening: Some(form), ..SerialLine::default() }
}

/// A meter on one line, and what a client needs to know for that.
async fn serve(mut config: MeterConfig, line: Line) -> (MeterServer, Vec<String>) {
    config.client_counter = 40;
    let told = config.clone();
    let mut server = MeterServer::new(config);
    let place = match line {
        Line::Tcp => ["--tcp".into(), server.serve_tcp("127.0.0.1:0", Framing::Wrapper).await.unwrap().to_string()],
        Line::Udp => ["--udp".into(), server.serve_udp("127.0.0.1:0").await.unwrap().to_string()],
        Line::HdlcTcp => {
            ["--hdlc-tcp".into(), server.serve_tcp("127.0.0.1:0", Framing::Hdlc).await.unwrap().to_string()]
        }
        Line::Pty | Line::ModeE => {
            let form = if line == Line::ModeE { opened_line() } else { SerialLine::default() };
            let path = server.serve_pty(None, form).unwrap();
            ["--serial".into(), path.to_str().unwrap().to_owned()]
        }
    };
    let mut arguments: Vec<String> = place.to_vec();
    if matches!(line, Line::HdlcTcp | Line::Pty | Line::ModeE) {
        arguments.extend(["--physical".into(), told.physical_device.to_string()]);
    }
    let (auth, secret) = match told.mechanism {
        Mechanism::None => ("none", &told.password),
        Mechanism::Lls => ("lls", &told.password),
        Mechanism::Md5 => ("hls-md5", &told.hls_secret),
        Mechanism::Sha1 => ("hls-sha1", &told.hls_secret),
        Mechanism::Gmac => ("hls-gmac", &told.password),
        Mechanism::Sha256 => ("hls-sha256", &told.hls_secret),
        Mechanism::Ecdsa => ("hls-ecdsa", &told.password),
    };
    let password = if auth == "none" { String::new() } else { String::from_utf8(secret.clone()).unwrap() };
    let settings = [
        ("--client", told.client.to_string()),
        ("--auth", auth.into()),
        ("--suite", told.suite.to_string()),
        ("--password", password),
        ("--ek", hex(&told.keys.unicast)),
        ("--ak", hex(&told.keys.authentication)),
        ("--title", hex(&told.client_title)),
        ("--counter", "41".into()),
    ];
    if told.mechanism == Mechanism::Ecdsa {
        let keys =
            [("--meter-key", hex(&public_point(&told.signing_key))), ("--own-key", hex(&told.client_signing_key))];
        arguments.extend(keys.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
    }
    arguments.extend(settings.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
    (server, arguments)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a client to its end; gives what it read.
pub(crate) async fn run(python: &Path, script: &str, place: &[String], asked: &[String]) -> Value {
    let script = root().join("tests/peers").join(script);
    let output = Command::new(python).env("TZ", "UTC").arg(&script).args(place).args(asked).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // One of them tells what it does, before its line of JSON.
    let last = text.lines().last().unwrap_or_else(|| panic!("{script:?} said: {errors}"));
    serde_json::from_str(last).unwrap_or_else(|_| panic!("{script:?} said: {text} {errors}"))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn registers(server: &MeterServer) -> Vec<String> {
    server.with_meter(|meter, at| meter.held(at).iter().map(|held| format!("{}:{}", held.obis, held.class)).collect())
}

fn check_registers(server: &MeterServer, read: &Value) {
    assert_eq!(read["error"], Value::Null, "{read}");
    server.with_meter(|meter, at| {
        let held = meter.held(at);
        assert_eq!(held.len(), read["registers"].as_object().unwrap().len());
        for held in held {
            let foretold = serde_json::json!([held.mantissa, held.scaler, held.unit]);
            assert_eq!(read["registers"][&held.obis], foretold, "{}", held.obis);
        }
    });
}

/// The newest rows, as a range and as entries.
fn newest(server: &MeterServer, count: u64) -> (u64, u64, Vec<HeldRow>) {
    let end = NOW.start_unix_s;
    let begin = end - end % PERIOD_S - (count - 1) * PERIOD_S;
    let rows = server.with_meter(|meter, at| meter.held_rows(begin, end, at));
    (begin, end, rows)
}

fn check_rows(held: &[HeldRow], read: &Value) {
    let rows = read.as_array().unwrap_or_else(|| panic!("no rows in {read}"));
    assert_eq!(rows.len(), held.len());
    for (row, held) in rows.iter().zip(held) {
        let mut foretold = vec![i64::try_from(held.unix_s).unwrap()];
        foretold.extend(&held.numbers);
        assert_eq!(row, &serde_json::json!(foretold));
    }
}

/// Reads all registers, so many rows by range, and the meter's name.
async fn read_all(python: &Path, script: &str, config: MeterConfig, line: Line, rows: u64, more: &str) -> MeterServer {
    let (server, place) = serve(config, line).await;
    let (begin, end, held) = newest(&server, rows);
    let mut asked = registers(&server);
    asked.extend(words(&format!("--profile 1.0.99.1.0.255 --begin {begin} --end {end} --data 0.0.42.0.0.255 {more}")));
    let read = run(python, script, &place, &asked).await;
    check_registers(&server, &read);
    check_rows(&held, &read["rows"]);
    assert_eq!(read["clock"], NOW.start_unix_s);
    let name = server.with_meter(|meter, _| meter.config.logical_device_name());
    assert_eq!(read["data"], name.as_str());
    server
}

fn meter(mechanism: Mechanism, suite: u8) -> MeterConfig {
    MeterConfig::new(7, NOW, mechanism, suite)
}

/// Mechanisms that both clients know.
const COMMON: [(Mechanism, u8); 5] =
    [(Mechanism::None, 0), (Mechanism::Lls, 0), (Mechanism::Gmac, 0), (Mechanism::Gmac, 1), (Mechanism::Gmac, 2)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_clients_read_all_over_the_wrapper() {
    let Some(python) = python().await else { return };
    for (mechanism, suite) in COMMON {
        for script in [PWITAB, GURUX] {
            let rows = if suite == 0 { 500 } else { 20 };
            read_all(&python, script, meter(mechanism, suite), Line::Tcp, rows, "--objects").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_clients_read_all_over_hdlc() {
    let Some(python) = python().await else { return };
    for (mechanism, suite) in COMMON {
        for script in [PWITAB, GURUX] {
            let rows = if mechanism == Mechanism::Lls { 500 } else { 40 };
            read_all(&python, script, meter(mechanism, suite), Line::HdlcTcp, rows, "--objects").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_clients_read_over_a_paced_line() {
    let Some(python) = python().await else { return };
    for script in [PWITAB, GURUX] {
        let before = Instant::now();
        read_all(&python, script, meter(Mechanism::Gmac, 0), Line::Pty, 20, "").await;
        // Nothing but bytes: some 90 short frames there and back of 9600 bits a second.
        assert!(before.elapsed() > Duration::from_secs(3), "{:?}", before.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_opened_for_hdlc_and_for_a_readout() {
    let Some(python) = python().await else { return };
    let server = read_all(&python, GURUX, meter(Mechanism::Gmac, 0), Line::ModeE, 2, "--mode-e").await;
    drop(server);
    let mut server = MeterServer::new(meter(Mechanism::Gmac, 0));
    let path = server.serve_pty(None, opened_line()).unwrap();
    let read = run(&python, "iec62056_pwitab.py", &["--serial".into(), path.to_str().unwrap().to_owned()], &[]).await;
    assert_eq!(read["manufacturer"], "PLM", "{read}");
    let lines: Vec<String> = read["readout"].as_array().unwrap().iter().map(printed).collect();
    assert_eq!(lines.concat(), server.with_meter(|meter, at| meter.readout(at)));
}

/// A data set as a meter prints it.
fn printed(line: &Value) -> String {
    let [address, value, unit] = [0, 1, 2].map(|part| line[part].as_str().unwrap_or_default());
    let unit = if unit.is_empty() { String::new() } else { format!("*{unit}") };
    format!("{address}({value}{unit})\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gurux_reads_over_datagrams_and_with_each_digest_and_signature() {
    let Some(python) = python().await else { return };
    for mechanism in [Mechanism::Md5, Mechanism::Sha1, Mechanism::Sha256] {
        read_all(&python, GURUX, meter(mechanism, 0), Line::Tcp, 4, "").await;
    }
    // It cannot sign with P-384.
    read_all(&python, GURUX, meter(Mechanism::Ecdsa, 1), Line::Tcp, 4, "").await;
    read_all(&python, GURUX, meter(Mechanism::Gmac, 0), Line::Udp, 100, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gurux_reads_with_long_addresses_short_apdus_dedicated_keys_and_general_ciphering() {
    let Some(python) = python().await else { return };
    let frames = "--address-bytes 4 --frame 400 --objects";
    read_all(&python, GURUX, meter(Mechanism::Lls, 0), Line::HdlcTcp, 100, frames).await;
    read_all(&python, GURUX, meter(Mechanism::Gmac, 0), Line::Tcp, 100, "--pdu 300 --objects").await;
    let dedicated = "--dedicated 00112233445566778899AABBCCDDEEFF";
    read_all(&python, GURUX, meter(Mechanism::Gmac, 0), Line::Tcp, 10, dedicated).await;
    read_all(&python, GURUX, meter(Mechanism::Gmac, 0), Line::Tcp, 10, "--general").await;
    for (security, policy) in [("authentication", 0x24), ("encryption", 0x48)] {
        let mut half = meter(Mechanism::Gmac, 0);
        half.policy = policy;
        read_all(&python, GURUX, half, Line::Tcp, 10, &format!("--security {security}")).await;
    }
    let mut general = meter(Mechanism::Gmac, 0);
    general.general_ciphering = true;
    read_all(&python, GURUX, general, Line::Tcp, 10, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gurux_reads_rows_by_entry_and_registers_by_list() {
    let Some(python) = python().await else { return };
    let mut config = meter(Mechanism::Lls, 0);
    config.profile.clock_column = 2;
    config.profile.wide = true;
    config.profile.gaps = true;
    let (server, place) = serve(config, Line::Tcp).await;
    let mut asked = registers(&server);
    asked.extend(words("--profile 1.0.99.1.0.255 --first 30000 --count 500 --list"));
    let read = run(&python, GURUX, &place, &asked).await;
    check_registers(&server, &read);
    server.with_meter(|meter, at| {
        let times = meter.row_times(at);
        assert!((34_000..35_040).contains(&times.len()), "{} rows, for there are gaps", times.len());
        let held = meter.held_rows(times[29_999], times[30_498], at);
        check_rows(&held, &read["entries"]);
        let values: Vec<i64> = meter.held(at).iter().filter(|held| held.class == 3).map(|held| held.mantissa).collect();
        assert_eq!(read["list"], serde_json::json!(values));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_clients_switch_the_supply_and_one_sets_the_clock() {
    let Some(python) = python().await else { return };
    let (server, place) = serve(meter(Mechanism::Lls, 0), Line::Tcp).await;
    for script in [PWITAB, GURUX] {
        for (order, connected) in [("off", false), ("on", true)] {
            let read = run(&python, script, &place, &words(&format!("--switch {order}"))).await;
            assert_eq!(read["connected"], connected, "{read}");
            assert_eq!(server.with_meter(|meter, _| meter.is_connected()), connected);
        }
    }
    let wanted = NOW.start_unix_s + 3600;
    let read = run(&python, GURUX, &place, &words(&format!("--set-clock {wanted}"))).await;
    assert_eq!(read["clock_set"], wanted, "{read}");
    assert_eq!(server.with_meter(|meter, at| meter.clock_s(at)), wanted);
}

/// A meter that is operated by a client that shares nothing with us: tokens count once, a tariff calendar comes into
/// force, and no energy flows while the supply is off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gurux_enters_tokens_changes_the_calendar_and_finds_the_registers_standing() {
    let Some(python) = python().await else { return };
    let mut config = meter(Mechanism::Gmac, 0);
    // Hours pass in seconds.
    config.calendar = Calendar { start_unix_s: NOW.start_unix_s, factor: 3600 };
    let (server, mut place) = serve(config, Line::Tcp).await;
    let mut ask = async |asked: String| {
        // Each client goes on where the last one stopped.
        let counter = server.with_meter(|meter, _| meter.config.client_counter) + 1;
        let at = place.iter().position(|argument| argument == "--counter").unwrap() + 1;
        place[at] = counter.to_string();
        let read = run(&python, GURUX, &place, &words(&asked)).await;
        assert_eq!(read["error"], Value::Null, "{asked}: {read}");
        read
    };
    let (token, worth) = plomb_sim::dlms::TOKENS[2];
    let before = server.with_meter(|meter, _| meter.credit());
    for (token, status) in [(token, 3), (token, 6), ("12", 4)] {
        assert_eq!(ask(format!("--token {token}")).await["token_status"], status, "{token}");
    }
    assert_eq!(server.with_meter(|meter, _| meter.credit()), before + i64::from(worth));
    let read = ask("--calendar ODD".into()).await;
    assert_eq!(
        (&read["calendar"], &read["tariffs"], &read["weeks"]),
        (&"ODD".into(), &serde_json::json!([[3]]), &2.into())
    );
    ask("--switch off".into()).await;
    let energy = "1.0.1.8.0.255:3";
    let off = ask(energy.into()).await["registers"].clone();
    assert_eq!(ask(energy.into()).await["registers"], off, "hours later");
    ask("--switch on".into()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_ne!(ask(energy.into()).await["registers"], off);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gurux_knows_every_attribute_of_every_object_writes_in_blocks_and_transfers_an_image() {
    let Some(python) = python().await else { return };
    let mut config = meter(Mechanism::Lls, 0);
    config.pdu_bytes_max = 300;
    let (server, place) = serve(config, Line::Tcp).await;
    let label = "Neue Strasse 12, im Hof ".repeat(20);
    let mut asked = words("--all --image 600 --write");
    asked.push(label.clone());
    let read = run(&python, GURUX, &place, &asked).await;
    assert_eq!((&read["problems"], &read["error"]), (&serde_json::json!([]), &Value::Null), "{read}");
    assert!(read["objects"].as_u64().unwrap() > 45, "{read}");
    assert_eq!(read["image_status"], 3, "verified");
    let held = server.with_meter(|meter, at| meter.attribute(1, [0, 0, 96, 1, 1, 255], 2, at));
    assert_eq!(held, Some(plomb_sim::dlms::Value::Octets(label.into_bytes())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_clients_take_zones_and_one_takes_null_data() {
    let Some(python) = python().await else { return };
    let mut config = meter(Mechanism::Lls, 0);
    config.deviation_min = -60;
    config.profile.clock_column = 2;
    for script in [PWITAB, GURUX] {
        read_all(&python, script, config.clone(), Line::Tcp, 30, "").await;
    }
    // The hour that local time has twice, at the end of summer.
    config.summer_time = true;
    let (server, place) = serve(config.clone(), Line::Tcp).await;
    let (begin, end) = (1_792_890_000 - 7200, 1_792_890_000 + 7200);
    let held = server.with_meter(|meter, at| meter.held_rows(begin, end, at));
    for script in [PWITAB, GURUX] {
        let asked = words(&format!("--profile 1.0.99.1.0.255 --begin {begin} --end {end}"));
        let read = run(&python, script, &place, &asked).await;
        check_rows(&held, &read["rows"]);
    }
    // One of them shows null-data for values that stay the same: by day each row has another energy.
    config.profile.null_compression = true;
    let (server, place) = serve(config, Line::Tcp).await;
    let (begin, end, held) = newest(&server, 4);
    let asked = words(&format!("--profile 1.0.99.1.0.255 --begin {begin} --end {end}"));
    let read = run(&python, PWITAB, &place, &asked).await;
    let clocks: Vec<u64> = read["rows"].as_array().unwrap().iter().map(|row| row[0].as_u64().unwrap()).collect();
    assert_eq!(clocks, held.iter().map(|row| row.unix_s).collect::<Vec<_>>(), "{read}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_refused_with_a_wrong_password_key_or_counter() {
    let Some(python) = python().await else { return };
    for script in [PWITAB, GURUX] {
        let (_server, place) = serve(meter(Mechanism::Lls, 0), Line::Tcp).await;
        let read = run(&python, script, &place, &words("--password 00000000")).await;
        assert!(read["error"].is_string(), "{read}");
        let (server, place) = serve(meter(Mechanism::Gmac, 0), Line::Tcp).await;
        let half = "--security encryption";
        for wrong in ["--ek 00112233445566778899aabbccddeeff", "--counter 40", half] {
            if script == PWITAB && wrong == half {
                continue;
            }
            let read = run(&python, script, &place, &words(wrong)).await;
            assert!(read["error"].is_string(), "{wrong}: {read}");
            // What was refused doesn't count.
            assert_eq!(server.with_meter(|meter, _| meter.config.client_counter), 40);
        }
    }
}
