//! A Modbus unit that lies on a TCP line: the trouble is its own, and its honest neighbour is read all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use plomb_gateway::{
    ask::{Knowledge, LineMeter, port::Port},
    config::{Bus, Meter, Protocol},
    journal::{Journal, Keyring, Options},
    normalise::NOT_TOLD,
    poll::{Asked, BusTask, Question},
    status::Board,
};
use plomb_modbus::Maps;
use plomb_seal::{Body, Entry, Reason, SigningKey, Stamp, Unverified};
use plomb_sim::modbus::{ModbusServer, Unit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
};

/// Bytes of a Modbus TCP header before its length counts, and of a question.
const HEADER: usize = 6;
const QUESTION: usize = 12;

/// Where the model has its serial number.
const SERIAL: [u8; 2] = [0xFC, 0x00];

/// What becomes of a right answer.
type Lie = fn(Vec<u8>) -> Vec<u8>;

/// A gateway to two honest units, of which the first one's answers are bent, each with its question at hand, and
/// followed by a hang-up where `hangs_up`.
async fn bent(
    lie: impl Fn([u8; QUESTION], Vec<u8>) -> Vec<u8> + Send + 'static,
    hangs_up: bool,
) -> (ModbusServer, String) {
    let mut server = ModbusServer::new(vec![Unit::new(1), Unit::new(2)]);
    let behind = server.serve_tcp("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut honest = TcpStream::connect(behind).await.unwrap();
            let mut question = [0; QUESTION];
            while stream.read_exact(&mut question).await.is_ok() {
                honest.write_all(&question).await.unwrap();
                let mut answer = vec![0; HEADER];
                honest.read_exact(&mut answer).await.unwrap();
                let length = usize::from(u16::from_be_bytes([answer[4], answer[5]]));
                answer.resize(HEADER + length, 0);
                honest.read_exact(&mut answer[HEADER..]).await.unwrap();
                let is_liar = question[HEADER] == 1;
                let answer = if is_liar { lie(question, answer) } else { answer };
                if stream.write_all(&answer).await.is_err() || (is_liar && hangs_up) {
                    break;
                }
            }
        }
    });
    (server, address)
}

fn knowledge() -> Knowledge {
    Knowledge { maps: Arc::new(Maps::shipped().unwrap()), ..Knowledge::none() }
}

fn meter(unit: u8) -> Meter {
    Meter { unit: Some(unit), model: Some("eastron-sdm630".into()), interval_s: 3600.0, ..Meter::new("flat", "line") }
}

/// Another byte count than there are bytes.
fn count(mut answer: Vec<u8>, change: impl FnOnce(u8) -> u8) -> Vec<u8> {
    answer[8] = change(answer[8]);
    answer
}

/// Another length, and nothing behind the unit.
fn length(answer: &[u8], length: u8) -> Vec<u8> {
    [&answer[..4], &[0, length], &answer[6..7]].concat()
}

#[tokio::test]
async fn one_unit_s_lies_are_its_own_and_cost_its_honest_neighbour_nothing() {
    let lies: [(&str, Lie, bool, Reason, &str); 8] = [
        ("too short a count", |it| count(it, |bytes| bytes - 2), false, Reason::Malformed, "no answer of Modbus TCP"),
        ("an odd count", |it| count(it, |bytes| bytes - 1), false, Reason::Malformed, "no answer of Modbus TCP"),
        ("too long a count", |it| count(it, |bytes| bytes + 20), false, Reason::Malformed, "more bytes than it has"),
        ("length 0", |it| [length(&it, 0), it].concat(), false, Reason::Malformed, "no answer of Modbus TCP"),
        ("length 1", |it| length(&it, 1), false, Reason::Malformed, "more bytes than it has"),
        ("protocol 7", |it| [&it[..2], &[0, 7], &it[4..]].concat(), false, Reason::Malformed, "only pass bytes on"),
        ("half an answer", |it| it[..it.len() / 2].to_vec(), true, Reason::Malformed, "in the middle of its answer"),
        ("a hang-up", |_| Vec::new(), true, Reason::Timeout, "closed the connection after the question"),
    ];
    for (name, lie, hangs_up, reason, what) in lies {
        let (_server, port) = bent(move |_, answer| lie(answer), hangs_up).await;
        let bus = Bus { port, reply_timeout_ms: Some(500), retries: Some(0), ..Bus::new("line", Protocol::Modbus) };
        let mut shared = Port::new(&bus, None);
        let mut units = [1, 2].map(|unit| LineMeter::new(&meter(unit), &bus, &knowledge()).unwrap());
        // More rounds than there are questions that tell one lost answer from another.
        for round in 0..10 {
            let [liar, honest] = &mut units;
            let (told, detail) = liar.ask(&mut shared, false).await.unwrap_err();
            assert_eq!((told, shared.error()), (reason, None), "{name}: {detail}");
            // What to do about it is told, and nothing that leads astray.
            assert!(
                detail.starts_with("unit 1: ") && detail.contains(what) && detail.contains('?'),
                "{name}: {detail}"
            );
            for wrong in ["os error", "adapter", "cable"] {
                assert!(!detail.contains(wrong), "{name}: {detail}");
            }
            let answer = honest.ask(&mut shared, false).await;
            let answer = answer.unwrap_or_else(|error| panic!("{name}, round {round}: {error:?}"));
            assert_eq!(answer.record.meter.id, "21000002");
        }
    }
}

#[tokio::test]
async fn a_connection_that_can_t_be_made_is_the_port_s_trouble_with_words_for_a_network() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bus = Bus { port: format!("tcp://{free}"), ..Bus::new("line", Protocol::Modbus) };
    let mut port = Port::new(&bus, None);
    let (reason, detail) = port.open_modbus().await.map(drop).unwrap_err();
    assert!(reason == Reason::Port && detail.contains("does the serial server run"), "{detail}");
    for kind in [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::Other] {
        let told = plomb_gateway::ask::port::explain("tcp://10.0.0.9:502", &kind.into());
        assert!(!told.contains("adapter") && !told.contains("cable"), "{told}");
    }
    let told = plomb_gateway::ask::port::explain("/dev/ttyUSB0", &std::io::ErrorKind::UnexpectedEof.into());
    assert!(told.contains("the adapter was unplugged"), "{told}");
}

/// How often the journal says that a meter was exchanged.
fn exchanges(journal: &Journal) -> usize {
    let entries = journal.reader().snapshot().unwrap().entries(0, 0, 1000).unwrap();
    let is_exchange = |bytes: &[u8]| {
        let entry = Unverified::<Entry>::parse(bytes).unwrap();
        matches!(&entry.claims().body, Body::Event(event) if event.name == "meter-exchanged")
    };
    entries.iter().filter(|entry| is_exchange(&entry.bytes)).count()
}

#[tokio::test]
async fn a_serial_number_that_is_refused_once_it_was_known_is_no_other_meter() {
    let refuses = Arc::new(AtomicBool::new(false));
    let lie = {
        let refuses = refuses.clone();
        move |question: [u8; QUESTION], answer: Vec<u8>| match question[8..10] == SERIAL
            && refuses.load(Ordering::SeqCst)
        {
            true => [&answer[..4], &[0, 3, 1, question[7] | 0x80, 2]].concat(),
            false => answer,
        }
    };
    let (server, port) = bent(lie, false).await;
    let bus = Bus { port, reply_timeout_ms: Some(2000), ..Bus::new("line", Protocol::Modbus) };
    let folder = tempfile::tempdir().unwrap();
    let journal = {
        let gateway: plomb_seal::Name = "gw".parse().unwrap();
        let keys = Keyring::new(SigningKey::from_seed(&[7; 32]), &gateway, &[]);
        let clock = || Stamp { unix_ms: 1, clock: plomb_seal::Clock::Unset };
        let options = Options { window: Duration::from_millis(1), ..Options::default() };
        Journal::open(&folder.path().join("journal.redb"), gateway, keys, options, clock).unwrap().0
    };
    // A gateway that starts anew between two readings knows the meter from its journal.
    let expected = [(false, "21000001", false, 0), (true, "21000001", true, 0), (false, "22000002", false, 1)];
    for (refused, id, is_untold, times) in expected {
        refuses.store(refused, Ordering::SeqCst);
        if times > 0 {
            server.with_units(|units| units[0].meter.serial = 22_000_002);
        }
        let ((ask, questions), (_order, scans), (_command, deeds)) =
            (mpsc::channel(1), mpsc::channel(1), mpsc::channel(1));
        let (stop, stopped) = watch::channel(false);
        let asked = Asked { questions, scans, deeds };
        let board = Arc::new(Board::default());
        let task = BusTask::new(&bus, &[meter(1)], &knowledge(), journal.clone(), board, asked, stopped).unwrap();
        let task = tokio::spawn(task.run());
        for _ in 0..2 {
            let (answer, answered) = oneshot::channel();
            ask.send(Question { point: "flat".parse().unwrap(), answer }).await.unwrap();
            let record = answered.await.unwrap().unwrap();
            assert_eq!((record.meter.id.as_str(), record.status.contains(&NOT_TOLD.to_string())), (id, is_untold));
        }
        stop.send(true).unwrap();
        task.await.unwrap().unwrap();
        journal.flush().await.unwrap();
        assert_eq!(exchanges(&journal), times, "refused: {refused}");
    }
}
