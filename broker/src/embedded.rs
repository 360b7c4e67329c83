//! rumqttd on loopback: started, bounded, locked with this start's secret, probed.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::broker::Inside;
use crate::inside;
use crate::limits::{Limits, as_usize};
use crate::mqtt::{self, ConnectCode, Packet};

/// Tries at finding a port that is still free when rumqttd binds it.
const PORT_TRIES_MAX: u32 = 8;
/// Bytes of randomness in a secret of this start.
const SECRET_BYTES: usize = 32;
/// rumqttd's own timeout for a CONNECT; the guard sends it at once.
const EMBEDDED_CONNECT_TIMEOUT_MS: u16 = 5_000;
/// QoS 0 messages that rumqttd hands to a connection in one sweep. Retained
/// messages beyond this number are not sent to a new QoS 0 subscriber.
const SWEEP_MESSAGES_MAX: u64 = 1_000;
/// Packets that rumqttd takes from a socket in one go.
const READ_PACKETS_MAX: usize = 100;
/// Probes that may fail in a row: a process short of file descriptors fails one too.
const PROBES_FAILED_MAX: u32 = 3;
/// Pause before a failed probe is repeated.
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// Largest answer that a probe or a connecting guard expects.
const ANSWER_BYTES_MAX: usize = 64;
/// Keep alive told to rumqttd: its longest. The guard keeps the peer's own.
const LOOPBACK_KEEP_ALIVE_S: u16 = u16::MAX;
/// Bytes of a CONNECT from the guard, and of headers around a payload.
const LOOPBACK_SLACK_BYTES: usize = 1024;
/// How long rumqttd may take to notice that a loopback connection was closed.
const LOOPBACK_CLOSE_MS_MAX: u64 = 5_000;

const GUARD_USER: &str = "guard";
const INSIDE_USER: &str = "inside";
const PROBE_CLIENT_ID: &str = "guard-probe";

/// Why the embedded broker did not come up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No randomness for this start's secret.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// No thread, or no socket.
    #[error("the operating system refuses a socket or thread for the embedded broker: {0}")]
    Io(#[from] std::io::Error),
    /// It started, but nothing answered on any of the ports tried.
    #[error("the embedded broker did not answer on loopback after {tries} tries: {last}")]
    Silent {
        /// Ports tried.
        tries: u32,
        /// What the last try met.
        last: String,
    },
}

/// The way through rumqttd's door: its address and the guard's secret.
#[derive(Clone)]
pub(crate) struct Door {
    addr: SocketAddr,
    secret: Arc<str>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// What a guard or probe met at the door.
#[derive(Debug, Error)]
pub(crate) enum DoorError {
    #[error("loopback: {0}")]
    Io(#[from] std::io::Error),
    #[error("the embedded broker closed the connection")]
    Closed,
    #[error("the embedded broker answered with something else: {0}")]
    Answer(String),
    #[error("the embedded broker did not answer in time")]
    Timeout,
}

impl Door {
    /// Opens a session named `client_id`: clean, without a will.
    ///
    /// Must run to its end once begun: rumqttd poisons its own table when a
    /// client vanishes between CONNECT and CONNACK, and the next client of
    /// the same name would take the accept loop down with it.
    pub(crate) async fn enter(&self, client_id: &str) -> Result<TcpStream, DoorError> {
        let mut stream = TcpStream::connect(self.addr).await?;
        stream.set_nodelay(true)?;
        let mut out = BytesMut::new();
        let connect = Packet::Connect(mqtt::Connect {
            client_id,
            clean_session: true,
            keep_alive_s: LOOPBACK_KEEP_ALIVE_S,
            will: None,
            login: Some(mqtt::Login { username: GUARD_USER, password: Some(self.secret.as_bytes()) }),
        });
        connect.emit(&mut out).map_err(|e| DoorError::Answer(e.to_string()))?;
        stream.write_all(&out).await?;
        match answer(&mut stream).await? {
            Answer::ConnAck(ConnectCode::Accepted) => Ok(stream),
            other => Err(DoorError::Answer(format!("{other:?}"))),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    ConnAck(ConnectCode),
    PingResp,
}

/// Reads one short packet, byte by byte as it comes, and not a byte more.
async fn answer(stream: &mut TcpStream) -> Result<Answer, DoorError> {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES_MAX);
    loop {
        match mqtt::parse(&bytes, ANSWER_BYTES_MAX) {
            Ok(Some((Packet::ConnAck(ack), _))) => return Ok(Answer::ConnAck(ack.code)),
            Ok(Some((Packet::PingResp, _))) => return Ok(Answer::PingResp),
            Ok(Some((other, _))) => return Err(DoorError::Answer(other.to_string())),
            Ok(None) => {}
            Err(invalid) => return Err(DoorError::Answer(invalid.to_string())),
        }
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Err(DoorError::Closed);
        }
        bytes.extend_from_slice(&byte);
    }
}

/// Closes a loopback connection and waits until rumqttd has let go of it.
///
/// rumqttd names connections by a small number that it gives out again, and
/// tells its router "that number disconnected" late. Only its own end of
/// file proves that the message is in the router's queue, so that it cannot
/// hit the number's next owner. For the same reason the guard never sends
/// DISCONNECT: it would make rumqttd disconnect the number twice.
pub(crate) async fn leave(mut read: OwnedReadHalf, mut write: OwnedWriteHalf) {
    let farewell = async {
        write.shutdown().await?;
        let mut rest = [0; 4096];
        while read.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    // A reset is as final as an end of file, and a broker too slow to close is the probe's to judge.
    let _ = timeout(Duration::from_millis(LOOPBACK_CLOSE_MS_MAX), farewell).await;
}

/// rumqttd in its threads.
#[derive(Debug)]
pub(crate) struct Embedded {
    door: Door,
    inside: Inside,
    died: watch::Receiver<bool>,
    probe: JoinHandle<()>,
    relay: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Embedded {
    /// Starts rumqttd on a free port of the loopback and waits until a probe comes back.
    pub(crate) async fn start(limits: &Arc<Limits>) -> Result<Self, EmbeddedError> {
        let guard_secret = secret()?;
        let inside_secret = secret()?;
        let mut last = String::new();
        for _ in 0..PORT_TRIES_MAX {
            let addr = free_loopback_port()?;
            let auth = HashMap::from([
                (GUARD_USER.to_owned(), guard_secret.clone()),
                (INSIDE_USER.to_owned(), inside_secret.clone()),
            ]);
            let (stop, mut ended) = spawn_rumqttd(addr, auth, limits)?;
            let door = Door { addr, secret: guard_secret.as_str().into() };
            match first_answer(&door, &mut ended, limits).await {
                Ok(()) => {
                    let (listener, relayed) = inside::listen().await?;
                    let relay = tokio::spawn(inside::relay(listener, addr, limits.inside_connections_max));
                    let inside = Inside { addr: relayed, username: INSIDE_USER.to_owned(), password: inside_secret };
                    return Ok(Self::watch_over(door, inside, (stop, relay), ended, limits));
                }
                Err(reason) => {
                    warn!(%addr, %reason, "embedded broker: another port is tried");
                    last = reason;
                }
            }
        }
        Err(EmbeddedError::Silent { tries: PORT_TRIES_MAX, last })
    }

    fn watch_over(
        door: Door,
        inside: Inside,
        (stop, relay): (oneshot::Sender<()>, JoinHandle<()>),
        ended: oneshot::Receiver<String>,
        limits: &Limits,
    ) -> Self {
        let (death, died) = watch::channel(false);
        let interval = Duration::from_millis(limits.probe_interval_ms);
        let patience = Duration::from_millis(limits.probe_timeout_ms);
        let probed = door.clone();
        let probe = tokio::spawn(async move {
            let reason = probe_until_death(&probed, ended, interval, patience).await;
            error!(%reason, "the embedded broker died: the process must start anew");
            let _ = death.send(true);
            // The channel stays open, so that late askers still hear of the death.
            death.closed().await;
        });
        Self { door, inside, died, probe, relay, stop: Some(stop) }
    }

    pub(crate) fn door(&self) -> Door {
        self.door.clone()
    }

    pub(crate) fn inside(&self) -> Inside {
        self.inside.clone()
    }

    pub(crate) fn healthy(&self) -> bool {
        !*self.died.borrow()
    }

    pub(crate) fn death(&self) -> watch::Receiver<bool> {
        self.died.clone()
    }

    /// Ends the accept loop and every loopback connection.
    pub(crate) fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.probe.abort();
        self.relay.abort();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.halt();
    }
}

fn secret() -> Result<String, EmbeddedError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(EmbeddedError::Random)?;
    Ok(hex::encode(bytes))
}

/// A port that was free a moment ago. rumqttd binds by itself, so another
/// process may be faster; the caller then tries again.
fn free_loopback_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Starts router and accept loop. The second value resolves when the accept loop has ended.
fn spawn_rumqttd(
    addr: SocketAddr,
    auth: HashMap<String, String>,
    limits: &Limits,
) -> Result<(oneshot::Sender<()>, oneshot::Receiver<String>), EmbeddedError> {
    let (stop, stopped) = oneshot::channel();
    let (ending, ended) = oneshot::channel();
    let settings = server_settings(addr, auth, limits);
    let router_config = router_config(limits);
    std::thread::Builder::new().name("rumqttd-accept".to_owned()).spawn(move || {
        let said = accept_loop(settings, router_config, stopped);
        let _ = ending.send(said);
    })?;
    Ok((stop, ended))
}

/// Runs rumqttd's accept loop until it fails or is told to stop; its
/// connections live in the same runtime and end with it.
fn accept_loop(
    settings: rumqttd::ServerSettings,
    router_config: rumqttd::RouterConfig,
    stopped: oneshot::Receiver<()>,
) -> String {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return format!("no runtime: {e}"),
    };
    let router = rumqttd::Router::new(0, router_config).spawn();
    let mut server = rumqttd::Server::new(settings, router, rumqttd::protocol::v4::V4);
    runtime.block_on(async {
        tokio::select! {
            ended = server.start(rumqttd::LinkType::Remote) => match ended {
                Ok(()) => "the accept loop ended".to_owned(),
                Err(e) => e.to_string(),
            },
            _ = stopped => "stopped".to_owned(),
        }
    })
}

fn server_settings(listen: SocketAddr, auth: HashMap<String, String>, limits: &Limits) -> rumqttd::ServerSettings {
    rumqttd::ServerSettings {
        name: "loopback".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 0, // the guard has already bounded the rate
        connections: rumqttd::ConnectionSettings {
            connection_timeout_ms: EMBEDDED_CONNECT_TIMEOUT_MS,
            max_payload_size: limits.packet_bytes_max().saturating_add(LOOPBACK_SLACK_BYTES),
            max_inflight_count: READ_PACKETS_MAX,
            auth: Some(auth),
            external_auth: None,
            dynamic_filters: false,
        },
    }
}

/// rumqttd keeps a log for every filter ever subscribed, fills it whether or
/// not anyone listens, and frees none. Its memory is therefore at most
/// filters × segments × (segment + one packet), plus retained messages. Most
/// filters are `plomb/1/{gw}/down/#` and stay nearly empty; the ledger's own
/// filter carries all traffic and gets a longer log.
fn router_config(limits: &Limits) -> rumqttd::RouterConfig {
    let segment = |count| rumqttd::SegmentConfig {
        max_segment_size: as_usize(limits.segment_bytes_max),
        max_segment_count: as_usize(count),
    };
    // Matches every filter below it, so it must not be wider than what the ledger hears.
    let custom = [("plomb/1/+/up/#".to_owned(), segment(limits.ledger_segments_max))];
    rumqttd::RouterConfig {
        // One more than can ever come: at its own limit rumqttd drops a
        // client between CONNECT and CONNACK (see `Door::enter`).
        max_connections: as_usize(limits.connections_max)
            .saturating_add(as_usize(limits.inside_connections_max))
            .saturating_add(2),
        max_outgoing_packet_count: SWEEP_MESSAGES_MAX,
        max_segment_size: as_usize(limits.segment_bytes_max),
        max_segment_count: as_usize(limits.segments_max),
        custom_segment: Some(HashMap::from(custom)),
        initialized_filters: None,
        shared_subscriptions_strategy: rumqttd::Strategy::default(),
    }
}

/// Waits for the first probe to come back.
async fn first_answer(door: &Door, ended: &mut oneshot::Receiver<String>, limits: &Limits) -> Result<(), String> {
    const RETRY: Duration = Duration::from_millis(10);
    let patience = Duration::from_millis(limits.probe_timeout_ms);
    let knocking = async {
        while let Err(e) = probe(door).await {
            // Refused only means that the thread has not bound its socket yet.
            if !matches!(&e, DoorError::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused) {
                return Err(e.to_string());
            }
            tokio::time::sleep(RETRY).await;
        }
        Ok(())
    };
    tokio::select! {
        said = ended => Err(said.unwrap_or_else(|_| "its thread panicked".to_owned())),
        answered = timeout(patience, knocking) => {
            answered.unwrap_or_else(|_| Err(DoorError::Timeout.to_string()))
        }
    }
}

/// A session of its own, and a PINGREQ that only the router thread can answer.
async fn probe(door: &Door) -> Result<(), DoorError> {
    let mut stream = door.enter(PROBE_CLIENT_ID).await?;
    let mut out = BytesMut::new();
    Packet::PingReq.emit(&mut out).map_err(|e| DoorError::Answer(e.to_string()))?;
    stream.write_all(&out).await?;
    let answered = answer(&mut stream).await?;
    let (read, write) = stream.into_split();
    leave(read, write).await;
    match answered {
        Answer::PingResp => Ok(()),
        other @ Answer::ConnAck(_) => Err(DoorError::Answer(format!("{other:?}"))),
    }
}

/// rumqttd's router can panic while its accept loop goes on: only an active probe notices.
async fn probe_until_death(
    door: &Door,
    mut ended: oneshot::Receiver<String>,
    interval: Duration,
    patience: Duration,
) -> String {
    info!(addr = %door.addr, "the embedded broker runs on loopback");
    let mut failed = 0;
    loop {
        let pause = if failed == 0 { interval } else { interval.min(PROBE_AGAIN) };
        tokio::select! {
            said = &mut ended => return said.unwrap_or_else(|_| "its thread panicked".to_owned()),
            () = tokio::time::sleep(pause) => {}
        }
        match timeout(patience, probe(door)).await {
            Ok(Ok(())) => failed = 0,
            Ok(Err(e)) => {
                failed += 1;
                if failed >= PROBES_FAILED_MAX {
                    return e.to_string();
                }
                warn!(reason = %e, failed, "a probe of the embedded broker failed");
            }
            Err(_) => return DoorError::Timeout.to_string(),
        }
    }
}
