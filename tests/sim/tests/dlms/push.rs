//! Notifications: on a socket, as a datagram, on the meter's own line; read by a foreign decoder.

use crate::clients::{hex, python, run};
use crate::wire::{Client, config};
use plomb_sim::dlms::{Framing, Mechanism, MeterConfig, MeterServer, PushRoute, SerialLine, Value};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};

const PATIENCE: Duration = Duration::from_secs(10);

/// The APDU of a wrapped notification.
fn unwrapped(bytes: &[u8]) -> Vec<u8> {
    assert_eq!(bytes[..6], [0, 1, 0, 1, 0, 102]);
    assert_eq!(usize::from(u16::from_be_bytes([bytes[6], bytes[7]])), bytes.len() - 8);
    bytes[8..].to_vec()
}

async fn check(config: &MeterConfig, server: &MeterServer, apdu: &[u8]) {
    let values = server.with_meter(|meter, at| meter.pushed_values(at));
    assert_eq!(values.len(), 8);
    if config.push_sealed {
        assert_eq!(apdu[..2], [0xDB, 8]);
    } else {
        let body = Value::Structure(values.clone()).bytes();
        assert_eq!((apdu[0], &apdu[5..6], &apdu[18..]), (0x0F, &[12][..], &body[..]));
    }
    let Some(python) = python().await else { return };
    let keys = ["--ek".into(), hex(&config.keys.unicast), "--ak".into(), hex(&config.keys.authentication)];
    let read = run(&python, "dlms_notification.py", &keys, &[hex(apdu)]).await;
    let foretold: Vec<serde_json::Value> = values
        .iter()
        .map(|value| match value {
            Value::Octets(octets) => hex(octets).into(),
            number => i64::try_from(number.number().unwrap()).unwrap().into(),
        })
        .collect();
    assert_eq!(read["values"], serde_json::json!(foretold));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meter_pushes_every_so_often_over_sockets() {
    for sealed in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut ordered = config(Mechanism::Gmac);
        ordered.push_sealed = sealed;
        let mut server = MeterServer::new(ordered.clone());
        let routes = vec![
            PushRoute::Tcp(listener.local_addr().unwrap().to_string()),
            PushRoute::Udp(socket.local_addr().unwrap().to_string()),
        ];
        server.push_to(routes, Some(Duration::from_millis(300)));
        let mut counters = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            let apdu = unwrapped(&bytes);
            check(&ordered, &server, &apdu).await;
            let mut datagram = vec![0; 2000];
            let count = tokio::time::timeout(PATIENCE, socket.recv(&mut datagram)).await.unwrap().unwrap();
            assert_eq!(datagram[..count], bytes);
            counters.push(apdu[11..16].to_vec());
        }
        assert!(!sealed || counters[0] < counters[1], "the meter's counter rises: {counters:02X?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_makes_the_meter_push_over_its_serial_line() {
    let mut ordered = config(Mechanism::None);
    ordered.hdlc.info_bytes_max = 40;
    let (mut server, mut client) = Client::connect(ordered.clone(), Framing::Wrapper, 1).await;
    let path = server.serve_pty(None, SerialLine::default()).unwrap();
    server.push_to(vec![PushRoute::Serial], None);
    client.associate(None, 0xFFFF).await;
    let mut port = std::fs::File::open(path).unwrap();
    let answer = client.ask(&crate::wire::hex("C3 01 C1 00 28 00 00 19 09 00 FF 01 01 0F 00")).await;
    assert_eq!(answer, crate::wire::hex("C7 01 C1 00 00"));
    let reading = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        let mut byte = [0];
        // Three frames, each between two flags; none of their bytes is a flag for this seed and time.
        while heard.iter().filter(|byte| **byte == 0x7E).count() < 6 {
            std::io::Read::read_exact(&mut port, &mut byte).unwrap();
            heard.push(byte[0]);
        }
        heard
    });
    let heard = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    let frames: Vec<&[u8]> = heard.split(|byte| *byte == 0x7E).filter(|frame| !frame.is_empty()).collect();
    let mut text = Vec::new();
    for (nth, frame) in frames.iter().enumerate() {
        assert_eq!((frame[0], frame[2..6].to_vec()), (if nth < 2 { 0xA8 } else { 0xA0 }, vec![0xCD, 2, 0x23, 0x13]));
        text.extend(&frame[8..frame.len() - 2]);
    }
    assert_eq!(text[..3], [0xE6, 0xE7, 0]);
    check(&ordered, &server, &text[3..]).await;
}
