//! The port that meters push to, held against those who hold its connections and say nothing.

use std::{net::SocketAddr, time::Duration};

use plomb_gateway::{
    config::{Bus, Protocol},
    push::{
        receive::{CONNECTION_IDLE_MAX, FIRST_FRAME_MAX, Pushed, keep},
        seats::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// A notification with one number, in the wrapper.
const PUSH: [u8; 21] = [0, 1, 0, 1, 0, 102, 0, 13, 0x0F, 0, 0, 0, 1, 0, 0x02, 0x01, 0x06, 0, 0, 0x12, 0x67];

async fn listening() -> (SocketAddr, mpsc::Receiver<Pushed>, JoinHandle<()>) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bus = Bus { port: format!("tcp://{free}"), ..Bus::new("push", Protocol::DlmsPush) };
    let (send, mut pushes) = mpsc::channel(1024);
    let task = tokio::spawn(keep(bus, send));
    assert!(matches!(pushes.recv().await, Some(Pushed::Open)));
    (free, pushes, task)
}

/// A connection from one of this machine's many addresses.
async fn connect(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// The next whole push, and the connections that gave way before it.
async fn next_push(pushes: &mut mpsc::Receiver<Pushed>) -> usize {
    let mut gave_way = 0;
    loop {
        match pushes.recv().await.unwrap() {
            Pushed::Apdu(apdu) => {
                assert_eq!(apdu, PUSH[8..]);
                return gave_way;
            }
            Pushed::GaveWay(_) => gave_way += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_say_nothing_keep_nobody_from_pushing() {
    // From one address, and from as many as there are places.
    for hosts in [vec![9; CONNECTIONS_MAX], (10..).take(CONNECTIONS_MAX).collect()] {
        let (port, mut pushes, task) = listening().await;
        let mut silent = Vec::new();
        for host in &hosts {
            silent.push(connect(*host, port).await);
        }
        let mut honest = connect(2, port).await;
        honest.write_all(&PUSH).await.unwrap();
        let gave_way = next_push(&mut pushes).await;
        let expected = if hosts[0] == 9 { CONNECTIONS_MAX - CONNECTIONS_PER_ADDRESS_MAX } else { 1 };
        assert_eq!(gave_way, expected, "it is told who makes it narrow");
        assert_eq!(silent[0].read(&mut [0]).await.unwrap_or(0), 0, "the oldest silent one gave way");
        honest.write_all(&PUSH).await.unwrap();
        assert_eq!(next_push(&mut pushes).await, 0, "who pushed stays");
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_push_comes_soon_or_the_connection_ends_whatever_drips() {
    let (port, mut pushes, _task) = listening().await;
    let begun = Instant::now();
    let mut drips = connect(3, port).await;
    let mut speaks = connect(4, port).await;
    speaks.write_all(&PUSH).await.unwrap();
    next_push(&mut pushes).await;
    for byte in PUSH {
        if drips.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(3)).await;
    }
    let Some(Pushed::Lost(why)) = pushes.recv().await else { panic!("nobody says why") };
    assert!(why.contains("no push came in 10 s"), "{why}");
    assert_eq!(drips.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(begun.elapsed() > FIRST_FRAME_MAX);
    // Who pushed may take its time, though not for ever.
    speaks.write_all(&PUSH).await.unwrap();
    next_push(&mut pushes).await;
    let since = Instant::now();
    assert_eq!(speaks.read(&mut [0]).await.unwrap(), 0);
    assert!(since.elapsed() >= CONNECTION_IDLE_MAX);
}
