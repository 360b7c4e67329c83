//! What goes back: status, headers, a body of known length.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::{Value, json};

use crate::{LedgerError, desk::Problem};

/// An answer.
pub(super) type Reply = Response<Full<Bytes>>;

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const OCTETS: &str = "application/octet-stream";
/// What must be asked for each time.
pub(super) const FRESH: &str = "no-cache";
/// What is of nobody's business but the caller's.
pub(super) const NOT_KEPT: &str = "no-store";
/// What never changes, for everybody.
pub(super) const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// What never changes, for one caller.
pub(super) const FOR_EVER_OWN: &str = "private, max-age=31536000, immutable";

/// Seconds after which one that asked too often may ask again.
const RETRY_AFTER_S: u64 = 1;

/// An answer of this type.
pub(super) fn of(status: StatusCode, content_type: &'static str, cache: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    reply
}

/// A JSON document.
pub(super) fn json(status: StatusCode, value: &Value) -> Reply {
    of(status, JSON, NOT_KEPT, format!("{value}\n"))
}

/// Why not: the rule in kebab case, and what was seen.
#[derive(Debug)]
pub(super) struct Objection {
    pub(super) status: StatusCode,
    pub(super) rule: String,
    pub(super) detail: String,
}

impl Objection {
    pub(super) fn new(status: StatusCode, rule: &str, detail: impl Into<String>) -> Self {
        Self { status, rule: rule.into(), detail: detail.into() }
    }

    /// The same once more.
    pub(super) fn again(&self) -> Self {
        Self::new(self.status, &self.rule, self.detail.clone())
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(super) fn reply(&self) -> Reply {
        let mut reply = json(self.status, &json!({ "error": self.rule, "detail": self.detail }));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        reply
    }
}

impl From<LedgerError> for Objection {
    fn from(error: LedgerError) -> Self {
        // What the file said is for the log; a peer can do nothing with it.
        tracing::error!("https: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "io", "the ledger can't be read; the hub's log says why")
    }
}

impl From<Problem> for Objection {
    fn from(problem: Problem) -> Self {
        let status = match problem.kind.as_str() {
            "usage" => StatusCode::BAD_REQUEST,
            "permission" => StatusCode::FORBIDDEN,
            "refused" => StatusCode::UNPROCESSABLE_ENTITY,
            "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, &problem.kind, problem.message)
    }
}
