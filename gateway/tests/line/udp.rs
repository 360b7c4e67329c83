//! Datagrams to a serial server.

use plomb_gateway::config::Parity;
use plomb_gateway::link::{Link, drive, usual_latency};
use plomb_mbus::{Address, ReadConfig, ReadEvent, ReadMeter, Target};
use tokio::net::UdpSocket;

/// A meter with one record at address 1, behind a server that sends its answer in two datagrams.
const TELEGRAM: [u8; 27] = [
    0x68, 0x15, 0x15, 0x68, 0x08, 0x01, 0x72, 0x78, 0x56, 0x34, 0x12, 0x77, 0x04, 0x0E, 0x16, 0x0A, 0x00, 0x00, 0x00,
    0x0C, 0x13, 0x21, 0x43, 0x05, 0x00, 0xC0, 0x16,
];

#[tokio::test]
async fn a_meter_is_read_over_udp() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = format!("udp://{}", server.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut asked = [0; 300];
        loop {
            let (length, master) = server.recv_from(&mut asked).await.unwrap();
            match asked[..length] {
                [0x10, 0x40, 1, ..] => drop(server.send_to(&[0xE5], master).await),
                [0x10, 0x7B, 1, ..] => {
                    server.send_to(&[], master).await.unwrap();
                    server.send_to(&TELEGRAM[..9], master).await.unwrap();
                    server.send_to(&TELEGRAM[9..], master).await.unwrap();
                }
                _ => {}
            }
        }
    });
    let mut config = ReadConfig::new(2400);
    config.extra_latency = usual_latency(&port);
    let mut link = Link::open(&port, 2400, Parity::Even).await.unwrap();
    let mut events = Vec::new();
    let mut session = ReadMeter::new(Target::Primary(Address(1)), config);
    drive(&mut session, &mut link, |event| events.push(event)).await.unwrap();
    assert!(matches!(&events[0], ReadEvent::Telegram(telegram) if telegram.bytes == TELEGRAM), "{events:?}");
    assert!(matches!(events[1], ReadEvent::Done { retries: 0, .. }));
    assert_eq!(link.set_speed(300).unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    serving.abort();
}
