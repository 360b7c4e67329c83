//! An open session: two directions, each with its own backpressure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::bounds::{Bucket, Seated};
use super::connection::{READ_CHUNK_BYTES, Warrant};
use super::desk::{Desk, InFlight, KeptWill, Next, Objection};
use super::{Shared, raised};
use crate::embedded::leave;
use crate::inside::prompt;
use crate::mqtt::{self, Fault, Packet, PublishQoS};
use crate::stats::Reason;

/// Answers of the guard's own that wait for the peer to take bytes.
const REPLIES_MAX: usize = 16;
/// A buffer that grew beyond this for one large packet is let go of afterwards.
const BUFFER_KEPT_BYTES_MAX: usize = 64 * 1024;
/// How long the embedded broker may take over the last packets of a session, its will among them.
const LAST_WORDS_MS_MAX: u64 = 5_000;

/// How a session ended without anybody's fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer said DISCONNECT.
    Goodbye,
    /// The peer vanished: its will speaks.
    Lost,
    /// The process stops.
    Stopping,
}

/// One session between a peer and the embedded broker.
pub(super) struct Session {
    desk: Desk,
    incoming: BytesMut,
    idle: Duration,
    up: Upstream,
    down: OwnedReadHalf,
    shared: Arc<Shared>,
}

/// Towards the embedded broker. What was judged but not yet written survives
/// a cancelled write, so that a will never lands inside another packet.
struct Upstream {
    half: OwnedWriteHalf,
    pending: BytesMut,
}

impl Upstream {
    async fn flush(&mut self) -> Result<(), Objection> {
        while !self.pending.is_empty() {
            match self.half.write_buf(&mut self.pending).await {
                Ok(0) => return Err(unavailable("it takes no bytes")),
                Ok(_) => {}
                Err(e) => return Err(unavailable(e.to_string())),
            }
        }
        trim(&mut self.pending);
        Ok(())
    }
}

fn unavailable(why: impl Into<String>) -> Objection {
    Objection::new(Reason::BrokerUnavailable, why)
}

impl Session {
    /// `incoming` may hold what the peer sent behind its CONNECT.
    pub(super) fn new(
        loopback: TcpStream,
        incoming: BytesMut,
        desk: Desk,
        idle: Duration,
        shared: Arc<Shared>,
    ) -> Self {
        let (down, half) = loopback.into_split();
        let up = Upstream { half, pending: BytesMut::new() };
        Self { desk, incoming, idle, up, down, shared }
    }

    /// Runs until either side ends it, the warrant lapses, or someone newer takes the seat.
    pub(super) async fn run<S>(
        &mut self,
        stream: &mut S,
        mut warrant: Warrant,
        seat: &mut Seated,
        who: &str,
        peer: SocketAddr,
    ) -> Result<End, Objection>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (from_peer, to_peer) = tokio::io::split(stream);
        let (reply, replies) = mpsc::channel(REPLIES_MAX);
        let mut stop = self.shared.stop.clone();
        let shared = self.shared.clone();
        let in_flight = self.desk.in_flight();
        let downwards = Downwards { in_flight, replies, shared: &shared };
        let upwards = Upwards {
            desk: &mut self.desk,
            incoming: &mut self.incoming,
            idle: self.idle,
            up: &mut self.up,
            reply,
            shared: &shared,
            who,
            peer,
        };
        tokio::select! {
            // First, so that nothing of a revoked peer is judged any more.
            biased;
            objection = warrant.lapsed() => Err(objection),
            () = seat.displaced() => Err(Objection::new(Reason::TakenOver, "")),
            () = raised(&mut stop) => Ok(End::Stopping),
            ended = upwards.run(from_peer) => ended,
            ended = downwards.run(&mut self.down, to_peer) => ended,
        }
    }

    /// Publishes the will, if there is one to publish, behind what was
    /// already judged, and leaves the embedded broker in order.
    pub(super) async fn close(mut self, will: Option<KeptWill>) {
        if will.is_some_and(|will| will.emit(&mut self.up.pending).is_ok()) {
            self.shared.stats.publishes.fetch_add(1, Ordering::Relaxed);
        }
        let last_words = async {
            tokio::select! {
                _ = self.up.flush() => {}
                // Read meanwhile: a broker that waits for its own bytes to be taken takes none.
                () = drain(&mut self.down) => {}
            }
        };
        // A broker that takes no bytes is the probe's to judge.
        let _ = timeout(Duration::from_millis(LAST_WORDS_MS_MAX), last_words).await;
        leave(self.down, self.up.half).await;
    }
}

async fn drain(down: &mut OwnedReadHalf) {
    let mut ignored = [0; 4096];
    while matches!(down.read(&mut ignored).await, Ok(1..)) {}
}

/// From the peer to the embedded broker.
struct Upwards<'a> {
    desk: &'a mut Desk,
    incoming: &'a mut BytesMut,
    idle: Duration,
    up: &'a mut Upstream,
    reply: mpsc::Sender<BytesMut>,
    shared: &'a Shared,
    who: &'a str,
    peer: SocketAddr,
}

impl Upwards<'_> {
    async fn run<R: AsyncRead + Unpin>(mut self, mut from_peer: R) -> Result<End, Objection> {
        let limits = &self.shared.limits;
        let now = Instant::now();
        let mut bytes = Bucket::new(limits.bytes_per_second_max, limits.burst_bytes_max, now);
        let mut packets = Bucket::new(limits.packets_per_second_max, limits.burst_packets_max, now);
        loop {
            while let Some((next, packet_bytes)) = self.judge_one().await? {
                if next == Next::Goodbye {
                    return Ok(End::Goodbye);
                }
                let now = Instant::now();
                let wait = bytes.take(u32::try_from(packet_bytes).unwrap_or(u32::MAX), now).max(packets.take(1, now));
                if !wait.is_zero() {
                    // Not reading is the only brake that MQTT 3.1.1 has.
                    tokio::time::sleep(wait).await;
                }
            }
            trim(self.incoming);
            self.incoming.reserve(READ_CHUNK_BYTES);
            match timeout(self.idle, from_peer.read_buf(self.incoming)).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return Ok(End::Lost),
                Err(_) => {
                    let detail = format!("for {} s", self.idle.as_secs());
                    return Err(Objection::new(Reason::KeepAlive, detail));
                }
            }
        }
    }

    /// Judges the first packet in the buffer and passes on what it allows.
    /// `None`: no whole packet is there.
    async fn judge_one(&mut self) -> Result<Option<(Next, usize)>, Objection> {
        let mut back = BytesMut::new();
        let before = (self.desk.publishes, self.desk.publish_bytes);
        let (next, packet_bytes) = {
            let parsed = mqtt::parse(self.incoming, self.shared.limits.packet_bytes_max());
            let Some((packet, packet_bytes)) = parsed.map_err(malformed)? else {
                return Ok(None);
            };
            (self.desk.judge(&packet, &mut self.up.pending, &mut back)?, packet_bytes)
        };
        self.incoming.advance(packet_bytes);
        let stats = &self.shared.stats;
        stats.publishes.fetch_add(self.desk.publishes - before.0, Ordering::Relaxed);
        stats.publish_bytes.fetch_add(self.desk.publish_bytes - before.1, Ordering::Relaxed);
        if let Next::Refused(objection) = &next {
            self.shared.object(self.peer, self.who, objection);
        }
        self.up.flush().await?;
        if !back.is_empty() && self.reply.send(back).await.is_err() {
            return Ok(Some((Next::Goodbye, packet_bytes)));
        }
        Ok(Some((next, packet_bytes)))
    }
}

fn malformed(invalid: mqtt::Invalid) -> Objection {
    let reason = match invalid.reason {
        Fault::TooLarge { .. } => Reason::TooLarge,
        _ => Reason::Malformed,
    };
    Objection::new(reason, invalid.to_string())
}

/// From the embedded broker to the peer.
struct Downwards<'a> {
    in_flight: InFlight,
    replies: mpsc::Receiver<BytesMut>,
    shared: &'a Shared,
}

impl Downwards<'_> {
    async fn run<W: AsyncWrite + Unpin>(mut self, down: &mut OwnedReadHalf, mut to_peer: W) -> Result<End, Objection> {
        let mut read = BytesMut::with_capacity(READ_CHUNK_BYTES);
        let mut due = BytesMut::with_capacity(READ_CHUNK_BYTES);
        loop {
            read.reserve(READ_CHUNK_BYTES);
            tokio::select! {
                Some(reply) = self.replies.recv() => due.extend_from_slice(&reply),
                taken = down.read_buf(&mut read) => match taken {
                    Ok(0) => return Err(unavailable("it closed the connection")),
                    Ok(_) => {
                        prompt(down.as_ref());
                        self.sort(&mut read, &mut due)?;
                    }
                    Err(e) => return Err(unavailable(e.to_string())),
                }
            }
            if !due.is_empty() && !self.write(&mut to_peer, &mut due).await? {
                return Ok(End::Lost);
            }
            trim(&mut read);
            trim(&mut due);
        }
    }

    /// Moves whole packets that are meant for the peer from `read` to `due`.
    fn sort(&self, read: &mut BytesMut, due: &mut BytesMut) -> Result<(), Objection> {
        loop {
            let (packet_bytes, is_for_peer) = match mqtt::parse(read, mqtt::REMAINING_LENGTH_MAX) {
                Ok(Some((packet, packet_bytes))) => (packet_bytes, self.is_for_peer(&packet)?),
                Ok(None) => return Ok(()),
                Err(invalid) => return Err(unavailable(format!("it sent bytes that are not MQTT: {invalid}"))),
            };
            let packet = read.split_to(packet_bytes);
            if is_for_peer {
                due.extend_from_slice(&packet);
            }
        }
    }

    fn is_for_peer(&self, packet: &Packet<'_>) -> Result<bool, Objection> {
        match packet {
            Packet::Publish(publish) => {
                self.shared.stats.deliveries.fetch_add(1, Ordering::Relaxed);
                if let PublishQoS::AtLeastOnce { id, .. } = publish.qos
                    && !self.in_flight.sent(id)
                {
                    return Err(unavailable("it has too many messages in flight"));
                }
                Ok(true)
            }
            // The guard has answered already; see `Desk::judge_unsubscribe`.
            Packet::UnsubAck(_) => Ok(false),
            _ => Ok(true),
        }
    }

    /// Writes all that is due. False when the peer is gone.
    async fn write<W: AsyncWrite + Unpin>(&self, to_peer: &mut W, due: &mut BytesMut) -> Result<bool, Objection> {
        let stall_ms = self.shared.limits.write_stall_ms_max;
        let stall = Duration::from_millis(stall_ms);
        let stalled = |_| Objection::new(Reason::WriteStall, format!("for {stall_ms} ms"));
        while !due.is_empty() {
            match timeout(stall, to_peer.write_buf(due)).await.map_err(stalled)? {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Ok(false),
            }
        }
        Ok(timeout(stall, to_peer.flush()).await.map_err(stalled)?.is_ok())
    }
}

/// Lets go of a buffer that one large packet blew up.
fn trim(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > BUFFER_KEPT_BYTES_MAX {
        *buffer = BytesMut::new();
    }
}
