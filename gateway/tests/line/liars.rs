//! DLMS meters that lie, without authentication, each in one way; told by a server of our own bytes. Nothing of a lie
//! becomes an honest value, and no meter holds its line.

#![allow(clippy::cast_possible_truncation)] // lengths of what is made here

use std::sync::{Arc, Mutex};

use plomb_gateway::{
    ask::{Answer, Knowledge, LineMeter, Outcome, port::Port},
    config::{Authentication, Bus, Meter, Protocol},
    journal::FRAME_BYTES_MAX,
};
use plomb_seal::{Reason, Value, reading::FRAMES_MAX};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// An attribute: class, logical name, number.
type Attribute = (u16, [u8; 6], u8);
/// What a liar answers to an APDU: `None` leaves it to the honest part of it.
type Lie = fn(&mut Liar, &[u8]) -> Option<Vec<Vec<u8>>>;

const ENERGY: [u8; 6] = [1, 0, 1, 8, 0, 255];
const PROFILE: [u8; 6] = [1, 0, 99, 1, 0, 255];
const SERIAL: [u8; 6] = [0, 0, 96, 1, 0, 255];
const AARE: &str = "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f0400003000fde80007";

/// A meter that is honest but for its lie.
struct Liar {
    lie: Lie,
    serial: &'static [u8],
    energy: u32,
    scaler: i8,
    /// Rows of the profile: Unix seconds, `None` for no time.
    rows: Vec<Option<i64>>,
    /// How often it was connected to, and asked.
    connections: usize,
    asked: usize,
}

impl Liar {
    fn new(lie: Lie) -> Self {
        Self { lie, serial: b"11111111", energy: 1000, scaler: 3, rows: Vec::new(), connections: 0, asked: 0 }
    }

    fn answers(&mut self, apdu: &[u8]) -> Vec<Vec<u8>> {
        self.asked += 1;
        if let Some(lies) = (self.lie)(self, apdu) {
            return lies;
        }
        match apdu.first() {
            Some(0x60) => vec![hex::decode(AARE).unwrap()],
            Some(0x62) => vec![vec![0x63, 0x03, 0x80, 0x01, 0x00]],
            Some(0xC0) => {
                let value = self.get(attribute(apdu));
                vec![get_response(apdu[2], value)]
            }
            _ => vec![vec![0xD8, 1, 1]],
        }
    }

    fn get(&self, (class, name, number): Attribute) -> Result<Vec<u8>, u8> {
        match (class, name, number) {
            (1, SERIAL, 2) => Ok(octets(self.serial)),
            (3, [1, 0, _, 8, 0, 255], 2) => Ok([&[6], self.energy.to_be_bytes().as_slice()].concat()),
            (3, [1, 0, _, 8, 0, 255], 3) => Ok([&[2, 2, 15], self.scaler.to_be_bytes().as_slice(), &[22, 30]].concat()),
            (7, PROFILE, 3) => Ok(hex::decode(
                "010202041200080906000001 0000ff0f02120000 0204120003090601000108 00ff0f02120000".replace(' ', ""),
            )
            .unwrap()),
            (7, PROFILE, 4) => Ok(vec![6, 0, 0, 3, 0x84]),
            (7, PROFILE, 2) => {
                let rows = self.rows.iter().map(|time| [&[2, 2], when(*time).as_slice(), &[6, 0, 0, 3, 0xE8]].concat());
                let rows: Vec<Vec<u8>> = rows.collect();
                Ok([&[1, 0x82, (rows.len() >> 8) as u8, rows.len() as u8], rows.concat().as_slice()].concat())
            }
            _ => Err(4),
        }
    }
}

fn attribute(apdu: &[u8]) -> Attribute {
    (u16::from_be_bytes([apdu[3], apdu[4]]), apdu[5..11].try_into().unwrap(), apdu[11])
}

fn get_response(id: u8, value: Result<Vec<u8>, u8>) -> Vec<u8> {
    match value {
        Ok(value) => [&[0xC4, 1, id, 0], value.as_slice()].concat(),
        Err(error) => vec![0xC4, 1, id, 1, error],
    }
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    [&[9, bytes.len() as u8], bytes].concat()
}

fn when(unix_s: Option<i64>) -> Vec<u8> {
    let time = unix_s.and_then(|unix_s| plomb_dlms::axdr::DateTime::from_unix_s(unix_s, 0));
    octets(&time.map_or([0xFF; 12], plomb_dlms::axdr::DateTime::to_bytes))
}

/// Serves a liar; gives its port, and the liar to look at.
async fn serve(liar: Liar) -> (String, Arc<Mutex<Liar>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = format!("tcp://{}", listener.local_addr().unwrap());
    let liar = Arc::new(Mutex::new(liar));
    let served = liar.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            served.lock().unwrap().connections += 1;
            tokio::spawn(converse(stream, served.clone()));
        }
    });
    (port, liar)
}

/// A connection, until the gateway leaves, or the liar answers with nothing: then it hangs up.
async fn converse(mut stream: TcpStream, liar: Arc<Mutex<Liar>>) -> std::io::Result<()> {
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).await?;
        let mut apdu = vec![0; usize::from(u16::from_be_bytes([header[6], header[7]]))];
        stream.read_exact(&mut apdu).await?;
        let answers = liar.lock().unwrap().answers(&apdu);
        if answers.is_empty() {
            return Ok(());
        }
        for answer in answers {
            let length = (answer.len() as u16).to_be_bytes();
            let header = [0, 1, header[4], header[5], header[2], header[3], length[0], length[1]];
            stream.write_all(&[&header, answer.as_slice()].concat()).await?;
        }
    }
}

fn meter(registers: usize) -> Meter {
    Meter {
        authentication: Authentication::None,
        registers: (1..=registers).map(|c| format!("1-0:{c}.8.0")).collect(),
        reply_timeout_ms: Some(500),
        retries: Some(1),
        ..Meter::new("flat", "line")
    }
}

fn line_meter(meter: &Meter, port: &str) -> (LineMeter, Port) {
    let bus = Bus { port: port.into(), ..Bus::new("line", Protocol::Dlms) };
    (LineMeter::new(meter, &bus, &Knowledge::none()).unwrap(), Port::new(&bus, None))
}

async fn ask_once(meter: &Meter, liar: Liar) -> Outcome {
    let (port, _liar) = serve(liar).await;
    let (mut line, mut port) = line_meter(meter, &port);
    line.ask(&mut port, false).await
}

fn energy(answer: &Answer) -> &plomb_seal::Reading {
    let found = answer.record.readings.iter().find(|reading| reading.obis.is_some_and(|obis| obis.0 == ENERGY));
    found.unwrap()
}

fn honest(_: &mut Liar, _: &[u8]) -> Option<Vec<Vec<u8>>> {
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_or_long_answers_stay_within_what_the_journal_keeps() {
    let answer = ask_once(&meter(40), Liar::new(honest)).await.unwrap();
    assert!(answer.frames.len() <= FRAMES_MAX && answer.record.frames.len() <= FRAMES_MAX);
    let mut long = meter(1);
    long.load_profile = Some("1-0:99.1.0".into());
    let now_s = plomb_gateway::clock::unix_ms() / 1000;
    let rows = (0..300).map(|row| Some(now_s - 300 * 900 + row * 900)).collect();
    let answer = ask_once(&long, Liar { rows, ..Liar::new(honest) }).await.unwrap();
    assert!(answer.frames.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX));
    assert_eq!(energy(&answer).value.to_string(), "1000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_meter_takes_the_stack_or_the_line() {
    let blocks_in_blocks: Lie = |_, apdu| {
        let mut block = vec![0xC4, 1, 0, 1, 4];
        for _ in 0..6000 {
            // Last of its window, number 1, nothing acknowledged.
            let length = (block.len() as u16).to_be_bytes();
            block = [&[0xE0, 0x80, 0, 1, 0, 0, 0x82, length[0], length[1]], block.as_slice()].concat();
        }
        (apdu[0] == 0x60).then(|| vec![block])
    };
    let empty_blocks: Lie = |liar, apdu| match (apdu[0], apdu.get(1)) {
        (0xC0, Some(1)) => Some(vec![vec![0xC4, 2, apdu[2], 0, 0, 0, 0, 1, 0, 0]]),
        (0xC0, Some(2)) => {
            let next = u32::from_be_bytes(apdu[3..7].try_into().unwrap()).wrapping_add(1);
            assert!(liar.asked < 500, "the client asks without end");
            Some(vec![[&[0xC4, 2, apdu[2], 0], next.to_be_bytes().as_slice(), &[0, 0]].concat()])
        }
        _ => None,
    };
    let another_question: Lie =
        |_, apdu| (apdu[0] == 0xC0).then(|| vec![get_response(apdu[2] ^ 1, Ok(vec![17, 1])); 40]);
    for (what, lie) in [
        ("blocks in blocks", blocks_in_blocks),
        ("empty blocks", empty_blocks),
        ("answers to another question", another_question),
    ] {
        let (reason, detail) = ask_once(&meter(1), Liar::new(lie)).await.map(drop).expect_err(what);
        assert!(matches!(reason, Reason::Malformed | Reason::Timeout), "{what}: {reason:?} {detail}");
    }
}

/// A scaler is refused for a moment: the number has no meaning until the next round, which asks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_without_its_scaler_is_no_value() {
    let refuses_scalers: Lie = |liar, apdu| {
        let scaler = apdu[0] == 0xC0 && attribute(apdu) == (3, ENERGY, 3);
        (scaler && liar.connections == 1).then(|| vec![get_response(apdu[2], Err(2))])
    };
    let (port, _liar) = serve(Liar::new(refuses_scalers)).await;
    let (mut line, mut port) = line_meter(&meter(1), &port);
    let first = line.ask(&mut port, false).await.unwrap();
    let reading = energy(&first);
    assert!(matches!(reading.value, Value::Invalid(_)), "{reading:?}");
    assert_eq!(reading.flags, ["scaler unknown"]);
    let second = line.ask(&mut port, false).await.unwrap();
    let reading = energy(&second);
    assert_eq!((reading.value.to_string(), reading.unit.as_str()), ("1000000".into(), "Wh"));
}

/// Somebody between gateway and meter, without keys, answers in clear that this is not possible: it costs the round, or
/// nothing, and changes no value, neither now nor later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_in_clear_changes_no_value_of_a_ciphered_association() {
    use plomb_sim::dlms::{Mechanism, MeterConfig, conformance};
    let mut config = MeterConfig::new(5, super::dlms::calendar(), Mechanism::Gmac, 0);
    config.conformance &= !conformance::MULTIPLE_REFERENCES;
    let mut site = super::dlms::Site::new(config, super::dlms::Way::Tcp).await;
    let meter = site.bus.port.clone();
    for replaced in 3..12 {
        let (port, spoken) = between(&meter, replaced).await;
        site.bus.port = port;
        let mut line = LineMeter::new(&site.meter, &site.bus, &site.knowledge).unwrap();
        let mut port = Port::new(&site.bus, None);
        if let Ok(answer) = line.ask(&mut port, false).await {
            site.check_registers(&answer, &format!("answer {replaced} was replaced"));
        }
        assert!(spoken.load(std::sync::atomic::Ordering::Relaxed), "answer {replaced} was replaced");
        let answer = line.ask(&mut port, false).await.unwrap();
        site.check_registers(&answer, &format!("after answer {replaced} was replaced"));
    }
}

/// Between the gateway and a meter: of the first connection, the answer with this number becomes an exception in clear.
async fn between(meter: &str, replaced: usize) -> (String, Arc<std::sync::atomic::AtomicBool>) {
    let (listener, meter) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), meter.replace("tcp://", ""));
    let port = format!("tcp://{}", listener.local_addr().unwrap());
    let spoken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let speaks = spoken.clone();
    tokio::spawn(async move {
        while let Ok((gateway, _)) = listener.accept().await {
            let upstream = TcpStream::connect(&meter).await.unwrap();
            let speaks = speaks.clone();
            tokio::spawn(async move {
                let (mut from_gateway, mut to_gateway) = gateway.into_split();
                let (mut from_meter, mut to_meter) = upstream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_gateway, &mut to_meter).await });
                for nth in 1.. {
                    let mut header = [0; 8];
                    if from_meter.read_exact(&mut header).await.is_err() {
                        return;
                    }
                    let mut apdu = vec![0; usize::from(u16::from_be_bytes([header[6], header[7]]))];
                    from_meter.read_exact(&mut apdu).await.unwrap();
                    if nth == replaced && !speaks.swap(true, std::sync::atomic::Ordering::Relaxed) {
                        (apdu, header[6], header[7]) = (vec![0xD8, 1, 1], 0, 3);
                    }
                    if to_gateway.write_all(&[&header, apdu.as_slice()].concat()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, spoken)
}

/// The meter is exchanged for another of the same make and firmware: its numbers have its own scaler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_meter_is_read_by_its_own_scalers() {
    let (port, liar) = serve(Liar::new(honest)).await;
    let (mut line, mut port) = line_meter(&meter(1), &port);
    assert_eq!(energy(&line.ask(&mut port, false).await.unwrap()).value.to_string(), "1000000");
    {
        let mut liar = liar.lock().unwrap();
        (liar.serial, liar.scaler, liar.energy) = (b"22222222", 0, 777);
    }
    let answer = line.ask(&mut port, false).await.unwrap();
    assert_eq!((answer.record.meter.id.as_str(), energy(&answer).value.to_string()), ("22222222", "777".into()));
}

/// One meter tells who it is and drops the connection; another answers the rest. And a serial number that is refused
/// for a moment makes no other meter of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_meters_are_never_one_record() {
    let swaps: Lie = |liar, apdu| {
        let value = apdu[0] == 0xC0 && attribute(apdu).0 == 3;
        if liar.connections > 1 {
            (liar.serial, liar.energy) = (b"22222222", 777_777);
        }
        (value && liar.connections == 1).then(Vec::new)
    };
    let (reason, detail) = ask_once(&meter(1), Liar::new(swaps)).await.map(drop).unwrap_err();
    assert_eq!(reason, Reason::OtherMeter, "{detail}");
    let drops: Lie = |liar, apdu| (apdu[0] == 0xC0 && attribute(apdu).0 == 3 && liar.connections == 1).then(Vec::new);
    let answer = ask_once(&meter(1), Liar::new(drops)).await.unwrap();
    assert_eq!(energy(&answer).value.to_string(), "1000000", "the same meter goes on");
    let forgets: Lie = |liar, apdu| {
        let serial = apdu[0] == 0xC0 && attribute(apdu).1 == SERIAL;
        (serial && liar.connections == 2).then(|| vec![get_response(apdu[2], Err(2))])
    };
    let (port, _liar) = serve(Liar::new(forgets)).await;
    let (mut line, mut port) = line_meter(&meter(1), &port);
    for status in [vec![], vec!["identity not told".to_string()], vec![]] {
        let record = line.ask(&mut port, false).await.unwrap().record;
        assert_eq!((record.meter.id.as_str(), record.status), ("11111111", status));
    }
}

/// Rows that nobody asked for neither end the profile nor fill the journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_the_future_without_time_or_told_twice_are_not_taken() {
    let now_s = plomb_gateway::clock::unix_ms() / 1000;
    let quarter = |back: i64| (now_s / 900 - back) * 900;
    let mut wish = meter(1);
    (wish.load_profile, wish.backlog_days) = (Some("1-0:99.1.0".into()), Some(1));
    let rows = vec![Some(quarter(3)), Some(quarter(3)), None, Some(now_s + 80 * 365 * 86_400), Some(quarter(2))];
    let (port, liar) = serve(Liar { rows, ..Liar::new(honest) }).await;
    let (mut line, mut port) = line_meter(&wish, &port);
    let first = line.ask(&mut port, false).await.unwrap();
    assert_eq!(first.earlier.iter().map(|record| record.readings.len()).sum::<usize>(), 2);
    assert_eq!(
        first.record.status,
        ["load profile: 3 rows are not taken: without a time, from the future, or told twice"]
    );
    liar.lock().unwrap().rows = vec![Some(quarter(2)), Some(quarter(1))];
    let second = line.ask(&mut port, false).await.unwrap();
    assert_eq!(second.earlier.iter().map(|record| record.readings.len()).sum::<usize>(), 1, "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_cannot_be_read_is_told() {
    let mut wish = meter(1);
    wish.load_profile = Some("1-0:99.1.0".into());
    let bad_columns: Lie = |_, apdu| {
        (apdu[0] == 0xC0 && attribute(apdu) == (7, PROFILE, 3)).then(|| vec![get_response(apdu[2], Ok(vec![17, 1]))])
    };
    let no_rows: Lie = |_, apdu| {
        let rows = apdu[0] == 0xC0 && matches!(attribute(apdu), (7, PROFILE, 2 | 7));
        rows.then(|| vec![get_response(apdu[2], Err(3))])
    };
    for lie in [bad_columns, no_rows] {
        let status = ask_once(&wish, Liar::new(lie)).await.unwrap().record.status;
        assert!(status.iter().any(|word| word.starts_with("load profile: ")), "{status:?}");
    }
}
