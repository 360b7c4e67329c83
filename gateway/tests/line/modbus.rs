//! Modbus meters, over TCP and on a pseudo-terminal: each question gets its own answer, or none.

use std::{
    collections::VecDeque,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use plomb_gateway::{
    ask::{
        Answer, Knowledge, LineMeter, Outcome, ask_once,
        modbus::{ModbusLine, Trouble},
        port::Port,
    },
    config::{Bus, Meter, Parity, Protocol},
    scan::{ScanLine, modbus},
};
use plomb_modbus::{Block, Maps, Table};
use plomb_seal::{Reason, Value};
use plomb_sim::modbus::{Faults, ModbusServer, Unit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const PATIENCE: Duration = Duration::from_millis(200);
const VOLTAGES: Block = Block { table: Table::Input, address: 0, words: 6 };
const ENERGIES: Block = Block { table: Table::Input, address: 0x48, words: 6 };

fn bus(port: &str) -> Bus {
    Bus {
        port: port.into(),
        baud: 9600,
        parity: Parity::None,
        reply_timeout_ms: Some(200),
        retries: Some(0),
        ..Bus::new("line", Protocol::Modbus)
    }
}

fn meter(unit: u8, model: &str) -> Meter {
    Meter { unit: Some(unit), model: Some(model.into()), ..Meter::new("flat", "line") }
}

fn knowledge() -> Knowledge {
    Knowledge { maps: Arc::new(Maps::shipped().unwrap()), ..Knowledge::none() }
}

/// A server, and its ports: TCP and serial.
async fn serve(units: Vec<Unit>) -> (ModbusServer, [String; 2]) {
    let mut server = ModbusServer::new(units);
    let tcp = format!("tcp://{}", server.serve_tcp("127.0.0.1:0").await.unwrap());
    let pty = server.serve_pty(None).unwrap().display().to_string();
    (server, [tcp, pty])
}

fn faulty(faults: Faults) -> Unit {
    Unit { faults, ..Unit::new(1) }
}

async fn ask(unit: u8, port: &str) -> Outcome {
    ask_once(&meter(unit, "eastron-sdm630"), &bus(port), &knowledge()).await
}

fn value(answer: &Answer, obis: &str) -> String {
    let of = |reading: &&plomb_seal::Reading| reading.obis.is_some_and(|code| code.to_string().starts_with(obis));
    match &answer.record.readings.iter().find(of).unwrap().value {
        Value::Number(number) => plomb_session::Decimal::new(number.mantissa, number.exponent).to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_meter_is_read_exactly() {
    let (_server, ports) = serve(vec![Unit::new(1)]).await;
    for port in ports {
        let answer = ask(1, &port).await.unwrap();
        assert_eq!((answer.record.meter.protocol.as_str(), answer.record.meter.id.as_str()), ("modbus", "21000001"));
        assert_eq!(value(&answer, "1-0:32.7.0"), "230.2");
        assert!(value(&answer, "1-0:1.8.0").starts_with("1234.5"));
        assert_eq!((answer.record.readings.len(), answer.frames.len()), (13, 3));
        assert_eq!(answer.record.frames.len(), 3);
    }
}

#[tokio::test]
async fn a_late_answer_never_counts_for_the_next_question() {
    // Within the time that is waited out; after it; and after it with the next answer slow too.
    for (late_ms, count) in [(300, 1), (450, 1), (450, 2), (520, 2)] {
        let faults = Faults { late_ms: Some(late_ms), late_count: Some(count), ..Faults::default() };
        let (_server, ports) = serve(vec![faulty(faults)]).await;
        for port in ports {
            _server.with_units(|units| units[0].asked = 0);
            let mut line = ModbusLine::new(&bus(&port));
            let expected = |block: Block| {
                let unit = Unit::new(1);
                u16::try_from(unit.meter.value(block.address, Duration::ZERO).to_bits() >> 16).unwrap()
            };
            let mut told = Vec::new();
            for block in [VOLTAGES, ENERGIES, VOLTAGES, ENERGIES, ENERGIES, VOLTAGES] {
                if !line.is_open() {
                    line.open().await.unwrap();
                }
                let read = line.read(1, block, PATIENCE).await;
                if let Ok(words) = &read {
                    // All but the fraction, which grows.
                    assert_eq!(words[0], expected(block), "{port} {late_ms} {count}: {told:?}");
                }
                told.push(read.is_ok());
            }
            assert!(!told[0] && told[4] && told[5], "{port} {late_ms} {count}: {told:?}");
        }
    }
}

/// A gateway to a serial line that hands on whatever comes from there, under the number of its latest question: a
/// late answer too. What nobody asks for within 700 ms it forgets. Register N of its unit has the value N.
async fn simple_gateway(late: Vec<Duration>) -> String {
    const FORGETS: Duration = Duration::from_millis(700);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut late, mut due) = (late.into_iter(), VecDeque::new());
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 12];
            while stream.read_exact(&mut asked).await.is_ok() {
                let [t0, t1, .., unit, function, a, b, _, words] = asked;
                let first = u16::from_be_bytes([a, b]);
                let mut frame = vec![0, 0, 0, words * 2 + 3, unit, function, words * 2];
                frame.extend((first..first + u16::from(words)).flat_map(u16::to_be_bytes));
                let free = due.back().map_or_else(Instant::now, |(at, _)| Instant::max(Instant::now(), *at));
                due.push_back((free + late.next().unwrap_or_default(), frame));
                due.retain(|(at, _)| at.elapsed() < FORGETS);
                let (at, _) = due.front().unwrap();
                let waits = tokio::time::sleep_until((*at).into());
                // The client hangs up meanwhile: what comes then stays.
                let mut end = [0];
                let hung_up = tokio::select! { () = waits => false, _ = stream.peek(&mut end) => true };
                if hung_up {
                    break;
                }
                let (_, frame) = due.pop_front().unwrap();
                if stream.write_all(&[&[t0, t1], &frame[..]].concat()).await.is_err() {
                    break;
                }
            }
        }
    });
    format!("tcp://{address}")
}

#[tokio::test]
async fn a_late_answer_never_counts_behind_a_simple_gateway() {
    let ms = |times: &[u64]| times.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
    let one = Block { words: 1, ..VOLTAGES };
    let other = Block { address: 300, ..one };
    for late in [ms(&[300]), ms(&[300, 300]), ms(&[650]), ms(&[450, 0, 450]), ms(&[250; 4])] {
        for [first, second] in [[VOLTAGES, ENERGIES], [one, other]] {
            let mut line = ModbusLine::new(&bus(&simple_gateway(late.clone()).await));
            let (mut in_a_row, mut told) = (0, Vec::new());
            for block in [first, second].into_iter().cycle().take(60) {
                if !line.is_open() {
                    line.open().await.unwrap();
                }
                let read = line.read(1, block, PATIENCE).await;
                if let Ok(words) = &read {
                    let expected: Vec<u16> = (block.address..block.address + block.words).collect();
                    assert_eq!(*words, expected, "{late:?} {block:?} {told:?}");
                }
                in_a_row = if read.is_ok() { in_a_row + 1 } else { 0 };
                told.push(read.map(drop));
                if in_a_row == 4 {
                    break;
                }
            }
            assert!(told[0].is_err(), "{late:?}");
            assert_eq!(in_a_row, 4, "{late:?}: it does not find back: {told:?}");
        }
    }
}

#[tokio::test]
async fn a_silent_unit_does_not_stall_a_good_one() {
    let silent = Unit { faults: Faults { silent: true, ..Faults::default() }, ..Unit::new(2) };
    let (_server, ports) = serve(vec![Unit::new(1), silent]).await;
    for port in ports {
        let (bus, knowledge) = (bus(&port), knowledge());
        let mut shared = Port::new(&bus, None);
        let mut meters = [1, 2].map(|unit| LineMeter::new(&meter(unit, "eastron-sdm630"), &bus, &knowledge).unwrap());
        for _ in 0..3 {
            let [good, bad] = &mut meters;
            let begun = Instant::now();
            assert!(good.ask(&mut shared, false).await.is_ok());
            assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
            assert_eq!(bad.ask(&mut shared, true).await.unwrap_err().0, Reason::Timeout);
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_has_a_name() {
    let busy = Faults { exception: Some(6), ..Faults::default() };
    let refuses = Faults { exception: Some(2), ..Faults::default() };
    let behind = Faults { exception: Some(11), ..Faults::default() };
    let broken = Faults { bad_crc: true, ..Faults::default() };
    let strange = Faults { wrong_unit: true, ..Faults::default() };
    for (faults, reason, what) in [
        (busy, Reason::Busy, "server device busy"),
        (refuses, Reason::Refused, "illegal data address; is `model` right?"),
        (behind, Reason::Timeout, "gateway target device failed to respond"),
        (strange, Reason::Malformed, "another unit"),
    ] {
        let (_server, ports) = serve(vec![faulty(faults)]).await;
        for port in ports {
            let (told, detail) = ask(1, &port).await.unwrap_err();
            assert_eq!((told, detail.contains(what)), (reason, true), "{port}: {detail}");
        }
    }
    let (_server, [_, pty]) = serve(vec![faulty(broken)]).await;
    assert_eq!(ask(1, &pty).await.unwrap_err().0, Reason::Checksum);
}

#[tokio::test]
async fn another_model_is_another_meter() {
    let (_server, [tcp, _]) = serve(vec![Unit::new(1)]).await;
    for model in ["gavazzi-em340", "schneider-iem3155", "sunspec-203", "aquametro-calec-st"] {
        let (reason, detail) = ask_once(&meter(1, model), &bus(&tcp), &knowledge()).await.unwrap_err();
        assert_eq!(reason, Reason::OtherMeter, "{model}: {detail}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_says_what_there_is() {
    let refused = |meter: Meter| LineMeter::new(&meter, &bus("tcp://127.0.0.1:1"), &knowledge()).unwrap_err();
    assert!(refused(meter(1, "sdm")).contains("eastron-sdm630"));
    let odd = Meter { registers: vec!["1-0:99.8.0".into()], ..meter(1, "eastron-sdm630") };
    assert!(refused(odd).contains("it has 1-0:32.7.0"));
    let (reason, _) = ask(1, "tcp://127.0.0.1:1").await.unwrap_err();
    assert_eq!(reason, Reason::Port);
    let mut line = ModbusLine::new(&bus("tcp://127.0.0.1:1"));
    assert!(matches!(line.read(1, VOLTAGES, PATIENCE).await, Err(Trouble::Port(_))));
}

/// A foreign server, ended with its test.
struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[tokio::test]
async fn the_map_s_own_dump_is_read_from_pymodbus() {
    let python = std::env::var("PLOMB_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import pymodbus"]).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        eprintln!("skipped: {python} has no pymodbus; see tests/peers/README.md");
        return;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let child = Command::new(&python)
        .arg(format!("{root}/tests/peers/modbus_server.py"))
        .args(["--port", &free.port().to_string(), "--unit", "7"])
        .arg(format!("{root}/drivers/modbus/profiles/eastron-sdm630.toml"))
        .spawn()
        .unwrap();
    let _foreign = Foreign(child);
    let port = format!("tcp://{free}");
    let mut tries = 0;
    let answer = loop {
        match ask(7, &port).await {
            Err((Reason::Port, _)) if tries < 100 => tokio::time::sleep(Duration::from_millis(100)).await,
            outcome => break outcome.unwrap(),
        }
        tries += 1;
    };
    assert_eq!(answer.record.meter.id, "21034567");
    let values = ["1-0:32.7.0", "1-0:1.8.0", "1-0:2.8.0", "1-0:16.7.0"].map(|obis| value(&answer, obis));
    assert_eq!(values, ["230.2", "12345.678", "17.25", "1553.4"]);
}

#[tokio::test]
async fn a_scan_finds_units_and_their_models() {
    let silent = Unit { faults: Faults { silent: true, ..Faults::default() }, ..Unit::new(2) };
    let refuses = Unit { faults: Faults { exception: Some(2), ..Faults::default() }, ..Unit::new(5) };
    let (_server, [tcp, _]) = serve(vec![Unit::new(1), silent, Unit::new(3), refuses]).await;
    let bus = Bus { reply_timeout_ms: Some(10), ..bus(&tcp) };
    let mut lines = Vec::new();
    modbus(&bus, &Maps::shipped().unwrap(), std::future::pending(), |line| lines.push(line)).await.unwrap();
    let found: Vec<_> = lines
        .iter()
        .filter_map(|line| match line {
            ScanLine::Found(found) => Some((found.address, found.identity.as_deref(), found.id.as_deref())),
            _ => None,
        })
        .collect();
    let model = Some("eastron-sdm630");
    assert_eq!(found, [(Some(1), model, Some("21000001")), (Some(3), model, Some("21000003"))]);
    assert!(lines.iter().any(|line| matches!(line, ScanLine::Trouble { place, .. } if place == "unit 5")));
    assert!(matches!(lines.last(), Some(ScanLine::Done { end, found: 2, .. }) if end == "complete"));
    lines.clear();
    modbus(&bus, &Maps::shipped().unwrap(), std::future::ready(()), |line| lines.push(line)).await.unwrap();
    assert!(matches!(lines.last(), Some(ScanLine::Done { end, .. }) if end == "cancelled"));
}
