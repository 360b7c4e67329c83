//! One connection, from its socket to its end.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use plomb_broker::Admission;
use plomb_seal::Hash;
use rustls_pki_types::CertificateDer;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{Caller, Shared, places::Who, rate::peer_key, respond::respond, seats::Seat};

/// From the accepted socket to the finished handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From one answer, or the handshake, to the whole head of the next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that is older is closed, whatever it does: so none can be held for ever by reading slowly.
const LIFE_MAX: Duration = Duration::from_secs(600);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 64;

pub(super) async fn run(
    stream: TcpStream,
    (peer, seat): (SocketAddr, Seat),
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let leave = seat.leave();
    tokio::select! {
        () = leave.notified() => debug!(%peer, "https: closed: it was quiet, and gives way"),
        () = serve(stream, (peer, seat), &shared, stop) => {}
    }
}

async fn serve(
    stream: TcpStream,
    (peer, seat): (SocketAddr, Seat),
    shared: &Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are small: none waits for an acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let authorities: Vec<CertificateDer<'static>> = {
        let state = shared.ledger().state();
        state.members().iter().map(|member| CertificateDer::from(member.authority.clone())).collect()
    };
    let accepting = TlsAcceptor::from(shared.keys.config(&authorities)).accept(stream);
    let tls = match timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return debug!(%peer, "https: handshake: {error}"),
        Err(_) => return debug!(%peer, "https: handshake: too slow"),
    };
    let shown = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate: Option<Arc<[u8]>> = shown.map(|certificate| certificate.as_ref().into());
    // Whoever holds a certificate needs no stranger's seat any longer.
    let seat = match certificate.as_deref().map(|certificate| shared.admission.identify(certificate)) {
        Some(Ok(holder)) => seat.change(&shared.holder_seats, Who::Holder(Hash(holder.fingerprint))),
        Some(Err(_)) | None => Some(seat),
    };
    let Some(seat) = seat else { return debug!(%peer, "https: too many connections") };
    let caller = Caller { peer: peer_key(peer.ip()), certificate, seat: Arc::new(seat) };
    let answering = service_fn(|request: Request<Incoming>| {
        let (shared, caller) = (shared.clone(), caller.clone());
        async move { Ok::<_, Infallible>(respond(&shared, &caller, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(tls), answering);
    tokio::pin!(serving);
    let stopping = async {
        // An error says that the hub is gone, which is the same.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let why = tokio::select! {
        ended = serving.as_mut() => match ended {
            Ok(()) => return,
            Err(error) => return debug!(%peer, "https: {error}"),
        },
        () = taken_away(shared, &caller) => "its certificate does not hold any longer",
        () = sleep(LIFE_MAX) => "it is old",
        () = stopping => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
            return;
        }
    };
    debug!(%peer, "https: closed: {why}");
}

/// Resolves when the ledger says that the caller's certificate does not hold; never, if it has shown none.
async fn taken_away(shared: &Shared, caller: &Caller) {
    let mut changes = shared.admission.changes();
    loop {
        if changes.changed().await.is_err() || caller.certificate.is_none() {
            return std::future::pending().await;
        }
        if caller.identify(shared).is_some_and(|who| who.is_err()) {
            return;
        }
    }
}
