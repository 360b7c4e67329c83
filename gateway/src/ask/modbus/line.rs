//! A Modbus line: one connection for all units on it, and answers that are surely to the question.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as Waker, Poll},
    time::Duration,
};

use plomb_modbus::{Block, Table};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_modbus::{
    Error, ExceptionCode, ProtocolError, Request, Response,
    client::{Client, Context, rtu, tcp},
    prelude::{ReadCode, Slave, SlaveContext},
};
use tokio_serial::SerialStream;

use crate::{
    config,
    link::{CONNECT_TIMEOUT, open_serial},
};

/// Bits of a character on a serial line: start, eight, parity or a second stop bit, stop.
const CHARACTER_BITS: u64 = 11;
/// Silence between two frames of a serial line at least (Modbus over Serial Line V1.02 §2.5.1.1).
const FRAME_GAP_MIN: Duration = Duration::from_micros(1750);
/// A late answer has ended when nothing comes for so long: adapters hand bytes on in bunches.
const LATE_GAP: Duration = Duration::from_millis(60);
/// Bytes of a question, and of an answer without its registers, on a serial line.
const QUESTION_BYTES: u64 = 8;
const ANSWER_BYTES: u64 = 5;
/// The longest device identification that is reckoned with, in registers' worth of bytes. No block is as long.
const IDENTIFICATION_WORDS: u16 = 128;
/// The most questions to a unit that may be lost before the line is left alone.
const LOST_MAX: usize = 8;
/// The most registers of one question (Modbus Application Protocol V1.1b3 §6.3).
const WORDS_MAX: u16 = 125;
/// For how many times the usual patience it is then.
const SETTLE_FACTOR: u32 = 4;
/// The most bytes that are thrown away in one go.
const LATE_BYTES_MAX: usize = 4096;

/// Why a question has no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The connection failed.
    Port(io::Error),
    /// Nothing came in time.
    Silent,
    /// Something came, and no whole frame with a right check sum.
    Garbled,
    /// Over TCP: what came is no answer of Modbus TCP, with how it is none.
    Broken(String),
    /// Over TCP: the connection ended after the question, and nothing of an answer had come.
    HungUp,
    /// The unit, or a gateway on its behalf, says no.
    Exception(ExceptionCode),
    /// An answer to something else, of another unit perhaps. It is not taken.
    Strange(String),
}

/// A line and its connection.
pub struct ModbusLine {
    config: config::Bus,
    wire: Option<Wire>,
    /// Whether the connection has carried an answer: one that fails afterwards may just have been closed for idleness.
    used: bool,
    /// Units that may still answer to questions which nobody waits for any more, and how many registers those answers
    /// would have. Over TCP too: behind a gateway is a serial line, and a simple one hands on whatever comes from
    /// there under the number of its latest question.
    owing: BTreeMap<u8, Lost>,
}

/// Questions to a unit without their answers.
struct Lost {
    /// How many registers each was for.
    words: Vec<u16>,
    /// When the last of them was asked.
    last: Instant,
}

enum Wire {
    /// The lock is never taken; it makes the connection a thing that tasks may share.
    Tcp(Box<Mutex<Context>>),
    Serial(Shared),
}

impl ModbusLine {
    /// The line, still closed.
    pub fn new(bus: &config::Bus) -> Self {
        Self { config: bus.clone(), wire: None, used: false, owing: BTreeMap::new() }
    }

    /// Whether there is a connection.
    pub fn is_open(&self) -> bool {
        self.wire.is_some()
    }

    /// Whether the connection has carried an answer before.
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// Drops the connection, and with it whatever may still come over it.
    pub fn close(&mut self) {
        (self.wire, self.used) = (None, false);
    }

    /// Connects: `tcp://host:port`, or else a serial port.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(&mut self) -> io::Result<()> {
        self.close();
        self.wire = Some(match self.config.port.strip_prefix("tcp://") {
            Some(address) => {
                let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
                stream.set_nodelay(true)?;
                Wire::Tcp(Box::new(Mutex::new(tcp::attach_slave(stream, Slave(0)))))
            }
            None if self.config.port.contains("://") => {
                let what = "Modbus is spoken over tcp://host:port or a serial port";
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            None => Wire::Serial(Shared::new(open_serial(&self.config.port, self.config.baud, self.config.parity)?)),
        });
        Ok(())
    }

    /// Reads a block of a unit's registers. `patience`: how long the unit may think.
    ///
    /// # Errors
    /// [`Trouble`]. Whatever is answered later never counts for a later question: over TCP the connection is
    /// dropped, on a serial line the answer is waited out and thrown away; and the next question is one whose answer
    /// can't be mistaken for a late one.
    pub async fn read(&mut self, unit: u8, block: Block, patience: Duration) -> Result<Vec<u16>, Trouble> {
        // A unit answers in order, and an answer says only how many registers it has. So the first question after a
        // lost one is for another number of them: once that is answered, nothing earlier can come any more.
        let lost = self.owing.get(&unit).map(|lost| lost.words.as_slice()).unwrap_or_default();
        if !lost.is_empty() {
            // A unit without the registers beyond the block says so, which is an answer as well.
            let mut probes = (1..block.words).chain(block.words.saturating_add(1)..=WORDS_MAX);
            let probe = probes.find(|words| !lost.contains(words));
            let Some(words) = probe.filter(|_| lost.len() < LOST_MAX) else {
                return self.start_anew(unit, block, patience).await;
            };
            let is_one = lost.len() == 1;
            match self.read_block(unit, Block { words, ..block }, patience).await {
                Ok(_) => drop(self.owing.remove(&unit)),
                // Maybe the late answer: then this question's comes later, and shows by its length. Of several lost
                // ones another may come first.
                Err(Trouble::Exception(_)) if is_one => drop(self.owing.remove(&unit)),
                Err(trouble @ Trouble::Exception(_)) => {
                    self.lose(unit, words);
                    return Err(trouble);
                }
                Err(trouble) => return Err(trouble),
            }
        }
        self.read_block(unit, block, patience).await
    }

    /// No question is left that tells an answer from those which were lost: the last of them must be longer ago than
    /// any unit was ever seen to take. A serial line is left alone for so long; over TCP the time may have passed
    /// while others were asked.
    async fn start_anew(&mut self, unit: u8, block: Block, patience: Duration) -> Result<Vec<u16>, Trouble> {
        let settled = patience * SETTLE_FACTOR;
        if let Some(Wire::Serial(shared)) = &self.wire {
            shared.clone().wait_out(settled).await.map_err(Trouble::Port)?;
            self.owing.remove(&unit);
            return Err(Trouble::Silent);
        }
        if let Some(lost) = self.owing.get(&unit) {
            sleep_until(lost.last + settled).await;
        }
        self.owing.remove(&unit);
        self.read_block(unit, block, patience).await
    }

    async fn read_block(&mut self, unit: u8, block: Block, patience: Duration) -> Result<Vec<u16>, Trouble> {
        let request = match block.table {
            Table::Input => Request::ReadInputRegisters(block.address, block.words),
            Table::Holding => Request::ReadHoldingRegisters(block.address, block.words),
        };
        match self.ask(unit, request, block.words, patience).await? {
            Response::ReadInputRegisters(words) | Response::ReadHoldingRegisters(words)
                if words.len() == usize::from(block.words) =>
            {
                Ok(words)
            }
            Response::ReadInputRegisters(words) | Response::ReadHoldingRegisters(words) => {
                self.lose(unit, block.words);
                self.wait_out(patience).await;
                let (asked, came) = (block.words, words.len());
                Err(Trouble::Strange(format!("{came} registers came, and {asked} were asked for")))
            }
            _ => Err(Trouble::Strange("an answer to another function".into())),
        }
    }

    /// Reads a unit's maker, product and version (function 43/14).
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn identification(&mut self, unit: u8, patience: Duration) -> Result<Vec<String>, Trouble> {
        let request = Request::ReadDeviceIdentification(ReadCode::Basic, 0);
        match self.ask(unit, request, IDENTIFICATION_WORDS, patience).await? {
            Response::ReadDeviceIdentification(read) => {
                let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_string();
                Ok(read.device_id_objects.iter().map(|object| text(&object.value)).collect())
            }
            _ => Err(Trouble::Strange("an answer to another function".into())),
        }
    }

    async fn ask(
        &mut self,
        unit: u8,
        request: Request<'_>,
        words: u16,
        patience: Duration,
    ) -> Result<Response, Trouble> {
        // Out of our hands while somebody may answer: if this future is dropped half-way, so is the connection.
        let Some(mut wire) = self.wire.take() else { return Err(Trouble::Port(io::ErrorKind::NotConnected.into())) };
        let is_tcp = matches!(wire, Wire::Tcp(_));
        self.lose(unit, words);
        let (answered, heard) = match &mut wire {
            Wire::Tcp(context) => {
                let context = context.get_mut().unwrap_or_else(PoisonError::into_inner);
                context.set_slave(Slave(unit));
                (timeout(patience, context.call(request)).await, false)
            }
            Wire::Serial(shared) => {
                let on_the_line = self.on_the_line(QUESTION_BYTES + ANSWER_BYTES + 2 * u64::from(words));
                sleep(self.frame_gap()).await;
                shared.drop_stale().await.map_err(Trouble::Port)?;
                let before = shared.heard();
                let mut context = rtu::attach_slave(shared.clone(), Slave(unit));
                let answered = timeout(patience + on_the_line, context.call(request)).await;
                (answered, shared.heard() != before)
            }
        };
        match answered {
            Ok(Ok(answer)) => {
                (self.wire, self.used) = (Some(wire), true);
                if let Some(lost) = self.owing.get_mut(&unit) {
                    lost.words.pop();
                    if lost.words.is_empty() {
                        self.owing.remove(&unit);
                    }
                }
                answer.map_err(Trouble::Exception)
            }
            // Who hangs up is named by the system (or by what it said last), what does not fit by the codec.
            Ok(Err(Error::Transport(error))) if is_tcp && error.raw_os_error().is_some() => {
                self.after(wire, patience, Trouble::HungUp).await
            }
            Ok(Err(Error::Transport(error))) if is_tcp => {
                self.after(wire, patience, Trouble::Broken(how_broken(&error))).await
            }
            Ok(Err(Error::Transport(error))) if error.kind() != io::ErrorKind::InvalidData => Err(Trouble::Port(error)),
            Ok(Err(Error::Transport(_))) => self.after(wire, patience, Trouble::Garbled).await,
            Ok(Err(Error::Protocol(error))) => {
                let what = match error {
                    ProtocolError::HeaderMismatch { .. } => "an answer of another unit, or to an earlier question",
                    ProtocolError::FunctionCodeMismatch { .. } => "an answer to another function",
                };
                self.after(wire, patience, Trouble::Strange(what.into())).await
            }
            Err(_) if heard => self.after(wire, patience, Trouble::Garbled).await,
            Err(_) => self.after(wire, patience, Trouble::Silent).await,
        }
    }

    /// Leaves the line so that the next question gets its own answer.
    async fn after(&mut self, wire: Wire, patience: Duration, trouble: Trouble) -> Result<Response, Trouble> {
        match wire {
            Wire::Tcp(_) => self.close(),
            Wire::Serial(_) => {
                self.wire = Some(wire);
                self.wait_out(patience).await;
            }
        }
        Err(trouble)
    }

    /// Throws away what comes late: until something has come and the line is quiet, or for as long as an answer may
    /// take. Over TCP the connection is what is thrown away. What came may be noise: the question stays lost.
    async fn wait_out(&mut self, patience: Duration) {
        let Some(Wire::Serial(shared)) = &self.wire else {
            return self.close();
        };
        if shared.clone().wait_out(patience).await.is_err() {
            self.close();
        }
    }

    /// Remembers a question until it is answered.
    fn lose(&mut self, unit: u8, words: u16) {
        let now = Instant::now();
        let lost = self.owing.entry(unit).or_insert_with(|| Lost { words: Vec::new(), last: now });
        lost.words.truncate(LOST_MAX);
        lost.words.push(words);
        lost.last = now;
    }

    fn on_the_line(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes * CHARACTER_BITS * 1_000_000 / u64::from(self.config.baud.max(1)))
    }

    /// Three and a half characters.
    fn frame_gap(&self) -> Duration {
        (self.on_the_line(7) / 2).max(FRAME_GAP_MIN)
    }
}

/// In which way bytes of a TCP connection are no answer.
fn how_broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "an answer announces more bytes than it has".into(),
        io::ErrorKind::InvalidData => format!("what came is no answer of Modbus TCP ({error})"),
        _ => "the other end closed the connection in the middle of its answer".into(),
    }
}

/// A serial port that outlives the conversations over it, and counts what is heard.
#[derive(Clone, Debug)]
struct Shared {
    stream: Arc<Mutex<SerialStream>>,
    heard: Arc<AtomicU64>,
}

impl Shared {
    fn new(stream: SerialStream) -> Self {
        Self { stream: Arc::new(Mutex::new(stream)), heard: Arc::default() }
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Throws away what is there already.
    async fn drop_stale(&mut self) -> io::Result<()> {
        self.drain(Instant::now() + Duration::from_millis(1), Duration::from_millis(1)).await.map(drop)
    }

    /// Whether something came.
    async fn wait_out(&mut self, patience: Duration) -> io::Result<bool> {
        self.drain(Instant::now() + patience, LATE_GAP).await
    }

    async fn drain(&mut self, mut until: Instant, gap: Duration) -> io::Result<bool> {
        let (mut late, mut bytes) = ([0; 256], 0);
        while bytes < LATE_BYTES_MAX {
            match timeout_at(until, self.read(&mut late)).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => bytes += read?,
                Err(_) => break,
            }
            until = Instant::now() + gap;
        }
        Ok(bytes > 0)
    }

    fn with<T>(&self, work: impl FnOnce(Pin<&mut SerialStream>) -> T) -> T {
        // Nothing under the lock can leave the stream half changed.
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        work(Pin::new(&mut stream))
    }
}

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, waker: &mut Waker<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.with(|stream| stream.poll_read(waker, buffer));
        let came = u64::try_from(buffer.filled().len().saturating_sub(before)).unwrap_or(u64::MAX);
        self.heard.fetch_add(came, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, waker: &mut Waker<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(waker, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(waker))
    }

    fn poll_shutdown(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(waker))
    }
}
