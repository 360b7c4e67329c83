//! Serves units on sockets and pseudo-terminals.

use super::{FRAME_GAP, Unit, crc};
use crate::pty::{PtyPort, place_link, remove_link};
use crate::serve::{Wire, lock, serve};
use crate::{LineSpeed, SimError};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// Bytes of a question, at most; what is longer is none.
const QUESTION_BYTES_MAX: usize = 260;
/// TCP connections at once, at most.
const TCP_CONNECTIONS_MAX: usize = 64;
/// Before a frame's function: transaction, protocol, length, unit.
const HEADER_BYTES: usize = 7;

type Units = Arc<Mutex<Vec<Unit>>>;

/// Units on as many lines as are opened for them, served until this is dropped.
#[derive(Debug)]
pub struct ModbusServer {
    units: Units,
    start: Instant,
    tasks: Vec<JoinHandle<()>>,
    links: Vec<(PathBuf, PathBuf)>,
}

impl ModbusServer {
    /// Units on no line yet; their time begins now. To be called within a tokio runtime.
    #[must_use]
    pub fn new(units: Vec<Unit>) -> Self {
        Self { units: Arc::new(Mutex::new(units)), start: Instant::now(), tasks: Vec::new(), links: Vec::new() }
    }

    /// Looks at the units, or changes them, between two questions.
    pub fn with_units<T>(&self, act: impl FnOnce(&mut Vec<Unit>) -> T) -> T {
        act(&mut lock(&self.units))
    }

    /// Listens on TCP (port 0: any free one) for several clients at once; says where.
    ///
    /// # Errors
    /// [`SimError::Tcp`] when the address cannot be had.
    pub async fn serve_tcp(&mut self, address: &str) -> Result<SocketAddr, SimError> {
        let failed = |source| SimError::Tcp { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let place = listener.local_addr().map_err(failed)?;
        let (units, start) = (Arc::clone(&self.units), self.start);
        self.tasks.push(tokio::spawn(async move {
            // Connections end with the set.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                if connections.len() < TCP_CONNECTIONS_MAX {
                    connections.spawn(serve_stream(stream, Arc::clone(&units), start));
                }
            }
        }));
        Ok(place)
    }

    /// Opens a pseudo-terminal, and links it at `link` if one is given; says where. Whatever speed is set there
    /// counts.
    ///
    /// # Errors
    /// [`SimError::Pty`] or [`SimError::Link`].
    pub fn serve_pty(&mut self, link: Option<&Path>) -> Result<PathBuf, SimError> {
        let (port, device) = PtyPort::open()?;
        if let Some(link) = link {
            place_link(&device, link)?;
            self.links.push((link.to_owned(), device.clone()));
        }
        let start = self.start;
        let wire = Mutex::new(Rtu {
            units: Arc::clone(&self.units),
            heard: Vec::new(),
            last: Duration::ZERO,
            going: VecDeque::new(),
            busy: BTreeMap::new(),
        });
        self.tasks.push(tokio::spawn(async move {
            // An error means that the terminal is broken; the client sees it hang up.
            let _ended = serve(&port, &wire, &Notify::new(), start).await;
        }));
        Ok(link.map_or(device, Path::to_owned))
    }
}

impl Drop for ModbusServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.links.iter().for_each(|(link, device)| remove_link(Some(link), device));
    }
}

async fn serve_stream(mut stream: TcpStream, units: Units, start: Instant) {
    let _no_delay = stream.set_nodelay(true);
    let mut header = [0; HEADER_BYTES];
    // A broken connection ends itself only.
    while stream.read_exact(&mut header).await.is_ok() {
        let [t0, t1, _, _, high, low, unit] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(2..=QUESTION_BYTES_MAX).contains(&length) {
            return;
        }
        let mut pdu = vec![0; length - 1];
        if stream.read_exact(&mut pdu).await.is_err() {
            return;
        }
        let answer =
            lock(&units).iter_mut().find(|own| own.number == unit).and_then(|own| own.answer(&pdu, start.elapsed()));
        let Some(sent) = answer else { continue };
        sleep(sent.pause).await;
        let [high, low] = u16::try_from(sent.pdu.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
        let mut frame = vec![t0, t1, 0, 0, high, low, sent.unit];
        frame.extend(sent.pdu);
        if sent.broken {
            frame.truncate(frame.len() / 2);
        }
        if stream.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// A serial line, without I/O and without a clock.
#[derive(Debug)]
struct Rtu {
    units: Units,
    heard: Vec<u8>,
    last: Duration,
    going: VecDeque<(Duration, Vec<u8>)>,
    /// Until when each unit thinks.
    busy: BTreeMap<u8, Duration>,
}

impl Rtu {
    fn hear(&mut self, at: Duration) {
        let frame = std::mem::take(&mut self.heard);
        let Some((body, sum)) = frame.split_last_chunk::<2>() else { return };
        let [unit, pdu @ ..] = body else { return };
        if *sum != crc(body) {
            return;
        }
        let answer = lock(&self.units).iter_mut().find(|own| own.number == *unit).and_then(|own| own.answer(pdu, at));
        let Some(sent) = answer else { return };
        let mut frame = vec![sent.unit];
        frame.extend(sent.pdu);
        let [low, high] = crc(&frame);
        frame.extend([if sent.broken { !low } else { low }, high]);
        // A unit does one thing after the other, and says what it has to say in that order.
        let free = self.busy.get(unit).copied().unwrap_or_default();
        let due = free.max(at) + sent.pause;
        self.busy.insert(*unit, due);
        self.going.push_back((due, frame));
        self.going.make_contiguous().sort_by_key(|(due, _)| *due);
    }
}

impl Wire for Rtu {
    fn set_master_speed(&mut self, _: LineSpeed) {}

    fn master_sends(&mut self, bytes: &[u8], now: Duration) {
        self.last = now;
        self.heard.extend(bytes);
        self.heard.truncate(QUESTION_BYTES_MAX);
    }

    fn next_deadline(&self) -> Option<Duration> {
        let over = (!self.heard.is_empty()).then_some(self.last + FRAME_GAP);
        over.into_iter().chain(self.going.front().map(|(due, _)| *due)).min()
    }

    fn take_due(&mut self, now: Duration) -> Vec<u8> {
        if !self.heard.is_empty() && self.last + FRAME_GAP <= now {
            self.hear(now);
        }
        let mut due = Vec::new();
        while self.going.front().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.going.pop_front().into_iter().flat_map(|(_, frame)| frame));
        }
        due
    }

    fn lose(&mut self, _: usize) {}
}
