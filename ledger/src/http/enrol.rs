//! Enrolment and renewal over HTTPS. The steps are in [`crate::enrol`]; here are their paths.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use plomb_broker::{Identity, Role};
use plomb_seal::Hash;
use serde_json::json;

use crate::enrol::{Denied, Enrolments};

use super::{
    Caller, Shared,
    answer::{self, Objection, Reply},
    respond::blocking,
};

/// The longest that one question waits for the next step.
const WAIT_S_MAX: u64 = 30;

/// A path below `/enrol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What this hub is.
    About,
    /// A gateway asks.
    Begin,
    /// It tells its nonce.
    Reveal(Hash),
    /// How far it is.
    Told(Hash),
    /// The installer's word.
    Confirm(Hash),
    /// What it is handed.
    Grant(Hash),
    /// The next certificate.
    Renew,
}

impl Step {
    /// Whether a body comes with it.
    pub(super) fn has_body(self) -> bool {
        matches!(self, Self::Begin | Self::Reveal(_) | Self::Confirm(_) | Self::Renew)
    }

    /// From what follows `/enrol`, with the method that it takes.
    pub(super) fn at(path: &str) -> Option<(Self, Method)> {
        Some(match path {
            "" => (Self::About, Method::GET),
            "/requests" => (Self::Begin, Method::POST),
            "/renew" => (Self::Renew, Method::POST),
            other => {
                let (ticket, step) = match other.strip_prefix("/requests/")?.split_once('/') {
                    Some((ticket, step)) => (ticket, Some(step)),
                    None => (other.strip_prefix("/requests/")?, None),
                };
                let ticket = Hash::from_slice(&hex::decode(ticket).ok()?)?;
                match step {
                    None => (Self::Told(ticket), Method::GET),
                    Some("reveal") => (Self::Reveal(ticket), Method::POST),
                    Some("confirm") => (Self::Confirm(ticket), Method::POST),
                    Some("grant") => (Self::Grant(ticket), Method::GET),
                    Some(_) => return None,
                }
            }
        })
    }
}

/// Whether this may be asked at all; before a body is read.
pub(super) fn may(shared: &Shared, step: Step, holder: Result<&Identity, &Objection>) -> Result<(), Objection> {
    let off = match step {
        Step::Renew => !shared.settings.renew,
        _ => !shared.settings.enrol,
    };
    if off {
        let detail = "this hub does not do that over HTTPS; ask its operator";
        return Err(Objection::new(StatusCode::FORBIDDEN, "enrolment-off", detail));
    }
    if step == Step::Renew && holder.map_err(Objection::again)?.role != Role::Gateway {
        return Err(Objection::new(StatusCode::FORBIDDEN, "renewal-gateway", "only gateways are renewed here"));
    }
    Ok(())
}

pub(super) async fn step(
    shared: &Arc<Shared>,
    caller: &Caller,
    (step, holder): (Step, Result<Identity, Objection>),
    query: &str,
    body: Bytes,
) -> Result<Reply, Objection> {
    let enrolments = shared.enrolments.clone();
    match step {
        Step::About => {
            let (origin, pin) = (&shared.ledger().signers().origin, enrolments.hub_key().to_string());
            Ok(answer::json(StatusCode::OK, &json!({ "schema": "plomb.enrol/1", "origin": origin, "pin": pin })))
        }
        Step::Begin => {
            let peer = caller.peer.to_string();
            let opening = blocking(move || Ok(enrolments.begin(&body, &peer)?)).await?;
            Ok(answer::of(StatusCode::CREATED, answer::OCTETS, answer::NOT_KEPT, opening.to_bytes()))
        }
        Step::Reveal(ticket) => {
            let told = blocking(move || Ok(enrolments.reveal(&ticket, &body)?)).await?;
            Ok(answer::json(StatusCode::OK, &told))
        }
        Step::Told(ticket) => told(enrolments, ticket, query).await,
        Step::Confirm(ticket) => Ok(answer::json(StatusCode::OK, &enrolments.confirm(ticket, body.to_vec()).await?)),
        Step::Grant(ticket) => {
            let grant = blocking(move || Ok(enrolments.grant(&ticket)?)).await?;
            Ok(answer::of(StatusCode::OK, answer::OCTETS, answer::NOT_KEPT, grant))
        }
        Step::Renew => {
            let grant = enrolments.renew(&holder?, body.to_vec()).await?;
            Ok(answer::of(StatusCode::OK, answer::OCTETS, answer::NOT_KEPT, grant))
        }
    }
}

/// How far it is; with `wait_s` and `step` only when it is at another step, or after so long.
async fn told(enrolments: Arc<Enrolments>, ticket: Hash, query: &str) -> Result<Reply, Objection> {
    let value = |key: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(found, _)| *found == key)
            .map(|(_, value)| value)
    };
    let wait_s = value("wait_s").and_then(|digits| digits.parse().ok()).unwrap_or(0).min(WAIT_S_MAX);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(wait_s);
    let mut changes = enrolments.changes();
    loop {
        changes.borrow_and_update();
        let of = enrolments.clone();
        let told = blocking(move || Ok(of.told(&ticket)?)).await?;
        let same = value("step").is_some_and(|step| told.get("step").and_then(|at| at.as_str()) == Some(step));
        if !same {
            return Ok(answer::json(StatusCode::OK, &told));
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(deadline) => return Ok(answer::json(StatusCode::OK, &told)),
        }
    }
}

impl From<Denied> for Objection {
    fn from(Denied { rule, detail }: Denied) -> Self {
        let status = match rule {
            "enrolment-unknown" => StatusCode::NOT_FOUND,
            "enrolment-form" | "renewal-form" => StatusCode::BAD_REQUEST,
            "enrolment-certified" | "enrolment-taken" | "enrolment-step" => StatusCode::CONFLICT,
            "enrolment-io" => StatusCode::INTERNAL_SERVER_ERROR,
            "unavailable" | "renewal-authority" => StatusCode::SERVICE_UNAVAILABLE,
            full if full.ends_with("-max") => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, rule, detail)
    }
}
