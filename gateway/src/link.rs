//! Links to meters, and the one loop that drives any session over any of them.

use std::{io, os::unix::fs::FileTypeExt, time::Duration};

use plomb_session::{Instant, Session};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Stdin},
    net::{TcpStream, UdpSocket, lookup_host, unix::pipe},
    time::{sleep, sleep_until, timeout},
};
use tokio_serial::{DataBits, SerialPort, SerialPortBuilderExt, SerialStream, StopBits};

use crate::config::Parity;

/// How long a TCP connection to a serial server may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long bytes may wait to be taken by the system.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes taken from a link at once.
const READ_BYTES: usize = 1024;
/// The most that is thrown away before a conversation.
const STALE_READS_MAX: usize = 16;
/// A link that has no line speed of its own.
const NO_SPEED: u32 = 115_200;
/// What a serial server on the network, or a USB adapter, takes beyond the line's own time.
const NETWORK_LATENCY: Duration = Duration::from_millis(300);
const ADAPTER_LATENCY: Duration = Duration::from_millis(50);

/// A way to meters.
#[derive(Debug)]
pub struct Link {
    wire: Wire,
    bits_per_second: u32,
}

#[derive(Debug)]
enum Wire {
    Serial(Box<SerialStream>),
    Tcp(TcpStream),
    /// Text lines of another program; nothing is ever sent.
    Pipe(pipe::Receiver),
    Stdin(Stdin),
    Udp(UdpSocket),
}

/// What the way to `port` takes beyond the line's own time, unless configured: to be added to every
/// limit of a session.
pub fn usual_latency(port: &str) -> Duration {
    if port.starts_with("tcp://") || port.starts_with("udp://") { NETWORK_LATENCY } else { ADAPTER_LATENCY }
}

impl Link {
    /// Opens `tcp://host:port` or `udp://host:port`, or else a serial port.
    pub async fn open(port: &str, baud: u32, parity: Parity) -> io::Result<Self> {
        // HDLC through a serial server is named so, where it is named.
        let port = port.strip_prefix("hdlc+").unwrap_or(port);
        let wire = if let Some(address) = port.strip_prefix("tcp://") {
            let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
            stream.set_nodelay(true)?;
            Wire::Tcp(stream)
        } else if let Some(address) = port.strip_prefix("udp://") {
            Wire::Udp(timeout(CONNECT_TIMEOUT, open_udp(address)).await??)
        } else {
            Wire::Serial(Box::new(open_serial(port, baud, parity)?))
        };
        Ok(Self { wire, bits_per_second: baud })
    }

    /// Opens a wireless receiver's port: `tcp://host:port`, a named pipe, `-` for standard input, or else a
    /// serial port at 8N1. A receiver without a speed is a program that writes to a pipe.
    pub async fn open_receiver(port: &str, baud: Option<u32>) -> io::Result<Self> {
        let wire = match baud {
            _ if port == "-" => Wire::Stdin(tokio::io::stdin()),
            _ if Self::is_pipe(port) => Wire::Pipe(pipe::OpenOptions::new().open_receiver(port)?),
            _ if port.starts_with("tcp://") => return Self::open(port, baud.unwrap_or(NO_SPEED), Parity::None).await,
            Some(baud) => return Self::open(port, baud, Parity::None).await,
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "is no pipe, and this receiver is a program that writes to one (mkfifo)",
                ));
            }
        };
        Ok(Self { wire, bits_per_second: NO_SPEED })
    }

    /// Whether a port is standard input or a named pipe: another program writes to it, and it can end.
    pub fn is_pipe(port: &str) -> bool {
        port == "-" || std::fs::metadata(port).is_ok_and(|file| file.file_type().is_fifo())
    }

    /// Changes the speed of a serial port.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] on a network link: the serial server keeps the line's speed.
    pub fn set_speed(&mut self, bits_per_second: u32) -> io::Result<()> {
        match &mut self.wire {
            Wire::Serial(port) => port.set_baud_rate(bits_per_second)?,
            _ if bits_per_second != self.bits_per_second => {
                let what =
                    format!("the speed is {bits_per_second} baud: it is set at the serial server, not from here");
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            _ => {}
        }
        self.bits_per_second = bits_per_second;
        Ok(())
    }

    /// Throws away what came while nobody had asked. What waits in a pipe was meant for whoever opens it.
    pub async fn drop_stale(&mut self) -> io::Result<()> {
        if matches!(self.wire, Wire::Pipe(_) | Wire::Stdin(_)) {
            return Ok(());
        }
        let mut stale = [0; READ_BYTES];
        for _ in 0..STALE_READS_MAX {
            match timeout(Duration::from_millis(1), self.read(&mut stale)).await {
                Ok(read) => {
                    read?;
                }
                Err(_) => break,
            }
        }
        Ok(())
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.wire {
            Wire::Serial(port) => port.read(buffer).await?,
            Wire::Tcp(stream) => stream.read(buffer).await?,
            Wire::Pipe(pipe) => pipe.read(buffer).await?,
            Wire::Stdin(stdin) => stdin.read(buffer).await?,
            // An empty datagram is no end.
            Wire::Udp(socket) => return socket.recv(buffer).await,
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the port is gone"));
        }
        Ok(read)
    }

    /// Sends, and waits until the last bit has left a serial line.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let begun = tokio::time::Instant::now();
        match &mut self.wire {
            Wire::Serial(port) => timeout(WRITE_TIMEOUT, port.write_all(bytes)).await??,
            Wire::Tcp(stream) => timeout(WRITE_TIMEOUT, stream.write_all(bytes)).await??,
            Wire::Pipe(_) | Wire::Stdin(_) => {
                let what = "a pipe can't be written to: only rtl_wmbus can be its receiver";
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
            // A datagram goes whole or not at all.
            Wire::Udp(socket) => {
                timeout(WRITE_TIMEOUT, socket.send(bytes)).await??;
            }
        }
        if let Wire::Serial(_) = self.wire {
            sleep_until(begun + time_on_the_wire(bytes.len(), self.bits_per_second)).await;
        }
        Ok(())
    }
}

/// Drives a session to its end. Each event goes to `on_event` as it comes.
///
/// The session never sees the link or the clock; this loop sees nothing of the protocol.
pub async fn drive<S: Session>(session: &mut S, link: &mut Link, on_event: impl FnMut(S::Event)) -> io::Result<()> {
    drive_until(session, link, std::future::pending(), |_| {}, on_event).await
}

/// As [`drive`], for a session that only listens: what came before it began is meant for it too.
pub async fn listen<S: Session>(session: &mut S, link: &mut Link, on_event: impl FnMut(S::Event)) -> io::Result<()> {
    run(session, link, std::future::pending(), |_| {}, on_event).await
}

/// As [`drive`]; when `stop` comes first, `on_stop` may ask the session to end early. The session
/// then still leaves the line as it should be.
pub async fn drive_until<S: Session>(
    session: &mut S,
    link: &mut Link,
    stop: impl Future<Output = ()>,
    on_stop: impl FnOnce(&mut S),
    on_event: impl FnMut(S::Event),
) -> io::Result<()> {
    link.drop_stale().await?;
    run(session, link, stop, on_stop, on_event).await
}

async fn run<S: Session>(
    session: &mut S,
    link: &mut Link,
    stop: impl Future<Output = ()>,
    on_stop: impl FnOnce(&mut S),
    mut on_event: impl FnMut(S::Event),
) -> io::Result<()> {
    tokio::pin!(stop);
    let mut on_stop = Some(on_stop);
    let origin = tokio::time::Instant::now();
    let now = || Instant::from_duration(origin.elapsed());
    let mut buffer = [0; READ_BYTES];
    session.start(now());
    loop {
        while let Some(event) = session.poll_event() {
            on_event(event);
        }
        if let Some(bits_per_second) = session.poll_speed() {
            link.set_speed(bits_per_second)?;
        }
        if let Some(transmit) = session.poll_transmit() {
            link.write(&transmit.bytes).await?;
            session.handle_transmitted(now());
            continue;
        }
        if session.is_finished() {
            return Ok(());
        }
        let deadline = session.poll_timeout().map(|deadline| origin + Duration::from_micros(deadline.as_micros()));
        tokio::select! {
            // When this program was held up, an answer and its deadline wait together: the answer was in time.
            biased;
            read = link.read(&mut buffer) => {
                let read = read?;
                session.handle_input(buffer.get(..read).unwrap_or_default(), now());
            }
            () = sleep_until(deadline.unwrap_or(origin)), if deadline.is_some() => session.handle_timeout(now()),
            () = &mut stop, if on_stop.is_some() => {
                if let Some(on_stop) = on_stop.take() {
                    on_stop(session);
                }
            }
        }
    }
}

/// How long bytes take at eleven bits each (8E1).
fn time_on_the_wire(bytes: usize, bits_per_second: u32) -> Duration {
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(11);
    Duration::from_micros(bits.saturating_mul(1_000_000) / u64::from(bits_per_second.max(1)))
}

async fn open_udp(address: &str) -> io::Result<UdpSocket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for remote in lookup_host(address).await? {
        let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(remote).await {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(crate) fn open_serial(port: &str, baud: u32, parity: Parity) -> io::Result<SerialStream> {
    let builder = tokio_serial::new(port, baud).data_bits(DataBits::Eight).stop_bits(StopBits::One);
    let parity = match parity {
        Parity::Even => tokio_serial::Parity::Even,
        Parity::None | Parity::OfProtocol => tokio_serial::Parity::None,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    // A pseudo-terminal can't keep a parity; what it says about that is not worth losing the line for.
    builder
        .clone()
        .parity(parity)
        .open_native_async()
        .or_else(|error| match error.kind() {
            tokio_serial::ErrorKind::InvalidInput => builder.open_native_async(),
            _ => Err(error),
        })
        .map_err(io::Error::from)
}

/// Waits a little before a port is tried again; longer each time, to 30 s.
pub async fn before_reopening(tries: u32) {
    sleep(Duration::from_millis(500) * 2u32.pow(tries.min(6))).await;
}
