//! One connection, from its socket to its end: handshake, identity, CONNECT, seat, session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::bounds::Seated;
use super::desk::{Desk, KeptWill, Objection};
use super::handshakes::{MustGo, Shaking};
use super::session::{self, End};
use super::{Shared, raised};
use crate::admission::{Identity, Refused, Role, is_id};
use crate::limits::as_usize;
use crate::mqtt::{self, ConnAck, ConnectCode, Fault, Packet};
use crate::stats::Reason;
use crate::tls;

/// Bytes that one read from a peer makes room for.
pub(super) const READ_CHUNK_BYTES: usize = 8 * 1024;
/// Characters of a subscriber's own client id that are kept.
const CLIENT_ID_CHARS_MAX: usize = 64;
/// How long a peer may take over the last bytes of a connection that is closed.
const FAREWELL_MS_MAX: u64 = 2_000;
/// A certificate's end is looked at this often, so that a stepped clock is noticed.
const VALIDITY_CHECK_S: u64 = 60;

type Stream = TlsStream<TcpStream>;

/// Serves one socket to its end, and speaks of what was refused.
pub(super) async fn run(tcp: TcpStream, peer: SocketAddr, shaking: (Shaking, MustGo), shared: Arc<Shared>) {
    shared.stats.open.fetch_add(1, Ordering::Relaxed);
    let mut who = "not yet known".to_owned();
    let mut stop = shared.stop.clone();
    let ended = tokio::select! {
        ended = Box::pin(serve(tcp, peer, shaking, &shared, &mut who)) => ended,
        // Before a session there is nothing to end in order; a session watches for itself.
        () = stopped_before_session(&mut stop) => Ok(()),
    };
    if let Err(objection) = ended {
        shared.object(peer, &who, &objection);
    }
    shared.stats.open.fetch_sub(1, Ordering::Relaxed);
}

/// A session ends by itself when the guard stops, and gets this long for it.
async fn stopped_before_session(stop: &mut watch::Receiver<bool>) {
    raised(stop).await;
    tokio::time::sleep(Duration::from_millis(FAREWELL_MS_MAX)).await;
}

async fn serve(
    tcp: TcpStream,
    peer: SocketAddr,
    (shaking, must_go): (Shaking, MustGo),
    shared: &Arc<Shared>,
    who: &mut String,
) -> Result<(), Objection> {
    let gave_way = || Objection::new(Reason::GaveWay, "");
    let mut stream = tokio::select! {
        shaken = shake_hands(tcp, shared, who, &shaking) => shaken?,
        _ = must_go => return Err(gave_way()),
    };
    let _places = shaking.done().ok_or_else(gave_way)?;
    let ended = attend(&mut stream, peer, shared, who).await;
    let _ = timeout(Duration::from_millis(FAREWELL_MS_MAX), stream.shutdown()).await;
    debug!(%peer, who, "connection closed");
    ended
}

/// Whoever shook hands: identity, CONNECT, session.
async fn attend(
    stream: &mut Stream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    who: &mut String,
) -> Result<(), Objection> {
    // Watched from before the question, so that no change can fall in between.
    let mut changes = shared.admission.0.changes();
    changes.mark_unchanged();
    let expulsions = shared.expelled.changes();
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|c| c.clone().into_owned())
        .ok_or_else(|| Objection::new(Reason::NoCertificate, ""))?;
    let mut buffer = BytesMut::with_capacity(READ_CHUNK_BYTES);
    let identity = match identify(shared, &certificate) {
        Ok(identity) => identity,
        Err(objection) => {
            shared.object(peer, who, &objection);
            turn_away(stream, &mut buffer, shared, objection).await;
            return Ok(());
        }
    };
    *who = format!("{} {} ({})", identity.role, identity.id, tls::subject_of(&certificate));
    if let Some(rest) = shared.expelled.rest(&identity.id, Instant::now()) {
        let objection = Objection::new(Reason::Expelled, format!("{}: {} s more", identity.id, rest.as_secs()));
        shared.object(peer, who, &objection);
        turn_away(stream, &mut buffer, shared, objection).await;
        return Ok(());
    }
    let Some(_identity_place) = shared.identities.take(identity.id.clone()) else {
        let objection = Objection::new(Reason::IdentityFull, identity.id.clone());
        shared.object(peer, who, &objection);
        turn_away(stream, &mut buffer, shared, objection).await;
        return Ok(());
    };
    let warrant = Warrant { shared: shared.clone(), certificate: certificate.to_vec(), identity, changes, expulsions };
    let opening = open(stream, &mut buffer, peer, &warrant, shared).await?;
    hold(stream, buffer, opening, warrant, who, peer).await
}

/// Tells a peer that was refused before its CONNECT was heard. MQTT has an answer to a CONNECT only, so
/// that is waited for; whoever sends none, or something else, is told nothing.
async fn turn_away(stream: &mut Stream, buffer: &mut BytesMut, shared: &Shared, objection: Objection) {
    let connect_bytes_max = shared.limits.connect_bytes_max;
    let patience = Duration::from_millis(shared.limits.connect_timeout_ms);
    let asked = timeout(patience, await_connect(stream, buffer, connect_bytes_max)).await;
    let packet = mqtt::parse(buffer, as_usize(connect_bytes_max));
    if matches!(asked, Ok(Ok(_))) && matches!(packet, Ok(Some((Packet::Connect(_), _)))) {
        refuse(stream, objection).await;
    }
}

/// TLS 1.3 with a client certificate, within the time for it.
async fn shake_hands(
    tcp: TcpStream,
    shared: &Shared,
    who: &mut String,
    shaking: &Shaking,
) -> Result<Stream, Objection> {
    let _ = tcp.set_nodelay(true);
    let failed = |e: std::io::Error| Objection::new(tls::blame(&e), e.to_string());
    let late = |ms: u64, what: &str| Objection::new(Reason::HandshakeTimeout, format!("{what}within {ms} ms"));
    let ms = shared.limits.hello_timeout_ms.min(shared.limits.handshake_timeout_ms);
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), tcp);
    let greeted = match timeout(Duration::from_millis(ms), &mut acceptor).await {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(e)) => return Err(failed(e)),
        Err(_) => return Err(late(ms, "no ClientHello ")),
    };
    shaking.greeted();
    let (config, shown) =
        shared.keys.config(&*shared.admission.0).map_err(|e| Objection::new(Reason::HandshakeFailed, e.to_string()))?;
    let ms = shared.limits.handshake_timeout_ms;
    let shaken = timeout(Duration::from_millis(ms), greeted.into_stream(config).into_fallible()).await;
    if let Some(subject) = shown.subject() {
        *who = subject;
    }
    match shaken {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((e, _))) => Err(failed(e)),
        Err(_) => Err(late(ms, "")),
    }
}

/// Asks the ledger, and checks that the answer can be one.
fn identify(shared: &Shared, certificate: &[u8]) -> Result<Identity, Objection> {
    let identity = shared.admission.0.identify(certificate).map_err(|refused| {
        let reason = match refused {
            Refused::Unknown => Reason::UnknownToLedger,
            Refused::Revoked { .. } => Reason::Revoked,
            Refused::OutsideValidity => Reason::ExpiredCertificate,
            Refused::Unavailable(_) => Reason::LedgerUnavailable,
        };
        Objection::new(reason, format!("{refused}; subject {}", tls::subject_of(certificate)))
    })?;
    if !is_id(&identity.id) {
        let detail = format!("id {:?} is not [a-z0-9-]{{1,64}}", identity.id);
        return Err(Objection::new(Reason::NotAdmitted, detail));
    }
    if identity.role == Role::Ledger {
        return Err(Objection::new(Reason::NotAdmitted, "the ledger does not come from outside"));
    }
    Ok(identity)
}

/// What lets a connection in, and must keep holding while it is open.
pub(super) struct Warrant {
    shared: Arc<Shared>,
    certificate: Vec<u8>,
    identity: Identity,
    changes: watch::Receiver<u64>,
    expulsions: watch::Receiver<u64>,
}

impl Warrant {
    /// Resolves when it no longer holds.
    pub(super) async fn lapsed(&mut self) -> Objection {
        let not_after = tls::not_after_unix_s(&self.certificate);
        loop {
            if not_after.is_some_and(|end| unix_s() > end) {
                return Objection::new(Reason::ExpiredCertificate, "while connected");
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(VALIDITY_CHECK_S)) => {}
                _ = self.expulsions.changed() => {
                    if let Some(rest) = self.shared.expelled.rest(&self.identity.id, Instant::now()) {
                        return Objection::new(Reason::Expelled, format!("for {} s", rest.as_secs()));
                    }
                }
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        return Objection::new(Reason::NotAdmitted, "the ledger is gone");
                    }
                    match identify(&self.shared, &self.certificate) {
                        Ok(identity) if identity == self.identity => {}
                        Ok(_) => return Objection::new(Reason::IdentityChanged, "connect again"),
                        Err(objection) => return objection,
                    }
                }
            }
        }
    }
}

fn unix_s() -> i64 {
    unix_ms().div_euclid(1000)
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A CONNECT that was allowed.
struct Opening {
    seat: Seated,
    desk: Desk,
    will: Option<KeptWill>,
    idle: Duration,
}

/// Reads and judges the CONNECT, and waits for the seat. A refusal is
/// answered with the CONNACK that fits.
async fn open(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    peer: SocketAddr,
    warrant: &Warrant,
    shared: &Arc<Shared>,
) -> Result<Opening, Objection> {
    let limits = &shared.limits;
    let desk = Desk::new(warrant.identity.clone(), limits.clone(), shared.quotas.clone());
    let patience = Duration::from_millis(limits.connect_timeout_ms);
    let packet_bytes = match timeout(patience, await_connect(stream, buffer, limits.connect_bytes_max)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(objection)) => return Err(refuse(stream, objection).await),
        Err(_) => return Err(Objection::new(Reason::ConnectTimeout, "")),
    };
    let judged = read_connect(buffer, limits.connect_bytes_max, &desk, &warrant.identity, peer);
    buffer.advance(packet_bytes);
    let (name, keep_alive_s, will) = match judged {
        Ok(read) => read,
        Err(objection) => return Err(refuse(stream, objection).await),
    };
    let patience = Duration::from_millis(limits.takeover_timeout_ms);
    let Some(seat) = shared.seats.take(&name, patience).await else {
        return Err(refuse(stream, Objection::new(Reason::TakeoverTimeout, name)).await);
    };
    // One and a half times the keep alive (§3.1.2.10), and never for ever.
    let idle_max = Duration::from_millis(limits.idle_ms_max);
    let idle = match keep_alive_s {
        0 => idle_max,
        seconds => Duration::from_millis(u64::from(seconds) * 1_500),
    };
    Ok(Opening { seat, desk, will, idle })
}

/// Fills the buffer until a whole CONNECT is in it; gives its size.
async fn await_connect(stream: &mut Stream, buffer: &mut BytesMut, connect_bytes_max: u32) -> Result<usize, Objection> {
    loop {
        match mqtt::parse(buffer, as_usize(connect_bytes_max)) {
            Ok(Some((_, packet_bytes))) => return Ok(packet_bytes),
            Ok(None) => {}
            Err(invalid) => {
                let reason = match invalid.reason {
                    Fault::ProtocolLevel(_) | Fault::ProtocolName => Reason::ProtocolVersion,
                    Fault::TooLarge { .. } => Reason::TooLarge,
                    _ => Reason::Malformed,
                };
                return Err(Objection::new(reason, format!("CONNECT, {invalid}")));
            }
        }
        buffer.reserve(READ_CHUNK_BYTES);
        match stream.read_buf(buffer).await {
            Ok(0) => return Err(Objection::new(Reason::NotConnect, "the peer closed the connection")),
            Ok(_) => {}
            Err(e) => return Err(Objection::new(Reason::NotConnect, e.to_string())),
        }
    }
}

/// Session name, keep alive in seconds, and will of the CONNECT in the buffer.
fn read_connect(
    buffer: &BytesMut,
    connect_bytes_max: u32,
    desk: &Desk,
    identity: &Identity,
    peer: SocketAddr,
) -> Result<(String, u16, Option<KeptWill>), Objection> {
    let parsed = mqtt::parse(buffer, as_usize(connect_bytes_max));
    let Ok(Some((Packet::Connect(connect), _))) = parsed else {
        return Err(Objection::new(Reason::NotConnect, ""));
    };
    let will = desk.judge_connect(&connect)?;
    let name = session_name(identity, connect.client_id, peer);
    Ok((name, connect.keep_alive_s, will))
}

/// The name that a newer connection takes over. A gateway's is its id,
/// whatever it calls itself; others may hold several sessions side by side.
fn session_name(identity: &Identity, client_id: &str, peer: SocketAddr) -> String {
    let id = &identity.id;
    if identity.role == Role::Gateway {
        return id.clone();
    }
    let own: String = client_id
        .chars()
        .take(CLIENT_ID_CHARS_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' })
        .collect();
    if own.is_empty() {
        // Nobody named it, so nobody takes it over.
        format!("{id}.at.{peer}")
    } else {
        format!("{id}.{own}")
    }
}

/// Answers a refused CONNECT, where the standard has an answer for it.
async fn refuse(stream: &mut Stream, objection: Objection) -> Objection {
    let code = match objection.reason {
        Reason::ProtocolVersion => Some(ConnectCode::UnacceptableProtocolVersion),
        Reason::WillRefused | Reason::EmptyPayload | Reason::QosTwo => Some(ConnectCode::NotAuthorized),
        Reason::UnknownToLedger | Reason::Revoked | Reason::ExpiredCertificate | Reason::NotAdmitted => {
            Some(ConnectCode::NotAuthorized)
        }
        Reason::TakeoverTimeout
        | Reason::BrokerUnavailable
        | Reason::LedgerUnavailable
        | Reason::IdentityFull
        | Reason::Expelled
        | Reason::TopicsFull
        | Reason::RetainedFull => Some(ConnectCode::ServerUnavailable),
        _ => None,
    };
    if let Some(code) = code {
        let _ = timeout(Duration::from_millis(FAREWELL_MS_MAX), acknowledge(stream, code)).await;
    }
    objection
}

async fn acknowledge(stream: &mut Stream, code: ConnectCode) -> std::io::Result<()> {
    let mut out = BytesMut::new();
    Packet::ConnAck(ConnAck { session_present: false, code }).emit(&mut out).map_err(std::io::Error::other)?;
    stream.write_all(&out).await?;
    stream.flush().await
}

/// Enters the embedded broker, runs the session, and leaves it in order.
async fn hold(
    stream: &mut Stream,
    buffer: BytesMut,
    opening: Opening,
    warrant: Warrant,
    who: &str,
    peer: SocketAddr,
) -> Result<(), Objection> {
    let shared = warrant.shared.clone();
    let Opening { mut seat, desk, will, idle } = opening;
    let unavailable = |e: String| Objection::new(Reason::BrokerUnavailable, e);
    let Some(slot) = shared.quotas.take_slot() else {
        return Err(refuse(stream, unavailable("no slot is free".to_owned())).await);
    };
    // Its own task: whatever becomes of the peer, the loopback ends in order.
    let door = shared.door.clone();
    let entering = tokio::spawn(async move { door.enter(&format!("guard-{slot}")).await });
    let loopback = match entering.await {
        Ok(Ok(loopback)) => loopback,
        Ok(Err(e)) => {
            shared.quotas.give_slot(slot);
            return Err(refuse(stream, unavailable(e.to_string())).await);
        }
        Err(e) => return Err(refuse(stream, unavailable(e.to_string())).await),
    };
    shared.stats.sessions.fetch_add(1, Ordering::Relaxed);
    let (id, began) = (warrant.identity.id.clone(), Instant::now());
    let mut session = session::Session::new(loopback, buffer, desk, idle, shared.clone());
    let ended = match acknowledge(stream, ConnectCode::Accepted).await {
        Ok(()) => session.run(stream, warrant, &mut seat, who, peer).await,
        Err(_) => Ok(End::Lost),
    };
    let ended = ended.map_err(|objection| match objection.reason {
        Reason::TakenOver => taken_over(&shared, &id, began.elapsed()),
        _ => objection,
    });
    let will = if matches!(ended, Ok(End::Goodbye | End::Stopping)) { None } else { will };
    session.close(will).await;
    shared.quotas.give_slot(slot);
    drop(seat);
    ended.map(|_| ())
}

/// Counts that a newer session of the same name ended one of this age.
fn taken_over(shared: &Shared, id: &str, age: Duration) -> Objection {
    let taken = shared.stats.take_over(id, age, unix_ms());
    let detail = format!("after {:.1} s, {} times since the start", age.as_secs_f64(), taken.count);
    let advice = if taken.is_contested() { "; two peers may hold this key" } else { "" };
    Objection::new(Reason::TakenOver, format!("{detail}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Scope;

    fn name(role: Role, client_id: &str) -> String {
        let identity = Identity { id: "one".into(), role, scope: Scope::All, fingerprint: [0; 32] };
        session_name(&identity, client_id, "192.0.2.1:9".parse().unwrap())
    }

    #[test]
    fn a_gateway_cannot_call_itself_otherwise() {
        assert_eq!(name(Role::Gateway, "another"), "one");
        assert_eq!(name(Role::Gateway, ""), "one");
    }

    #[test]
    fn others_name_their_sessions_within_their_own_id() {
        assert_eq!(name(Role::Subscriber, "billing-1"), "one.billing-1");
        assert_eq!(name(Role::Subscriber, "two.x/+#$é"), "one.two_x_____");
        assert_eq!(name(Role::Subscriber, &"x".repeat(1000)).len(), 4 + CLIENT_ID_CHARS_MAX);
        assert_eq!(name(Role::Subscriber, ""), "one.at.192.0.2.1:9");
    }
}
