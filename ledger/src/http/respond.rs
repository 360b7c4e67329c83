//! From a request to its answer: the checks in their order, then the work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::{Body, Incoming},
};
use plomb_broker::Identity;
use plomb_seal::Hash;

use super::{
    Caller, Shared,
    answer::{self, Objection, Reply},
    enrol, lookup,
    route::{Access, Route},
    submit,
    tile::Tile,
};

/// How long the whole body of a request may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn respond(shared: &Arc<Shared>, caller: &Caller, request: Request<Incoming>) -> Reply {
    judged(shared, caller, request).await.unwrap_or_else(|objection| objection.reply())
}

async fn judged(shared: &Arc<Shared>, caller: &Caller, request: Request<Incoming>) -> Result<Reply, Objection> {
    let who = caller.identify(shared);
    let rates = if matches!(who, Some(Ok(_))) { &shared.known } else { &shared.strangers };
    if !rates.take(caller.peer, Instant::now()) {
        return Err(Objection::new(StatusCode::TOO_MANY_REQUESTS, "rate", "this address asks too often"));
    }
    let route = Route::of(request.method(), request.uri().path())?;
    let holder = match who {
        Some(Ok(identity)) => Ok(identity),
        Some(Err(refused)) => Err(Objection::new(StatusCode::FORBIDDEN, "certificate", refused.to_string())),
        None => {
            let detail = "this needs a client certificate that the ledger knows";
            Err(Objection::new(StatusCode::FORBIDDEN, "no-certificate", detail))
        }
    };
    match route.access() {
        Access::Anybody => {}
        Access::Log if shared.settings.open_log => {}
        Access::Log | Access::Holders => drop(holder.as_ref().map_err(Objection::again)?),
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    if request.method() == Method::GET && request.uri().path().len() + query.len() > PATH_BYTES_MAX {
        return Err(Objection::new(StatusCode::URI_TOO_LONG, "path", "the path is too long"));
    }
    work(shared, caller, (route, holder), query, request).await
}

/// Bytes of path and query together.
const PATH_BYTES_MAX: usize = 2 * 1024;

async fn work(
    shared: &Arc<Shared>,
    caller: &Caller,
    (route, holder): (Route, Result<Identity, Objection>),
    query: String,
    request: Request<Incoming>,
) -> Result<Reply, Objection> {
    if let Route::Enrol(step) = route {
        enrol::may(shared, step, holder.as_ref())?;
    }
    // A slow body holds no place that others wait for, and its connection gives way meanwhile.
    let body = match route.body_bytes_max() {
        Some(bytes_max) => body_of(shared, caller, request, bytes_max).await?,
        None => Bytes::new(),
    };
    let _at_work = caller.seat.work();
    if let Route::Enrol(step) = route {
        // These mostly wait for people: they have places of their own, and strangers take none of holders.
        let places = if holder.is_ok() { &shared.waiting } else { &shared.enrolling };
        let _place = places.take(caller.seat.who()).ok_or_else(busy)?;
        return enrol::step(shared, caller, (step, holder), &query, body).await;
    }
    let place = shared.working.try_acquire().map_err(|_| busy())?;
    let ledger = shared.ledger().clone();
    match route {
        Route::Checkpoint => {
            let note = shared.newest.note(shared).await?;
            Ok(answer::of(StatusCode::OK, answer::TEXT, answer::FRESH, note))
        }
        Route::Tile(tile) => read_tile(shared, tile).await,
        Route::Submit => submit::submit(shared, caller, &query, body, place).await,
        Route::Transaction(which, form) => {
            let caller = holder.map(|holder| Hash(holder.fingerprint))?;
            let found = blocking(move || lookup::transaction(&ledger, &which, form, &caller)).await?;
            Ok(match found {
                lookup::Found::Told(value) => answer::json(StatusCode::OK, &value),
                lookup::Found::Bytes(bytes) => answer::of(StatusCode::OK, answer::OCTETS, answer::FOR_EVER_OWN, bytes),
                lookup::Found::Text(text) => answer::of(StatusCode::OK, answer::TEXT, answer::FOR_EVER_OWN, text),
            })
        }
        Route::History => {
            let wanted = lookup::wanted(&query)?;
            let page = blocking(move || Ok(crate::desk::register::history(&ledger, &wanted)?)).await?;
            Ok(answer::json(StatusCode::OK, &page))
        }
        Route::Gateway(gateway) => {
            let now_ms = (shared.now_ms)();
            let told = blocking(move || lookup::gateway(&ledger, &gateway, now_ms)).await?;
            Ok(answer::json(StatusCode::OK, &told))
        }
        Route::Recipient(gateway) => {
            let bytes = blocking(move || lookup::recipient(&ledger, &gateway)).await?;
            Ok(answer::of(StatusCode::OK, answer::OCTETS, answer::NOT_KEPT, bytes))
        }
        Route::Enrol(_) => Err(Objection::not_found("there is nothing at this path")),
    }
}

async fn read_tile(shared: &Arc<Shared>, tile: Tile) -> Result<Reply, Objection> {
    // No more than the newest checkpoint speaks of: what is served is what somebody has signed for.
    let size = shared.ledger().head().borrow().size;
    let ledger = shared.ledger().clone();
    let bytes = blocking(move || Ok(tile.read(&ledger, size)?)).await?;
    let bytes = bytes.ok_or_else(|| Objection::not_found("the log does not reach so far"))?;
    let cache = if shared.settings.open_log { answer::FOR_EVER } else { answer::FOR_EVER_OWN };
    Ok(answer::of(StatusCode::OK, answer::OCTETS, cache, bytes))
}

/// There is no place left; the peer may try again.
pub(super) fn busy() -> Objection {
    Objection::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests at once; try again")
}

/// The whole body, of bounded size and time. One that says itself that it is too large is not waited for.
async fn body_of(
    shared: &Shared,
    caller: &Caller,
    request: Request<Incoming>,
    bytes_max: usize,
) -> Result<Bytes, Objection> {
    let too_large = || {
        let detail = format!("the body has more than {bytes_max} bytes");
        Objection::new(StatusCode::PAYLOAD_TOO_LARGE, "body-size", detail)
    };
    if request.body().size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let _place = shared.reading.take(caller.seat.who()).ok_or_else(busy)?;
    let collected = Limited::new(request.into_body(), bytes_max).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Objection::new(StatusCode::BAD_REQUEST, "body", error.to_string())),
        Err(_) => Err(Objection::new(StatusCode::REQUEST_TIMEOUT, "body", "the body comes too slowly")),
    }
}

/// Runs what reads the file, or signs, on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Objection> + Send + 'static,
) -> Result<T, Objection> {
    let stopped = |_| Objection::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the hub stops");
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}
