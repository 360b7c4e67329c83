//! Keeps a port open, and takes whole pushes off it.

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plomb_dlms::{
    apdu::Apdu,
    push::{PushConfig, PushEvent, PushFraming, PushReceiver},
    wrapper::Wrapped,
};
use plomb_iec62056::p1::{Deframer, Found};
use plomb_session::{Instant, Session, Transmit};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout_at},
};

use super::seats::Seats;
use crate::{
    ask::port::explain,
    config::{self, Protocol},
    link::{self, Link},
};

/// A connection on which nothing whole has come so long after it was made is closed: who pushes connects to do so.
pub const FIRST_FRAME_MAX: Duration = Duration::from_secs(10);
/// The same after the last whole frame.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(600);
/// The longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// The most bytes of an APDU in general blocks.
const BLOCKS_BYTES_MAX: usize = 256 * 1024;
/// How long a port that failed is left alone.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// Silence after which an unfinished P1 telegram is forgotten.
const P1_GAP: Duration = Duration::from_secs(2);

/// What comes off a port.
#[derive(Debug)]
pub enum Pushed {
    /// The port is open.
    Open,
    /// The port failed; it is tried again.
    Port(String),
    /// A whole APDU, or a ciphered P1 telegram.
    Apdu(Vec<u8>),
    /// A P1 telegram.
    P1(Vec<u8>),
    /// Something was lost on the way.
    Lost(String),
    /// A connection from this address gave way to another.
    GaveWay(IpAddr),
}

/// Listens for ever, or until nobody takes what comes.
pub async fn keep(bus: config::Bus, pushed: mpsc::Sender<Pushed>) {
    let mut again = AGAIN_MIN;
    while !pushed.is_closed() {
        let began = tokio::time::Instant::now();
        if let Err(error) = listen(&bus, &pushed).await {
            let _ = pushed.send(Pushed::Port(explain(&bus.port, &error))).await;
        }
        again = if began.elapsed() > AGAIN_MAX { AGAIN_MIN } else { (again * 2).min(AGAIN_MAX) };
        tokio::select! {
            () = sleep(again) => {}
            () = pushed.closed() => {}
        }
    }
}

async fn listen(bus: &config::Bus, pushed: &mpsc::Sender<Pushed>) -> io::Result<()> {
    if bus.protocol == Protocol::DlmsPush {
        if let Some(address) = bus.port.strip_prefix("tcp://") {
            return listen_tcp(&TcpListener::bind(address).await?, pushed).await;
        }
        if let Some(address) = bus.port.strip_prefix("udp://") {
            return listen_udp(&UdpSocket::bind(address).await?, pushed).await;
        }
    }
    let mut link = Link::open(&bus.port, bus.baud, bus.parity).await?;
    let _ = pushed.send(Pushed::Open).await;
    // What nobody takes is lost, and told by the next that is taken.
    let mut tell = |one: Pushed| drop(pushed.try_send(one));
    match bus.protocol {
        Protocol::P1 => link::listen(&mut P1Line::default(), &mut link, tell).await,
        _ => {
            let mut joiner = Joiner::default();
            link::listen(&mut PushLine::new(), &mut link, |event| joiner.take(event).into_iter().for_each(&mut tell))
                .await
        }
    }
}

async fn listen_tcp(listener: &TcpListener, pushed: &mpsc::Sender<Pushed>) -> io::Result<()> {
    let _ = pushed.send(Pushed::Open).await;
    let room = Room { seats: Arc::default(), opened: tokio::time::Instant::now() };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                let (seat, must_go, gave_way) = room.take(peer.ip());
                if let Some(address) = gave_way {
                    // Whoever comes is not to wait for the journal; what nobody takes is told by the next one.
                    let _ = pushed.try_send(Pushed::GaveWay(address));
                }
                let pushed = pushed.clone();
                connections.spawn(async move {
                    tokio::select! {
                        // A broken connection ends itself only.
                        _ = connection(stream, &seat, &pushed) => {}
                        _ = must_go => {}
                    }
                });
            }
            () = pushed.closed() => return Ok(()),
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Resolves when a connection must give way.
type MustGo = oneshot::Receiver<()>;

/// The places of a port, shared by its connections.
#[derive(Clone)]
struct Room {
    seats: Arc<Mutex<Seats<oneshot::Sender<()>>>>,
    opened: tokio::time::Instant,
}

/// A connection's place.
struct Seated {
    room: Room,
    number: u64,
}

impl Room {
    fn take(&self, peer: IpAddr) -> (Seated, MustGo, Option<IpAddr>) {
        let (stay, must_go) = oneshot::channel();
        let (number, gave_way) = self.seats().take(peer, self.opened.elapsed(), stay);
        (Seated { room: self.clone(), number }, must_go, gave_way)
    }

    fn seats(&self) -> MutexGuard<'_, Seats<oneshot::Sender<()>>> {
        // Nothing under the lock can leave the places half changed.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seated {
    fn spoke(&self) {
        self.room.seats().spoke(self.number, self.room.opened.elapsed());
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.room.seats().leave(self.number);
    }
}

async fn connection(mut stream: TcpStream, seat: &Seated, pushed: &mpsc::Sender<Pushed>) -> io::Result<()> {
    let mut receiver = PushReceiver::new(PushConfig::new(PushFraming::Wrapper));
    let mut joiner = Joiner::default();
    let mut bytes = [0; 4096];
    let (mut until, mut spoke) = (tokio::time::Instant::now() + FIRST_FRAME_MAX, false);
    loop {
        let Ok(read) = timeout_at(until, stream.read(&mut bytes)).await else {
            if !spoke {
                let what = format!("a connection on which no push came in {} s", FIRST_FRAME_MAX.as_secs());
                let _ = pushed.send(Pushed::Lost(what)).await;
            }
            return Ok(());
        };
        let read = read?;
        if read == 0 {
            return Ok(());
        }
        receiver.handle_input(bytes.get(..read).unwrap_or_default(), Instant::ORIGIN);
        while let Some(event) = receiver.poll_event() {
            let broken = matches!(event, PushEvent::Lost(_));
            if let Some(one) = joiner.take(event) {
                let _ = pushed.send(one).await;
            }
            if broken {
                // Nothing on this stream can be told apart any more.
                return Ok(());
            }
            // A byte now and then keeps no connection open: a whole frame does.
            (until, spoke) = (tokio::time::Instant::now() + CONNECTION_IDLE_MAX, true);
            seat.spoke();
        }
    }
}

async fn listen_udp(socket: &UdpSocket, pushed: &mpsc::Sender<Pushed>) -> io::Result<()> {
    let _ = pushed.send(Pushed::Open).await;
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let read = tokio::select! {
            read = socket.recv(&mut bytes) => read?,
            () = pushed.closed() => return Ok(()),
        };
        let one = match Wrapped::parse_whole(bytes.get(..read).unwrap_or_default()) {
            Ok(wrapped) => Pushed::Apdu(wrapped.apdu.to_vec()),
            Err(error) => Pushed::Lost(error.to_string()),
        };
        // A flood of datagrams must not wait for the journal.
        let _ = pushed.try_send(one);
    }
}

/// Joins blocks of general block transfer.
#[derive(Debug, Default)]
struct Joiner {
    bytes: Vec<u8>,
    last: Option<u16>,
}

impl Joiner {
    fn take(&mut self, event: PushEvent) -> Option<Pushed> {
        let apdu = match event {
            PushEvent::Apdu { apdu, .. } => apdu,
            PushEvent::Lost(loss) => return Some(Pushed::Lost(loss.to_string())),
        };
        let Ok(Apdu::GeneralBlock(block)) = Apdu::parse(&apdu) else { return Some(Pushed::Apdu(apdu)) };
        let follows = self.last.is_none_or(|last| block.number == last.wrapping_add(1));
        if block.number <= 1 || !follows {
            self.bytes.clear();
            if block.number > 1 {
                self.last = None;
                return Some(Pushed::Lost(format!("block {} of a push without the ones before", block.number)));
            }
        }
        if self.bytes.len().saturating_add(block.bytes.len()) > BLOCKS_BYTES_MAX {
            *self = Self::default();
            return Some(Pushed::Lost(format!("a push in blocks of more than {BLOCKS_BYTES_MAX} bytes")));
        }
        self.bytes.extend(&block.bytes);
        self.last = Some(block.number);
        if !block.last {
            return None;
        }
        self.last = None;
        Some(Pushed::Apdu(std::mem::take(&mut self.bytes)))
    }
}

/// A serial line on which meters push, as a session that never speaks.
struct PushLine {
    receiver: PushReceiver,
}

impl PushLine {
    fn new() -> Self {
        Self { receiver: PushReceiver::new(PushConfig::new(PushFraming::Serial)) }
    }
}

impl Session for PushLine {
    type Event = PushEvent;

    fn start(&mut self, _now: Instant) {}

    fn handle_transmitted(&mut self, _now: Instant) {}

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.receiver.handle_input(bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.receiver.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.receiver.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<PushEvent> {
        self.receiver.poll_event()
    }

    fn is_finished(&self) -> bool {
        false
    }
}

/// A P1 port, as a session that never speaks.
#[derive(Default)]
struct P1Line {
    deframer: Deframer,
    found: Vec<Pushed>,
    forget_at: Option<Instant>,
}

impl Session for P1Line {
    type Event = Pushed;

    fn start(&mut self, _now: Instant) {}

    fn handle_transmitted(&mut self, _now: Instant) {}

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        let found = &mut self.found;
        self.deframer.push(bytes, |one| {
            found.push(match one {
                Found::Telegram(_, bytes) => Pushed::P1(bytes.to_vec()),
                Found::Ciphered(apdu) => Pushed::Apdu(apdu.to_vec()),
                Found::Damaged(error) => Pushed::Lost(error.to_string()),
            });
        });
        self.forget_at = self.deframer.is_inside_telegram().then(|| now + P1_GAP);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.forget_at.is_some_and(|at| at <= now) {
            self.deframer.clear();
            self.forget_at = None;
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.forget_at
    }

    fn poll_event(&mut self) -> Option<Pushed> {
        (!self.found.is_empty()).then(|| self.found.remove(0))
    }

    fn is_finished(&self) -> bool {
        false
    }
}
